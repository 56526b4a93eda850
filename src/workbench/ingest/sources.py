"""The declared sources -> tables on the engine, every cell still as the system wrote it, unreadable rows set aside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ibis.expr.types as ir

from workbench.core import engine
from workbench.core.config import ChannelColumn, Config, Source, TypeColumn
from workbench.core.errors import InputError, ParameterError
from workbench.core.files import disk_fault, sha256
from workbench.core.inputs import find_files, shown
from workbench.ingest import headers, values
from workbench.ingest.convert import RAW_ID, Kept, kept_of_text
from workbench.ingest.databases import read_database
from workbench.ingest.readers import FileReader, check_kind
from workbench.ingest.store import Fault, Part, Store

PERSON_KINDS = ("crm", "marketing_automation", "email", "pos", "loyalty", "tickets", "survey")
OURS = ("customer_id", "kind", "first_seen_at")  # columns of the customers table
SETTINGS_OF_EVENTS = ("at_format", "zone", "since", "score_range", "question")  # of an events declaration: no names of columns


@dataclass(frozen=True)
class SourceTable:
    """One opened source: its declaration, its rows as an expression, the lines that were no rows, and what was put right.

    table: the declared columns, engine.ROW and engine.FILE; has_events: what its rows tell happened is there as well, and of its cells
    only those that convert.Kept names. rows = rows of the table + faults. notes: sentences for readers.
    """

    name: str
    source: Source
    table: ir.Table
    rows: int
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: int = 1
    read_rows: int = 0
    reused_rows: int = 0

    @property
    def has_events(self) -> bool:
        """Whether the events were converted when the source was read."""
        return RAW_ID in self.table.columns


def read_sources(con: Any, config: Config) -> dict[str, SourceTable]:
    """Every declared source -> {name: SourceTable}; raises InputError naming the file, what was found and the fix."""
    check_declared(config)
    return {name: open_source(con, name, source, config.ingest.store, config) for name, source in config.sources.items()}


def check_declared(config: Config) -> None:
    """Raise ParameterError for declarations that fit no run: nobody to describe, names of ours, the same events twice."""
    if not any(source.record_id for source in config.sources.values()):
        raise ParameterError(
            "no source declares record_id.",
            "Without records there are no customers to describe.",
            "name the column that tells one customer from another:\n  sources: {NAME: {record_id: COLUMN}}",
        )
    _check_attributes(config)
    declared: dict[tuple, str] = {}
    for name, source in config.sources.items():
        origin = source.path or (source.database.url, source.database.table)
        for place, events in enumerate(source.events):
            other = declared.setdefault((origin, source.sheet, events.model_dump_json()), name)
            if other != name or events in source.events[:place]:
                raise ParameterError(
                    f"sources.{name}.events.{place}: sources.{other} declares the same events of the same {'file' if source.path else 'table'}.",
                    "They would be counted twice.",
                    f"remove one of the two, or let sources.{name}.events.{place}.where tell their rows apart",
                )


def _check_attributes(config: Config) -> None:
    """Attributes become columns of the customers table: none may have the name of another column of it."""
    own = {key for source in config.sources.values() if not source.lookup for key in source.profile}
    for name, source in config.sources.items():
        for key in source.profile:
            what = "a column of ours" if key in OURS or key.startswith("consent_") else "an attribute of another source"
            if key in OURS or key.startswith("consent_") or (source.lookup and key in own):
                raise ParameterError(
                    f'sources.{name}.profile.{key}: "{key}" is the name of {what}.',
                    "The two could not be told apart.",
                    f"choose another name on the left:\n  sources: {{{name}: {{profile: {{my_{key}: {json.dumps(source.profile[key], ensure_ascii=False)}}}}}}}",
                )


def open_source(con: Any, name: str, source: Source, store: str = "", config: Config | None = None) -> SourceTable:
    """One source -> SourceTable with the needed columns checked to exist and at least one row (if it is not optional).

    store: folder of what was read before; empty: everything is read. config: with one, events of text files are converted on reading.
    """
    import duckdb

    needed = needed_columns(source)
    _check_reserved(name, needed)
    shelf = Store(con, name, store)
    try:
        if source.database:
            parts = {source.database.table: [read_database(con, name, source.database, needed, shelf)]}
            opened = _of_parts(con, name, source, parts, kept_of_text(con, name, source, None, needed), [])
        elif source.file_format == "parquet":
            opened = _open_parquet(con, name, source, needed)
        else:
            opened = _open_files(con, name, source, FileReader(con, name, source, needed, shelf, config))
        _check_rows(opened)
        shelf.finish()
    except duckdb.Error as fault:
        raise _unreadable(name, source, fault) from None
    return opened


def _open_files(con: Any, name: str, source: Source, reader: FileReader) -> SourceTable:
    kept, parts, notes = reader.kept(), {}, []
    paths = find_files(name, source)
    for path in paths:
        parts[shown(path)], found = reader.read(path)
        notes += [(note, shown(path)) for note in found]
    return _of_parts(con, name, source, parts, kept, [*_told(notes, len(paths)), *_twins(paths)])


def _twins(paths: list[Path]) -> list[str]:
    """Files of a pattern that are copies of another one, in words: their rows count twice."""
    by_size: dict[int, list[Path]] = {}
    for path in paths:
        by_size.setdefault(path.stat().st_size, []).append(path)
    found, seen = [], {}
    for path in (path for size, alike in sorted(by_size.items()) if size and alike[1:] for path in alike):
        first = seen.setdefault(sha256(path), path)
        found += [] if first is path else [f"warning: {shown(path)} is a copy of {shown(first)}, so its rows count twice"]
    return found


def _told(notes: list[tuple[str, str]], files: int) -> list[str]:
    """(note, file) -> sentences: a note on several files is told once, with how many."""
    by_note: dict[str, list[str]] = {}
    for note, file in notes:
        by_note.setdefault(note, []).append(file)
    return [
        f"{places[0]}: {note}"
        if files > 1 and len(places) == 1
        else f"{note} ({len(places)} of {files} files)"
        if files > 1
        else note
        for note, places in by_note.items()
    ]


def _of_parts(con: Any, name: str, source: Source, parts: Mapping[str, list[Part]], kept: Kept, notes: list[str]) -> SourceTable:
    """Parts of files, as {file: parts} -> SourceTable; row numbers go on from part to part of a file."""
    placed = [
        (p.path, file, sum(q.numbers for q in of_file[:n])) for file, of_file in parts.items() for n, p in enumerate(of_file)
    ]
    everything = [part for of_file in parts.values() for part in of_file]
    table = kept.table(engine.read_parts(con, f"source_{name}", placed, kept.stored), source)
    faults = [Fault(file, line, reason) for file, of_file in parts.items() for part in of_file for line, reason in part.faults]
    rows = sum(part.rows for part in everything)
    reused = sum(part.rows for part in everything if part.is_reused)
    return SourceTable(name, source, table, rows + len(faults), faults, notes, len(parts), rows - reused, reused)


def _open_parquet(con: Any, name: str, source: Source, needed: Mapping[str, str]) -> SourceTable:
    """Parquet keeps its types and needs no copy."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files, notes = [], []
    for path in find_files(name, source):
        refuse = headers.refusal(name, shown(path))
        check_kind(name, "parquet", path, refuse)
        try:
            columns = pq.read_schema(path).names
        except (pa.ArrowException, OSError) as fault:
            raise refuse(
                f" is not readable as parquet: {str(fault).splitlines()[0][:120]}", "Nothing was read.", "export the file again"
            ) from None
        headers.check_names(columns, needed, refuse)
        if not set(needed) <= set(columns):
            raise headers.missing_columns(name, needed, columns, refuse)
        notes += [(note, shown(path)) for note in headers.name_notes(columns, columns, needed)]
        files.append((path, shown(path)))
    table = values.without_missing(engine.read_parquet_files(con, f"source_{name}", files, list(needed)), source)
    rows = engine.count_rows(table)
    return SourceTable(name, source, table, rows, [], _told(notes, len(files)), len(files), rows)


def _check_rows(opened: SourceTable) -> None:
    if opened.rows == 0 and not opened.source.optional:
        where = f"table {opened.source.database.table}" if opened.source.database else opened.source.path
        raise InputError(
            f'source "{opened.name}": {where} has a header and no rows.',
            "An export that failed looks like this.",
            f"export it again, remove the source, or set sources.{opened.name}.optional: true",
        )


def _check_reserved(name: str, needed: Mapping[str, str]) -> None:
    """Names that the engine could not tell apart are refused, ours among them."""
    folded: dict[str, str] = {}
    for column, setting in needed.items():
        if column.casefold().startswith(engine.OURS):
            raise InputError(
                f'source "{name}": the column "{column}" (sources.{name}.{setting}) begins with "{engine.OURS}", as columns of ours do.',
                "The two could not be told apart.",
                "rename it in the export",
            )
        if column.casefold() in folded:
            raise InputError(
                f'source "{name}": the column "{column}" (sources.{name}.{setting}) has the same name as "{folded[column.casefold()]}", '
                "if case is ignored.",
                "The two could not be told apart.",
                "rename one of them in the export",
            )
        folded[column.casefold()] = column


def _unreadable(name: str, source: Source, fault: Exception) -> Exception:
    """What the engine says -> an error of ours; never with its excerpts of the data."""
    reason = str(fault).splitlines()[0][:160]
    if "No space left" in reason or "File too large" in reason or "Could not write" in reason or "spill" in reason:
        return disk_fault(Path(source.path or "."), fault)
    return InputError(
        f'source "{name}": {source.path} is not readable as {source.file_format} ({type(fault).__name__}).',
        "Nothing was read.",
        f"set sources.{name}.format or export the file again",
    )


def needed_columns(source: Source) -> dict[str, str]:
    """Every column that the declaration names -> the setting that names it."""
    named = {"record_id": source.record_id, "created_at": source.created_at}
    for part in ("identity", "profile", "consent"):
        named |= {f"{part}.{key}": column for key, column in getattr(source, part).items()}
    for i, events in enumerate(source.events):
        for key, value in events:
            if key not in SETTINGS_OF_EVENTS:
                named |= {
                    f"events.{i}.{key}" + (f".{n}" if n else ""): column for n, column in enumerate(_columns_of(key, value))
                }
    if source.costs:
        named |= {"costs.item": source.costs.item, "costs.rate": source.costs.rate}
    if source.lookup:
        named["lookup.column"] = source.lookup.column
    needed: dict[str, str] = {}
    for setting, column in named.items():
        if column:
            needed.setdefault(column, setting)
    return needed


def _columns_of(key: str, value: Any) -> list[str]:
    if value is None or (key in ("type", "channel") and isinstance(value, str)):
        return []
    if isinstance(value, (TypeColumn, ChannelColumn)) or hasattr(value, "column"):
        return [value.column]
    return list(value) if isinstance(value, tuple) else [value]


def describe_sources(sources: Mapping[str, SourceTable]) -> Any:
    """Opened sources -> frame: source, kind, origin, rows, note."""
    import pandas as pd

    return pd.DataFrame(
        [
            {"source": s.name, "kind": s.source.kind, "origin": s.source.origin, "rows": s.rows, "note": s.source.note}
            for s in sources.values()
        ]
    )


def describe_reading(sources: Mapping[str, SourceTable]) -> Any:
    """Opened sources -> frame: source, files, read_rows, reused_rows, set_aside, note; one line per note, one without any."""
    import pandas as pd

    lines = [
        (s.name, s.files, s.read_rows, s.reused_rows, len(s.faults), note) for s in sources.values() for note in s.notes or [""]
    ]
    return pd.DataFrame(lines, columns=["source", "files", "read_rows", "reused_rows", "set_aside", "note"])
