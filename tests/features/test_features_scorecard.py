"""The scorecard: figures by hand, what chance gives, what noise gets through, what is left out or weighs less, and why."""

import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workbench.core.contracts import check_frame
from workbench.features.catalog import Feature
from workbench.features.scorecard import (
    Evidence,
    chance_relevance,
    rank_correlation,
    relevance,
    relevance_test,
    reliability,
    score_features,
    stability,
)

CUSTOMERS = list("abcd")
COLUMNS = [
    "feature", "family", "unit", "definition", "high", "low", "lever", "noun", "coverage", "revenue_coverage", "relevance", "relevance_q",
    "stability", "retest", "zero_share", "top_share", "duplicate_of", "actionable", "used", "told", "weight", "reason",
]  # fmt: skip


def frame(**columns):
    return pd.DataFrame({"customer_id": CUSTOMERS, **columns})


def declared(name, lever="offer"):
    return Feature(name, "value", "money", "what it is", "have much", "have little", lever, f"the {name}")


def company(seed, n=600):
    """A company whose customers have a lasting taste that shows in four outcomes: -> taste, outcomes (one half unknown), generator."""
    generator = np.random.default_rng(seed)
    taste = generator.normal(size=n)
    outcomes = pd.DataFrame({f"future_{i}": taste + generator.normal(size=n) for i in range(4)})
    outcomes.loc[: n // 2, "future_3"] = np.nan
    outcomes.insert(0, "customer_id", [f"c{i:05d}" for i in range(n)])
    return taste, outcomes, generator


def scored(make, outcomes, names, levers=("offer",), revenue=None, min_coverage=0.05, seed=1):
    """make: name of a time -> columns, drawn anew for each time."""
    frames = {
        t: pd.DataFrame({"customer_id": outcomes.customer_id, **make(t)})
        for t in ("now", "earlier", "odd", "even", "first", "second")
    }
    evidence = Evidence(frames["earlier"], outcomes, *(frames[t] for t in ("odd", "even", "first", "second")))
    revenue = pd.Series(1.0, index=outcomes.customer_id) if revenue is None else revenue
    features = [n if isinstance(n, Feature) else declared(n) for n in names]
    return score_features(features, frames["now"], evidence, revenue, levers, min_coverage, seed).set_index("feature")


# -- figures by hand ---------------------------------------------------------------------------------------------------


def test_relevance_is_the_mean_squared_rank_correlation():
    features = frame(rising=[1.0, 2, 3, 100], swapped=[1.0, 2, 4, 3], same=[5.0, 5, 5, 5])
    outcomes = frame(spend=[10.0, 20, 30, 40], falling=[4.0, 3, 2, 1], constant=[1.0, 1, 1, 1])
    # Spearman of 1 2 4 3 with 1 2 3 4: 1 - 6 * 2 / (4 * 15) = 0.8; squared, the sign does not matter.
    assert relevance(features, outcomes).to_dict() == pytest.approx({"rising": 1, "swapped": 0.64, "same": 0})


def test_relevance_averages_over_the_outcomes_that_vary():
    outcomes = frame(told=[1.0, 2, 3, 4], untold=[2.0, 1, 1, 2])
    assert relevance(frame(x=[1.0, 2, 3, 4]), outcomes)["x"] == pytest.approx((1 + 0) / 2)
    assert relevance(frame(x=[1.0, 2, 3, 4]), frame(constant=[1.0, 1, 1, 1]))["x"] == 0


def test_stability_is_spearman_over_customers_of_both_halves():
    odd = frame(same=[1.0, 2, 3, 4], swapped=[1.0, 2, 3, 4], constant=[1.0, 1, 1, 1], profile=[1.0, 2, 3, 4])
    even = frame(same=[10.0, 20, 30, 40], swapped=[1.0, 2, 4, 3], constant=[1.0, 2, 3, 4], profile=[1.0, 2, 3, 4])
    more = pd.concat([even, pd.DataFrame({"customer_id": ["z"], "same": [-1.0], "swapped": [-1.0], "constant": [0.0]})])
    found = stability(odd, more)
    assert found[["same", "swapped"]].to_dict() == pytest.approx({"same": 1, "swapped": 0.8})
    assert found[["constant", "profile"]].isna().all()


def test_reliability_is_spearman_browns():
    assert reliability(pd.Series([0.5, 1.0, -0.2])).to_list() == pytest.approx([2 / 3, 1, 0])


def test_rank_correlation_equals_scipys_and_leaves_out_what_is_unknown():
    generator = np.random.default_rng(0)
    x, y = pd.DataFrame(generator.integers(0, 9, (80, 3))), pd.DataFrame(generator.normal(size=(80, 2)))
    rho, pairs = rank_correlation(x, y)
    expected = [[stats.spearmanr(x[i], y[j])[0] for j in y] for i in x]
    np.testing.assert_allclose(rho, expected, rtol=1e-9)
    assert (pairs == 80).all()
    rho, pairs = rank_correlation(x.head(50).reindex(range(80)), y.assign(constant=1.0))
    assert pairs.tolist() == [[50] * 3] * 3
    assert np.isnan(rho[:, 2]).all()


# -- chance ------------------------------------------------------------------------------------------------------------


def test_p_values_are_uniform_when_nothing_is_related():
    """Continuous, tied, zero-inflated and mostly unknown columns; outcomes related to each other, with unknown values."""
    p = []
    for seed in range(12):
        generator = np.random.default_rng(seed)
        _, outcomes, _ = company(seed, 300)
        x = pd.DataFrame(generator.normal(size=(300, 20)))
        x[[0, 1, 2, 3]] = (x[[0, 1, 2, 3]] > 1).astype(float)
        x[[4, 5, 6]] = x[[4, 5, 6]].clip(lower=0)
        x[[7, 8, 9]] = x[[7, 8, 9]].where(generator.random((300, 3)) < 0.2)
        p.append(relevance_test(x.assign(customer_id=outcomes.customer_id), outcomes, seed).p_value)
    p = np.concatenate(p)
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert (p < 0.01).mean() <= 0.03


def test_the_permuted_null_equals_the_f_test_of_one_outcome():
    """With one outcome the statistic is a squared rank correlation: its p-value is known from Student's t."""
    generator = np.random.default_rng(3)
    x, y = generator.normal(size=(200, 5)), generator.normal(size=200)
    x[:, 1] += 0.15 * y
    x[:, 2] += 0.25 * y
    features = pd.DataFrame(x).assign(customer_id=range(200))
    found = relevance_test(features, pd.DataFrame({"customer_id": range(200), "spend": y}), 0, 2_000).p_value
    expected = [stats.spearmanr(x[:, i], y).pvalue for i in range(5)]
    np.testing.assert_allclose(found, expected, rtol=0.6, atol=0.02)


def test_unknown_together_is_no_relation():
    """Known for few, and mostly where the outcome is unknown: the few pairs must not look like much."""
    rejected = 0
    for seed in range(25):
        generator = np.random.default_rng(seed)
        y, x = generator.normal(size=400), generator.normal(size=400)
        x[60:] = np.nan
        y[:50] = np.nan
        found = relevance_test(
            pd.DataFrame({"customer_id": range(400), "x": x}), pd.DataFrame({"customer_id": range(400), "y": y}), seed, 200
        )
        rejected += found.p_value["x"] < 0.05
    assert rejected <= 3


def test_it_is_fast_enough_for_a_hundred_features():
    generator = np.random.default_rng(0)
    n = 25_000
    x = pd.DataFrame(generator.normal(size=(n, 100))).assign(customer_id=range(n))
    y = pd.DataFrame(generator.normal(size=(n, 10)), columns=[f"y{i}" for i in range(10)]).assign(customer_id=range(n))
    start = time.process_time()
    relevance_test(x, y, 0, 200)
    assert time.process_time() - start < 5


# -- what is left out --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
def test_ten_columns_of_noise_drop_out(seed):
    """Among thirty real attributes; drawn once (a profile's) or anew for each time."""
    taste, outcomes, generator = company(seed)
    n, lasting = len(taste), {}

    def noise(i, t):
        if i >= 5 and i in lasting:
            return lasting[i]
        kinds = (
            generator.normal(size=n),
            (generator.random(n) < 0.3) * 1.0,
            generator.pareto(1, n),
            generator.poisson(0.2, n) * 1.0,
        )
        return lasting.setdefault(i, kinds[i % 4])

    def make(t):
        real = {f"real{i}": taste + generator.normal(size=n) * (1 + i / 30) for i in range(30)}
        return real | {f"noise{i}": noise(i, t) for i in range(10)}

    names = [*(f"real{i}" for i in range(30)), *(f"noise{i}" for i in range(10))]
    found = scored(make, outcomes, names, seed=seed)
    assert found.used[names[:30]].all()
    assert found.used[names[30:]].sum() <= 1
    assert (found.weight[names[30:]] == 0).sum() >= 9


def test_every_artefact_is_left_out_and_says_why():
    taste, outcomes, generator = company(2, 800)
    n = len(taste)
    rare, half = np.arange(n) < 20, np.arange(n) % 2 == 0
    card = generator.permutation(n) + 4_000_000_000_000_000

    def make(t):
        good = taste + 0.5 * generator.normal(size=n)
        noisy = taste + 6 * generator.normal(size=n)
        return {
            "good": good,
            "cents": 100 * good + 7,  # the same, in another unit
            "opposite": -good,
            "half_known": np.where(half, good, np.nan),
            "noisy": noisy,
            "leak": outcomes.future_0.to_numpy() ** 3 if t == "earlier" else good + generator.normal(size=n),
            "constant": np.ones(n),
            "empty": np.full(n, np.nan),
            "few": np.where(rare, good, np.nan),
            "one": (np.arange(n) == 5) * 1.0,
            "inflated": np.where(taste > 1.5, np.maximum(good, 0), 0.0),
            "card": card,
            "profile": taste if t in ("odd", "even", "first", "second") else good + generator.normal(size=n),
            "no_lever": taste + generator.normal(size=n),
        }

    names = [*make("now")]
    features = [declared(name, "" if name == "no_lever" else "offer") for name in names]
    revenue = pd.Series(np.where(half, 3.0, 1.0), index=outcomes.customer_id)
    found = scored(make, outcomes, features, revenue=revenue)
    reasons = found.reason.to_dict()
    assert [*found.reset_index().columns] == COLUMNS
    assert reasons["good"] == "kept: tells outcomes better than chance and repeats between weeks"
    for name in ("cents", "opposite", "half_known"):
        others = {"good", "cents", "opposite", "half_known"} - {name}
        assert found.used[name] or found.duplicate_of[name] in others
    alike = ["good", "cents", "opposite"]
    assert found.used[alike].sum() == 1
    assert reasons["cents"] == "left out: says the same as the good"
    assert "weeks differ" in reasons["noisy"] or "do not agree" in reasons["noisy"] or "chance" in reasons["noisy"]
    assert reasons["leak"] == "left out: so like an outcome that it may have been taken from it"
    assert reasons["constant"] == "left out: the same for everybody"
    assert reasons["empty"] == reasons["few"] == "left out: known for too few customers"
    assert reasons["one"] == "left out: different for too few customers"
    assert reasons["card"] == "left out: no better than chance at telling outcomes"
    assert "does not depend on the window" in reasons["profile"]
    assert found.weight["profile"] == 1
    assert found[["stability", "retest"]].loc["profile"].isna().all()
    assert found.used["inflated"]
    assert found.zero_share["inflated"] == found.top_share["inflated"] > 0.85
    assert found.revenue_coverage["half_known"] == pytest.approx(0.75)
    assert found.coverage["half_known"] == 0.5
    assert found.actionable.drop("no_lever").all()
    assert not found.actionable["no_lever"]
    assert found.used["no_lever"]
    assert found.top_share["empty"] != found.top_share["empty"]
    assert found.weight.between(0, 1).all()
    assert (found.weight[~found.used] == 0).all()
    check_frame("feature_catalog", found.reset_index())


def test_an_attribute_that_changes_from_week_to_week_weighs_less():
    taste, outcomes, generator = company(4, 1500)
    found = scored(
        lambda t: {"steady": taste + 0.3 * generator.normal(size=1500), "shaky": taste + 2.5 * generator.normal(size=1500)},
        outcomes,
        ["steady", "shaky"],
    )
    assert found.used.all()
    # Reliability of the whole: variance 1 of taste over 1 + 0.09, or over 1 + 6.25, by half; doubled by Spearman-Brown.
    assert found.weight["steady"] == pytest.approx(2 * (1 / 1.09) / (1 + 1 / 1.09), abs=0.03)
    assert found.weight["shaky"] == pytest.approx(2 * (1 / 7.25) / (1 + 1 / 7.25), abs=0.08)
    assert "so it weighs" in found.reason["shaky"]
    assert not scored(lambda t: {"steady": taste}, outcomes, ["steady"], levers=("price",)).actionable.any()


def test_with_too_little_history_nothing_is_left_out_for_relevance():
    _, outcomes, generator = company(5, 150)
    found = scored(lambda t: {"noise": generator.normal(size=150)}, outcomes, ["noise"])
    assert found.used["noise"]
    assert "too little history" in found.reason["noise"]
    assert np.isnan(found.relevance_q["noise"])
    _, outcomes, generator = company(5, 400)
    none = outcomes[["customer_id"]].assign(future_spend=0.0)
    found = scored(lambda t: {"noise": np.arange(400.0)}, none, ["noise"])
    assert found.used["noise"]
    assert np.isnan(found.relevance["noise"])
    assert np.isnan(chance_relevance(pd.DataFrame({"customer_id": outcomes.customer_id, "x": 1.0}), none))


def test_shuffled_rows_and_other_columns_change_nothing():
    taste, outcomes, generator = company(6, 400)
    frames = [pd.DataFrame({"customer_id": outcomes.customer_id, "a": taste + generator.normal(size=400), "b": generator.normal(size=400)}) for _ in range(6)]  # fmt: skip
    now, earlier, *halves = frames
    revenue = pd.Series(generator.lognormal(size=400), index=outcomes.customer_id)
    names = [declared("a"), declared("b")]
    found = score_features(names, now, Evidence(earlier, outcomes, *halves), revenue, {"offer"}, 0.05, 3)
    now, earlier, mixed, *halves = (f.sample(frac=1, random_state=i) for i, f in enumerate([now, earlier, outcomes, *halves]))
    again = score_features(
        names, now, Evidence(earlier, mixed, *halves), revenue.sample(frac=1, random_state=9), {"offer"}, 0.05, 3
    )
    pd.testing.assert_frame_equal(found, again, rtol=1e-12)
    alone = relevance_test(frames[1][["customer_id", "a"]], outcomes, 3).p_value["a"]
    assert alone == pytest.approx(relevance_test(frames[1], outcomes, 3).p_value["a"], rel=1e-9)


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
