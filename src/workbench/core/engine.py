"""The engine behind every event-sized table: an Ibis backend with a memory limit and a spill folder.

Ingest always computes on the embedded engine; what reads `events` afterwards computes on the configured one (`connect_configured`).

Only table expressions cross this door. Sums of money are decimals on the engine, so the order of rows never shows.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import operator
import shutil
import tempfile
import weakref
import zoneinfo
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa

from workbench.core.config import Engine
from workbench.core.files import atomic_write

if TYPE_CHECKING:
    import pandas as pd

MONEY = dt.Decimal(18, 4)
MOMENT = dt.Timestamp("UTC")
OURS = "_workbench_"  # how our own columns begin beside those of a source
ROW, FILE = f"{OURS}row", f"{OURS}file"  # number of the record in its file, from 1; the file's name
NOT_THERE = -1  # the place of a text that is none of some words
LINES = f"{OURS}lines"  # the view of a file that is being read
LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z
QUOTE_LEFT_OPEN = "QUOTE LEFT OPEN"


def connect(settings: Engine, spill: Path | None = None) -> ibis.BaseBackend:
    """A fresh embedded engine that spills to `spill` past its memory limit; by default to a folder of its own that goes with it.

    Two engines must never share a folder: each takes the other's files for its own. What is spilled may be personal (0700).
    """
    folder = spill or Path(tempfile.mkdtemp(prefix="workbench-spill-"))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    con = ibis.duckdb.connect(
        memory_limit=settings.memory_limit,
        threads=settings.threads,
        temp_directory=str(folder),
        autoinstall_known_extensions=False,
        autoload_known_extensions=False,
    )
    con.raw_sql("SET TimeZone = 'UTC'")
    if spill is None:
        weakref.finalize(con, shutil.rmtree, folder, ignore_errors=True)
    return con


def connect_configured(settings: Engine, spill: Path | None = None) -> ibis.BaseBackend:
    """The engine of the configuration: a fresh embedded one, or the process's Spark session (EnvironmentFault where it cannot start)."""
    if settings.backend == "duckdb":
        return connect(settings, spill)
    from workbench.core import spark

    return spark.connect(settings, spill)


def in_partitions(con: ibis.BaseBackend) -> Callable[[Callable, Iterable], Iterable]:
    """What an engine has for `map` over batches of customers: Spark computes each in a partition."""
    if not _is_spark(con):
        return map
    from workbench.core import spark

    return spark.each


@ibis.udf.scalar.builtin(name="timezone")
def _at_zone(zone: str, moment: dt.Timestamp("UTC")) -> dt.timestamp:
    """The clock on the wall of a zone at a moment (DuckDB's own function, translated for Spark in core/spark.py)."""


@ibis.udf.scalar.builtin(name="timezone")
def _from_zone(zone: str, clock: dt.timestamp) -> dt.Timestamp("UTC"):
    """The moment at which a zone's clock on the wall shows a time (DuckDB's own function)."""


@ibis.udf.scalar.builtin(name="sha256")
def hashed(text: str) -> str:
    """Text -> SHA-256 in lower-case hexadecimal (DuckDB's own function)."""


def local_time(moment: ir.TimestampValue, zone: str) -> ir.TimestampValue:
    """UTC moments -> naive local times of an IANA zone."""
    return _at_zone(zone, moment)


def local_times(table: ir.Table, column: str, zone: str) -> ir.TimestampValue:
    """A column of UTC moments -> naive local times of an IANA zone; on the embedded engine a fifth of the work of `local_time`.

    The moments at which the zone's clocks are changed are looked up once for all rows.
    """
    moment = table[column]
    if _is_spark(table.get_backend()):
        return local_time(moment, zone)
    span = fetch_row(table.agg(first=moment.min(), last=moment.max()))
    if span["first"] is None:
        return local_time(moment, zone)
    offsets = _offsets(zone, span["first"], span["last"])
    ahead = ibis.literal(offsets[-1][1])
    if offsets[:-1]:
        ahead = ibis.cases(*[(moment < until, seconds) for until, seconds in offsets[:-1]], else_=ahead)
    return _clock(_microseconds_of(moment) + ahead.cast("int64") * 1_000_000)


def _offsets(zone: str, first: datetime, last: datetime) -> list[tuple[datetime, int]]:
    """-> (moment until which it holds, seconds ahead of UTC) from the first to the last moment."""
    tz, hour = zoneinfo.ZoneInfo(zone), timedelta(hours=1)

    def ahead(moment: datetime) -> int:
        return int(moment.astimezone(tz).utcoffset().total_seconds())

    found, at = [], first.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while at < last:
        later = min(at + timedelta(days=7), last + hour)  # no zone changes its clocks twice within a week
        if ahead(at) != ahead(later):
            low, high = at, later
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) // 2
                low, high = (middle, high) if ahead(middle) == ahead(at) else (low, middle)
            found.append(((high + timedelta(milliseconds=500)).replace(microsecond=0), ahead(at)))
        at = later
    return [*found, (last, ahead(last))]


def utc_time(clock: ir.TimestampValue, zone: str) -> ir.TimestampValue:
    """Naive local times of an IANA zone -> UTC moments."""
    return _from_zone(zone, clock)


@ibis.udf.scalar.builtin(name="try_strptime")
def _try_strptime(text: str, pattern: str) -> dt.timestamp:
    """Text by a strptime pattern, missing where it does not fit (DuckDB's own function)."""


@ibis.udf.scalar.builtin(name="epoch_us")
def _microseconds(clock: dt.timestamp) -> int:
    """The time a clock shows -> microseconds since it showed 1970 (DuckDB's own function)."""


@ibis.udf.scalar.builtin(name="epoch_us")
def _microseconds_of(moment: dt.Timestamp("UTC")) -> int:
    """Microseconds from 1970 to a moment (DuckDB's own function)."""


@ibis.udf.scalar.builtin(name="make_timestamp")
def _clock(microseconds: int) -> dt.timestamp:
    """Microseconds since 1970 -> the time a clock shows then (DuckDB's own function)."""


@ibis.udf.scalar.builtin(name="make_timestamptz")
def _moment(microseconds: int) -> dt.Timestamp("UTC"):
    """Microseconds since 1970, UTC -> the moment (DuckDB's own function)."""


NAIVE_FORMATS = ("excel_serial", "hours", "days")
_EPOCHS = {"epoch_s": 1, "epoch_ms": 1000, "epoch_us": 1_000_000}  # per second
_ISO = r"^\d{4}[-/]\d{1,2}[-/]\d{1,2}(?:$|[T ]+(?:[01]?\d|2[0-3])\b)"  # the engine itself takes 24:00 for tomorrow
_DAY = 86_400_000  # milliseconds


def trimmed(column: ir.Column, empty: str | None = "") -> ir.Column:
    """Text without blanks around it, nothing else being `empty`; a look at both ends is a quarter of the work, and mostly enough.

    A column of another type comes back as it is. (Vertical tabs and form feeds are control characters, which are removed before.)
    """
    if not column.type().is_string():
        return column
    blank = functools.reduce(operator.or_, (column.endswith(end) for end in " \t\n\r"), column < "!")
    bare = column.strip() if empty is not None else column.strip().nullif("")
    return ibis.cases((blank, bare), else_=column)


def parse_moment(column: ir.Column, pattern: str, zone: str, since: date | None = None) -> ir.TimestampValue:
    """A column as the system wrote it -> UTC moments, missing where it is not a time.

    pattern: iso (naive times are the zone's; Z and offsets are honoured), epoch_s, epoch_ms, epoch_us, excel_serial (days of the
    1900 system), hours or days since the day `since`, or a strptime pattern. zone: IANA name; empty: naive times are no times.
    A clock time that a zone skips in spring is moved on by the skipped hour; one that it shows twice in autumn is the later one.
    """
    if pattern in _EPOCHS:
        number = column.try_cast("int64")
        latest = LAST_SECOND * _EPOCHS[pattern]
        return _moment(ibis.cases((number.between(-latest // 4, latest), number)) * (1_000_000 // _EPOCHS[pattern]))
    if pattern in NAIVE_FORMATS and not column.type().is_temporal():
        return _in_zone(_counted_clock(column, pattern, since), zone)
    if column.type().is_numeric():  # 19970101 is a day as it is written, no count of seconds
        column = column.try_cast("int64").cast("string")
    if not column.type().is_string():
        return column.cast(MOMENT) if getattr(column.type(), "timezone", None) else _in_zone(column.cast("timestamp"), zone)
    text = trimmed(column)
    if pattern != "iso":
        clock = _try_strptime(text, pattern)
        return clock.cast(MOMENT) if "%z" in pattern else _in_zone(clock, zone)
    # The most frequent forms, and quick: 2017-01-31 and 2017-01-31 09:30:00 without a zone.
    with_clock = column.like("____-__-__ __:__:__") & (column.substr(11, 2) < "24") & ~column.contains("+")
    plain = (column >= "0") & (column < ":") & (column.like("____-__-__") | with_clock)
    # A letter or sign after the hour is a zone: honoured if it can be read, else the value is no time.
    absolute, upper = text.re_search(r":.*[A-Za-z+-]"), text.upper()
    with_seconds = upper.re_replace(r"^(\S+[T ]\d\d:\d\d)( ?[A-Z+-])", r"\1:00\2").try_cast(MOMENT)
    clock = _in_zone(text.try_cast("timestamp"), zone)
    return ibis.cases(
        (plain, _in_zone(column.try_cast("timestamp"), zone)),
        (~text.re_search(_ISO), None),
        (absolute, ibis.coalesce(upper.try_cast(MOMENT), with_seconds)),
        else_=clock,
    )


def _in_zone(clock: ir.TimestampValue, zone: str) -> ir.TimestampValue:
    if zone == "UTC":
        return _moment(_microseconds(clock))  # three times as quick as looking the zone up
    return utc_time(clock, zone) if zone else ibis.null(MOMENT)


def _counted_clock(column: ir.Column, pattern: str, since: date | None) -> ir.TimestampValue:
    """A number of hours or days -> the time that a clock shows then, to the millisecond."""
    number = (column.replace(",", ".") if column.type().is_string() else column).try_cast("float64")
    if pattern == "excel_serial":
        # Excel takes 1900 for a leap year: its day 60 was never, and the days before it count from one day later.
        number = ibis.cases((number.between(61, 2_958_466), number), (number.between(1, 59.999999), number + 1))
        first = date(1899, 12, 30)
    else:
        number = ibis.cases((number.between(-1e6, 3e6 if pattern == "days" else 5e7), number))
        first = since or date(1970, 1, 1)
    length = _DAY // 24 if pattern == "hours" else _DAY
    return (((number * length).round() + (first - date(1970, 1, 1)).days * _DAY).cast("int64")).as_timestamp("ms")


_MINUS = "\u2212"
_BLANK = "\u00a0\u202f\u2009"  # blanks that are no spaces


def plain_number(column: ir.Column, decimal: str) -> ir.DecimalValue:
    """Digits with at most a decimal mark (blanks around them or not), by far the most frequent and quick -> exact decimals, else missing."""
    if not column.type().is_string():
        return column.try_cast(MONEY)
    if decimal == ",":
        return ibis.cases((~column.contains("."), column.replace(",", ".").try_cast(MONEY)))
    return column.try_cast(MONEY)


def parse_number(column: ir.Column, decimal: str, plain: ir.DecimalValue | None = None) -> ir.DecimalValue:
    """A column as the system wrote it -> exact decimals, missing where it is not a number; thousands marks are dropped.

    Thousands marks: the other one of point and comma, an apostrophe, or a blank, between groups of three digits.
    plain: what `plain_number` found, where it is known already.
    """
    plain = plain_number(column, decimal) if plain is None else plain
    if not column.type().is_string():
        return plain
    text = trimmed(column)
    grouped = text.re_search(rf"^[+-]?(?:{_grouped(decimal)})$")
    digits = ibis.cases((grouped, _without_marks(text, decimal)), else_=text).replace(decimal, ".").try_cast(MONEY)
    return ibis.coalesce(plain, digits)


def parse_money(column: ir.Column, decimal: str, plain: ir.DecimalValue | None = None) -> ir.DecimalValue:
    """The same for amounts of money: $5, 5 EUR, (25.00), 5- and a typographic minus are read too."""
    plain = plain_number(column, decimal) if plain is None else plain
    if not column.type().is_string():
        return plain
    text, mark, sign = trimmed(column), _MARK, f"[-+{_MINUS}]"
    blank = rf"[\s{_BLANK}]*"
    number = rf"(?:\d+(?:[{decimal}]\d*)?|[{decimal}]\d+|{_grouped(decimal)})"
    forms = (
        rf"{sign}?{blank}{mark}?{blank}{number}{blank}{mark}?",
        rf"{mark}?{blank}{sign}{blank}{number}{blank}{mark}?",
        rf"{mark}?{blank}{number}{blank}(?:[-{_MINUS}]{blank}{mark}?|{mark}?{blank}[-{_MINUS}])",
        rf"{mark}?{blank}\({blank}{mark}?{blank}{number}{blank}{mark}?{blank}\){blank}{mark}?",
    )
    sound = text.re_search(rf"^(?:{'|'.join(forms)})$")
    digits = ibis.cases((sound, _without_marks(text, decimal)), else_=text).replace(decimal, ".").try_cast(MONEY)
    signed = ibis.cases((text.re_search(f"[({_MINUS}-]"), -digits.abs()), else_=digits).cast(MONEY)
    return ibis.coalesce(plain, signed)


def currency_mark(column: ir.StringColumn) -> ir.StringValue:
    """The currency code or symbol ($ € £ ¥) beside an amount, missing where there is none."""
    code, symbol = column.re_extract(r"([A-Z]{3})", 1), column.re_extract(r"([$€£¥])", 1)
    return ibis.coalesce(code.nullif(""), symbol.nullif(""))


def parse_code(column: ir.Column, bare: ir.Column | None = None) -> ir.StringValue:
    """A record number or code -> its one spelling: 1.0 is 1, blanks go, leading zeros and every digit stay; missing when empty.

    bare: the column without blanks around it, missing when empty, where it is known already.
    """
    text = (trimmed(column, empty=None) if bare is None else bare).cast("string")
    whole = text.endswith(".0") & text.re_search(r"^\d+\.0$")
    return ibis.cases((whole, text.substr(0, text.length() - 2)), else_=text)


_MARK = r"(?:[A-Z]{3}|[$€£¥])"


def _grouped(decimal: str) -> str:
    """A pattern of digits in groups of three, with one kind of mark between them."""
    marks = (r"\." if decimal == "," else ",", "['’]", f"[ {_BLANK}]")
    return "|".join(rf"\d{{1,3}}(?:{mark}\d{{3}})+(?:[{decimal}]\d+)?" for mark in marks)


def _without_marks(text: ir.StringValue, decimal: str) -> ir.StringValue:
    return text.re_replace(rf"[^0-9{decimal}+-]|[+-]$", "")


def constants(table: ir.Table) -> dict[str, ir.Scalar]:
    """The columns of an expression that are one literal in every row, as they are declared -> {column: literal}.

    Writing and sorting what is the same everywhere costs as much as what differs: such columns are left out and put back.
    """
    found = {name: _constant(table.op(), name) for name in table.columns}
    return {name: value.to_expr() for name, value in found.items() if value is not None}


def _constant(relation: ops.Relation, name: str) -> ops.Value | None:
    match relation:
        case ops.Union():
            left, right = _constant(relation.left, name), _constant(relation.right, name)
            return left if left == right else None
        case ops.Project():
            value = relation.values[name]
            if isinstance(value, ops.Field):
                return _constant(value.rel, value.name)
            return None if value.relations or not value.shape.is_scalar() else value
        case ops.Filter() | ops.Sort() | ops.DropColumns():
            return _constant(relation.parent, name)
    return None


def with_constants(table: ir.Table, fixed: Mapping[str, ir.Scalar], columns: Sequence[str]) -> ir.Table:
    """The table with constant columns put back, in the order of `columns`."""
    return table.select(**{name: fixed[name] if name in fixed else table[name] for name in columns})


def together(tables: Sequence[ir.Table]) -> ir.Table:
    """The rows of one or more tables of the same columns."""
    return ibis.union(*tables) if len(tables) > 1 else tables[0]


def in_order(table: ir.Table, first: Sequence[str], words: Mapping[str, Sequence[str]]) -> ir.Table:
    """Rows sorted by the columns `first`, those alike in them by a 64-bit hash of all others: one order whatever the order before.

    Of the embedded engine alone. By a short key of fixed width ten million rows sort in three quarters of the time that all columns take.
    words: as of `few_words`; as enumerations they are sorted and written at a fraction of what texts cost.
    """
    con = table.get_backend()
    rest = ", ".join(_name(column) for column in table.columns if column not in first)
    key = ", ".join([*map(_name, first), f"hash({rest})"])
    rows = _as_words(con.compile(table), words)
    return con.sql(f"SELECT * FROM ({rows}) ORDER BY {key}", schema=table.schema())


def few_words(table: ir.Table, columns: Sequence[str]) -> dict[str, list[str]]:
    """Those text columns that hold few different words -> {column: its words, sorted}."""
    if not columns:
        return {}
    # Not as one list for each: a column of millions of words has to be able to spill. Two more: one too many, and what is missing.
    kinds = [table.select(word=table[c]).distinct().limit(FEW_WORDS + 2).mutate(column=ibis.literal(c)) for c in columns]
    found = fetch(together(kinds)).dropna()
    return {column: sorted(words) for column, words in found.groupby("column").word if len(words) <= FEW_WORDS}


def _as_words(query: str, words: Mapping[str, Sequence[str]]) -> str:
    """A query with text columns as enumerations of their words; in Parquet, and to every reader of it, they are texts again."""
    casts = [f"CAST({_name(c)} AS ENUM({', '.join(map(_quoted, of))})) AS {_name(c)}" for c, of in words.items()]
    return f"SELECT * REPLACE ({', '.join(casts)}) FROM ({query})" if casts else query


@contextlib.contextmanager
def apart() -> Iterator[None]:
    """While it lasts, an expression's steps are compiled as queries within queries, never merged into one with everything repeated."""
    before, ibis.options.sql.fuse_selects = ibis.options.sql.fuse_selects, False
    try:
        yield
    finally:
        ibis.options.sql.fuse_selects = before


def stage(table: ir.Table) -> ir.Table:
    """The same expression with its columns computed once, however often later steps use them.

    Between `apart` and its end nothing has to be done for it.
    """
    if not ibis.options.sql.fuse_selects:
        return table
    con, fixed = table.get_backend(), constants(table)
    varying = _varying(table, fixed)
    return with_constants(con.sql(con.compile(varying), schema=varying.schema()), fixed, table.columns)


def as_view(con: ibis.BaseBackend, table: ir.Table, name: str) -> ir.Table:
    """The same expression under a name, of which further steps are compiled without compiling it again; of the embedded engine alone."""
    fixed = constants(table)
    return with_constants(_view(con, name, con.compile(_varying(table, fixed))), fixed, table.columns)


def _view(con: ibis.BaseBackend, name: str, query: str) -> ir.Table:
    view = f"{name}_{next(_numbers)}"
    con.raw_sql(f"CREATE TEMP VIEW {_name(view)} AS {query}")
    return con.table(view)


def _varying(table: ir.Table, fixed: Mapping[str, ir.Scalar]) -> ir.Table:
    names = [name for name in table.columns if name not in fixed]
    return table.select(*(names or table.columns[:1]))


def materialize(con: ibis.BaseBackend, table: ir.Table, name: str, on_disk: bool = False) -> ir.Table:
    """Compute an expression once and keep it on the engine (spilling to disk if need be) for several readers.

    on_disk: as a Parquet file where the engine spills, gone with the engine. For event-sized tables of which every reader takes a few columns: what
    exceeds the memory limit would be packed and unpacked again, all columns of it, at each reading.
    """
    if _is_spark(con):
        from workbench.core import spark

        return spark.materialize(con, table, name)
    fixed = constants(table)
    varying = _varying(table, fixed)
    if on_disk:
        path = Path(con.raw_sql("SELECT current_setting('temp_directory')").fetchone()[0]) / f"{name}.parquet"
        written = {"compression": "lz4_raw", "dictionary_size_limit": DIFFERENT}
        atomic_write(path, lambda p: con.to_parquet(varying, str(p), **written), mode=0o600)
        weakref.finalize(con, path.unlink, missing_ok=True)
        return with_constants(read_parquet(con, path), fixed, table.columns)
    # Not create_table: with overwrite it writes every row twice.
    con.raw_sql(f'CREATE OR REPLACE TEMP TABLE "{name}" AS {con.compile(varying)}')
    return with_constants(con.table(name), fixed, table.columns)


def is_among(column: ir.StringColumn, words: Iterable[str]) -> ir.BooleanValue:
    """Whether a text is one of some words. Asked of an array, the engine looks at each word of a column once; isin looks at each row."""
    return ibis.array(list(words)).contains(column)


def with_place(table: ir.Table, column: str, words: Sequence[str]) -> ir.Table:
    """The table with {column}_place: the place of a column's text among some words, NOT_THERE where it is none of them."""
    name = f"{column}_place"
    if len(words) <= FEW_WORDS:
        place = ibis.array(list(words)).index(table[column]) if len(words) else ibis.literal(NOT_THERE)
        return table.mutate(**{name: place.fill_null(NOT_THERE).cast("int32")})
    arrow = pa.table({"word": pa.array(words, pa.string()), name: pa.array(range(len(words)), pa.int32())})
    places = as_table(table.get_backend(), arrow, f"places_of_{column}")
    joined = table.left_join(places, table[column] == places.word).drop("word")
    return joined.mutate(**{name: joined[name].fill_null(NOT_THERE)})


def fetch(table: ir.Table) -> pd.DataFrame:
    """A customer-sized expression -> pandas frame (through Arrow: texts are str, moments are UTC, missing is missing)."""
    return _to_arrow(table).to_pandas()


def fetch_row(table: ir.Table) -> dict[str, Any]:
    """An expression of one row -> {column: plain value}."""
    return _to_arrow(table).to_pylist()[0]


def count_rows(table: ir.Table) -> int:
    """How many rows an expression has."""
    return fetch_row(table.agg(rows=table.count()))["rows"]


def read_parquet(con: ibis.BaseBackend, path: Path) -> ir.Table:
    """A Parquet file as an expression."""
    if _is_spark(con):
        from workbench.core import spark

        return spark.read_parquet(con, path)
    return con.read_parquet(str(path))


def write_parquet(con: ibis.BaseBackend, table: ir.Table, path: Path, mode: int = 0o644) -> None:
    """An expression of the embedded engine -> one Parquet file, rows in the expression's order, whole or not at all."""
    fixed = {name: value.op() for name, value in constants(table).items() if value.type().is_string()}
    words = {name: [value.value] for name, value in fixed.items() if isinstance(value, ops.Literal) and value.value is not None}
    table = con.sql(_as_words(con.compile(table), words), schema=table.schema()) if words else table
    atomic_write(path, lambda p: con.to_parquet(table, str(p), string_dictionary_page_size_limit=LARGEST_DICTIONARY), mode)


def write_csv(con: ibis.BaseBackend, table: ir.Table, path: Path, mode: int = 0o644) -> None:
    """An expression of the embedded engine -> one CSV file in UTF-8 with a header, rows in the expression's order, whole or not at all."""
    atomic_write(path, lambda p: con.to_csv(table, str(p)), mode)


def write_json_lines(con: ibis.BaseBackend, table: ir.Table, path: Path, mode: int = 0o644) -> None:
    """An expression of the embedded engine -> one JSON object per line, rows in the expression's order, whole or not at all."""
    query = con.compile(table)
    atomic_write(path, lambda p: con.raw_sql(f"COPY ({query}) TO {_quoted(p)} (FORMAT json, ARRAY false)"), mode)


def as_table(con: ibis.BaseBackend, arrow: pa.Table, name: str) -> ir.Table:
    """An Arrow table as an expression of the engine."""
    if _is_spark(con):
        from workbench.core import spark

        return spark.as_table(con, arrow, name)
    return con.create_table(name, arrow, temp=True, overwrite=True)


def _to_arrow(table: ir.Table) -> pa.Table:
    if _is_spark(table.get_backend()):
        from workbench.core import spark

        return spark.to_arrow(table)
    return table.to_pyarrow()


def _is_spark(con: ibis.BaseBackend) -> bool:
    return con.name == "pyspark"


# Text of any size becomes Parquet first: that is parallel, keeps the order of the rows, needs no memory, and numbers them for free.
LONGEST_ROW = 1_000_000  # bytes; a longer row of a delimited file is set aside
LONGEST_LINE = 4_000_000  # bytes; the same of a line of JSON
_numbers = itertools.count()


def lines(con: ibis.BaseBackend, width: int) -> ir.Table:
    """The text columns c0, c1, … of a file that is yet to be read: what a query for `copy_delimited` is made from."""
    con.raw_sql(
        f"CREATE OR REPLACE TEMP VIEW {LINES} AS SELECT {', '.join(f'CAST(NULL AS VARCHAR) AS c{n}' for n in range(width))}"
    )
    return con.table(LINES)


def query_of(table: ir.Table) -> str:
    """An expression over `lines` -> the query that makes its columns, as c0, c1, …, of a file's rows."""
    return table.get_backend().compile(table.rename({f"c{n}": column for n, column in enumerate(table.columns)}))


def copy_delimited(
    con: ibis.BaseBackend,
    path: Path,
    target: Path,
    width: int,
    picks: Sequence[int],
    delimiter: str,
    skip: int,
    crlf: bool = False,
    query: str = f"FROM {LINES}",
) -> tuple[int, list[tuple[int, int, str]]]:
    """Columns `picks` of a UTF-8 text file of `width` columns, as text c0, c1, … or what `query` makes of them -> Parquet.

    `skip` records are passed over (the header among them). -> (rows, unreadable ones as (line, byte, reason)), where line counts
    records and byte is where the record begins. query: as of `query_of`; row for row, else rows could not be numbered.
    """
    cells = [f"replace(f{i}, chr(13) || chr(10), chr(10))" if crlf else f"f{i}" for i in picks]
    chosen = ", ".join(f"{cell} AS c{n}" for n, cell in enumerate(cells))
    blank = " WHERE f0 IS NOT NULL" if width == 1 else ""  # elsewhere the engine itself leaves blank lines out
    rejects = f"rejects_{next(_numbers)}"
    columns = "{" + ", ".join(f"f{i}: 'VARCHAR'" for i in range(width)) + "}"
    reader = (
        f"read_csv([{_quoted(path)}], header=false, all_varchar=true, delim={_quoted(delimiter)}, quote='\"', escape='\"', skip={skip}, nullstr='', "
        f"auto_detect=false, columns={columns}, compression='none', strict_mode=true, ignore_errors=true, store_rejects=true, "
        f"rejects_table='{rejects}', rejects_scan='{rejects}_scan', max_line_size={LONGEST_ROW})"
    )
    try:
        con.raw_sql(f"CREATE OR REPLACE TEMP VIEW {LINES} AS SELECT {chosen} FROM {reader}{blank}")
        rows = con.con.execute(f"COPY ({query}) TO {_quoted(target)} {_PARQUET}").fetchone()[0]
        # An unclosed quote that reaches past its own line has swallowed the lines after it.
        reason = f"CASE WHEN error_type = 'UNQUOTED VALUE' AND contains(csv_line, chr(10)) THEN '{QUOTE_LEFT_OPEN}' ELSE CAST(error_type AS VARCHAR) END"
        faults = con.con.execute(
            f'SELECT line, min(line_byte_position) - 1, min({reason}) FROM "{rejects}" GROUP BY line ORDER BY line'
        ).fetchall()
    finally:
        for table in (rejects, f"{rejects}_scan"):
            con.raw_sql(f'DROP TABLE IF EXISTS "{table}"')
    return rows, faults


def copy_nothing(con: ibis.BaseBackend, width: int, target: Path, query: str = f"FROM {LINES}") -> None:
    """What `copy_delimited` writes for a file without rows."""
    lines(con, width)
    con.raw_sql(f"COPY (FROM ({query}) LIMIT 0) TO {_quoted(target)} {_PARQUET}")


def copy_json_lines(con: ibis.BaseBackend, path: Path, target: Path, fields: Sequence[str]) -> tuple[int, list[int], int]:
    """One JSON object per line -> Parquet with one row per line: text columns c0, c1, … and is_row.

    A field is a name or a dotted path of nested ones. -> (lines, those that are neither blank nor an object, lines that the engine
    left out because of their bytes or length).
    """
    paths = [p for field in fields for p in _json_paths(field)]
    picks = "".join(
        f"coalesce(json_extract_string(json, ?), json_extract_string(json, ?)) AS c{n}, " for n, _ in enumerate(fields)
    )
    rejects = f"rejects_{next(_numbers)}"
    lines = (
        "SELECT line, CASE WHEN json_type(try_cast(line AS JSON)) = 'OBJECT' THEN CAST(line AS JSON) END AS json FROM read_csv(?, header=false, "
        "all_varchar=true, delim='\\x01', quote='', escape='', auto_detect=false, columns={'line': 'VARCHAR'}, nullstr='', compression='none', "
        f"ignore_errors=true, store_rejects=true, rejects_table=?, rejects_scan=?, max_line_size={LONGEST_LINE})"
    )
    try:
        count = con.con.execute(
            f"COPY (SELECT {picks}CASE WHEN trim(line, ' \t\r') <> '' THEN json IS NOT NULL END AS is_row FROM ({lines})) "
            f"TO {_quoted(target)} {_PARQUET}",
            [*paths, str(path), rejects, f"{rejects}_scan"],
        ).fetchone()[0]
        left_out = con.con.execute(f'SELECT count(DISTINCT line) FROM "{rejects}"').fetchone()[0]
    finally:
        for table in (rejects, f"{rejects}_scan"):
            con.raw_sql(f'DROP TABLE IF EXISTS "{table}"')
    faults = con.con.execute(
        f"SELECT file_row_number + 1 FROM read_parquet({_quoted(target)}) WHERE NOT is_row ORDER BY 1"
    ).fetchall()
    return count, [line for (line,) in faults], left_out


def json_fields_there(con: ibis.BaseBackend, path: Path, fields: Sequence[str]) -> list[str]:
    """Which of the fields (or dotted paths) any line of a file of JSON lines has, if only as null."""
    if not fields:
        return []
    tests = ", ".join("coalesce(bool_or(json_exists(json, ?) OR json_exists(json, ?)), false)" for _ in fields)
    paths = [p for field in fields for p in _json_paths(field)]
    lines = (
        "SELECT try_cast(line AS JSON) AS json FROM read_csv(?, header=false, all_varchar=true, delim='\\x01', quote='', escape='', "
        f"auto_detect=false, columns={{'line': 'VARCHAR'}}, nullstr='', compression='none', ignore_errors=true, max_line_size={LONGEST_LINE})"
    )
    found = con.con.execute(f"SELECT {tests} FROM ({lines})", [*paths, str(path)]).fetchone()
    return [field for field, is_there in zip(fields, found, strict=True) if is_there]


def _json_paths(field: str) -> tuple[str, str]:
    """A field as nested ones and, since a name may hold a dot, as a flat one."""
    return "$." + ".".join(f'"{part}"' for part in field.split(".")), f'$."{field}"'


def has_values(con: ibis.BaseBackend, path: Path, column: str) -> bool:
    """Whether a column of a Parquet file holds anything."""
    return con.con.execute(f"SELECT count({column}) > 0 FROM read_parquet({_quoted(path)})").fetchone()[0]


def count_marked(con: ibis.BaseBackend, path: Path) -> int:
    """How many lines of a file that copy_json_lines wrote are rows."""
    return con.con.execute(f"SELECT count(*) FROM read_parquet({_quoted(path)}) WHERE is_row").fetchone()[0]


def copy_batches(con: ibis.BaseBackend, width: int, batches: Iterable[Sequence[Sequence[str | None]]], target: Path) -> int:
    """Batches of rows of text, as they come -> Parquet with text columns c0, c1, …; -> how many rows."""
    schema, faults = pa.schema([(f"c{n}", pa.string()) for n in range(width)]), []

    def made() -> Iterator[pa.RecordBatch]:
        try:
            for batch in batches:
                if batch:
                    yield pa.RecordBatch.from_arrays([pa.array(c, pa.string()) for c in zip(*batch, strict=True)], schema=schema)
        except Exception as fault:
            faults.append(fault)  # the engine would tell it in words of its own
            raise

    name = f"batches_{next(_numbers)}"
    con.con.register(name, pa.RecordBatchReader.from_batches(schema, made()))
    try:
        return con.con.execute(f'COPY (SELECT * FROM "{name}") TO {_quoted(target)} {_PARQUET}').fetchone()[0]
    except Exception:
        if faults:
            raise faults[0] from None
        raise
    finally:
        con.con.unregister(name)


def read_parts(con: ibis.BaseBackend, name: str, parts: Sequence[tuple[Path, str, int]], columns: Sequence[str]) -> ir.Table:
    """Files that copy_* wrote, as (path, name of the source's file, row numbers before it) -> one expression.

    Columns: ROW (int64, from 1 in each file), FILE, and `columns` (text) in the order in which they were copied.
    """
    # One literal list each, looked up by the number of the file: a join by name would cost more than the reading.
    paths = ", ".join(_quoted(path) for path, _, _ in parts)
    places = ", ".join(_quoted(file) for _, file, _ in parts)
    before = ", ".join(str(offset) for _, _, offset in parts)
    at = "[file_index::BIGINT + 1]" if len(parts) > 1 else "[1]"
    found = con.con.execute(f"SELECT * FROM read_parquet({_quoted(parts[0][0])}) LIMIT 0").description
    has_marks = "is_row" in [column[0] for column in found]
    chosen = "".join(f", c{n} AS {_name(column)}" for n, column in enumerate(columns))
    return _view(
        con,
        name,
        f"SELECT CAST(file_row_number + 1 + [{before}]{at} AS BIGINT) AS {ROW}, "
        f"[{places}]{at} AS {FILE}{chosen} FROM read_parquet([{paths}]){' WHERE is_row' if has_marks else ''}",
    )


def read_parquet_files(con: ibis.BaseBackend, name: str, files: Sequence[tuple[Path, str]], columns: Sequence[str]) -> ir.Table:
    """Parquet files of others, as (path, name) -> one expression of ROW, FILE and `columns`, types as they are."""
    chosen = "".join(f", {_name(column)}" for column in columns)
    selects = [
        f"SELECT CAST(file_row_number + 1 AS BIGINT) AS {ROW}, {_quoted(file)} AS {FILE}{chosen} FROM read_parquet([{_quoted(path)}])"
        for path, file in files
    ]
    return _view(con, name, " UNION ALL ".join(selects))


LARGEST_DICTIONARY = 100_000  # bytes; looking for repeats among texts that hardly repeat takes longer than writing them
FEW_WORDS = 1_000  # a column with more different texts is no column of words
DIFFERENT = 1_000  # values; past so many in a column, no repeats are looked for in files that only this machine reads
_PARQUET = f"(FORMAT parquet, COMPRESSION lz4_raw, DICTIONARY_SIZE_LIMIT {DIFFERENT})"


def _quoted(text: Path | str) -> str:
    return "'" + str(text).replace("'", "''") + "'"


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
