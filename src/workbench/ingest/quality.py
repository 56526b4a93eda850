"""What each source is worth: rows read and set aside, completeness, duplicates, freshness, and what linked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import pandas as pd

from workbench.core.engine import fetch_row
from workbench.core.errors import InputError
from workbench.ingest.quarantine import advice, count_rows
from workbench.ingest.sources import SourceTable
from workbench.ingest.values import AFTER


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
        causes = [
            f'{n:,} rows: column "{c}" {r}' if c else f"{n:,} lines: {r}"
            for (c, r), n in group[["column", "reason"]].value_counts().head(3).items()
        ]
        first = ", ".join(str(row) for row in group.row.head(3))
        lines.append(
            f'source "{source}": {over.share[source]:.1%} of the rows cannot be used ({"; ".join(causes)}; first rows {first}).'
        )
        fixes += advice(sources[source], group)
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
