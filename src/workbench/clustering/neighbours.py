"""What lies near and between segments: look-alikes, how mixed broad segments are, groups that may become segments."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.clustering.cluster import dense_groups, nearest
from workbench.clustering.embed import embed
from workbench.clustering.segmenter import Segmenter
from workbench.clustering.stability import best_jaccard

FAR = 0.9  # customers further from their centre than nine in ten, by their segment's own measure, fit nowhere well
CANDIDATE_SEEDS = 5
MIN_CANDIDATE = 8


def nearest_segments(segmenter: Segmenter, labels: np.ndarray) -> pd.DataFrame:
    """-> segment_id, nearest_segment, distance (between centres, over the segment's own spread), lookalikes; a row per segment.

    lookalikes: customers of other segments that lie as near to the centre as nine in ten of its own.
    """
    matrix, rows = segmenter.matrix_, []
    middle = np.stack([matrix[labels == s].mean(axis=0) for s in range(segmenter.n_segments_)])
    apart, distances = nearest(middle, middle)[1], nearest(matrix, middle)[1]
    np.fill_diagonal(apart, np.inf)
    for segment in range(segmenter.n_segments_):
        own = distances[labels == segment, segment]
        near = (distances[:, segment] <= np.quantile(own, FAR)) & (labels != segment)
        spread = max(float(np.sqrt((own**2).mean())), 1e-12)
        rows.append((segment, int(apart[segment].argmin()), float(apart[segment].min() / spread), int(near.sum())))
    return pd.DataFrame(rows, columns=["segment_id", "nearest_segment", "distance", "lookalikes"])


def heterogeneity(segmenter: Segmenter, labels: np.ndarray) -> pd.DataFrame:
    """-> macro_id, segments, customers, told_apart; told_apart: share of the macro-segment's variance that its segments explain."""
    rows = []
    for macro in range(segmenter.macro_.max() + 1):
        inside = segmenter.macro_[labels] == macro
        matrix, mine = segmenter.matrix_[inside], labels[inside]
        total = ((matrix - matrix.mean(axis=0)) ** 2).sum()
        within = sum(((matrix[mine == s] - matrix[mine == s].mean(axis=0)) ** 2).sum() for s in np.unique(mine))
        rows.append((macro, len(np.unique(mine)), int(inside.sum()), float(1 - within / total) if total > 0 else 0.0))
    return pd.DataFrame(rows, columns=["macro_id", "segments", "customers", "told_apart"])


def find_candidates(segmenter: Segmenter, labels: np.ndarray, revenue: np.ndarray) -> pd.DataFrame:
    """Dense groups among customers that fit no segment well -> candidate, customers, revenue, mostly_from, stability, promise.

    stability: mean best Jaccard over fits with other seeds; promise: customers x revenue per customer x stability, of the best
    candidate's (0 to 1). Empty where too few fit badly, or where they form no group.
    """
    columns = ["candidate", "customers", "revenue", "mostly_from", "stability", "promise"]
    middle = np.stack([segmenter.matrix_[labels == s].mean(axis=0) for s in range(segmenter.n_segments_)])
    own = nearest(segmenter.matrix_, middle)[1][np.arange(len(labels)), labels]
    usual = pd.Series(own).groupby(labels).transform("median").to_numpy()
    astray = np.flatnonzero(own / np.maximum(usual, 1e-12) >= np.quantile(own / np.maximum(usual, 1e-12), FAR))
    if len(astray) < 4 * MIN_CANDIDATE:
        return pd.DataFrame(columns=columns)
    fits = []
    for seed in range(CANDIDATE_SEEDS):
        embedding = embed(
            segmenter.matrix_[astray], min(segmenter.n_neighbors, len(astray) // 4), segmenter.n_components, segmenter.seed + seed
        )
        fits.append(dense_groups(embedding, max(MIN_CANDIDATE, len(astray) // 20), segmenter.min_samples)[0])
    rows = []
    for group in range(fits[0].max() + 1):
        members = fits[0] == group
        again = [best_jaccard(members.astype(int), other + 1, 2)[1] for other in fits[1:]]
        who = astray[members]
        rows.append((group, len(who), float(revenue[who].sum()), int(np.bincount(labels[who]).argmax()), float(np.mean(again))))
    found = pd.DataFrame(rows, columns=columns[:-1])
    promise = found.revenue * found.stability
    return found.assign(promise=promise / promise.max() if len(found) and promise.max() > 0 else 0.0).sort_values(
        "promise", ascending=False, ignore_index=True
    )
