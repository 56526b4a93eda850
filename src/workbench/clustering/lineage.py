"""Segments over time: which of an earlier run's segments lives on in which, what state each is in, and who moved beyond chance."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from workbench.clustering.segmenter import Segmenter

NOBODY = -1
HALF = 0.5
STATES = ("proposed", "pilot", "active", "watch", "sunset")
EXPIRY_DAYS = 365  # a segment that has not passed its certificate for so long is put down


def match_segments(
    now: pd.DataFrame, before: pd.DataFrame, centres: pd.DataFrame | None = None, centres_before: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Two runs' segments (customer_id, segment_id; before also segment_name) -> lineage: how each of either run relates to the other.

    Columns: segment_id, previous_id, previous_name, change, shared (customers in both), jaccard. Pairs are chosen together so that
    their Jaccard indices (and, among equals, their centres' closeness; Kuhn 1955) are best. continued: a pair that shares half of
    either; split: more than half came from a segment that lives on elsewhere; merged: more than half went to one that lives on from
    another; born, gone: neither. Segment -1 takes no part; it stands where there is no counterpart.
    """
    both = now[now.segment_id >= 0].merge(before[before.segment_id >= 0], on="customer_id", suffixes=("", "_before"))
    mine, theirs = _sizes(now), _sizes(before)
    shared = pd.crosstab(both.segment_id, both.segment_id_before).reindex(index=mine.index, columns=theirs.index, fill_value=0)
    union = mine.to_numpy()[:, None] + theirs.to_numpy()[None, :] - shared.to_numpy()
    jaccard = pd.DataFrame(shared / union, shared.index, shared.columns)
    score = jaccard.to_numpy() + 0.01 * _closeness(jaccard, centres, centres_before)
    pairs = {jaccard.index[i]: jaccard.columns[j] for i, j in zip(*linear_sum_assignment(-score), strict=True)}
    kept = {a: b for a, b in pairs.items() if shared.loc[a, b] > 0 and shared.loc[a, b] >= HALF * min(mine[a], theirs[b])}
    rows = [(a, *_origin(a, kept, shared, mine)) for a in mine.index]
    rows += [(*_fate(b, kept, shared, theirs),) for b in theirs.index if b not in kept.values()]
    names = before.drop_duplicates("segment_id").set_index("segment_id").segment_name
    table = pd.DataFrame(rows, columns=["segment_id", "previous_id", "change"])
    known = [(a, b) if a >= 0 and b >= 0 else None for a, b in zip(table.segment_id, table.previous_id, strict=True)]
    return table.assign(
        previous_name=pd.Series([names.get(i, "") for i in table.previous_id], dtype="str"),
        shared=[int(shared.loc[pair]) if pair else 0 for pair in known],
        jaccard=[float(jaccard.loc[pair]) if pair else 0.0 for pair in known],
    ).astype({"change": "str"})


def _sizes(segments: pd.DataFrame) -> pd.Series:
    return segments.segment_id[segments.segment_id >= 0].value_counts().sort_index()


def _closeness(like: pd.DataFrame, centres: pd.DataFrame | None, centres_before: pd.DataFrame | None) -> np.ndarray:
    """1 where two centres coincide, falling with their distance; 0 without dimensions in common."""
    if centres is None or centres_before is None:
        return np.zeros(like.shape)
    common = [c for c in centres if c in centres_before and c != "segment_id"]
    a = centres.set_index("segment_id")[common].reindex(like.index).to_numpy()
    b = centres_before.set_index("segment_id")[common].reindex(like.columns).to_numpy()
    distances = np.nan_to_num(cdist(a, b), nan=np.inf)
    return 1 / (1 + distances) if common else np.zeros(like.shape)


def _origin(segment: int, kept: dict[int, int], shared: pd.DataFrame, mine: pd.Series) -> tuple[int, str]:
    if segment in kept:
        return kept[segment], "continued"
    largest = shared.loc[segment].idxmax() if len(shared.columns) else NOBODY
    if largest in kept.values() and shared.loc[segment, largest] > HALF * mine[segment]:
        return largest, "split"
    return NOBODY, "born"


def _fate(previous: int, kept: dict[int, int], shared: pd.DataFrame, theirs: pd.Series) -> tuple[int, int, str]:
    largest = shared[previous].idxmax() if len(shared.index) else NOBODY
    if largest in kept and shared.loc[largest, previous] > HALF * theirs[previous]:
        return largest, previous, "merged"
    return NOBODY, previous, "gone"


def first_lineage(segments: pd.DataFrame) -> pd.DataFrame:
    """The lineage of a first run: every segment is born."""
    nothing = pd.DataFrame(
        {"customer_id": pd.Series(dtype="str"), "segment_id": pd.Series(dtype=int), "segment_name": pd.Series(dtype="str")}
    )
    return match_segments(segments, nothing)


# -- states ------------------------------------------------------------------------------------------------------------------


def next_state(state: str, verdict: str, failed_before: bool, expired: bool) -> str:
    """The state machine of a segment: its state until now, this run's verdict -> its state from now on.

    A new segment is proposed; one that passes rises (proposed, pilot, active; watch returns to active); one that does not pass stays, or
    from active falls to watch; one that fails twice in a row, or whose last pass is over a year old, is put down (sunset) for good.
    """
    if state == "sunset" or expired or (verdict == "fail" and failed_before):
        return "sunset"
    if verdict == "pass":
        return {"": "proposed", "proposed": "pilot", "pilot": "active", "watch": "active"}.get(state, state)
    return {"": "proposed", "active": "watch"}.get(state, state)


def build_registry(
    lineage: pd.DataFrame, certificate: pd.DataFrame, as_of: dt.date, earlier: pd.DataFrame | None = None
) -> pd.DataFrame:
    """-> registry: key, segment_id, state, verdict, since, last_passed, expires, evidence; a row per segment ever known.

    key stays with a segment from run to run ("s" and a number). earlier: the previous run's registry. Segments that are gone or merged
    keep their row, with segment_id -1 and state sunset.
    """
    known = (
        pd.DataFrame(columns=["key", "segment_id", "state", "verdict", "since", "last_passed", "evidence"])
        if earlier is None
        else earlier
    )
    held = {row.segment_id: row for row in known.itertuples() if row.segment_id >= 0}
    number = max([int(key[1:]) for key in known.key], default=0)
    verdicts, rows = certificate.set_index("segment_id"), []
    today, living = as_of.isoformat(), lineage[lineage.segment_id >= 0]
    for entry in living[living.change != "merged"].itertuples():
        former = held.get(entry.previous_id) if entry.change == "continued" else None
        number += former is None
        verdict = str(verdicts.verdict[entry.segment_id])
        since = former.since if former is not None else today
        passed = today if verdict == "pass" else former.last_passed if former is not None else ""
        expires = (dt.date.fromisoformat(passed or since) + dt.timedelta(days=EXPIRY_DAYS)).isoformat()
        state = next_state(
            former.state if former is not None else "", verdict, former is not None and former.verdict == "fail", today > expires
        )
        told = f"{verdict} with stability {verdicts.stability[entry.segment_id]:.2f} as of {today}; {entry.change}"
        key = former.key if former is not None else f"s{number:04d}"
        rows.append((key, entry.segment_id, state, verdict, since, passed, expires, told))
    continued = {row[0] for row in rows}
    for row in known.itertuples():
        if row.key not in continued:
            told = row.evidence if row.segment_id == NOBODY else f"not found again as of {today}"
            rows.append(
                (
                    row.key,
                    NOBODY,
                    "sunset",
                    row.verdict,
                    row.since,
                    row.last_passed,
                    today if row.segment_id >= 0 else row.expires,
                    told,
                )
            )
    columns = ["key", "segment_id", "state", "verdict", "since", "last_passed", "expires", "evidence"]
    return (
        pd.DataFrame(rows, columns=columns)
        .astype({c: "str" for c in columns if c != "segment_id"})
        .sort_values("key", ignore_index=True)
    )


# -- who moved ---------------------------------------------------------------------------------------------------------------


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
    parts: Mapping[str, pd.DataFrame],
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]] | None:  # fmt: skip
    """Segments one horizon ago and today of the customers known at both times, and of their two placebo places.

    Both are placed in today's segments by the same models, which never saw them. halves: segmenters of odd and even weeks; parts:
    those weeks' features today. None where they are not there to tell chance from movement.
    """
    if set(halves) != {"odd", "even"}:
        return None
    known = earlier.index.intersection(today.index)
    for half in parts.values():
        known = known.intersection(half.index)
    before, now = segmenter.space_.crossed_coordinates(
        earlier.loc[known], outcomes.loc[known], earlier.loc[known], today.loc[known]
    )
    names = [str(name) for name in segmenter.get_feature_names_out()]
    odd, even = (
        pd.DataFrame(halves[h].transform(parts[h].loc[known]), columns=[str(n) for n in halves[h].get_feature_names_out()])
        for h in ("odd", "even")
    )
    difference = (odd.reindex(columns=names) - even.reindex(columns=names)).fillna(0.0)
    placebo = placebo_pair(now, (difference - difference.mean()).to_numpy())
    labels = [segmenter.place_coordinates(matrix)[0] for matrix in (before, now, *placebo)]
    return labels[0], labels[1], (labels[2], labels[3])


def migration_table(before: np.ndarray, now: np.ndarray, placebo: tuple[np.ndarray, np.ndarray]) -> pd.DataFrame:
    """Segments of the same customers before and now, and of their two placebo places -> migration: a row per from x to that occurs.

    share: of all compared customers; placebo_share: what chance alone moves, both directions averaged; net_share: the difference.
    """
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


def net_movement(before: np.ndarray, now: np.ndarray, placebo: tuple[np.ndarray, np.ndarray]) -> tuple[float, float, float]:
    """-> share of customers that moved beyond chance, and its 95 % interval (paired over customers)."""
    beyond = (before != now).astype(float) - (placebo[0] != placebo[1])
    half = 1.96 * beyond.std(ddof=1) / np.sqrt(len(beyond))
    return float(beyond.mean()), float(beyond.mean() - half), float(beyond.mean() + half)


def forecast_sizes(migration: pd.DataFrame, sizes: np.ndarray, horizons: int = 1) -> np.ndarray:
    """Segment sizes after some horizons if moves beyond chance go on as before (a Markov chain; Kemeny & Snell 1960).

    Only net moves count; moves that chance alone explains are no trend.
    """
    k = len(sizes)
    rates = np.zeros((k, k))
    away = migration[(migration.from_segment != migration.to_segment) & (migration.net_share > 0)]
    totals = migration.groupby("from_segment").share.sum()
    for row in away.itertuples():
        rates[row.from_segment, row.to_segment] = min(1.0, row.net_share / max(totals[row.from_segment], 1e-12))
    rates /= np.maximum(rates.sum(axis=1, keepdims=True), 1.0)
    np.fill_diagonal(rates, 1 - rates.sum(axis=1))
    return sizes @ np.linalg.matrix_power(rates, horizons)


def _crossed(before: np.ndarray, now: np.ndarray, k: int) -> np.ndarray:
    table = np.zeros((k, k))
    np.add.at(table, (before, now), 1)
    return table
