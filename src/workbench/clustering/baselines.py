"""What the segmentation has to beat: RFM grids, k-means, a Gaussian mixture and plain UMAP + HDBSCAN."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler

from workbench.clustering.cluster import dense_groups, smallest
from workbench.clustering.embed import embed
from workbench.clustering.frames import finite
from workbench.core.config import ClusteringSettings
from workbench.core.processor import on_one_thread

RFM = ("recency_days", "order_count", "net_revenue")


def rfm_grid(
    features: pd.DataFrame, parts: tuple[int, int, int] = (3, 3, 3), among: pd.DataFrame | None = None
) -> np.ndarray:  # fmt: skip
    """Recency x frequency x revenue in equal parts by mean rank among customers (these, if not told) -> 27 cells at most by default, one label per customer.

    One that is the same for everybody, and so no feature in use, divides nobody.
    """
    label = np.zeros(len(features), int)
    for column, count in zip(RFM, parts, strict=True):
        if column in features:
            values, known = features[column].to_numpy(float), np.sort((features if among is None else among)[column].dropna())
            ranks = (
                (np.searchsorted(known, values, "left") + np.searchsorted(known, values, "right") + 1) / 2 / max(len(known), 1)
            )
            cells = np.where(np.isnan(values), 0, np.ceil(ranks * count) - 1)
            label = label * count + np.clip(cells.astype(int), 0, count - 1)
    return np.unique(label, return_inverse=True)[1]


def even_grids(k: int) -> list[tuple[int, int, int]]:
    """The parts of the RFM grids whose number of cells comes nearest to k while no two parts differ by more than one.

    Which of the three gets the fewer parts is anybody's choice, so all choices are returned: (2, 3, 3), (3, 2, 3), (3, 3, 2) for 17.
    """
    shapes = [(low,) * (3 - more) + (low + 1,) * more for low in range(1, 7) for more in range(3)]
    best = min(shapes, key=lambda parts: abs(np.prod(parts) - k))
    return sorted(set(itertools.permutations(best)))


def scaled(features: pd.DataFrame) -> np.ndarray:
    """Features -> z-scores, missing values at the median."""
    known = finite(features)
    return StandardScaler().fit_transform(known.fillna(known.median().fillna(0.0)).to_numpy())


def kmeans(matrix: np.ndarray, k: int, seed: int, everybody: np.ndarray | None = None) -> np.ndarray:
    """k-means labels (10 starts) of these rows, or of everybody by these rows' centres; on one thread so that the order of sums is fixed."""
    with on_one_thread():
        found = KMeans(n_clusters=k, n_init=10, random_state=seed).fit(matrix)
        return found.labels_ if everybody is None else found.predict(everybody)


def gaussian_mixture(matrix: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Labels of a mixture of k normal distributions with a variance per feature (McLachlan & Peel 2000), from k-means; on one thread."""
    with on_one_thread(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ConvergenceWarning)  # a challenger that has not settled is judged as it is
        found = GaussianMixture(k, covariance_type="diag", reg_covar=0.01, random_state=seed).fit_predict(matrix)
    return np.unique(found, return_inverse=True)[1]


def plain_umap_hdbscan(features: pd.DataFrame, settings: ClusteringSettings, seed: int) -> np.ndarray:
    """UMAP + HDBSCAN on scaled features, its noise given to the group of highest membership; one label per customer.

    All customers get label 0 where HDBSCAN finds fewer than two groups.
    """
    import hdbscan

    embedding = embed(scaled(features), settings.n_neighbors, settings.n_components, seed)
    size = smallest(len(features), settings.min_size_share)
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
