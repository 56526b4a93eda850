"""What stops a run once values are converted: faults that no single row may decide, each with the exact fix."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import ibis
import ibis.expr.types as ir
import pandas as pd

from workbench.core import engine
from workbench.core.config import Config
from workbench.core.errors import InputError
from workbench.ingest import values
from workbench.ingest.sources import SourceTable, open_source

MARK = r"^(?:[$€£¥]|[A-Z]{3})$"


def check_events(sources: Mapping[str, SourceTable], events: ir.Table, config: Config) -> None:
    """Raise InputError for times without a zone, currencies without a rate, two decimal marks."""
    found = _counted(events)
    for fault in found.itertuples():
        opened = sources[fault.source]
        if fault.reason == values.NAIVE:
            raise values.naive_times(fault.source, fault.column, f"{fault.rows:,} rows, the first is row {fault.first}")
        if fault.reason == values.UNRATED:
            raise values.unrated(
                fault.source, f'column "{fault.column}"', _currencies(opened, fault.column, config), config.company
            )
        if fault.reason == values.NOT_A_NUMBER:
            _check_decimal_marks(opened, fault.column)


def _counted(events: ir.Table) -> pd.DataFrame:
    bad = events.filter(events.fault.notnull())
    counted = bad.group_by("source", column=bad.fault, reason=bad.reason).agg(rows=bad.count(), first=bad.source_row.min())
    return engine.fetch(counted.order_by(["source", "column", "reason"]))


def _currencies(opened: SourceTable, column: str, config: Config) -> list[str]:
    """The codes and symbols of a column, the most frequent first; what is neither is called "another word"."""
    cell = opened.table[column].cast("string").strip()
    is_code = any(events.currency == column for events in opened.source.events)
    table = opened.table.select(mark=cell.upper() if is_code else engine.currency_mark(cell))
    table = table.filter(table.mark.notnull(), table.mark != "")
    counted = table.group_by(mark=ibis.cases((table.mark.re_search(MARK), table.mark), else_="another word")).agg(n=table.count())
    return engine.fetch(counted.order_by([ibis.desc("n"), "mark"]).limit(8)).mark.tolist()


def _check_decimal_marks(opened: SourceTable, column: str) -> None:
    """Raise InputError where one column has both 1,234.50 and 1.234,50."""
    if not opened.table[column].type().is_string():
        return
    found = _count_marks(opened.table, column)
    if opened.has_events and found["comma" if opened.source.decimal == "." else "point"]:
        # Plain numbers were converted on reading: only now do they have to be read as text.
        found = _count_marks(open_source(opened.table.get_backend(), opened.name, opened.source).table, column)
    if found["comma"] and found["point"]:
        raise InputError(
            f'source "{opened.name}": column "{column}" has numbers with a decimal comma, such as 1.234,50 ({found["comma"]:,} rows, the '
            f"first is row {found['first_comma']}), and with a decimal point, such as 1,234.50 ({found['point']:,} rows, the first is "
            f"row {found['first_point']}).",
            "Some would be read a hundred or a thousand times too large, so nothing was ingested.",
            f'export the column with one decimal mark and declare it:\n  sources: {{{opened.name}: {{decimal: ","}}}}   (or ".")\n'
            "  or declare the two kinds of rows as two sources",
        )


def _count_marks(table: ir.Table, column: str) -> dict[str, int]:
    """Numbers with a decimal comma and with a decimal point, and the first row of each."""
    text = table[column].strip()
    # Only values that cannot be read the other way count: 1.234 may be a thousand or a fraction.
    unmistakable = {",": r"(?:\.\d{3}|^\D*\d+),\d+\D*$", ".": r"(?:,\d{3}|^\D*\d+)\.\d+\D*$"}
    table = table.select(
        row=table[engine.ROW],
        comma=text.re_search(unmistakable[","]) & ~text.re_search(r"^\D*\d{1,3},\d{3}\D*$"),
        point=text.re_search(unmistakable["."]) & ~text.re_search(r"^\D*\d{1,3}\.\d{3}\D*$"),
    )
    return engine.fetch_row(
        table.agg(
            comma=table.comma.sum(), point=table.point.sum(),
            first_comma=table.row.min(where=table.comma), first_point=table.row.min(where=table.point),
        )
    )  # fmt: skip


def check_as_of(events: ir.Table, config: Config) -> None:
    """Raise InputError where the events of all sources together are none, or none before as_of."""
    timed = events.filter(events.occurred_at.notnull(), events.reason.isnull() | (events.reason == values.AFTER))
    zone = config.company.zone  # as_of is a day there
    found = engine.fetch_row(
        timed.agg(
            first=engine.local_time(timed.occurred_at.min(), zone).date(),
            last=engine.local_time(timed.occurred_at.max(), zone).date(),
            before=timed.count(where=~values.is_after(timed.occurred_at, values.start_of(config, config.as_of))),
        )
    )
    if found["first"] is None and (not engine.count_rows(events) or config.ingest.max_reject_share == 1):
        names = ", ".join(name for name, source in config.sources.items() if source.events)
        raise InputError(
            f"0 events can be used: no row of {names} is one.",
            "Without what customers did there is nothing to describe.",
            "look whether the exports have rows, and whether `where` and `type.values` under sources.NAME.events name words that occur",
        )
    if found["first"] is not None and not found["before"]:
        later = found["last"] + dt.timedelta(days=found["last"] == found["first"])
        raise InputError(
            f"0 events before as_of {config.as_of} (data: {found['first']}..{found['last']}).",
            "Features describe what happened before as_of, so there is nothing to describe.",
            f"set as_of to a day within the data (that day's own events count as what follows), such as:\n  as_of: {later}",
        )
