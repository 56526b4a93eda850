"""`pytest --nbval notebooks`: outputs are compared where this processor is the one that they were made on."""

from pathlib import Path

import pytest

from workbench.core.processor import processor

MADE_ON = Path(__file__).parent / "tests/notebooks_made_on.txt"  # written by `make notebooks`
EXACT = "01_ingest.ipynb"  # counts and text, which no processor computes otherwise
TOLD = pytest.StashKey[str]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Elsewhere cells are run, and their own checks with them, but borders of segments may lie otherwise."""
    cells = [item for item in items if item.path.suffix == ".ipynb" and item.path.name != EXACT]
    if not cells or (made_on := MADE_ON.read_text(encoding="utf-8").strip()) == processor():
        return
    for cell in cells:
        cell.options["check"] = False
    config.stash[TOLD] = f"outputs of {len(cells)} cells are not compared: they were made on {made_on}, this is {processor()}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was not compared."""
    if told := config.stash.get(TOLD, ""):
        terminalreporter.write_line(told)
