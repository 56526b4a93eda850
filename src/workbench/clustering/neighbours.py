"""What lies near and between segments: look-alikes, how mixed broad segments are, groups that may become segments.

matrix everywhere: (customers, dimensions) coordinates of the space that segments were found in; labels: the segment of each.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from workbench.clustering.cluster import SHARE, dense_groups, nearest
from workbench.clustering.embed import embed
from workbench.clustering.stability import WATCH, best_jaccard
from workbench.core.config import ClusteringSettings
from workbench.core.stats import standardized_difference

FAR = 0.9  # customers further from their centre than nine in ten, by their segment's own measure, fit nowhere well
CANDIDATE_FITS = 5
MIN_CANDIDATE = 8
# HDBSCAN finds dense groups in noise, too, and finds them again. What noise does not give is a group that stands apart: in 72 normal, uniform,
# long-tailed and skewed clouds of 5 to 20 dimensions none reached 2.1 (see `_apart`), of 12 planted groups none fell under 2.8. In two dimensions
# noise reaches 3.6.
APART, DIMENSIONS = 2.5, 5
HALF = 0.5  # of a group that another space has shown already is the same group


def look_alikes(matrix: np.ndarray, labels: np.ndarray, customers: pd.Index) -> pd.DataFrame:
    """-> lookalikes: customer_id, segment_id (their own), like_segment, distance (0-1), nearest first; customers: who stands in which row.

    Of the customers that segments were found among, those of other segments that lie as near to a segment's centre as nine in ten of its own; distance is over that of the tenth.
    """
    distances, rows = nearest(matrix, _middles(matrix, labels))[1], []
    for segment in range(distances.shape[1]):
        reach = np.quantile(distances[labels == segment, segment], FAR)
        alike = np.flatnonzero((distances[:, segment] <= reach) & (labels != segment))
        told = {
            "customer_id": customers[alike],
            "segment_id": labels[alike],
            "like_segment": segment,
            "distance": distances[alike, segment] / max(reach, 1e-12),
        }
        rows.append(pd.DataFrame(told))
    return (
        pd.concat(rows).astype({"customer_id": "str"}).sort_values(["like_segment", "distance", "customer_id"], ignore_index=True)
    )


def nearest_segments(matrix: np.ndarray, labels: np.ndarray, alike: pd.DataFrame) -> pd.DataFrame:
    """alike: see `look_alikes` -> segment_id, nearest_segment, distance (between centres, over the segment's own spread), lookalikes (how many)."""
    middle, rows = _middles(matrix, labels), []
    apart, distances = nearest(middle, middle)[1], nearest(matrix, middle)[1]
    np.fill_diagonal(apart, np.inf)
    counts = alike.like_segment.value_counts()
    for segment in range(len(middle)):
        spread = max(float(np.sqrt((distances[labels == segment, segment] ** 2).mean())), 1e-12)
        rows.append((segment, int(apart[segment].argmin()), float(apart[segment].min() / spread), int(counts.get(segment, 0))))
    return pd.DataFrame(rows, columns=["segment_id", "nearest_segment", "distance", "lookalikes"])


def differ_most(nearest: pd.DataFrame, labels: np.ndarray, outcomes: pd.DataFrame) -> pd.DataFrame:
    """nearest: see `nearest_segments`; outcomes of customers and the segment of each -> nearest + outcome, effect, effect_low, effect_high.

    The outcome in which a segment and its nearest one are furthest apart: Hedges' g, taken as positive, its 95 % interval wider by Bonferroni for the outcomes
    it was chosen from. NaN and no outcome where none can be compared.
    """
    confidence, rows = 1 - 0.05 / max(outcomes.shape[1], 1), []
    for pair in nearest.itertuples():
        able = []
        for name, values in outcomes.astype(float).items():
            sides = (values[labels == segment].to_numpy() for segment in (pair.segment_id, pair.nearest_segment))
            effect, low, high, _ = standardized_difference(*sides, confidence)
            if np.isfinite(effect):
                able.append((abs(effect), *((low, high) if effect > 0 else (-high, -low)), name))
        rows.append(max(able, default=(np.nan, np.nan, np.nan, "")))
    told = pd.DataFrame(rows, nearest.index, ["effect", "effect_low", "effect_high", "outcome"])
    return nearest.join(told.astype({"outcome": "str"}))


def heterogeneity(matrix: np.ndarray, labels: np.ndarray, macro: np.ndarray) -> pd.DataFrame:
    """macro: macro-segment per segment -> macro_id, segments, customers, told_apart: share of its variance that its segments explain."""
    rows = []
    for number in range(macro.max() + 1):
        inside = macro[labels] == number
        chosen, mine = matrix[inside], labels[inside]
        total = ((chosen - chosen.mean(axis=0)) ** 2).sum()
        within = sum(((chosen[mine == s] - chosen[mine == s].mean(axis=0)) ** 2).sum() for s in np.unique(mine))
        rows.append((number, len(np.unique(mine)), int(inside.sum()), float(1 - within / total) if total > 0 else 0.0))
    return pd.DataFrame(rows, columns=["macro_id", "segments", "customers", "told_apart"])


def find_candidates(
    matrix: np.ndarray, labels: np.ndarray, revenue: np.ndarray, settings: ClusteringSettings, features: np.ndarray | None = None
) -> pd.DataFrame:  # fmt: skip
    """Groups among customers that fit no segment well -> candidate, customers, revenue, mostly_from, stability, apart, promise.

    features: the same customers by their features alone, where groups are looked for as well: a kind of customer that is new is predicted like one
    that was there before. Only groups that come back (stability: mean best Jaccard over fits without a fifth of these customers, with other seeds) and stand
    apart (apart: see `_apart`). promise: revenue x stability, of the best candidate's (0 to 1). Empty where there are none, and in spaces of fewer
    than five dimensions, where noise stands apart, too.
    """
    rows, taken = [], np.zeros(len(labels), bool)
    for space in (matrix, *([] if features is None else [features])):
        for who, stability, apart in _groups_astray(space, labels, settings):
            if taken[who].mean() < HALF:
                rows.append(
                    (len(rows), len(who), float(revenue[who].sum()), int(np.bincount(labels[who]).argmax()), stability, apart)
                )
                taken[who] = True
    found = pd.DataFrame(rows, columns=["candidate", "customers", "revenue", "mostly_from", "stability", "apart"])
    promise = found.revenue * found.stability
    found = found.assign(promise=promise / promise.max() if len(found) and promise.max() > 0 else 0.0)
    return found.sort_values("promise", ascending=False, ignore_index=True)


def _groups_astray(
    matrix: np.ndarray, labels: np.ndarray, settings: ClusteringSettings
) -> Iterator[tuple[np.ndarray, float, float]]:  # fmt: skip
    """-> members, stability and how far apart, of the groups of one space that come back and stand apart."""
    own = nearest(matrix, _middles(matrix, labels))[1][np.arange(len(labels)), labels]
    usual = pd.Series(own).groupby(labels).transform("median").to_numpy()
    badly = own / np.maximum(usual, 1e-12)
    # Who stands in the middle of the segment does not fit badly, also where nine in ten do.
    off = own > 1e-6 * np.sqrt((matrix**2).sum(axis=1).max())
    astray, generator = np.flatnonzero(off & (badly >= np.quantile(badly, FAR))), np.random.default_rng(settings.seed)
    groups, seen = _dense(matrix[astray], settings, settings.seed), []
    for fit in range(1, CANDIDATE_FITS) if (groups >= 0).any() else ():
        drawn = np.sort(generator.choice(len(astray), round(SHARE * len(astray)), replace=False))
        seen.append((drawn, _dense(matrix[astray[drawn]], settings, settings.seed + fit)))
    for group in range(groups.max(initial=-1) + 1):
        who = astray[groups == group]
        again = [best_jaccard((groups[drawn] == group).astype(int), other, 2)[1] for drawn, other in seen]
        stability, apart = float(np.mean(again)), _apart(matrix, who)
        if stability >= WATCH and apart >= APART and matrix.shape[1] >= DIMENSIONS:
            yield who, stability, apart


def _middles(matrix: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.stack([matrix[labels == segment].mean(axis=0) for segment in range(labels.max() + 1)])


def _dense(matrix: np.ndarray, settings: ClusteringSettings, seed: int) -> np.ndarray:
    """-> a dense group per customer, -1 for none; all -1 where there are too few to look for any."""
    if len(matrix) < 4 * MIN_CANDIDATE:
        return np.full(len(matrix), -1)
    embedding = embed(matrix, min(settings.n_neighbors, len(matrix) // 4), settings.n_components, seed)
    return dense_groups(embedding, max(MIN_CANDIDATE, len(matrix) // 20), settings.min_samples)[0]


def _apart(matrix: np.ndarray, members: np.ndarray) -> float:
    """How far from its middle as many others are as half of the group, over how far half of its members are. Medians: strays count little."""
    distances = np.sqrt(((matrix - np.median(matrix[members], axis=0)) ** 2).sum(axis=1))
    others = np.sort(np.delete(distances, members))
    return float(others[min(len(members) // 2, len(others)) - 1] / max(np.median(distances[members]), 1e-12))
