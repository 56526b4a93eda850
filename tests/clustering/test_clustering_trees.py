"""Trees read for a whole batch predict what scikit-learn's do, to the last bit."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from workbench.clustering.trees import MOST_SPLITS, MOST_TREES, read_forest


def boosted(seed: int, customers: int, leaves: int, missing: float, *, yes_no: bool):
    """Features with ties and missing values, and a model of an outcome that hangs on them and on whether one is missing."""
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(customers, 4)).round(1)
    features[generator.random(features.shape) < missing] = np.nan
    outcome = features[:, 0] * np.nan_to_num(features[:, 1], nan=3.0) + generator.normal(size=customers)
    kind, outcome = (HistGradientBoostingClassifier, outcome > 0) if yes_no else (HistGradientBoostingRegressor, outcome)
    shape = {"max_leaf_nodes": leaves, "max_iter": 20, "min_samples_leaf": 5, "early_stopping": False, "random_state": seed}
    return features, kind(**shape).fit(features, np.nan_to_num(outcome))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 99), st.sampled_from([2, 6, 9, 12]), st.sampled_from([0.0, 0.3]), st.booleans())
def test_predictions_are_those_of_scikit_learn_to_the_last_bit(seed, leaves, missing, yes_no):
    features, model = boosted(seed, 300, leaves, missing, yes_no=yes_no)
    asked = np.vstack([features, np.full((1, 4), np.nan), [[0.0, -0.0, 1e300, -1e300]]])
    expected = model.predict_proba(asked)[:, 1] if yes_no else model.predict(asked)
    np.testing.assert_array_equal(read_forest(model).predict(np.ascontiguousarray(asked.T)), expected)
    assert read_forest(model).predict(np.empty((4, 0))).shape == (0,)


def test_a_tree_without_a_split_says_its_one_value():
    model = HistGradientBoostingRegressor(max_iter=2, min_samples_leaf=400).fit(np.arange(300.0)[:, None], np.arange(300.0))
    assert read_forest(model).features == set()
    np.testing.assert_array_equal(read_forest(model).predict(np.zeros((1, 3))), np.full(3, 149.5))


def test_trees_of_another_kind_are_refused():
    features = np.random.default_rng(0).random((400, 2))
    three = HistGradientBoostingClassifier(max_iter=2).fit(features, np.arange(400) % 3)
    with pytest.raises(ValueError, match="two classes"):
        read_forest(three)
    deep = HistGradientBoostingRegressor(max_iter=1, max_leaf_nodes=MOST_SPLITS + 2, min_samples_leaf=1).fit(
        features, features[:, 0]
    )
    with pytest.raises(ValueError, match=f"a tree has {MOST_SPLITS + 1} splits"):
        read_forest(deep)
    kinds = pd.DataFrame({"kind": pd.Categorical(["a", "b"] * 200)})
    category = HistGradientBoostingRegressor(max_iter=1, categorical_features="from_dtype").fit(kinds, np.arange(400) % 2)
    with pytest.raises(ValueError, match="from categories"):
        read_forest(category)
    counts = HistGradientBoostingRegressor(loss="poisson", max_iter=1).fit(features, features[:, 0])
    with pytest.raises(ValueError, match="grown for poisson"):
        read_forest(counts)


@pytest.mark.parametrize(
    "name, place, value, told",
    [
        ("left", 0, 2, "no tree"),  # both ways lead to one node: a small file would take exponential time
        ("right", 0, 0, "no tree"),  # a circle
        ("right", 0, 99, "no tree"),
        ("num_threshold", 0, np.nan, "no number"),
        ("value", -1, np.nan, "no number"),
    ],
)
def test_nodes_that_are_no_tree_are_refused(name, place, value, told):
    _, model = boosted(0, 300, 2, 0.0, yes_no=False)
    model._predictors[3][0].nodes[name][place] = value
    with pytest.raises(ValueError, match=told):
        read_forest(model)


def test_more_trees_than_are_ever_grown_are_refused():
    _, model = boosted(0, 300, 2, 0.0, yes_no=False)
    model._predictors *= MOST_TREES
    with pytest.raises(ValueError, match=f"it has {20 * MOST_TREES} trees"):
        read_forest(model)
