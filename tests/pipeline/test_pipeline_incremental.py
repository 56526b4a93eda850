"""Data that grow: only what is new is read, nobody gets another number, and the tables are those of a full rebuild (C14, C16)."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pipeline_ingest as tiny
import pytest

MONTHS = {m: [r for r in tiny.order_rows() if r[1].startswith(f"2024-0{m}")] for m in (1, 2, 3)}
PATTERN = {"sources": {"orders": {"path": "orders/*.csv"}}}
NO_CARD = ["2000", "Marisolde", "Delacroixe", "marisolde2000@planted.example", "", "", "2023-04-05", "yes", "Bonn"]
LEDGER, STORE = "data/customer_ids.parquet", "data/store"
BEFORE = {
    "crm.csv": tiny.lines(tiny.CRM_HEADER, [NO_CARD, *tiny.crm_rows()[:50]]),
    "orders/01.csv": tiny.lines(tiny.ORDERS_HEADER, MONTHS[1][:50]),
    "orders/02.csv": tiny.lines(tiny.ORDERS_HEADER, MONTHS[2][:30]),
}
AFTER = {
    "crm.csv": tiny.lines(tiny.CRM_HEADER, [NO_CARD, *tiny.crm_rows()]),
    "orders/01.csv": tiny.lines(tiny.ORDERS_HEADER, MONTHS[1][:50]),
    "orders/02.csv": tiny.lines(tiny.ORDERS_HEADER, MONTHS[2]),
    "orders/03.csv": tiny.lines(tiny.ORDERS_HEADER, MONTHS[3]),
}


def run(name: str, store: str = STORE) -> SimpleNamespace:
    return tiny.run_notebook_01(name, store=store)


def tables(home: Path, name: str) -> dict[str, bytes]:
    folder = home / "runs" / name
    paths = [*sorted((folder / "tables").glob("*.parquet")), *sorted((folder / "private").glob("*"))]
    return {path.name: path.read_bytes() for path in paths}


def numbers(home: Path, name: str) -> pd.Series:
    found = pd.read_parquet(home / "runs" / name / "tables" / "identities.parquet")
    return found.set_index(["source", "record_id"]).customer_id


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A run on the first files, one on the grown ones, and two rebuilds of the latter without a store."""
    home = tmp_path_factory.mktemp("grown")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_HOME", str(home))
        tiny.write_company(home, BEFORE, PATTERN)
        first = run("first")
        shutil.copy(home / LEDGER, home / "ledger.before")
        tiny.write_company(home, AFTER, PATTERN)
        second = run("second")
        shutil.copy(home / LEDGER, home / "ledger.after")
        for name in ("rebuilt", "again"):
            shutil.copy(home / "ledger.before", home / LEDGER)
            run(name, store="")
    return SimpleNamespace(home=home, first=first, second=second)


def test_rows_that_were_read_are_not_read_again(grown):
    read = {n: (s.read_rows, s.reused_rows) for n, s in grown.first.opened.items()}
    assert read == {"crm": (51, 0), "orders": (80, 0)}
    read = {n: (s.read_rows, s.reused_rows) for n, s in grown.second.opened.items()}
    assert read == {"crm": (10, 51), "orders": (30 + 60, 80)}


def test_the_tables_are_those_of_a_rebuild_without_a_store(grown):
    with_store, rebuilt = tables(grown.home, "second"), tables(grown.home, "rebuilt")
    assert with_store.keys() == rebuilt.keys() >= {"events.parquet", "customers.parquet", "identities.parquet", "quarantine.csv"}
    assert [name for name in rebuilt if with_store[name] != rebuilt[name]] == []
    assert (grown.home / LEDGER).read_bytes() == (grown.home / "ledger.after").read_bytes()


def test_two_rebuilds_from_the_raw_files_are_byte_identical(grown):
    assert tables(grown.home, "rebuilt") == tables(grown.home, "again")


def test_every_earlier_record_keeps_its_customer_id(grown):
    before, after = numbers(grown.home, "first"), numbers(grown.home, "second")
    assert len(after) > len(before)
    assert after.reindex(before.index).equals(before)
    assert len(grown.second.linked.changes) == 0


@pytest.fixture
def company(home):
    """The first files, run once; each test may change them."""
    tiny.write_company(home, BEFORE, PATTERN)
    run("first")
    return home


def edited(home: Path, old: str, new: str) -> None:
    text = (home / "crm.csv").read_text()
    assert old in text
    (home / "crm.csv").write_text(text.replace(old, new))


def test_merges_and_splits_are_told_with_both_numbers(company):
    was = numbers(company, "first")
    edited(company, "marisolde2000@planted.example", "yseultine5@planted.example")  # known to be 1005 from now on
    edited(company, ",L0008,", ",L0058,")  # another card: the old one is somebody of its own
    found = run("second").linked.changes
    changed = pd.read_parquet(company / "runs/second/tables/identity_changes.parquet")
    assert changed.values.tolist() == found.values.tolist()
    now = numbers(company, "second")
    merged, split = changed[changed.change == "merged"], changed[changed.change == "split"]
    assert merged[["customer_id", "former_id"]].values.tolist() == [[was["crm", "1005"], was["crm", "2000"]]]
    parted = {now["crm", "1008"], now["orders", "L0008"]}
    assert len(parted) == 2
    assert split.former_id.tolist() == [was["crm", "1008"]]
    assert {*split.customer_id, *split.former_id} == parted
    others = [record for record in was.index if record[1] not in ("1008", "2000", "L0008")]
    assert now.reindex(others).equals(was.reindex(others))


def test_a_deleted_store_changes_nothing_but_what_is_read(company):
    before = tables(company, "first")
    shutil.rmtree(company / STORE)
    found = run("second")
    assert {n: (s.read_rows, s.reused_rows) for n, s in found.opened.items()} == {"crm": (51, 0), "orders": (80, 0)}
    assert tables(company, "second") == before


def test_a_deleted_ledger_keeps_numbers_only_where_nothing_but_the_key_decides(company):
    was = numbers(company, "first")
    (company / LEDGER).unlink()
    run("second")
    assert numbers(company, "second").equals(was)  # the same records: keyed pseudonyms of the records that found a customer
    (company / LEDGER).unlink()
    (company / "data/pseudonym.key").write_text("cd" * 32)
    run("third")
    assert not set(numbers(company, "third")) & set(was)
