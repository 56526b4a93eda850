"""How tests are dealt to processes, and where `--nbval` compares outputs: on the kind of processor that made them."""

from pathlib import Path
from typing import Any

import pytest

from workbench.core.processor import processor

MADE_ON = (Path(__file__).parent / "tests/notebooks_made_on.txt").read_text(encoding="utf-8").strip()  # by `make notebooks`
IS_ELSEWHERE = processor() != MADE_ON
EXACT = "01_ingest.ipynb"  # counts and text, which no processor computes otherwise


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One process runs a file from its first test to its last, and all notebooks, as each reads what the one before wrote."""
    from xdist.scheduler import LoadFileScheduling

    class NotebooksTogether(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "notebooks" if file.endswith(".ipynb") else file

    return NotebooksTogether(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Jupyter may warn; borders of segments may lie otherwise where another kind of processor made the outputs."""
    for cell in (item for item in items if item.path.suffix == ".ipynb"):
        cell.add_marker(pytest.mark.filterwarnings("ignore"))
        if cell.path.name != EXACT and IS_ELSEWHERE:
            cell.options["check"] = False


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was not compared."""
    if config.getoption("nbval") and IS_ELSEWHERE:
        terminalreporter.write_line(
            f"outputs of notebooks were not compared, but of {EXACT}: they were made on {MADE_ON}, this is {processor()}"
        )
