"""Who moved between segments beyond chance, where that leads, and whether such a forecast was right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd
from scipy import stats

from workbench.clustering.scoreboard import Slice
from workbench.clustering.segmenter import Segmenter, draw_rows

RESAMPLES = 200  # of customers, for intervals
LEAST = 30  # customers that a backtest or a placebo rests on
TOLD = 0.1  # least share that strangers differ more by than one customer, and that swapped days differ from those that are not by


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


class Known(NamedTuple):
    """Segments of the customers known one horizon ago and now: then, now and one horizon later (None if unknown, -1 gone); segments: how many there are."""

    before: np.ndarray
    now: np.ndarray
    segments: int
    later: np.ndarray | None = None

    def of(self, rows: np.ndarray) -> Known:
        """The same of some of the customers, with repeats if asked for."""
        later = None if self.later is None else self.later[rows]
        return self._replace(before=self.before[rows], now=self.now[rows], later=later)

    @property
    def moved(self) -> np.ndarray:
        """-> (from, to) customers by their segments one horizon ago and now."""
        return _crossed(self.before, self.now, self.segments)


class Moves(NamedTuple):
    """Segments of the same customers one horizon ago and now, both also by odd and by even weeks alone.

    segments: how many there are; shared: by the two windows; known: those and all further customers known at both times, of whom half of
    the weeks may tell nothing.
    """

    before: np.ndarray
    now: np.ndarray
    halves_before: tuple[np.ndarray, np.ndarray]
    halves_now: tuple[np.ndarray, np.ndarray]
    segments: int
    shared: Shared = NOTHING_SHARED
    known: Known | None = None

    def of(self, rows: np.ndarray) -> Moves:
        """The same of some of the customers, with repeats if asked for."""
        before, now = (tuple(half[rows] for half in halves) for halves in (self.halves_before, self.halves_now))
        return self._replace(before=self.before[rows], now=self.now[rows], halves_before=before, halves_now=now)

    @property
    def observed(self) -> np.ndarray:
        """-> (from, to) share of the customers by their segments one horizon ago and now."""
        return self._crossed((self.before, self.now))

    @property
    def wobble(self) -> np.ndarray:
        """-> (one, other) share of the customers by the segments of odd and of even weeks of one time, in either order: chance alone, as they share no event."""
        found = self._crossed(self.halves_before, self.halves_now)
        return (found + found.T) / 2

    @property
    def net(self) -> np.ndarray:
        """-> (from, to) share of the customers who went from one segment to another beyond chance; NaN where halves tell segments hardly better than chance.

        Halves of two times disagree by chance, as those of one time do, and because customers turned. So what is beyond chance is what
        halves of two times disagree more than those of one, in parts of what they would if all had turned: who turned is a stranger to who
        he was. Only halves of two times that share no day tell it; where the windows share some, the odd weeks of one with the odd and with
        the even weeks of the other share two different numbers of them, and a line through both leads to none.
        """
        (odd_then, even_then), (odd, even) = self.halves_before, self.halves_now
        days, swapped = self.shared
        weight = swapped / (2 * swapped - 1) if days else 0.5
        straight, crossed = self._crossed((odd_then, odd), (even_then, even)), self._crossed((odd_then, even), (even_then, odd))
        more = weight * straight + (1 - weight) * crossed - self.wobble
        np.fill_diagonal(more, 0)
        apart = self.strangers - (1 - np.trace(self.wobble))
        return more / (apart if apart >= TOLD else np.nan)

    @property
    def strangers(self) -> float:
        """How often the segment by odd weeks of a customer is not that by even weeks of another, whose segment today differs."""
        odd, even = (self._crossed((self.now, half)) for half in self.halves_now)
        alike = odd.sum(axis=0) @ even.sum(axis=0) - (odd * even).sum()
        return float(1 - alike / max(1 - (odd.sum(axis=1) ** 2).sum(), 1e-12))

    def _crossed(self, *pairs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Shares of the customers by two labels, averaged over such pairs."""
        return np.mean([_crossed(*pair, self.segments) for pair in pairs], axis=0) / len(self.now)


Some = TypeVar("Some", Moves, Known)


def observe_moves(
    segmenter: Segmenter, slices: Mapping[str, Slice], later: pd.DataFrame | None = None, shared: Shared = NOTHING_SHARED
) -> Moves | None:
    """Segments one horizon ago and today of the customers who bought in odd and in even weeks, then and now, and of all who are known at both times.

    All are placed in today's segments by the same models, which never saw them. later: features one horizon after as_of, which only judge a
    forecast. shared: by the two windows. At most `sample_limit` customers are looked at. None where fewer than 30 bought in odd and in even weeks, then
    and now, and where halves of weeks tell nothing of movement (see `Moves.net`).
    """
    full, halves = slices["full"], [slices["odd"], slices["even"]]
    known = full.earlier.index.intersection(full.today.index)
    known = known[draw_rows(len(known), segmenter.sample_limit, segmenter.seed)]
    halved = np.logical_and.reduce([known.isin(index) for half in halves for index in (half.today.index, half.earlier.index)])
    if halved.sum() < LEAST or (shared.days and abs(2 * shared.swapped - 1) < TOLD):
        return None
    then, today, both = full.earlier.loc[known], full.today.loc[known], known[halved]
    frames = [then, today]
    frames += [_in_units_of(then.loc[both], half.earlier.loc[both]).reindex(known) for half in halves]
    frames += [_in_units_of(today.loc[both], half.today.loc[both]).reindex(known) for half in halves]
    frames += [] if later is None else [later.reindex(known)]
    found = segmenter.space_.crossed_coordinates(then, full.earlier_outcomes.loc[known], *frames)
    before, now, *apart = (segmenter.place_coordinates(matrix)[0] for matrix in found)
    came = None if later is None else np.where(known.isin(later.index), apart[4], -1)
    odd_then, even_then, odd, even = (labels[halved] for labels in apart[:4])
    everyone = Known(before, now, segmenter.n_segments_, came)
    moves = Moves(before[halved], now[halved], (odd_then, even_then), (odd, even), segmenter.n_segments_, shared, everyone)
    return moves if np.isfinite(moves.net).all() else None


def _in_units_of(full: pd.DataFrame, half: pd.DataFrame) -> pd.DataFrame:
    """Features of half of the weeks at the level of the full window's: what is hardly ever negative is brought to the same mean."""
    counted = (full.quantile(0.01) >= 0) & (half.quantile(0.01) >= 0) & (half.mean() > 0)
    return half * (full.mean() / half.mean()).where(counted, 1.0)


def migration_table(moves: Moves) -> pd.DataFrame:
    """-> migration: a row per from x to that occurs.

    share: of all compared customers; placebo_share: what chance alone moves; net_share: the difference, in sum that of `net_movement`, pair by pair
    as `Moves.net` has it, as far as so many moved.
    """
    moved = moves.observed
    chance = np.maximum(moved - moves.net, 0)
    np.fill_diagonal(chance, 0)
    chance *= (share_moved(moves) - beyond_chance(moves)) / max(chance.sum(), 1e-12)
    stay = np.maximum((moved.sum(axis=1) + moved.sum(axis=0)) / 2 - chance.sum(axis=1), 1e-12)
    chance += np.diag(stay * (1 - chance.sum()) / stay.sum())
    rows, columns = np.nonzero((moved > 0) | (chance > 0))
    return pd.DataFrame(
        {
            "from_segment": rows, "to_segment": columns, "customers": (moved[rows, columns] * len(moves.now)).round().astype(int),
            "share": moved[rows, columns], "placebo_share": chance[rows, columns], "net_share": (moved - chance)[rows, columns],
        }
    )  # fmt: skip


def surely_moved(moves: Moves, seed: int) -> np.ndarray:
    """-> (from, to) whether a move is beyond chance, or short of it, for sure: by Bonferroni over all pairs of segments.

    Errors are over resampled customers, and at least that of one customer.
    """
    drawn = np.std([some.net for some in _resampled(moves, seed)], axis=0, ddof=1)
    error = np.sqrt(drawn**2 + 1 / len(moves.now) ** 2)
    pairs = moves.segments * (moves.segments - 1)
    return np.abs(moves.net) > stats.norm.ppf(1 - 0.025 / max(pairs, 1)) * error


class Movement(NamedTuple):
    """Share of so many customers that stand in another segment than one horizon ago (observed), and that moved beyond chance (net) with its 95 % interval.

    overlap: share of a window's days that lie in both windows.
    """

    customers: int
    observed: float
    net: float
    low: float
    high: float
    overlap: float = 0.0


def net_movement(moves: Moves, seed: int) -> Movement:
    """What moved; the interval is over resampled customers."""
    low, high = np.nanquantile([beyond_chance(some) for some in _resampled(moves, seed)], [0.025, 0.975])
    return Movement(len(moves.now), share_moved(moves), beyond_chance(moves), float(low), float(high), moves.shared.days)


def beyond_chance(moves: Moves) -> float:
    """Share of the customers that moved beyond chance (see `Moves.net`), at most those that moved."""
    return min(float(moves.net.sum()), share_moved(moves))


def share_moved(moves: Moves) -> float:
    """Share of the customers that stand in another segment than one horizon ago."""
    return float((moves.before != moves.now).mean())


def forecast_sizes(moved: np.ndarray, sizes: np.ndarray, horizons: int = 1) -> np.ndarray:
    """Customers from x to y over one horizon (k, k) and sizes (k,) -> sizes after some horizons if moves go on (a Markov chain; Kemeny & Snell 1960).

    What counts is how many more went from one segment to another than came back: wobble goes both ways. These flows are drawn towards
    none by the share of their squares that chance explains (James & Stein 1961, positive part; flow ± root of the moves both ways).
    """
    there = ~np.eye(len(sizes), dtype=bool)
    kept = max(0.0, 1 - (moved + moved.T)[there].sum() / max(((moved - moved.T) ** 2).sum(), 1e-12))
    return sizes @ np.linalg.matrix_power(_rates(moved, kept), horizons)


def _rates(moved: np.ndarray, kept: float) -> np.ndarray:
    """-> (from, to) which part of a segment goes where, if of what went one way more than the other so much goes on."""
    rates = kept * np.maximum(moved - moved.T, 0) / np.maximum(moved.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(rates, 1 - rates.sum(axis=1))
    return rates


def forecast(known: Known, sizes: np.ndarray, seed: int) -> pd.DataFrame:
    """-> segment_id, customers, expected (see `forecast_sizes`), expected_low, expected_high (95 % of sizes that may come), change.

    Sizes that may come: of resampled customers as many move as did, drawn anew (Poisson), and of what went one way more than the other
    any part goes on, as nobody knows.
    """
    generator, sizes, drawn = np.random.default_rng(seed), sizes.astype(float), []
    expected = forecast_sizes(known.moved, sizes)
    for some in _resampled(known, seed):
        goes_on = sizes @ _rates(some.moved, generator.random())
        usual = (some.moved + some.moved.T) / 2 * sizes.sum() / len(some.now)
        chance = generator.poisson(usual) - usual
        drawn.append(np.maximum(goes_on - chance.sum(axis=1) + chance.sum(axis=0), 0))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return pd.DataFrame(
        {
            "segment_id": np.arange(len(sizes)), "customers": sizes.astype(int), "expected": expected,
            "expected_low": low, "expected_high": high, "change": expected / np.maximum(sizes, 1) - 1,
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


def backtest(known: Known, seed: int) -> Backtest | None:
    """The forecast against the sizes one horizon after as_of, over the customers known at all three times; None where that is not reached by at least 30.

    The error is half the sum of the differences between shares (total variation distance): the share of customers that would
    have to change segments for the forecast to be right. Nothing of the forecast is learned after as_of; the interval is over resampled
    customers, the moves that it goes on from held as they were seen.
    """
    if known.later is None or (known.later >= 0).sum() < LEAST:
        return None
    k, moved = known.segments, known.moved

    def errors(some: Known) -> tuple[float, float]:
        there = some.of(np.flatnonzero(some.later >= 0))
        now, came = (np.bincount(labels, minlength=k) / len(there.now) for labels in (there.now, there.later))
        ahead = forecast_sizes(moved, now)
        return float(np.abs(ahead - came).sum() / 2), float(np.abs(now - came).sum() / 2)

    ours, still = errors(known)
    gains = [a - b for a, b in map(errors, _resampled(known, seed))]
    low, high = np.quantile(gains, [0.025, 0.975])
    return Backtest(int((known.later >= 0).sum()), ours, still, ours - still, float(low), float(high))


def _resampled(moves: Some, seed: int) -> list[Some]:
    generator, count = np.random.default_rng(seed), len(moves.now)
    return [moves.of(generator.integers(0, count, count)) for _ in range(RESAMPLES)]


def _crossed(before: np.ndarray, now: np.ndarray, k: int) -> np.ndarray:
    return np.bincount(before * k + now, minlength=k * k).reshape(k, k).astype(float)
