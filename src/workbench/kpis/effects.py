"""The statistics of an experiment: differences with intervals, CUPED, heterogeneity and partial pooling. Arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from workbench.core.stats import wilson

EXPECTED = 5  # smallest expected count with which the chi-squared approximation is used (Cochran 1954)


@dataclass(frozen=True)
class Cells:
    """Size, mean and variance (n - 1) of an outcome per group; NaN where they are not defined."""

    n: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


@dataclass(frozen=True)
class Differences:
    """Per group: mean of the arm less mean of the control, standard error, degrees of freedom, bounds and two-sided p."""

    effect: np.ndarray
    error: np.ndarray
    freedom: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray


def describe_cells(values: np.ndarray, groups: np.ndarray, n_groups: int) -> Cells:
    """values and groups (0 … n_groups - 1), one per customer -> Cells."""
    n = np.bincount(groups, minlength=n_groups).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(groups, values, minlength=n_groups) / n
        squares = np.bincount(groups, (values - np.nan_to_num(mean)[groups]) ** 2, minlength=n_groups)
        return Cells(n, mean, np.where(n > 1, squares / (n - 1), np.nan))


def cuped(values: np.ndarray, before: np.ndarray, strata: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """values less what the pre-period explains: y - theta (x - mean of x in the stratum) (CUPED, Deng et al. 2013).

    theta is the common slope within cells (stratum x arm), so a treatment's effect does not enter it; 0 where x does not vary.
    """
    slope_x = before - _group_means(before, cells)
    spread = slope_x @ slope_x
    theta = slope_x @ (values - _group_means(values, cells)) / spread if spread > 0 else 0.0
    return values - theta * (before - _group_means(before, strata))


def _group_means(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    counts = np.maximum(np.bincount(groups), 1)
    return (np.bincount(groups, values) / counts)[groups]


def compare_means(arm: Cells, control: Cells, confidence: float) -> Differences:
    """Welch's t interval and test (1947); no p where neither side varies."""
    effect = arm.mean - control.mean
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b = arm.variance / arm.n, control.variance / control.n
        error = np.sqrt(a + b)
        error = np.where(error > 0, error, np.nan)
        freedom = (a + b) ** 2 / (a**2 / (arm.n - 1) + b**2 / (control.n - 1))
    half = stats.t.ppf(0.5 + confidence / 2, freedom) * error
    return Differences(effect, error, freedom, effect - half, effect + half, 2 * stats.t.sf(np.abs(effect / error), freedom))


def compare_shares(arm: Cells, control: Cells, confidence: float) -> Differences:
    """Newcombe's hybrid score interval (1998, method 10); Pearson's chi-squared test, Fisher's exact one where counts are small.

    The standard error, which pooling needs, adds one success and one failure per arm (Agresti & Caffo 2000), so that it is never 0.
    """
    x1, n1, x0, n0 = np.round(arm.mean * arm.n), arm.n, np.round(control.mean * control.n), control.n
    (l1, u1), (l0, u0) = wilson(x1, n1, confidence), wilson(x0, n0, confidence)
    effect = arm.mean - control.mean
    with np.errstate(invalid="ignore"):
        low = effect - np.sqrt((arm.mean - l1) ** 2 + (u0 - control.mean) ** 2)
        high = effect + np.sqrt((u1 - arm.mean) ** 2 + (control.mean - l0) ** 2)
    near1, near0 = (x1 + 1) / (n1 + 2), (x0 + 1) / (n0 + 2)
    error = np.sqrt(near1 * (1 - near1) / (n1 + 2) + near0 * (1 - near0) / (n0 + 2))
    p = np.array([_p_of_shares(*cell) for cell in zip(x1, n1, x0, n0, strict=True)])
    return Differences(effect, np.where(np.isfinite(effect), error, np.nan), n1 + n0 - 2, low, high, p)


def _p_of_shares(x1: float, n1: float, x0: float, n0: float) -> float:
    share = (x1 + x0) / (n1 + n0) if n1 and n0 else 0.0
    if not 0 < share < 1:
        return np.nan
    if min(n1, n0) * min(share, 1 - share) < EXPECTED:
        return float(stats.fisher_exact([[x1, n1 - x1], [x0, n0 - x0]]).pvalue)
    z = (x1 / n1 - x0 / n0) / np.sqrt(share * (1 - share) * (1 / n1 + 1 / n0))
    return float(2 * stats.norm.sf(abs(z)))


def heterogeneity(effect: np.ndarray, error: np.ndarray, freedom: np.ndarray) -> tuple[float, float]:
    """Effects of k groups -> (Q, p): whether they differ from one another more than chance makes them.

    Q is Cochran's (1954); p is Welch's F (1951, for contrasts Johansen 1980), which allows for estimated variances. NaN for k < 2.
    """
    known = np.isfinite(effect) & np.isfinite(error) & (error > 0) & (freedom > 0)
    d, w, v = effect[known], 1 / error[known] ** 2, freedom[known]
    k = len(d)
    if k < 2:
        return np.nan, np.nan
    q = float((w * (d - (w @ d) / w.sum()) ** 2).sum())
    loss = ((1 - w / w.sum()) ** 2 / v).sum()
    f = q / (k - 1) / (1 + 2 * (k - 2) / (k**2 - 1) * loss)
    return q, float(stats.f.sf(f, k - 1, (k**2 - 1) / (3 * loss)))


def power_of(wanted: np.ndarray, error: np.ndarray, alpha: float) -> np.ndarray:
    """Chance to find an effect of `wanted` with a two-sided normal test at alpha, given the standard error (Cohen 1988)."""
    z, shift = stats.norm.ppf(1 - alpha / 2), np.abs(wanted) / error
    return stats.norm.cdf(shift - z) + stats.norm.cdf(-shift - z)


def detectable_effect(error: np.ndarray, alpha: float, power: float) -> np.ndarray:
    """Smallest effect that such a test finds with the given power."""
    return (stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)) * error


def per_arm(wanted: np.ndarray, variance_arm: np.ndarray, variance_control: np.ndarray, alpha: float, power: float) -> np.ndarray:
    """Customers per arm, two arms of equal size, to find `wanted` with the given power; infinite where nothing is wanted."""
    z = stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.ceil(z**2 * (variance_arm + variance_control) / wanted**2)
