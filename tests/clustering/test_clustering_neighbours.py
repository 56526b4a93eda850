"""Look-alikes and mixed macro-segments by hand; groups that may become segments: one planted is found, noise has none."""

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans

from workbench.clustering import neighbours
from workbench.core.config import ClusteringSettings
from workbench.core.contracts import check_frame
from workbench.views.clustering import say_alike, say_candidates

SETTINGS = ClusteringSettings()
CLOUDS = {
    "normal": lambda r, d: r.normal(size=(1200, d)),
    "uniform": lambda r, d: r.uniform(size=(1200, d)),
    "long-tailed": lambda r, d: r.standard_t(3, size=(1200, d)),
    "skewed": lambda r, d: r.lognormal(size=(1200, d)),
}


def test_nearest_segments_by_hand():
    # Segment 0 at -1, 1 (middle 0, spread 1), segment 1 at 2 to 4 (middle 3), segment 2 far away.
    matrix, labels = np.array([[-1.0, 0], [1, 0], [2, 0], [4, 0], [99, 0], [101, 0]]), np.array([0, 0, 1, 1, 2, 2])
    alike = neighbours.look_alikes(matrix, labels, pd.Index(list("abcdef")))
    found = neighbours.nearest_segments(matrix, labels, alike).set_index("segment_id")
    assert found.nearest_segment.to_dict() == {0: 1, 1: 0, 2: 1}
    assert found.distance.to_dict() == pytest.approx({0: 3.0, 1: 3.0, 2: 97.0})
    assert found.lookalikes.to_dict() == {0: 0, 1: 0, 2: 0}
    check_frame("lookalikes", alike)


def test_a_look_alike_lies_as_near_as_nine_in_ten_of_the_segments_own():
    own = np.c_[np.linspace(-10, 10, 21), np.zeros(21)]
    others = np.array([[0.0, 8.9], [0.0, 4.5], [0.0, 9.1], [0.0, 500]])  # nine in ten of the own lie within 9
    matrix, labels = np.vstack([own, others]), np.repeat([0, 1], [21, 4])
    alike = neighbours.look_alikes(matrix, labels, pd.Index([f"c{i:02d}" for i in range(25)]))
    check_frame("lookalikes", alike)
    mine = alike[alike.like_segment == 0]
    assert mine.customer_id.tolist() == ["c22", "c21"]
    assert mine.segment_id.tolist() == [1, 1]
    assert mine.distance.tolist() == pytest.approx([4.5 / 9, 8.9 / 9])
    assert neighbours.nearest_segments(matrix, labels, alike).lookalikes[0] == 2


def test_what_sets_a_segment_apart_from_its_nearest_one_is_told_with_its_interval():
    generator, labels = np.random.default_rng(0), np.repeat([0, 1, 2], 400)
    outcomes = pd.DataFrame({"future_orders": generator.normal(size=1200), "future_spend": generator.normal(size=1200)})
    outcomes.loc[labels == 1, "future_spend"] -= 0.9
    pairs = pd.DataFrame({"segment_id": [0, 1, 2], "nearest_segment": [1, 0, 0]})
    found = neighbours.differ_most(pairs, labels, outcomes)
    assert found.outcome.tolist()[:2] == ["future_spend", "future_spend"]
    assert found.effect_low[0] < 0.9 < found.effect_high[0]
    assert found.effect[0] == pytest.approx(found.effect[1])
    assert found.effect_low[2] < 0 < found.effect[2] < 0.2  # the larger of two chances; its interval is wide enough to hold none
    told = say_alike(found, {})
    assert told.startswith("**Most alike are 2 and 0:**")
    assert "1 of 3 differs from the nearest one by less than 0.5" in told
    same = neighbours.differ_most(pairs, np.zeros(1200, int), outcomes)
    assert same.effect.isna().all()
    assert "cannot be told" in say_alike(same, {})


def test_segments_that_surely_differ_by_little_are_to_be_treated_as_one():
    generator, labels = np.random.default_rng(1), np.repeat([0, 1], 20_000)
    pairs = pd.DataFrame({"segment_id": [0, 1], "nearest_segment": [1, 0]})
    found = neighbours.differ_most(pairs, labels, pd.DataFrame({"future_aov": generator.normal(size=40_000)}))
    assert say_alike(found, {}).endswith("Surely less than 0.2 in everything: 0 with 1. Treat them as one.")


def test_heterogeneity_by_hand():
    # 0, 2 | 10, 12: total 104, within 2 + 2. The other macro-segment is one segment, which tells nothing apart.
    matrix = np.array([[0.0], [2], [10], [12], [50], [51]])
    found = neighbours.heterogeneity(matrix, np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 1])).set_index("macro_id")
    assert found.told_apart.to_dict() == pytest.approx({0: 1 - 4 / 104, 1: 0.0})
    assert found.segments.to_dict() == {0: 2, 1: 1}
    assert found.customers.to_dict() == {0: 4, 1: 2}


@pytest.mark.parametrize("cloud", list(CLOUDS))
@pytest.mark.parametrize("dimensions", [2, 5, 20])
def test_noise_has_no_candidates(cloud, dimensions):
    for seed in range(3):
        matrix = CLOUDS[cloud](np.random.default_rng(seed), dimensions)
        labels = KMeans(12, n_init=1, random_state=seed).fit_predict(matrix)
        found = neighbours.find_candidates(matrix, labels, np.ones(len(matrix)), SETTINGS)
        assert found.empty, found
    assert "No new segment in sight" in say_candidates(found)


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_group_that_its_segment_hides_is_found_and_weighed_by_its_money(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 8, 1200)
    matrix = 3 * rng.normal(size=(8, 12))[labels] + rng.normal(size=(1200, 12))
    away = rng.normal(size=(2, 12))
    hidden = [rng.choice(np.flatnonzero(labels == segment), 20, replace=False) for segment in (3, 5)]
    for group, direction in zip(hidden, away, strict=True):
        middle = matrix[labels == labels[group[0]]].mean(axis=0)
        matrix[group] = middle + 7 * direction / np.linalg.norm(direction) + 0.5 * rng.normal(size=(20, 12))
    revenue = np.ones(1200)
    revenue[hidden[1]] = 50.0
    found = neighbours.find_candidates(matrix, labels, revenue, SETTINGS)
    assert found.mostly_from.tolist() == [5, 3]
    assert found.customers.between(18, 28).all()
    assert (found.stability > 0.7).all()
    assert (found.apart > 2.5).all()
    assert found.promise[0] == 1.0
    assert found.promise[1] < 0.1
    assert say_candidates(found).startswith(
        "**2 groups of badly fitting customers may become segments:** they come back and stand apart; the most"
    )
    assert say_candidates(found[:1]).startswith(
        "**A group of badly fitting customers may become a segment:** it comes back and stands apart; it has"
    )


def test_a_new_kind_that_is_predicted_like_an_old_one_is_found_by_its_features():
    generator = np.random.default_rng(4)
    predicted, features = generator.normal(size=(1200, 6)), generator.normal(size=(1200, 6))
    labels = KMeans(12, n_init=1, random_state=0).fit_predict(predicted)
    new = np.flatnonzero(labels == 5)[:25]
    features[new] = 9 + 0.3 * generator.normal(size=(25, 6))
    assert neighbours.find_candidates(predicted, labels, np.ones(1200), SETTINGS).empty
    found = neighbours.find_candidates(predicted, labels, np.ones(1200), SETTINGS, features)
    assert found.mostly_from.tolist() == [5]
    assert found.customers.between(22, 28).all()
    both = neighbours.find_candidates(features, labels, np.ones(1200), SETTINGS, features)
    assert len(both) == 1, "one group is told once"


def test_few_or_equal_customers_have_no_candidates():
    few = np.random.default_rng(1).normal(size=(60, 4))
    assert neighbours.find_candidates(few, np.arange(60) % 3, np.ones(60), SETTINGS).empty
    same = np.zeros((400, 4))
    assert neighbours.find_candidates(same, np.arange(400) % 3, np.ones(400), SETTINGS).empty
    kinds = np.repeat(10 * np.random.default_rng(2).normal(size=(24, 6)), 50, axis=0)  # all stand in the middle of their segment
    assert neighbours.find_candidates(kinds, np.repeat(np.arange(24), 50), np.ones(1200), SETTINGS).empty
    found = neighbours.find_candidates(few, np.arange(60) % 3, np.ones(60), SETTINGS)
    assert isinstance(found, pd.DataFrame)
    assert list(found) == ["candidate", "customers", "revenue", "mostly_from", "stability", "apart", "promise"]
