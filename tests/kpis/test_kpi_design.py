"""The next test: who, how many, how long; and which segments have to be tested together."""

import numpy as np
import pandas as pd
import pytest
from experiment_company import SETTINGS
from kpi_company import EVENTS, FUTURE, PERIOD, SEGMENTS, order, table_of

from workbench.core.config import KpiSettings
from workbench.core.contracts import check_frame
from workbench.kpis import effects
from workbench.kpis.design import WEEKS, design_experiment, read_history


def company(seed, sizes, macros, means=20.0, noise=0.5):
    """History and segments: revenue of w weeks is w times a customer's own rate, times noise that long windows average out."""
    rng = np.random.default_rng(seed)
    place = np.repeat(np.arange(len(sizes)), sizes)
    n, rate = len(place), rng.gamma(4, np.broadcast_to(means, len(sizes))[place] / 4)
    table = {"customer_id": [f"c{i:05d}" for i in range(n)]}
    for weeks in WEEKS:
        table[f"ordered_{weeks}"] = (rng.random(n) < 0.3) * 1.0
        for when in ("", "_before"):
            table[f"revenue_{weeks}{when}"] = weeks * rate * rng.gamma(weeks / noise, noise / weeks, n)
    segments = pd.DataFrame(
        {"customer_id": table["customer_id"], "segment_id": place, "segment_name": [f"segment {p}" for p in place],
         "macro_segment": [macros[p] for p in place], "map_x": place * 1.0, "map_y": 0.0}
    )  # fmt: skip
    return pd.DataFrame(table), segments


def designed(history, segments, settings=SETTINGS, outcome="revenue"):
    frame = design_experiment(history, segments, settings)
    check_frame("experiment_design", frame)
    return frame[frame.outcome == outcome].set_index("segment_id")


def test_history_by_hand():
    found = read_history(table_of([*EVENTS, *FUTURE]), SEGMENTS.customer_id, PERIOD).set_index("customer_id")
    assert found.loc["a", ["ordered_2", "revenue_2", "revenue_2_before"]].tolist() == [0, 0, 55]
    assert found.loc["a", ["ordered_4", "revenue_4", "revenue_4_before"]].tolist() == [1, 55, 0]
    assert found.loc["a", ["revenue_8", "revenue_12"]].tolist() == [55, 65]
    assert found.loc["c", "revenue_2"] == 40
    assert found.loc["d", ["revenue_8", "revenue_8_before", "revenue_12", "revenue_12_before"]].tolist() == [0, 5, 0, 5]


def test_a_simulated_test_of_the_designed_size_has_the_promised_power():
    history, segments = company(1, [4000], ["A"])
    plan = designed(history, segments, KpiSettings(effect_wanted=0.05)).iloc[0]
    assert plan.verdict == "testable alone"
    rng, weeks, size, found = np.random.default_rng(2), int(plan.weeks), int(plan.per_arm), []
    y, x = history[f"revenue_{weeks}"].to_numpy(), history[f"revenue_{weeks}_before"].to_numpy()
    for _ in range(400):
        drawn, arm = rng.choice(4000, 2 * size), np.arange(2 * size) % 2
        adjusted = effects.cuped(y[drawn] + arm * plan.wanted, x[drawn], np.zeros(2 * size, int), arm)
        cells = effects.describe_cells(adjusted, arm, 2)
        found.append(effects.compare_means(*(effects.Cells(*(np.array([v[i]]) for v in (cells.n, cells.mean, cells.variance))) for i in (1, 0)), 0.95).p[0])  # fmt: skip
    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.8, abs=0.07)


def test_small_segments_join_the_nearest_of_their_macro_segment():
    history, segments = company(1, [60, 60, 2000, 60], ["A", "A", "B", "C"])
    plan = designed(history, segments, KpiSettings(effect_wanted=0.18))
    assert plan.verdict.tolist() == ["testable together", "testable together", "testable alone", "not testable"]
    assert plan.together.tolist() == ["segment 1", "segment 0", "", ""]
    assert "customers needed, 60 there" in plan.reason[3]
    assert 2 * plan.per_arm[2] <= 2000
    assert plan.detectable[3] > plan.wanted[3]


def test_longer_windows_are_tried_where_short_ones_do_not_suffice():
    history, segments = company(1, [700, 180], ["A", "B"], noise=3.0)
    plan = designed(history, segments, KpiSettings(effect_wanted=0.15))
    assert plan.weeks[0] < plan.weeks[1] or plan.verdict[1] == "not testable"


def test_what_cannot_be_is_told():
    history, segments = company(1, [100], ["A"])
    full = history.assign(**{f"ordered_{w}": 1.0 for w in WEEKS})
    assert designed(full, segments, outcome="ordered").reason[0] == "most order already: so large an effect can hardly be"
    # 91 of 100 order: 9.1 points more would win all but nobody of the other nine.
    most = history.assign(**{f"ordered_{w}": (np.arange(len(history)) < 91).astype(float) for w in WEEKS})
    assert designed(most, segments, outcome="ordered").verdict.tolist() == ["not testable"]
    silent = history.assign(**{c: 0.0 for c in history if c != "customer_id"})
    assert (designed(silent, segments).reason == "nobody ordered in 12 weeks: there is nothing to improve on").all()
    one = designed(history.head(1), segments.head(1))
    assert one.verdict.tolist() == ["not testable"]
    assert len(design_experiment(history, segments.assign(segment_id=-1), SETTINGS)) == 0


def test_nothing_after_as_of_is_read():
    late = [*EVENTS, order("a", "2024-04-05T10:00", "z", "X", 999)]
    pd.testing.assert_frame_equal(*(read_history(table_of(e), SEGMENTS.customer_id, PERIOD) for e in (EVENTS, late)))
