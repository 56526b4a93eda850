"""Customers scored by a finished run's model get the segments that the run gave them; what it was not learned from is refused."""

from __future__ import annotations

import datetime as dt
import shutil

import ibis
import numpy as np
import pandas as pd
import pytest
from pipeline_company import Workspace

from workbench.clustering.model import load_model
from workbench.core.errors import InputError
from workbench.core.rundir import Run
from workbench.features.further import further_features


def ingested(run, customers, folder, days=0, without=()):
    """A run directory that has ingested some of a finished run's customers alone, so many days later, without some sources."""
    sources = {name: source for name, source in run.config.sources.items() if name not in without}
    as_of = run.config.as_of + dt.timedelta(days=days)
    scored = Run.create(folder, run.config.model_copy(update={"as_of": as_of, "sources": sources}))
    scored.begin("ingest")
    events = run.read_on(scored.engine, "events")
    events = events.filter(events.customer_id.isin(customers), events.source.notin(list(without) or [""]))
    scored.write_events("events", events.mutate(occurred_at=events.occurred_at + ibis.interval(days=days)))
    for name in ("customers", "people", "private/texts"):
        frame = run.read(name)
        frame = frame[frame.customer_id.isin(customers)].reset_index(drop=True)
        scored.write(
            name, frame.assign(occurred_at=frame.occurred_at + pd.Timedelta(days=days)) if "occurred_at" in frame else frame
        )
    scored.complete()
    return Run.open(folder)


@pytest.fixture(scope="module")
def base(finished):
    return Run.open(finished.run_folder("base"))


@pytest.fixture(scope="module")
def few(base):
    """Twelve customers of the run who have an order."""
    return np.random.default_rng(3).choice(base.read("features").customer_id, 12, replace=False).tolist()


def test_a_few_customers_alone_have_the_features_that_the_run_gave_them(base, few, tmp_path):
    found = further_features(base, ingested(base, few, tmp_path / "few"))
    known = base.read("features").set_index("customer_id").loc[found.index]
    assert sorted(found.index) == sorted(few)
    assert set(found) == set(known)
    pd.testing.assert_frame_equal(found, known[found.columns], rtol=1e-9)
    model = load_model(base.read_model("segmenter"))
    labels = base.read("segments").set_index("customer_id").segment_id[found.index]
    placed = model.predict(found[[str(name) for name in model.space_.feature_names_in_]].astype(float))
    assert (placed == labels).all()


def test_the_same_customers_some_weeks_later_have_the_same_features(base, few, tmp_path):
    found = further_features(base, ingested(base, few, tmp_path / "few", days=21))
    known = base.read("features").set_index("customer_id").loc[found.index]
    pd.testing.assert_frame_equal(found, known[found.columns], rtol=1e-9)


def test_what_the_sources_of_newcomers_do_not_have_is_missing_and_not_zero(base, few, tmp_path):
    without = [name for name, source in base.config.sources.items() if source.kind in ("web", "tickets")]
    found = further_features(base, ingested(base, few, tmp_path / "few", without=without))
    known = base.read("features")
    assert {"page_view_count", "ticket_count"} <= set(known)
    assert not {"page_view_count", "ticket_count"} & set(found)
    assert "order_count" in found


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


def test_newcomers_that_cannot_be_read_are_told_and_the_command_is_to_be_given_again(finished):
    sources = finished.edit_config("order_id: basket_id", "order_id: basket_number")
    result = finished.command("score", "base", "--sources", sources)
    assert result.returncode == 2, result.stdout + result.stderr
    assert "basket_number" in result.stderr
    assert "the same command again" in result.stderr
    assert "--resume" not in result.stderr  # what is kept of a run is thrown away here
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
