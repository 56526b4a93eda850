"""The files that a run starts from: where they lie, what they hash to, and the key of the pseudonyms."""

from __future__ import annotations

import glob
import hashlib
import os
from pathlib import Path

from workbench.core import workspace
from workbench.core.config import Config, Source
from workbench.core.errors import InputError, ParameterError, did_you_mean
from workbench.core.files import sha256


def find_files(name: str, source: Source) -> list[Path]:
    """The source's files sorted by name, none for a database.

    Raises InputError with the nearest names when there is none, when one may not be read, or when one is empty (0 bytes) and the
    source is not optional.
    """
    if source.database:
        return []
    found = _matching(source.path)
    if not found:
        raise _not_there(name, source)
    for path in found:
        if not os.access(path, os.R_OK):
            raise InputError(
                f'source "{name}": {shown(path)} may not be read (no permission).',
                "Nothing was read.",
                f"chmod u+r {path}   (or ask its owner)",
            )
        if path.stat().st_size == 0 and not source.optional:
            raise InputError(
                f'source "{name}": {shown(path)} is empty (0 bytes).',
                "An export that failed looks like this.",
                f"export it again, remove the source, or set sources.{name}.optional: true",
            )
    return found


def shown(path: Path) -> str:
    """A file's name for readers: relative to the workspace where it lies in it."""
    root = workspace.root()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _matching(pattern: str) -> list[Path]:
    """Files of a path or pattern, sorted by name; hidden and temporary ones never match a pattern."""
    path = workspace.resolve(pattern)
    if path.is_file():
        return [path]
    if not glob.has_magic(pattern):
        return []
    # The workspace's own name may hold brackets: only what the user wrote is a pattern.
    text = str(path) if Path(pattern).is_absolute() else os.path.join(glob.escape(str(workspace.root())), pattern)
    return sorted(Path(p) for p in glob.glob(text, recursive=True) if os.path.isfile(p))


def _not_there(name: str, source: Source) -> InputError:
    path = workspace.resolve(source.path)
    fix = f"correct sources.{name}.path (for the demo company: run `workbench demo` first)"
    if path.is_dir():
        endings = sorted({p.suffix for p in path.iterdir() if p.is_file() and p.suffix})
        fix = f"set sources.{name}.path: {source.path.rstrip('/')}/*{endings[0] if endings else '.csv'}"
        return InputError(f'source "{name}": {shown(path)} is not there as a file: it is a folder.', "Nothing was read.", fix)
    folder = path.parent
    while glob.has_magic(folder.name):
        folder = folder.parent
    if not folder.is_dir():
        hint = f" The folder {shown(folder)} does not exist.{did_you_mean(folder.name, _names(folder.parent))}"
    else:
        names = _names(folder)
        hint = did_you_mean(path.name, names) if names else " The folder is empty."
    what = "matches no file" if glob.has_magic(source.path) else "is not there"
    return InputError(f'source "{name}": {shown(path)} {what}.{hint}', "Nothing was read.", fix)


def _names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith(".")) if folder.is_dir() else []


def input_hashes(config: Config) -> dict[str, str]:
    """Source name -> SHA-256 of its file, of the list of names and SHA-256 of several, "database", or "no file"."""
    return {name: "database" if source.database else _hash(_matching(source.path)) for name, source in config.sources.items()}


def _hash(paths: list[Path]) -> str:
    if len(paths) < 2:
        return sha256(paths[0]) if paths else "no file"
    return hashlib.sha256("\n".join(f"{sha256(path)}  {shown(path)}" for path in paths).encode()).hexdigest()


def read_key(config: Config) -> bytes:
    """The secret key of the pseudonyms; raises ParameterError with the command that makes one."""
    path = workspace.resolve(config.identity.key_file)
    text = path.read_text().strip() if path.is_file() else ""
    if len(text) != 64 or not set(text.lower()) <= set("0123456789abcdef"):
        what = "is not there" if not text else "does not hold 64 hexadecimal characters"
        raise ParameterError(
            f"identity.key_file: {path} {what}.",
            "Customer numbers are keyed, so that nobody can compute them from an e-mail address.",
            f"python3 -c 'import secrets; print(secrets.token_hex(32))' > {path}   (keep it: another key gives other customer numbers)",
        )
    return bytes.fromhex(text)
