"""What several rooms' tests share: a small demo company, an engine, and a workspace of its own."""

from pathlib import Path

import hypothesis
import pytest

from workbench.core.processor import use_one_thread

use_one_thread()

hypothesis.settings.register_profile("repeatable", deadline=None, database=None, derandomize=True)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def small_demo(tmp_path_factory) -> Path:
    """The workspace of a demo company of 300 households: its files lie where configs/grocer.yaml looks for them."""
    from workbench.demo import build_demo

    home = tmp_path_factory.mktemp("grocer")
    build_demo(home / "data/demo", households=300)
    return home


@pytest.fixture(scope="session")
def con(tmp_path_factory):
    """One engine for all tests."""
    from workbench.core.config import Engine
    from workbench.core.engine import connect

    return connect(Engine(), tmp_path_factory.mktemp("spill"))


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty workspace."""
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    return tmp_path
