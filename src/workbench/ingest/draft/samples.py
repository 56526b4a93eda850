"""A look at a user's own files: the first rows and some from the middle, as text, and how the file has to be read."""

from __future__ import annotations

import contextlib
import csv
import glob
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from workbench.core import workspace
from workbench.core.config import Database, read_settings
from workbench.core.errors import InputError, did_you_mean
from workbench.core.inputs import shown
from workbench.ingest import databases, headers, textfiles
from workbench.ingest.readers import cell_text, check_kind

HEAD_BYTES = 2**20
MIDDLE_BYTES = 2**17
HEAD_ROWS, MIDDLE_ROWS = 1500, 400
ENDINGS = (".csv", ".tsv", ".txt", ".tab", ".parquet", ".jsonl", ".ndjson", ".json", ".xlsx", ".db", ".sqlite", ".sqlite3")
SQLITE = b"SQLite format 3"
Rows = list[list[str | None]]


@dataclass(frozen=True)
class Sample:
    """What was seen of one file, pattern or table.

    settings: the lines of its declaration that say where it lies and how it is read. columns: name -> texts, None where there is
    nothing. typed: names of columns that the file itself stores as times. notes: words for the draft's comments, by setting.
    """

    label: str
    folder: str
    settings: dict[str, Any]
    columns: dict[str, list[str | None]]
    typed: frozenset[str] = frozenset()
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """The file, pattern or table, for readers."""
        return self.settings.get("path") or f"table {self.settings['database']['table']}"


def take_samples(words: Sequence[str]) -> tuple[list[Sample], list[str]]:
    """Files, folders, patterns and database addresses as the user wrote them -> (samples, what of folders was passed over).

    Raises InputError that names every named file that is not there or cannot be read.
    """
    samples, passed, faults, seen = [], [], [], set()
    for word in words:
        try:
            if "://" in word or word.startswith("env:"):
                samples += _of_database(word)
                continue
            paths, is_named = _matching(word)
        except InputError as fault:
            faults.append(fault)
            continue
        for path in (p for p in paths if p not in seen and not seen.add(p)):
            try:
                samples += _of_file(path)
            except InputError as fault:
                passed.append(fault.what) if not is_named else faults.append(fault)
    if faults or not samples:
        raise (
            _all_of(faults)
            if faults
            else InputError(
                "\n".join(passed[:6]) or "no file with rows was found.",
                "There is nothing to draft from.",
                "name the files one by one",
            )
        )
    return _merged(samples), passed


def _all_of(faults: list[InputError]) -> InputError:
    fix = faults[0].fix if len(faults) == 1 else "mend each of them, or leave it out"
    return InputError("\n".join(fault.what for fault in faults), "Nothing was written.", fix)


def _refuse(path: Path, what: str, fix: str) -> InputError:
    return InputError(f"{shown(path)}{what}", "Nothing was written.", fix)


# -- which files -------------------------------------------------------------------------------------------------------


def _matching(word: str) -> tuple[list[Path], bool]:
    """A word -> (files, whether each was named by itself); seen from the current folder first, then from the workspace."""
    for base in (Path.cwd(), workspace.root()):
        path = Path(word) if Path(word).is_absolute() else base / word
        if path.is_file():
            return [path.resolve()], True
        if path.is_dir():
            return sorted(p.resolve() for p in path.rglob("*") if _looks_like_data(p, path)), False
        if glob.has_magic(word):
            found = glob.glob(word, root_dir=None if Path(word).is_absolute() else base, recursive=True)
            files = sorted((base / p).resolve() for p in found if (base / p).is_file())
            if files:
                return files, False
    folder = (Path.cwd() / word).parent
    near = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    raise InputError(
        f"{word}: there is no such file.{did_you_mean(Path(word).name, near)}", "Nothing was written.", "correct its name"
    )


def _looks_like_data(path: Path, base: Path) -> bool:
    hidden = any(part.startswith((".", "~")) for part in path.relative_to(base).parts)
    return path.is_file() and not hidden and path.name.lower().removesuffix(".gz").endswith(ENDINGS)


def _setting(path: Path) -> str:
    """A file as a configuration names it."""
    root = workspace.root().resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _merged(samples: list[Sample]) -> list[Sample]:
    """Files of one folder with the same columns become one source with a pattern that matches them and no other file."""
    groups: dict[tuple, list[Sample]] = {}
    for number, sample in enumerate(samples):
        alone = "path" not in sample.settings or glob.has_magic(sample.settings["path"])
        other = {k: v for k, v in sample.settings.items() if k != "path"}
        key = (
            (number,)
            if alone
            else (str(Path(sample.settings["path"]).parent), tuple(sample.columns), json.dumps(other, sort_keys=True))
        )
        groups.setdefault(key, []).append(sample)
    found = []
    for group in groups.values():
        pattern = _pattern([Path(s.settings["path"]) for s in group]) if len(group) > 1 else ""
        found += [_joined(group, pattern)] if pattern else group
    return found


def _pattern(paths: list[Path]) -> str:
    names = [p.name for p in paths]
    start = next((i for i, letters in enumerate(zip(*names, strict=False)) if len(set(letters)) > 1), min(map(len, names)))
    end = "".join(Path(names[0]).suffixes[-2 if names[0].endswith(".gz") else -1 :])
    folder = workspace.resolve(paths[0].parent)
    pattern = f"{names[0][:start].rstrip('0123456789')}*{end}"
    there = {p.name for p in folder.glob(pattern)}
    return (paths[0].parent / pattern).as_posix() if there == set(names) and not glob.has_magic(str(paths[0].parent)) else ""


def _joined(group: list[Sample], pattern: str) -> Sample:
    picked = [group[0], *group[len(group) // 2 : len(group) // 2 + 1], group[-1]] if len(group) > 2 else group
    columns = {name: [value for sample in picked for value in sample.columns[name]] for name in group[0].columns}
    notes = group[0].notes | {"path": f"{len(group)} files with the same columns"}
    label = Path(pattern).name.split("*")[0].strip("_-. ") or group[0].folder or group[0].label
    return replace(group[0], label=label, settings=group[0].settings | {"path": pattern}, columns=columns, notes=notes)


# -- files -------------------------------------------------------------------------------------------------------------


def _of_file(path: Path) -> list[Sample]:
    """One file -> its sample (an SQLite file: one per table); raises InputError where it holds no table."""
    with path.open("rb") as file:
        start = file.read(4096)
    if not start:
        raise _refuse(path, " is empty (0 bytes).", "export it again")
    if start.startswith(SQLITE):
        return _of_database(f"sqlite:///{_setting(path)}")
    kind = _kind_of(path, start)
    check_kind(
        "",
        kind,
        path,
        lambda what, why, fix: _refuse(path, what.split(", not ")[0] + ".", fix.split(f"set {'sources'}.")[0] or "convert it"),
    )
    name = path.name.removesuffix(".gz")
    settings: dict[str, Any] = {"path": _setting(path)}
    ending = {"parquet": (".parquet",), "jsonl": (".jsonl", ".ndjson"), "excel": (".xlsx",), "csv": ()}[kind]
    known = (".parquet", ".jsonl", ".ndjson", ".xlsx")
    if (kind == "csv" and name.lower().endswith(known)) or (kind != "csv" and not name.lower().endswith(ending)):
        settings["format"] = kind
    readers = {"parquet": _parquet, "jsonl": _json_lines, "excel": _excel, "csv": _delimited}
    try:
        sample = readers[kind](path, Sample(Path(name).stem, path.parent.name, settings, {}))
    except textfiles.PACKING_FAULTS:
        raise _refuse(path, " is a broken gzip archive.", "copy or export the file again") from None
    if not any(sample.columns.values()):
        raise _refuse(path, " has a header and no rows.", "export it again")
    return [sample]


def _kind_of(path: Path, start: bytes) -> str:
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith(b"PK\x03\x04"):
        return "excel"
    with textfiles.open_bytes(path) as file, contextlib.suppress(*textfiles.PACKING_FAULTS):
        start = file.read(4096)
    text = start.decode("utf-8-sig", "replace").lstrip()
    if (
        text.startswith(("[", "{"))
        and path.name.lower().removesuffix(".gz").endswith((".json", ".jsonl", ".ndjson"))
        or text.startswith(('{"', "[{"))
    ):
        return "jsonl"
    if text.lower().startswith(("<!doctype", "<html", "<?xml", "<head", "<body")):
        raise _refuse(path, " is a web page (or XML), not an export.", "download the file again while logged in")
    return "csv"


def _delimited(path: Path, sample: Sample) -> Sample:
    encoding, notes, csv_settings = *_encoding(path), {}
    if encoding not in ("utf-8", ""):
        csv_settings["encoding"] = encoding
    with textfiles.open_bytes(path) as file:
        head = file.read(HEAD_BYTES)
    text = head.decode("utf-8-sig" if encoding == "utf-8" else encoding, "replace").translate(
        dict.fromkeys(set(textfiles.CONTROL) - {9})
    )
    lines = io.StringIO(text, newline="").readlines()
    lines = lines[:-1] if len(head) == HEAD_BYTES and len(lines) > 1 else lines
    delimiter, skip, names, rows = _table_of(path, lines)
    if delimiter != ",":
        csv_settings = {"delimiter": "\\t" if delimiter == "\t" else delimiter} | csv_settings
    if skip:
        csv_settings["skip_rows"] = skip
        notes["csv.skip_rows"] = "lines above the header"
    for middle in _middles(path, encoding):
        rows += [row for row in csv.reader(middle, delimiter=delimiter) if len(row) == len(names)][:MIDDLE_ROWS]
    settings = sample.settings | ({"csv": csv_settings} if csv_settings else {})
    columns = {name: [row[i].strip() or None if i < len(row) else None for row in rows] for i, name in enumerate(names) if name}
    return replace(sample, settings=settings, columns=columns, notes=notes)


def _encoding(path: Path) -> tuple[str, dict[str, str]]:
    """-> (encoding, comment by setting); where nobody can tell, cp1252 is taken and said to be a guess."""
    with textfiles.open_bytes(path) as file:
        start = file.read(HEAD_BYTES)
    if marked := textfiles.marked_encoding(start):
        return marked, {}
    zeros = [start[i::2].count(0) for i in (0, 1)]
    if max(zeros) > len(start) / 5:
        return ("utf-16-le" if zeros[1] > zeros[0] else "utf-16-be"), {}
    with contextlib.suppress(UnicodeError):
        start[: start.rfind(b"\n") + 1 or None].decode()
        return "utf-8", {}  # what stands further down is for the reader to judge
    judged = textfiles.judge_encoding(path)
    if judged.encoding:
        return judged.encoding, {} if judged.encoding == "utf-8" else {"csv.encoding": "recognised from its bytes"}
    return "cp1252", {"csv.encoding": "CHECK its bytes are not UTF-8 and fit several other encodings"}


def _table_of(path: Path, lines: list[str]) -> tuple[str, int, list[str], Rows]:
    """Lines -> (delimiter, lines above the header, names, rows): the delimiter under which header and rows are alike."""
    candidates = []
    for delimiter in headers.DELIMITERS:
        rows = _records(lines, delimiter)
        widths = [len(row) for _, row in rows[1:]] or [len(rows[0][1])] if rows else []
        if not widths:
            continue
        width = max(set(widths), key=lambda w: (widths.count(w), w))
        at = next((n for n, (_, row) in enumerate(rows[: headers.TITLE_LINES]) if _is_header(row, width)), None)
        if at is None:
            continue
        share = sum(len(row) == width for _, row in rows[at:]) / len(rows[at:])
        # A comma, semicolon, TAB or bar is likelier than a caret or a colon, which also stand in times.
        odd = delimiter in "^:"
        candidates.append(((width > 1 and share > 0.9, not odd, share * (width > 1), width), delimiter, at, rows))
    if not candidates:
        raise _refuse(
            path, " has no header: its first line looks like data.", "export the file with a first line that names the columns"
        )
    _, delimiter, at, rows = max(candidates, key=lambda c: c[0])
    (skip, header), names = rows[at], []
    names = [cell.strip() for cell in header]
    # Blank lines above a header are passed over by the reader.
    skip = skip if any(line.strip() for line in lines[:skip]) else 0
    body = [row for _, row in rows[at + 1 :]]
    if sum(len(row) <= len(names) for row in body) * 2 < len(body):
        raise _refuse(path, f": its rows have more fields than the header's {len(names)}.", "let the header name every column")
    _check_names(path, names)
    return delimiter, skip, names, [row[: len(names)] for row in body]


def _records(lines: list[str], delimiter: str) -> list[tuple[int, list[str]]]:
    """The first records that hold anything, each with the number of lines above it."""
    reader, found, before = csv.reader(lines, delimiter=delimiter), [], 0
    with contextlib.suppress(csv.Error):
        for row in reader:
            if any(cell.strip() for cell in row):
                found.append((before, row))
            before = reader.line_num
            if len(found) > HEAD_ROWS:
                break
    return found


def _is_header(row: Sequence[str], width: int) -> bool:
    """Whether a row can name the columns: as wide as the rows below, and hardly anything in it looks like a value."""
    cells = [cell.strip() for cell in row]
    filled = [cell for cell in cells if cell]
    values = sum(bool(headers.VALUE.fullmatch(cell[:60])) for cell in filled)
    while cells and not cells[-1] and len(cells) > width:
        cells.pop()
    is_named = len(filled) * 5 >= width * 4 or len(filled) == width - 1 > 1  # one name may be missing in any table
    return len(cells) == width and is_named and values * 3 < len(filled) + 1


def _check_names(path: Path, names: Iterable[str]) -> None:
    folded = [name.strip().casefold() for name in names if name.strip()]
    if len(set(folded)) < len(folded):
        raise _refuse(path, " has two columns of the same name (if case is ignored).", "export the file with one name per column")
    if not folded:
        raise _refuse(path, " has no names of columns.", "export the file with a first line that names the columns")


def _middles(path: Path, encoding: str) -> Iterator[list[str]]:
    """Whole lines from two places further down; none of a packed or two-byte file, which cannot be entered anywhere."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if (
            size < 2 * HEAD_BYTES
            or file.read(2) == textfiles.GZIP
            or encoding.startswith("utf-16")
            or encoding.startswith("utf-32")
        ):
            return
        for share in (0.5, 0.9):
            file.seek(int(size * share))
            text = file.read(MIDDLE_BYTES).decode(encoding, "replace").replace("\0", "")
            yield io.StringIO(text, newline="").readlines()[1:-1]


def _json_lines(path: Path, sample: Sample) -> Sample:
    with textfiles.open_bytes(path) as file:
        head = file.read(HEAD_BYTES)
    encoding = textfiles.marked_encoding(head) or "utf-8"
    text = head.decode("utf-8-sig" if encoding == "utf-8" else encoding, "replace")
    if text.lstrip().startswith("["):
        raise _refuse(
            path, " is one JSON array, not one object per line.", "write one object per line, for example with: jq -c '.[]'"
        )
    lines = text.splitlines()[:HEAD_ROWS]
    for middle in _middles(path, encoding):
        lines += middle[:MIDDLE_ROWS]
    found: list[dict[str, str | None]] = []
    for line in lines:
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(line)
            if isinstance(value, dict):
                found.append(dict(_flat(value, "")))
    if not found:
        raise _refuse(path, " holds no line with a JSON object.", "export it again, one object per line")
    names = list(dict.fromkeys(name for row in found for name in row))
    _check_names(path, names)
    return replace(sample, columns={name: [row.get(name) for row in found] for name in names})


def _flat(value: dict[str, Any], prefix: str) -> Iterator[tuple[str, str | None]]:
    """Nested objects as dotted paths; lists are told as their text."""
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from _flat(inner, f"{prefix}{key}.")
        elif key.strip() and not isinstance(inner, list):
            text = inner if isinstance(inner, str) else None if inner is None else json.dumps(inner)
            yield f"{prefix}{key}", text.strip() or None if text else None


def _excel(path: Path, sample: Sample) -> Sample:
    import zipfile

    import openpyxl

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (zipfile.BadZipFile, KeyError, ValueError, openpyxl.utils.exceptions.InvalidFileException):
        raise _refuse(path, " is not readable as excel.", "open it in Excel and save it again as .xlsx") from None
    with contextlib.closing(book):
        for sheet in book.worksheets:
            sheet.reset_dimensions()
            rows = [row for row, _ in zip(sheet.iter_rows(values_only=True), range(HEAD_ROWS), strict=False)]
            if sum(any(cell is not None for cell in row) for row in rows) > 1:
                return _sheet(path, sample, sheet.title, book.sheetnames, rows)
    raise _refuse(path, ": no sheet of it has a header and rows.", "export it again")


def _sheet(path: Path, sample: Sample, title: str, titles: list[str], rows: list[tuple]) -> Sample:
    texts = [[(cell_text(cell) or "").strip() for cell in row] for row in rows]
    width = max(sum(bool(cell) for cell in row) for row in texts)
    at = next(
        (
            n
            for n, row in enumerate(texts)
            if sum(map(bool, row)) * 5 >= width * 4 and _is_header([c for c in row if c], sum(map(bool, row)))
        ),
        None,
    )
    if at is None:
        raise _refuse(path, " has no row that names the columns.", "let the first row name the columns")
    names = texts[at]
    _check_names(path, names)
    body = [row for row in texts[at + 1 :] if any(row)]
    import datetime as dt

    typed = {
        name for i, name in enumerate(names) if name and any(isinstance(r[i], dt.date) for r in rows[at + 1 :] if i < len(r))
    }
    settings, notes = dict(sample.settings), {}
    if len(titles) > 1:
        settings["sheet"] = title
        notes["sheet"] = f"the first of {len(titles)} sheets with a table"
    if any(map(any, texts[:at])):
        settings["csv"], notes["csv.skip_rows"] = {"skip_rows": at}, "rows above the header"
    columns = {name: [row[i] or None if i < len(row) else None for row in body] for i, name in enumerate(names) if name}
    return replace(sample, settings=settings, columns=columns, notes=notes, typed=frozenset(typed))


def _parquet(path: Path, sample: Sample) -> Sample:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        groups = sorted({0, file.num_row_groups // 2, file.num_row_groups - 1}) if file.num_row_groups else []
        batches = [
            next(file.iter_batches(HEAD_ROWS if n == 0 else MIDDLE_ROWS, row_groups=[g]), None) for n, g in enumerate(groups)
        ]
    except (pa.ArrowException, OSError):
        raise _refuse(path, " is not readable as parquet.", "export the file again") from None
    schema = file.schema_arrow
    _check_names(path, schema.names)
    plain = [f for f in schema if not pa.types.is_nested(f.type) and not pa.types.is_binary(f.type)]
    typed = frozenset(f.name for f in plain if pa.types.is_timestamp(f.type) or pa.types.is_date(f.type))
    columns = {f.name: [_plain_text(v) for b in batches if b is not None for v in b.column(f.name).to_pylist()] for f in plain}
    return replace(sample, columns=columns, typed=typed)


def _plain_text(value: Any) -> str | None:
    text = cell_text(value) if value is not None else None
    return (text.strip() or None) if text else None


# -- databases ---------------------------------------------------------------------------------------------------------


def _of_database(url: str) -> list[Sample]:
    """An address -> one sample per table with rows; raises InputError or ParameterError as reading it would."""
    read_settings(Database, {"url": url, "table": "any"}, "database")
    found = []
    for table, columns, rows in databases.sample_tables(url, HEAD_ROWS):
        texts = {name: [_plain_text(row[i]) for row in rows] for i, name in enumerate(columns)}
        if rows:
            found.append(Sample(re.sub(r".*\.", "", table), "", {"database": {"url": url, "table": table}}, texts))
    if not found:
        raise InputError(
            f"{databases.shown_url(url)}: the database has no table with rows.", "Nothing was written.", "correct the address"
        )
    return found
