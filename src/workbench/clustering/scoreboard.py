"""The scoreboard: what each way of segmenting knows of the future, out of time, and whether it finds the same twice."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_mutual_info_score

from workbench.clustering import baselines
from workbench.clustering.cluster import find_segments
from workbench.clustering.representation import outcome_aware
from workbench.core.config import ClusteringSettings
from workbench.core.errors import QualityGate
from workbench.core.stats import adjusted_r2

OURS, RFM, KMEANS, PLAIN, KMEANS_AWARE = (
    "this segmentation", "RFM grid", "k-means on scaled features", "plain UMAP + HDBSCAN", "k-means on the same representation",
)  # fmt: skip
MEAN = "mean of outcomes"
SEEDS = 3


@dataclass(frozen=True, eq=False)
class Slice:
    """One set of events seen as today's features, and as features and outcomes one horizon earlier; indexed by customer."""

    today: pd.DataFrame
    earlier: pd.DataFrame
    earlier_outcomes: pd.DataFrame


class Timer:
    """Wall-clock seconds since it was made."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    def seconds(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self._started


Method = Callable[[Slice, int], np.ndarray]


def methods(settings: ClusteringSettings, relevance: pd.Series, k: int) -> dict[str, tuple[Method, int]]:
    """Every challenger as (function of a slice and a seed -> labels, number of seeds to average over).

    All are given the same slices and about the same number of segments. Methods that start at random are averaged over
    three seeds, so that a lucky or unlucky start does not decide.
    """

    @functools.cache
    def represented(part: Slice) -> np.ndarray:
        return outcome_aware(
            part.earlier, part.earlier_outcomes, part.today, relevance, settings.tail_weight, settings.seed
        ).matrix

    return {
        OURS: (lambda part, seed: find_segments(represented(part), settings, seed).labels, 1),
        RFM: (lambda part, seed: baselines.rfm_grid(part.today), 1),
        KMEANS: (lambda part, seed: baselines.kmeans(baselines.scaled(part.today), k, seed), SEEDS),
        PLAIN: (lambda part, seed: baselines.plain_umap_hdbscan(part.today, settings, seed), SEEDS),
        KMEANS_AWARE: (lambda part, seed: baselines.kmeans(represented(part), k, seed), 1),
    }


def replication(method: Method, odd: Slice, even: Slice, seed: int) -> float:
    """The method on odd and on even weeks -> adjusted mutual information of the two labellings (Vinh et al. 2010).

    Over customers in both; NaN where the method finds no segments on half of the events.
    """
    try:
        first, second = pd.Series(method(odd, seed), odd.today.index), pd.Series(method(even, seed), even.today.index)
    except QualityGate:
        return np.nan
    both = first.index.intersection(second.index)
    return float(adjusted_mutual_info_score(first[both], second[both]))


def score_methods(
    settings: ClusteringSettings, relevance: pd.Series, slices: Mapping[str, Slice], ours: np.ndarray, ours_seconds: float,
    outcomes: pd.DataFrame | None, ceiling: Mapping[str, float],
) -> pd.DataFrame:  # fmt: skip
    """-> scoreboard: method, n_segments, outcome, r2_adjusted, ceiling, replication_ami, seconds; a row per method x outcome.

    slices: "full", "odd" and "even". ours: the published labels. outcomes: what happened after as_of, indexed like the full
    slice; without it the board is empty. The outcome "mean of outcomes" averages the others.
    """
    columns = {
        "method": "str",
        "n_segments": int,
        "outcome": "str",
        "r2_adjusted": float,
        "ceiling": float,
        "replication_ami": float,
        "seconds": float,
    }
    if outcomes is None:
        return pd.DataFrame(columns=list(columns)).astype(columns)
    rows = []
    for name, (method, seeds) in methods(settings, relevance, len(np.unique(ours))).items():
        timer = Timer()
        fits = [ours] if name == OURS else [method(slices["full"], settings.seed + i) for i in range(seeds)]
        seconds = ours_seconds if name == OURS else timer.seconds() / seeds
        again = replication(method, slices["odd"], slices["even"], settings.seed)
        scores = {o: float(np.mean([adjusted_r2(outcomes[o].to_numpy(), labels) for labels in fits])) for o in outcomes}
        scores[MEAN] = float(np.nanmean(list(scores.values())))
        groups = round(np.mean([len(np.unique(labels)) for labels in fits]))
        rows += [(name, groups, outcome, value, np.nan, again, seconds) for outcome, value in scores.items()]
    board = pd.DataFrame(rows, columns=list(columns))
    told = [ceiling[o] for o in outcomes if np.isfinite(ceiling.get(o, np.nan))]
    board["ceiling"] = board.outcome.map({**ceiling, MEAN: float(np.mean(told)) if told else np.nan}).astype(float)
    return board.astype(columns)


def prediction_ceiling(predicted: pd.DataFrame | None, outcomes: pd.DataFrame | None) -> dict[str, float]:
    """Predictions for individual customers, learned earlier -> their R² on what then happened: what a perfect split of the
    same knowledge could explain; one value per outcome."""
    if predicted is None or outcomes is None:
        return {}
    found = {}
    for name in outcomes.columns.intersection(predicted.columns):
        known = outcomes[name].notna()
        y, p = outcomes[name][known], predicted[name][known]
        found[name] = float(1 - ((y - p) ** 2).sum() / ((y - y.mean()) ** 2).sum()) if y.nunique() > 1 else np.nan
    return found
