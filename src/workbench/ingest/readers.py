"""One file of a source -> parts: its rows in Parquet (see `Kept`), its unreadable lines, and what was put right in it."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from workbench.core import engine
from workbench.core.config import Config, Source
from workbench.core.errors import InputError, did_you_mean
from workbench.core.inputs import shown
from workbench.ingest import headers, textfiles
from workbench.ingest.convert import Kept, kept_of_text
from workbench.ingest.headers import Layout, Refuse
from workbench.ingest.store import Part, Store, recipe_of

HEAD_BYTES = 2**20
LARGE = 2**26  # bytes; a larger file is read while it is still being looked through
BATCH_ROWS = 20_000
REASONS = {
    "TOO MANY COLUMNS": "too many fields",
    "MISSING COLUMNS": "too few fields",
    "UNQUOTED VALUE": "text after a closing quotation mark",
    "LINE SIZE OVER MAXIMUM": "longer than 1 MB",
    "INVALID ENCODING": "a byte that is not UTF-8",
}
NOT_JSON = "not a JSON object"
Copied = tuple[
    int, int, list[tuple[int, str]], tuple[str, ...]
]  # rows, row numbers, unreadable lines, fields of JSON that are there
SINGLE_BYTE = ("cp125", "iso8859", "latin", "ascii", "koi8", "mac")


class FileReader:
    """Reads the files of one source; all of them with the same declaration, each with the layout of its own head."""

    def __init__(
        self, con: Any, name: str, source: Source, needed: Mapping[str, str], store: Store, config: Config | None = None
    ):
        self.con, self.name, self.source, self.needed, self.store, self.config = con, name, source, needed, store, config
        self._kept: dict[int, Kept] = {}

    def kept(self, further: int = 0) -> Kept:
        """What is kept of each row; of text files the events in place of the cells that they are made of."""
        if further not in self._kept:
            config = self.config if self.source.file_format == "csv" else None
            self._kept[further] = kept_of_text(self.con, self.name, self.source, config, self.needed, further)
        return self._kept[further]

    def read(self, path: Path) -> tuple[list[Part], list[str]]:
        """One file -> (its parts in order, notes); raises InputError naming the file, the place and the fix."""
        if path.stat().st_size == 0:
            return [self._empty()], ["empty (0 bytes)"]
        refuse = headers.refusal(self.name, shown(path))
        check_kind(self.name, self.source.file_format, path, refuse)
        kinds = {"excel": self._read_excel, "jsonl": self._read_json_lines, "csv": self._read_delimited}
        parts, notes = kinds[self.source.file_format](path, refuse)
        if sum(part.rows for part in parts) == 0 and not any(part.faults for part in parts):
            notes.append("no rows")
        return parts, notes

    def _empty(self) -> Part:
        target = self.store.new_path()
        engine.copy_nothing(self.con, len(self.needed), target, self.kept().query)
        return Part(target, 0, 0)

    # -- delimited text --------------------------------------------------------------------------------------------

    def _read_delimited(self, path: Path, refuse: Refuse) -> tuple[list[Part], list[str]]:
        encoding, is_sure, notes = self._encoding(path, refuse)
        try:
            layout = self._layout(path, encoding, refuse)
            parts = self._parts(path, encoding, is_sure, layout, refuse)
        except textfiles.Garbled as fault:
            raise _garbled(self.name, path, encoding, fault.line) from None
        if not is_sure and any(reason == REASONS["INVALID ENCODING"] for part in parts for _, reason in part.faults):
            encoding, more = self._judged(path, refuse)
            if encoding != "utf-8":
                layout = self._layout(path, encoding, refuse)
                parts, notes = self._parts(path, encoding, False, layout, refuse), more
        return parts, [*notes, *layout.notes, *_text_notes(path, parts)]

    def _encoding(self, path: Path, refuse: Refuse) -> tuple[str, bool, list[str]]:
        """-> (encoding, whether it is certain without a look at the whole file, notes)."""
        declared = self.source.csv.encoding
        with _unpacked(path, refuse) as file:
            start = file.read(HEAD_BYTES)
        marked = textfiles.marked_encoding(start)
        if declared and (name := _codec(self.name, declared, refuse)):
            # utf-8-sig, utf8 and the like are all read as UTF-8, with or without a mark.
            return ("utf-8" if name in ("utf-8", "utf-8-sig") else name), True, []
        if marked:
            return marked, True, [] if marked == "utf-8" else [f"read as {marked}, recognised from its mark"]
        try:
            start[: start.rfind(b"\n") + 1 or None].decode()
            if b"\0" not in start[:1000]:
                return "utf-8", False, []
        except UnicodeError:
            pass
        encoding, notes = self._judged(path, refuse)
        return encoding, False, notes

    def _judged(self, path: Path, refuse: Refuse) -> tuple[str, list[str]]:
        """The encoding of a file that is not plain UTF-8, or a refusal that asks for it."""
        with _unpacked(path, refuse) as file:
            start = file.read(HEAD_BYTES)
        zeros = [start[i::2].count(0) for i in (0, 1)]
        if max(zeros) > len(start) / 5:
            encoding = "utf-16-le" if zeros[1] > zeros[0] else "utf-16-be"
            return encoding, [f"read as {encoding}, recognised from its bytes"]
        judged = textfiles.judge_encoding(path)
        if not judged.encoding:
            raise refuse(
                f":{judged.line}: is not written in UTF-8, and its bytes fit several other encodings.",
                "Names and words would be garbled.",
                f"set sources.{self.name}.csv.encoding, for example cp1252",
            )
        if judged.encoding == "utf-8":
            return "utf-8", []
        return judged.encoding, [f"read as {judged.encoding}, recognised from its bytes"]

    def _layout(self, path: Path, encoding: str, refuse: Refuse) -> Layout:
        with _unpacked(path, refuse) as file:
            start = file.read(HEAD_BYTES)
        is_whole = len(start) < HEAD_BYTES
        sig = "utf-8-sig" if encoding == "utf-8" else encoding
        try:
            head = start.decode(sig, "replace" if encoding == "utf-8" or not is_whole else "strict")
        except UnicodeError as fault:
            raise textfiles.Garbled(start[: getattr(fault, "start", 0)].count(b"\n") + 1) from None
        head = head.translate(dict.fromkeys(set(textfiles.CONTROL) - set(self.source.csv.delimiter.encode())))
        _refuse_page(head, refuse)
        return headers.find_layout(self.name, self.source, self.needed, head, is_whole, refuse)

    def _parts(self, path: Path, encoding: str, is_sure: bool, layout: Layout, refuse: Refuse) -> list[Part]:
        extra, kept = layout.picks + layout.nameless, self.kept(len(layout.nameless))
        recipe = recipe_of(
            "csv", encoding, is_sure, layout.delimiter, layout.skip, layout.width, extra, list(self.needed), kept.query
        )

        def copy(file: Path, target: Path, skip: int, crlf: bool) -> Copied:
            above = layout.skip if skip else 0
            rows, faults = engine.copy_delimited(
                self.con, file, target, layout.width, extra, layout.delimiter, above, crlf, kept.query
            )
            lines = textfiles.first_lines(file, [byte for _, byte, _ in faults])
            return rows, rows, [(line, reason) for line, (_, _, reason) in zip(lines, faults, strict=True)], ()

        may_grow = encoding == "utf-8" or encoding.startswith(SINGLE_BYTE) and is_sure
        parts = self._stretches(path, recipe, encoding, is_sure, may_grow, layout.delimiter, copy, refuse)
        self._check_quotes(parts, refuse)
        self._check_widths(parts, layout, refuse)
        for n, index in enumerate(layout.nameless, len(kept.stored) - len(layout.nameless)):
            headers.check_nameless(index, any(engine.has_values(self.con, part.path, f"c{n}") for part in parts), refuse)
        self.store.keep(recipe, shown(path), parts)
        return parts

    def _check_quotes(self, parts: list[Part], refuse: Refuse) -> None:
        for line, reason in (fault for part in parts for fault in part.faults):
            if reason == engine.QUOTE_LEFT_OPEN:
                raise refuse(
                    f":{line}: a quotation mark is opened and not closed.",
                    "The lines after it would be lost.",
                    "correct that line, or export the file again",
                )

    def _check_widths(self, parts: list[Part], layout: Layout, refuse: Refuse) -> None:
        faults = [fault for part in parts for fault in part.faults]
        if faults and not any(part.rows for part in parts):
            line, reason = faults[0]
            raise refuse(
                f": none of its {len(faults):,} rows can be read (line {line}: {reason}).",
                "Nothing was read.",
                f"let the header name every column ({layout.width} now), or correct sources.{self.name}.csv.delimiter",
            )

    # -- lines of JSON ---------------------------------------------------------------------------------------------

    def _read_json_lines(self, path: Path, refuse: Refuse) -> tuple[list[Part], list[str]]:
        with _unpacked(path, refuse) as file:
            start = file.read(HEAD_BYTES)
        encoding = _codec(self.name, self.source.csv.encoding or textfiles.marked_encoding(start) or "utf-8", refuse)
        _refuse_page(start[:1000].decode("utf-8", "replace"), refuse)
        if start.lstrip().startswith(b"["):
            raise refuse(
                " is one JSON array, not one object per line.",
                "Nothing was read.",
                "write one object per line, for example with: jq -c '.[]'",
            )
        recipe = recipe_of("jsonl", encoding, list(self.needed))

        def copy(file: Path, target: Path, skip: int, crlf: bool) -> Copied:
            lines, faults, left_out = engine.copy_json_lines(self.con, file, target, list(self.needed))
            if left_out:
                raise _LeftOut
            filled = [c for n, c in enumerate(self.needed) if engine.has_values(self.con, target, f"c{n}")]
            nulls = engine.json_fields_there(self.con, file, [c for c in self.needed if c not in filled])
            return engine.count_marked(self.con, target), lines, [(line, NOT_JSON) for line in faults], (*filled, *nulls)

        try:
            parts = self._stretches(path, recipe, encoding, True, encoding in ("utf-8", "utf-8-sig"), "", copy, refuse)
        except textfiles.Garbled as fault:
            raise _garbled(self.name, path, encoding, fault.line) from None
        self._check_fields(path, parts, refuse)
        self.store.keep(recipe, shown(path), parts)
        return parts, _text_notes(path, parts)

    def _check_fields(self, path: Path, parts: list[Part], refuse: Refuse) -> None:
        """A field is missing when no line has it; one that is always null is there."""
        faults = [fault for part in parts for fault in part.faults]
        if not any(part.rows for part in parts):
            if faults:
                raise refuse(
                    f": none of its {len(faults):,} lines is a JSON object (line {faults[0][0]}).",
                    "Nothing was read.",
                    f"set sources.{self.name}.format: csv if it holds columns, or export the file again",
                )
            if not self.source.optional:
                raise refuse(
                    " has only blank lines.", "An export that failed looks like this.", "export it again, or remove the source"
                )
            return
        there = {field for part in parts for field in part.fields}
        if set(self.needed) - there:
            raise headers.missing_columns(self.name, self.needed, sorted(there | _json_fields(path, refuse)), refuse)

    # -- both ------------------------------------------------------------------------------------------------------

    def _stretches(
        self,
        path: Path,
        recipe: str,
        encoding: str,
        is_sure: bool,
        may_grow: bool,
        delimiter: str,
        copy: Callable,
        refuse: Refuse,
    ) -> list[Part]:
        """What is remembered of a file, then the rest of it read anew."""
        size = path.stat().st_size
        chains = self.store.candidates(recipe, shown(path), size)
        known = textfiles.scan(path, {part.end for chain in chains for part in chain}) if chains else None
        for chain in chains:
            parts = self._remembered(chain, known.heads, size)
            if not parts:
                continue
            if parts[-1].end == size:
                return parts
            if parts[-1].may_grow and not textfiles.splits_line_end(path, parts[-1].end):
                rest = self._read_rest(path, parts, known.sha256, encoding, is_sure, delimiter, copy, refuse)
                if rest:
                    return [*parts, rest]
        return [self._read_new(path, path, 0, "", encoding, is_sure, may_grow, delimiter, copy, refuse)]

    def _remembered(self, chain: list[Part], heads: Mapping[int, str], size: int) -> list[Part]:
        """The first parts of a chain that are still what the file begins with."""
        taken = []
        for part in chain:
            usable = part.end <= size and heads.get(part.end) == part.sha256 and (part.may_grow or part.end == size)
            mine = self.store.take(part) if usable else None
            if not mine:
                break
            taken.append(mine)
        return taken

    def _read_rest(
        self,
        path: Path,
        parts: list[Part],
        sha256: str,
        encoding: str,
        is_sure: bool,
        delimiter: str,
        copy: Callable,
        refuse: Refuse,
    ) -> Part | None:
        """What was added to a file as a part of its own; None where its encoding has to be judged over the whole file."""
        start, rest = parts[-1].end, self.store.new_path()
        try:
            textfiles.copy_from(path, start, rest)
            part = self._read_new(rest, path, start, sha256, encoding, is_sure, True, delimiter, copy, refuse)
        finally:
            rest.unlink(missing_ok=True)
        if not is_sure and any(reason == REASONS["INVALID ENCODING"] for _, reason in part.faults):
            return None
        above = sum(p.lines for p in parts)
        return replace(part, faults=tuple((line + above, reason) for line, reason in part.faults))

    def _read_new(
        self, file: Path, path: Path, start: int, sha256: str, encoding: str, is_sure: bool, may_grow: bool, delimiter: str,
        copy: Callable, refuse: Refuse,
    ) -> Part:  # fmt: skip
        """A file (or the copy of its end) -> one part; the bytes are looked through while the engine reads them."""
        target, needs_hash = self.store.new_path(), self.store.is_kept and not sha256
        is_plain = encoding == "utf-8" and not _is_packed(file)
        facts, found = None, None
        if is_plain:
            with ThreadPoolExecutor(1) as pool:
                looking = pool.submit(textfiles.scan, file, (), needs_hash)
                if file.stat().st_size <= LARGE:
                    looking.result()
                crlf = textfiles.has_crlf(file)
                if not looking.done() or looking.result().is_plain:
                    found = _try(copy, file, target, not start, crlf)
                facts = looking.result()
            if not facts.is_plain:
                found = None
        digest = sha256 or (facts.sha256 if facts else textfiles.scan(file).sha256 if needs_hash else "")
        if found is None:
            facts, found = self._copy_plain(file, target, not start, encoding, delimiter, copy, refuse)
        rows, numbers, faults, fields = found
        size = start + file.stat().st_size
        lines = facts.lf + facts.cr
        ends = textfiles.ends_with_line_end(file)
        is_settled = is_sure or not any(reason == "INVALID ENCODING" for _, reason in faults)
        return Part(
            target, rows, numbers, start, size, lines, digest,
            may_grow=may_grow and ends and is_settled and not _is_packed(file),
            line_ends=tuple(sorted(facts.line_ends)), control=facts.control, fields=fields,
            faults=tuple((line, REASONS.get(reason, reason if reason in (NOT_JSON, engine.QUOTE_LEFT_OPEN) else reason.lower())) for line, reason in faults),
        )  # fmt: skip

    def _copy_plain(
        self, file: Path, target: Path, is_first: bool, encoding: str, delimiter: str, copy: Callable, refuse: Refuse
    ) -> tuple[textfiles.Facts, Any]:
        plain = self.store.new_path()
        try:
            with _unpacked(file, refuse) as opened:
                facts = textfiles.write_plain(opened, plain, encoding, delimiter, self.source.file_format == "jsonl")
            return facts, copy(plain, target, is_first, False)
        finally:
            plain.unlink(missing_ok=True)

    # -- Excel -----------------------------------------------------------------------------------------------------

    def _read_excel(self, path: Path, refuse: Refuse) -> tuple[list[Part], list[str]]:
        recipe = recipe_of("excel", self.source.sheet, self.source.csv.skip_rows, list(self.needed))
        facts = textfiles.scan(path) if self.store.is_kept else textfiles.Facts(size=path.stat().st_size)
        for chain in self.store.candidates(recipe, shown(path), facts.size):
            if chain[0].sha256 == facts.sha256 and (part := self.store.take(chain[0])):
                self.store.keep(recipe, shown(path), [part])
                return [part], list(part.notes)
        target = self.store.new_path()
        with _workbook(path, refuse) as book:
            rows, notes = self._sheet_rows(book, refuse)
            count = engine.copy_batches(self.con, len(self.needed), rows, target)
        part = Part(target, count, count, 0, facts.size, 0, facts.sha256, notes=tuple(notes))
        self.store.keep(recipe, shown(path), [part])
        return [part], notes

    def _sheet_rows(self, book: Any, refuse: Refuse) -> tuple[Iterator[list], list[str]]:
        """An opened workbook -> (batches of the needed cells as text, notes)."""
        wanted = self.source.sheet
        if wanted and wanted not in book.sheetnames:
            raise refuse(
                f' has no sheet "{wanted}".{did_you_mean(wanted, book.sheetnames)}',
                "Nothing was read.",
                f"correct sources.{self.name}.sheet",
            )
        sheet = book[wanted] if wanted else book.worksheets[0]
        sheet.reset_dimensions()  # what the file says of its own size is often wrong
        rows = sheet.iter_rows(values_only=True)
        above = [next(rows, None) for _ in range(self.source.csv.skip_rows)]
        header = next((row for row in rows if any(cell is not None for cell in row)), None)
        if header is None:
            if self.source.optional:
                return iter([]), ["no rows"]
            raise refuse(
                f': the sheet "{sheet.title}" is empty.',
                "An export that failed looks like this.",
                f"set sources.{self.name}.sheet or export it again",
            )
        cells = [cell_text(cell) or "" for cell in header]
        names = [cell.strip() for cell in cells]
        if not set(self.needed) <= set(names):
            self._explain_sheet(names, rows, len(above), refuse)
        headers.check_names(names, self.needed, refuse)
        picks = [names.index(column) for column in self.needed]
        others = [sheet_name for sheet_name in book.sheetnames if sheet_name != sheet.title]
        notes = [f'sheet "{sheet.title}" of {len(book.sheetnames)} was read'] if others and not wanted else []
        while names and not names[-1]:
            names.pop()
        return _batches(rows, picks), [*notes, *headers.name_notes(cells[: len(names)], names, self.needed)]

    def _explain_sheet(self, names: list[str], rows: Iterator, above: int, refuse: Refuse) -> None:
        for further, row in zip(range(1, headers.TITLE_LINES), rows, strict=False):
            if set(self.needed) <= {(cell_text(cell) or "").strip() for cell in row}:
                raise refuse(
                    f": the first row is a title; the names of the columns are in row {above + further + 1}.",
                    "A title would be taken for the header.",
                    f"set sources.{self.name}.csv: {{skip_rows: {above + further}}}",
                )
        raise headers.missing_columns(self.name, self.needed, names, refuse)


class _LeftOut(Exception):
    """The engine left out lines because of their bytes or length: they are found in a plain copy."""


def _try(copy: Callable, *arguments: Any) -> Any:
    """The result, or None where only a plain copy of the file can be read."""
    import duckdb

    try:
        return copy(*arguments)
    except (_LeftOut, duckdb.InvalidInputException):
        return None  # such as line ends of two kinds


def _text_notes(path: Path, parts: list[Part]) -> list[str]:
    notes = []
    if path.suffix.lower() == ".gz" and not _is_packed(path):
        notes.append("is not compressed, whatever its name says; read as it is")
    if len({kind for part in parts for kind in part.line_ends}) > 1:
        notes.append("line ends were mixed")
    if control := sum(part.control for part in parts):
        notes.append(f"{control:,} control character{'' if control == 1 else 's'} removed")
    return notes


def _batches(rows: Iterator, picks: list[int]) -> Iterator[list[list[str | None]]]:
    batch: list[list[str | None]] = []
    for row in rows:
        if all(cell is None for cell in row):
            continue  # formatted, but no record
        batch.append([cell_text(row[i]) if i < len(row) else None for i in picks])
        if len(batch) >= BATCH_ROWS:
            yield batch
            batch = []
    yield batch


def cell_text(cell: Any) -> str | None:
    """An Excel cell as text: numbers in their shortest exact form, dates in ISO form, truth as true and false."""
    match cell:
        case None | "":
            return None
        case bool():
            return "true" if cell else "false"
        case float():
            return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else format(Decimal(repr(cell)), "f")
        case dt.datetime():
            return cell.date().isoformat() if cell.time() == dt.time() else cell.isoformat(sep=" ")
        case dt.date() | dt.time():
            return cell.isoformat()
    return str(cell)


@contextlib.contextmanager
def _workbook(path: Path, refuse: Refuse) -> Iterator[Any]:
    """An Excel file opened for reading from its beginning to its end."""
    import openpyxl

    with path.open("rb") as file:
        try:
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        except (zipfile.BadZipFile, KeyError, ValueError, openpyxl.utils.exceptions.InvalidFileException) as fault:
            raise refuse(
                f" is not readable as excel: {str(fault)[:100]}",
                "Nothing was read.",
                "open it in Excel and save it again as .xlsx",
            ) from None
        yield book
        book.close()


def _is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == textfiles.GZIP


class _unpacked:
    """A file's bytes, unpacked where they are compressed; a broken archive is refused."""

    def __init__(self, path: Path, refuse: Refuse):
        self.path, self.refuse = path, refuse

    def __enter__(self) -> Any:
        self.file = textfiles.open_bytes(self.path)
        return self.file

    def __exit__(self, kind: Any, fault: Any, trace: Any) -> None:
        self.file.close()
        if isinstance(fault, textfiles.PACKING_FAULTS):
            raise self.refuse(
                " is a broken gzip archive: it ends too early or is damaged.",
                "Only a part of the rows would be there, so nothing was ingested.",
                "copy or export the file again",
            ) from None


def _codec(name: str, encoding: str, refuse: Refuse) -> str:
    import codecs

    try:
        "".encode(encoding)  # some codecs are not for text
        return codecs.lookup(encoding).name
    except (LookupError, UnicodeError):
        raise refuse(
            f': there is no encoding "{encoding}".', "Nothing was read.", f"set sources.{name}.csv.encoding, for example cp1252"
        ) from None


def _garbled(name: str, path: Path, encoding: str, line: int) -> InputError:
    return InputError(
        f'source "{name}": {shown(path)}:{line}: is not written in {encoding}.',
        "Names and words would be garbled.",
        f"set sources.{name}.csv.encoding, for example cp1252",
    )


def _refuse_page(head: str, refuse: Refuse) -> None:
    start = head.lstrip("\ufeff \t\r\n")[:100].lower()
    if start.startswith(("<!doctype html", "<html", "<?xml", "<head", "<body")):
        raise refuse(
            " is a web page (or XML), not an export.",
            "A login page saved by a download script looks like this.",
            "download the file again while logged in",
        )


def check_kind(name: str, declared: str, path: Path, refuse: Refuse) -> None:
    """Refuse a file whose first bytes show another kind than the declared one, naming the setting for it."""
    with path.open("rb") as file:
        start = file.read(16)
    wrong = {
        b"PAR1": ("parquet", "is a Parquet file", f"set sources.{name}.format: parquet"),
        b"\xd0\xcf\x11\xe0": ("", "is an old Excel file (.xls)", "open it in Excel and save it as .xlsx, then set sources.{name}.format: excel"),
        b"SQLite format 3": ("", "is an SQLite database", f"set sources.{name}.database: {{url: sqlite:///{shown(path)}, table: …}} in place of path"),
        b"%PDF": ("", "is a PDF", "export the table as CSV"),
    }  # fmt: skip
    for magic, (kind, what, fix) in wrong.items():
        if start.startswith(magic) and declared != kind:
            raise refuse(f" {what}, not {declared}.", "Nothing was read.", fix.replace("{name}", name))
    is_zip = start.startswith(b"PK\x03\x04")
    if is_zip and declared != "excel" or (declared == "excel" and is_zip and _zip_kind(path) != "excel"):
        kind = _zip_kind(path)
        fixes = {
            "excel": ("an Excel workbook", f"set sources.{name}.format: excel"),
            "ods": ("an OpenDocument spreadsheet", "save it as .xlsx or CSV"),
            "zip": ("a ZIP archive", "unpack it and name the file inside"),
        }
        what, fix = fixes[kind]
        raise refuse(f" is {what}, not {declared}.", "Nothing was read.", fix)
    if declared in ("excel", "parquet") and not is_zip and not start.startswith(b"PAR1"):
        raise refuse(
            f" is not readable as {declared}: its first bytes are those of another kind of file.",
            "Nothing was read.",
            f"set sources.{name}.format (csv, jsonl, excel or parquet), or export the file again",
        )


def _zip_kind(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if any(n.startswith("xl/") for n in names):
                return "excel"
            return "ods" if "mimetype" in names and b"opendocument" in archive.read("mimetype") else "zip"
    except (zipfile.BadZipFile, OSError):
        return "zip"


def _json_fields(path: Path, refuse: Refuse) -> set[str]:
    """Dotted paths of the fields of the first lines."""
    seen: set[str] = set()
    with _unpacked(path, refuse) as file:
        for line in itertools.islice(file, 1000):
            with contextlib.suppress(ValueError):
                _collect(json.loads(line), "", seen)
    return seen


def _collect(value: Any, prefix: str, seen: set[str]) -> None:
    for key, inner in value.items() if isinstance(value, dict) else ():
        seen.add(prefix + key)
        _collect(inner, f"{prefix}{key}.", seen)
