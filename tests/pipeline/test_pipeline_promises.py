"""Promises about whole runs: nothing sees the future, the order of rows never shows, notebooks run alone, a wheel suffices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from pipeline_company import QUICK, Workspace, make_workspace
from scipy.stats import entropy

ROOT = Path(__file__).parents[2]
AS_OF = "2017-10-01 04:00:00"  # midnight in New York, in UTC
pytestmark = pytest.mark.slow


def copied(original: Workspace, folder: Path) -> Workspace:
    subprocess.run(["cp", "-r", original.folder / "configs", original.folder / "data", folder], check=True)
    return Workspace(folder)


def rewrite_csv(path: Path, change, **form) -> None:
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, **form)
    change(frame).to_csv(path, index=False, **form)


def rewrite_lines(path: Path, change) -> None:
    path.write_text("".join(line + "\n" for line in change(path.read_text().splitlines())))


def every_source(folder: Path) -> dict[str, tuple]:
    """File -> (form of its CSV, column with the time, moment of as_of in that column)."""
    return {
        "marketing/activities.csv": ({"sep": ";"}, "activity_at", "2017-10-01"),
        "email/activity.csv": ({}, "occurred_at", "2017-10-01T04:00:00Z"),
        "social/engagements.csv": ({}, "engaged_at", "2017-10-01T00:00:00"),
        "tickets/tickets.csv": ({}, "opened_at", "2017-10-01T00:00:00"),
        "ads/spend.csv": ({"sep": ";"}, "day", "2017-10-01"),
        "crm/contacts.csv": ({"encoding": "cp1252"}, "created_at", "2017-10-01"),
    }


def destroy_the_future(demo: Path) -> None:
    """Delete every second later row and falsify the rest, in every source that has a clock."""
    lines = demo / "pos" / "order_lines.parquet"
    copy = lines.with_suffix(".new")
    duckdb.sql(
        f"""COPY (SELECT * REPLACE (CASE WHEN transaction_timestamp >= TIMESTAMP '{AS_OF}' THEN 999.0 ELSE sales_value END AS sales_value)
        FROM '{lines}' WHERE transaction_timestamp < TIMESTAMP '{AS_OF}' OR hash(basket_id) % 2 = 0) TO '{copy}' (FORMAT parquet)"""
    )
    copy.replace(lines)
    for file, (form, column, moment) in every_source(demo).items():
        rewrite_csv(demo / file, lambda f, c=column, m=moment: f[(f[c] < m) | (np.arange(len(f)) % 2 == 0)], **form)
    rewrite_lines(
        demo / "web" / "events.jsonl", lambda ls: [x for x in ls if json.loads(x)["timestamp"] < "2017-10-01T04:00:00Z"]
    )
    end = int(pd.Timestamp("2017-10-01 04:00", tz="UTC").timestamp() * 1000)
    rewrite_lines(demo / "app" / "events.jsonl", lambda ls: [x for x in ls if json.loads(x)["event_time_ms"] < end])
    survey = pd.read_excel(demo / "survey" / "nps.xlsx", dtype=str, keep_default_na=False)
    survey[survey.submitted_at < "2017-10-01"].to_excel(demo / "survey" / "nps.xlsx", index=False)


def shuffle_everything(demo: Path) -> None:
    generator = np.random.default_rng(1)
    lines = demo / "pos" / "order_lines.parquet"
    pd.read_parquet(lines).sample(frac=1, random_state=1).to_parquet(lines, index=False)
    for file, (form, _, _) in every_source(demo).items():
        rewrite_csv(demo / file, lambda f: f.sample(frac=1, random_state=2), **form)
    for file in ("web/events.jsonl", "app/events.jsonl"):
        rewrite_lines(demo / file, lambda ls: [ls[i] for i in generator.permutation(len(ls))])
    for file in ("loyalty/members.csv", "finance/product_costs.csv"):
        rewrite_csv(demo / file, lambda f: f.sample(frac=1, random_state=3))


def test_destroying_the_future_changes_no_segment(finished, tmp_path):
    other = copied(finished, tmp_path)
    destroy_the_future(tmp_path / "data" / "demo")
    result = other.command("run", "--run-id", "base", *QUICK)
    assert result.returncode == 0, result.stdout + result.stderr
    before, after = finished.table_bytes("base"), other.table_bytes("base")
    decided = (
        "customers",
        "features",
        "segmentation",
        "centres",
        "predictions",
        "certificate",
        "segments",
        "personas",
        "drivers",
        "playbook",
        "kpis",
    )
    different = [name for name in decided if before[f"{name}.parquet"] != after[f"{name}.parquet"]]
    assert not different
    assert before["outcomes.parquet"] != after.get("outcomes.parquet")


def test_shuffled_rows_give_the_same_bytes(finished, tmp_path):
    other = copied(finished, tmp_path)
    shuffle_everything(tmp_path / "data" / "demo")
    result = other.command("run", "--run-id", "base", *QUICK)
    assert result.returncode == 0, result.stdout + result.stderr
    before, after = finished.table_bytes("base"), other.table_bytes("base")
    assert set(before) == set(after)
    # The scoreboard holds seconds; the cleaning log, quotations and the stories that hold them say in which row of the file it stands.
    moved = {"scoreboard", "cleaning_log", "quotes", "personas"}
    assert {name for name in before if before[name] != after[name]} <= {f"{name}.parquet" for name in moved}
    for name in moved:
        tables = [pd.read_parquet(w.run_folder("base") / "tables" / f"{name}.parquet") for w in (finished, other)]
        kept = (t.drop(columns=["seconds", "row"], errors="ignore").replace(r"row \d+", "row", regex=True) for t in tables)
        pd.testing.assert_frame_equal(*kept, check_exact=True)


@pytest.mark.slow
def test_customers_numbered_anew_give_the_same_segments(finished, tmp_path):
    """Another key names every customer differently, as a ledger that has seen other days names some."""
    other = copied(finished, tmp_path)
    (tmp_path / "data" / "demo" / "customer_ids.parquet").unlink()
    (tmp_path / "data" / "demo" / "pseudonym.key").write_text("0123456789abcdef" * 4)
    result = other.command("run", "--run-id", "base", *QUICK)
    assert result.returncode == 0, result.stdout + result.stderr
    for name in ("certificate", "centres", "counts", "scoreboard", "migration", "feature_catalog"):
        before, after = (pd.read_parquet(w.run_folder("base") / "tables" / f"{name}.parquet") for w in (finished, other))
        pd.testing.assert_frame_equal(*(t.drop(columns="seconds", errors="ignore") for t in (before, after)), rtol=1e-9)
    ids = [set(pd.read_parquet(w.run_folder("base") / "tables" / "customers.parquet").customer_id) for w in (finished, other)]
    assert not ids[0] & ids[1]


def test_plain_papermill_runs_each_notebook(finished, tmp_path):
    for notebook in sorted((ROOT / "notebooks").glob("0*.ipynb")):
        words = ["-p", "run_dir", str(finished.folder / "runs" / "by-hand"), "--no-progress-bar"]
        words += ["-p", "bootstraps", "2"] if "03" in notebook.name else []
        line = [sys.executable, "-m", "papermill", str(notebook), str(tmp_path / notebook.name), *words]
        result = subprocess.run(line, env=finished.environment, capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, result.stderr[-2000:]
    assert finished.manifest("by-hand")["state"] == "lab"
    assert set(finished.manifest("by-hand")["stages"]) == {"ingest", "features", "clustering", "personas", "kpis"}


@pytest.fixture(scope="module")
def default_run(tmp_path_factory) -> Workspace:
    """The default configuration on all 2,469 households."""
    company = make_workspace(tmp_path_factory.mktemp("default"), households=None)
    result = company.command("run", "--run-id", "default")
    assert result.returncode == 0, result.stdout + result.stderr
    return company


def test_the_default_run_reaches_its_bars(default_run):
    tables = default_run.run_folder("default") / "tables"
    board = pd.read_parquet(tables / "scoreboard.parquet")
    mean = board[board.outcome == "mean of outcomes"].set_index("method").r2_adjusted
    ours, rfm, plain = mean["this segmentation"], mean["RFM grid"], mean["plain UMAP + HDBSCAN"]
    assert ours >= 1.5 * rfm, (ours, rfm)
    assert ours >= 1.8 * plain, (ours, plain)
    again = board[board.outcome == "mean of outcomes"].set_index("method").replication_ami
    assert again["this segmentation"] >= again["RFM grid of equal size"]
    segments, customers = pd.read_parquet(tables / "segments.parquet"), pd.read_parquet(tables / "customers.parquet")
    assert 10 <= segments.segment_id[segments.segment_id >= 0].nunique() <= 30
    assert segments.customer_id.is_unique
    assert set(segments.customer_id) == set(customers.customer_id)
    assert ((segments.segment_id == -1) == (segments.assigned == "unassigned")).all()
    names = segments.drop_duplicates("segment_id").segment_name
    assert names.is_unique


def test_the_default_run_stays_under_four_gigabytes(default_run):
    peaks = {stage: record["peak_memory_mb"] for stage, record in default_run.manifest("default")["stages"].items()}
    assert max(peaks.values()) < 4096, peaks


def test_segments_are_not_one_giant_and_crumbs(default_run):
    quality = pd.read_parquet(default_run.run_folder("default") / "tables" / "segment_quality.parquet")
    evenness = entropy(quality["size"]) / np.log(len(quality))
    assert evenness > 0.85
    assert quality.share.max() < 0.25


def test_one_table_of_orders_runs_end_to_end_and_names_what_is_missing(tmp_path):
    company = make_workspace(tmp_path, households=20)
    assert company.command("demo", "--company", "orders").returncode == 0
    result = company.command("run", "configs/orders.yaml", "--run-id", "orders", "-p", "clustering.bootstraps", "2")
    assert result.returncode == 0, result.stdout + result.stderr
    tables = company.run_folder("orders") / "tables"
    events = pd.read_parquet(tables / "events.parquet", columns=["customer_id", "amount"])
    assert len(events) == 69_659  # CDNOW master file, Fader & Hardie
    assert events.customer_id.nunique() == 23_570
    kpis = pd.read_parquet(tables / "kpis.parquet")
    total = kpis[kpis.segment_id == -2].set_index("kpi")
    for kpi in ("response_rate", "profitability", "nps", "cac", "campaign_roi"):
        assert np.isnan(total.value[kpi])
        assert total.status[kpi].startswith("not computable: ")
    assert np.isfinite(total.value["aov"])
    board = pd.read_parquet(tables / "scoreboard.parquet")
    mean = board[board.outcome == "mean of outcomes"].set_index("method").r2_adjusted
    assert mean["this segmentation"] > mean["RFM grid of equal size"]
    catalog = pd.read_parquet(tables / "feature_catalog.parquet")
    assert not catalog.feature.str.contains("category|discount|email|channel").any()


def test_a_wheel_in_an_empty_environment_and_folder(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT], check=True, capture_output=True
    )
    wheel = next(tmp_path.glob("workbench-*.whl"))
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "empty"], check=True)
    python = tmp_path / "empty" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--constraint", _pins(tmp_path), wheel], check=True, timeout=900)
    work = tmp_path / "work"
    work.mkdir()
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "WORKBENCH", "VIRTUAL"))}
    tool = tmp_path / "empty" / "bin" / "workbench"
    for words in (["demo", "--households", "300"], ["run", "--run-id", "wheel", *QUICK]):
        result = subprocess.run([tool, *words], cwd=work, env=clean, capture_output=True, text=True, timeout=900)
        assert result.returncode == 0, result.stdout + result.stderr
    assert (work / "runs" / "latest" / "reports" / "index.html").exists()


def _pins(folder: Path) -> Path:
    """The locked versions without hashes: what the wheel's own requirements resolve to."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line.split(" \\")[0] for line in lines if line and not line.startswith((" ", "#"))]
    path = folder / "pins.txt"
    path.write_text("\n".join(pins) + "\n")
    return path
