"""Segments from run to run: which of an earlier run's segments lives on in which, and what state each is in."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

NOBODY = -1
HALF, QUARTER = 0.5, 0.25
STATES = ("proposed", "pilot", "active", "watch", "sunset")
EXPIRY_DAYS = 365  # a segment that has not passed its certificate for so long is retired


def match_segments(
    now: pd.DataFrame, before: pd.DataFrame, centres: pd.DataFrame | None = None, centres_before: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Two runs' segments (customer_id, segment_id; before also segment_name) -> lineage: how each of either run relates to the other.

    Columns: segment_id, previous_id, previous_name, change, shared (customers in both), jaccard. Pairs are chosen together so that
    their Jaccard indices (and, among equals, their centres' closeness; Kuhn 1955) are best. continued: a pair that shares half of
    either and a quarter of both; split: more than half came from a segment that lives on elsewhere; merged: more than half went to one that lives on from
    another; born, gone: neither. Segment -1 takes no part; it stands where there is no counterpart.
    """
    both = now[now.segment_id >= 0].merge(before[before.segment_id >= 0], on="customer_id", suffixes=("", "_before"))
    mine, theirs = _sizes(now), _sizes(before)
    shared = pd.crosstab(both.segment_id, both.segment_id_before).reindex(index=mine.index, columns=theirs.index, fill_value=0)
    union = mine.to_numpy()[:, None] + theirs.to_numpy()[None, :] - shared.to_numpy()
    jaccard = pd.DataFrame(shared / union, shared.index, shared.columns)
    score = jaccard.to_numpy() + 0.01 * _closeness(jaccard, centres, centres_before)
    pairs = {jaccard.index[i]: jaccard.columns[j] for i, j in zip(*linear_sum_assignment(-score), strict=True)}
    kept = {a: b for a, b in pairs.items() if _lives_on(shared.loc[a, b], mine[a], theirs[b])}
    rows = [(a, *_origin(a, kept, shared, mine)) for a in mine.index]
    rows += [(*_fate(b, kept, shared, theirs),) for b in theirs.index if b not in kept.values()]
    names = before[before.segment_id >= 0].drop_duplicates("segment_id").set_index("segment_id").segment_name
    table = pd.DataFrame(rows, columns=["segment_id", "previous_id", "change"])
    known = [(a, b) if a >= 0 and b >= 0 else None for a, b in zip(table.segment_id, table.previous_id, strict=True)]
    return table.assign(
        previous_name=pd.Series([names.get(i, "") for i in table.previous_id], dtype="str"),
        shared=[int(shared.loc[pair]) if pair else 0 for pair in known],
        jaccard=[float(jaccard.loc[pair]) if pair else 0.0 for pair in known],
    ).astype({"change": "str"})


def _lives_on(shared: int, mine: int, theirs: int) -> bool:
    return shared > 0 and shared >= HALF * min(mine, theirs) and shared >= QUARTER * max(mine, theirs)


def _sizes(segments: pd.DataFrame) -> pd.Series:
    return segments.segment_id[segments.segment_id >= 0].value_counts().sort_index()


def _closeness(like: pd.DataFrame, centres: pd.DataFrame | None, centres_before: pd.DataFrame | None) -> np.ndarray:
    """1 where two centres coincide, falling with their distance; 0 without dimensions in common."""
    if centres is None or centres_before is None:
        return np.zeros(like.shape)
    common = [c for c in centres if c in centres_before and c not in ("segment_id", "customers")]
    a, b = _middles(centres, common).reindex(like.index), _middles(centres_before, common).reindex(like.columns)
    distances = np.nan_to_num(cdist(a, b), nan=np.inf)
    return 1 / (1 + distances) if common else np.zeros(like.shape)


def _middles(centres: pd.DataFrame, dimensions: list[str]) -> pd.DataFrame:
    """Centres (see `assign.centre_table`) -> the mean place of each segment's customers."""
    weighted = centres[dimensions].mul(centres.customers, axis=0).groupby(centres.segment_id).sum()
    return weighted.div(centres.groupby("segment_id").customers.sum(), axis=0)


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
    from active falls to watch; one that fails twice in a row, or whose last pass is over a year old, is retired (sunset) for good.
    """
    if state == "sunset" or expired or (verdict == "fail" and failed_before):
        return "sunset"
    if verdict == "pass":
        return {"": "proposed", "proposed": "pilot", "pilot": "active", "watch": "active"}.get(state, state)
    return {"": "proposed", "active": "watch"}.get(state, state)


def build_registry(
    lineage: pd.DataFrame, certificate: pd.DataFrame, as_of: dt.date, earlier: pd.DataFrame | None = None,
    earlier_as_of: dt.date | None = None,
) -> pd.DataFrame:  # fmt: skip
    """-> registry: key, segment_id, state, verdict, since, last_passed, expires, evidence; a row per segment ever known.

    key stays with a segment from run to run ("s" and a number). earlier: the previous run's registry. States rise and fall only when
    as_of is later than earlier_as_of, the latest day that a run has judged: the same days looked at again are no new evidence. Segments that are gone or merged
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
    again = earlier_as_of is not None and as_of <= earlier_as_of
    today, living = as_of.isoformat(), lineage[lineage.segment_id >= 0]
    unknown = SimpleNamespace(key="", state="", verdict="", since=today, last_passed="")
    for entry in living[living.change != "merged"].itertuples():
        former = held.get(entry.previous_id, unknown) if entry.change == "continued" else unknown
        number += former is unknown
        verdict = str(verdicts.verdict[entry.segment_id])
        passed = max(today if verdict == "pass" else "", former.last_passed)
        expires = (dt.date.fromisoformat(passed or former.since) + dt.timedelta(days=EXPIRY_DAYS)).isoformat()
        moved_on = next_state(former.state, verdict, former.verdict == "fail", today > expires)
        state = former.state if again and former is not unknown else moved_on
        told = f"{verdict} with stability {verdicts.stability[entry.segment_id]:.2f} as of {today}; {'first found' if entry.change == 'born' else entry.change}"
        key = former.key or f"s{number:04d}"
        rows.append((key, entry.segment_id, state, verdict, former.since, passed, expires, told))
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


def build_history(
    segments: pd.DataFrame, registry: pd.DataFrame, as_of: dt.date, earlier: pd.DataFrame | None = None
) -> pd.DataFrame:  # fmt: skip
    """-> history: customer_id, since (the as-of day of the run that first saw them there), key of the segment ("": in none).

    A row per customer and change, over all runs of the company. earlier: the previous run's history; what it says of this day is replaced, what
    it says of later ones (of a run that looked back) stays. Customers whom no source knows any more are forgotten.
    """
    today, keys = as_of.isoformat(), registry[registry.segment_id >= 0].set_index("segment_id").key
    now = pd.DataFrame({"customer_id": segments.customer_id, "since": today, "key": segments.segment_id.map(keys).fillna("")})
    if earlier is not None:
        known = earlier[(earlier.since != today) & earlier.customer_id.isin(now.customer_id)]
        before = known[known.since < today].sort_values("since").drop_duplicates("customer_id", keep="last")
        now = pd.concat([known, now[now.key != now.customer_id.map(before.set_index("customer_id").key)]])
    return now.astype("str").sort_values(["customer_id", "since"], ignore_index=True)
