"""What changed between two runs: every change adds up, every index equals one worked out by hand, chance is taken off."""

import datetime as dt
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kpi_company import SETTINGS, simulated_sums

from workbench.core.contracts import check_frame
from workbench.kpis import changes
from workbench.kpis.metrics import estimate_kpis
from workbench.kpis.targets import Targets

AMOUNT = st.floats(0.01, 1e6) | st.just(0.0)
GROUP = st.tuples(AMOUNT, AMOUNT, AMOUNT, AMOUNT)


@given(st.lists(GROUP, min_size=1, max_size=20))
def test_mix_and_rate_add_up_to_the_change(groups):
    frame = pd.DataFrame(groups, columns=["n0", "d0", "n1", "d1"])
    # Without a denominator there is nothing to count.
    frame.loc[frame.d0 == 0, "n0"] = 0.0
    frame.loc[frame.d1 == 0, "n1"] = 0.0
    if not frame.d0.sum() or not frame.d1.sum():
        return
    one, two = (frame[[n, d]].set_axis(["numerator", "denominator"], axis=1) for n, d in (("n0", "d0"), ("n1", "d1")))
    total = frame.n1.sum() / frame.d1.sum() - frame.n0.sum() / frame.d0.sum()
    parts = changes.decompose(one, two)
    largest = max(frame.n0.sum() / frame.d0.sum(), frame.n1.sum() / frame.d1.sum(), abs(parts).to_numpy().max(), 1.0)
    assert abs(parts.to_numpy().sum() - total) <= 1e-9 * largest


def test_mix_and_rate_tell_shares_from_doings():
    one = pd.DataFrame({"numerator": [10.0, 90.0], "denominator": [100.0, 100.0]})
    shifted = pd.DataFrame({"numerator": [5.0, 135.0], "denominator": [50.0, 150.0]})
    better = pd.DataFrame({"numerator": [20.0, 90.0], "denominator": [100.0, 100.0]})
    assert changes.decompose(one, shifted).sum().to_dict() == pytest.approx({"mix": 0.2, "rate": 0.0})
    assert changes.decompose(one, better).sum().to_dict() == pytest.approx({"mix": 0.0, "rate": 0.05})


def test_the_index_of_population_stability_equals_one_by_hand():
    before, now = np.repeat([0.0, 1.0], [60, 40]), np.repeat([0.0, 1.0, np.nan], [30, 60, 10])
    index, chance = changes.population_stability(before, now)
    a = [(n + 0.5) / 101.5 for n in (60, 40, 0)]
    b = [(n + 0.5) / 101.5 for n in (30, 60, 10)]
    assert index == pytest.approx(sum((y - x) * math.log(y / x) for x, y in zip(a, b, strict=True)), abs=1e-12)
    assert chance == pytest.approx(5.991465 * 2 / 100, rel=1e-6)


def test_deciles_of_the_earlier_run_are_the_bins():
    before, now = np.arange(1.0, 101), np.arange(51.0, 151)
    a, b = [10.5 / 105] * 10, [0.5 / 105] * 5 + [10.5 / 105] * 4 + [60.5 / 105]
    by_hand = sum((y - x) * math.log(y / x) for x, y in zip(a, b, strict=True))
    assert changes.population_stability(before, now)[0] == pytest.approx(by_hand, abs=1e-12)
    assert changes.population_stability(before, before)[0] == 0


@pytest.mark.parametrize(
    "draw", [lambda r: r.normal(size=800), lambda r: r.poisson(0.2, 800) * 1.0, lambda r: (r.random(800) < 0.97) * 1.0]
)
def test_chance_alone_seldom_passes_for_drift(draw):
    generator = np.random.default_rng(3)
    found = [changes.population_stability(draw(generator), draw(generator)) for _ in range(300)]
    beyond = np.mean([index > chance for index, chance in found])
    assert beyond <= 0.09  # 5 % nominal, three standard errors of 300 simulations above


def test_a_feature_without_a_value_does_not_drift():
    nothing = np.full(50, np.nan)
    assert changes.population_stability(nothing, nothing) == (0.0, 0.0)


@pytest.fixture(scope="module")
def two_runs():
    """KPIs of two populations in four segments; 2 of the earlier run is gone, 3 of the later is born, 0 and 1 change numbers."""
    runs = []
    for seed, names in ((1, {0: "a", 1: "b", 2: "c", 3: "d"}), (2, {0: "b", 1: "a", 2: "d", 3: "e"})):
        sums, segments = simulated_sums(500, seed)
        segments = segments.assign(segment_name=segments.segment_id.map(names | {-1: "unassigned"}).astype("str"))
        runs.append((estimate_kpis(sums, segments, Targets(), SETTINGS, 30), segments))
    lineage = pd.DataFrame(
        [(0, 1, "continued"), (1, 0, "continued"), (2, 3, "continued"), (3, -1, "born"), (-1, 2, "gone")],
        columns=["segment_id", "previous_id", "change"],
    )
    return runs, lineage


def test_every_kpi_change_adds_up_and_segments_are_followed(two_runs):
    (before, now), lineage = [kpis for kpis, _ in two_runs[0]], two_runs[1]
    changed = changes.build_kpi_changes(before, now, lineage)
    check_frame("kpi_changes", changed)
    assert {"aov", "repeat_rate", "penetration", "nps"} <= set(changed.kpi)
    for kpi, rows in changed.groupby("kpi"):
        total, parts = rows[rows.segment_id == -2].iloc[0], rows[rows.segment_id != -2]
        values = [frame[(frame.kpi == kpi) & (frame.segment_id == -2)].value.iloc[0] for frame in (before, now)]
        assert total.change == pytest.approx(values[1] - values[0], abs=1e-9)
        assert parts[["mix", "rate"]].to_numpy().sum() == pytest.approx(total.change, abs=1e-9)
        assert total.ci_low <= total.change <= total.ci_high
        alone = parts[(parts.previous_id == -1) ^ (parts.segment_id == -1)]
        assert set(alone.segment_name) == {"c", "e"}
        assert (alone.rate == 0).all()
    a = changed[(changed.kpi == "aov") & (changed.segment_name == "a")].iloc[0]
    assert (a.segment_id, a.previous_id) == (1, 0)


def test_moves_are_net_of_what_chance_moves(two_runs):
    (_, before), (_, now) = two_runs[0]
    lineage = pd.DataFrame({"segment_id": range(4), "previous_id": range(4), "change": "continued"})
    placebo = pd.DataFrame(
        [(a, b, 0.25 if a == b else 0.0) for a in range(4) for b in range(4)],
        columns=["from_segment", "to_segment", "placebo_share"],
    )
    ids = {i: i for i in range(4)}
    moves = changes.build_moves(before, before, lineage, [(placebo, ids), (placebo, ids)])
    assert changes.moved_share(moves)["net"] == 0
    wobbly = placebo.assign(placebo_share=1 / 16)
    moves = changes.build_moves(before, now, lineage, [(wobbly, ids), (wobbly, ids)])
    moved = changes.moved_share(moves)
    assert moves.customers.sum() == len(before[before.segment_id >= 0].merge(now[now.segment_id >= 0], on="customer_id"))
    assert moved["placebo"] == pytest.approx(0.75)
    # Segments dealt anew at random are what this placebo moves.
    assert moved["low"] < 0 < moved["high"]
    assert np.isnan(changes.moved_share(changes.build_moves(before, now, lineage, []))["net"])


def test_runs_of_other_horizons_have_no_kpi_to_compare_and_it_is_said(two_runs):
    from workbench.views import changes as views

    ((_, _), (now, _)), lineage = two_runs
    changed = changes.build_kpi_changes(now.head(0), now, lineage)
    check_frame("kpi_changes", changed)
    assert "none is compared" in views.say_kpi_changes(changed)
    assert views.kpi_change_table(changed).frame.empty


def test_readers_are_told_when_nothing_moved_and_when_there_is_no_earlier_run(two_runs):
    from types import SimpleNamespace

    from workbench.views import changes as views

    assert views.say_changed(SimpleNamespace(earlier="", notes=[])).startswith("**No earlier run")
    (_, before), lineage = two_runs[0][0], two_runs[1].assign(jaccard=0.5)
    ids = {i: i for i in range(4)}
    placebo = pd.DataFrame({"from_segment": range(4), "to_segment": range(4), "placebo_share": 0.25})
    same = pd.DataFrame({"segment_id": range(4), "previous_id": range(4), "change": "continued"})
    moves = changes.build_moves(before, before, same, [(placebo, ids)])
    moved = changes.moved_share(moves)
    changed = changes.build_kpi_changes(two_runs[0][0][0], two_runs[0][0][0], same)
    found = SimpleNamespace(
        earlier="a", later="b", dates=(1, 2), notes=["a *season*"], lineage=lineage, moved=moved, moves=moves, kpi_changes=changed,
        drift=pd.DataFrame({"feature": ["x"], "noun": ["x_y"], "psi": [0.3], "chance": [0.1], "weight": [1.0], "drift": ["large"]}),
    )  # fmt: skip
    text = views.say_changed(found)
    assert text.startswith(r"**Beware:** a \*season\*")
    assert "No movement beyond chance" in text
    assert r"x\_y (0.30)" in text
    assert f"none of {(changed.segment_id == -2).sum()} changed at all" in text
    found.dates = (1, 1)
    text = views.say_changed(found)
    assert "Movement**: none, as no day passed; 0.0% of" in text
    assert "changed at all" in text
    assert "beyond" not in text


def test_refit_is_called_for_by_age_or_drift():
    quality = pd.DataFrame({"segment_id": [0, 1], "size": [60, 40], "verdict": ["pass", "fail"]})
    # A segment that another has taken in stands a second time under the number of the one that lives on.
    lineage = pd.DataFrame(
        {"segment_id": [0, 1, 0, -1], "previous_id": [0, -1, 1, 2], "change": ["continued", "born", "merged", "gone"]}
    )
    drift = pd.DataFrame({"psi": [0.2, 0.0], "weight": [0.5, 0.5]})
    now = dt.date(2024, 7, 1)
    signals = changes.refit_signals(dt.date(2024, 1, 1), now, 92, drift, lineage, quality).set_index("signal")
    assert signals.verdict.to_dict() == {
        "age in days": "watch",
        "drift of the features": "watch",
        "customers in new segments": "watch",
        "customers in failing segments": "refit",
    }
    # 0.1 in 182 days reaches 0.25 after 455, the lifetime comes first; twice the pace comes before it.
    assert changes.refit_by(signals.reset_index(), dt.date(2024, 1, 1), now) == dt.date(2025, 7, 1)
    faster = changes.refit_signals(dt.date(2024, 1, 1), now, 92, drift.assign(psi=[0.4, 0]), lineage, quality)
    assert changes.refit_by(faster, dt.date(2024, 1, 1), now) == now + dt.timedelta(days=227)


def test_segments_are_put_down_developed_or_tested_again_for_a_reason():
    registry = pd.DataFrame(
        [("s1", 0, "pilot", "pass"), ("s2", 1, "active", "pass"), ("s3", 2, "proposed", "watch"), ("s4", 3, "watch", "fail"), ("s5", -1, "sunset", "fail"),
         ("s6", 4, "proposed", "pass"), ("s7", 5, "pilot", "watch")],
        columns=["key", "segment_id", "state", "verdict"],
    ).assign(since="2024-01-01", evidence="not found again")  # fmt: skip
    kpis = pd.DataFrame(
        {
            "segment_id": [0, 1, -1],
            "kpi": "revenue_growth",
            "versus_total": ["above", "alike", ""],
            "value": [0.2, 0.0, 0.9],
            "confidence": 0.95,
        }
    )
    quality = pd.DataFrame({"segment_id": range(6), "segment_name": list("abcdef")})
    advice = changes.advise_segments(registry, kpis, quality)
    assert advice.advice.tolist() == ["develop", "keep", "retest", "sunset", "sunset", "retest", "retest"]
    assert np.isnan(advice.revenue_growth.iloc[4])
    assert "of 2 segments compared, about 0.05 would by chance" in advice.why[0]
    assert "pilots only" in advice.why[5]
    assert "no budget of its own" in advice.why[6]
