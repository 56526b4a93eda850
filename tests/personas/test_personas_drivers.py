"""Drivers tell what was planted, with the right sign and a covering interval, and nothing where nothing is."""

import numpy as np
import pandas as pd
import pytest
from persona_data import DECLARED, PLANTED, catalog, customers

from workbench.core.config import PersonaSettings
from workbench.core.contracts import check_frame
from workbench.core.stats import standardized_difference
from workbench.personas.profile import as_told, choose_drivers, compare_segments

SETTINGS = PersonaSettings()
NOTHING = {segment: (size, {}) for segment, (size, _) in PLANTED.items()}


def drivers(seed, planted=PLANTED, settings=SETTINGS):
    features, labels = customers(seed, planted)
    return choose_drivers(compare_segments(features, labels, catalog(), 0.95), catalog(), settings)


def test_shares_are_told_as_counted_and_of_those_who_have_any():
    features, labels = customers(0, PLANTED)
    share = np.where(labels == 4, 0.9, 0.1) + np.tile([0.05, -0.05], len(labels))[: len(labels)]
    counted = pd.DataFrame({"discount_share": share}, index=labels.index).where(labels != 2)
    told = compare_segments(as_told(features, counted), labels, catalog(), 0.95).set_index(["segment_id", "feature"])
    assert told.value[4, "discount_share"] == pytest.approx(0.9, abs=0.02)
    assert (2, "discount_share") not in told.index  # nobody there has any
    assert told.value[4, "net_revenue"] == pytest.approx(features.net_revenue[labels == 4].mean())


@pytest.mark.parametrize("seed", range(3))
def test_pure_noise_gives_no_claims(seed):
    claims = drivers(seed, NOTHING)
    assert claims.empty, f"{len(claims)} claims about nothing"


def test_false_discoveries_are_controlled_even_where_every_small_effect_may_be_told():
    eager = PersonaSettings(min_effect=0.0, max_claims=20)
    told = sum(len(drivers(seed, NOTHING, eager)) for seed in range(5))
    # Benjamini-Hochberg at 5 %: with nothing there, one family of claims in twenty is expected to hold any.
    assert told <= 2, f"{told} claims in five runs about nothing"


def test_every_planted_difference_is_told_with_its_sign():
    rows = drivers(0).set_index(["segment_id", "feature"])
    told, words = rows.effect_size, rows.claim
    expected = {(s, f): shift for s, (_, shifts) in PLANTED.items() for f, shift in shifts.items()}
    assert set(expected) <= set(told.index)
    assert all(np.sign(told[key]) == np.sign(shift) for key, shift in expected.items())
    assert words[1, "net_revenue"] == "spend a lot"
    assert words[2, "net_revenue"] == "spend little"
    assert words[4, "discount_share"] == "buy on discount more than others"


@pytest.mark.parametrize("inside, outside", [((0.8, 1.0), (0, 1.0)), ((0.8, 2.0), (0, 1.0)), ((0.8, 0.3), (0, 1.0))])
def test_the_interval_covers_the_planted_difference(inside, outside):
    """One segment of two (mean, standard deviation): nominal 95 %, 200 draws; segments vary more or less than everybody else."""
    generator, own = np.random.default_rng(0), np.sqrt((59 * inside[1] ** 2 + 299 * outside[1] ** 2) / 358)
    covered = []
    for _ in range(200):
        g, low, high, _ = standardized_difference(generator.normal(*inside, 60), generator.normal(*outside, 300))
        covered.append(low <= inside[0] / own <= high)
        assert low < g < high
    assert 0.9 <= np.mean(covered) <= 0.99, f"covers in {np.mean(covered):.0%} of the draws"


def test_hedges_g_by_hand():
    inside, outside = np.array([4.0, 5, 6]), np.array([1.0, 2, 3, 2])
    # Variances 1 and 2/3; pooled over 5 degrees of freedom: (2 * 1 + 3 * 2/3) / 5 = 0.8.
    assert standardized_difference(inside, outside)[0] == pytest.approx((5 - 2) / np.sqrt(0.8) * (1 - 3 / (4 * 7 - 9)))


def test_the_table_by_hand():
    features = pd.DataFrame({"net_revenue": [10.0, 20, 30, 40, 50, np.nan, 60, 80]}, index=list("abcdefgh"))
    labels = pd.Series([0, 0, 0, 1, 1, 1, 1, 1], index=features.index)
    words = catalog()[catalog().feature == "net_revenue"]
    found = compare_segments(features, labels, words, 0.95).set_index("segment_id")
    assert found.value.to_dict() == pytest.approx({0: 20, 1: 57.5})
    assert found.base.to_list() == pytest.approx([290 / 7] * 2)
    assert found["index"][0] == pytest.approx(100 * 20 / (290 / 7))
    assert found.n.to_dict() == {0: 3, 1: 4}


def test_claims_keep_the_contract_and_the_limits():
    features, labels = customers(0)
    compared = compare_segments(features, labels, catalog(), 0.95)
    usual, few, strict = (
        choose_drivers(compared, catalog(), s) for s in (SETTINGS, PersonaSettings(max_claims=1), PersonaSettings(min_effect=1.1))
    )
    check_frame("drivers", usual)
    assert few.groupby("segment_id").size().max() == 1
    assert set(usual.feature) <= {f.feature for f in DECLARED}
    assert not strict.empty
    assert strict.effect_size.abs().min() >= 1.1


def test_features_that_may_not_be_told_are_never_told():
    features, labels = customers(0)
    words = catalog()
    words["told"] = words.feature != "net_revenue"
    assert "net_revenue" not in set(compare_segments(features, labels, words, 0.95).feature)


def test_an_index_is_missing_where_the_base_is_not_positive():
    features, labels = customers(0)
    compared = compare_segments(features.assign(revenue_trend=-features.revenue_trend), labels, catalog(), 0.95)
    assert compared[compared.feature == "revenue_trend"]["index"].isna().all()
