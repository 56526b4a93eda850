"""The scorecard: relevance and stability by hand, what chance gives, what is left out and why."""

import numpy as np
import pandas as pd
import pytest

from workbench.core.contracts import check_frame
from workbench.features.catalog import Feature
from workbench.features.scorecard import chance_relevance, relevance, score_features, stability

CUSTOMERS = list("abcd")


def frame(**columns):
    return pd.DataFrame({"customer_id": CUSTOMERS, **columns})


def test_relevance_is_the_mean_squared_rank_correlation():
    features = frame(rising=[1.0, 2, 3, 100], swapped=[1.0, 2, 4, 3], same=[5.0, 5, 5, 5])
    outcomes = frame(spend=[10.0, 20, 30, 40], falling=[4.0, 3, 2, 1], constant=[1.0, 1, 1, 1])
    # Spearman of 1 2 4 3 with 1 2 3 4: 1 - 6 * 2 / (4 * 15) = 0.8; squared, the sign does not matter.
    assert relevance(features, outcomes).to_dict() == pytest.approx({"rising": 1, "swapped": 0.64, "same": 0})


def test_relevance_averages_over_the_outcomes_that_vary():
    outcomes = frame(told=[1.0, 2, 3, 4], untold=[2.0, 1, 1, 2])
    assert relevance(frame(x=[1.0, 2, 3, 4]), outcomes)["x"] == pytest.approx((1 + 0) / 2)


def test_stability_is_spearman_over_customers_of_both_halves():
    odd = frame(same=[1.0, 2, 3, 4], swapped=[1.0, 2, 3, 4], constant=[1.0, 1, 1, 1])
    even = frame(same=[10.0, 20, 30, 40], swapped=[1.0, 2, 4, 3], constant=[1.0, 2, 3, 4])
    more = pd.concat([even, pd.DataFrame({"customer_id": ["z"], "same": [-1.0], "swapped": [-1.0], "constant": [0.0]})])
    found = stability(odd, more)
    assert found[["same", "swapped"]].to_dict() == pytest.approx({"same": 1, "swapped": 0.8})
    assert np.isnan(found["constant"])


@pytest.mark.parametrize("seed", range(3))
def test_chance_separates_a_planted_feature_from_noise(seed):
    generator = np.random.default_rng(seed)
    n, names = 400, [f"noise{i}" for i in range(40)]
    spend = generator.normal(size=n)
    features = pd.DataFrame(generator.normal(size=(n, 40)), columns=names).assign(
        planted=spend + 2 * generator.normal(size=n), customer_id=range(n)
    )
    outcomes = pd.DataFrame({"customer_id": range(n), "spend": spend, "other": generator.normal(size=n)})
    found, chance = relevance(features, outcomes), chance_relevance(features, outcomes)
    below = (found[names] <= chance).mean()
    assert found["planted"] > 2 * chance
    assert below >= 0.8, f"{below:.0%} of the noise features lie at or below chance"


def declared(name, lever="offer"):
    return Feature(name, "value", "money", "what it is", "have much", "have little", lever, name)


def test_the_catalog_leaves_out_what_cannot_divide_customers_and_says_why():
    n = 100
    features = pd.DataFrame(
        {
            "customer_id": [f"c{i:03d}" for i in range(n)],
            "good": np.arange(n, dtype=float),
            "dull": np.arange(n, dtype=float),
            "constant": np.ones(n),
            "rare": [1.0, 2.0, 3.0] + [np.nan] * (n - 3),
            "unknown": np.full(n, np.nan),
        }
    )
    relevant = pd.Series({"good": 0.3, "dull": 0.001, "constant": 0.0, "rare": 0.4})
    stable = pd.Series({"good": 0.9, "dull": 0.1})
    features_declared = [declared("good"), declared("dull", ""), declared("constant"), declared("rare"), declared("unknown")]
    catalog = score_features(features_declared, features, relevant, 0.01, stable, 0.05).set_index("feature")
    assert catalog.used.to_dict() == {"good": True, "dull": True, "constant": False, "rare": False, "unknown": False}
    assert catalog.reason.to_dict() == {
        "good": "kept",
        "dull": "kept, but no better than chance at telling outcomes",
        "constant": "left out: the same for everybody",
        "rare": "left out: known for too few customers",
        "unknown": "left out: known for too few customers",
    }
    assert catalog.coverage.to_dict() == {"good": 1, "dull": 1, "constant": 1, "rare": 0.03, "unknown": 0}
    assert catalog.actionable.to_dict() == {"good": True, "dull": False, "constant": True, "rare": True, "unknown": True}
    assert catalog.relevance["unknown"] == 0
    check_frame("feature_catalog", catalog.reset_index())
