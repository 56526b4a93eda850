"""Segments: HDBSCAN finds the dense groups, every other customer joins the nearest, and customers on the wrong side move over."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from workbench.clustering.embed import embed
from workbench.core.config import ClusteringSettings
from workbench.core.errors import QualityGate

STEP = 0.8
MAX_STEPS = 6
SETTLING_ROUNDS = 10


@dataclass(frozen=True)
class Segmentation:
    """One label per customer (0 … k-1, by falling size), whether it is HDBSCAN's own (core), and how surely it belongs.

    strengths: 1 - distance to the own centre / distance to the next centre, 0 to 1, in the representation.
    persistence: per segment, HDBSCAN's persistence of the dense group it grew from. centres: (k, dimensions).
    """

    labels: np.ndarray
    core: np.ndarray
    strengths: np.ndarray
    persistence: np.ndarray
    centres: np.ndarray

    @property
    def k(self) -> int:
        """How many segments there are."""
        return len(self.centres)

    @property
    def sizes(self) -> np.ndarray:
        """Customers per segment."""
        return np.bincount(self.labels, minlength=self.k)


def find_segments(matrix: np.ndarray, settings: ClusteringSettings, seed: int) -> Segmentation:
    """Representation, rows sorted by customer -> Segmentation with a number of segments inside the wanted band.

    Raises QualityGate with what to try when no size of dense group gives such a number.
    """
    embedding = embed(matrix, settings.n_neighbors, settings.n_components, seed)
    found: dict[int, int] = {}
    share = settings.min_size_share
    for _ in range(MAX_STEPS):
        size = max(5, round(share * len(matrix)))
        labels, persistence = dense_groups(embedding, size, settings.min_samples)
        found[size] = len(persistence)
        if settings.min_segments <= found[size] <= settings.max_segments:
            return settle(matrix, labels, persistence)
        share *= STEP if found[size] < settings.min_segments else 1 / STEP
    tried = ", ".join(f"{k} with at least {size} customers" for size, k in found.items())
    raise QualityGate(
        f"No number of segments between {settings.min_segments} and {settings.max_segments} was found: {tried}.",
        "Segments forced into the band would not be there in the data.",
        "try clustering.min_size_share smaller (finer) or larger (coarser), or widen clustering.min_segments / max_segments",
    )


def dense_groups(embedding: np.ndarray, min_size: int, min_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """(customers, components) -> HDBSCAN labels (-1 = noise) and persistence per group (Campello et al. 2013; leaf selection).

    Customers without finite coordinates stay noise.
    """
    import hdbscan

    placed = np.isfinite(embedding).all(axis=1)
    labels = np.full(len(embedding), -1)
    if placed.sum() <= min_size:
        return labels, np.zeros(0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)
        model = hdbscan.HDBSCAN(
            min_cluster_size=min_size, min_samples=min_samples, cluster_selection_method="leaf", core_dist_n_jobs=1
        ).fit(embedding[placed])
    labels[placed] = model.labels_
    return labels, np.asarray(model.cluster_persistence_)


def settle(matrix: np.ndarray, dense: np.ndarray, persistence: np.ndarray) -> Segmentation:
    """Dense groups -> every customer in the segment whose centre is nearest, centres following, until few move.

    The embedding bends distances, so customers at the rim of a dense group can lie nearer to another group's centre.
    """
    labels = dense
    centres = _centres(matrix, labels, len(persistence))
    for _ in range(SETTLING_ROUNDS):
        before, labels = labels, nearest(matrix, centres)[0]
        if (np.bincount(labels, minlength=len(centres)) == 0).any():
            labels = before
            break
        centres = _centres(matrix, labels, len(centres))
        if np.array_equal(before, labels):
            break
    order = np.lexsort((np.arange(len(centres)), -np.bincount(labels[labels >= 0], minlength=len(centres))))
    centres = centres[order]
    labels, strengths = nearest(matrix, centres)
    rank = np.argsort(order)
    core = (dense >= 0) & (rank[np.clip(dense, 0, None)] == labels)
    return Segmentation(labels, core, strengths, persistence[order], centres)


def nearest(matrix: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(customers, dimensions), (k >= 2, dimensions) -> label of the nearest centre, and 1 - nearest / second distance."""
    squares = (matrix**2).sum(axis=1)[:, None] - 2 * matrix @ centres.T + (centres**2).sum(axis=1)[None, :]
    distances = np.sqrt(np.clip(squares, 0, None))
    two = np.partition(distances, 1, axis=1)[:, :2]
    with np.errstate(invalid="ignore", divide="ignore"):
        strengths = np.nan_to_num(1 - two[:, 0] / two[:, 1])
    return distances.argmin(axis=1), np.clip(strengths, 0, 1)


def macro_groups(centres: np.ndarray, sizes: np.ndarray, count: int) -> np.ndarray:
    """Centres and sizes of segments -> one of `count` macro-groups per segment (Ward 1963, weighted by size), nested by design."""
    groups = [[i] for i in range(len(centres))]
    while len(groups) > count:
        best = min((_ward_cost(centres, sizes, a, b), i, j) for i, a in enumerate(groups) for j, b in enumerate(groups) if i < j)
        groups[best[1]] += groups.pop(best[2])
    macro = np.zeros(len(centres), int)
    for number, members in enumerate(sorted(groups, key=lambda g: (-sizes[g].sum(), g))):
        macro[members] = number
    return macro


def _ward_cost(centres: np.ndarray, sizes: np.ndarray, a: list[int], b: list[int]) -> float:
    na, nb = sizes[a].sum(), sizes[b].sum()
    difference = np.average(centres[a], axis=0, weights=sizes[a]) - np.average(centres[b], axis=0, weights=sizes[b])
    return float(na * nb / (na + nb) * (difference**2).sum())


def _centres(matrix: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    return np.stack([matrix[labels == label].mean(axis=0) for label in range(k)])
