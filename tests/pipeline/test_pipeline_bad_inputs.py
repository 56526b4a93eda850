"""Every bad input 1 to 65 through the public face: `workbench check` (or the steps of notebook 01) on a real file, one table."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pipeline_ingest as tiny
import pytest

from workbench import cli
from workbench.core.config import load_config
from workbench.core.errors import WorkbenchError
from workbench.core.rundir import Run
from workbench.ingest.orphans import orphan_share

FIX = re.compile(
    r"sources\.\w+|ingest\.\w+|company|as_of|csv|Excel|export|download|copy|chmod|header|\{|data_until|identity\.|line"
)
CRM, ORDERS = tiny.crm_text(), tiny.orders_text()
# A check converts what it reads, so each case declares the source that it is about and as little of the other as possible.
ONLY_CRM = {"sources": {"orders": None, "crm": {"events": [{"type": "signup", "at": "since"}]}}}
LEAN_ORDERS = {"sources": {"orders": {"events": [{"type": "order", "at": "at"}]}}}
ONLY_ORDERS = {"sources": {"crm": None}}


def source(name: str, **settings) -> dict:
    return {"sources": {name: settings}}


def event(**settings) -> dict:
    return source("orders", events=[{"type": "order", "at": "at", "order_id": "no", "amount": "amount", **settings}])


def lean(case: str, files: dict, settings: dict) -> dict:
    """Settings that leave out what a case is not about; from 33 on customers are converted as they are in a company."""
    about_crm = "crm.csv" in files or "crm" in settings.get("sources", {})
    return (LEAN_ORDERS if case >= "33" else ONLY_CRM) if about_crm else ONLY_ORDERS


def more_orders(*added: str) -> dict:
    return {"orders.csv": ORDERS + "".join(line + "\n" for line in added)}


def orders(change: Callable[[list[str]], list[str]], header: str = tiny.ORDERS_HEADER) -> dict:
    """The orders with every row changed."""
    return {"orders.csv": tiny.lines(header, [change(list(row)) for row in tiny.order_rows()])}


def crm(change: Callable[[list[str]], list[str]], header: str = tiny.CRM_HEADER) -> dict:
    """The customers with every row changed."""
    return {"crm.csv": tiny.lines(header, [change(list(row)) for row in tiny.crm_rows()])}


def cell(row: list[str], place: int, value: str) -> list[str]:
    return [*row[:place], value, *row[place + 1 :]]


def at(pattern: str) -> dict:
    """The orders with their times written otherwise."""
    return orders(lambda r: cell(r, 1, pd.Timestamp(r[1]).strftime(pattern)))


def workbook() -> bytes:
    held = io.BytesIO()
    pd.read_csv(io.StringIO(CRM), dtype=str).to_excel(held, index=False)
    return held.getvalue()


def json_lines() -> str:
    frame = pd.read_csv(io.StringIO(CRM), dtype=str)
    return "".join(json.dumps(row) + "\n" for row in frame.to_dict("records"))


UMLAUT = CRM.replace("Bonn", "Köln O’Brien €")
WIDE = [f"extra {i}" for i in range(4990)]

# number-what: (files, settings, exit code, words that are told). Exit 0: on standard output; otherwise in the message.
CASES = {
    # -- A. files and encodings
    "01-utf8-mark": ({"crm.csv": CRM.encode("utf-8-sig")}, {}, 0, ["crm: 60 rows"]),
    "02-utf16": ({"crm.csv": CRM.encode("utf-16")}, {}, 0, ["read as utf-16"]),
    "03-cp1252": ({"crm.csv": UMLAUT.encode("cp1252")}, {}, 0, ["read as cp1252, recognised from its bytes"]),
    "03-ambiguous": ({"crm.csv": CRM.replace("Bonn", "K\xfcln", 1).encode("latin-1")}, {}, 2, ["crm.csv:2", "sources.crm.csv.encoding", "cp1252"]),
    "04-one-wrong-byte": ({"orders.csv": (ORDERS + "L0001,2024-02-01,ü-1,5\nL0001,2024-02-01,ü-2,5\n").encode() + b"L0001,2024-02-01,\xfc-3,5\n"}, {}, 0, ["set aside: 1 line", "not UTF-8", "line 184"]),
    "05-semicolon-and-comma": ({"orders.csv": ORDERS.replace(",", ";").replace(".", ",")}, {}, 2, ['column "amount"', 'set sources.orders.decimal: ","']),
    "05-declared": ({"orders.csv": ORDERS.replace(",", ";").replace(".", ",")}, source("orders", decimal=","), 0, ["delimiter read as semicolon"]),
    "06-tab": ({"crm.csv": CRM.replace(",", "\t")}, {}, 0, ["delimiter read as TAB"]),
    "06-bar": ({"crm.csv": CRM.replace(",", "|")}, {}, 0, ["delimiter read as bar"]),
    "07-zero-bytes": ({"crm.csv": ""}, {}, 2, ["crm.csv is empty (0 bytes)", "sources.crm.optional: true"]),
    "08-header-only": ({"crm.csv": tiny.CRM_HEADER + "\n"}, {}, 2, ["a header and no rows", "sources.crm.optional: true"]),
    "08-optional": ({"crm.csv": tiny.CRM_HEADER + "\n"}, tiny.merged(source("crm", optional=True, events=None), {"sources": {"orders": tiny.SOURCES["orders"]}}), 0, ["crm: 0 rows", "no rows"]),
    "09-blank-lines": ({"crm.csv": "\n \n\n"}, {}, 2, ["only blank lines"]),
    "10-truncated-gz": ({"crm.csv": gzip.compress(CRM.encode() * 9)[:-500]}, {}, 2, ["broken gzip archive", "nothing was ingested"]),
    "11-gz-that-is-none": ({"crm.csv": None, "crm.csv.gz": CRM}, source("crm", path="crm.csv.gz"), 0, ["is not compressed"]),
    "12-excel-called-csv": ({"crm.csv": workbook()}, {}, 2, ["is an Excel workbook, not csv", "set sources.crm.format: excel"]),
    "13-login-page": ({"crm.csv": "<!DOCTYPE html><html><body>Hello Zephyrine, log in"}, {}, 2, ["web page", "logged in"]),
    "14-json-lines": ({"crm.csv": json_lines()}, {}, 2, ["lines of JSON", "set sources.crm.format: jsonl"]),
    "15-missing-file": ({"crm.csv": CRM}, source("crm", path="cmr.csv"), 2, ["cmr.csv is not there", 'Did you mean "crm.csv"?', "sources.crm.path"]),
    "15-folder": ({"exports/crm.csv": CRM}, source("crm", path="exports"), 2, ["it is a folder", "exports/*.csv"]),
    "15-pattern": ({"exports/crm.csv": CRM}, source("crm", path="exports/cr?.csv.gz"), 2, ["matches no file"]),
    "16-cr-only": ({"crm.csv": CRM.replace("\n", "\r")}, {}, 0, ["crm: 60 rows"]),
    "16-mixed": ({"crm.csv": CRM.replace("\n", "\r\n", 20)}, {}, 0, ["crm: 60 rows", "line ends were mixed"]),
    # -- B. header and shape
    "17-no-header": ({"crm.csv": CRM.partition("\n")[2]}, {}, 2, ["no header", "line 1 looks like data", "names the columns"]),
    "18-twice": ({"crm.csv": CRM.replace("city", "mail", 1)}, source("crm", profile=None), 2, ['more than one column "mail" (columns 4, 9)']),
    "19-case-and-blanks": ({"crm.csv": CRM.replace("city", " Mail ", 1)}, source("crm", profile=None), 2, ["columns 4, 9", "Mail"]),
    "19-blanks": ({"crm.csv": CRM.replace("mail", " mail ", 1)}, {}, 0, ["blanks around the names of mail"]),
    "20-trailing-comma": ({"crm.csv": CRM.replace("\n", ",\n")}, {}, 0, ["1 empty column without a name"]),
    "20-values": ({"crm.csv": CRM.replace("\n", ",\n", 1).replace("\n", ",Zephyrine\n").replace(",Zephyrine\n", "\n", 1)}, {}, 2, ["column without a name", "column 10"]),
    "21-missing-column": (crm(lambda r: r[:8], "id,first,last,mail,phone,card,since,optin"), {}, 2, ['no column "city"', "sources.crm.profile.town", "Known: card, first"]),
    "22-extra-columns": (crm(lambda r: [*r, "Thistledown", "7"], tiny.CRM_HEADER + ",street,shoe"), {}, 0, ["2 columns not declared were ignored: street, shoe"]),
    "23-renamed": ({"crm.csv": CRM.replace("mail", "e-mail", 1)}, {}, 2, ['Did you mean "e-mail"?', 'identity: {email: "e-mail"}']),
    "24-extra-field": (more_orders("L0001,2024-02-01,x,5,6"), {}, 0, ["set aside: 1 line", "too many fields", "line 182"]),
    "25-every-row-longer": (crm(lambda r: [*r, "Zephyrine"]), {}, 2, ["every row has 10 fields", "names 9 columns", "sources.crm.csv.delimiter"]),
    "26-too-few-fields": (more_orders("L0001,2024-02-01"), {}, 0, ["set aside: 1 line", "too few fields", "line 182"]),
    "27-open-quote": ({"crm.csv": CRM.replace("Brambleforth", '"Brambleforth', 1)}, {}, 2, ["crm.csv:4", "quotation mark is opened"]),
    "28-newline-in-quotes": ({"crm.csv": CRM.replace("Thistledown", '"Thistle\ndown"')}, {}, 0, ["crm: 60 rows"]),
    "29-title": ({"crm.csv": "Our customers\n\n" + CRM}, {}, 2, ["line 3", "sources.crm.csv: {skip_rows: 2}"]),
    "29-skip-rows": ({"crm.csv": "Our customers\n\n" + CRM}, source("crm", csv={"skip_rows": 2}), 0, ["crm: 60 rows"]),
    "30-footer": (more_orders("Total,6"), {}, 0, ["set aside: 1 line", "too few fields"]),
    "31-5000-columns": (crm(lambda r: [*r, *["x"] * 4990], ",".join([tiny.CRM_HEADER, *WIDE])), {}, 0, ["4,990 columns not declared", "extra 0"]),
    "32-cell-of-3-MB": (more_orders("L0001,2024-02-01," + "x" * 3_000_000 + ",5"), {}, 0, ["set aside: 1 line", "longer than 1 MB"]),
    # -- C. values
    "33-leading-zeros": (orders(lambda r: cell(r, 2, "00" + r[2])), {}, 0, ["orders: 180 rows"]),
    "34-long-ids": (crm(lambda r: cell(r, 0, "12345678901234567890" + r[0])), {}, 0, ["crm: 60 rows"]),
    "35-spellings": (more_orders("7,2024-01-01,a,1", "7.0,2024-01-02,b,1", " 7,2024-01-03,c,1"), {}, 0, ["one spelling of a number (1.0 is 1, blanks go) (2 rows)", "warning, different spellings became one record"]),
    "36-null-words": (crm(lambda r: cell(r, 2, ("NA", "None", "null", "NaN")[int(r[0]) % 4])), {}, 0, ["crm: 60 rows"]),
    "37-type-changes": (more_orders("L0001,2024-02-01,x,five"), {}, 0, ['set aside: 1 row: column "amount" not a number (row 181)']),
    "38-ambiguous-dates": (at("%d/%m/%Y"), {}, 2, ['column "at"', 'sources.orders.events.0.at_format: "%d/%m/%Y" (day first) or "%m/%d/%Y" (month first)']),
    "38-declared": (at("%d/%m/%Y"), event(at_format="%d/%m/%Y"), 0, ["orders: 180 rows"]),
    "39-mixed-formats": (more_orders("L0001,1706745600,x,5"), {}, 0, ['column "at" not a time in the declared format (row 181)']),
    "40-excel-serial": (orders(lambda r: cell(r, 1, str((pd.Timestamp(r[1]) - pd.Timestamp("1899-12-30")).days))), {}, 2, ['column "at"', "at_format: excel_serial"]),
    "41-impossible": (more_orders("L0001,2024-02-30,x,5"), {}, 0, ['column "at" not a time']),
    "41-midnight-and-zeros": (more_orders("L0001,0000-00-00,x,5"), {}, 0, ['column "at" not a time']),
    "42-placeholder": (more_orders("L0001,9999-12-31,x,5"), {}, 0, ['column "at" placeholder date']),
    "42-first-days": ({"crm.csv": CRM.replace("2023-01-05", "1900-01-01")}, {}, 0, ["since: placeholder date, made missing (5 rows)"]),
    "43-future": (more_orders("L0001,2024-06-03,x,5"), {}, 0, ['column "at" after data_until']),
    "43-too-many": (orders(lambda r: cell(r, 1, r[1].replace("2024-03", "2024-08"))), {}, 2, ["after data_until", "set data_until"]),
    "44-no-zone": ({}, {"company": {"timezone": ""}}, 2, ["times without a time zone", "company: {timezone: Europe/Berlin}"]),
    "45-as-of-too-early": ({}, {"as_of": "2023-06-01", "data_until": "2024-06-01"}, 2, ["0 events before as_of 2023-06-01", "2024-01-01..2024-03-27", "as_of: 2024-03-27"]),
    "46-money": (orders(lambda r: cell(r, 3, (f"{r[3]} EUR", f"({r[3]})", f"{r[3]}-", f"€{r[3]}")[int(r[2][-1]) % 4])), {}, 0, ["orders: 180 rows"]),
    "47-two-marks": (more_orders('L0001,2024-02-01,x,"1,234.50"', 'L0001,2024-02-01,x,"1.234,50"'), {}, 2, ["decimal comma", "decimal point", 'decimal: ","']),
    "48-currencies": (more_orders("L0001,2024-02-01,x,$5"), {}, 2, ["has amounts in $", "currency_rates: {USD: 1.00}"]),
    "48-with-rates": (more_orders("L0001,2024-02-01,x,$5"), {"company": {"currency_rates": {"USD": 0.9}}}, 0, ["orders: 181 rows"]),
    "49-negative": (more_orders("L0001,2024-02-01,x,-5"), {}, 0, ["orders: 181 rows"]),
    "50-zero-and-huge": (more_orders("L0001,2024-02-01,x,0", "L0001,2024-02-01,x,1000000000000"), {}, 0, ["orders: 182 rows"]),
    "51-infinite": (more_orders("L0001,2024-02-01,x,1e400"), {}, 0, ['column "amount" not a number']),
    "52-consent-words": (crm(lambda r: cell(r, 7, "ja")), {}, 2, ['"optin" has 60 rows that say neither yes nor no ("ja")', "crm: {yes_words: [ja], no_words: [nein]}"]),
    "52-personal-words": (crm(lambda r: cell(r, 7, r[3])), {}, 2, ['"optin" has 60 rows', "not shown"]),
    "52-declared": (crm(lambda r: cell(r, 7, "ja")), source("crm", yes_words=["ja"]), 0, ["crm: 60 rows"]),
    "53-control-characters": ({"crm.csv": CRM.replace("Bonn", "Bo\0nn\x07")}, {}, 0, ["60 control characters removed"]),
    "54-composed-or-not": (crm(lambda r: cell(r, 8, ("café", "cafe\u0301", "İ ß", "Ａ")[int(r[0]) % 4])), {}, 0, ["crm: 60 rows"]),
    "55-emoji-and-bidi": (crm(lambda r: cell(r, 8, ("👩‍👩‍👧", "שלום", "a\u202eb")[int(r[0]) % 3])), {}, 0, ["crm: 60 rows"]),
    "56-inert": (crm(lambda r: cell(r, 8, ("=cmd|x", "<script>", "$$", "O'Brien; DROP")[int(r[0]) % 4])), {}, 0, ["crm: 60 rows"]),
    "57-score": (orders(lambda r: [*r, "11" if r[2] == "3-0" else "9"], tiny.ORDERS_HEADER + ",nps"), event(score="nps", score_range=[0, 10]), 0, ['column "nps" outside score_range']),
    "57-too-many": (orders(lambda r: [*r, "99" if r[2].endswith("-0") else "9"], tiny.ORDERS_HEADER + ",nps"), event(score="nps", score_range=[0, 10]), 2, ["outside score_range", "sources.orders.missing"]),
    "58-percent-or-share": ({"costs.csv": "item,rate\nmilk,0.2\nbread,20\n"}, source("costs", kind="finance", path="costs.csv", costs={"item": "item", "rate": "rate"}), 0, ["percent or share?"]),
    # -- D. identity, as far as a check sees it
    "59-duplicates": ({"crm.csv": CRM + CRM.splitlines()[1] + "\n"}, {}, 2, ['1 values of "id" stand in more than one row', "crm: {duplicates: keep_latest}"]),
    "59-keep-latest": ({"crm.csv": CRM + CRM.splitlines()[1] + "\n"}, source("crm", duplicates="keep_latest"), 0, ["id: earlier rows of a record, dropped (1 row)"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A workspace with a finished earlier run."""
    folder = tmp_path_factory.mktemp("sixty customers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_HOME", str(folder))
        run = Run.create(folder / "runs" / "base", load_config(tiny.write_company(folder)))
        run.begin("ingest")
        run.write("sources_rows", pd.DataFrame({"source": ["crm"], "rows": [60]}))
        run.write("private/persons", pd.DataFrame({"customer_id": ["c_1"], "email": ["zephyrine@planted.example"]}))
        run.complete(customers=60)
        run.update(state="finished")
        (folder / "runs" / "latest").symlink_to("base")
    return folder


@pytest.fixture
def workspace(place, monkeypatch):
    """The same with nothing but the earlier run and the key, which have to be as before in the end."""
    monkeypatch.setenv("WORKBENCH_HOME", str(place))
    monkeypatch.delenv("WORKBENCH_DEBUG", raising=False)
    before = contents(place / "runs" / "base")
    yield place
    assert contents(place / "runs" / "base") == before
    assert os.readlink(place / "runs" / "latest") == "base"


def contents(folder: Path) -> dict[str, tuple[str, int]]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns) for p in files}


def nothing_personal(text: str) -> None:
    assert not [m for m in tiny.MARKERS if m.lower() in text.lower()], text


def assert_refusal(text: str, words: list[str]) -> None:
    """What and where, why, the fix; at most 12 lines, no traceback, nothing personal."""
    assert len(text.strip().splitlines()) <= 12, text
    assert "Traceback" not in text
    assert text.count("Fix:") == text.count("Why:") == 1, text
    assert FIX.search(text.partition("Fix:")[2]), text
    for word in words:
        assert word in text, text
    nothing_personal(text)


@pytest.mark.parametrize("case", CASES)
def test_each_number_has_its_outcome_and_its_message(workspace, capsys, case):
    files, settings, code, words = CASES[case]
    for name in ("crm.csv", "orders.csv"):
        (workspace / name).unlink(missing_ok=True)
    config = tiny.write_company(workspace, files, lean(case, files, settings), settings)
    found = cli.main(["check", str(config)])
    told = capsys.readouterr()
    assert found == code, told
    nothing_personal(told.out)
    if code:
        assert "1 problem, nothing was run" in told.err
        assert_refusal("\n".join(told.err.splitlines()[1:-1]), words)
        return
    assert told.err == ""
    for word in words:
        assert word in told.out, told.out


# -- what shows only in a run ------------------------------------------------------------------------------------------


def test_33_to_56_a_run_keeps_what_is_odd_and_sets_aside_what_is_none(workspace):
    odd = {0: "NA", 1: "Null", 2: "cafe\u0301", 3: "👩‍👩‍👧", 4: "=cmd|x", 5: "<script>", 6: "a\u202eb"}
    towns = crm(lambda r: cell(r, 8, odd.get(int(r[0]) - 1000, "Bonn")))
    bad = ["L0001,2024-02-01,x,5,6", "L0001,2024-02-01", "L0001,2024-02-01,x,five", "L0001,1706745600,x,5"]
    bad += ["L0001,2024-02-30,x,5", "L0001,9999-12-31,x,5", "L0001,2024-06-03,x,5", "L0001,2024-02-01,x,1e400", ",2024-02-01,x,1"]
    kept = [
        "L0001,2024-02-01,007,-5",
        "L0001,2024-02-02,008,0",
        "L0001,2024-02-03,0\x0009,1000000000000",
        "1.0,2024-02-04,12345678901234567890123,1",
    ]
    tiny.write_company(workspace, towns | more_orders(*kept, *bad))
    found = tiny.run_notebook_01("odd", max_reject_share=0.2)
    run = Run.open(workspace / "runs" / "odd")
    assert set(run.read("customers").town.dropna()) == {*odd.values(), "Bonn"}
    events = pd.read_parquet(run.table_path("events"))
    assert {"007", "008", "009", "12345678901234567890123"} <= set(events.order_id)
    assert events.event_type[events.order_id == "007"].tolist() == ["return"]
    assert len(events) == 184
    aside = pd.read_csv(workspace / "runs/odd/private/quarantine.csv", dtype=str, keep_default_na=False)
    assert len(aside) == len(bad)
    assert sorted(aside.row.astype(int)) == [185, 186, 186, 187, 187, 188, 189, 190, 191]  # two of them lines, not rows
    for words in ("amount of zero", "amounts over 1,000,000,000", "control character", "set aside: amount, not a number"):
        assert words in found.shown, found.shown
    assert found.books.set_index("source").loc["orders", ["rows_in", "rows_out", "set_aside"]].tolist() == [193, 184, 9]
    nothing_personal(found.shown)
    for path in (workspace / "runs/odd/tables").glob("*.parquet"):
        text = pd.read_parquet(path).to_csv().lower()
        assert not [m for m in tiny.MARKERS if m.lower() in text], path


def test_60_orphans_are_kept_under_a_number_and_too_many_stop(workspace):
    tiny.write_company(workspace, orders(lambda r: cell(r, 0, r[0] if r[2].endswith("-0") else f"X{r[2]}")))
    found = tiny.run_notebook_01("strangers", until="found = quality.quality_table", max_orphan_share=0.7)
    assert found.strangers.orphans.tolist() == [120]
    assert found.written.customer_id.notnull().all().to_pyarrow().as_py()
    with pytest.raises(WorkbenchError) as caught:
        orphan_share(found.written, found.linked.identities, found.settings.sources, 0.5)
    assert caught.value.exit_code == 2
    assert_refusal(str(caught.value), ['source "orders": 120 of 180 events (66.7%)', "ingest.max_orphan_share"])


LINKED = "anonymous = identity.visitors"  # the steps up to who is who


def test_61_missing_mails_and_phones_never_match(workspace):
    tiny.write_company(workspace, crm(lambda r: cell(cell(r, 3, ""), 4, " ")))
    found = tiny.run_notebook_01("missing", until=LINKED)
    assert found.linked.identities.customer_id.nunique() == 60


def test_62_placeholders_link_nobody(workspace):
    mails = ("noreply@planted.example", "test@test.com")
    tiny.write_company(workspace, crm(lambda r: cell(cell(r, 3, mails[int(r[0]) % 2]), 4, "000-0000")))
    found = tiny.run_notebook_01("placeholders", until=LINKED)
    assert found.linked.identities.customer_id.nunique() == 60


def test_63_a_chain_of_60_is_not_one_customer_and_goes_to_review(workspace):
    chain = crm(lambda r: cell(cell(r, 3, f"e{int(r[0]) // 2}@planted.example"), 4, f"(212) 555-{(int(r[0]) + 1) // 2:04d}"))
    tiny.write_company(workspace, chain, source("crm", identity={"loyalty_id": None}))
    found = tiny.run_notebook_01("chain", until=LINKED)
    assert found.linked.identities[found.linked.identities.source == "crm"].customer_id.nunique() == 30
    assert set(found.linked.review.reason) == {"the group would hold more than 50 records"}


HOUSE = source("crm", identity={"street": "street", "postcode": "zip", "given_name": "first"})


def test_64_too_many_pairs_stop_with_the_rule_and_the_fullest_values(workspace):
    same = crm(lambda r: [*r, "Thistledown Road 7", "53111"], tiny.CRM_HEADER + ",street,zip")
    same = {"crm.csv": same["crm.csv"].replace("Road 7,53111\n", "Lane 8,53112\n", 4)}
    pairs = {"identity": {"probabilistic": True, "max_pairs": 1000}}
    tiny.write_company(workspace, same, tiny.merged(HOUSE, pairs))
    with pytest.raises(WorkbenchError) as caught:
        tiny.run_notebook_01("crowded", until=LINKED)
    assert caught.value.exit_code == 2
    assert_refusal(str(caught.value), ["identity.max_pairs = 1,000", "they share", "on 56 records", "raise identity.max_pairs"])


def test_65_where_nothing_can_be_learnt_only_identifiers_link_and_it_is_told(workspace):
    alone = crm(lambda r: cell(cell(r, 1, f"{r[1]}{r[0]}"), 2, f"{r[2]}{r[0]}"))
    tiny.write_company(workspace, alone, {"identity": {"probabilistic": True}})
    found = tiny.run_notebook_01("unlearnt", until=LINKED)
    assert "only shared identifiers link" in found.shown
    nothing_personal(found.shown)


def test_every_number_is_in_a_table():
    numbers = {int(case[:2]) for case in CASES} | {
        int(n) for n in re.findall(r"def test_(\d\d)_[a-z]", Path(__file__).read_text())
    }
    assert numbers >= set(range(1, 66))
