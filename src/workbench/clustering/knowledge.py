"""What segments know of outcomes that came one horizon earlier, and whether that is more than chance."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd

from workbench.clustering import cluster
from workbench.clustering.predictor import twins
from workbench.clustering.representation import Space
from workbench.core.stats import adjusted_r2, standardized_difference

SHUFFLES, SURE = 50, 4.0  # knowledge counts from four standard deviations above the best of shuffled outcomes
ALIKE = 0.05  # two segments of which no outcome differs at this level (Bonferroni over outcomes) are one


class Knower:
    """What segments know of outcomes: on the earlier window by models that never saw the customer, else of the space itself.

    strangers: whether the space was learned from none of the customers of `earlier`.
    """

    def __init__(
        self, space: Space, matrix: np.ndarray, earlier: pd.DataFrame | None = None, outcomes: pd.DataFrame | None = None,
        strangers: bool = False,
    ):  # fmt: skip
        self._space, self._matrix, self.window, self._strangers = space, matrix, earlier, strangers
        self.has_history = bool(space.models_)
        self._outcomes = outcomes[list(space.models_)] if self.has_history else None

    @functools.cached_property
    def coordinates(self) -> np.ndarray:
        """Customers of the earlier window in the space, each by models that never saw them; without a history today's."""
        if not self.has_history:
            return self._matrix
        if self._strangers:
            return self._space.transform(self.window)
        return self._space.crossed_coordinates(self.window, self._outcomes, self.window)[0]

    @functools.cached_property
    def _once(self) -> np.ndarray:
        """Whether a customer is the first of its `twins`: who is there twice is no second witness."""
        return ~pd.Series(twins(self.window, self._outcomes)).duplicated().to_numpy()

    @functools.cached_property
    def _values(self) -> np.ndarray:
        return self._outcomes.to_numpy(float) if self.has_history else self._matrix

    def place(self, centres: np.ndarray) -> np.ndarray:
        """Centres -> the nearest one of each customer of the earlier window (without a history: of today)."""
        return cluster.nearest(self.coordinates, centres)[0]

    def knowledge(self, labels: np.ndarray) -> float:
        """Labels of those customers -> mean adjusted R² of the outcomes; without a history of the space's coordinates."""
        return mean_r2(self._values, labels)

    def beyond_chance(self, labels: np.ndarray, tried: list[np.ndarray], seed: int) -> bool:
        """Whether labels know more of the outcomes than the best of all labels tried knows of outcomes dealt to other customers.

        The best, since the labels were chosen by what they know (maxT, Westfall & Young 1993). False without a history.
        """
        if not self.has_history:
            return False
        generator, values = np.random.default_rng(seed), self._values[self._once]
        dealt = (generator.permutation(values) for _ in range(SHUFFLES))
        chance = [max(mean_r2(some, placed[self._once]) for placed in tried) for some in dealt]
        return mean_r2(values, labels[self._once]) > np.mean(chance) + SURE * np.std(chance)

    def alike(self, one: np.ndarray, other: np.ndarray) -> bool:
        """Whether no outcome (or coordinate) differs between two sets of those customers (flags), by Welch's test."""
        a, b = self._values[one], self._values[other]
        if min(len(a), len(b)) < 3:
            return False
        p = np.array([standardized_difference(x, y)[3] for x, y in zip(a.T, b.T, strict=True)])
        return bool(p.min() * len(p) >= ALIKE)


def mean_r2(values: np.ndarray, labels: np.ndarray) -> float:
    """(customers, outcomes) and labels -> mean adjusted R² of the outcomes that vary; NaN where none does."""
    found = np.array([adjusted_r2(column, labels) for column in values.T])
    return float(np.nanmean(found)) if np.isfinite(found).any() else np.nan
