"""What customers will do is predicted by trees and a line together, and neither huge, missing nor unseen values upset it."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import Ridge

from workbench.clustering import predictor


def invented(customers, seed=0):
    """Six features, and a future of which a straight line tells two thirds and a threshold the rest."""
    generator = np.random.default_rng(seed)
    features = pd.DataFrame(generator.normal(size=(customers, 6))).add_prefix("f")
    told = features.f0 + features.f1 + (features.f2 > 1)
    outcomes = pd.DataFrame({"future_spend": told + generator.normal(size=customers), "future_active": (told > 0).astype(float)})
    return features, outcomes


def test_a_prediction_is_two_thirds_of_scikit_learns_trees_and_a_third_of_its_ridge():
    features, outcomes = invented(900)
    found = predictor.predict(predictor.learn(features, outcomes, 5), features)
    scaled = (features - features.mean()) / features.std(ddof=0)
    for name, kind in (("future_spend", HistGradientBoostingRegressor), ("future_active", HistGradientBoostingClassifier)):
        trees = kind(random_state=5, **predictor.SHAPE).fit(features, outcomes[name])
        by_trees = trees.predict(features) if name == "future_spend" else trees.predict_proba(features)[:, 1]
        line = Ridge(predictor.PENALTY).fit(scaled, outcomes[name]).predict(scaled)
        by_line = np.clip(line, outcomes[name].min(), outcomes[name].max())
        assert found[name].to_numpy() == pytest.approx(2 / 3 * by_trees + 1 / 3 * by_line)
    assert found.future_active.between(0, 1).all()


def test_few_customers_teach_both_more_than_trees_alone():
    """Of 250 customers; judged by 5,000 others."""
    others, happened = invented(5000, 1)
    for seed in (2, 3, 4):
        models = predictor.learn(*invented(250, seed), 0)
        both = predictor.predict(models, others).future_spend
        trees = models["future_spend"].trees.predict(others.to_numpy())
        assert np.corrcoef(both, happened.future_spend)[0, 1] > np.corrcoef(trees, happened.future_spend)[0, 1] + 0.01


def test_no_value_leads_the_line_beyond_what_was_seen():
    features, outcomes = invented(400)
    features.loc[0, "f0"], features.loc[1, "f1"], features["never"] = 1e300, -np.inf, np.nan
    models = predictor.learn(features, outcomes, 0)
    asked = pd.DataFrame({name: [1e300, -1e300, np.nan, np.inf, 0.0] for name in features})
    found = predictor.predict(models, asked)
    assert np.isfinite(found).all(axis=None)
    low, high = outcomes.future_spend.min(), outcomes.future_spend.max()
    assert found.future_spend.between(low, high).all()
    assert found.iloc[2].tolist() == found.iloc[3].tolist(), "infinite is missing"


def test_batches_do_not_change_a_bit(monkeypatch):
    features, outcomes = invented(700)
    models = predictor.learn(features, outcomes, 0)
    whole = predictor.predict(models, features)
    monkeypatch.setattr(predictor, "BATCH", 33)
    np.testing.assert_array_equal(predictor.predict(models, features), whole)
