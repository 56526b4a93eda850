"""Who moved between segments beyond chance, where that leads, and whether such a forecast was right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from workbench.clustering.scoreboard import Slice
from workbench.clustering.segmenter import Segmenter, draw_rows

RESAMPLES = 200  # of customers, for intervals
LEAST = 30  # customers that a backtest or a placebo rests on
TOLD = 0.2  # least difference between the shares of days swapped and not swapped that covariances can be told apart by


class Moves(NamedTuple):
    """Segments of the same customers one horizon ago and now, of their two placebo places, and one horizon later (None if unknown, -1 gone)."""

    before: np.ndarray
    now: np.ndarray
    placebo: tuple[np.ndarray, np.ndarray]
    later: np.ndarray | None = None

    def of(self, rows: np.ndarray) -> Moves:
        """The same of some of the customers, with repeats if asked for."""
        later = None if self.later is None else self.later[rows]
        return Moves(self.before[rows], self.now[rows], (self.placebo[0][rows], self.placebo[1][rows]), later)


class Shared(NamedTuple):
    """What a window of features shares with the one a horizon later: share of its days, and of these the share that lies in odd weeks of one and in even weeks of the other."""

    days: float = 0.0
    swapped: float = 0.0


NOTHING_SHARED = Shared()


def shared_days(window_days: int, horizon_days: int) -> Shared:
    """What two windows share; weeks are counted back from the end of each."""
    both = np.arange(horizon_days, window_days)  # days before the later window's end
    if not len(both):
        return NOTHING_SHARED
    return Shared(len(both) / window_days, float(np.mean(both // 7 % 2 != (both - horizon_days) // 7 % 2)))


def chance_scale(
    before: np.ndarray, now: np.ndarray, halves_before: tuple[np.ndarray, np.ndarray], halves_now: tuple[np.ndarray, np.ndarray],
    shared: Shared,
) -> np.ndarray:  # fmt: skip
    """Coordinates of the same customers, in full windows and in odd and even weeks, then and now -> scale per dimension.

    Times the difference of odd and even weeks it differs as two full windows of unchanged customers do. What differs between two windows is
    change and chance. Odd and even weeks share no event, so what both show of it is change: the covariance of their differences. Days that
    both windows share make odd weeks of one like the even weeks of the other where they are swapped, and like its odd weeks else; two
    covariances, straight and crosswise, give both unknowns. Chance is what is left of the variance. Where about half of those days are swapped, the
    two say the same; what is shared is then put at the share of the days, as for sums.
    """
    apart = (_bounded(halves_now[0] - halves_now[1]) ** 2).mean(axis=0)
    (odd_then, even_then), (odd, even) = _at_level_of(before, *halves_before), _at_level_of(now, *halves_now)
    same = (_bounded(odd_then - odd) * _bounded(even_then - even)).mean(axis=0)
    crossed = (_bounded(odd_then - even) * _bounded(even_then - odd)).mean(axis=0)
    differ = (_bounded(now - before) ** 2).mean(axis=0)
    if shared.days and abs(1 - 2 * shared.swapped) >= TOLD:
        change = ((1 - shared.swapped) * same - shared.swapped * crossed) / (1 - 2 * shared.swapped)
    else:
        both = (same + crossed) / 2
        change = both + shared.days * (differ - both)
    chance = differ - np.maximum(change, 0)
    most = (_bounded(odd - even) ** 2).mean(axis=0)  # half of the weeks hold less, so chance makes more of them
    return np.sqrt(np.clip(chance, 0, most) / np.where(apart > 0, apart, np.inf))


def observe_moves(
    segmenter: Segmenter, slices: Mapping[str, Slice], later: pd.DataFrame | None = None, shared: Shared = NOTHING_SHARED
) -> Moves | None:
    """Segments one horizon ago and today of the customers known at both times, of their two placebo places, and one horizon later.

    All are placed in today's segments by the same models, which never saw them. later: features one horizon after as_of, which only judge a
    forecast. shared: by the two windows. The placebo places lie to either side of today's, as far apart as two windows of an unchanged
    customer: along the difference of odd and even weeks, scaled by `chance_scale`. None where fewer than 30 customers bought in odd and in
    even weeks, then and now: only those are looked at, and at most `sample_limit` of them.
    """
    full, halves = slices["full"], [slices["odd"], slices["even"]]
    known = full.earlier.index.intersection(full.today.index)
    for half in halves:
        known = known.intersection(half.today.index).intersection(half.earlier.index)
    if len(known) < LEAST:
        return None
    known = known[draw_rows(len(known), segmenter.sample_limit, segmenter.seed)]
    then, today = full.earlier.loc[known], full.today.loc[known]
    frames = [then, today]
    frames += [_in_units_of(today, half.today.loc[known]) for half in halves]
    frames += [_in_units_of(then, half.earlier.loc[known]) for half in halves]
    frames += [] if later is None else [later.reindex(known)]
    before, now, odd, even, odd_then, even_then, *after = segmenter.space_.crossed_coordinates(
        then, full.earlier_outcomes.loc[known], *frames
    )
    apart = odd - even
    step = chance_scale(before, now, (odd_then, even_then), (odd, even), shared) * (apart - apart.mean(axis=0)) / 2
    placed = [segmenter.place_coordinates(matrix)[0] for matrix in (before, now, now + step, now - step, *after)]
    came = np.where(known.isin(later.index), placed[4], -1) if after else None
    return Moves(placed[0], placed[1], (placed[2], placed[3]), came)


def _in_units_of(full: pd.DataFrame, half: pd.DataFrame) -> pd.DataFrame:
    """Features of half of the weeks at the level of the full window's: what is hardly ever negative is brought to the same mean."""
    counted = (full.quantile(0.01) >= 0) & (half.quantile(0.01) >= 0) & (half.mean() > 0)
    return half * (full.mean() / half.mean()).where(counted, 1.0)


def _at_level_of(full: np.ndarray, odd: np.ndarray, even: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates from halves, stretched so that their mean varies as those of the full window do."""
    spread = ((odd + even) / 2).std(axis=0)
    stretch = full.std(axis=0) / np.where(spread > 0, spread, np.inf)
    return odd * stretch, even * stretch


def _bounded(differences: np.ndarray) -> np.ndarray:
    """About their mean, the most extreme tenth brought in: a few who changed much would pass for chance of all."""
    bounded = np.clip(differences, *np.quantile(differences, [0.05, 0.95], axis=0))
    return bounded - bounded.mean(axis=0)


def migration_table(moves: Moves) -> pd.DataFrame:
    """-> migration: a row per from x to that occurs.

    share: of all compared customers; placebo_share: what chance alone moves, both directions averaged; net_share: the difference.
    """
    before, now, placebo, _ = moves
    k = int(max(before.max(), now.max(), *(p.max() for p in placebo))) + 1
    moved = _crossed(before, now, k) / len(now)
    chance = (_crossed(*placebo, k) + _crossed(*placebo[::-1], k)) / (2 * len(now))
    rows, columns = np.nonzero((moved > 0) | (chance > 0))
    return pd.DataFrame(
        {
            "from_segment": rows, "to_segment": columns, "customers": (moved[rows, columns] * len(now)).round().astype(int),
            "share": moved[rows, columns], "placebo_share": chance[rows, columns], "net_share": (moved - chance)[rows, columns],
        }
    )  # fmt: skip


def surely_moved(migration: pd.DataFrame) -> pd.Series:
    """migration -> whether a move is beyond chance, or short of it, for sure; a row each.

    Beyond the 95 % interval of a difference of two Poisson counts (the placebo is the mean of both directions), by Bonferroni over
    all pairs of segments.
    """
    customers = (migration.customers / migration.share).max()
    error = np.sqrt((migration.share + migration.placebo_share / 2) / customers)
    last = migration[["from_segment", "to_segment"]].to_numpy().max()
    return migration.net_share.abs() > stats.norm.ppf(1 - 0.025 / max(last * (last + 1), 1)) * error


def net_movement(moves: Moves) -> tuple[float, float, float]:
    """-> share of customers that moved beyond chance, and its 95 % interval (paired over customers)."""
    before, now, placebo, _ = moves
    beyond = (before != now).astype(float) - (placebo[0] != placebo[1])
    half = 1.96 * beyond.std(ddof=1) / np.sqrt(len(beyond))
    return float(beyond.mean()), float(beyond.mean() - half), float(beyond.mean() + half)


def forecast_sizes(moved: np.ndarray, sizes: np.ndarray, horizons: int = 1, chance: float = 1.0) -> np.ndarray:
    """Customers from x to y over one horizon (k, k) and sizes (k,) -> sizes after some horizons if moves go on (a Markov chain; Kemeny & Snell 1960).

    What counts is how many more went from one segment to another than came back: wobble goes both ways. These flows are drawn towards
    none by the share of their squares that chance explains (James & Stein 1961, positive part; flow ± root of the moves both ways);
    chance: how often it is in them: twice in a resample.
    """
    totals, there = moved.sum(axis=1, keepdims=True), ~np.eye(len(sizes), dtype=bool)
    flow = moved - moved.T
    kept = max(0.0, 1 - chance * (moved + moved.T)[there].sum() / max((flow**2).sum(), 1e-12))
    rates = kept * np.maximum(flow, 0) / np.maximum(totals, 1)
    np.fill_diagonal(rates, 1 - rates.sum(axis=1))
    return sizes @ np.linalg.matrix_power(rates, horizons)


def forecast(moves: Moves, sizes: np.ndarray, seed: int) -> pd.DataFrame:
    """-> segment_id, customers, expected (see `forecast_sizes`), expected_low, expected_high (95 %, over resampled customers), change."""
    sizes = sizes.astype(float)
    expected = forecast_sizes(_crossed(moves.before, moves.now, len(sizes)), sizes)
    resampled = (_crossed(some.before, some.now, len(sizes)) for some in _resampled(moves, seed))
    drawn = [forecast_sizes(moved, sizes, chance=2.0) for moved in resampled]
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return pd.DataFrame(
        {
            "segment_id": np.arange(len(sizes)), "customers": sizes.astype(int), "expected": expected, "expected_low": low,
            "expected_high": high, "change": expected / np.maximum(sizes, 1) - 1,
        }
    )  # fmt: skip


class Backtest(NamedTuple):
    """How far a forecast made on as_of and "no change" were from what came: share of customers in the wrong segments' sizes."""

    customers: int
    forecast: float
    no_change: float
    difference: float  # forecast less no_change, with its 95 % interval
    low: float
    high: float


def backtest(moves: Moves, seed: int) -> Backtest | None:
    """The forecast against the sizes one horizon after as_of, over the customers known at all three times; None where that is not reached by at least 30.

    The error is half the sum of the differences between shares (total variation distance): the share of customers that would
    have to change segments for the forecast to be right. Nothing of the forecast is learned after as_of; the interval is over resampled
    customers, the moves that it goes on from held as they were seen.
    """
    if moves.later is None or (moves.later >= 0).sum() < LEAST:
        return None
    k = int(max(part.max() for part in (moves.before, moves.now, moves.later))) + 1
    moved = _crossed(moves.before, moves.now, k)

    def errors(some: Moves) -> tuple[float, float]:
        there = some.of(np.flatnonzero(some.later >= 0))
        now, came = (np.bincount(labels, minlength=k) / len(there.now) for labels in (there.now, there.later))
        ahead = forecast_sizes(moved, now)
        return float(np.abs(ahead - came).sum() / 2), float(np.abs(now - came).sum() / 2)

    ours, still = errors(moves)
    gains = [a - b for a, b in map(errors, _resampled(moves, seed))]
    low, high = np.quantile(gains, [0.025, 0.975])
    return Backtest(int((moves.later >= 0).sum()), ours, still, ours - still, float(low), float(high))


def _resampled(moves: Moves, seed: int) -> list[Moves]:
    generator, count = np.random.default_rng(seed), len(moves.now)
    return [moves.of(generator.integers(0, count, count)) for _ in range(RESAMPLES)]


def _crossed(before: np.ndarray, now: np.ndarray, k: int) -> np.ndarray:
    table = np.zeros((k, k))
    np.add.at(table, (before, now), 1)
    return table
