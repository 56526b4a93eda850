"""Does a segment come back when a fifth of the customers is left out and everything is fitted again with other seeds?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from workbench.clustering.cluster import Pool, cut_pool, draw_size, pool_fits, unions, ward_tree
from workbench.core.config import ClusteringSettings

PASS, WATCH = 0.75, 0.5
FITS = 4  # per refit; more would make refits agree better than what one run publishes


@dataclass(frozen=True)
class Refit:
    """rows: the customers it drew; pool: what its own fits found among them."""

    rows: np.ndarray
    pool: Pool


def refit(matrix: np.ndarray, settings: ClusteringSettings, seed: int, refits: int) -> list[Refit]:
    """The whole search again on a random 80 % of the customers (5,000 at most), other customers and seeds each time.

    The space stays as learned; the odd and even weeks of the scoreboard test it too.
    """
    generator = np.random.default_rng(seed)
    made = []
    for _ in range(refits):
        rows = np.sort(generator.choice(len(matrix), draw_size(len(matrix)), replace=False))
        made.append(Refit(rows, pool_fits(matrix[rows], settings, int(generator.integers(2**31)), FITS)))
    return made


class Overlap(NamedTuple):
    """counts: (groups, groups of a refit) customers in both; unions: (joins, groups of the refit) which groups each join of its tree holds."""

    counts: np.ndarray
    unions: np.ndarray


def overlaps(matrix: np.ndarray, labels: np.ndarray, refits: list[Refit], k: int) -> list[Overlap | None]:
    """How the groups of a labelling lie in each refit cut into k groups; None for a refit that finds fewer to choose from."""
    found = []
    for again in refits:
        if len(again.pool.centres) < k:
            found.append(None)
            continue
        centres, other, _ = cut_pool(matrix[again.rows], again.pool, k)
        joined = np.zeros((k - 1, k))
        for place, union in enumerate(unions(ward_tree(centres, np.bincount(other, minlength=k)))):
            joined[place, union] = 1
        found.append(Overlap(_overlap(labels[again.rows], other, labels.max() + 1, k), joined))
    return found


def agreement(found: list[Overlap | None], belongs: np.ndarray, merged: np.ndarray | None = None) -> np.ndarray:
    """-> (refits, segments) Jaccard of each segment with its best match in each refit (Hennig 2007, subsetting).

    belongs: segment per group of the labelling. merged: segments that were put together from several groups (by default as belongs says);
    their match may be put together too, along the refit's own tree. A refit without enough groups matches nothing.
    """
    sizes = np.bincount(belongs)
    merged = sizes > 1 if merged is None else merged
    jaccard = np.zeros((len(found), len(sizes)))
    for place, overlap in enumerate(found):
        if overlap is None:
            continue
        counts = np.zeros((len(sizes), overlap.counts.shape[1]))
        np.add.at(counts, belongs, overlap.counts)
        jaccard[place] = _jaccard(counts).max(axis=1)
        if merged.any():
            joined = _jaccard(counts @ overlap.unions.T, counts.sum(axis=1)).max(axis=1)
            jaccard[place, merged] = np.maximum(jaccard[place], joined)[merged]
    return jaccard


def best_jaccard(labels: np.ndarray, again: np.ndarray, k: int) -> np.ndarray:
    """Two labellings of the same customers -> per first label the highest Jaccard index with any second label; -1 there is none."""
    found = again >= 0
    overlap = _overlap(labels[found], again[found], k, again.max() + 1)
    return _jaccard(overlap, np.bincount(labels, minlength=k)).max(axis=1, initial=0.0)


def _overlap(labels: np.ndarray, again: np.ndarray, k: int, groups: int) -> np.ndarray:
    overlap = np.zeros((k, groups))
    np.add.at(overlap, (labels, again), 1)
    return overlap


def _jaccard(overlap: np.ndarray, sizes: np.ndarray | None = None) -> np.ndarray:
    """sizes: of the first labels, where the columns overlap each other."""
    mine = overlap.sum(axis=1) if sizes is None else sizes
    union = mine[:, None] + overlap.sum(axis=0)[None, :] - overlap
    return overlap / np.maximum(union, 1)


def comes_back(stability: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Mean Jaccard over refits and its 5th percentile -> whether a segment passes by the refits."""
    return (stability >= PASS) & (low >= WATCH)


def certificate(
    segments: pd.DataFrame, agreement: np.ndarray, seeds: np.ndarray, knows: bool, anew: np.ndarray
) -> pd.DataFrame:  # fmt: skip
    """Sizes and shares per segment, agreement (refits, segments), the same over seeds and of halves learned anew -> the same + stability and a verdict.

    stability: mean Jaccard over refits; stability_low, stability_high: its 5th and 95th percentile over refits. seed_stability: mean
    Jaccard when everybody is fitted again with other seeds; found_anew: when space and segments are learned anew from half of the customers
    (NaN where that cannot be told, see `find_anew`). Verdict after Hennig: pass from a stability of 0.75 where the 5th percentile and found_anew
    are 0.5 too (below, a group counts as dissolved), watch from a stability of 0.5, else fail. What is not known to tell anything of the
    future (knows) is no better than watch: borders drawn through noise can be steady, too.
    """
    stability, found = agreement.mean(axis=0), anew.mean(axis=0)
    low, high = np.quantile(agreement, [0.05, 0.95], axis=0)
    passed = comes_back(stability, low) & ~(found < WATCH) & knows
    return segments.assign(
        stability=stability, stability_low=low, stability_high=high, seed_stability=seeds.mean(axis=0), found_anew=found,
        verdict=np.select([passed, stability >= WATCH], ["pass", "watch"], "fail"),
    ).astype({"verdict": "str"})  # fmt: skip
