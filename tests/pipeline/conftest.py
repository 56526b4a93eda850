"""Session-wide companies for the tests that drive the command line."""

from __future__ import annotations

import pytest
from pipeline_company import QUICK, Workspace, make_workspace


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Workspace:
    """300 households; tests may add runs but leave the data alone."""
    return make_workspace(tmp_path_factory.mktemp("small company"), 300)


@pytest.fixture(scope="session")
def finished(small) -> Workspace:
    """The same with a finished run called `base`."""
    result = small.command("run", "--run-id", "base", *QUICK)
    assert result.returncode == 0, result.stdout + result.stderr
    return small
