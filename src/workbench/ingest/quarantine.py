"""Rows set aside: which, where, why – without their values, except in the private file; and what would bring them back."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa

from workbench.core import engine
from workbench.core.files import atomic_write
from workbench.ingest import values
from workbench.ingest.events import quarantined
from workbench.ingest.sources import SourceTable

COLUMNS = ["source", "file", "row", "column", "reason"]
TYPES = {"source": "str", "file": "str", "row": "int64", "column": "str", "reason": "str"}
DANGEROUS = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet takes such a cell for a formula
LOOKED_AT = 2000  # rows whose shapes explain a failing column
LONGEST_VALUE = 500
DATE = {"/": ("99/99/9999", "%d/%m/%Y", "%m/%d/%Y"), ".": ("99.99.9999", "%d.%m.%Y", "%m.%d.%Y"), "-": ("99-99-9999", "%d-%m-%Y", "%m-%d-%Y")}  # fmt: skip
CLOCKS = {"": "", " 99:99": " %H:%M", " 99:99:99": " %H:%M:%S"}
WHOLE = {5: "excel_serial", 10: "epoch_s", 13: "epoch_ms", 16: "epoch_us", 8: '"%Y%m%d"'}


def set_aside(sources: Mapping[str, SourceTable], events: ir.Table, records: pd.DataFrame | None = None) -> pd.DataFrame:
    """Every row that was not used -> frame: source, file, row, column, reason; sorted, without values.

    A line that was no row has no column, and its line number as row. records: rows that settle_records set aside.
    """
    parts = [quarantined(events), unreadable_lines(sources), *([] if records is None else [records])]
    whole = pd.concat([part.astype(TYPES) for part in parts if len(part)] or [pd.DataFrame(columns=COLUMNS).astype(TYPES)])
    return whole.sort_values(COLUMNS, ignore_index=True)


def unreadable_lines(sources: Mapping[str, SourceTable]) -> pd.DataFrame:
    """The lines that were no rows -> frame: source, file, row (the line), column (empty), reason."""
    lines = [(s.name, f.file, f.line, "", f.reason) for s in sources.values() for f in s.faults]
    return pd.DataFrame(lines, columns=COLUMNS)


def count_rows(aside: pd.DataFrame) -> pd.Series:
    """-> how many rows of each source were set aside, each counted once (line 5 of a file is not its row 5)."""
    apart = aside.assign(is_line=aside.column == "")
    return apart.drop_duplicates(["source", "file", "row", "is_line"]).groupby("source").size()


def with_values(con: Any, sources: Mapping[str, SourceTable], aside: pd.DataFrame) -> pd.DataFrame:
    """The same frame with `value`, the cell as the system wrote it (personal: for private/ alone; empty for a line).

    sources: as read_sources opened them.
    """
    parts = [aside[aside.column == ""].assign(value="")]
    for (source, column), group in aside[aside.column != ""].groupby(["source", "column"]):
        opened = sources[source]
        places = engine.as_table(
            con, pa.Table.from_pandas(group[["file", "row"]].drop_duplicates(), preserve_index=False), "aside"
        )
        table = opened.table
        cells = table.inner_join(places, [table[engine.FILE] == places.file, table[engine.ROW] == places.row])
        cells = cells.select("file", "row", value=table[column].cast("string").substr(0, LONGEST_VALUE))
        parts.append(group.merge(engine.fetch(cells), on=["file", "row"], how="left"))
    whole = pd.concat(parts, ignore_index=True)
    return whole.assign(value=whole.value.fillna("")).sort_values(COLUMNS, ignore_index=True)


def write_quarantine(path: Path, rows: pd.DataFrame) -> None:
    """Rows set aside -> a CSV that is safe to open in a spreadsheet, readable by the owner alone, whole or not at all."""
    texts = [c for c in rows.columns if c != "row"]
    safe = rows.assign(**{c: rows[c].where(~rows[c].str.startswith(DANGEROUS), "'" + rows[c]) for c in texts})
    atomic_write(path, lambda p: safe.to_csv(p, index=False, quoting=csv.QUOTE_ALL, encoding="utf-8"), mode=0o600)


def shapes_of(opened: SourceTable, rows: pd.DataFrame, column: str) -> pd.Series:
    """The shapes of a column's cells in some rows (file, row) -> shape -> how many; 03/04/2024 has the shape 99/99/9999."""
    looked = rows.head(LOOKED_AT)
    table = opened.table
    table = table.filter(
        table[engine.ROW].isin([int(row) for row in looked.row.unique()]), table[engine.FILE].isin([*looked.file.unique()])
    )
    shaped = table.select(shape=shape(table[column].cast("string").strip()))
    counted = shaped.group_by("shape").agg(n=shaped.count())
    return engine.fetch(counted.order_by([ibis.desc("n"), "shape"]).limit(10)).set_index("shape").n


def shape(text: ir.StringValue) -> ir.StringValue:
    """Digits become 9 and letters a: enough to see the format, not the value."""
    return text.re_replace(r"\d", "9").re_replace(r"\p{L}", "a").substr(0, 40)


def advice(opened: SourceTable, aside: pd.DataFrame) -> list[str]:
    """For each column that cannot be read, what to set, by the shapes of its cells; nothing where they tell nothing."""
    found = []
    reasons = (values.NOT_A_TIME, values.NOT_A_NUMBER)
    for (column, reason), group in aside[aside.reason.isin(reasons)].groupby(["column", "reason"]):
        shapes = shapes_of(opened, group, column)
        best = shapes.index[0] if len(shapes) else ""
        line = _for_time(best, _time_setting(opened, column)) if reason == values.NOT_A_TIME else _for_number(best, opened)
        found += [f'column "{column}" looks like {best}: {line}'] if line else []
    return found


def _time_setting(opened: SourceTable, column: str) -> str:
    name, source = f"sources.{opened.name}", opened.source
    for place, events in enumerate(source.events):
        if column in (events.at, events.ends_at):
            return f"{name}.events.{place}.at_format"
    return f"{name}.created_at_format" if column == source.created_at else f"{name}.birth_date_format"


def _for_time(seen: str, setting: str) -> str:
    """A shape such as 99/99/9999 -> the setting that reads it."""
    if seen.startswith("9999-99-99") or seen.startswith("9999/99/99"):
        return f"set {setting}: iso" if seen[4] == "-" else f'set {setting}: "%Y/%m/%d"'
    padded = seen
    for mark, (form, day_first, month_first) in DATE.items():
        short = {f"9{mark}9{mark}9999", f"99{mark}9{mark}9999", f"9{mark}99{mark}9999", form}
        for clock, pattern in CLOCKS.items():
            if padded in {s + clock for s in short}:
                return f'set {setting}: "{day_first}{pattern}" (day first) or "{month_first}{pattern}" (month first)'
    digits = seen.partition(".")[0].partition(",")[0]
    return f"set {setting}: {WHOLE[len(digits)]}" if set(digits) == {"9"} and len(digits) in WHOLE else ""


def _for_number(seen: str, opened: SourceTable) -> str:
    decimal = opened.source.decimal
    other = "," if decimal == "." else "."
    tail = seen.rpartition(other)[2]
    return f'set sources.{opened.name}.decimal: "{other}"' if other in seen and len(tail.strip(" a€$£¥)-")) != 3 else ""
