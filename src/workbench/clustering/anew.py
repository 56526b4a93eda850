"""Would other customers have given the same segments? Space and segments are learned anew from random halves of the customers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from workbench.clustering import baselines
from workbench.clustering.scoreboard import KMEANS, OURS, RFM_EQUAL, Slice, fit_slice
from workbench.clustering.segmenter import Segmenter, draw_rows
from workbench.clustering.stability import best_jaccard
from workbench.core.config import ClusteringSettings
from workbench.core.errors import InputError, QualityGate

SPLITS = 3  # of the customers in halves


@dataclass(frozen=True)
class Anew:
    """segments: (halves, segments) Jaccard of each published segment with its best match in what half of the customers gives;
    methods: by method of the scoreboard, the mean of its groups by their customers; chance: that of the segments with such a half's dealt to
    other customers. NaN where half of the customers gives none."""

    segments: np.ndarray
    methods: pd.Series
    chance: float


def find_anew(part: Slice, settings: ClusteringSettings, relevance: pd.Series, fitted: Segmenter) -> Anew:
    """How much of a segment of `fitted`, the segmentation of a slice, is found where only half of the customers had been there.

    Customers are halved at random, space and as many segments are learned anew in each half, all (of more than `sample_limit` so many)
    are placed, and each published segment is compared with its best match there (Hennig 2007, who takes halves too). Half of the customers stray from all as all
    do from the population that they come from (half-sampling; Politis, Romano & Wolf 1999); the refits of the certificate, which leave
    out a fifth and hold the space, say how steady the search is. An RFM grid of equal size and k-means on scaled features are asked the same.
    """
    rows = draw_rows(len(part.today), settings.sample_limit, settings.seed)
    labels, part = fitted.labels_[rows], part.of(part.today.index[rows])
    k, has_history = fitted.n_segments_, bool(fitted.space_.models_)
    gone = part.earlier.index.difference(part.today.index, sort=False)
    everyone, generator = part.today.index.append(gone), np.random.default_rng(settings.seed)
    scaled, grids = baselines.scaled(part.today), baselines.even_grids(k)
    of_all = [baselines.rfm_grid(part.every, grid) for grid in grids]
    by_means = baselines.kmeans(scaled, k, settings.seed)
    ours, dealt, others = [], [], {RFM_EQUAL: [], KMEANS: []}
    for _ in range(SPLITS):
        first = generator.random(len(everyone)) < 0.5
        for half in (part.among(everyone[first]), part.among(everyone[~first])):
            placed = _placed(half, part, settings, relevance, k, has_history)
            if placed is None:
                return Anew(np.full((1, k), np.nan), pd.Series({OURS: np.nan, RFM_EQUAL: np.nan, KMEANS: np.nan}), np.nan)
            ours.append(best_jaccard(labels, placed, k))
            dealt.append(_by_customers(labels, generator.permutation(placed)))
            members = part.today.index.isin(half.today.index)
            anew = baselines.kmeans(scaled[members], k, settings.seed, everybody=scaled)
            others[KMEANS].append(_by_customers(by_means, anew))
            grid = [baselines.rfm_grid(part.every, grid, among=half.every) for grid in grids]
            others[RFM_EQUAL].append(np.mean([_by_customers(a, b) for a, b in zip(of_all, grid, strict=True)]))
    found = np.stack(ours)
    mean = float(np.average(found.mean(axis=0), weights=np.bincount(labels, minlength=k)))
    methods = pd.Series({OURS: mean, **{name: float(np.mean(values)) for name, values in others.items()}})
    return Anew(found, methods, float(np.mean(dealt)))


def _placed(
    half: Slice, part: Slice, settings: ClusteringSettings, relevance: pd.Series, k: int, has_history: bool
) -> np.ndarray | None:
    """Everybody's segment by half of the customers; None where they give no k segments, or are too few to learn outcomes from."""
    try:
        found = fit_slice(half, settings, relevance, k=k)
    except (QualityGate, InputError):  # too alike, too scattered or too few
        return None
    return found.predict(part.today) if bool(found.space_.models_) == has_history else None


def _by_customers(labels: np.ndarray, again: np.ndarray) -> float:
    return float(np.average(best_jaccard(labels, again, labels.max() + 1), weights=np.bincount(labels)))
