"""Experiments: what is concluded, in which order, and that nothing is invented where nothing can be said."""

import numpy as np
import pandas as pd
import pytest
from experiment_company import AFTER, BEFORE, SETTINGS, TENTH, TRIED, UNTIL, assigned, dealt, read, skewed
from kpi_company import table_of

from workbench.core.config import KpiSettings, parse_shares
from workbench.kpis.arms import read_assignments
from workbench.kpis.experiments import check_experiments, estimate_experiments

JUDGED = ["p_value", "q_value", "interaction_p", "pooled", "pooled_low", "pooled_high", "power", "detectable"]


def rows(frame, outcome="revenue", total=False):
    return frame[(frame.outcome == outcome) & ((frame.segment_id == -2) == total)]


def test_assignments_and_outcomes_by_hand():
    found = read_assignments(table_of(TRIED), 28, UNTIL).set_index("customer_id")
    assert found.arm.to_dict() == {"a": "control", "b": "mail", "c": "control", "d": "mail"}
    assert found.arms.to_dict() == {"a": 1, "b": 1, "c": 2, "d": 1}
    assert found.complete.to_dict() == {"a": True, "b": True, "c": True, "d": False}
    a = found.loc["a"]
    assert (a.ordered, a.orders, a.revenue, a.margin) == (1, 2, 46, 23)
    assert (a.ordered_before, a.orders_before, a.revenue_before, a.margin_before) == (1, 2, 17, 9)
    assert found.loc["b", ["orders", "revenue_before", "cost"]].tolist() == [1, 0, 0.5]
    assert found.loc["d", ["ordered", "orders", "revenue"]].tolist() == [0, 0, 0]
    assert np.isnan(a.cost)


def test_days_before_that_no_order_reaches_back_over_are_missing_and_so_are_margins_of_a_part():
    late = [e for e in TRIED if e["event_type"] == "assignment" or e["occurred_at"].month >= 3]
    found = read_assignments(table_of(late), 28, UNTIL)
    assert found.filter(like="_before").isna().all(axis=None)
    priceless = [e | {"cost": None} if e["order_id"] == "y1" else e for e in TRIED]
    assert read_assignments(table_of(priceless), 28, UNTIL).margin.isna().all()


def test_without_assignments_there_is_no_experiment():
    found = read_assignments(table_of([e for e in TRIED if e["event_type"] != "assignment"]), 28, UNTIL)
    segments = pd.DataFrame({"customer_id": ["a"], "segment_id": [0], "segment_name": ["all"]})
    checks, frame = read(found, segments)
    assert len(found) == len(checks) == len(frame) == 0


def test_every_assigned_customer_is_accounted_for():
    assignments = read_assignments(table_of([*TRIED, assigned("stranger", "mail")]), 28, UNTIL)
    segments = pd.DataFrame({"customer_id": list("abcd"), "segment_id": 0, "segment_name": "all"})
    checks = check_experiments(assignments, segments, SETTINGS).iloc[0]
    assert (checks.assigned, checks.both_arms, checks.incomplete, checks.unknown, checks.used) == (5, 1, 1, 1, 2)
    assert checks.arms == "control 1, mail 1"
    assert checks.planned == "control 50%, mail 50%"


def test_planted_differences_between_segments_are_recovered():
    effect = np.r_[np.zeros(10), np.full(5, 15.0), np.full(5, -15.0)]
    table, segments = dealt(1, [400] * 20, effect)
    checks, frame = read(table, segments)
    each = rows(frame).set_index("segment_id")
    assert checks.reason.tolist() == [""]
    assert (each.interaction_p < 1e-6).all()
    assert (each.verdict[10:15] == "better").all()
    assert (each.verdict[15:] == "worse").all()
    assert (each.verdict[:10] == "not enough evidence").sum() >= 9
    assert np.corrcoef(each.pooled, effect)[0, 1] > 0.9
    assert ((each.pooled_low <= effect) & (effect <= each.pooled_high)).mean() >= 0.85
    total = rows(frame, total=True).iloc[0]
    assert total.ci_low < effect.mean() < total.ci_high
    assert (rows(frame).adjusted == "yes").all()


def test_pooling_is_nearer_the_truth_than_single_segments():
    rng, raw, near = np.random.default_rng(3), [], []
    for seed in range(20):
        effect = rng.normal(3, 3, 20)
        each = rows(read(*dealt(seed, [80] * 20, effect))[1])
        raw.append(((each.effect - effect) ** 2).mean())
        near.append(((each.pooled - effect) ** 2).mean())
    assert np.mean(near) < 0.85 * np.mean(raw)


def test_each_kind_of_outcome_finds_its_effect():
    for outcome, size in (("ordered", 0.15), ("orders", 0.5)):
        frame = read(*dealt(5, [300] * 6, np.full(6, size), outcome=outcome))[1]
        total = rows(frame, outcome, total=True).iloc[0]
        assert total.verdict == "better"
        assert total.ci_low < size < total.ci_high
        assert total.unit == {"ordered": "share", "orders": "ratio"}[outcome]


def test_many_arms_are_each_compared_with_the_control():
    table, segments = dealt(2, [300] * 5, np.full(5, 8.0), arms=("app", "control", "mail"))
    _, frame = read(table, segments)
    assert set(frame.arm) == {"app", "mail"}
    assert (rows(frame, total=True).verdict == "better").all()
    assert len(rows(frame)) == 10


def any_verdict(frame):
    return frame.verdict.isin(["better", "worse"]).any()


def null_discoveries(seeds):
    """Share of experiments without any effect in which anything, of any outcome and segment or of all, is called better or worse."""
    found = []
    for seed in seeds:
        table, segments = dealt(seed, [100] * 20)
        checks = check_experiments(table, segments, SETTINGS)
        found.append(any_verdict(estimate_experiments(table, checks, segments, SETTINGS, BEFORE)))
    return np.mean(found)


@pytest.mark.parametrize("experiments", [60, pytest.param(500, marks=pytest.mark.slow)])
def test_false_discoveries_keep_their_level_where_nothing_is_true(experiments):
    # Then the false-discovery rate is the chance of any discovery; with 500 experiments 3 standard errors above 5 % are 7.9 %.
    found = null_discoveries(range(experiments))
    assert found <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / experiments), found


@pytest.mark.parametrize("experiments", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_a_small_control_arm_of_skewed_money_invents_nothing(experiments):
    # With Welch's t and a family per outcome, over half of these experiments found something, nearly always "better".
    frames = [read(*skewed(seed, [60, 100, 150, 200, 300, 400] * 2), TENTH)[1] for seed in range(experiments)]
    known = [f for f in frames if f.p_value.notna().any()]
    limit = 3 / np.sqrt(len(known))
    assert len(known) >= experiments - 2
    assert np.mean([any_verdict(f) for f in known]) <= 0.05 + limit * np.sqrt(0.05 * 0.95)
    each = pd.concat([rows(f) for f in known]).dropna(subset="pooled")
    assert (each.ci_low > 0).mean() <= 0.05
    assert (each.pooled_low > 0).mean() <= 0.05
    # The share by which pooling shows more than nothing; its spread between experiments is about 0.2.
    assert abs(each.pooled.mean() / each.control_mean.mean()) <= 0.2 * limit


def test_everybody_weighs_as_much_as_all_segments():
    frame = read(*dealt(6, [100] * 20))[1]
    total = frame.segment_id == -2
    p, size = frame.p_value.dropna(), frame.p_value.groupby(total).transform("count")
    weighed = np.minimum(frame.p_value * 2 * size / len(p), 1)[p.index]
    by_hand = [min(weighed[weighed >= w].map(lambda v: v * len(p) / (weighed <= v).sum()).min(), 1) for w in weighed]
    assert frame.q_value[p.index].to_numpy() == pytest.approx(np.maximum(by_hand, p))


def test_verdicts_and_intervals_do_not_contradict_each_other():
    verdicts = []
    for seed in range(5):
        frame = read(*skewed(seed, [400, 800, 1600], uplift=1.0), TENTH)[1]
        told = frame[frame.p_value.notna() & (frame.outcome != "ordered")]
        outside = (told.ci_low > 0) | (told.ci_high < 0)
        assert (outside == (told.p_value <= 0.05)).all()
        assert outside[told.verdict.isin(["better", "worse"])].all()
        assert ((told.ci_low <= told.effect) & (told.effect <= told.ci_high)).all()
        verdicts += told.verdict.tolist()
    assert "better" in verdicts
    assert "worse" not in verdicts


@pytest.mark.slow
def test_false_discoveries_keep_their_level_beside_true_ones():
    effect, shares = np.repeat([0.0, 15.0], 10), []
    for seed in range(200):
        verdicts = rows(read(*dealt(seed, [100] * 20, effect))[1]).verdict.isin(["better", "worse"]).to_numpy()
        shares.append(verdicts[:10].sum() / max(verdicts.sum(), 1))
    assert np.mean(shares) <= 0.05 + 3 * np.std(shares) / np.sqrt(len(shares))


def test_the_interaction_test_keeps_its_level():
    frames = [read(*dealt(seed, [60] * 12))[1] for seed in range(100)]
    p = np.array([rows(f, o, total=True).interaction_p.iloc[0] for f in frames for o in ("ordered", "revenue")])
    assert (p < 0.05).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_a_sample_ratio_mismatch_stops_everything():
    table, segments = dealt(1, [400] * 5, np.full(5, 20.0), shares=(0.6, 0.4))
    checks, frame = read(table, segments)
    assert checks.ratio_p[0] < 0.001
    assert frame[[*JUDGED, "effect", "ci_low", "ci_high"]].isna().all(axis=None)
    assert frame.reason.str.startswith("sample ratio mismatch").all()
    assert set(frame.verdict) == {"not computable"}
    planned = KpiSettings(arm_shares="control: 0.6, mail: 0.4")
    assert rows(read(table, segments, planned)[1], total=True).verdict.tolist() == ["better"]


@pytest.mark.parametrize(
    "arms, plan, reason",
    [
        (("app", "mail"), "", "no control group: nobody who counts is in an arm called control"),
        (("control",), "", "no customer got a treatment: there is only the control group"),
        (("control", "mail"), "control: 0.4, mail: 0.4, app: 0.2", "an arm is empty: app"),
    ],
)
def test_missing_arms_are_told_and_nothing_is_computed(arms, plan, reason):
    table, segments = dealt(1, [100] * 3, arms=arms)
    checks, frame = read(table, segments, KpiSettings(arm_shares=plan))
    assert checks.reason.tolist() == [reason]
    assert frame[JUDGED].isna().all(axis=None)
    assert set(frame.reason) <= {reason}


def test_no_conversions_give_no_p_value():
    table, segments = dealt(1, [100] * 4)
    _, frame = read(table.assign(ordered=0.0, orders=0.0, revenue=0.0), segments)
    assert frame[["p_value", "q_value", "pooled", "power"]].isna().all(axis=None)
    assert set(frame.reason) == {"nobody ordered in either arm", "nobody brought revenue in either arm"}
    # A bound of a share is known although nobody ordered.
    assert (rows(frame, "ordered").ci_high > 0).all()


def test_one_customer():
    table, segments = dealt(1, [1], arms=("mail",))
    assert read(table, segments)[0].reason[0].startswith("no control group")
    table, segments = dealt(1, [1, 300])
    each = rows(read(table, segments)[1], "ordered").set_index("segment_id")
    assert each.reason[0] == "fewer than 10 customers in an arm"
    assert np.isnan([each.p_value[0], each.ci_low[0]]).all()
    assert np.isfinite(each.p_value[1])


def test_segments_found_after_the_assignment_are_described_only():
    table, segments = dealt(1, [300] * 5, np.full(5, 10.0))
    _, frame = read(table, segments, as_of=AFTER)
    assert set(rows(frame).verdict) == {"described only"}
    assert rows(frame)[JUDGED].isna().all(axis=None)
    assert "a run with as_of 2024-03-04 or earlier can tell" in rows(frame).reason.iloc[0]
    assert rows(frame, total=True).verdict.tolist() == ["better"]


def test_customers_in_both_arms_are_left_out():
    table, segments = dealt(1, [200] * 3)
    crossed = table.arms.where(table.index % 10 != 0, 2)
    checks, frame = read(table.assign(arms=crossed), segments)
    assert checks.both_arms[0] == 60
    assert rows(frame, total=True)[["n_arm", "n_control"]].to_numpy().sum() == 540


def test_the_order_of_rows_never_shows():
    table, segments = dealt(4, [50] * 4)
    shuffled = table.sample(frac=1, random_state=1), segments[::-1]
    pd.testing.assert_frame_equal(read(table, segments)[1], read(*shuffled)[1])


@pytest.mark.parametrize("text", ["control", "control: x", "control: 0.5", "control: 0.5, mail: 0.6", "a: 1.0, b: 0.0"])
def test_impossible_shares_are_refused(text):
    with pytest.raises(ValueError, match="shares"):
        KpiSettings(arm_shares=text)
    assert parse_shares("a b: 0.25,c:.75") == {"a b": 0.25, "c": 0.75}
