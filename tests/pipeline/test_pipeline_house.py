"""Rules of the house that a reader relies on."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.core.config import config_schema, load_config

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "workbench"
ROOMS = ("ingest", "features", "clustering", "personas", "kpis", "demo")


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def files(room: str) -> list[Path]:
    return sorted((SOURCE / room).glob("*.py"))


def test_core_imports_nothing_of_ours_and_rooms_no_sibling():
    for path in files("core"):
        assert not {m for m in imported(path) if m.startswith("workbench.") and not m.startswith("workbench.core")}, path
    for room in ROOMS:
        for path in files(room):
            siblings = {f"workbench.{other}" for other in (*ROOMS, "views") if other != room}
            assert not {m for m in imported(path) if any(m == s or m.startswith(s + ".") for s in siblings)}, path


def test_run_and_report_import_core_only():
    for path in (SOURCE / "run.py", SOURCE / "kernel.py", SOURCE / "report.py"):
        ours = {m for m in imported(path) if m.startswith("workbench.")}
        assert {m for m in ours if not m.startswith("workbench.core")} <= {
            "workbench.report",
            "workbench.readers",
            "workbench.kernel",
        } | {m for m in ours if m.startswith("workbench.kernel.")}, path


@pytest.mark.parametrize(
    "library, homes",
    [
        ("umap", {"clustering/embed.py"}),
        ("hdbscan", {"clustering/cluster.py", "clustering/baselines.py"}),
        ("papermill", {"kernel.py"}),
        ("matplotlib", {"views/"}),
        ("seaborn", {"views/"}),
        ("pyspark", {"core/spark.py"}),
        ("py4j", {"core/spark.py"}),
        ("workbench.core.spark", {"core/engine.py"}),
        ("pickle", set()),
        ("joblib", set()),
    ],
)
def test_each_heavy_library_has_one_home(library, homes):
    for path in SOURCE.rglob("*.py"):
        name = path.relative_to(SOURCE).as_posix()
        if any(m == library or m.startswith(library + ".") for m in imported(path)):
            assert any(name.startswith(home) for home in homes), name


def test_rooms_neither_print_nor_draw():
    for room in (*ROOMS, "core", "views"):
        for path in files(room):
            calls = [
                n.func.id
                for n in ast.walk(ast.parse(path.read_text()))
                if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
            ]
            assert "print" not in calls, path


def test_help_is_quick_and_light():
    code = "import sys, workbench.cli as c; c._parser(); sys.exit(any(m in sys.modules for m in ('pandas', 'ibis', 'duckdb', 'pydantic', 'yaml')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert subprocess.run([sys.executable, "-m", "workbench.cli", "--help"], capture_output=True).returncode == 0


def test_the_schema_file_is_that_of_the_models():
    assert json.loads((ROOT / "configs" / "workbench.schema.json").read_text()) == json.loads(json.dumps(config_schema()))


@pytest.mark.parametrize("name", ["grocer.yaml", "orders.yaml"])
def test_the_configurations_are_sound(name):
    assert load_config(ROOT / "configs" / name).sources


def test_the_lock_names_versions_and_hashes_and_no_place():
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text
    pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert all("==" in line for line in pins)
    assert text.count("--hash=sha256:") >= len(pins)
