"""The statistics of an experiment: differences with intervals, permutation, CUPED and heterogeneity. Arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from workbench.core.stats import welch, wilson

EXPECTED = 5  # smallest expected count with which the chi-squared approximation is used (Cochran 1954)
DEALT = 2_000  # customers of the smaller arm up to which arms are dealt anew; skew shows less beyond
FIRST = 1_999  # permutations
MORE = 18_000  # further ones where the first come near a finding: their smallest p, 1 / 10,000, survives 500 comparisons at 5 %
AT_ONCE = 2_000_000  # numbers shuffled at a time


@dataclass(frozen=True)
class Cells:
    """Size, mean and variance (n - 1) of an outcome per group; NaN where they are not defined."""

    n: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


@dataclass(frozen=True)
class Differences:
    """Per group: mean of the arm less mean of the control, standard error, degrees of freedom, bounds and two-sided p.

    common: the standard error by one variance of both arms. Groups are weighed by it: of skewed money a small arm without its rare
    large values has a low mean and a low variance together, so weights by its own variance draw every mean over groups to one side.
    """

    effect: np.ndarray
    error: np.ndarray
    common: np.ndarray
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
        error, freedom = welch(arm.variance, arm.n, control.variance, control.n)
        error = np.where(error > 0, error, np.nan)
        within = ((arm.n - 1) * arm.variance + (control.n - 1) * control.variance) / (arm.n + control.n - 2)
        common = np.where(error > 0, np.sqrt(within * (1 / arm.n + 1 / control.n)), np.nan)
    half = stats.t.ppf(0.5 + confidence / 2, freedom) * error
    p = 2 * stats.t.sf(np.abs(effect / error), freedom)
    return Differences(effect, error, common, freedom, effect - half, effect + half, p)


def by_permutation(
    found: Differences, values: np.ndarray, groups: np.ndarray, treated: np.ndarray, confidence: float, seed: int
) -> Differences:
    """Welch's differences, with bounds and p from what their t is when the arms of each group are dealt anew.

    Studentized permutation (Janssen 1997; Chung & Romano 2013): exact where the treatment does nothing, however skewed the values and
    unequal the arms, and valid in the limit where it changes their spread. Bounds and p come of the same draws, so that p is at most
    1 - confidence just where 0 lies outside. Groups with over 2,000 customers in the smaller arm keep Welch's.
    """
    generator = np.random.default_rng(seed)
    low, high, p = found.low.copy(), found.high.copy(), found.p.copy()
    order = np.lexsort((values, groups))  # by value: what is drawn hangs on no name
    ends = np.searchsorted(groups[order], np.arange(len(p) + 1))
    for group in np.flatnonzero(np.isfinite(found.error)):
        members = order[ends[group] : ends[group + 1]]
        mine = treated[members]
        small = min(mine.sum(), (~mine).sum())
        if small > DEALT:
            continue
        sign = 1 if mine.sum() == small else -1
        y, t = values[members], np.round(found.effect[group] / found.error[group], 9)
        dealt = sign * _dealt_t(y, small, FIRST, generator)
        if _two_sided(dealt, t) <= 1 - confidence:
            dealt = np.concatenate([dealt, sign * _dealt_t(y, small, MORE, generator)])
        p[group] = _two_sided(dealt, t)
        # No quantile between two draws: where values tie, 0 lies outside just where p says so.
        tail = max(int((len(dealt) + 1) * (1 - confidence) / 2 + 1e-9), 1)
        near, far = np.partition(dealt, (tail - 1, -tail))[[tail - 1, -tail]]
        low[group], high[group] = found.error[group] * (t - far), found.error[group] * (t - near)
    return replace(found, low=low, high=high, p=p)


def _dealt_t(values: np.ndarray, small: int, draws: int, generator: np.random.Generator) -> np.ndarray:
    """Welch's t of `small` of the values, drawn by chance, less the others; a shuffle serves for as many draws as it holds."""
    y, n = values - values.mean(), len(values)
    each = n // small
    rows, parts = max(AT_ONCE // n, 1), []
    for start in range(0, -(-draws // each), rows):
        shuffled = generator.permuted(np.tile(y, (min(rows, -(-draws // each) - start), 1)), axis=1)
        drawn = shuffled[:, : each * small].reshape(-1, small)
        parts.append(np.stack([drawn.sum(axis=1), (drawn**2).sum(axis=1)]))
    (sums, squares), rest = np.concatenate(parts, axis=1)[:, :draws], n - small
    inside = np.maximum(squares - sums**2 / small, 0) / (small - 1)
    outside = np.maximum(y @ y - squares - sums**2 / rest, 0) / (rest - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        t = (sums / small + sums / rest) / np.sqrt(inside / small + outside / rest)
    return np.round(np.nan_to_num(t, posinf=1e9, neginf=-1e9), 9)


def _two_sided(dealt: np.ndarray, t: float) -> float:
    return min(1.0, 2 * (1 + min((dealt >= t).sum(), (dealt <= t).sum())) / (1 + len(dealt)))


def compare_shares(arm: Cells, control: Cells, confidence: float) -> Differences:
    """Newcombe's hybrid score interval (1998, method 10); Pearson's chi-squared test, Fisher's exact one where counts are small.

    The standard errors add one success and one failure per arm (Agresti & Caffo 2000), so that they are never 0.
    """
    x1, n1, x0, n0 = np.round(arm.mean * arm.n), arm.n, np.round(control.mean * control.n), control.n
    (l1, u1), (l0, u0) = wilson(x1, n1, confidence), wilson(x0, n0, confidence)
    effect = arm.mean - control.mean
    with np.errstate(invalid="ignore"):
        low = effect - np.sqrt((arm.mean - l1) ** 2 + (u0 - control.mean) ** 2)
        high = effect + np.sqrt((u1 - arm.mean) ** 2 + (control.mean - l0) ** 2)
    near1, near0 = (x1 + 1) / (n1 + 2), (x0 + 1) / (n0 + 2)
    error = np.sqrt(near1 * (1 - near1) / (n1 + 2) + near0 * (1 - near0) / (n0 + 2))
    near = (x1 + x0 + 2) / (n1 + n0 + 4)
    common = np.sqrt(near * (1 - near) * (1 / (n1 + 2) + 1 / (n0 + 2)))
    known = np.isfinite(effect)
    p = np.array([_p_of_shares(*cell) for cell in zip(x1, n1, x0, n0, strict=True)])
    return Differences(effect, np.where(known, error, np.nan), np.where(known, common, np.nan), n1 + n0 - 2, low, high, p)


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
