"""The space that segments are found in: what is predictable about each customer's future, plus a tail of today's features.

Learned one horizon earlier (features as of `as_of - horizon`, outcomes up to `as_of`), applied to today's features;
nothing after `as_of` is read. What was learned is kept, so that further customers can be placed in the same space.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.utils.validation import check_is_fitted

from workbench.clustering.trees import Forest, read_forest
from workbench.core.processor import on_one_thread
from workbench.core.stats import learnable

Each = Callable[[Callable, Iterable], Iterable]  # `map`, or one that computes elsewhere: a function of each batch, in order
MIN_TO_LEARN = 200
BATCH = 20_000  # customers looked at at a time
GRID = 1000  # most values per feature that a further customer's rank is looked up in
# Shallow. In 3-fold cross-validation on the earlier window of three companies, deeper trees and fewer trees knew less; 200 trees at half the
# rate knew the same (mean R² 0.382 either way) for twice the time. Every split may choose among all features: with a random third of them
# segments know as much (R² over 8, 5 and 3 seeds of the three companies 0.263, 0.400, 0.272; with all 0.262, 0.404, 0.272), but once 1 % of the
# customers are left out every later draw is another one, and 8, 3 and 16 % of the others change segments, where with all 6, 4 and 3 % do.
SHAPE = {
    "learning_rate": 0.06, "max_iter": 100, "max_leaf_nodes": 6, "min_samples_leaf": 40, "l2_regularization": 5.0,
    "early_stopping": False,
}  # fmt: skip
# Of many customers fewer, deeper trees know as much or more and place in less time. R² of customers not learned from: 0.503 for 0.494 of
# 100,000 invented ones, 0.295 for 0.295 out of time on 23,570 buyers of CDs, 0.423 for 0.422 on 7,300 simulated accounts. Trees of 31 leaves
# gain more on the invented ones and lose on both others.
MANY, SHAPE_OF_MANY = 5000, SHAPE | {"learning_rate": 0.1, "max_iter": 60, "max_leaf_nodes": 12}


class Space(TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):
    """Features -> coordinates: predicted outcomes in units of their spread, then today's features by relevance.

    With too little history to learn from (under 200 customers, or outcomes that do not vary) the coordinates are the features
    alone, without long tails and each weighing as much as any other; `models_` is empty then.
    """

    def __init__(self, tail_weight: float = 0.3, seed: int = 7):
        self.tail_weight = tail_weight
        self.seed = seed

    def fit(
        self, X: pd.DataFrame, y: Any = None, *, earlier: pd.DataFrame | None = None, outcomes: pd.DataFrame | None = None,
        relevance: pd.Series | None = None,
    ) -> Space:  # fmt: skip
        """Today's features, features and outcomes of the earlier window (same columns as today's), relevance per feature (0 for those that it leaves out; 1 without it)."""
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        self.medians_ = finite(X).median().fillna(0.0)
        self.models_ = {} if earlier is None else learn(earlier, outcomes, self.seed)
        scores = _normal_scores if self.models_ else _tamed
        self.grids_ = {name: _grid(values.to_numpy(), scores) for name, values in self._filled(X).items()}
        self.weights_ = pd.Series(1.0, X.columns)
        if not self.models_:
            return self
        told = pd.Series(1.0, X.columns) if relevance is None else relevance.reindex(X.columns).fillna(0.0)
        predicted = self.predict(X)
        self.middle_ = predicted.mean()
        self.spread_ = outcomes[list(self.models_)].std()
        # In units of the outcome's own spread: an outcome that cannot be predicted varies little and so weighs little.
        self.weights_ = self.tail_weight * self._leading(predicted).std() * np.sqrt(told)
        return self

    def predict(self, X: pd.DataFrame, each: Each = map) -> pd.DataFrame | None:
        """Features -> predicted outcomes of the coming horizon, in their own units; None without a history to learn from."""
        return predict(self.models_, X[list(self.feature_names_in_)], each) if self.models_ else None

    def transform(self, X: pd.DataFrame, predicted: pd.DataFrame | None = None) -> np.ndarray:
        """Features -> (customers, dimensions); missing values stand at today's median. predicted: where known already."""
        check_is_fitted(self, "grids_")
        filled = self._filled(X)
        leading = np.empty((len(X), 0))
        if self.models_:
            leading = self._leading(self.predict(X) if predicted is None else predicted)
        used = [name for name in self.feature_names_in_ if self.weights_[name] > 0]
        tail = np.empty((len(X), len(used)))
        for place, name in enumerate(used):
            tail[:, place] = _interpolated(filled[name].to_numpy(), *self.grids_[name]) * self.weights_[name]
        return np.hstack([leading, tail])

    def crossed_coordinates(self, earlier: pd.DataFrame, outcomes: pd.DataFrame, *frames: pd.DataFrame) -> list[np.ndarray]:
        """Frames of the earlier window's customers (same index) in this space, each predicted by models that never saw the customer.

        The customers are halved, `twins` kept together; the models of one half serve the other; the same model serves a customer in every frame.
        """
        if not self.models_:
            return [self.transform(frame) for frame in frames]
        names, half = list(self.models_), twins(earlier, outcomes) % 2 == 0
        crossed = [pd.DataFrame(np.nan, index=frame.index, columns=names) for frame in frames]
        for mine in (half, ~half):
            models = learn(earlier[~mine], outcomes[~mine], self.seed, names)
            for frame, found in zip(frames, crossed, strict=True):
                found.loc[mine, list(models)] = predict(models, frame[mine]).to_numpy()
        return [self.transform(frame, found.fillna(self.middle_)) for frame, found in zip(frames, crossed, strict=True)]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the coordinates."""
        check_is_fitted(self, "grids_")
        return np.asarray([*self.models_, *(n for n in self.feature_names_in_ if self.weights_[n] > 0)], dtype=object)

    def _leading(self, predicted: pd.DataFrame) -> np.ndarray:
        return ((predicted - self.middle_) / self.spread_).to_numpy()

    def _filled(self, X: pd.DataFrame) -> pd.DataFrame:
        return finite(X[list(self.feature_names_in_)]).fillna(self.medians_)


def twins(features: pd.DataFrame, outcomes: pd.DataFrame) -> np.ndarray:
    """-> a number per customer, by first appearance; the same for one customer who is there twice: a model that saw the one knows the other.

    Those are alike in every feature and every outcome, of which one is neither missing nor 0 or 1: many have ordered nothing.
    """
    told = pd.util.hash_pandas_object(pd.concat([features, outcomes], axis=1), index=False).to_numpy().copy()
    alone = ~(outcomes.notna() & ~outcomes.isin([0, 1])).any(axis=1).to_numpy()
    told[alone] = np.flatnonzero(alone)
    return pd.factorize(told)[0]


def learn(earlier: pd.DataFrame, outcomes: pd.DataFrame, seed: int, names: list[str] | None = None) -> dict[str, Any]:
    """One gradient-boosting model per outcome that varies and is known of at least 200 customers (or per named outcome)."""
    models = {}
    with on_one_thread():  # two threads would add gradients in another order
        for name, y, known in _learnable(outcomes, names):
            yes_no = set(np.unique(y)) == {0.0, 1.0}
            kind = HistGradientBoostingClassifier if yes_no else HistGradientBoostingRegressor
            shape = SHAPE if len(y) < MANY else SHAPE_OF_MANY
            models[name] = kind(random_state=seed, **shape).fit(learnable(finite(earlier[known]).to_numpy()), y)
    return models


def _learnable(outcomes: pd.DataFrame, names: list[str] | None) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    least = MIN_TO_LEARN if names is None else 2
    for name in outcomes.columns if names is None else names:
        known = outcomes[name].notna().to_numpy()
        y = outcomes[name][known].to_numpy(float)
        if known.sum() >= least and len(np.unique(y)) >= 2:
            yield name, y, known


def predict(models: dict[str, Any], features: pd.DataFrame, each: Each = map) -> pd.DataFrame:
    """Models and features -> predicted outcomes, the probability of a yes for yes/no outcomes; in batches."""
    forests = [read_forest(model) for model in models.values()]
    found = each(functools.partial(_predict_batch, forests), batches(features))
    return pd.DataFrame(np.concatenate(list(found)), index=features.index, columns=list(models))


def batches(frame: pd.DataFrame) -> list[pd.DataFrame]:
    """A table of customers in parts; one part without rows where there are none."""
    return [frame[at : at + BATCH] for at in range(0, max(len(frame), 1), BATCH)]


def _predict_batch(forests: list[Forest], features: pd.DataFrame) -> np.ndarray:
    columns = np.ascontiguousarray(finite(features).to_numpy().T)
    found = np.empty((len(features), len(forests)))  # without columns where no outcome varies, as in half of the customers
    for place, forest in enumerate(forests):
        found[:, place] = forest.predict(columns)
    return found


def finite(features: pd.DataFrame) -> pd.DataFrame:
    """As numbers; infinite values count as missing, which the models can do with."""
    return features.astype(float).replace([np.inf, -np.inf], np.nan)


def _grid(values: np.ndarray, scores: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Values of a feature -> at most 1,000 of them and their scores, between which further customers are interpolated."""
    at, first = np.unique(values, return_index=True)
    told = scores(values)[first]
    if len(at) > GRID:
        chosen = np.unique(np.linspace(0, len(at) - 1, GRID).round().astype(int))
        at, told = at[chosen], told[chosen]
    return at, told


def _interpolated(values: np.ndarray, at: np.ndarray, told: np.ndarray) -> np.ndarray:
    """`np.interp`, asked in the order of the values, in which it hardly searches: with the sorting in half of the time."""
    order = np.argsort(values)
    found = np.empty(len(values))
    found[order] = np.interp(values[order], at, told)
    return found


def _normal_scores(values: np.ndarray) -> np.ndarray:
    """Normal scores of mean ranks (Blom 1958).

    Mean ranks: a column of mostly zeros puts them a little below the middle, not five deviations away from everybody else.
    """
    return stats.norm.ppf((stats.rankdata(values) - 0.375) / (len(values) + 0.25))


def _tamed(values: np.ndarray) -> np.ndarray:
    """z-scores of asinh((value - median) / quartile range): gaps stay, and a few huge customers do not stand apart from all others.

    Ranks would close the gaps, which are all there is to find where no outcome is known. What is never negative is taken as its logarithm where
    that is nearer to normal (likelihood of Box & Cox 1964): else the many small values, as of spending, would be all the same.
    """
    if 0 <= values.min() < values.max():
        above = values if values.min() > 0 else values + np.quantile(values[values > 0], 0.05)
        if stats.boxcox_llf(0, above) > stats.boxcox_llf(1, above):
            values = np.log(above)
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    tamed = np.arcsinh((values - middle) / ((high - low) or values.std() or 1.0))
    return (tamed - tamed.mean()) / (tamed.std() or 1.0)
