"""The scoreboard: what each way of segmenting knows of the future, out of time, and whether it finds the same twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from workbench.clustering import baselines
from workbench.clustering.segmenter import Segmenter
from workbench.core.config import ClusteringSettings
from workbench.core.errors import QualityGate
from workbench.core.stats import adjusted_r2

OURS, MACRO, RFM, RFM_EQUAL, KMEANS, PLAIN, KMEANS_AWARE = (
    "this segmentation", "its macro-segments", "RFM grid", "RFM grid of equal size", "k-means on scaled features",
    "plain UMAP + HDBSCAN", "k-means on the same representation",
)  # fmt: skip
MEAN = "mean of outcomes"
SEEDS = 3
NULLS = 20  # permutations that say what agreement chance gives


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


@dataclass(frozen=True)
class Method:
    """A way of segmenting: a slice and a seed -> one label per customer; averaged over `seeds` fits where chance or choice enters."""

    fit: Callable[[Slice, int], np.ndarray]
    seeds: int = 1


def fit_slice(part: Slice, settings: ClusteringSettings, relevance: pd.Series, k: int | None = None) -> Segmenter:
    """A segmenter on a slice; k: exactly so many segments, where its fits give enough to choose from."""
    band = {} if k is None else {"min_segments": k, "max_segments": k}
    segmenter = Segmenter.of(settings.model_copy(update=band))
    return segmenter.fit(part.today, earlier=part.earlier, outcomes=part.earlier_outcomes, relevance=relevance)


def fit_halves(
    slices: Mapping[str, Slice], settings: ClusteringSettings, relevance: pd.Series, k: int
) -> dict[str, Segmenter]:  # fmt: skip
    """Segmenters of as many segments on odd and on even weeks alone; none where half of the events gives no segments."""
    try:
        return {half: fit_slice(slices[half], settings, relevance, k) for half in ("odd", "even")}
    except QualityGate:
        return {}


def methods(settings: ClusteringSettings, slices: Mapping[str, Slice], fitted: Mapping[str, Segmenter]) -> dict[str, Method]:
    """Every method as a function of a slice and a seed; all are given the same slices and as many segments as were published.

    fitted: this segmentation on the slices "full" and, where they gave segments, "odd" and "even".
    """
    k = fitted["full"].n_segments_
    grids = baselines.even_grids(k)

    def ours(part: Slice) -> Segmenter:
        found = next((fitted.get(name) for name, other in slices.items() if other is part), None)
        if found is None:
            raise QualityGate("This part of the events gives no segments.")
        return found

    return {
        OURS: Method(lambda part, _: ours(part).labels_),
        MACRO: Method(lambda part, _: ours(part).macro_[ours(part).labels_]),
        RFM: Method(lambda part, _: baselines.rfm_grid(part.today)),
        RFM_EQUAL: Method(lambda part, seed: baselines.rfm_grid(part.today, grids[seed % len(grids)]), len(grids)),
        KMEANS: Method(lambda part, seed: baselines.kmeans(baselines.scaled(part.today), k, seed), SEEDS),
        PLAIN: Method(lambda part, seed: baselines.plain_umap_hdbscan(part.today, settings, seed), SEEDS),
        KMEANS_AWARE: Method(lambda part, seed: baselines.kmeans(ours(part).transform(part.today), k, seed)),
    }


def replication(method: Method, odd: Slice, even: Slice, seed: int) -> dict[str, float]:
    """The method on odd and on even weeks -> replication_ami, replication_ari (Vinh et al. 2010; Hubert & Arabie 1985), replication_null.

    Over customers in both, mean over the method's fits. The null is the 95th percentile of the AMI when one labelling is permuted.
    NaN where the method finds no segments on half of the events.
    """
    try:
        fits = [[pd.Series(method.fit(part, seed + i), part.today.index) for part in (odd, even)] for i in range(method.seeds)]
    except QualityGate:
        return dict.fromkeys(("replication_ami", "replication_ari", "replication_null"), np.nan)
    both = odd.today.index.intersection(even.today.index)
    pairs = [(first[both].to_numpy(), second[both].to_numpy()) for first, second in fits]
    generator = np.random.default_rng(seed)
    a, b = pairs[0]
    chance = [adjusted_mutual_info_score(a, generator.permutation(b)) for _ in range(NULLS)]
    return {
        "replication_ami": float(np.mean([adjusted_mutual_info_score(*pair) for pair in pairs])),
        "replication_ari": float(np.mean([adjusted_rand_score(*pair) for pair in pairs])),
        "replication_null": float(np.quantile(chance, 0.95)),
    }


COLUMNS = {
    "method": "str", "n_segments": int, "outcome": "str", "r2_adjusted": float, "ceiling": float, "replication_ami": float,
    "replication_ari": float, "replication_null": float, "seconds": float,
}  # fmt: skip


def score_methods(
    settings: ClusteringSettings, slices: Mapping[str, Slice], fitted: Mapping[str, Segmenter], seconds: float,
    outcomes: pd.DataFrame | None,
) -> pd.DataFrame:  # fmt: skip
    """-> scoreboard: a row per method x outcome, and the mean of the outcomes that can be predicted (see `COLUMNS`).

    slices: "full", "odd" and "even"; fitted: see `methods`. seconds: what finding the published segments took. outcomes: what happened after as_of,
    indexed like the full slice; without it the board is empty. The ceiling is the R² of predictions for single customers,
    learned earlier: what a perfect split of the same knowledge could explain.
    """
    if outcomes is None:
        return pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS)
    published = fitted["full"]
    ceiling = prediction_ceiling(published.space_.predict(slices["full"].today), outcomes)
    judged = [o for o in outcomes if np.isfinite(ceiling.get(o, np.nan))] or list(outcomes)
    rows = []
    for name, method in methods(settings, slices, fitted).items():
        timer = Timer()
        given = {OURS: published.labels_, MACRO: published.macro_[published.labels_]}
        fits = [given[name]] if name in given else [method.fit(slices["full"], settings.seed + i) for i in range(method.seeds)]
        took = seconds if name in given else timer.seconds() / method.seeds
        again = replication(method, slices["odd"], slices["even"], settings.seed)
        scores = {o: float(np.mean([adjusted_r2(outcomes[o].to_numpy(), labels) for labels in fits])) for o in outcomes}
        scores[MEAN] = float(np.nanmean([scores[o] for o in judged]))
        groups = round(np.mean([len(np.unique(labels)) for labels in fits]))
        rows += [
            {"method": name, "n_segments": groups, "outcome": o, "r2_adjusted": r2, **again, "seconds": took}
            for o, r2 in scores.items()
        ]
    mean_ceiling = np.mean([ceiling[o] for o in judged]) if ceiling else np.nan
    board = pd.DataFrame(rows).assign(ceiling=lambda b: b.outcome.map({**ceiling, MEAN: mean_ceiling}))
    return board[list(COLUMNS)].astype(COLUMNS)


def prediction_ceiling(predicted: pd.DataFrame | None, outcomes: pd.DataFrame | None) -> dict[str, float]:
    """Predictions for individual customers, learned earlier -> their R² on what then happened, one value per outcome."""
    if predicted is None or outcomes is None:
        return {}
    found = {}
    for name in outcomes.columns.intersection(predicted.columns):
        known = outcomes[name].notna()
        y, p = outcomes[name][known], predicted[name][known]
        found[name] = float(1 - ((y - p) ** 2).sum() / ((y - y.mean()) ** 2).sum()) if y.nunique() > 1 else np.nan
    return found
