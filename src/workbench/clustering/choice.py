"""How many segments: a pool cut into every number, each cut repaired, and the number whose knowledge survives best."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from workbench.clustering import cluster, stability
from workbench.clustering.predictor import twins
from workbench.clustering.representation import Space
from workbench.core.config import ClusteringSettings
from workbench.core.stats import adjusted_r2, standardized_difference

SHUFFLES, SURE = 50, 4.0  # knowledge counts from four standard deviations above the best of shuffled outcomes
SURELY, CLEARLY = (
    0.95,
    0.05,
)  # how sure it must be that another number is better than the last run's, and by what part, for it to change
ALIKE = 0.05  # two segments of which no outcome differs at this level (Bonferroni over outcomes) are one
SMALL, UNSTEADY, SAME = "too small to act on", "does not come back", "too alike to treat differently"
BEFORE = "one segment in the last run"
COLUMNS = ["n_segments", "n_repaired", "knowledge", "survives", "surviving"]


class Knower:
    """What segments know of outcomes: on the earlier window by models that never saw the customer, else of the space itself.

    strangers: whether the space was learned from none of the customers of `earlier`.
    """

    def __init__(
        self, space: Space, matrix: np.ndarray, earlier: pd.DataFrame | None = None, outcomes: pd.DataFrame | None = None,
        strangers: bool = False,
    ):  # fmt: skip
        self._space, self._matrix, self.window, self._strangers = space, matrix, earlier, strangers
        self.has_history = bool(space.models_)
        self._outcomes = outcomes[list(space.models_)] if self.has_history else None

    @functools.cached_property
    def coordinates(self) -> np.ndarray:
        """Customers of the earlier window in the space, each by models that never saw them; without a history today's."""
        if not self.has_history:
            return self._matrix
        if self._strangers:
            return self._space.transform(self.window)
        return self._space.crossed_coordinates(self.window, self._outcomes, self.window)[0]

    @functools.cached_property
    def _once(self) -> np.ndarray:
        """Whether a customer is the first of its `twins`: who is there twice is no second witness."""
        return ~pd.Series(twins(self.window, self._outcomes)).duplicated().to_numpy()

    @functools.cached_property
    def _values(self) -> np.ndarray:
        return self._outcomes.to_numpy(float) if self.has_history else self._matrix

    def place(self, centres: np.ndarray) -> np.ndarray:
        """Centres -> the nearest one of each customer of the earlier window (without a history: of today)."""
        return cluster.nearest(self.coordinates, centres)[0]

    def knowledge(self, labels: np.ndarray) -> float:
        """Labels of those customers -> mean adjusted R² of the outcomes; without a history of the space's coordinates."""
        return mean_r2(self._values, labels)

    def beyond_chance(self, labels: np.ndarray, tried: list[np.ndarray], seed: int) -> bool:
        """Whether labels know more of the outcomes than the best of all labels tried knows of outcomes dealt to other customers.

        The best, since the labels were chosen by what they know (maxT, Westfall & Young 1993). False without a history.
        """
        if not self.has_history:
            return False
        generator, values = np.random.default_rng(seed), self._values[self._once]
        dealt = (generator.permutation(values) for _ in range(SHUFFLES))
        chance = [max(mean_r2(some, placed[self._once]) for placed in tried) for some in dealt]
        return mean_r2(values, labels[self._once]) > np.mean(chance) + SURE * np.std(chance)

    def alike(self, one: np.ndarray, other: np.ndarray) -> bool:
        """Whether no outcome (or coordinate) differs between two sets of those customers (flags), by Welch's test."""
        a, b = self._values[one], self._values[other]
        if min(len(a), len(b)) < 3:
            return False
        p = np.array([standardized_difference(x, y)[3] for x, y in zip(a.T, b.T, strict=True)])
        return bool(p.min() * len(p) >= ALIKE)


@dataclass(frozen=True)
class Cut:
    """A pool cut into k groups, and the segments that they were joined to.

    centres: (k, dimensions); sizes: customers per group; groups: group per pooled centre; belongs: segment per group; agreement:
    (refits, segments) Jaccard; knowledge: see `Knower`; repairs: what was joined and why.
    """

    centres: np.ndarray
    sizes: np.ndarray
    groups: np.ndarray
    belongs: np.ndarray
    agreement: np.ndarray
    knowledge: float
    repairs: pd.DataFrame

    @property
    def n_segments(self) -> int:
        """How many segments are left."""
        return int(self.belongs.max()) + 1

    @property
    def smallest(self) -> int:
        """Customers of the smallest segment."""
        return int(np.bincount(self.belongs, self.sizes).min())

    @property
    def survives(self) -> np.ndarray:
        """-> (refits,) how much of a customer's segment comes back: Jaccard, averaged over customers as knowledge is."""
        return self.agreement @ np.bincount(self.belongs, self.sizes) / self.sizes.sum()

    @property
    def surviving(self) -> np.ndarray:
        """-> (refits,) knowledge x survives."""
        return self.knowledge * self.survives


class Last(NamedTuple):
    """The last run's segments in this run's space. centres: (groups, dimensions); belongs: segment per group."""

    centres: np.ndarray
    belongs: np.ndarray

    def among(self, centres: np.ndarray) -> np.ndarray:
        """-> segment per centre, where each is nearest to another one of the last run's; else every centre is its own."""
        same = cluster.nearest(centres, self.centres)[0]
        if len(np.unique(same)) < len(self.centres):
            return np.arange(len(centres))
        return np.unique(self.belongs[same], return_inverse=True)[1]


def cut_and_repair(
    matrix: np.ndarray, pool: cluster.Pool, k: int, trials: list[stability.Refit], knower: Knower, settings: ClusteringSettings,
    last: Last | None = None,
) -> Cut | None:  # fmt: skip
    """A pool cut into k groups; those that do not come back, are too small or too alike joined with their nearest sibling.

    last: see `cluster.cut_pool`. None where a group is nobody's nearest. Without trials nothing is joined, and neither survival nor knowledge is computed.
    """
    centres, labels, groups = cluster.cut_pool(matrix, pool, k, None if last is None else last.centres)
    sizes = np.bincount(labels, minlength=k)
    if not sizes.all():
        return None
    if not trials:  # one wanted number is not chosen by what it knows
        nothing = np.full((2, k), np.nan)
        return Cut(centres, sizes, groups, np.arange(k), nothing, np.nan, _told([]))
    placed, found = knower.place(centres), stability.overlaps(matrix, labels, trials, k)
    belongs, told = _joined(centres, sizes, placed, found, knower, settings, None if last is None else last.among(centres))
    agreement = stability.agreement(found, belongs)
    return Cut(centres, sizes, groups, belongs, agreement, max(0.0, knower.knowledge(belongs[placed])), _told(told))


def least_size(customers: int, min_size_share: float) -> float:
    """How many customers a segment needs so that it is not too small to act on."""
    return 0.8 * cluster.smallest(customers, min_size_share)


def choose(
    cuts: dict[int, Cut], least: float = 0.0, last: Last | None = None, again: Callable[..., list[np.ndarray]] | None = None
) -> pd.DataFrame:  # fmt: skip
    """-> n_segments (groups), n_repaired (segments after the repair), knowledge (0-1), survives (mean Jaccard, each segment by its customers), surviving (their product),
    surviving_error, chosen, as_before; a row per number of groups, all figures after the repair.

    Best is the cut with most surviving knowledge, of those whose segments all have `least` customers where there are any (the wanted number
    can keep a small one from being joined). surviving_error: standard error (over refits, paired) of how much less another cut has. Of the cuts within it
    the one that knows most is chosen: by the product they are equal, and people asked for small segments.

    Numbers and names should not flicker: the cut that begins from the `last` run's centres, or has as many segments, is chosen (as_before) unless the
    other beats it in a second look (`again`: cuts -> the surviving knowledge of each in refits that no cut was chosen by; one-sided
    paired t, 95 %). Knowledge is that of the earlier window; nothing after as_of is read.
    """
    rows = [(k, c.n_segments, c.knowledge, c.survives.mean(), c.surviving.mean()) for k, c in cuts.items()]
    table = pd.DataFrame(rows, columns=COLUMNS)
    if len(table) < 2:
        return table.assign(surviving_error=np.nan, chosen=True, as_before=False)
    large = table[[c.smallest >= least for c in cuts.values()]]
    able = large if len(large) else table
    knows = bool((able.knowledge > 0).any())
    best = able.surviving.idxmax() if knows else able.n_segments.idxmin()
    surviving = np.stack([c.surviving for c in cuts.values()])
    table["surviving_error"] = (surviving[best] - surviving).std(axis=1, ddof=1) / np.sqrt(surviving.shape[1])
    equal = able[able.surviving >= able.surviving[best] - table.surviving_error[able.index]]
    chosen = equal.round({"knowledge": 3}).sort_values(["knowledge", "surviving"]).index[-1] if knows else best
    kept = _as_before(able, last)
    if stays := kept is not None and kept != chosen and not _beats(*again(*(cuts[k] for k in table.n_segments[[chosen, kept]]))):
        chosen = kept
    return table.assign(chosen=table.index == chosen, as_before=(table.index == chosen) & stays)


def _as_before(able: pd.DataFrame, last: Last | None) -> int | None:
    """The row that begins from the last run's centres, where there is one; else the best with as many segments; None where neither is."""
    if last is None:
        return None
    begun = able[able.n_segments == len(last.centres)]
    same = begun if len(begun) else able[able.n_repaired == last.belongs.max() + 1]
    return None if same.empty else same.surviving.idxmax()


def _beats(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether one is surely more than the other, measured in the same refits."""
    lead = one - other
    return bool(lead.mean() > stats.t.ppf(SURELY, len(lead) - 1) * lead.std(ddof=1) / np.sqrt(len(lead)))


def _joined(
    centres: np.ndarray, sizes: np.ndarray, placed: np.ndarray, found: list[stability.Overlap | None], knower: Knower,
    settings: ClusteringSettings, before: np.ndarray | None = None,
) -> tuple[np.ndarray, list[dict]]:  # fmt: skip
    """-> segment per group, and what was joined and why; never fewer than `min_segments`.

    before: the last run's segment per group, to begin from. Those were found to differ then, and are joined only where they are too small or surely do
    not come back (one-sided t over refits, 95 %).
    """
    belongs, told, doubt = np.arange(len(centres)), [], 0.0
    kept: set[tuple[int, ...]] = set()  # groups that come back no better when joined
    different: set[frozenset[tuple[int, ...]]] = set()
    if before is not None and before.max() + 1 >= settings.min_segments:  # fewer may have been wanted then
        belongs, told, doubt = (
            before,
            _joined_before(sizes, found, before),
            stats.t.ppf(SURELY, len(found) - 1) / np.sqrt(len(found)),
        )
        members = [tuple(np.flatnonzero(before == s)) for s in range(before.max() + 1)]
        different = {frozenset(pair) for pair in itertools.combinations(members, 2)}
    while belongs.max() + 1 > settings.min_segments:
        measured = stability.agreement(found, belongs)
        agree = measured.mean(axis=0)
        unsteady = agree + doubt * measured.std(axis=0, ddof=1) < stability.WATCH
        weak = _weakest(centres, sizes, belongs, agree, unsteady, placed, knower, settings, kept, different)
        if weak is None:
            break
        segment, sibling, why = weak
        joined = np.unique(np.where(belongs == segment, sibling, belongs), return_inverse=True)[1]
        union = joined[np.flatnonzero(belongs == segment)[0]]
        again = stability.agreement(found, joined).mean(axis=0)
        if why == UNSTEADY and again[union] <= agree[segment]:
            kept.add(tuple(np.flatnonzero(belongs == segment)))
            continue
        customers = int(sizes[belongs == segment].sum())
        told.append({"why": why, "customers": customers, "before": float(agree[segment]), "after": float(again[union])})
        belongs = joined
    return belongs, told


def _joined_before(sizes: np.ndarray, found: list[stability.Overlap | None], before: np.ndarray) -> list[dict]:
    """What the last run had joined: a row per group beside the largest of its segment."""
    alone, joined = (stability.agreement(found, b).mean(axis=0) for b in (np.arange(len(before)), before))
    others = [g for s in range(before.max() + 1) for g in sorted(np.flatnonzero(before == s), key=lambda g: (-sizes[g], g))[1:]]
    return [
        {"why": BEFORE, "customers": int(sizes[g]), "before": float(alone[g]), "after": float(joined[before[g]])} for g in others
    ]


def _weakest(
    centres: np.ndarray, sizes: np.ndarray, belongs: np.ndarray, agree: np.ndarray, unsteady: np.ndarray, placed: np.ndarray, knower: Knower,
    settings: ClusteringSettings, kept: set[tuple[int, ...]], different: set[frozenset[tuple[int, ...]]],
) -> tuple[int, int, str] | None:  # fmt: skip
    """The next segment to join with its nearest sibling, and why; None where all may stay.

    The sibling is the one whose joining adds least within segments (Ward). Siblings in HDBSCAN's condensed trees, averaged over the pooled fits, were
    tried: they are others in two of three cases, and the joined cuts know 2 % less of a grocer's future, 12 % less of CD buyers'; the cut that is
    published was the same in eight of eight runs, since it needs no joining.
    """
    count = len(agree)
    weights = np.bincount(belongs, sizes)
    sibling = cluster.ward_costs(cluster.middles(centres, sizes, belongs), weights).argmin(axis=1)
    members = [tuple(np.flatnonzero(belongs == s)) for s in range(count)]
    least = least_size(int(sizes.sum()), settings.min_size_share)
    for segment in np.argsort(weights, kind="stable"):
        if weights[segment] < least:
            return int(segment), int(sibling[segment]), SMALL
    for segment in np.argsort(agree, kind="stable"):
        if unsteady[segment] and members[segment] not in kept:
            return int(segment), int(sibling[segment]), UNSTEADY
    now = belongs[placed]
    for segment in range(count):
        other = int(sibling[segment])
        pair = frozenset((members[segment], members[other]))
        if pair not in different:
            if knower.alike(now == segment, now == other):
                return segment, other, SAME
            different.add(pair)
    return None


def mean_r2(values: np.ndarray, labels: np.ndarray) -> float:
    """(customers, outcomes) and labels -> mean adjusted R² of the outcomes that vary; NaN where none does."""
    found = np.array([adjusted_r2(column, labels) for column in values.T])
    return float(np.nanmean(found)) if np.isfinite(found).any() else np.nan


def _told(rows: list[dict]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["why", "customers", "before", "after"])
