"""Source files as they are -> tables on the engine, every cell still as the system wrote it, unreadable rows set aside."""

from __future__ import annotations

import codecs
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import pyarrow as pa

from workbench.core import engine
from workbench.core.config import ChannelColumn, Config, Source, TypeColumn
from workbench.core.errors import InputError, did_you_mean
from workbench.core.inputs import find_file

PERSON_KINDS = ("crm", "marketing_automation", "email", "pos", "loyalty", "tickets", "survey")
WEB_PAGE = (b"<!doctype html", b"<html")


@dataclass(frozen=True)
class SourceTable:
    """One opened source: its declaration, its rows as an expression, and the lines that were no rows at all."""

    name: str
    source: Source
    table: ir.Table
    rows: int
    faults: list[tuple[int, str]] = field(default_factory=list)


def read_sources(con: Any, config: Config) -> dict[str, SourceTable]:
    """Every declared source -> {name: SourceTable}; raises InputError naming the file, what was found and the fix."""
    return {name: open_source(con, name, source) for name, source in config.sources.items()}


def open_source(con: Any, name: str, source: Source) -> SourceTable:
    """One source file -> SourceTable with the needed columns checked to exist and at least one row."""
    path = find_file(name, source)
    faults: list[tuple[int, str]] = []
    readers = {"parquet": _open_parquet, "excel": _open_excel, "jsonl": _open_json_lines, "csv": _open_csv}
    try:
        table, faults = readers[source.file_format](con, name, source, path)
    except InputError:
        raise
    except Exception as fault:
        reason = str(fault).splitlines()[0][:160]
        mend = "csv.encoding, for example cp1252 or utf-16," if isinstance(fault, UnicodeError) else "format,"
        raise InputError(
            f'source "{name}": {path} is not readable as {source.file_format}: {reason}',
            "Nothing was read.",
            f"set sources.{name}.{mend} or export the file again",
        ) from None
    rows = engine.count_rows(table)
    if rows == 0 and faults:
        raise InputError(
            f'source "{name}": {path}: none of {len(faults):,} lines is readable (line {faults[0][0]}: {faults[0][1].lower()}).',
            "Nothing was read.",
            f"set sources.{name}.format and csv.delimiter, or export the file again",
        )
    _check_columns(name, source, path, table.columns)
    if rows == 0:
        raise InputError(
            f'source "{name}": {path} has a header and no rows.',
            "An export that failed looks like this.",
            "export it again, or remove the source",
        )
    return SourceTable(name, source, table, rows + len(faults), faults)


def needed_columns(source: Source) -> dict[str, str]:
    """Every column that the declaration names -> the setting that names it."""
    named = {"record_id": source.record_id, "created_at": source.created_at}
    for part in ("identity", "profile", "consent"):
        named |= {f"{part}.{key}": column for key, column in getattr(source, part).items()}
    for i, events in enumerate(source.events):
        for key, value in events:
            if key in ("at_format", "zone", "since", "score_range"):
                continue
            for column in _columns_of(key, value):
                named[f"events.{i}.{key}"] = column
    if source.costs:
        named |= {"costs.item": source.costs.item, "costs.rate": source.costs.rate}
    return {column: setting for setting, column in named.items() if column}


def _columns_of(key: str, value: Any) -> list[str]:
    if value is None or (key in ("type", "channel") and isinstance(value, str)):
        return []
    if isinstance(value, (TypeColumn, ChannelColumn)) or hasattr(value, "column"):
        return [value.column]
    return list(value) if isinstance(value, tuple) else [value]


def _check_columns(name: str, source: Source, path: Path, found: tuple[str, ...]) -> None:
    missing = {c: s for c, s in needed_columns(source).items() if c not in found}
    if missing:
        known = [c for c in found if c != engine.ROW]
        lines = [
            f'source "{name}": {path} has no column "{c}" (sources.{name}.{s}).{did_you_mean(c, known)}'
            for c, s in missing.items()
        ]
        raise InputError(
            "\n".join(lines),
            "Nothing was read from it.",
            f"correct the names under sources.{name}, or export the file with these columns",
        )


def _open_parquet(con: Any, name: str, source: Source, path: Path) -> tuple[ir.Table, list]:
    table = engine.read_parquet(con, path)
    return table.mutate(**{engine.ROW: _row_number()}), []


def _row_number() -> Any:
    import ibis

    return ibis.row_number() + 1


def _open_excel(con: Any, name: str, source: Source, path: Path) -> tuple[ir.Table, list]:
    import pandas as pd

    frame = pd.read_excel(path, dtype=str, keep_default_na=False, na_values=[""], engine="openpyxl")
    frame.insert(0, engine.ROW, range(1, len(frame) + 1))
    return engine.as_table(con, pa.Table.from_pandas(frame, preserve_index=False), f"source_{name}"), []


def _open_json_lines(con: Any, name: str, source: Source, path: Path) -> tuple[ir.Table, list]:
    fields = list(needed_columns(source))
    table, faults = engine.read_json_lines(con, path, f"source_{name}", fields)
    seen = engine.fetch_row(table.agg(**{f"f{i}": table[f].notnull().any() for i, f in enumerate(fields)}))
    return table.drop(*[f for i, f in enumerate(fields) if not seen[f"f{i}"]]), faults


def _open_csv(con: Any, name: str, source: Source, path: Path) -> tuple[ir.Table, list]:
    delimiter = "\t" if source.csv.delimiter == "\\t" else source.csv.delimiter or ","
    with path.open("rb") as file:
        start = file.read(200).lstrip().lower()
    if start.startswith(WEB_PAGE):
        raise InputError(
            f'source "{name}": {path} is a web page, not an export.',
            "A login page saved by a download script looks like this.",
            "download the file again while logged in",
        )
    text = _as_utf8(path, source, name)
    try:
        _check_header(name, path, engine.read_header(text, delimiter, source.csv.skip_rows))
        table, faults = engine.read_delimited(con, text, f"source_{name}", delimiter, source.csv.skip_rows)
    finally:
        if text != path:
            text.unlink(missing_ok=True)
    if opened := [line for line, reason in faults if reason == engine.QUOTE_LEFT_OPEN]:
        raise InputError(
            f'source "{name}": {path}:{opened[0]}: a quotation mark is opened and not closed.',
            "The lines after it would be lost.",
            "correct that line, or export the file again",
        )
    return table, faults


def _check_header(name: str, path: Path, header: list[str]) -> None:
    if not header:
        raise InputError(
            f'source "{name}": {path} has no header.',
            "Nothing was read.",
            f"set sources.{name}.csv.skip_rows, or export it again",
        )
    folded = [column.casefold() for column in header]
    for column in header:
        places = [str(i + 1) for i, other in enumerate(folded) if other == column.casefold()]
        if len(places) > 1:
            raise InputError(
                f'source "{name}": {path} has more than one column "{column}" (columns {", ".join(places)}).',
                "Only one of them would count.",
                "export the file with one name per column",
            )


def _as_utf8(path: Path, source: Source, name: str) -> Path:
    """The file itself when it is UTF-8 without a mark, else a UTF-8 copy; raises InputError at the first wrong byte."""
    encoding = source.csv.encoding.lower() or "utf-8"
    with path.open("rb") as file:
        marked = file.read(3) == codecs.BOM_UTF8
    if encoding in ("utf-8", "utf8") and not marked and b"\r" not in path.read_bytes()[:1_000_000]:
        return path
    handle, copy = tempfile.mkstemp(suffix=".csv")
    try:
        reading = "utf-8-sig" if marked else encoding
        with path.open(encoding=reading, newline=None) as wrong, open(handle, "w", encoding="utf-8", newline="\n") as right:
            shutil.copyfileobj(wrong, right, 2**20)
    except (UnicodeError, LookupError) as fault:
        Path(copy).unlink(missing_ok=True)
        raise InputError(
            f'source "{name}": {path} is not written in {encoding}: {str(fault)[:120]}',
            "Names and words would be garbled.",
            f"set sources.{name}.csv.encoding, for example cp1252",
        ) from None
    return Path(copy)


def unreadable_lines(sources: Mapping[str, SourceTable]) -> Any:
    """Lines that were no rows at all -> frame: source, source_row, column (what is wrong with the line)."""
    import pandas as pd

    faults = [(s.name, line, reason.lower()) for s in sources.values() for line, reason in s.faults]
    return pd.DataFrame(faults, columns=["source", "source_row", "column"]).astype(
        {"source": "str", "source_row": "int64", "column": "str"}
    )


def describe_sources(sources: Mapping[str, SourceTable]) -> Any:
    """Opened sources -> frame: source, kind, origin, rows, note."""
    import pandas as pd

    return pd.DataFrame(
        [
            {"source": s.name, "kind": s.source.kind, "origin": s.source.origin, "rows": s.rows, "note": s.source.note}
            for s in sources.values()
        ]
    )
