"""Retention against lifelines, by hand, and in a simulated population whose curve is known."""

import warnings

import numpy as np
import pandas as pd
import pytest
from kpi_company import EVENTS, FUTURE, PERIOD, order, table_of

from workbench.core.contracts import check_frame
from workbench.kpis.retention import build_cohorts, estimate_retention, read_lifetimes


def curves(days, event, curve="staying", seen=None):
    ids = [f"c{i:05d}" for i in range(len(days))]
    lifetimes = pd.DataFrame(
        {
            "customer_id": ids,
            "seen": days if seen is None else seen,
            "stayed": days,
            "ended": event,
            "second": days,
            "came_back": event,
        }
    )
    frame = estimate_retention(lifetimes, pd.DataFrame({"customer_id": ids, "segment_id": 0, "segment_name": "all"}), 0.95)
    check_frame("retention_curves", frame)
    return frame[(frame.curve == curve) & (frame.segment_id == -2)].set_index("days")


def test_curves_are_those_of_lifelines():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifelines import KaplanMeierFitter
    rng = np.random.default_rng(0)
    life, seen = rng.exponential(200, 500).round() + 1, rng.integers(30, 300, 500).astype(float)
    days, event = np.minimum(life, seen), life <= seen
    found, back = curves(days, event, seen=seen), curves(days, event, "coming back", seen)
    fitted = KaplanMeierFitter().fit(days, event, timeline=found.index.to_numpy(float))
    np.testing.assert_allclose(found.value, fitted.survival_function_.iloc[:, 0], rtol=1e-12)
    np.testing.assert_allclose(found[["ci_low", "ci_high"]][1:], fitted.confidence_interval_[1:], rtol=1e-9)
    np.testing.assert_allclose(back.value, 1 - found.value)
    assert found.at_risk.tolist() == [(days >= day).sum() for day in found.index]


def test_intervals_cover_the_true_curve_although_most_are_censored():
    rng, hits = np.random.default_rng(1), []
    for _ in range(200):
        life, seen = rng.exponential(200, 150), rng.uniform(0, 300, 150)
        row = curves(np.minimum(life, seen), life <= seen, seen=seen).loc[84]
        hits.append(row.ci_low <= np.exp(-84 / 200) <= row.ci_high)
    assert np.mean(hits) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 200)


def test_lifetimes_by_hand():
    more = [order("e", f"2024-{day}T10:00", f"e{i}", "X", 1) for i, day in enumerate(["01-02", "01-02", "01-12", "03-20"])]
    found = read_lifetimes(table_of([*EVENTS, *FUTURE, *more]), PERIOD).set_index("customer_id")
    assert sorted(found.index) == ["a", "b", "c", "d", "e"]
    # a ordered on 2 February, 5 and 10 March; 32 days of silence are more than the period of 30.
    assert found.loc["a", ["seen", "stayed", "ended", "second", "came_back"]].tolist() == [59, 30, True, 32, True]
    assert found.loc["c", ["seen", "stayed", "ended", "second", "came_back"]].tolist() == [1, 1, False, 1, False]
    assert found.loc["e", ["seen", "stayed", "ended", "second"]].tolist() == [90, 40, True, 10]


def test_cohorts_by_hand():
    frame = build_cohorts(table_of([*EVENTS, *FUTURE]), PERIOD, 0.95)
    check_frame("cohorts", frame)
    told = frame.set_index(["cohort", "months"])[["customers", "active"]]
    # d began in January and never came back; a and b in February, a came back in March; c began in March, the last month.
    assert told.to_dict("index") == {
        ("2024-01", 1): {"customers": 1, "active": 0}, ("2024-01", 2): {"customers": 1, "active": 0}, ("2024-02", 1): {"customers": 2, "active": 1},
    }  # fmt: skip


def test_nobody_ordered():
    events = table_of([e for e in EVENTS if e["event_type"] != "order"])
    lifetimes = read_lifetimes(events, PERIOD)
    segments = pd.DataFrame({"customer_id": ["a"], "segment_id": [0], "segment_name": ["all"]})
    assert len(estimate_retention(lifetimes, segments, 0.95)) == len(build_cohorts(events, PERIOD, 0.95)) == 0


@pytest.mark.parametrize("size", [1, 9])
def test_few_customers_have_no_curve(size):
    assert curves(np.full(size, 50.0), np.ones(size, bool)).empty


def test_a_curve_on_which_nobody_ended_is_not_certain():
    found = curves(np.full(40, 90.0), np.zeros(40, bool))
    assert (found.value == 1).all()
    assert found.ci_low[84] == pytest.approx(40 / (40 + 1.959964**2), rel=1e-6)


def test_a_curve_ends_where_too_few_are_left_in_sight():
    """Of 40 half are out of sight by day 60: the four who are left a month later could end anything."""
    stayed = np.repeat([60.0, 90.0, 120.0], [20, 16, 4])
    found = curves(stayed, np.repeat([False, True, True], [20, 16, 4]), "coming back", seen=np.full(40, 200.0))
    assert found.index[-1] == 84
    assert found.value.max() < 1


def test_a_curve_does_not_end_because_all_came_back():
    found = curves(np.full(40, 3.0), np.ones(40, bool), "coming back", seen=np.full(40, 200.0))
    assert found.value.tolist() == [0, *[1.0] * 7]
    assert found.index[-1] == 196
