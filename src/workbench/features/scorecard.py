"""The scorecard of every attribute – relevant, stable, scalable, actionable, free of artefacts – and what follows from it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from workbench.core.processor import on_one_thread
from workbench.core.stats import false_discovery, order_by_content
from workbench.features.catalog import Feature, describe

MIN_CUSTOMERS = 200  # below, nothing is left out for what customers did
MIN_PAIRS = 30  # customers that a rank correlation needs before anything follows from it
# A level of 0.05 would let pass most of 5 % of pure noise wherever most attributes are real; one of 0.01 costs real ones nothing,
# for theirs are smaller by orders of magnitude.
MAX_Q = 0.01
SAME = 0.98  # |rank correlation| from which two columns say one thing
MIN_DIFFERENT = 0.01  # customers who must differ from the most frequent value
PERMUTATIONS = 400
SAMPLE = 25_000  # customers drawn for permutations and for comparing attributes with each other


@dataclass(frozen=True)
class Evidence:
    """What attributes are judged by; frames with customer_id and a column per feature, NaN = unknown.

    earlier: one horizon before as_of. outcomes: customer_id + future_*, what the horizon after `earlier` brought. odd, even: from
    odd and from even weeks of the window. first, second: from its first and its second half. An attribute that halves lack, or
    that is the same in both for everybody, does not depend on the window (a profile attribute).
    """

    earlier: pd.DataFrame
    outcomes: pd.DataFrame
    odd: pd.DataFrame
    even: pd.DataFrame
    first: pd.DataFrame
    second: pd.DataFrame


# -- relevant ----------------------------------------------------------------------------------------------------------


def relevance(earlier: pd.DataFrame, outcomes: pd.DataFrame) -> pd.Series:
    """Features and outcomes of the earlier window -> mean squared rank correlation over outcomes that vary, 0 to 1, per feature.

    Out of time by construction: the features end where the outcomes begin, and both lie before as_of. Pairs of customers with
    both values count; ranks are those among all customers with a value.
    """
    x, y = _aligned(earlier, outcomes)
    if not y.shape[1] or not len(x):
        return pd.Series(0.0, index=x.columns)
    rho, _ = rank_correlation(x, y)
    # An attribute that does not vary among the customers of an outcome tells nothing of it.
    return pd.Series(np.clip(np.nan_to_num(rho) ** 2, 0, 1).mean(axis=1), index=x.columns)


def chance_relevance(earlier: pd.DataFrame, outcomes: pd.DataFrame, seed: int = 0) -> float:
    """The 95th percentile of relevance when outcomes are dealt to random customers: what counts as nothing. NaN without outcomes."""
    null = _permuted(*_aligned(earlier, outcomes), seed, PERMUTATIONS)[1]
    return float(np.quantile(null, 0.95)) if null.size else np.nan


def relevance_test(
    earlier: pd.DataFrame, outcomes: pd.DataFrame, seed: int = 0, permutations: int = PERMUTATIONS
) -> pd.DataFrame:
    """-> frame indexed by feature: p_value of "unrelated to all outcomes" and q_value (Benjamini & Hochberg 1995) over features.

    Outcomes are dealt to customers anew, whole rows at a time, so that they stay as related to each other as they are. The
    statistic is the mean squared correlation of rank scores in which an unknown value stands at the mean rank (as in Alvo &
    Cabilio 1995): neither few known values nor values that are unknown together make it large. p is the share of permutations
    that reach the observed value, and where under 10 do, the tail of Pearson's type III distribution with the permutations'
    mean, variance and skewness (Mielke & Berry 2001, "Permutation methods"). NaN where nothing varies. At most SAMPLE customers,
    drawn by seed.
    """
    x, y = _aligned(earlier, outcomes)
    observed, null = _permuted(x, y, seed, permutations)
    p = np.full(x.shape[1], np.nan)
    if null.size:
        # A tie up to rounding is a tie.
        reached = (null >= observed * (1 - 1e-9)).sum(axis=0)
        spread, skewness = null.std(axis=0, ddof=1), stats.skew(null, axis=0)
        varies = spread > 0
        z = (observed[varies] - null[:, varies].mean(axis=0)) / spread[varies]
        tail = stats.pearson3.sf(z, np.maximum(skewness[varies], 0.1))
        p[varies] = (reached[varies] + 1) / (permutations + 1)
        # Zero would say more than a fitted tail knows.
        p[varies] = np.where(reached[varies] < 10, np.clip(tail, 1e-12, p[varies]), p[varies])
    return pd.DataFrame({"p_value": p, "q_value": false_discovery(p)}, index=x.columns)


def _permuted(x: pd.DataFrame, y: pd.DataFrame, seed: int, permutations: int) -> tuple[np.ndarray, np.ndarray]:
    """-> statistic per feature, shape (features,), and under permutations, shape (permutations, features); empty if nothing varies.

    Customers are drawn and dealt to in `order_by_content`, whatever their numbers and the order of rows.
    """
    generator, order = np.random.default_rng(seed), order_by_content(x, y)
    x, y = x.iloc[order], y.iloc[order]
    if len(x) > SAMPLE:
        chosen = np.sort(generator.choice(len(x), SAMPLE, replace=False))
        x, y = x.iloc[chosen], y.iloc[chosen]
    scores, targets = _scores(x), _scores(y)
    targets = targets[:, (targets != 0).any(axis=0)]
    k = targets.shape[1]
    if not k or not len(x):
        return np.zeros(x.shape[1]), np.empty((0, x.shape[1]))
    null = np.empty((permutations, x.shape[1]))
    scores = np.ascontiguousarray(scores.T)
    with on_one_thread():  # two threads would add in another order
        observed = ((scores @ targets) ** 2).mean(axis=1)
        for start in range(0, permutations, 20):
            stop = min(start + 20, permutations)
            dealt = np.hstack([targets[generator.permutation(len(x))] for _ in range(start, stop)])
            null[start:stop] = ((scores @ dealt) ** 2).reshape(x.shape[1], stop - start, k).mean(axis=2).T
    return observed, null


def _scores(frame: pd.DataFrame) -> np.ndarray:
    """Columns -> ranks about their mean with a sum of squares of 1; 0 where unknown, or everywhere if nothing varies."""
    ranks = frame.rank().to_numpy(float)
    centred = np.nan_to_num(ranks - _mean(ranks))
    length = np.sqrt((centred**2).sum(axis=0))
    return centred / np.where(length > 0, length, 1)


def _mean(values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    return np.where(known, values, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)


def _aligned(features: pd.DataFrame, outcomes: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Customers that both have, sorted. Outcomes that do not vary are left out."""
    x, y = features.set_index("customer_id"), outcomes.set_index("customer_id")
    both = x.index.intersection(y.index).sort_values()
    x, y = x.loc[both], y.loc[both]
    return x, y.loc[:, y.nunique() > 1]


# -- stable ------------------------------------------------------------------------------------------------------------


def stability(odd: pd.DataFrame, even: pd.DataFrame) -> pd.Series:
    """The same features from two halves of the time -> Spearman correlation per feature over customers in both.

    Odd and even weeks: split-half. First and second half of a window: test-retest on disjoint time. NaN for an attribute that a
    half lacks, that does not vary in it, or that is the same in both for everybody: that one does not depend on time.
    """
    return _agreement(odd, even).rho


def _agreement(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """-> frame indexed by feature: rho, pairs (customers), timeless (the same in both for everybody)."""
    names = [c for c in one if c != "customer_id" and c in other]
    a, b = one.set_index("customer_id")[names], other.set_index("customer_id")[names]
    both = a.index.intersection(b.index)
    a, b = a.loc[both], b.loc[both]
    rows = {}
    for name in names:
        known = (a[name].notna() & b[name].notna()).to_numpy()
        left, right = a[name][known], b[name][known]
        same = known.any() and (a[name].isna() == b[name].isna()).all() and bool((left == right).all())
        varies = left.nunique() > 1 and right.nunique() > 1
        rho = left.rank().corr(right.rank()) if varies and not same else np.nan
        rows[name] = (rho, int(known.sum()), same and varies)
    found = pd.DataFrame.from_dict(rows, orient="index", columns=["rho", "pairs", "timeless"])
    return found.astype({"rho": float, "pairs": int, "timeless": bool})


def reliability(split_half: pd.Series) -> pd.Series:
    """Split-half correlations -> reliability of the whole, 0 to 1: 2 r / (1 + r) (Spearman 1910, Brown 1910); NaN stays."""
    r = split_half.clip(0, 1)
    return 2 * r / (1 + r)


# -- artefacts ---------------------------------------------------------------------------------------------------------


def rank_correlation(x: pd.DataFrame, y: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Two frames over the same customers -> Spearman correlation and number of pairs, shapes (columns of x, columns of y).

    Customers with both values count, with their ranks among all who have a value; NaN where either does not vary among them.
    """
    a, b = x.rank().to_numpy(float), y.rank().to_numpy(float)
    known_a, known_b = np.isfinite(a).astype(float), np.isfinite(b).astype(float)
    # About the mean: sums of raw ranks would lose digits.
    a, b = np.nan_to_num((a - _mean(a)) / max(len(a), 1)), np.nan_to_num((b - _mean(b)) / max(len(b), 1))
    with on_one_thread(), np.errstate(invalid="ignore", divide="ignore"):
        n = known_a.T @ known_b
        sum_a, sum_b = a.T @ known_b, known_a.T @ b
        var_a, var_b = (a**2).T @ known_b - sum_a**2 / n, known_a.T @ b**2 - sum_b**2 / n
        rho = (a.T @ b - sum_a * sum_b / n) / np.sqrt(np.where((var_a > 1e-9) & (var_b > 1e-9), var_a * var_b, np.nan))
    return np.clip(rho, -1, 1), n.astype(int)


def _duplicates(values: pd.DataFrame, ranking: list[str], seed: int) -> dict[str, str]:
    """Attributes from most to least relevant -> {attribute: the more relevant one that says the same and is known for as many}."""
    if len(values) > SAMPLE:
        chosen = np.random.default_rng(seed).choice(len(values), SAMPLE, replace=False)
        values = values.iloc[np.sort(chosen)]
    rho, pairs = rank_correlation(values[ranking], values[ranking])
    known, found = values[ranking].notna().sum().to_numpy(), {}
    for i, name in enumerate(ranking):
        alike = (abs(rho[i, :i]) >= SAME) & (pairs[i, :i] >= max(MIN_PAIRS, 0.95 * known[i]))
        first = next((ranking[j] for j in np.flatnonzero(alike) if ranking[j] not in found), None)
        if first is not None:
            found[name] = first
    return found


def _leaks(earlier: pd.DataFrame, outcomes: pd.DataFrame) -> set[str]:
    x, y = _aligned(earlier, outcomes)
    if not y.shape[1] or not len(x):
        return set()
    rho, pairs = rank_correlation(x, y)
    return set(x.columns[((abs(rho) >= SAME) & (pairs >= MIN_PAIRS)).any(axis=1)])


# -- the scorecard -----------------------------------------------------------------------------------------------------


def score_features(
    declared: list[Feature],
    features: pd.DataFrame,
    evidence: Evidence,
    revenue: pd.Series,
    levers: Collection[str],
    min_coverage: float,
    seed: int = 0,
) -> pd.DataFrame:
    """-> feature_catalog: a row per declared feature, in order, with its figures, whether segments may use it, and why.

    features: today's. revenue: money per customer, indexed by customer_id (below 0 counts as 0). levers: those that the playbook
    offers. Columns besides those of `describe`:

    coverage, revenue_coverage: share of customers with a value, and of revenue that is theirs. relevance: mean squared rank
    correlation with outcomes, missing without any. relevance_q: false discovery rate at which it is above chance. stability:
    Spearman correlation of odd with even weeks. retest: of the window's first with its second half; it tells lasting from passing
    states and decides nothing, as a passing state (days since the last order) can be what matters. zero_share, top_share: of
    customers with a value, those at 0 and at the most frequent value. duplicate_of: the feature that says the same, or "".
    actionable: has a lever that the playbook offers; the others still describe. used; told: whether it may be said of a segment, if only to describe it. weight: 0 to 1, what the representation
    scales the attribute by on top of its relevance: its reliability (Spearman-Brown), 1 where that cannot be told or nothing
    depends on time, 0 where not used. reason: a fragment of a sentence.

    Left out is what is known for too few, constant, different for too few, suspiciously like an outcome, no better than chance,
    different in every week, or said by a more relevant attribute. With under MIN_CUSTOMERS customers to learn from, or no outcome
    that varies, nothing is left out for its relevance; with under MIN_CUSTOMERS in both halves, nothing for its stability.
    """
    catalog = describe(declared)
    names = list(catalog.feature)
    values = features.set_index("customer_id").sort_index().reindex(columns=names)
    x, y = _aligned(evidence.earlier, evidence.outcomes)
    learned = len(x) >= MIN_CUSTOMERS and y.shape[1] > 0
    tested = (
        relevance_test(evidence.earlier, evidence.outcomes, seed) if learned else pd.DataFrame(columns=["q_value"], dtype=float)
    )
    told = relevance(evidence.earlier, evidence.outcomes) if y.shape[1] else pd.Series(dtype=float)
    halves, retest = _agreement(evidence.odd, evidence.even).reindex(names), _agreement(evidence.first, evidence.second).rho
    compared = evidence.odd.customer_id.isin(evidence.even.customer_id).sum() >= MIN_CUSTOMERS

    catalog["coverage"] = _share(values.notna().to_numpy(), np.ones(len(values)))
    money = revenue.reindex(values.index).fillna(0.0).clip(lower=0).to_numpy(float)
    catalog["revenue_coverage"] = _share(values.notna().to_numpy(), money)
    catalog["relevance"] = catalog.feature.map(told).to_numpy(float)
    catalog["relevance_q"] = catalog.feature.map(tested.q_value).to_numpy(float)
    catalog["stability"] = halves.rho.to_numpy(float)
    catalog["retest"] = retest.reindex(names).to_numpy(float)
    catalog["zero_share"] = [_frequency(values[n], lambda v: (v == 0).sum()) for n in names]
    catalog["top_share"] = [_frequency(values[n], lambda v: v.value_counts().iloc[0]) for n in names]

    pairs = halves.pairs.fillna(0).to_numpy(float)
    timeless = ~catalog.feature.isin(evidence.odd.columns).to_numpy() | halves.timeless.fillna(False).to_numpy(bool)
    checked = catalog.stability.notna().to_numpy() & compared & (pairs >= MIN_PAIRS)
    # Rank correlation of unrelated halves is normal with variance 1 / (n - 1) (Kendall 1938).
    shaky = checked & (catalog.stability.to_numpy() * np.sqrt(np.maximum(pairs - 1, 1)) < stats.norm.ppf(0.95))
    leaks = catalog.feature.isin(_leaks(evidence.earlier, evidence.outcomes) if learned else set()).to_numpy()
    faults = {
        "left out: known for too few customers": catalog.coverage.to_numpy() < min_coverage,
        "left out: the same for everybody": values.nunique().to_numpy() < 2,
        "left out: different for too few customers": ((1 - catalog.top_share) * catalog.coverage).to_numpy() < MIN_DIFFERENT,
        "left out: so like an outcome that it may have been taken from it": leaks,
        "left out: no better than chance at telling outcomes": learned & ~(catalog.relevance_q.to_numpy() <= MAX_Q),
        "left out: odd and even weeks of the same customers do not agree": shaky,
    }
    sound = ~np.any(list(faults.values()), axis=0)
    # Rounded: of columns that rank customers alike the first declared one stays.
    ranking = catalog[sound].round({"relevance": 12}).sort_values("relevance", ascending=False, kind="stable", na_position="last")
    same = _duplicates(values, list(ranking.feature), seed)
    nouns = dict(zip(catalog.feature, catalog.noun, strict=True))
    catalog["duplicate_of"] = [same.get(n, "") for n in names]
    catalog["actionable"] = catalog.lever.isin(set(levers) - {""})
    catalog["used"] = sound & (catalog.duplicate_of == "").to_numpy()
    trust = np.where(checked, reliability(catalog.stability), 1.0)
    untold = {"left out: no better than chance at telling outcomes"}
    catalog["told"] = ~np.any([fault for why, fault in faults.items() if why not in untold], axis=0) & (
        catalog.duplicate_of == ""
    )
    catalog["weight"] = np.where(catalog.used, trust, 0.0)
    kept = [_kept(learned, t, c, w) for t, c, w in zip(timeless, checked, trust, strict=True)]
    repeated = [f"left out: says the same as {nouns.get(d, '')}" for d in catalog.duplicate_of]
    catalog["reason"] = np.select([*faults.values(), catalog.duplicate_of != ""], [*faults, repeated], kept)
    return catalog.astype({"reason": "str", "duplicate_of": "str"})


def _share(known: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return (known * weight[:, None]).sum(axis=0) / weight.sum() if weight.sum() > 0 else np.full(known.shape[1], np.nan)


def _frequency(column: pd.Series, count) -> float:
    known = column.dropna()
    return float(count(known) / len(known)) if len(known) else np.nan


def _kept(learned: bool, timeless: bool, checked: bool, trust: float) -> str:
    """The reason for keeping an attribute, in words."""
    relevant = "tells outcomes better than chance" if learned else "too little history to say what is relevant"
    if timeless:
        return f"kept: {relevant}; does not depend on the window, so nothing to repeat"
    if not checked:
        return f"kept: {relevant}; too few customers to see whether it repeats"
    if trust < 0.5:
        return f"kept: {relevant}, but weeks differ, so it weighs {trust:.0%}"
    return f"kept: {relevant} and repeats between weeks"
