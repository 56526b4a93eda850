"""The space that segments are found in: what is predictable about each customer's future, plus a tail of today's features.

Learned one horizon earlier (features as of `as_of - horizon`, outcomes up to `as_of`), applied to today's features;
nothing after `as_of` is read. What was learned is kept, so that further customers can be placed in the same space.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from workbench.clustering.frames import finite
from workbench.clustering.predictor import Each, learn, predict, twins

GRID = 1000  # most values per feature that a further customer's rank is looked up in


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
        self.weights_ = self.tail_weight * self.leading(predicted).std() * np.sqrt(told)
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
            leading = self.leading(self.predict(X) if predicted is None else predicted)
        used = [name for name in self.feature_names_in_ if self.weights_[name] > 0]
        tail = np.empty((len(X), len(used)))
        for place, name in enumerate(used):
            tail[:, place] = _interpolated(filled[name].to_numpy(), *self.grids_[name]) * self.weights_[name]
        return np.hstack([leading, tail])

    def leading(self, predicted: pd.DataFrame) -> np.ndarray:
        """Predicted outcomes -> the coordinates that they are: (customers, outcomes), in units of each outcome's spread."""
        return ((predicted - self.middle_) / self.spread_).to_numpy()

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

    def _filled(self, X: pd.DataFrame) -> pd.DataFrame:
        return finite(X[list(self.feature_names_in_)]).fillna(self.medians_)


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
