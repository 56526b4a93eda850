"""Intervals and tests that several rooms need."""

from __future__ import annotations

import numpy as np
from scipy import stats


def wilson(successes: np.ndarray, n: np.ndarray, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Counts -> lower and upper bound of a proportion (Wilson 1927, score interval); NaN where n is 0."""
    successes, n = np.asarray(successes, float), np.asarray(n, float)
    z = stats.norm.ppf(0.5 + confidence / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = successes / n
        middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)


def ratio_intervals(
    numerator: np.ndarray,
    denominator: np.ndarray,
    groups: np.ndarray,
    n_groups: int,
    bootstraps: int,
    confidence: float,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Sum(numerator) / sum(denominator) per group: percentile-bootstrap bounds over customers (Efron 1979).

    numerator, denominator, groups: one entry per customer, groups in 0 … n_groups - 1. -> lower, upper, shape (n_groups,).
    Resampling counts are drawn within each group; a group whose denominator is always 0 gets NaN.
    """
    generator = np.random.default_rng(seed)
    low, high = np.full(n_groups, np.nan), np.full(n_groups, np.nan)
    for group in range(n_groups):
        members = np.flatnonzero(groups == group)
        if len(members) < 2:
            continue
        weights = generator.multinomial(len(members), np.full(len(members), 1 / len(members)), size=bootstraps)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios = (weights @ numerator[members]) / (weights @ denominator[members])
        ratios = ratios[np.isfinite(ratios)]
        if len(ratios) > bootstraps / 2:
            low[group], high[group] = np.quantile(ratios, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return low, high


def standardized_difference(
    inside: np.ndarray, outside: np.ndarray, confidence: float = 0.95
) -> tuple[float, float, float, float]:
    """Two samples -> (Hedges' g, lower, upper, Welch's p); NaN and p = 1 where a side has under 3 values or nothing varies.

    g and its variance after Hedges & Olkin (1985), p after Welch (1947); with the small-sample correction J = 1 - 3 / (4 df - 1).
    """
    inside, outside = inside[np.isfinite(inside)], outside[np.isfinite(outside)]
    n1, n2 = len(inside), len(outside)
    if min(n1, n2) < 3:
        return np.nan, np.nan, np.nan, 1.0
    pooled = np.sqrt(((n1 - 1) * inside.var(ddof=1) + (n2 - 1) * outside.var(ddof=1)) / (n1 + n2 - 2))
    scale = max(abs(inside).max(), abs(outside).max(), 1e-300)
    if pooled < 1e-12 * scale or (inside.var() == 0 and outside.var() == 0):
        return np.nan, np.nan, np.nan, 1.0
    g = (inside.mean() - outside.mean()) / pooled * (1 - 3 / (4 * (n1 + n2) - 9))
    half = stats.norm.ppf(0.5 + confidence / 2) * np.sqrt((n1 + n2) / (n1 * n2) + g**2 / (2 * (n1 + n2)))
    a, b = inside.var(ddof=1) / n1, outside.var(ddof=1) / n2
    freedom = (a + b) ** 2 / (a**2 / (n1 - 1) + b**2 / (n2 - 1))
    p = 2 * stats.t.sf(abs(inside.mean() - outside.mean()) / np.sqrt(a + b), freedom)
    return float(g), float(g - half), float(g + half), float(p)


def false_discovery(p_values: np.ndarray) -> np.ndarray:
    """p-values -> q-values (Benjamini & Hochberg 1995)."""
    return stats.false_discovery_control(np.asarray(p_values, float)) if len(p_values) else np.asarray(p_values, float)


def adjusted_r2(outcome: np.ndarray, labels: np.ndarray) -> float:
    """Share of the outcome's variance that group means explain, adjusted for the number of groups (Ezekiel 1930).

    Customers with a missing outcome are left out; NaN when nothing varies or there are more groups than customers.
    """
    known = np.isfinite(outcome)
    y, groups = outcome[known], np.unique(labels[known], return_inverse=True)[1]
    n, k = len(y), groups.max() + 1 if len(groups) else 0
    if n <= k or np.ptp(y) <= 1e-12 * abs(y).max():
        return np.nan
    total = ((y - y.mean()) ** 2).sum()
    means = np.bincount(groups, y) / np.bincount(groups)
    residual = ((y - means[groups]) ** 2).sum()
    return float(1 - residual / (n - k) / (total / (n - 1)))
