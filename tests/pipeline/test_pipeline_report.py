"""The report of a finished run: complete, self-contained, readable without scripts, free of personal data."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest
from bs4 import BeautifulSoup

READERS = ("executive", "marketing", "service", "product", "analytics", "data")
PAGES = ("index", *READERS, "01_ingest", "02_features", "03_clustering", "04_personas", "05_kpis")


@pytest.fixture(scope="session")
def pages(finished) -> dict[str, BeautifulSoup]:
    folder = finished.run_folder("base") / "reports"
    return {name: BeautifulSoup((folder / f"{name}.html").read_text(), "html.parser") for name in PAGES}


def test_every_page_is_there_and_needs_no_script_and_no_network(pages):
    for name, page in pages.items():
        assert not page.find_all(["script", "link", "iframe", "object"]), name
        assert not [t for t in page.find_all(True) if any(a.startswith("on") for a in t.attrs)], name
        for tag in page.find_all(src=True):
            assert tag["src"].startswith("data:image/png"), name
        outside = [a["href"] for a in page.find_all("a", href=True) if a["href"].startswith(("http", "//", "javascript"))]
        assert not outside, name
        assert "default-src 'none'" in page.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]


def test_code_is_hidden_and_every_figure_has_alternative_text(pages):
    for name, page in pages.items():
        text = page.get_text()
        assert "import " not in text.split("Next:")[0], name
        assert "open_stage" not in text, name
        for image in page.find_all("img"):
            assert len(image.get("alt", "")) > 25, name


def test_the_first_page_says_which_sources_are_real(pages):
    text = pages["index"].get_text()
    assert re.search(r"real: pos, marketing", text)
    assert re.search(r"simulated: crm, email", text)


def test_the_first_page_shows_names_map_and_scoreboard(finished, pages):
    text = pages["index"].get_text()
    quality = pd.read_parquet(finished.run_folder("base") / "tables" / "segment_quality.parquet")
    assert all(name in text for name in quality.segment_name)
    assert not re.search(r"\b(Segment|Cluster) \d", text)
    assert "RFM grid" in text
    assert len(pages["index"].find_all("img")) >= 3


def test_every_page_links_to_every_other(pages):
    for name, page in pages.items():
        assert {a["href"] for a in page.nav.find_all("a")} == {f"{other}.html" for other in PAGES}, name
        assert page.nav.find("a", class_="here")["href"] == f"{name}.html"


def test_the_executive_page_is_short_and_names_the_next_actions_with_their_uncertainty(finished, pages):
    page, tables = pages["executive"], finished.run_folder("base") / "tables"
    case, kpis = (pd.read_parquet(tables / f"{name}.parquet") for name in ("business_case", "kpis"))
    best = case[case.best > 0].sort_values("best")
    told = [item.get_text() for item in page.select("ol li")]
    assert len(told) == len(best) <= 3
    assert ("No action is expected to bring more than it costs" in page.get_text()) == best.empty
    for text, row in zip(told, best.itertuples(), strict=True):
        assert row.segment_name in text
        assert f"{row.value:+,.0f} USD, {row.value_low:+,.0f} to {row.value_high:+,.0f}" in text
        assert ("not distinguishable from zero" in text) == (row.verdict == "not distinguishable from zero")
    tiles = [item.get_text() for item in page.select("ul.tiles li")]
    assert 4 <= len(tiles) <= 7
    clv = kpis[(kpis.kpi == "clv") & (kpis.segment_id == -2)].value.iloc[0]
    assert any(f"{clv:,.2f} USD" in tile for tile in tiles)
    assert "What not to trust" in page.get_text()
    assert "simulated: crm" in page.get_text()
    # One screen of 1440 x 900 holds about 2,900 characters of this layout; no figure and no table.
    assert len(page.main.get_text()) < 2900
    assert not page.find_all(["img", "table"])


def test_pages_per_reader_tell_the_tables_of_the_run(finished, pages):
    tables = finished.run_folder("base") / "tables"
    texts = {reader: pages[reader].get_text() for reader in READERS}
    names = pd.read_parquet(tables / "segment_quality.parquet").segment_name
    for reader, function in (("marketing", "marketing"), ("marketing", "sales"), ("service", "service"), ("product", "product")):
        assert f"For {function}" in texts[reader]
        assert all(name in texts[reader] for name in names)
    pilots = pd.read_parquet(tables / "pilots.parquet")
    assert all(treatment in texts["marketing"] for treatment in pilots.treatment)
    assert "No earlier run to compare with" in texts["analytics"]
    assert "RFM grid" in texts["analytics"]
    readiness = pd.read_parquet(tables / "readiness.parquet")
    assert f"{readiness.ready.sum()} of {len(readiness)}" in texts["data"]


def test_personal_data_stay_in_private(finished):
    folder = finished.run_folder("base")
    persons = pd.read_parquet(folder / "private" / "persons.parquet")
    secrets = {v.lower() for c in ("email", "phone") for v in persons[c].dropna()}
    assert len(secrets) > 100
    for file in [*folder.glob("reports/*.html"), *folder.glob("notebooks/*.ipynb"), folder / "run.json", folder / "metrics.json"]:
        found = set(re.findall(r"[\w.+-]+@example\.\w+|\+1\d{10}", file.read_text().lower()))
        assert not found & secrets, file
    for table in folder.glob("tables/*.parquet"):
        content = table.read_bytes().lower()
        assert not [s for s in secrets if s.encode() in content], table
    assert (folder / "private").stat().st_mode & 0o777 == 0o700
    assert (folder / "private" / "persons.parquet").stat().st_mode & 0o777 == 0o600


def test_the_record_says_what_was_run_and_where_the_time_went(finished):
    manifest = finished.manifest("base")
    assert manifest["state"] == "finished"
    assert set(manifest["inputs"]) > {"pos", "crm"}
    for record in manifest["stages"].values():
        assert record["seconds"] > 0
        assert record["peak_memory_mb"] > 0
        assert record["sections"]
        assert record["rows"]
    metrics = json.loads((finished.run_folder("base") / "metrics.json").read_text())
    assert all(isinstance(v, (int, float)) for v in metrics.values())


def test_runs_lists_the_run(finished):
    listing = finished.command("runs").stdout
    assert re.search(r"base\s+Demo grocer\s+2017-10-01\s+\d+ finished", listing)
