"""The files that a run starts from: where they lie, what they hash to, and the key of the pseudonyms."""

from __future__ import annotations

from pathlib import Path

from workbench.core import workspace
from workbench.core.config import Config, Source
from workbench.core.errors import InputError, ParameterError, did_you_mean
from workbench.core.files import sha256


def find_file(name: str, source: Source) -> Path:
    """The source's file; raises InputError with the nearest names when there is none, or when it is empty."""
    path = workspace.resolve(source.path)
    if not path.is_file():
        near = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
        hint = did_you_mean(path.name, near) if near else " The folder does not exist."
        raise InputError(
            f'source "{name}": {path} is not there.{hint}',
            "Nothing was read.",
            f"correct sources.{name}.path (for the demo company: run `workbench demo` first)",
        )
    if path.stat().st_size == 0:
        raise InputError(
            f'source "{name}": {path} is empty (0 bytes).',
            "An export that failed looks like this.",
            "export it again, or remove the source",
        )
    return path


def input_hashes(config: Config) -> dict[str, str]:
    """Source name -> SHA-256 of its file ("no file" where there is none)."""
    paths = {name: workspace.resolve(source.path) for name, source in config.sources.items()}
    return {name: sha256(path) if path.is_file() else "no file" for name, path in paths.items()}


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
