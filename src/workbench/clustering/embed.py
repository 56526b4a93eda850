"""UMAP, seeded and single-threaded: the same rows give the same coordinates on processors of one kind (core/processor.py)."""

from __future__ import annotations

import functools
import warnings
from types import ModuleType

import numpy as np
from sklearn import config_context
from sklearn.neighbors import NearestNeighbors

EPOCHS = 100  # under 10,000 rows UMAP would take 500; agreement with more epochs is within that of another seed
EXACT = 20_000  # rows up to which exact neighbours are found: quicker than UMAP's approximate ones, and without its compilation


def embed(
    matrix: np.ndarray,
    n_neighbors: int,
    n_components: int,
    seed: int,
    epochs: int = EPOCHS,
    min_dist: float = 0.0,
    pushes: int = 5,
) -> np.ndarray:
    """(customers, dimensions) -> (customers, n_components) UMAP coordinates (McInnes, Healy & Melville 2018).

    pushes: customers drawn at random that each is moved away from, for every neighbour that it is moved to (UMAP's negative_sample_rate).

    Rows must come sorted by customer: their order changes the coordinates. Rows that repeat are embedded once. Under three
    different rows there is nothing to spread out: everybody lands at the origin.
    """
    umap = _umap()
    rows, back = np.unique(np.round(matrix, 9), axis=0, return_inverse=True)
    if len(rows) == len(matrix):
        rows, back = matrix, np.arange(len(matrix))
    k = min(n_neighbors, len(rows) - 1)
    if k < 2:
        return np.zeros((len(matrix), n_components))
    known = {}
    if len(rows) <= EXACT:
        distances, neighbours = NearestNeighbors(n_neighbors=k).fit(rows).kneighbors(rows)
        known = {"precomputed_knn": (neighbours, distances.astype(np.float32), None)}
    with warnings.catch_warnings(), config_context(transform_output="default"):  # UMAP's own PCA is to give arrays
        warnings.filterwarnings("ignore", category=UserWarning)
        reducer = umap.UMAP(
            n_neighbors=k, n_components=n_components, min_dist=min_dist, n_epochs=epochs,
            init="pca" if n_components <= min(rows.shape) else "random", negative_sample_rate=pushes, random_state=seed, n_jobs=1, **known,
        )  # fmt: skip
        return reducer.fit_transform(rows)[back].astype(float)


@functools.cache
def _umap() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its import tells of Tensorflow and of widgets that nobody needs here
        import umap
    for slow in (umap.umap_.smooth_knn_dist, umap.umap_.compute_membership_strengths):
        slow.enable_caching()  # most of what is compiled; kept for later processes
    return umap
