"""What customers will do, predicted: boosted trees and a straight line over their features, averaged.

Trees find thresholds and what holds only together; a line goes on where few customers are, and hardly moves when some of them are left out.
Two predictions that err unlike each other err less together (Bates & Granger 1969).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import Ridge

from workbench.clustering.frames import finite
from workbench.clustering.trees import Forest, read_forest
from workbench.core.processor import on_one_thread
from workbench.core.stats import learnable

Each = Callable[[Callable, Iterable], Iterable]  # `map`, or one that computes elsewhere: a function of each batch, in order
MIN_TO_LEARN = 200
BATCH = 20_000  # customers looked at at a time
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
# Part of the line in a prediction. Out of time (mean squared correlation with what happened; grocer, vendor, buyers of CDs) trees alone know 0.404, 0.458,
# 0.302, lines 0.404, 0.443, 0.283, a third of the line 0.413, 0.471, 0.305, half of it 0.414, 0.471, 0.303; learned from 397 of the grocer's 2,393
# customers 0.327, 0.357, 0.353, 0.362. With half of it the grocer's customers lie less densely together: a segment among sixteen comes back at 0.71,
# with a third at 0.79 to 0.81, with none at 0.85.
LINE = 1 / 3
# Of the line, on features in units of their spread. From 100 to 1,000 it knows the same.
PENALTY = 300.0
FAR = 10.0  # spreads from the mean that the line follows a feature to: one huge customer should not turn it
HUGE = 1e100  # of which the square is still a number


def twins(features: pd.DataFrame, outcomes: pd.DataFrame) -> np.ndarray:
    """-> a number per customer, by first appearance; the same for one customer who is there twice: a model that saw the one knows the other.

    Those are alike in every feature and every outcome, of which one is neither missing nor 0 or 1: many have ordered nothing.
    """
    told = pd.util.hash_pandas_object(pd.concat([features, outcomes], axis=1), index=False).to_numpy().copy()
    alone = ~(outcomes.notna() & ~outcomes.isin([0, 1])).any(axis=1).to_numpy()
    told[alone] = np.flatnonzero(alone)
    return pd.factorize(told)[0]


class Line(NamedTuple):
    """A straight line: weight per feature, where it starts; the least and the most that was seen of the outcome, beyond which it predicts nothing."""

    weights: np.ndarray
    start: float
    least: float
    most: float

    def predict(self, bounded: np.ndarray) -> np.ndarray:
        """(features, customers) -> prediction per customer, added up feature by feature: the same to the last bit in batches of any size."""
        found = np.full(bounded.shape[1], self.start)
        for weight, values in zip(self.weights, bounded, strict=True):
            found += weight * values
        return np.clip(found, self.least, self.most)


class Model(NamedTuple):
    """One outcome's predictor, two parts trees and one part line, over features within `bounds`.

    bounds: (3, features) what stands for a missing value, the lowest and the highest value that the line is asked at; the same for all outcomes learned
    together.
    """

    trees: Any
    line: Line
    bounds: np.ndarray


def learn(earlier: pd.DataFrame, outcomes: pd.DataFrame, seed: int, names: list[str] | None = None) -> dict[str, Model]:
    """Boosted trees and a ridge regression per outcome that varies and is known of at least 200 customers (or per named outcome)."""
    features, models = finite(earlier), {}
    values, bounds = features.to_numpy(), _bounds(features)
    bounded = _bounded(values.T, bounds).T
    with on_one_thread():  # two threads would add gradients in another order
        for name, y, known in _learnable(outcomes, names):
            yes_no = set(np.unique(y)) == {0.0, 1.0}
            kind = HistGradientBoostingClassifier if yes_no else HistGradientBoostingRegressor
            shape = SHAPE if len(y) < MANY else SHAPE_OF_MANY
            trees = kind(random_state=seed, **shape).fit(learnable(values[known]), y)
            models[name] = Model(trees, _line(bounded[known], y), bounds)
    return models


def _line(bounded: np.ndarray, y: np.ndarray) -> Line:
    middle, spread = bounded.mean(axis=0), bounded.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    found = Ridge(PENALTY).fit((bounded - middle) / spread, y)
    weights = found.coef_ / spread
    return Line(weights, float(found.intercept_ - middle @ weights), float(y.min()), float(y.max()))


def _bounds(features: pd.DataFrame) -> np.ndarray:
    known = features.clip(-HUGE, HUGE)
    medians = known.median().fillna(0.0)
    known = known.fillna(medians)
    middle, far = known.mean(), FAR * known.std(ddof=0)
    return np.stack([medians, np.maximum(known.min(), middle - far), np.minimum(known.max(), middle + far)])


def _bounded(columns: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """(features, customers) -> without missing values and within the bounds."""
    medians, low, high = bounds[:, :, None]
    return np.clip(np.where(np.isnan(columns), medians, columns), low, high)


def _learnable(outcomes: pd.DataFrame, names: list[str] | None) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    least = MIN_TO_LEARN if names is None else 2
    for name in outcomes.columns if names is None else names:
        known = outcomes[name].notna().to_numpy()
        y = outcomes[name][known].to_numpy(float)
        if known.sum() >= least and len(np.unique(y)) >= 2:
            yield name, y, known


def predict(models: dict[str, Model], features: pd.DataFrame, each: Each = map) -> pd.DataFrame:
    """Models that were learned together, and features -> predicted outcomes, the probability of a yes for yes/no outcomes; in batches."""
    forests, lines = [read_forest(model.trees) for model in models.values()], [model.line for model in models.values()]
    bounds = next((model.bounds for model in models.values()), np.zeros((3, features.shape[1])))
    found = each(functools.partial(_predict_batch, forests, lines, bounds), batches(features))
    return pd.DataFrame(np.concatenate(list(found)), index=features.index, columns=list(models))


def batches(frame: pd.DataFrame) -> list[pd.DataFrame]:
    """A table of customers in parts; one part without rows where there are none."""
    return [frame[at : at + BATCH] for at in range(0, max(len(frame), 1), BATCH)]


def _predict_batch(forests: list[Forest], lines: list[Line], bounds: np.ndarray, features: pd.DataFrame) -> np.ndarray:
    columns = np.ascontiguousarray(finite(features).to_numpy().T)
    bounded = _bounded(columns, bounds)
    found = np.empty((len(features), len(forests)))  # without columns where no outcome varies, as in half of the customers
    for place, (forest, line) in enumerate(zip(forests, lines, strict=True)):
        found[:, place] = (1 - LINE) * forest.predict(columns) + LINE * line.predict(bounded)
    return found
