"""What each source is worth: rows read and set aside, completeness, duplicates, freshness, and what linked."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping

import pandas as pd

from workbench.core.errors import InputError
from workbench.ingest.quarantine import advice, count_rows
from workbench.ingest.sources import SourceTable
from workbench.ingest.values import AFTER, NO_TIME, OUTSIDE

KNOWN, FILLED, STALE_DAYS = 0.9, 0.5, 31  # below, below, above: worth a warning


def check_rejects(sources: Mapping[str, SourceTable], aside: pd.DataFrame, limit: float) -> pd.DataFrame:
    """-> frame: source, rows, accepted, quarantined, share (rows = accepted + quarantined); InputError above the limit.

    sources: as read_sources opened them; aside: source, file, row, column, reason.
    """
    rows = pd.DataFrame({"source": list(sources), "rows": [s.rows for s in sources.values()]})
    rows["quarantined"] = rows.source.map(count_rows(aside)).fillna(0).astype(int)
    rows["accepted"] = rows.rows - rows.quarantined
    rows["share"] = (rows.quarantined / rows.rows).fillna(0.0)
    over = rows[rows.share > limit]
    if len(over):
        raise _too_many(sources, aside[aside.source.isin(over.source)], over.set_index("source"), limit)
    return rows[["source", "rows", "accepted", "quarantined", "share"]]


def _too_many(sources: Mapping[str, SourceTable], aside: pd.DataFrame, over: pd.DataFrame, limit: float) -> InputError:
    """The refusal of sources with too many unreadable rows; the fix by the shapes of the cells that fail."""
    lines, fixes = [], []
    for source, group in aside.groupby("source"):
        causes = causes_of(group, with_place=False)[:3]
        first = ", ".join(str(row) for row in group.row.head(3))
        lines.append(
            f'source "{source}": {over.share[source]:.1%} of the rows cannot be used ({"; ".join(causes)}; first rows {first}).'
        )
        fixes += advice(sources[source], group)
        if NO_TIME in set(group.reason) and len(sources[source].source.events) > 1:
            column = group.column[group.reason == NO_TIME].iloc[0]
            fixes.append(
                f'where an empty "{column}" only says that it did not happen, let the events say so: where: {{column: {json.dumps(column)}}}'
            )
        if OUTSIDE in set(group.reason):
            fixes.append(f"declare the answers that are none, such as 99, as sources.{source}.missing, or correct score_range")
        if AFTER in set(group.reason):
            fixes.append("events after data_until: set data_until to the day the exports were made, where as_of lies before it")
    return InputError(
        "\n".join(lines),
        f"More than ingest.max_reject_share = {limit:.1%} is missing, so results would mislead.",
        "\n".join(
            [
                *(fixes[:4] or ["correct the column map (formats, zone, decimal, missing) or the export"]),
                "or, to go on regardless, raise ingest.max_reject_share",
            ]
        ),
    )


def causes_of(aside: pd.DataFrame, with_place: bool = True) -> list[str]:
    """Rows set aside of one source -> words for each column and reason, the most frequent first, with its first row."""
    counted = aside.groupby(["column", "reason"], as_index=False).agg(rows=("row", "size"), first=("row", "min"))
    counted = counted.sort_values(["rows", "column", "reason"], ascending=[False, True, True])
    found = []
    for c in counted.itertuples():
        kind = "row" if c.column else "line"
        place = f" ({'' if c.rows == 1 else 'the first is '}{kind} {c.first})" if with_place else ""
        what = f'column "{c.column}" {c.reason}' if c.column else c.reason
        found.append(f"{c.rows:,} {kind}{'' if c.rows == 1 else 's'}: {what}{place}")
    return found


def quality_table(
    sources: Mapping[str, SourceTable],
    rows: pd.DataFrame,
    identifiers: pd.DataFrame,
    is_known: pd.Series,
    latest: pd.Series,
    refused: pd.DataFrame,
    filled: pd.DataFrame,
    as_of: dt.date,
) -> pd.DataFrame:
    """-> the quality table: source, check, rows, share, severity, example; sorted by source and check.

    is_known: True per record of a known customer, indexed by source; latest: last event per source; filled: see `completeness`.
    """
    found = [_line(r.source, "rows set aside", r.quarantined, r.share, r.quarantined > 0) for r in rows.itertuples()]
    found += [
        _line(name, "what was put right on reading", len(s.notes), 0.0, False, "; ".join(s.notes)) for name, s in sources.items()
    ]
    for (source, kind), group in identifiers.groupby(["source", "identifier"]):
        found += _identifier_lines(source, kind, group)
    for source, mine in is_known.groupby(level=0):
        found.append(_line(source, "records of a known customer", mine.sum(), float(mine.mean()), mine.mean() <= KNOWN))
    for source, moment in latest.items():
        days = max((as_of - moment.date()).days, 0)
        found.append(_line(source, "days from the last event to as_of", days, 0.0, days > STALE_DAYS))
    for r in filled.itertuples():
        found.append(_line(r.source, f"{r.part} {r.attribute}: filled", r.rows, r.filled, r.filled < FILLED))
    for (kind, reason), group in refused.groupby(["identifier", "reason"]):
        found.append(_line("all sources", f"{kind}: link refused, {reason}", int(group.records.sum()), 0.0, True))
    return pd.DataFrame(found).sort_values(["source", "check"], ignore_index=True).astype({"example": "str"})


def _identifier_lines(source: str, kind: str, group: pd.DataFrame) -> list[dict]:
    """How many identifiers of one kind are usable, and how many stand on several records."""
    missing = int(group.value.isna().sum())
    shared = int(group.dropna(subset=["value"]).groupby("value").record_id.nunique().gt(1).sum())
    return [
        _line(source, f"{kind}: not usable (no valid value, or a placeholder)", missing, missing / len(group), missing > 0),
        _line(source, f"{kind}: values on more than one record", shared, shared / max(group.value.nunique(), 1), shared > 0),
    ]


def _line(source: str, check: str, rows: int, share: float, is_warning: bool, example: str | None = None) -> dict:
    severity = "warn" if is_warning else "info"
    return {
        "source": source,
        "check": check,
        "rows": int(rows),
        "share": float(share),
        "severity": severity,
        "example": example or None,
    }
