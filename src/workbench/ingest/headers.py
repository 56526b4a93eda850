"""The head of a table: which row names the columns, under which delimiter, and what to say when it does not."""

from __future__ import annotations

import csv
import difflib
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from workbench.core.config import Source
from workbench.core.errors import InputError, ParameterError, did_you_mean

DELIMITERS = (",", ";", "\t", "|", "^", ":")
WORDS = {",": "comma", ";": "semicolon", "\t": "TAB", "|": "bar", "^": "caret", ":": "colon"}
SAMPLE_ROWS = 200
TITLE_LINES = 30
VALUE = re.compile(r"[\s\d.,:/+%$€£-]*\d[\s\d.,:/+%$€£-]*|\S+@\S+\.\S+", re.ASCII)

Refuse = Callable[[str, str, str], InputError]


@dataclass(frozen=True)
class Layout:
    """How a table's columns lie: delimiter, records down to the header, columns in all, the wanted and the nameless ones."""

    delimiter: str
    skip: int
    width: int
    picks: tuple[int, ...]
    nameless: tuple[int, ...] = ()
    notes: list[str] = field(default_factory=list)


def refusal(name: str, file: str) -> Refuse:
    """A maker of InputErrors about one file: (what, why, fix) -> error."""
    return lambda what, why, fix: InputError(f'source "{name}": {file}{what}', why, fix)


def find_layout(name: str, source: Source, needed: Mapping[str, str], head: str, is_whole: bool, refuse: Refuse) -> Layout:
    """The beginning of a delimited text -> Layout; raises InputError where its first row does not name the declared columns.

    needed: declared column -> setting. is_whole: the beginning is all there is (else its last, perhaps broken, row is ignored).
    """
    lines = io.StringIO(head, newline="").readlines()
    skip = source.csv.skip_rows
    while skip < len(lines) and not lines[skip].strip():
        skip += 1
    if skip >= len(lines):
        only = (
            "only blank lines"
            if not head.strip()
            else f"no header: it has {len(lines)} lines and csv.skip_rows is {source.csv.skip_rows}"
        )
        raise refuse(
            f" has {only}.",
            "An export that failed looks like this.",
            f"export it again, or correct sources.{name}.csv.skip_rows",
        )
    declared = source.csv.delimiter.replace("\\t", "\t")
    if len(declared) > 1 or declared in ('"', "\n", "\r", "\0"):
        raise ParameterError(
            f"sources.{name}.csv.delimiter: {source.csv.delimiter!r} is not one character that can part columns.",
            "Nothing was read.",
            f"set sources.{name}.csv.delimiter to one character such as ; or leave it out to have it recognised",
        )
    tables = {d: _records(lines[skip:], d, is_whole) for d in ([declared] if declared else DELIMITERS)}
    best = max(tables, key=lambda d: (_score(tables[d][0][0], needed), len(tables[d][0][0])))
    (header, length), rows = tables[best][0], [row for row, _ in tables[best][1:]]
    above = _records_above(lines[:skip], lines[skip : skip + length], best, refuse)
    names = [cell.strip() for cell in header]
    if not set(needed) <= set(names):
        _explain_missing(name, source, needed, names, lines, skip, best, rows, refuse)
    check_names(names, needed, refuse)
    _check_width(name, names, rows, best, refuse)
    notes = name_notes(header, names, needed)
    if best != declared and best != ",":
        notes.insert(0, f"delimiter read as {WORDS[best]}, which gives the declared columns")
    if skip > source.csv.skip_rows:
        notes.append(f"{skip - source.csv.skip_rows} blank lines above the header were passed over")
    nameless = tuple(i for i, cell in enumerate(names) if not cell)
    for i in nameless:
        check_nameless(i, any(len(row) > i and row[i].strip() for row in rows), refuse)
    return Layout(best, above + 1, len(names), tuple(names.index(c) for c in needed), nameless, notes)


def _records(lines: list[str], delimiter: str, is_whole: bool) -> list[tuple[list[str], int]]:
    """The first records, each with the number of lines it takes; a broken last one is left out."""
    reader, found, before = csv.reader(lines, delimiter=delimiter), [], 0
    try:
        for row in reader:
            if row or not found:
                found.append((row, reader.line_num - before))
            before = reader.line_num
            if len(found) > SAMPLE_ROWS:
                break
        else:
            found = found if is_whole or len(found) < 2 else found[:-1]
    except csv.Error:
        pass  # a cell longer than Python's reader takes
    return found or [([], 1)]


def _records_above(above: list[str], header: list[str], delimiter: str, refuse: Refuse) -> int:
    """How many records the engine sees above the header: one per line, unless a quoted title goes over several."""
    records = len(list(csv.reader(above, delimiter=delimiter)))
    if len(list(csv.reader([*above, *header], delimiter=delimiter))) != records + 1:
        raise refuse(
            ": a quotation mark is opened and not closed in the lines above the header.",
            "The header would be taken for a part of the title.",
            "remove these lines from the file",
        )
    return records


def _score(header: Sequence[str], needed: Mapping[str, str]) -> int:
    return len({cell.strip() for cell in header} & set(needed))


def check_names(names: Sequence[str], needed: Mapping[str, str], refuse: Refuse) -> None:
    """Refuse names that stand twice, also when only case or blanks tell them apart."""
    folded = [name.strip().casefold() for name in names]
    often = {fold for fold, n in Counter(folded).items() if fold and n > 1}
    for column, fold in zip(names, folded, strict=True):
        if fold in often:
            places = [i for i, other in enumerate(folded) if other == fold]
            spellings = sorted({names[i] for i in places})
            also = f", spelled {' and '.join(json.dumps(s, ensure_ascii=False) for s in spellings)}" if len(spellings) > 1 else ""
            raise refuse(
                f' has more than one column "{column}" (columns {", ".join(str(i + 1) for i in places)}{also}).',
                "Nobody can tell which of them counts.",
                "export the file with one name per column",
            )


def check_nameless(index: int, has_values: bool, refuse: Refuse) -> None:
    """Refuse a column without a name that holds values (an empty one is what a comma at the line's end leaves)."""
    if has_values:
        raise refuse(
            f" has a column without a name that holds values (column {index + 1}).",
            "The header and the rows may be shifted against each other.",
            "give the column a name in the header, or export the file without it",
        )


def name_notes(header: Sequence[str], names: Sequence[str], needed: Mapping[str, str]) -> list[str]:
    """What a reader should know of the header: blanks that were trimmed, columns without a name, columns nobody declared."""
    notes = []
    trimmed = [n for cell, n in zip(header, names, strict=True) if n in needed and cell != n]
    if trimmed:
        notes.append(f"blanks around the names of {_some(trimmed)} were removed")
    if empty := sum(not n for n in names):
        notes.append(f"{_count(empty, 'empty column')} without a name {'was' if empty == 1 else 'were'} ignored")
    if extra := [n for n in names if n and n not in needed]:
        notes.append(
            f"{_count(len(extra), 'column')} not declared {'was' if len(extra) == 1 else 'were'} ignored: {_some(extra)}"
        )
    return notes


def _some(words: Sequence[str], most: int = 10) -> str:
    return ", ".join(word[:40] for word in words[:most]) + (", …" if len(words) > most else "")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _check_width(name: str, names: Sequence[str], rows: list[list[str]], delimiter: str, refuse: Refuse) -> None:
    """Refuse a file whose rows are all longer than its header: which name belongs to which value would be a guess."""
    longer = [row for row in rows if len(row) > len(names) and any(cell.strip() for cell in row[len(names) :])]
    if rows and len(longer) == len(rows):
        raise refuse(
            f": every row has {len(rows[0])} fields, but the header names {len(names)} columns.",
            "The values would be taken for those of the wrong columns.",
            f"name every column in the header, or correct sources.{name}.csv.delimiter (read with {WORDS.get(delimiter, delimiter)})",
        )


def _explain_missing(
    name: str, source: Source, needed: Mapping[str, str], names: list[str], lines: list[str], skip: int, delimiter: str,
    rows: list[list[str]], refuse: Refuse,
) -> None:  # fmt: skip
    """Raise the InputError that fits a first row without the declared columns: a title, data, JSON, or other names."""
    _refuse_json(name, lines[skip], refuse)
    for further in range(skip + 1, min(skip + TITLE_LINES, len(lines))):
        for candidate in [delimiter] if source.csv.delimiter else DELIMITERS:
            header = _records(lines[further : further + 50], candidate, True)[0][0]
            if set(needed) <= {cell.strip() for cell in header}:
                raise refuse(
                    f":{skip + 1}: the first line is a title; the names of the columns are in line {further + 1}.",
                    "A title would be taken for the header.",
                    f"set sources.{name}.csv: {{skip_rows: {further}}}",
                )
    if not set(needed) & set(names) and any(VALUE.fullmatch(cell[:60]) for cell in names):
        raise refuse(
            f" has no header: line {skip + 1} looks like data. Declared, but no column's name: {_some(list(needed))}.",
            "The first row would be lost, and the columns have no names.",
            "export the file with a first line that names the columns",
        )
    raise missing_columns(name, needed, names, refuse, f" (columns parted by {WORDS.get(delimiter, delimiter)})")


def _refuse_json(name: str, line: str, refuse: Refuse) -> None:
    try:
        is_json = isinstance(json.loads(line), dict)
    except ValueError:
        is_json = False
    if is_json:
        raise refuse(" holds lines of JSON, not columns.", "Nothing was read.", f"set sources.{name}.format: jsonl")


def missing_columns(name: str, needed: Mapping[str, str], names: Sequence[str], refuse: Refuse, found: str = "") -> InputError:
    """The error that names every declared column that is not there, the closest that is, and the lines to change."""
    known = [n for n in names if n]
    told = [n[:60] for n in known]
    missing = {c: s for c, s in needed.items() if c not in known}
    wheres = [f' has no column "{c}" (sources.{name}.{s}).{did_you_mean(c, told)}' for c, s in missing.items()]
    first, *others = wheres
    what = "\n".join([first, *(f"and{line.removeprefix(' has')}" for line in others)])
    if not any(did.count("Known:") for did in wheres):
        what += f"\nIt has {_count(len(known), 'column')}{found}: {_some(known)}."
    close = {s: difflib.get_close_matches(c, known, n=1, cutoff=0.6) for c, s in missing.items()}
    snippet = "\n".join(f"      {_yaml(s, match[0])}" for s, match in list(close.items())[:3] if match)
    fix = (
        f"in the configuration, under sources.{name}, set\n{snippet}"
        if snippet
        else f"correct the names under sources.{name}, or export the file with these columns"
    )
    return refuse(what, "Nothing was read from it.", fix)


def _yaml(setting: str, column: str) -> str:
    """'identity.email', 'mail' -> 'identity: {email: "mail"}'; the entry of a list is told in words."""
    part, *keys = setting.split(".")
    value = json.dumps(column, ensure_ascii=False)
    if not keys:
        return f"{part}: {value}"
    return f"{part}: {{{keys[0]}: {value}}}" if len(keys) == 1 else f"{part}, entry {int(keys[0]) + 1}: {keys[1]}: {value}"
