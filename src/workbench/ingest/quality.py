"""What each source is worth: rows read and set aside, completeness, duplicates, freshness, and what linked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import pandas as pd

from workbench.core.engine import fetch_row
from workbench.core.errors import InputError
from workbench.ingest.sources import SourceTable


def check_rejects(sources: Mapping[str, SourceTable], quarantine: pd.DataFrame, limit: float) -> pd.DataFrame:
    """-> frame: source, rows, accepted, quarantined, share (rows = accepted + quarantined); InputError above the limit."""
    # Lines that were no rows are counted in the file's lines, the others in its rows: line 5 is not row 5.
    reasons = {fault.reason for s in sources.values() for fault in s.faults}
    apart = quarantine.assign(is_line=quarantine.column.isin(reasons))
    bad = apart.drop_duplicates(["source", "source_row", "is_line"]).groupby("source").size()
    rows = pd.DataFrame({"source": list(sources), "rows": [s.rows for s in sources.values()]})
    rows["quarantined"] = rows.source.map(bad).fillna(0).astype(int)
    rows["accepted"] = rows.rows - rows.quarantined
    rows["share"] = rows.quarantined / rows.rows
    over = rows[rows.share > limit]
    if len(over):
        lines = []
        for source, group in quarantine[quarantine.source.isin(over.source)].groupby("source"):
            columns = ", ".join(f'"{c}" ({n:,})' for c, n in group.column.value_counts().head(3).items())
            first = ", ".join(str(r) for r in group.source_row.head(3))
            share = float(over.share[over.source == source].iloc[0])
            lines.append(f'source "{source}": {share:.1%} of the rows cannot be read (column {columns}; first rows {first}).')
        raise InputError(
            "\n".join(lines),
            f"More than ingest.max_reject_share = {limit:.1%} is missing, so results would mislead.",
            "correct the column map (formats, zone, decimal) or the export; to go on regardless raise ingest.max_reject_share",
        )
    return rows[["source", "rows", "accepted", "quarantined", "share"]]


def quality_table(
    sources: Mapping[str, SourceTable],
    rows: pd.DataFrame,
    identifiers: pd.DataFrame,
    is_known: pd.Series,
    latest: pd.Series,
    refused: pd.DataFrame,
    as_of: dt.date,
) -> pd.DataFrame:
    """-> the quality table: source, check, rows, share, severity, example; sorted by source and check.

    is_known: True per record of a known person, indexed by source; latest: last event per source.
    """
    found = []
    for row in rows.itertuples(index=False):
        found.append(
            _line(row.source, "rows set aside as unreadable", row.quarantined, row.share, "warn" if row.quarantined else "info")
        )
    for (source, kind), group in identifiers.groupby(["source", "identifier"]):
        missing = int(group.value.isna().sum())
        shared = int(group.dropna(subset=["value"]).groupby("value").record_id.nunique().gt(1).sum())
        found.append(
            _line(
                source,
                f"{kind}: not usable (no valid value, or a placeholder)",
                missing,
                missing / len(group),
                "warn" if missing else "info",
            )
        )
        found.append(
            _line(
                source,
                f"{kind}: values on more than one record",
                shared,
                shared / max(group.value.nunique(), 1),
                "warn" if shared else "info",
            )
        )
    for source, mine in is_known.groupby(level=0):
        share = float(mine.mean())
        found.append(_line(source, "records that belong to a known person", mine.sum(), share, "info" if share > 0.9 else "warn"))
    for source, moment in latest.items():
        days = max((as_of - moment.date()).days, 0)
        found.append(_line(source, "days from the last event to as_of", days, 0.0, "warn" if days > 31 else "info"))
    for (kind, reason), group in refused.groupby(["identifier", "reason"]):
        found.append(_line("all sources", f"{kind}: link refused, {reason}", int(group.records.sum()), 0.0, "warn"))
    return pd.DataFrame(found).sort_values(["source", "check"], ignore_index=True).astype({"example": "str"})


def completeness(sources: Mapping[str, SourceTable]) -> pd.DataFrame:
    """-> frame: source, column, filled (share of rows with a value), for identity and profile columns."""
    lines = []
    for opened in sources.values():
        columns = [
            *dict.fromkeys([*opened.source.identity.values(), *opened.source.profile.values(), *opened.source.consent.values()])
        ]
        if not columns:
            continue
        table = opened.table
        filled = fetch_row(
            table.agg(
                **{f"f{i}": table[c].cast("string").strip().nullif("").count() / table.count() for i, c in enumerate(columns)}
            )
        )
        lines += [{"source": opened.name, "column": c, "filled": float(filled[f"f{i}"])} for i, c in enumerate(columns)]
    return pd.DataFrame(lines, columns=["source", "column", "filled"])


def masked(value: str) -> str:
    """gregory.perez@example.org -> g…@e…; +12125550123 -> +1…23: enough to find the row, not the person."""
    if "@" in value:
        name, _, domain = value.partition("@")
        return f"{name[:1]}…@{domain[:1]}…"
    return f"{value[:2]}…{value[-2:]}" if len(value) > 4 else "…"


def _line(source: str, check: str, rows: int, share: float, severity: str) -> dict:
    return {"source": source, "check": check, "rows": int(rows), "share": float(share), "severity": severity, "example": None}
