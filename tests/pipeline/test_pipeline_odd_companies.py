"""Files and declarations that nobody planned for: read right, told, or refused with the fix; never a crash, never a wrong number."""

from __future__ import annotations

import io
import json
import re

import pandas as pd
import pipeline_ingest as tiny
import pytest

from workbench import cli

CRM, ORDERS = tiny.crm_text(), tiny.orders_text()
ROWS = tiny.order_rows()
MONTHS = {
    f"orders/2024-0{m}.csv": tiny.lines(tiny.ORDERS_HEADER, [r for r in ROWS if r[1][:7] == f"2024-0{m}"]) for m in (1, 2, 3)
}


def source(name: str, **settings) -> dict:
    return {"sources": {name: settings}}


def event(**settings) -> dict:
    return source("orders", events=[{"type": "order", "at": "at", "order_id": "no", "amount": "amount", **settings}])


def named(header: str, record: str, at: str, no: str, amount: str) -> tuple[dict, dict]:
    """The orders under other names of columns."""
    events = [{"type": "order", "at": at, "order_id": no, "amount": amount}]
    settings = source("orders", record_id=record, identity={"loyalty_id": record}, events=events)
    return {"orders.csv": header + "\n" + ORDERS.partition("\n")[2]}, settings


def workbook(**merged: str) -> bytes:
    """The customers as the first of two sheets; merged: cells to merge."""
    held = io.BytesIO()
    with pd.ExcelWriter(held, engine="openpyxl") as writer:
        pd.read_csv(io.StringIO(CRM), dtype=str).to_excel(writer, sheet_name="People", index=False)
        pd.DataFrame({"x": [1]}).to_excel(writer, sheet_name="Notes", index=False)
        for cells in merged.values():
            writer.book["People"].merge_cells(cells)
    return held.getvalue()


def blank_mails() -> str:
    rows = [row[:3] + ["" if i % 10 == 5 else row[3]] + row[4:] for i, row in enumerate(tiny.crm_rows()[1:])]
    return tiny.lines(tiny.CRM_HEADER, rows)


PATTERN = source("orders", path="orders/*.csv")
TOWNS = {"kind": "enrichment", "path": "z.csv", "lookup": {"by": "town", "column": "town"}}
JSON_ORDERS = "".join(
    json.dumps({"card": r[0], "at": r[1], "no": [r[2]], "amount": float(r[3]), "x": [1, {}]}) + "\n" for r in ROWS
)
ZERO = "0 events can be used"

# what: (files, settings, exit code of check, words that are told)
CASES = {
    "a month in another order of columns": ({**MONTHS, "orders/2024-02.csv": "amount,no,at,card\n5,x,2024-02-01,L0001\n"}, PATTERN, 0, ["orders: 121 rows"]),
    "a month in another format": ({**MONTHS, "orders/2024-02.csv": MONTHS["orders/2024-02.csv"].replace(",", ";").encode("utf-16")}, PATTERN, 0, ["2024-02.csv: read as utf-16", "semicolon"]),
    "a month with other dates": ({**MONTHS, "orders/2024-02.csv": MONTHS["orders/2024-02.csv"].replace("2024-02-", "02/2024/")}, PATTERN, 2, ['"at" not a time', "first rows 1, 2, 3"]),
    "a month twice": ({**MONTHS, "orders/copy.csv": MONTHS["orders/2024-02.csv"]}, PATTERN, 0, ["warning: orders/copy.csv is a copy of orders/2024-02.csv, so its rows count twice"]),
    "two sheets": ({"crm.xlsx": workbook()}, source("crm", path="crm.xlsx"), 0, ['sheet "People" of 2 was read', "crm: 60 rows"]),
    "merged cells": ({"crm.xlsx": workbook(ids="A2:A4")}, source("crm", path="crm.xlsx"), 2, ['2 rows: column "id" no record number', "first rows 2, 3"]),
    "merged names": ({"crm.xlsx": workbook(names="A1:B1")}, source("crm", path="crm.xlsx"), 2, ['no column "first"']),
    "arrays in lines of JSON": ({"orders.jsonl": JSON_ORDERS}, source("orders", path="orders.jsonl"), 0, ["orders: 180 rows"]),
    "emoji as a name": ({"orders.csv": ORDERS.replace("amount", "💶 Betrag", 1)}, event(amount="💶 Betrag"), 0, ["orders: 180 rows"]),
    "dots in a name": ({"orders.csv": ORDERS.replace("amount", "order.total", 1)}, event(amount="order.total"), 0, ["orders: 180 rows"]),
    "quotes and braces in a name": ({"orders.csv": ORDERS.replace("amount", '"a""b\'{x} %s;--"', 1)}, event(amount="a\"b'{x} %s;--"), 0, ["orders: 180 rows"]),
    "words of SQL": (*named("select,from,order,group", "select", "from", "order", "group"), 0, ["orders: 180 rows"]),
    "names of ours": (*named("customer_id,occurred_at,source,raw_id", "customer_id", "occurred_at", "source", "raw_id"), 0, ["orders: 180 rows"]),
    "more names of ours": (*named("fault,reason,place,n", "fault", "reason", "place", "n"), 0, ["orders: 180 rows"]),
    "an attribute named like a column of ours": ({}, source("crm", profile={"customer_id": "city"}), 3, ["sources.crm.profile.customer_id", "my_customer_id"]),
    "an attribute named like consent": ({}, source("crm", profile={"consent_email": "city"}), 3, ["sources.crm.profile.consent_email"]),
    "facts named like an attribute": ({"z.csv": "town,income\nBonn,5\n"}, source("zip", **TOWNS, profile={"town": "income"}), 3, ["sources.zip.profile.town", "another source"]),
    "two zones and offsets": ({"orders.csv": ORDERS.replace("-05,", "-05T10:00:00+02:00,").replace("-06,", "-06 10:00Z,")}, {}, 0, ["orders: 180 rows"]),
    "customers and events in one": ({}, source("crm", events=[{"type": "signup", "at": "since"}]), 0, ["crm: 60 rows"]),
    "mails as the key, with blanks": ({"crm.csv": blank_mails()}, source("crm", record_id="mail"), 2, ['6 rows: column "mail" no record number']),
    "no events": ({}, {"sources": {"orders": None}}, 2, ["no source declares events", "sources: {NAME: {events:"]),
    "nobody": ({}, {"sources": {"crm": None, "orders": {"record_id": None, "identity": None}}}, 3, ["no source declares record_id", "{record_id: COLUMN}"]),
    "orders without rows": ({"orders.csv": tiny.ORDERS_HEADER + "\n"}, source("orders", optional=True), 2, [ZERO]),
    "event words that do not occur": ({}, event(type={"column": "no", "values": {"sold": "order"}}), 2, [ZERO, "type.values"]),
    "one file declared twice": ({}, source("again", **tiny.SOURCES["orders"]), 3, ["sources.again.events.0", "counted twice"]),
    "a pattern of a time that is none": ({}, event(at_format="%Q"), 3, ["sources.orders.events.0.at_format", '"%Q"', "%Y"]),
    "a zone that is none": ({}, event(zone="Europe/Berln"), 3, ['Did you mean "Europe/Berlin"?']),
    "two characters between columns": ({}, source("crm", csv={"delimiter": "||"}), 3, ["sources.crm.csv.delimiter"]),
    "an encoding that is none for text": ({}, source("crm", csv={"encoding": "base64"}), 2, ["sources.crm.csv.encoding"]),
    "the last day of all": ({}, {"as_of": "9999-12-31"}, 0, ["sound"]),
    "a name of 100,000 letters": ({"crm.csv": CRM.replace("city", "c" * 100_000, 1)}, {}, 2, ['no column "city"']),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_odd_companies(home, capsys, monkeypatch, case):
    monkeypatch.delenv("WORKBENCH_DEBUG", raising=False)
    files, settings, code, words = CASES[case]
    config = tiny.write_company(home, files, settings)
    found = cli.main(["check", str(config)])
    told = capsys.readouterr()
    assert found == code, told
    text = told.err if code else told.out
    for word in words:
        assert word in text, text
    if code:
        assert text.count("Fix:") == 1, text
        assert len(text) < 2000
    assert len(told.err.splitlines()) <= 12
    assert not [m for m in tiny.MARKERS if m.lower() in (told.out + told.err).lower()]


def test_names_of_ours_and_two_zones_give_the_right_numbers(home):
    files, settings = named("customer_id,occurred_at,source,raw_id", "customer_id", "occurred_at", "source", "raw_id")
    files["orders.csv"] = files["orders.csv"].replace("2024-01-01,0-0", "2024-01-01T00:30:00+02:00,0-0")
    tiny.write_company(home, files, settings)
    found = tiny.run_notebook_01("ours")
    events = found.written.to_pyarrow().to_pandas()
    assert len(events) == 180
    assert float(events.amount.sum()) == pytest.approx(sum(float(row[3]) for row in ROWS))
    assert events.customer_id.nunique() == 60
    first = events[events.order_id == "0-0"].occurred_at.iloc[0]
    assert first == pd.Timestamp("2023-12-31 22:30", tz="UTC")


def test_one_customer_is_a_company_too(home):
    tiny.write_company(home, {"crm.csv": tiny.crm_text(1), "orders.csv": tiny.orders_text(1)})
    assert len(tiny.run_notebook_01("one").customers) == 1


@pytest.mark.slow
@pytest.mark.parametrize("customers", [1, 3, 49])
def test_a_company_of_too_few_customers_is_told_so(home, capsys, customers):
    orders = tiny.lines(tiny.ORDERS_HEADER, tiny.order_rows(customers))
    tiny.write_company(home, {"crm.csv": tiny.crm_text(customers), "orders.csv": orders})
    assert cli.main(["run", "configs/sixty.yaml", "--run-id", "few", "-p", "clustering.audiences", ""]) == 2
    told = capsys.readouterr()
    assert f"{customers} customers have an order in the window; segments need at least 50" in told.err
    run = home / "runs" / "few"
    assert (run / "rfm_tiers.csv").exists() == (customers > 1)
    assert_stopped_page(run, "03_clustering", f"{customers} customers have an order in the window")
    # The command that is told goes on with the parameters of the run, and so stops at the same place.
    assert cli.main(["run", "--resume", "--run-id", "few"]) == 2
    assert "segments need at least 50" in capsys.readouterr().err


@pytest.mark.slow
def test_a_company_of_equal_customers_ends_with_exit_5_and_a_page(home, capsys):
    """All buy the same on the same days, so nothing tells them apart."""
    crm = tiny.lines(tiny.CRM_HEADER, tiny.crm_rows()[1:])
    rows = [[row[0], f"2024-0{1 + n % 3}-1{n % 3}", f"{row[0]}-{n % 3}", "10.00"] for n, row in enumerate(tiny.order_rows())]
    tiny.write_company(home, {"crm.csv": crm, "orders.csv": tiny.lines(tiny.ORDERS_HEADER, rows)})
    assert cli.main(["run", "configs/sixty.yaml", "--run-id", "same", "-p", "clustering.audiences", ""]) == 5
    told = capsys.readouterr()
    assert len(told.err.splitlines()) <= 12
    assert "Traceback" not in told.err
    assert_stopped_page(home / "runs" / "same", "03_clustering", "nothing else in use tells them apart")


def assert_stopped_page(run, stage, words):
    """The first page says why, links what there is, and shows no code, traceback or mark of Papermill; run.json says failed."""
    assert json.loads((run / "run.json").read_text())["state"] == "failed"
    index = (run / "reports" / "index.html").read_text()
    assert words in index
    assert "Fix:" in index
    linked = set(re.findall(r'href="([^"]+)"', index.partition("</nav>")[0]))
    assert linked == {page.name for page in (run / "reports").glob("*.html")}
    assert f"{stage}.html" in linked
    for page in linked:
        text = (run / "reports" / page).read_text()
        assert not re.search("Traceback|papermill|An Exception was encountered|QualityGate|InputError", text), page


def test_two_engines_of_the_same_settings_keep_their_own_parts(home):
    """The second engine equals the first one, yet must not lose its rows when the first one goes."""
    import gc

    from workbench.core import engine
    from workbench.core.config import Engine, Source
    from workbench.ingest.sources import open_source

    tiny.write_company(home)
    declared = Source(kind="crm", path="crm.csv", record_id="id")
    first, second = engine.connect(Engine()), engine.connect(Engine())
    held = open_source(first, "crm", declared), open_source(second, "crm", declared)
    kept = held[1]
    del first, held
    gc.collect()
    assert engine.count_rows(kept.table) == 60
