"""Customers scored by a finished run's model get the segments that the run gave them; what it was not learned from is refused."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest
from pipeline_company import Workspace

from workbench.core.errors import InputError
from workbench.core.rundir import Run


@pytest.mark.slow
def test_the_same_customers_are_scored_into_their_segments(finished):
    result = finished.command("score", "base", "--sources", "configs/grocer.yaml", "-o", "scored.parquet")
    assert result.returncode == 0, result.stdout + result.stderr
    scored = pd.read_parquet(finished.folder / "scored.parquet")
    known = pd.read_parquet(finished.run_folder("base") / "tables" / "segments.parquet")
    both = scored.merge(known, on="customer_id", suffixes=("", "_run"))
    assert len(both) == len(known) == len(scored)
    assert (both.segment_id == both.segment_id_run).mean() >= 0.95
    assert (both.segment_name == both.segment_name_run).mean() >= 0.95
    assert not list((finished.folder / "runs").glob("score-*"))


def test_a_damaged_model_and_an_unknown_run_are_refused(finished, tmp_path):
    assert finished.command("score", "nowhere", "--sources", "configs/grocer.yaml").returncode == 2
    copy = Workspace(tmp_path)
    run = tmp_path / "runs" / "base"
    run.parent.mkdir()

    shutil.copytree(finished.run_folder("base"), run)
    (run / "models" / "segmenter.skops").write_bytes(b"something else")
    with pytest.raises(InputError, match="not the file that stage clustering wrote"):
        Run.open(run).read_model("segmenter")
    assert copy.run_folder("base") == run
