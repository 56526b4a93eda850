"""Where relative paths start, and where the packaged notebooks and configurations lie."""

from __future__ import annotations

import os
from pathlib import Path

from workbench.core.errors import ParameterError

PACKAGE = Path(__file__).resolve().parents[1]


def root() -> Path:
    """The workspace: $WORKBENCH_HOME, else the nearest folder above that has configs/ or runs/, else the current one.

    Notebooks run in their own folder; the same relative path must mean the same file there and on the command line.
    """
    if home := os.environ.get("WORKBENCH_HOME"):
        return Path(home).resolve()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "configs").is_dir() or (folder / "runs").is_dir():
            return folder
    return here


def resources(kind: str) -> Path:
    """The folder of `notebooks` or `configs`: inside an installed wheel, or of the checkout."""
    packaged = PACKAGE / "resources" / kind
    return packaged if packaged.is_dir() else PACKAGE.parents[1] / kind


def resolve(path: str | Path) -> Path:
    """A path as the user wrote it -> absolute, relative to the workspace."""
    return Path(path) if Path(path).is_absolute() else root() / path


def find(path: str | Path) -> Path:
    """A configuration as the user named it: in the workspace, else among the packaged ones; raises ParameterError."""
    wanted = resolve(path)
    if wanted.exists():
        return wanted
    parts = Path(path).parts
    packaged = resources("configs") / Path(*parts[1:]) if parts[:1] == ("configs",) and len(parts) > 1 else None
    if packaged and packaged.exists():
        return packaged
    near = sorted(p.name for p in resources("configs").glob("*.yaml"))
    raise ParameterError(
        f"{path}: there is no such file in {root()}.",
        fix=f"name an existing file; packaged: {', '.join('configs/' + n for n in near)}",
    )
