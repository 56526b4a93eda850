"""`workbench compare`: a report of its own about two runs of one company; anything else is refused and finished runs stay as they are."""

from __future__ import annotations

import json
import re
import shutil

import pandas as pd
import pytest
from bs4 import BeautifulSoup
from pipeline_company import QUICK

from workbench.core.files import sha256


@pytest.fixture(scope="module")
def copied(finished):
    """A copy of the finished run under another name, with an edited record."""

    def copy(name: str, **record):
        folder = finished.run_folder(name)
        shutil.copytree(finished.run_folder("base"), folder, dirs_exist_ok=True)
        path = folder / "run.json"
        manifest = json.loads(path.read_text()) | record
        path.write_text(json.dumps(manifest))
        return manifest

    yield copy
    for folder in (finished.folder / "runs").glob("copy-*"):
        shutil.rmtree(folder)


@pytest.fixture
def latest(finished):
    """The link to the newest run, put back afterwards: other tests build on it."""
    link = finished.folder / "runs" / "latest"
    before = link.readlink()
    yield link
    link.unlink()
    link.symlink_to(before)


def contents(folder):
    return {
        p.relative_to(folder): sha256(p)
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name not in (".lock", ".holder.json")
    }


def test_the_same_data_twice_have_not_changed(finished, copied):
    copied("copy-twin")
    before = contents(finished.run_folder("base"))
    result = finished.command("compare", "base", "copy-twin", "-o", "twins")
    assert result.returncode == 0, result.stderr
    page = BeautifulSoup((finished.folder / "twins" / "index.html").read_text(), "html.parser")
    text = page.get_text()
    assert "as of the same day" in text
    assert re.search(r"0 shifted much .* and 0 moderately", text)
    assert "changed at all" in text
    assert "none, as no day passed; 0.0% of" in text
    assert not page.find_all("script")
    assert len(page.find_all("img")) >= 2
    assert all(len(image["alt"]) > 25 for image in page.find_all("img"))
    assert contents(finished.run_folder("base")) == before


@pytest.mark.parametrize(
    "name, record, code, words",
    [
        ("copy-foreign", {"company": "Another grocer"}, 3, "Demo grocer, the other of Another grocer"),
        ("copy-broken", {"state": "failed"}, 3, "is not finished"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_a_reason(finished, copied, name, record, code, words):
    copied(name, **record)
    result = finished.command("compare", "base", name)
    assert result.returncode == code
    assert words in result.stderr
    assert "Fix:" in result.stderr
    assert not (finished.folder / "comparisons" / f"base--{name}").exists()


def test_runs_that_were_not_computed_alike_say_so(finished, copied):
    packages = {**copied("copy-elsewhere")["packages"], "umap-learn": "0.5.99"}
    copied("copy-elsewhere", processor="another", packages=packages)
    assert finished.command("compare", "copy-elsewhere", "base").returncode == 0
    text = (finished.folder / "comparisons/copy-elsewhere--base/index.html").read_text()
    assert "not computed alike (umap-learn 0.5.99 there and " in text
    assert "processor another there and " in text


def test_a_run_that_lacks_a_table_is_named(finished, copied):
    manifest = copied("copy-old")
    del manifest["stages"]["clustering"]["tables"]["registry"]
    copied("copy-old", stages=manifest["stages"])
    result = finished.command("compare", "copy-old", "base")
    assert result.returncode == 2
    assert 'no table "registry"' in result.stderr


def test_nothing_is_written_into_a_run_and_a_run_is_not_compared_with_itself(finished, copied):
    copied("copy-twin")
    assert finished.command("compare", "base", "copy-twin", "-o", "runs/base/reports").returncode == 3
    assert finished.command("compare", "base", "base").returncode == 3
    assert finished.command("compare", "base", "nowhere").returncode == 2


def test_a_last_run_that_cannot_be_compared_does_not_stop_this_one(finished, copied, latest):
    from workbench.compare import compare_with_previous
    from workbench.core.rundir import Run

    manifest = copied("copy-old")
    del manifest["stages"]["clustering"]["tables"]["registry"]
    copied("copy-old", stages=manifest["stages"])
    latest.unlink()
    latest.symlink_to("copy-old")
    run = Run.open(finished.run_folder("base"))
    found = compare_with_previous(run, run.read("kpis"))
    assert found.earlier == ""
    assert "copy-old is not compared" in found.notes[0]
    assert len(found.advice) > 0
    assert found.kpi_changes.empty


@pytest.mark.slow
def test_a_later_day_is_compared_end_to_end(finished, latest):
    """A month earlier and the default day: segments are matched, changes add up, and notebook 05 tells the same as the report."""
    # The later run is made last, so that its notebook finds the earlier one.
    for run, day in (("earlier", "2017-09-01"), ("later", "2017-10-01")):
        result = finished.command("run", "--run-id", run, "-p", "as_of", day, *QUICK)
        assert result.returncode == 0, result.stdout + result.stderr
    assert finished.command("compare", "later", "earlier").returncode == 0
    text = BeautifulSoup(
        (finished.folder / "comparisons" / "earlier--later" / "index.html").read_text(), "html.parser"
    ).get_text()
    assert "From run earlier (as of 2017-09-01) to run later (as of 2017-10-01)" in text
    assert "the periods overlap" in text
    tables = finished.run_folder("later") / "tables"
    changed, drift = (pd.read_parquet(tables / f"{name}.parquet") for name in ("kpi_changes", "drift"))
    kpis = [pd.read_parquet(finished.run_folder(run) / "tables" / "kpis.parquet") for run in ("earlier", "later")]
    for row in changed[changed.segment_id == -2].itertuples():
        one, two = (frame[(frame.kpi == row.kpi) & (frame.segment_id == -2)].value.iloc[0] for frame in kpis)
        assert row.mix + row.rate == pytest.approx(two - one, abs=1e-9 * max(abs(two), 1))
    assert len(drift) > 50
    assert f"of {len(drift)}, " in text
    page = BeautifulSoup((finished.run_folder("later") / "reports" / "05_kpis.html").read_text(), "html.parser").get_text()
    assert "From run earlier (as of 2017-09-01) to run later" in page
