"""Where a segment has room to grow: customers under its upper quarter, and categories that half of a segment buy and some do not.

Neither is a forecast: what an action causes is measured in experiments (notebook 05). Customers whose revenue is unknown are left
out of both.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

FRONTIER = 0.75  # quantile of the segment that the others are held against
COMMON = 0.5  # share of a segment that must buy a category before it is missing at the others
FEWEST = 8  # customers without it; customers from whom a correlation is told
SELDOM = 0.1  # of the customers who would buy two categories together by chance: fewer, and one stands in the other's place
RESAMPLES = 200
MOST = 5000  # customers in a resample; intervals of more are narrowed by the root of their number
SHARE = re.compile(r"(?:sub)?category_.+_share")


def headroom_table(
    revenue: np.ndarray, odd: np.ndarray, even: np.ndarray, labels: np.ndarray, seed: int = 7
) -> pd.DataFrame:  # fmt: skip
    """Revenue in the window, in its odd and in its even weeks (none where missing), segment per customer -> headroom, a row per segment.

    Columns: segment_id, customers, frontier (revenue at the segment's upper quarter), below (customers under it), gap (what they lack, added
    up), lasting (0-1, reliability within the segment of revenue up to the upper quarter: correlation of the halves stepped up to the whole;
    Spearman 1910, Brown 1910), headroom (gap x lasting: differences regressed to the segment's mean as far as weeks alone make them; Kelley
    1927), headroom_low, headroom_high (95 %, percentile bootstrap over the segment's customers). Not to be added up: none is under zero, so
    chance alone would add up to something.
    """
    generator, rows = np.random.default_rng(seed), []
    odd, even = np.nan_to_num(odd), np.nan_to_num(even)
    for segment in range(labels.max() + 1):
        mine = np.flatnonzero((labels == segment) & np.isfinite(revenue))
        own = [part[mine] for part in (revenue, odd, even)]
        frontier = float(np.quantile(own[0], FRONTIER)) if len(mine) else np.nan
        gap, lasting = _gap(*own)
        drawn = [
            np.prod(_gap(*(part[some] for part in own))) * len(mine) / max(len(some), 1)
            for some in _resamples(len(mine), generator)
        ]
        room = _interval(np.array(drawn), gap * lasting, len(mine))
        rows.append((segment, len(mine), frontier, int((own[0] < frontier).sum()), gap, lasting, gap * lasting, *room))
    columns = ["segment_id", "customers", "frontier", "below", "gap", "lasting", "headroom", "headroom_low", "headroom_high"]
    return pd.DataFrame(rows, columns=columns)


def missing_categories(
    shares: pd.DataFrame, revenue: np.ndarray, labels: np.ndarray, seed: int = 7
) -> pd.DataFrame:  # fmt: skip
    """Counted shares of revenue per category (customers x features), revenue, segment per customer -> white_space, largest first.

    A row per segment and category that at least half of the segment buy and at least eight neither buy nor have something in its place (see
    `_instead`): segment_id, feature, bought_by (share of the segment), without (those customers), usual (median revenue from it of those
    who buy it, returns deducted), at_stake (without x usual), at_stake_low, at_stake_high (95 %, percentile bootstrap over the segment's
    customers).
    """
    generator, rows = np.random.default_rng(seed), []
    names = [name for name in shares if SHARE.fullmatch(name)]
    instead = _instead(shares[names].fillna(0.0).to_numpy() > 0)
    for segment in range(labels.max() + 1):
        mine = (labels == segment) & np.isfinite(revenue)
        own = shares.loc[mine, names].fillna(0.0).to_numpy()
        spent, buys = own * revenue[mine][:, None], own > 0
        lacks = ~buys & ~(buys @ instead)
        common = (buys.mean(axis=0) >= COMMON) & (lacks.sum(axis=0) >= FEWEST) & (spent > 0).any(axis=0) if mine.any() else []
        for place in np.flatnonzero(common):
            one, lacking, bought_by = spent[:, place], lacks[:, place], float(buys[:, place].mean())
            stake = _at_stake(one, lacking)
            drawn = [_at_stake(one[some], lacking[some]) * len(one) / len(some) for some in _resamples(len(one), generator)]
            without, usual = int(lacking.sum()), float(np.median(one[one > 0]))
            rows.append((segment, names[place], bought_by, without, usual, stake, *_interval(np.array(drawn), stake, len(one))))
    columns = ["segment_id", "feature", "bought_by", "without", "usual", "at_stake", "at_stake_low", "at_stake_high"]
    kinds = {**dict.fromkeys(columns, float), "segment_id": int, "feature": "str", "without": int}
    found = pd.DataFrame(rows, columns=columns).astype(kinds)
    return found.sort_values(["at_stake", "segment_id", "feature"], ascending=[False, True, True], ignore_index=True)


def _gap(revenue: np.ndarray, odd: np.ndarray, even: np.ndarray) -> tuple[float, float]:
    """-> what those under the upper quarter lack, and how much of a difference between customers lasts, each half up to its own upper quarter.

    Up to there, since what stands above has no part in the gap: one huge customer would make everybody's differences look lasting.
    """
    if not len(revenue):
        return 0.0, 0.0
    gap = float(np.clip(np.quantile(revenue, FRONTIER) - revenue, 0, None).sum())
    if len(revenue) < FEWEST:
        return gap, 0.0
    odd, even = (np.minimum(half, np.quantile(half, FRONTIER)) for half in (odd, even))
    odd, even = odd - odd.mean(), even - even.mean()
    scale = np.sqrt((odd**2).sum()) * np.sqrt((even**2).sum())
    half = float(np.clip((odd * even).sum() / scale, 0.0, 1.0)) if scale > 0 else 0.0
    return gap, 2 * half / (1 + half)


def _instead(buys: np.ndarray) -> np.ndarray:
    """(customers, categories) who buys what -> (categories, categories) which stand in each other's place, as two plans of one service do.

    Those that less than a tenth of the customers buy together who would by chance, where chance would have at least eight do so.
    """
    bought = buys.astype(float)
    buyers = bought.sum(axis=0)
    chance = np.outer(buyers, buyers) / max(len(bought), 1)
    return (bought.T @ bought < SELDOM * chance) & (chance >= FEWEST)


def _at_stake(spent: np.ndarray, lacks: np.ndarray) -> float:
    return float(lacks.sum() * np.median(spent[spent > 0])) if (spent > 0).any() else 0.0


def _resamples(customers: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Places of customers drawn with replacement, at most `MOST` in each."""
    return [generator.integers(0, max(customers, 1), min(customers, MOST)) for _ in range(RESAMPLES)]


def _interval(drawn: np.ndarray, value: float, customers: int) -> tuple[float, float]:
    """The middle 95 % of resampled values, as wide as so many customers make it; not under zero."""
    narrower = np.sqrt(min(1.0, MOST / max(customers, 1)))
    low, high = value + narrower * (np.quantile(drawn, [0.025, 0.975]) - value)
    return max(0.0, float(low)), float(high)
