"""The space that segments are found in: what is predictable about each customer's future, plus a tail of today's features.

Learned one horizon earlier (features as of `as_of - horizon`, outcomes up to `as_of`), applied to today's features;
nothing after `as_of` is read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

MIN_TO_LEARN = 200
# Shallow, slow, with a random third of the features per split: best of five shapes in 3-fold cross-validation on the earlier window.
SHAPE = {
    "learning_rate": 0.03, "max_iter": 200, "max_leaf_nodes": 6, "min_samples_leaf": 40, "l2_regularization": 5.0,
    "max_features": 0.3, "early_stopping": False,
}  # fmt: skip


@dataclass(frozen=True)
class Representation:
    """matrix: (customers, dimensions); predicted: customers x outcomes in the outcomes' units, None without a history."""

    matrix: np.ndarray
    predicted: pd.DataFrame | None


def outcome_aware(
    earlier: pd.DataFrame, outcomes: pd.DataFrame, today: pd.DataFrame, relevance: pd.Series, tail_weight: float, seed: int
) -> Representation:
    """Features and outcomes of the earlier window, today's features (same columns, indexed by customer) -> Representation.

    Falls back to the scaled features when the history is too short to learn from (under 200 customers).
    """
    if len(earlier) < MIN_TO_LEARN:
        return Representation(scaled(today), None)
    predicted = predict_outcomes(earlier, outcomes, today, seed)
    if predicted.empty:
        return Representation(scaled(today), None)
    # In units of the outcome's own spread: an outcome that cannot be predicted varies little and so weighs little.
    leading = ((predicted - predicted.mean()) / outcomes[predicted.columns].std()).to_numpy()
    weights = tail_weight * leading.std() * np.sqrt(relevance.reindex(today.columns).fillna(0.0).to_numpy())
    return Representation(np.hstack([leading, normal_scores(today) * weights]), predicted)


def predict_outcomes(earlier: pd.DataFrame, outcomes: pd.DataFrame, today: pd.DataFrame, seed: int) -> pd.DataFrame:
    """One gradient-boosting model per outcome, learned earlier -> predictions for today, one column per varying outcome."""
    predictions = {}
    with threadpool_limits(1):  # two threads would add gradients in another order
        for name, y in outcomes.items():
            known = y.notna().to_numpy()
            if known.sum() < MIN_TO_LEARN or y[known].nunique() < 2:
                continue
            predictions[name] = _predict(earlier[known], y[known].to_numpy(), today, seed)
    return pd.DataFrame(predictions, index=today.index)


def _predict(x: pd.DataFrame, y: np.ndarray, today: pd.DataFrame, seed: int) -> np.ndarray:
    if set(np.unique(y)) == {0.0, 1.0}:
        return HistGradientBoostingClassifier(random_state=seed, **SHAPE).fit(x, y).predict_proba(today)[:, 1]
    return HistGradientBoostingRegressor(random_state=seed, **SHAPE).fit(x, y).predict(today)


def scaled(features: pd.DataFrame) -> np.ndarray:
    """Features -> z-scores, missing values at the median."""
    return StandardScaler().fit_transform(_filled(features))


def normal_scores(features: pd.DataFrame) -> np.ndarray:
    """Features -> normal scores of their mean ranks (Blom 1958), missing values at the median.

    Mean ranks: a column of mostly zeros puts them a little below the middle, not five deviations away from everybody else.
    """
    ranks = stats.rankdata(_filled(features), axis=0)
    return stats.norm.ppf((ranks - 0.375) / (len(features) + 0.25))


def _filled(features: pd.DataFrame) -> np.ndarray:
    return features.fillna(features.median()).fillna(0.0).to_numpy()
