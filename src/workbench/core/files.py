"""Files that are whole or not there: temporary name, sync, rename; and their SHA-256."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from workbench.core.errors import EnvironmentFault

TEMPORARY = ".tmp-"


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def atomic_write(path: Path, write: Callable[[Path], object], mode: int = 0o644) -> None:
    """Let `write` fill a temporary file, sync it, rename it to `path`; on any fault the old file stays as it was.

    Raises EnvironmentFault when the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        temporary.chmod(mode)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except Exception as fault:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if is_disk_fault(fault):
            raise disk_fault(path, fault) from None
        raise


def write_text(path: Path, text: str, mode: int = 0o644) -> None:
    """Text in UTF-8, whole or not at all."""
    atomic_write(path, lambda p: p.write_text(text, encoding="utf-8"), mode)


def is_disk_fault(fault: BaseException) -> bool:
    """Whether the disk, not our code, refused: Python's OSError, or the engine's own I/O error."""
    return (
        isinstance(fault, OSError)
        or type(fault).__module__.startswith(("duckdb", "_duckdb"))
        and type(fault).__name__ == "IOException"
    )


def disk_fault(path: Path, fault: BaseException) -> EnvironmentFault:
    """The same fault in our words, with the space that is left."""
    folder = next(p for p in (path.parent, *path.parents) if p.is_dir())
    free = shutil.disk_usage(folder).free / 2**20
    reason = getattr(fault, "strerror", None) or str(fault).splitlines()[0]
    return EnvironmentFault(
        f"{path.name} could not be written to {folder}: {reason} ({free:,.0f} MiB free).",
        "The stage stopped; every file written before is whole and unchanged.",
        "free some space or choose another folder, then run again (`workbench run` with --resume)",
    )


def sweep(folder: Path) -> None:
    """Remove temporary files that a killed process left behind."""
    for leftover in folder.rglob(f"{TEMPORARY}*"):
        if leftover.is_file():
            leftover.unlink(missing_ok=True)
