"""The business case: closed forms where there are some, the same draws each time, limits that are kept, and no certainty that is not there."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workbench.core.config import KpiSettings
from workbench.core.contracts import check_frame
from workbench.core.errors import ParameterError
from workbench.kpis import business_case as business
from workbench.views import business as views

SETTINGS = KpiSettings(draws=20_000)
DAYS = 91


def prior(low, mode=None, high=None):
    return {"low": low, "mode": low if mode is None else mode, "high": low if high is None else high, "source": "test"}


def assumed(lever=None, limits=None, **more):
    """Everything certain: uplift 10 %, half a unit per contact, no offers, always works."""
    lever = {"base": "expected", "uplift": prior(0.1), "contact_cost": prior(0.5), "offer_cost": prior(0.0), "contacts": 2, "hours": 4} | (lever or {})  # fmt: skip
    limits = {"horizons": 4, "budget": 10_000, "hour_cost": 25, "capacity_hours": 100, "max_share": 1, "max_contacts_per_week": 3} | (limits or {})  # fmt: skip
    return business.Assumptions.model_validate(
        {"works": prior(1.0), "margin_rate": prior(0.3), "base_error": prior(1.0), "free_offers": ["none"], "levers": {"growth": lever, "winback": lever | {"base": "lost"}}, "limits": limits} | more
    )  # fmt: skip


def company(segments=3, members=100, seed=5):
    """Customers of some segments; a fifth of each stands at winback and is expected to spend less."""
    rng = np.random.default_rng(seed)
    n = segments * members
    ids = pd.Series([f"c{i:04d}" for i in range(n)], dtype="str")
    group = np.repeat(np.arange(segments), members)
    stage = np.where(rng.random(n) < 0.2, "winback", "growth")
    spend = rng.gamma(2, 50 * (group + 1)) * np.where(stage == "winback", 0.1, 1)
    sums = pd.DataFrame({"customer_id": ids, "revenue": spend, "revenue_before": spend * rng.uniform(0.8, 1.2, n), "expected_spend": spend, "margin": 0.25 * spend, "lines": 1.0, "cost_lines": 1.0})  # fmt: skip
    segment = pd.DataFrame({"customer_id": ids, "segment_id": group})
    journey = pd.DataFrame({"customer_id": ids, "stage": stage})
    customers = pd.DataFrame({"customer_id": ids, "consent_email": rng.choice(["yes", "no"], n)})
    running = pd.DataFrame({"customer_id": ids[:10], "running": 5.0})
    lapse = pd.DataFrame({"customer_id": ids, "predicted": 0.1})
    plan = pd.DataFrame([(s, stage, f"{stage} treatment", "e-mail", "none", False) for s in range(segments) for stage in ("growth", "winback", "acquisition")], columns=["segment_id", "stage", "treatment", "channel", "offer", "vetoed"])  # fmt: skip
    quality = pd.DataFrame({"segment_id": range(segments), "segment_name": [f"segment *{s}*" for s in range(segments)], "verdict": (["pass", "watch", "fail"] * segments)[:segments]})  # fmt: skip
    return sums, segment, journey, customers, running, lapse, plan, quality


def cells_of(assumptions, **kind):
    *parts, plan, quality = company(**kind)
    return business.build_cells(business.describe_people(*parts), plan, quality, assumptions, DAYS)


def case_of(assumptions, settings=SETTINGS, **kind):
    return business.estimate_case(cells_of(assumptions, **kind), assumptions, settings, DAYS)


def test_a_certain_case_equals_the_sum_worked_out_by_hand():
    assumptions = assumed()
    case = case_of(assumptions)
    check_frame("business_case", case)
    row = case[(case.segment_id == 0) & (case.scenario == "growth")].iloc[0]
    gain = 4 * row.spend * 0.25 * row.addressable * 0.1
    cost = 4 * row.customers * row.addressable * 2 * 0.5 + 4 * 25
    assert (row.gain_low, row.gain_mid, row.gain_high) == pytest.approx((gain, gain, gain))
    assert row.cost == pytest.approx(cost)
    assert row.value_low == pytest.approx(row.value_high) == pytest.approx(gain - cost)
    assert row.break_even == pytest.approx(0.1 * cost / gain)
    assert row.payback_months == pytest.approx(cost / gain * 4 * DAYS / (365.25 / 12))


def test_at_the_break_even_uplift_nothing_is_won_or_lost():
    first = case_of(assumed()).iloc[0]
    again = case_of(assumed({"uplift": prior(float(first.break_even))}))
    same = again[(again.segment_id == first.segment_id) & (again.scenario == first.scenario)].iloc[0]
    assert same.value == pytest.approx(0, abs=1e-8)


def test_the_margin_is_measured_where_costs_are_known_and_assumed_where_not():
    sums, *others, plan, quality = company()
    assumptions = assumed()
    known = business.build_cells(business.describe_people(sums, *others), plan, quality, assumptions, DAYS)
    assert known.rate.to_numpy() == pytest.approx(0.25)
    holes = business.build_cells(business.describe_people(sums.assign(cost_lines=0.5), *others), plan, quality, assumptions, DAYS)
    bare = business.build_cells(
        business.describe_people(sums.drop(columns=["margin"]), *others), plan, quality, assumptions, DAYS
    )
    assert holes.rate.isna().all()
    assert bare.rate.isna().all()
    gain = business.value_cell(bare.iloc[0], business.expected_values(assumptions), assumptions.limits)[0]
    assert gain == pytest.approx(4 * bare.base.iloc[0] * 0.3 * bare.addressable.iloc[0] * 0.1)


def test_the_same_seed_gives_the_same_case_and_another_one_nearly():
    assumptions = assumed({"uplift": prior(0.0, 0.1, 0.3)}, works=prior(0.2, 0.4, 0.6))
    one, two, other = (case_of(assumptions, KpiSettings(draws=20_000, seed=s)) for s in (7, 7, 8))
    pd.testing.assert_frame_equal(one, two)
    assert not one.value_high.equals(other.value_high)
    assert one.value_high.to_numpy() == pytest.approx(other.value_high.to_numpy(), rel=0.05)
    assert one.value.equals(other.value)


def test_draws_agree_with_the_expectation_and_with_a_beta_distribution():
    assumptions = assumed({"uplift": prior(0.0, 0.1, 0.4)}, works=prior(0.1, 0.3, 0.5), base_error=prior(0.8, 1.0, 1.2))
    drawn = business.draw_values(assumptions, 100_000, 1)
    cells = cells_of(assumptions)
    gain = business.value_cell(cells.iloc[0], drawn, assumptions.limits)[0]
    assert gain.mean() == pytest.approx(
        business.value_cell(cells.iloc[0], business.expected_values(assumptions), assumptions.limits)[0], rel=0.03
    )
    assert stats.kstest(drawn["growth: uplift"] / 0.4, stats.beta(2, 4).cdf).pvalue > 0.001
    assert drawn["growth: works"].mean() == pytest.approx(0.3, abs=0.01)


def test_what_may_not_work_cannot_be_told_from_zero():
    doubtful = case_of(assumed({"contact_cost": prior(0.01)}, works=prior(0.1, 0.3, 0.5)))
    growth = doubtful[doubtful.scenario == "growth"]
    assert (growth.value > 0).all()
    assert (growth.verdict == "not distinguishable from zero").all()
    assert growth.pays.to_numpy() == pytest.approx(0.3, abs=0.02)
    total = business.total_of_best(doubtful, assumed(), SETTINGS)
    assert "not distinguishable from zero" in views.say_case(doubtful, total, "EUR")
    assert (case_of(assumed({"contact_cost": prior(0.01)})).query("scenario == 'growth'").verdict == "pays").all()


def test_readers_see_the_warning_first_and_names_as_plain_text():
    import matplotlib.pyplot as plt

    assumptions = assumed({"uplift": prior(0.0, 0.1, 0.3), "contact_cost": prior(0.01)}, works=prior(0.1, 0.3, 0.5))
    case = case_of(assumptions)
    text = views.say_case(case, business.total_of_best(case, assumptions, SETTINGS), "EUR")
    assert text.startswith("**These are assumptions, not results")
    assert r"segment \*0\*" in text
    assert "segment *0*" not in text
    assert "over 12 months and its 95% interval" in text
    for drawing in (views.chart_actions(case), views.chart_tornado(business.estimate_sensitivity(case, assumptions))):
        drawing.figure.canvas.draw()
        assert drawing.get_title(loc="left") or drawing.get_title()
    labels = [
        label.get_text() for label in views.chart_tornado(business.estimate_sensitivity(case, assumptions)).get_yticklabels()
    ]
    assert labels[-1].startswith(business.estimate_sensitivity(case, assumptions).assumption[0])
    plt.close("all")
    assert "gives up" in views.say_waiting(case, "EUR")
    assert views.case_table(case, "EUR").frame["in the budget"].str.len().min() > 5


def test_where_nothing_pays_no_action_is_named():
    assumptions = assumed({"uplift": prior(0.0)})
    case = case_of(assumptions)
    assert (case.verdict == "loses").all()
    assert not case.best.any()
    assert not case.chosen.any()
    assert case.payback_months.isna().all()
    total = business.total_of_best(case, assumptions, SETTINGS)
    assert "No action is expected to bring more than it costs" in views.say_case(case, total, "EUR")
    assert business.estimate_sensitivity(case, assumptions).empty


def test_the_variance_of_those_lost_is_that_of_the_segments_others():
    """Who has stopped ordering does not vary at all; a pilot that brings some back needs as many customers as any other."""
    sums, segment, journey, *others, plan, quality = company()
    gone = journey.stage == "winback"
    sums = sums.assign(revenue=sums.revenue.where(~gone, 0.0), expected_spend=sums.expected_spend.where(~gone, 0.0))
    cells = business.build_cells(business.describe_people(sums, segment, journey, *others), plan, quality, assumed(), DAYS)
    assert (cells.pivot(index="segment_id", columns="scenario", values="spread").std(axis=1) == 0).all()


def test_limits_are_kept_and_failing_segments_are_not_acted_on():
    limits = {"budget": 700, "capacity_hours": 12, "max_share": 0.6}
    case = case_of(assumed(limits=limits), segments=6)
    assert 0 < case.chosen.sum() <= 3
    assert case.cost[case.chosen].sum() <= 700
    assert case.groupby("segment_id").apply(lambda c: c.cost[c.chosen].sum()).max() <= 420
    assert (case.stability_verdict[case.chosen] == "pass").all()  # as the advice says: no budget of its own before it has passed
    assert (case.best > 0).sum() == 3
    assert not case.best[case.stability_verdict == "fail"].any()
    assert case.marginal_return.is_monotonic_decreasing
    assert set(case.reason[~case.chosen]) > {
        "the segment does not survive resampling",
        "the segment has not passed: no budget of its own",
    }
    work = business.sum_workload(case, assumed(limits=limits).limits)
    check_frame("workload", work)
    assert work.hours_chosen.iloc[-1] == 4 * case.chosen.sum() <= 12


def test_contacts_that_run_already_count_against_the_cap():
    case = case_of(assumed())
    # Ten customers of segment 0 get five a week already, the cap is three.
    assert case.groupby("segment_id").contacts_over_cap.sum().to_dict() == {0: 10, 1: 0, 2: 0}


def test_the_tornado_moves_one_assumption_at_a_time():
    assumptions = assumed({"uplift": prior(0.05, 0.1, 0.15)}, base_error=prior(0.9, 1.0, 1.1), works=prior(0.2, 0.4, 0.6))
    case = case_of(assumptions, segments=6)
    table = business.estimate_sensitivity(case, assumptions)
    check_frame("sensitivity", table)
    assert set(table.assumption) == {business.WORKS, "growth: uplift", business.ERROR}
    assert (table.value_high - table.value_low).abs().is_monotonic_decreasing
    best = case[case.best > 0]
    uplift = table[table.assumption == "growth: uplift"].iloc[0]
    # Of the gain, the uplift's part is linear; a PERT with its mode in the middle has its mean there.
    assert uplift.value_high - uplift.value == pytest.approx(best.gain_mid.sum() * (uplift.high / 0.1 - 1))
    assert table.value.iloc[0] == pytest.approx(best.value.sum())


def test_power_is_that_of_a_z_test_and_pooled_segments_show_more():
    assumptions = assumed()
    case = case_of(assumptions)
    row = case[(case.segment_id == 0) & (case.scenario == "growth")].iloc[0]
    arm = row.customers * row.addressable / 2
    error = row.spread * np.sqrt(2 / arm)
    z = 0.1 * row.base / row.customers / error
    assert row.power == pytest.approx(stats.norm.sf(1.959964 - z) + stats.norm.cdf(-1.959964 - z), abs=1e-6)
    assert row.detectable_uplift == pytest.approx((1.959964 + 0.841621) * error / (row.base / row.customers), rel=1e-6)
    pooled = business.pool_pilots(case, assumptions)
    check_frame("pilots", pooled)
    growth = pooled[pooled.scenario == "growth"].iloc[0]
    assert growth.segments == 3
    assert growth.detectable_uplift < case[case.scenario == "growth"].detectable_uplift.min()


def test_a_seen_effect_is_seen_as_often_as_the_power_says():
    """2,000 simulated pilots with the planned uplift: the share in which a z test sees it is the power."""
    rng, mean, sd, arm = np.random.default_rng(3), 100.0, 40.0, 150
    frame = pd.DataFrame({"scenario": ["growth"], "customers": [2 * arm], "addressable": [1.0], "spread": [sd], "base": [mean * 2 * arm], "gain_high": [1.0], "cost": [0.0], "stability_verdict": ["pass"]})  # fmt: skip
    power = business.pick_pilots(frame, assumed()).power.iloc[0]
    treated, rest = (rng.normal(m, sd, (2000, arm)).mean(axis=1) for m in (1.1 * mean, mean))
    seen = (np.abs(treated - rest) > 1.959964 * sd * np.sqrt(2 / arm)).mean()
    assert seen == pytest.approx(power, abs=3 * np.sqrt(power * (1 - power) / 2000))


def test_without_customers_at_a_stage_nothing_is_valued():
    *parts, plan, quality = company()
    assumptions = assumed()
    cells = business.build_cells(business.describe_people(*parts), plan.assign(vetoed=True), quality, assumptions, DAYS)
    case = business.estimate_case(cells, assumptions, SETTINGS, DAYS)
    check_frame("business_case", case)
    check_frame("sensitivity", business.estimate_sensitivity(case, assumptions))
    check_frame("pilots", business.pool_pilots(case, assumptions))
    check_frame("workload", business.sum_workload(case, assumptions.limits))
    total = business.total_of_best(case, assumptions, SETTINGS)
    assert "nothing can be valued" in views.say_case(case, total, "EUR")
    assert views.say_pilots(case, business.pool_pilots(case, assumptions)).startswith("**No pilot")


@pytest.mark.parametrize("name", ["configs/business_case.yaml", "configs/b2b_business_case.yaml"])
def test_shipped_assumptions_are_sound_and_name_their_sources(name):
    assumptions = business.read_assumptions(name)
    listed = business.list_assumptions(assumptions)
    assert len(listed) >= 10
    assert listed.source.str.len().min() > 3
    assert listed.source.str.contains("Harvard|Kohavi").sum() >= 2


def test_a_range_out_of_order_is_refused(home):
    text = "works: {low: 0.5, mode: 0.3, high: 0.6, source: somebody}\n"
    (home / "wrong.yaml").write_text(text)
    with pytest.raises(ParameterError, match="not in order"):
        business.read_assumptions("wrong.yaml")


def test_the_cap_on_contacts_is_that_of_the_exports():
    from workbench.personas.audience import read_activation

    limits = business.read_assumptions("configs/business_case.yaml").limits
    assert limits.max_contacts_per_week == read_activation("configs/activation.yaml").max_touches_per_week
