"""The stability certificate: does each segment come back when some customers are left out and the seed changes?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.clustering.cluster import Segmentation, dense_groups, settle
from workbench.clustering.embed import embed
from workbench.core.config import ClusteringSettings

SHARE = 0.8
PASS, WATCH = 0.75, 0.5
MOST = 5000  # customers per refit: enough to find segments of one per cent, and refits stay affordable


def refit_agreement(matrix: np.ndarray, segmentation: Segmentation, settings: ClusteringSettings) -> np.ndarray:
    """-> (refits, segments) Jaccard of each segment with its best match in each refit on a random 80 % of the customers (5,000 at most).

    Each refit draws other customers and another UMAP seed (Hennig 2007, subsetting); the representation stays as learned.
    """
    generator = np.random.default_rng(settings.seed)
    drawn = min(round(SHARE * len(matrix)), MOST)
    size = max(5, round(settings.min_size_share * drawn))
    agreements = []
    for refit in range(settings.bootstraps):
        chosen = np.sort(generator.choice(len(matrix), drawn, replace=False))
        embedding = embed(matrix[chosen], settings.n_neighbors, settings.n_components, settings.seed + 1000 + refit)
        labels, persistence = dense_groups(embedding, size, settings.min_samples)
        again = settle(matrix[chosen], labels, persistence).labels if len(persistence) >= 2 else np.zeros(len(chosen), int)
        agreements.append(best_jaccard(segmentation.labels[chosen], again, segmentation.k))
    return np.stack(agreements)


def best_jaccard(labels: np.ndarray, again: np.ndarray, k: int) -> np.ndarray:
    """Two labellings of the same customers -> per first label the highest Jaccard index with any second label."""
    overlap = np.zeros((k, again.max() + 1))
    np.add.at(overlap, (labels, again), 1)
    union = overlap.sum(axis=1, keepdims=True) + overlap.sum(axis=0, keepdims=True) - overlap
    return (overlap / np.maximum(union, 1)).max(axis=1)


def certificate(segmentation: Segmentation, agreement: np.ndarray, revenue: np.ndarray) -> pd.DataFrame:
    """-> frame: segment_id, size, share, revenue_share, persistence, stability, stability_low, stability_high, verdict.

    stability: mean Jaccard over refits; low and high: its 5th and 95th percentile over refits. Verdict after Hennig:
    pass from 0.75, watch from 0.5, else fail.
    """
    sizes = np.bincount(segmentation.labels, minlength=segmentation.k)
    money = np.bincount(segmentation.labels, revenue, minlength=segmentation.k)
    stability = agreement.mean(axis=0)
    low, high = np.quantile(agreement, [0.05, 0.95], axis=0)
    return pd.DataFrame(
        {
            "segment_id": np.arange(segmentation.k), "size": sizes, "share": sizes / sizes.sum(), "revenue_share": money / money.sum(),
            "persistence": segmentation.persistence, "stability": stability, "stability_low": low, "stability_high": high,
            "verdict": np.select([stability >= PASS, stability >= WATCH], ["pass", "watch"], "fail"),
        }
    ).astype({"verdict": "str"})  # fmt: skip
