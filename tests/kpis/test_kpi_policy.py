"""The value of targeting: known truths, honest intervals, and no value where none can be told."""

import numpy as np
import pytest
from experiment_company import AFTER, BEFORE, SETTINGS, dealt

from workbench.core.config import KpiSettings
from workbench.core.contracts import check_frame
from workbench.kpis.experiments import check_experiments
from workbench.kpis.policy import estimate_policies


def values(table, segments, settings=SETTINGS, as_of=BEFORE):
    frame = estimate_policies(table, check_experiments(table, segments, settings), segments, settings, as_of)
    check_frame("policy_values", frame)
    return frame.set_index(["policy", "against"])


def test_treating_by_segment_beats_everyone_where_some_are_hurt():
    effect = np.repeat([15.0, -15.0], 5)
    found = values(*dealt(1, [500] * 10, effect))
    assert found.value["by segment", "nobody"] == pytest.approx(7.5, abs=1.5)
    assert found.ci_low["by segment", "everyone"] > 0
    assert found.ci_low["everyone", "nobody"] < 0 < found.ci_high["everyone", "nobody"]
    assert found.treated_share["by segment", "nobody"] == pytest.approx(0.5, abs=0.05)


def test_the_cost_of_the_treatment_is_taken_off_and_its_absence_told():
    table, segments = dealt(2, [400] * 6, np.full(6, 10.0), cost=4.0)
    dear, free = values(table, segments), values(table.assign(cost=np.nan), segments)
    gap = (free.value - dear.value)["everyone", "nobody"]
    assert gap == pytest.approx(4, abs=0.1)
    assert set(dear.reason) == {""}
    assert set(free.reason) == {"no cost of the treatment is recorded: the value is before its cost"}
    assert values(table.assign(margin=table.revenue / 2), segments).outcome.iloc[0] == "margin"


def test_intervals_cover_and_choosing_does_not_flatter_itself():
    hits, gains = [], []
    for seed in range(150):
        found = values(*dealt(seed, [80] * 10, np.full(10, 6.0)))
        row = found.loc[("everyone", "nobody")]
        hits.append(row.ci_low <= 6 <= row.ci_high)
        # All segments are alike, so targeting can gain nothing over treating everyone.
        gains.append(found.value["by segment", "everyone"])
    assert 0.95 - 3 * np.sqrt(0.05 * 0.95 / 150) <= np.mean(hits)
    assert np.mean(gains) <= 3 * np.std(gains) / np.sqrt(150)


def test_two_treatments_each_go_where_they_work():
    table, segments = dealt(3, [500] * 6, arms=("app", "control", "mail"))
    place = segments.segment_id.to_numpy()
    better = ((table.arm == "app") & (place < 3)) | ((table.arm == "mail") & (place >= 3))
    found = values(table.assign(revenue=table.revenue + 12 * better), segments)
    assert found.value["by segment", "nobody"] == pytest.approx(12, abs=2)
    assert found.ci_low["by segment", "everyone"] > 0


@pytest.mark.parametrize(
    "made, settings, as_of, reason",
    [
        ({"sizes": [20, 20]}, SETTINGS, BEFORE, "fewer than 50 customers in an arm"),
        ({"sizes": [300], "arms": ("app", "mail")}, SETTINGS, BEFORE, "no control group"),
        ({"sizes": [900], "shares": (0.7, 0.3)}, SETTINGS, BEFORE, "sample ratio mismatch"),
        ({"sizes": [300]}, SETTINGS, AFTER, "segments were found in behaviour after the assignment"),
        ({"sizes": [300]}, KpiSettings(control_arm="none"), BEFORE, "no control group"),
    ],
)
def test_no_value_is_invented(made, settings, as_of, reason):
    found = values(*dealt(1, **made), settings=settings, as_of=as_of)
    assert found[["value", "ci_low", "ci_high"]].isna().all(axis=None)
    assert found.reason.str.startswith(reason).all()
