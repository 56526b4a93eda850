"""What was read before, as Parquet: so that only new files, and only the new end of files that grew, are read again.

data/store/<source>/parts.json       which parts make up the source, with the SHA-256 of everything
data/store/<source>/<key>.parquet    the rows of one part: of text files the events, converted; else and besides the cells, as text
data/store/.in-use/<random>/        links of a running process: nobody can take its parts away
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import uuid
import weakref
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import filelock

from workbench.core import workspace
from workbench.core.files import atomic_write, disk_fault, sha256, write_text

FORMAT = 1  # raise it when parts are written differently: older ones are read again then


class Fault(NamedTuple):
    """One line that is no row: its file, its line there (of an Excel sheet: row) from 1, and why."""

    file: str
    line: int
    reason: str


@dataclass(frozen=True)
class Part:
    """Rows of a stretch of a file (bytes `start` to `end`; `sha256`: of all bytes up to `end`) in a Parquet file of ours."""

    path: Path
    rows: int
    numbers: int  # how many row numbers it takes: lines for lines of JSON, rows elsewhere
    start: int = 0
    end: int = 0
    lines: int = 0  # line ends in the stretch
    sha256: str = ""
    may_grow: bool = False  # ends with a line end, and nothing about it was a judgement over the whole file
    line_ends: tuple[str, ...] = ()
    control: int = 0
    faults: tuple[tuple[int, str], ...] = ()
    notes: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()  # of lines of JSON: the declared fields that any line has, if only as null
    checksum: str = ""  # SHA-256 of the Parquet file
    is_reused: bool = field(default=False, compare=False)


class Store:
    """The parts of one source: those remembered from before, and those of now. Without a folder nothing is remembered."""

    def __init__(self, con: Any, name: str, folder: str):
        self.is_kept = bool(folder)
        self._con, self._base = con, workspace.resolve(folder) if folder else None
        self.folder = self._base / name if self._base else None
        self._remembered = _read_parts(self.folder / "parts.json") if self.folder else []
        self._now: list[tuple[str, Part]] = []

    def new_path(self) -> Path:
        """A place for a new part, or for a copy on the way to it."""
        return _in_use(self._con, self._base) / f"{uuid.uuid4().hex}.parquet"

    def candidates(self, recipe: str, file: str, size: int) -> list[list[Part]]:
        """Remembered chains of parts that could be the beginning of a file of this size, those of the same name first."""
        chains = [(c["file"] == file, c["parts"]) for c in self._remembered if c["recipe"] == recipe]
        fitting = [(same, parts) for same, parts in chains if same or parts[-1].end == size]
        return [parts for _, parts in sorted(fitting, key=lambda chain: not chain[0])]

    def take(self, part: Part) -> Part | None:
        """A remembered part, linked for this process, if its file is whole; else None."""
        mine = self.new_path()
        try:
            _link(self.folder / part.path.name, mine)
            is_whole = sha256(mine) == part.checksum
        except OSError:
            return None
        return replace(part, path=mine, is_reused=True) if is_whole else None

    def keep(self, recipe: str, file: str, parts: Sequence[Part]) -> None:
        """Note what a file consists of now; new parts are written beside the remembered ones."""
        if not self.is_kept:
            return
        _private(self.folder)
        kept = []
        for part in parts:
            key = hashlib.sha256(f"{FORMAT} {recipe} {part.start} {part.sha256}".encode()).hexdigest()
            target = self.folder / f"{key}.parquet"
            if not part.is_reused:
                atomic_write(target, lambda p, part=part: _link(part.path, p), 0o600)
                part = replace(part, checksum=sha256(part.path))
            kept.append(replace(part, path=target))
        self._now.append((json.dumps([recipe, file]), kept))

    def finish(self) -> None:
        """Write what the source consists of now, and remove every part that it no longer has."""
        if not self.is_kept or not (self._now or self.folder.is_dir()):
            return
        _private(self.folder)
        chains = [
            {"recipe": json.loads(key)[0], "file": json.loads(key)[1], "parts": [_plain(part) for part in parts]}
            for key, parts in self._now
        ]
        body = json.dumps(chains, sort_keys=True)
        write_text(self.folder / "parts.json", json.dumps({"format": FORMAT, "sha256": _digest(body), "chains": body}), 0o600)
        wanted = {part.path.name for _, parts in self._now for part in parts}
        for path in self.folder.glob("*.parquet"):
            if path.name not in wanted and not path.name.startswith(".tmp-"):
                path.unlink(missing_ok=True)


def recipe_of(*decisions: Any) -> str:
    """Everything of a declaration that decides how a file is read -> its SHA-256."""
    return _digest(json.dumps(decisions, sort_keys=True, default=list))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(part: Part) -> dict[str, Any]:
    plain = asdict(part) | {"path": part.path.name}
    plain.pop("is_reused")
    return plain


def _read_parts(path: Path) -> list[dict[str, Any]]:
    """The remembered chains; none where the list is missing, damaged or of another format."""
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        if whole["format"] != FORMAT or _digest(whole["chains"]) != whole["sha256"]:
            return []
        return [chain | {"parts": [_part(p) for p in chain["parts"]]} for chain in json.loads(whole["chains"])]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _part(plain: dict[str, Any]) -> Part:
    lists = {key: tuple(plain[key]) for key in ("line_ends", "notes", "fields")}
    faults = tuple((line, reason) for line, reason in plain["faults"])
    return Part(**{**plain, **lists, "faults": faults, "path": Path(Path(plain["path"]).name)})


def _private(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for each in (folder, folder.parent):
        each.chmod(0o700)


def _link(source: Path, target: Path) -> None:
    """A second name of a file, or a copy where the file system has none."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)


def _in_use(con: Any, base: Path | None) -> Path:
    """This process's own folder of parts, as long as its engine lives; beside the store, so that links are possible."""
    # On the engine itself: two engines of the same settings are equal, and one must not lose its parts with the other.
    mine: dict[str, Path] = vars(con).setdefault("_workbench_parts", {})
    if str(base) in mine and mine[str(base)].is_dir():
        return mine[str(base)]
    shelf = base / ".in-use" if base else Path(tempfile.gettempdir())
    folder = shelf / f"workbench-{uuid.uuid4().hex}"
    try:
        if base:
            _private(shelf)
            _sweep(shelf)
        # The lock comes first: a folder without a held lock is taken for one that a killed process left.
        lock = filelock.FileLock(f"{folder}.lock", mode=0o600)
        lock.acquire()
        folder.mkdir(mode=0o700)
    except OSError as fault:
        raise disk_fault(folder, fault) from None
    weakref.finalize(con, _leave, folder, lock)
    mine[str(base)] = folder
    return folder


def _leave(folder: Path, lock: filelock.BaseFileLock) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _sweep(shelf: Path) -> None:
    """Remove what killed processes left behind: their locks can be had."""
    for path in shelf.glob("*.lock"):
        lock = filelock.FileLock(path)
        with contextlib.suppress(OSError, filelock.Timeout):
            lock.acquire(timeout=0)
            _leave(path.with_suffix(""), lock)
