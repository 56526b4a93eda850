"""The engine behind every event-sized table: an Ibis backend with a memory limit and a spill folder.

Only table expressions cross this door. Sums of money are decimals on the engine, so the order of rows never shows.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa

from workbench.core.config import Engine
from workbench.core.files import atomic_write

if TYPE_CHECKING:
    import pandas as pd

MONEY = dt.Decimal(18, 4)
MOMENT = dt.Timestamp("UTC")
ROW = "source_row"
LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z
QUOTE_LEFT_OPEN = "QUOTE LEFT OPEN"


def connect(settings: Engine, spill: Path | None = None) -> ibis.BaseBackend:
    """A fresh embedded engine that spills to `spill` (a temporary folder by default) past its memory limit."""
    folder = spill or Path(tempfile.gettempdir()) / "workbench-spill"
    con = ibis.duckdb.connect(
        memory_limit=settings.memory_limit,
        threads=settings.threads,
        temp_directory=str(folder),
        autoinstall_known_extensions=False,
        autoload_known_extensions=False,
    )
    con.raw_sql("SET TimeZone = 'UTC'")
    return con


@ibis.udf.scalar.builtin(name="timezone")
def _at_zone(zone: str, moment: dt.Timestamp("UTC")) -> dt.timestamp:
    """The clock on the wall of a zone at a moment (DuckDB's own function)."""


@ibis.udf.scalar.builtin(name="timezone")
def _from_zone(zone: str, clock: dt.timestamp) -> dt.Timestamp("UTC"):
    """The moment at which a zone's clock on the wall shows a time (DuckDB's own function)."""


def local_time(moment: ir.TimestampValue, zone: str) -> ir.TimestampValue:
    """UTC moments -> naive local times of an IANA zone."""
    return _at_zone(zone, moment)


def utc_time(clock: ir.TimestampValue, zone: str) -> ir.TimestampValue:
    """Naive local times of an IANA zone -> UTC moments."""
    return _from_zone(zone, clock)


@ibis.udf.scalar.builtin(name="try_strptime")
def _try_strptime(text: str, pattern: str) -> dt.timestamp:
    """Text by a strptime pattern, missing where it does not fit (DuckDB's own function)."""


def parse_moment(column: ir.Column, pattern: str, zone: str) -> ir.TimestampValue:
    """A column as the system wrote it -> UTC moments, missing where it is not a time.

    pattern: iso (naive times are the zone's; Z and offsets are honoured), epoch_ms, epoch_s, or a strptime pattern.
    """
    if pattern in ("epoch_ms", "epoch_s"):
        number, unit = column.try_cast("int64"), "ms" if pattern == "epoch_ms" else "s"
        latest = LAST_SECOND * (1000 if unit == "ms" else 1)
        sound = number.between(-latest // 4, latest)
        return utc_time(ibis.cases((sound, number)).as_timestamp(unit), "UTC")
    if not column.type().is_string():
        return column.cast(MOMENT) if getattr(column.type(), "timezone", None) else utc_time(column.cast("timestamp"), zone)
    text = column.strip()
    if pattern != "iso":
        clock = _try_strptime(text, pattern)
        return clock.cast(MOMENT) if "%z" in pattern else utc_time(clock, zone)
    # A letter or sign after the hour is a zone: honoured if it can be read, else the value is no time.
    absolute = text.re_search(r":.*[A-Za-z+-]")
    clock = utc_time(text.try_cast("timestamp"), zone)
    return ibis.cases((~text.re_search(r"^\d{4}\D"), None), (absolute, text.upper().try_cast(MOMENT)), else_=clock)


def parse_number(column: ir.Column, decimal: str) -> ir.DecimalValue:
    """A column as the system wrote it -> exact decimals, missing where it is not a number; thousands marks are dropped."""
    if not column.type().is_string():
        return column.try_cast(MONEY)
    thousands = "." if decimal == "," else ","
    text = column.strip()
    grouped = text.re_search(rf"^[+-]?\d{{1,3}}([{thousands}]\d{{3}})+([{decimal}]\d+)?$")
    text = ibis.cases((grouped, text.replace(thousands, "")), else_=text)
    return (text.replace(",", ".") if decimal == "," else text).try_cast(MONEY)


def materialize(con: ibis.BaseBackend, table: ir.Table, name: str) -> ir.Table:
    """Compute an expression once and keep it on the engine (spilling to disk if need be) for several readers."""
    return con.create_table(name, table, temp=True, overwrite=True)


def fetch(table: ir.Table) -> pd.DataFrame:
    """A customer-sized expression -> pandas frame (through Arrow: texts are str, moments are UTC, missing is missing)."""
    return table.to_pyarrow().to_pandas()


def fetch_row(table: ir.Table) -> dict[str, Any]:
    """An expression of one row -> {column: plain value}."""
    return table.to_pyarrow().to_pylist()[0]


def count_rows(table: ir.Table) -> int:
    """How many rows an expression has."""
    return table.count().to_pyarrow().as_py()


def read_parquet(con: ibis.BaseBackend, path: Path) -> ir.Table:
    """A Parquet file as an expression."""
    return con.read_parquet(str(path))


def write_parquet(con: ibis.BaseBackend, table: ir.Table, path: Path) -> None:
    """An expression -> one Parquet file, rows in the expression's order, whole or not at all."""
    atomic_write(path, lambda p: con.to_parquet(table, str(p)))


def as_table(con: ibis.BaseBackend, arrow: pa.Table, name: str) -> ir.Table:
    """An Arrow table as an expression of the engine."""
    return con.create_table(name, arrow, temp=True, overwrite=True)


def read_delimited(
    con: ibis.BaseBackend, path: Path, name: str, delimiter: str, skip: int
) -> tuple[ir.Table, list[tuple[int, str]]]:
    """A UTF-8 text file, every column as text plus its row number -> (table, unreadable lines as (line, reason))."""
    reader = (
        "read_csv(?, header=true, all_varchar=true, delim=?, quote='\"', escape='\"', skip=?, nullstr='', "
        "strict_mode=true, ignore_errors=true, store_rejects=true, rejects_table=?, rejects_scan=?, auto_detect=false, columns=?)"
    )
    header = read_header(path, delimiter, skip)
    rejects = f"{name}_rejects"
    statement = f'CREATE OR REPLACE TEMP TABLE "{name}" AS SELECT row_number() OVER () AS {ROW}, * FROM {reader}'
    con.raw_sql(f'DROP TABLE IF EXISTS "{rejects}"')
    con.con.execute(statement, [str(path), delimiter, skip, rejects, f"{rejects}_scan", dict.fromkeys(header, "VARCHAR")])
    # An unclosed quote that reaches past its own line has swallowed the lines after it.
    reason = f"CASE WHEN error_type = 'UNQUOTED VALUE' AND contains(csv_line, chr(10)) THEN '{QUOTE_LEFT_OPEN}' ELSE CAST(error_type AS VARCHAR) END"
    faults = con.con.execute(f'SELECT line, min({reason}) FROM "{rejects}" GROUP BY line ORDER BY line').fetchall()
    return con.table(name), faults


def read_header(path: Path, delimiter: str, skip: int) -> list[str]:
    """The column names of a UTF-8 text file as they are written, before anything is read."""
    import csv

    with path.open(encoding="utf-8", newline="") as file:
        for _ in range(skip):
            file.readline()
        return next(csv.reader(file, delimiter=delimiter), [])


def read_json_lines(con: ibis.BaseBackend, path: Path, name: str, fields: list[str]) -> tuple[ir.Table, list[tuple[int, str]]]:
    """One JSON object per line; nested fields by dotted path, all as text -> (table, unreadable lines)."""
    picks = ", ".join(f'json_extract_string(json, ?) AS "{field}"' for field in fields)
    paths = ["$." + ".".join(f'"{part}"' for part in field.split(".")) for field in fields]
    lines = "SELECT row_number() OVER () AS source_row, line FROM read_csv(?, header=false, all_varchar=true, delim='\\x01', quote='', escape='', auto_detect=false, columns={'line': 'VARCHAR'}, max_line_size=16777216)"
    con.con.execute(
        f'CREATE OR REPLACE TEMP TABLE "{name}" AS SELECT {ROW}, json, {picks} '
        f"FROM (SELECT source_row AS {ROW}, try_cast(line AS JSON) AS json FROM ({lines}) WHERE trim(line) <> '')",
        [*paths, str(path)],
    )
    faults = con.con.execute(f"SELECT {ROW}, 'NOT JSON' FROM \"{name}\" WHERE json IS NULL ORDER BY 1").fetchall()
    return con.table(name).filter(lambda t: t.json.notnull()).drop("json"), faults
