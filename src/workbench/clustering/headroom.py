"""Where a segment has room to grow: customers under its upper quarter, and categories that most of a segment buy and some do not.

Both are ceilings, no forecasts: what an action causes is measured in experiments (notebook 05).
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

FRONTIER = 0.75  # quantile of the segment that the others are held against
RESAMPLES = 500
COMMON = 0.5  # share of a segment that must buy a category before it is missing at the others
FEWEST = 8  # customers without it
TOTAL = -2
SHARE = re.compile(r"(?:sub)?category_.+_share")


def headroom_table(
    revenue: np.ndarray, odd: np.ndarray, even: np.ndarray, labels: np.ndarray, seed: int = 7
) -> pd.DataFrame:  # fmt: skip
    """Revenue in the window, in its odd and in its even weeks, segment per customer -> headroom, a row per segment and one of all (-2).

    Columns: segment_id, customers, frontier (revenue at the segment's upper quarter), below (customers under it), gap (what they lack, added
    up), lasting (0-1, reliability of revenue within the segment: correlation of the halves stepped up to the whole; Spearman 1910, Brown
    1910), headroom (gap x lasting: differences regressed to the segment's mean as far as weeks alone make them; Kelley 1927),
    headroom_low, headroom_high (95 %, percentile bootstrap over the segments' customers). Of all, lasting is headroom over gap.
    """
    generator, rows, drawn = np.random.default_rng(seed), [], []
    for segment in range(labels.max() + 1):
        mine = np.flatnonzero(labels == segment)
        frontier = float(np.quantile(revenue[mine], FRONTIER))
        gap, lasting = _gap(revenue[mine], odd[mine], even[mine])
        resamples = (generator.choice(mine, len(mine)) for _ in range(RESAMPLES))
        drawn.append([np.prod(_gap(revenue[some], odd[some], even[some])) for some in resamples])
        rows.append((segment, len(mine), frontier, int((revenue[mine] < frontier).sum()), gap, lasting, gap * lasting))
    found = pd.DataFrame(rows, columns=["segment_id", "customers", "frontier", "below", "gap", "lasting", "headroom"])
    gap, room = found.gap.sum(), found.headroom.sum()
    total = (TOTAL, len(labels), np.nan, found.below.sum(), gap, room / gap if gap else 0.0, room)
    found.loc[len(found)] = total
    drawn.append(np.sum(drawn, axis=0))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=1)
    return found.assign(headroom_low=low, headroom_high=high).astype({"segment_id": int, "customers": int, "below": int})


def missing_categories(
    shares: pd.DataFrame, revenue: np.ndarray, labels: np.ndarray, seed: int = 7
) -> pd.DataFrame:  # fmt: skip
    """Counted shares of revenue per category (customers x features), revenue, segment per customer -> white_space, largest first.

    A row per segment and category that at least half of the segment buy and at least eight do not: segment_id, feature, bought_by (share of
    the segment), without (customers), usual (median revenue of those who buy it, from it), at_stake (without x usual), at_stake_low,
    at_stake_high (95 %, percentile bootstrap over the segment's customers).
    """
    generator, rows = np.random.default_rng(seed), []
    names = [name for name in shares if SHARE.fullmatch(name)]
    for segment in range(labels.max() + 1):
        mine = labels == segment
        spent = shares.loc[mine, names].fillna(0.0).to_numpy() * revenue[mine][:, None]
        buys = spent > 0
        for place in np.flatnonzero((buys.mean(axis=0) >= COMMON) & ((~buys).sum(axis=0) >= FEWEST)):
            one = spent[:, place]
            drawn = generator.choice(one, (RESAMPLES, len(one)))
            low, high = np.quantile([_at_stake(some) for some in drawn], [0.025, 0.975])
            usual = float(np.median(one[one > 0]))
            rows.append((segment, names[place], float((one > 0).mean()), int((one <= 0).sum()), usual, _at_stake(one), low, high))
    columns = ["segment_id", "feature", "bought_by", "without", "usual", "at_stake", "at_stake_low", "at_stake_high"]
    found = pd.DataFrame(rows, columns=columns).astype(
        {**dict.fromkeys(columns, float), "segment_id": int, "feature": "str", "without": int}
    )
    return found.sort_values(["at_stake", "segment_id", "feature"], ascending=[False, True, True], ignore_index=True)


def _gap(revenue: np.ndarray, odd: np.ndarray, even: np.ndarray) -> tuple[float, float]:
    """-> what those under the upper quarter lack, and how much of a difference between customers lasts."""
    gap = float(np.clip(np.quantile(revenue, FRONTIER) - revenue, 0, None).sum())
    if odd.std() == 0 or even.std() == 0:
        return gap, 0.0
    half = max(0.0, float(np.corrcoef(odd, even)[0, 1]))
    return gap, 2 * half / (1 + half)


def _at_stake(spent: np.ndarray) -> float:
    return float((spent <= 0).sum() * np.median(spent[spent > 0])) if (spent > 0).any() else 0.0
