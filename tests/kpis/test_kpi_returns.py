"""The incremental return of campaigns against the effect that was planted, and every reason why there is none."""

import numpy as np
import pandas as pd
import pytest
from experiment_company import AFTER, BEFORE, SETTINGS, TENTH, dealt, skewed
from kpi_company import company_kpis
from scipy import stats

from workbench.kpis.experiments import check_experiments
from workbench.kpis.metrics import KPIS, estimate_kpis
from workbench.kpis.returns import incremental_returns
from workbench.kpis.targets import Targets


def returned(table, segments, as_of=BEFORE, settings=SETTINGS):
    """The rows of campaign_roi, indexed by segment."""
    caused = incremental_returns(table, check_experiments(table, segments, settings), segments, settings, as_of)
    sums = segments[["customer_id"]].assign(engaged=1.0)
    frame = estimate_kpis(sums, segments, Targets(), settings, 30, None, caused)
    return frame[frame.kpi == "campaign_roi"].set_index("segment_id")


def priced(seed, sizes, effects=None, cost=2.0):
    table, segments = dealt(seed, sizes, effects, cost=cost)
    return table.assign(margin=table.revenue), segments


def test_the_return_is_the_difference_of_the_means_over_the_cost_of_one_treatment():
    table, segments = priced(3, (400, 300), (20.0, 0.0))
    found = returned(table, segments)
    for segment in (0, 1):
        mine = table[segments.segment_id == segment]
        gain = mine[mine.arm == "mail"].margin.mean() - mine[mine.arm == "control"].margin.mean()
        assert found.value[segment] == pytest.approx(gain / 2)
        assert found.denominator[segment] == 2 * (mine.arm == "mail").sum()
    assert found.numerator[-2] == pytest.approx(found.numerator[[0, 1]].sum())
    assert found.ci_low[0] > 0
    assert found.ci_low[1] < 0 < found.ci_high[1]


@pytest.mark.slow
def test_intervals_hold_the_planted_return_as_often_as_they_say():
    held = []
    for seed in range(200):
        found = returned(*priced(seed, (30, 80, 300), (5.0, 0.0, 2.0)))
        truth = {0: 2.5, 1: 0.0, 2: 1.0}
        held += [found.ci_low[s] <= truth[s] <= found.ci_high[s] for s in truth]
    assert np.mean(held) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / len(held))


def test_a_small_control_arm_of_skewed_margins_flatters_no_campaign():
    found = [returned(*skewed(seed, [150, 300, 600, 1200]), settings=TENTH) for seed in range(40)]
    known = pd.concat(found).dropna(subset="ci_low")
    assert len(known) > 150
    assert (known.ci_low > 0).mean() <= 0.05
    assert ((known.ci_low <= 0) & (known.ci_high >= 0)).mean() > 0.95 - 3 * np.sqrt(0.95 * 0.05 / len(known))


def test_the_interval_of_one_segment_is_welchs_where_the_small_arm_varies_more():
    table, segments = dealt(3, (400,), shares=(0.1, 0.9), cost=2.0)
    table = table.assign(margin=np.where(table.arm == "mail", 0.2, 1.0) * table.revenue)
    found = returned(table, segments, settings=TENTH)
    mail, control = (table.margin[table.arm == arm] for arm in ("mail", "control"))
    low, high = stats.ttest_ind(mail, control, equal_var=False).confidence_interval()
    for segment in (0, -2):
        assert (found.ci_low[segment], found.ci_high[segment]) == pytest.approx((low / 2, high / 2), rel=1e-9)


def test_segments_too_thin_count_in_the_total_alone():
    table, segments = priced(5, (300, 12))
    found = returned(table, segments)
    assert found.status[1] == "not computable: fewer than 10 customers in an arm"
    assert found.denominator[-2] == 2 * (table.arm == "mail").sum()


def test_segments_found_after_the_assignment_have_no_return_of_their_own():
    found = returned(*priced(5, (300, 200)), as_of=AFTER)
    assert np.isfinite(found.value[-2])
    assert found.value[[0, 1]].isna().all()
    assert found.status[0].startswith("not computable: segments were found in behaviour after the assignment")


@pytest.mark.parametrize("change, reason", [
    (lambda t: t.assign(cost=np.nan), "spring: no cost of the treatment is recorded"),
    (lambda t: t.assign(margin=np.nan), "spring: margins are not known, so a return would be one of revenue"),
    (lambda t: t.assign(arm="mail"), "spring: no control group: nobody who counts is in an arm called control"),
    (lambda t: t[(t.arm == "mail") | (t.index % 3 == 0)], "spring: sample ratio mismatch"),
    (lambda t: t.head(0), "no holdout group; attributed revenue is shown apart"),
])  # fmt: skip
def test_no_return_without_a_sound_experiment_and_its_cost(change, reason):
    table, segments = priced(6, (300, 300))
    found = returned(change(table), segments)
    assert found.value.isna().all()
    assert found.status.str.startswith(f"not computable: {reason}").all()


def test_without_experiments_nothing_is_said_of_causes():
    frame = company_kpis()
    assert frame[frame.kpi == "campaign_roi"].value.isna().all()
    assert "campaign_roi" in {k.kpi for k in KPIS}
    assert isinstance(frame, pd.DataFrame)
