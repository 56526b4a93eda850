"""Who moved between segments beyond chance, where that leads, and whether such a forecast was right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from workbench.clustering.segmenter import Segmenter

RESAMPLES = 200  # of customers, for intervals
LEAST = 30  # customers that a backtest rests on


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


def placebo_pair(matrix: np.ndarray, halves_difference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates and, per customer, coordinates from odd less those from even weeks -> two places that chance alone could have shown.

    Half of the weeks has twice the variance of all, so the difference of two halves has four times, and that of two full windows twice
    the variance of one: halves_difference / (2 √2) to either side gives two places that differ as two full windows of an unchanged
    customer do.
    """
    step = halves_difference / (2 * np.sqrt(2))
    return matrix + step, matrix - step


def observe_moves(
    segmenter: Segmenter, earlier: pd.DataFrame, outcomes: pd.DataFrame, today: pd.DataFrame, halves: Mapping[str, Segmenter],
    parts: Mapping[str, pd.DataFrame], later: pd.DataFrame | None = None,
) -> Moves | None:  # fmt: skip
    """Segments one horizon ago and today of the customers known at both times, of their two placebo places, and one horizon later.

    All are placed in today's segments by the same models, which never saw them. halves: segmenters of odd and even weeks; parts:
    those weeks' features today; later: features one horizon after as_of, which only judge a forecast. None where halves are not
    there to tell chance from movement, or nobody is known at both times.
    """
    if set(halves) != {"odd", "even"}:
        return None
    known = earlier.index.intersection(today.index)
    for half in parts.values():
        known = known.intersection(half.index)
    if known.empty:
        return None
    frames = [earlier.loc[known], today.loc[known], *([] if later is None else [later.reindex(known)])]
    coordinates = segmenter.space_.crossed_coordinates(earlier.loc[known], outcomes.loc[known], *frames)
    names = [str(name) for name in segmenter.get_feature_names_out()]
    odd, even = (
        pd.DataFrame(halves[h].transform(parts[h].loc[known]), columns=[str(n) for n in halves[h].get_feature_names_out()])
        for h in ("odd", "even")
    )
    difference = (odd.reindex(columns=names) - even.reindex(columns=names)).fillna(0.0)
    placebo = placebo_pair(coordinates[1], (difference - difference.mean()).to_numpy())
    before, now, *after = (segmenter.place_coordinates(matrix)[0] for matrix in coordinates)
    chance = tuple(segmenter.place_coordinates(matrix)[0] for matrix in placebo)
    return Moves(before, now, chance, np.where(known.isin(later.index), after[0], -1) if after else None)


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
