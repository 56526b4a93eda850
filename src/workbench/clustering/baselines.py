"""What the segmentation has to beat: the RFM grid, k-means and plain UMAP + HDBSCAN."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from workbench.clustering.cluster import dense_groups
from workbench.clustering.embed import embed
from workbench.clustering.representation import scaled
from workbench.core.config import ClusteringSettings


def rfm_grid(features: pd.DataFrame) -> np.ndarray:
    """Recency x frequency x revenue in thirds by rank -> 27 cells at most, one label per customer.

    One that is the same for everybody, and so no feature in use, divides nobody.
    """
    label = np.zeros(len(features), int)
    for column in features.columns.intersection(["recency_days", "order_count", "net_revenue"]):
        ranks = features[column].rank(method="average", pct=True)
        label = label * 3 + np.clip(np.ceil(ranks * 3).fillna(1).astype(int) - 1, 0, 2)
    return np.unique(label, return_inverse=True)[1]


def kmeans(matrix: np.ndarray, k: int, seed: int) -> np.ndarray:
    """k-means labels (10 starts), on one thread so that the order of sums is fixed."""
    with threadpool_limits(1):
        return KMeans(n_clusters=k, n_init=10, random_state=seed).fit_predict(matrix)


def plain_umap_hdbscan(features: pd.DataFrame, settings: ClusteringSettings, seed: int) -> np.ndarray:
    """UMAP + HDBSCAN on scaled features, its noise given to the group of highest membership; one label per customer.

    All customers get label 0 where HDBSCAN finds fewer than two groups.
    """
    import hdbscan

    embedding = embed(scaled(features), settings.n_neighbors, settings.n_components, seed)
    size = max(5, round(settings.min_size_share * len(features)))
    labels, persistence = dense_groups(embedding, size, settings.min_samples)
    if len(persistence) < 2:
        return np.zeros(len(features), int)
    model = hdbscan.HDBSCAN(
        min_cluster_size=size,
        min_samples=settings.min_samples,
        cluster_selection_method="leaf",
        prediction_data=True,
        core_dist_n_jobs=1,
    ).fit(embedding)
    return np.where(labels >= 0, labels, hdbscan.all_points_membership_vectors(model).argmax(axis=1))
