"""A small company in a workspace of its own, driven through the command line as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from workbench.demo import build_demo

QUICK = ("-p", "clustering.bootstraps", "2", "-p", "kpis.bootstraps", "50", "-p", "features.top_subcategories", "5")


class Workspace:
    """A folder with data, configurations and runs, and the command line working in it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = {**os.environ, "WORKBENCH_HOME": str(folder)}

    def command(self, *words: str, **more) -> subprocess.CompletedProcess:
        """Run `workbench …` to its end."""
        line = [sys.executable, "-m", "workbench.cli", *words]
        return subprocess.run(line, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=1800, **more)

    def start(self, *words: str) -> subprocess.Popen:
        """Start `workbench …` and return at once."""
        line = [sys.executable, "-m", "workbench.cli", *words]
        return subprocess.Popen(
            line, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run_folder(self, run_id: str) -> Path:
        return self.folder / "runs" / run_id

    def manifest(self, run_id: str) -> dict:
        return json.loads((self.run_folder(run_id) / "run.json").read_text())

    def table_bytes(self, run_id: str) -> dict[str, bytes]:
        """Every table of the run but the scoreboard's clock times, as bytes."""
        return {p.name: p.read_bytes() for p in sorted((self.run_folder(run_id) / "tables").glob("*.parquet"))}

    def edit_config(self, old: str, new: str, name: str = "edited.yaml") -> str:
        """A copy of the default configuration with one text replaced; returns its name."""
        text = (self.folder / "configs" / "grocer.yaml").read_text()
        assert old in text
        (self.folder / "configs" / name).write_text(text.replace(old, new, 1))
        return f"configs/{name}"


def make_workspace(folder: Path, households: int) -> Workspace:
    source = Path(__file__).parents[2] / "configs"
    (folder / "configs").mkdir(parents=True)
    for file in source.glob("*.yaml"):
        (folder / "configs" / file.name).write_bytes(file.read_bytes())
    build_demo(folder / "data" / "demo", households=households)
    return Workspace(folder)


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)
