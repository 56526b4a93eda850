"""Intervals, tests and an order of rows that several rooms need."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

LEAST_KNOWN = 10  # rows


def order_by_content(*frames: pd.DataFrame) -> np.ndarray:
    """Frames of numbers of the same rows -> places of the rows in an order that hangs on what stands in them alone, not on names or places.

    By a hash, in single precision: sums in another order differ in their last digit. What is drawn or dealt in this order stays the same when
    customers are numbered anew, as by a ledger that has seen other days. Rows that say the same stay as they come.
    """
    return np.lexsort([pd.util.hash_pandas_object(frame.astype("float32"), index=False).to_numpy() for frame in reversed(frames)])


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
    """Sum(numerator) / sum(denominator) per group: bootstrap-t bounds over customers (Efron 1981, Hall 1988).

    numerator, denominator, groups: one entry per customer, groups in 0 … n_groups - 1. -> lower, upper, shape (n_groups,). The ratio
    is studentized by its linearized error, so that skewed money is covered in small groups too; above 20,000 customers a formula that
    knows the skew stands in. A group whose denominator is always 0 gets NaN. Bounds of what
    is never negative are not negative.
    """
    generator = np.random.default_rng(seed)
    low, high = np.full(n_groups, np.nan), np.full(n_groups, np.nan)
    order = np.argsort(groups, kind="stable")
    ends = np.searchsorted(groups[order], np.arange(n_groups + 1))
    for group in range(n_groups):
        members = order[ends[group] : ends[group + 1]]
        above, below = numerator[members], denominator[members]
        if len(members) < 2 or below.sum() == 0:
            continue
        ratio, error = _ratio_and_error(np.ones((1, len(members))), above, below)
        near, far = _studentized(ratio, error, above, below, bootstraps, confidence, generator)
        least = 0.0 if above.min() >= 0 and below.min() >= 0 else -np.inf
        # The point itself is always inside, also where a few odd resamples would leave it out.
        low[group] = max(least, min(ratio[0], ratio[0] - far * error[0]))
        high[group] = max(ratio[0], ratio[0] - near * error[0])
    return low, high


def clustered_wilson(
    successes: np.ndarray, trials: np.ndarray, groups: np.ndarray, n_groups: int, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Successes and trials per customer -> bounds of sum(successes) / sum(trials) per group, customers being clusters of trials.

    Wilson's interval with the effective number of trials, their number over the design effect (at least 1), and Student's t in place
    of z (Korn & Graubard 1998; Dean & Pagano 2015). Where all trials end alike, a customer counts as one trial.
    """
    asked = trials > 0
    x, n, k = (np.bincount(groups[asked], w[asked], minlength=n_groups) for w in (successes, trials, np.ones(len(trials))))
    with np.errstate(invalid="ignore", divide="ignore"):
        p = x / n
        squares = np.bincount(groups[asked], (successes - p[groups] * trials)[asked] ** 2, minlength=n_groups)
        effective = p * (1 - p) / (squares * k / (k - 1) / n**2)
        effective = np.where((x == 0) | (x == n), k, np.minimum(effective, n))
        effective *= (stats.norm.ppf(0.5 + confidence / 2) / stats.t.ppf(0.5 + confidence / 2, k - 1)) ** 2
    return wilson(p * effective, effective, confidence)


MANY = 20_000  # customers from which a formula stands in for resampling


def _ratio_and_error(weights: np.ndarray, above: np.ndarray, below: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per row of weights: the ratio of the weighted sums, and its linearized standard error (Cochran 1977, section 6.4)."""
    n = len(above)
    a, b, aa, ab, bb = (weights @ np.column_stack([above, below, above * above, above * below, below * below])).T
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = a / b
        squares = np.maximum(aa - 2 * ratio * ab + ratio**2 * bb, 0)
        return ratio, np.sqrt(squares * n / (n - 1)) / np.abs(b)


def _studentized(
    ratio: np.ndarray,
    error: np.ndarray,
    above: np.ndarray,
    below: np.ndarray,
    bootstraps: int,
    confidence: float,
    generator: np.random.Generator,
) -> tuple[float, float]:
    """Lower and upper quantile of (ratio* - ratio) / error* over resamples; NaN where most resamples have no error.

    Of many customers by their Edgeworth expansion, which allows for skew (Hall 1992, section 2.6): money stays skewed at any number.
    """
    tails = np.array([0.5 - confidence / 2, 0.5 + confidence / 2])
    n = len(above)
    if n > MANY:
        z, skew = stats.norm.ppf(tails), stats.skew(above - ratio[0] * below)
        return tuple(z - skew * (2 * z**2 + 1) / (6 * np.sqrt(n)))
    drawn = generator.integers(0, n, (bootstraps, n)) + n * np.arange(bootstraps)[:, None]
    # How often each customer is drawn, counted at once: several times quicker than multinomial draws.
    weights = np.bincount(drawn.ravel(), minlength=bootstraps * n).reshape(bootstraps, n).astype(float)
    again, errors = _ratio_and_error(weights, above, below)
    with np.errstate(invalid="ignore", divide="ignore"):
        t = (again - ratio) / errors
    # An error of rounding only is none: all customers drawn are alike.
    t = t[np.isfinite(t) & (errors > 1e-9 * np.maximum(error, 1e-300))]
    return tuple(np.quantile(t, tails, method="weibull")) if len(t) > bootstraps / 2 and error[0] > 0 else (np.nan, np.nan)


def standardized_difference(
    inside: np.ndarray, outside: np.ndarray, confidence: float = 0.95
) -> tuple[float, float, float, float]:
    """Two samples -> (Hedges' g, lower, upper, Welch's p); NaN and p = 1 where a side has under 3 values or nothing varies.

    g after Hedges & Olkin (1985) with the small-sample correction J = 1 - 3 / (4 df - 1); its error by each value's influence on it, so
    that the samples may vary differently and need not be normal (Bonett 2008 has the case of normal ones), with Student's t and Welch's
    degrees of freedom; p after Welch (1947).
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
    moved = [
        (
            side * (values - values.mean()) / pooled
            - g / (2 * pooled**2) * len(values) / (n1 + n2) * ((values - values.mean()) ** 2 - values.var(ddof=1))
        )
        for side, values in ((1, inside), (-1, outside))
    ]
    error, freedom = welch(moved[0].var(ddof=1), n1, moved[1].var(ddof=1), n2)
    half = stats.t.ppf(0.5 + confidence / 2, freedom) * error
    error, freedom = welch(inside.var(ddof=1), n1, outside.var(ddof=1), n2)
    p = 2 * stats.t.sf(abs(inside.mean() - outside.mean()) / error, freedom)
    return float(g), float(g - half), float(g + half), float(p)


def welch(variance: Any, n: Any, other_variance: Any, other_n: Any) -> tuple[Any, Any]:
    """Variances and sizes of two samples (numbers or arrays) -> standard error of the difference of their means, its degrees of freedom (Welch 1947)."""
    a, b = variance / n, other_variance / other_n
    return np.sqrt(a + b), (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (other_n - 1))


def false_discovery(p_values: np.ndarray) -> np.ndarray:
    """p-values -> q-values (Benjamini & Hochberg 1995) over those that are known; NaN stays NaN."""
    q = np.array(p_values, float)
    known = np.isfinite(q)
    if known.any():
        q[known] = stats.false_discovery_control(q[known])
    return q


def adjusted_r2(outcome: np.ndarray, labels: np.ndarray) -> float:
    """Share of the outcome's variance that group means explain, adjusted for the number of groups (Ezekiel 1930).

    Customers with a missing outcome are left out; NaN when nothing varies or there are more groups than customers.
    """
    outcome = np.asarray(outcome, float)
    known = np.isfinite(outcome)
    y, groups = outcome[known], np.unique(labels[known], return_inverse=True)[1]
    n, k = len(y), groups.max() + 1 if len(groups) else 0
    if n <= k or np.ptp(y) <= 1e-12 * abs(y).max():
        return np.nan
    total = ((y - y.mean()) ** 2).sum()
    means = np.bincount(groups, y) / np.bincount(groups)
    residual = ((y - means[groups]) ** 2).sum()
    return float(1 - residual / (n - k) / (total / (n - 1)))


def adjusted_r2_resampled(outcomes: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`adjusted_r2` in resamples of customers whose labels stay as they are -> (resamples, outcomes).

    outcomes: (customers, outcomes), NaN = unknown. weights: (resamples, customers), how often each is drawn. NaN where nothing that was
    drawn varies.
    """
    groups = np.unique(labels, return_inverse=True)[1]
    member = np.equal.outer(groups, np.arange(groups.max() + 1)).astype(weights.dtype)
    found = np.full((len(weights), outcomes.shape[1]), np.nan)
    for place, column in enumerate(outcomes.T):
        known = np.isfinite(column)
        if not known.any():
            continue
        y = (column[known] - column[known].mean()).astype(weights.dtype)
        drawn, inside = weights[:, known], member[known]
        sizes, sums = drawn @ inside, drawn @ (inside * y[:, None])
        n, k = sizes.sum(axis=1), (sizes > 0).sum(axis=1)
        middle = sums.sum(axis=1) ** 2 / n
        total = drawn @ y**2 - middle
        with np.errstate(invalid="ignore", divide="ignore"):
            between = np.where(sizes > 0, sums**2 / sizes, 0).sum(axis=1) - middle
            r2 = 1 - (total - between) / (n - k) / (total / (n - 1))
        found[:, place] = np.where((n > k) & (total > 1e-6 * (drawn @ y**2)), r2, np.nan)
    return found


def one_sided_margin(values: np.ndarray, confidence: float = 0.95) -> np.ndarray:
    """Repeated measurements along the first axis -> how far their mean surely (one-sided t) lies from the true one at most."""
    n = len(values)
    return stats.t.ppf(confidence, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)


def learnable(x: np.ndarray) -> np.ndarray:
    """Numbers (rows x columns, missing as NaN) -> the same with columns known of fewer than 10 rows set to 0.

    Nothing can be learned from them, and gradient boosting of scikit-learn 1.9 stops at a column without a single known value: a source
    that began lately has none at an earlier time.
    """
    return np.where(np.isfinite(x).sum(axis=0) < LEAST_KNOWN, 0.0, x)


def pool_effects(effect: np.ndarray, error: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Effects of k groups -> (pooled effect, low, high): each drawn towards their mean by as much as chance explains.

    Variance between groups after DerSimonian & Laird (1986): t2 = max(0, (Q - (k - 1)) / (sum w - sum w^2 / sum w)), w = 1 / error^2.
    Empirical Bayes after Morris (1983, eq. 1.8 to 1.17): b = (k - 3) / (k - 1) error^2 / (error^2 + t2); pooled = (1 - b) effect + b m,
    the mean m weighted by 1 / (error^2 + t2); its variance (1 - b) error^2 + b^2 / sum of weights + 2 / (k - 3) b^2 (effect - m)^2 c,
    c = (mean error^2 + t2) / (error^2 + t2), allows for t2 being an estimate. Under four groups nothing is pooled (NaN). Errors must not
    hang on the effects beside them, as those of a small arm of skewed money do (see `Differences`), or the mean is drawn to one side.
    """
    known = np.isfinite(effect) & np.isfinite(error) & (error > 0)
    k = int(known.sum())
    pooled, low, high = np.full((3, len(effect)), np.nan)
    if k < 4:
        return pooled, low, high
    d, s2 = effect[known], error[known] ** 2
    w = 1 / s2
    q = (w * (d - (w @ d) / w.sum()) ** 2).sum()
    between = max(0.0, (q - (k - 1)) / (w.sum() - (w**2).sum() / w.sum()))
    weight = 1 / (s2 + between)
    mean, b = weight @ d / weight.sum(), (k - 3) / (k - 1) * s2 * weight
    typical = (weight @ s2) / weight.sum() + between
    spread = (1 - b) * s2 + b**2 / weight.sum() + 2 / (k - 3) * b**2 * (d - mean) ** 2 * typical * weight
    half = stats.norm.ppf(0.5 + confidence / 2) * np.sqrt(spread)
    pooled[known] = (1 - b) * d + b * mean
    low[known], high[known] = pooled[known] - half, pooled[known] + half
    return pooled, low, high
