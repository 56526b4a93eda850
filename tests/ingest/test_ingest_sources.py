"""Files as companies send them: read exactly, set aside visibly, or refused with file, place and fix."""

from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core import engine
from workbench.core.config import Config, Source
from workbench.core.errors import InputError
from workbench.ingest import events as happenings
from workbench.ingest.audit import completeness
from workbench.ingest.quality import check_rejects
from workbench.ingest.quarantine import set_aside
from workbench.ingest.sources import open_source, read_sources

ROWS = "id,name\n1,Ann\n2,Bob\n"
ORDERS = {"type": "order", "at": "day", "order_id": "no", "amount": "amount"}


@pytest.fixture
def opened(con, home):
    """Bytes or text of a file -> the opened source; further words are settings of the source."""

    def open_it(content, name="a.csv", **settings):
        (home / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return open_source(con, "crm", Source(**{"kind": "crm", "path": name, "record_id": "id", **settings}))

    return open_it


@pytest.fixture
def refused(opened):
    """The same -> the message of the refusal."""

    def message(content, name="a.csv", check_name=True, **settings):
        with pytest.raises(InputError) as caught:
            opened(content, name, **settings)
        fault = caught.value
        assert fault.exit_code == 2
        assert 'source "crm"' in str(fault)
        assert name in str(fault) or not check_name
        assert fault.fix
        assert len(str(fault).splitlines()) <= 10
        return str(fault)

    return message


def cells(source) -> list[dict]:
    return source.table.drop(engine.ROW, engine.FILE).to_pyarrow().to_pylist()


# -- refused -----------------------------------------------------------------------------------------------------------


def test_all_missing_columns_are_named_at_once(refused):
    message = refused(ROWS, identity={"email": "mail", "given_name": "nam"}, consent={"email": "opt_in"})
    for words in ('"mail" (sources.crm.identity.email)', 'Did you mean "name"?', '"opt_in" (sources.crm.consent.email)'):
        assert words in message


def test_an_unknown_encoding_is_refused(refused):
    assert "utf-9" in refused(ROWS.encode(), csv={"encoding": "utf-9"})


# -- read --------------------------------------------------------------------------------------------------------------

NAMES = "id,name\n1,Müller\n2,O’Brien €\n"
READ = [{"id": "1", "name": "Müller"}, {"id": "2", "name": "O’Brien €"}]


@pytest.mark.parametrize(
    "content, csv",
    [
        (NAMES.encode("utf-8"), {}),
        (NAMES.encode("utf-8-sig"), {}),
        (NAMES.encode("cp1252"), {"encoding": "cp1252"}),
        (NAMES.encode("cp1252"), {}),
        (NAMES.encode("utf-16"), {}),
        (NAMES.encode("utf-16"), {"encoding": "utf-16"}),
        (NAMES.encode("utf-16-le"), {"encoding": "utf-16-le"}),
        (NAMES.replace("\n", "\r\n").encode("utf-8"), {}),
        (NAMES.replace("\n", "\r\n").encode("utf-16"), {"encoding": "utf-16"}),
        (NAMES.replace("\n", "\r").encode("utf-8"), {}),
        (NAMES.replace("\n", "\r").encode("cp1252"), {"encoding": "cp1252"}),
        (NAMES.replace("\n", "\r\n", 1).encode("utf-8"), {}),
        (NAMES.rstrip("\n").encode("utf-8"), {}),
        (NAMES.replace(",", "\t").encode("utf-8"), {"delimiter": "\\t"}),
        (NAMES.replace(",", "|").encode("utf-8"), {"delimiter": "|"}),
        (("A title\n\n" + NAMES).encode("utf-8"), {"skip_rows": 2}),
    ],
)
def test_names_survive_encodings_line_ends_and_delimiters(opened, content, csv):
    source = opened(content, csv=csv, profile={"n": "name"})
    assert cells(source) == READ
    assert (source.rows, source.faults) == (2, [])


def test_text_stays_text_in_every_format(opened, home):
    frame = pd.DataFrame({"id": ["007", "12345678901234567890"], "name": ["NA", "null"]})
    frame.to_excel(home / "x.xlsx", index=False)
    frame.to_parquet(home / "x.parquet")
    frame.to_json(home / "x.jsonl", orient="records", lines=True)
    frame.to_csv(home / "x.csv", index=False)
    for name in ("x.csv", "x.xlsx", "x.parquet", "x.jsonl"):
        source = opened((home / name).read_bytes(), name, profile={"n": "name"})
        assert cells(source) == frame.to_dict("records"), name
        assert source.table.select(engine.ROW, engine.FILE).to_pyarrow().to_pylist() == [
            {engine.ROW: 1, engine.FILE: name},
            {engine.ROW: 2, engine.FILE: name},
        ]


def test_a_column_that_nobody_asked_for_does_no_harm(opened):
    source = opened("id,=cmd|' /C calc'!A0,<script>,'; DROP TABLE crm; --\n1,a,b,c\n")
    assert cells(source) == [{"id": "1"}]
    assert "3 columns not declared were ignored" in source.notes[0]


@pytest.mark.parametrize(
    "name", ["source_row", "source_file", "file", "row", "file_row_number", "filename", "c0", "is_row", "line"]
)
def test_a_column_may_be_called_like_one_of_the_engine(opened, home, name):
    frame = pd.DataFrame({"id": ["a", "b"], name: ["x", "y"]})
    frame.to_csv(home / "x.csv", index=False)
    frame.to_json(home / "x.jsonl", orient="records", lines=True)
    for file in ("x.csv", "x.jsonl"):
        source = opened((home / file).read_bytes(), file, profile={"n": name})
        assert cells(source) == frame.to_dict("records")
        assert source.table[engine.ROW].to_pyarrow().to_pylist() == [1, 2]


def test_a_column_called_like_ours_is_refused(refused):
    assert engine.ROW in refused(f"id,{engine.ROW}\n1,2\n", profile={"n": engine.ROW}, check_name=False)


def test_only_declared_words_are_missing(opened):
    text = "id,name\n1,NA\n2,None\n3,null\n4,n/a\n5, n/a \n6,NaN\n7,\n"
    names = [row["name"] for row in cells(opened(text, profile={"n": "name"}))]
    assert names == ["NA", "None", "null", "n/a", " n/a ", "NaN", None]
    names = [row["name"] for row in cells(opened(text, profile={"n": "name"}, missing=("n/a", "NaN")))]
    assert names == ["NA", "None", "null", None, None, None, None]


# -- set aside ---------------------------------------------------------------------------------------------------------


def orders(con, home, text, **settings) -> tuple:
    (home / "o.csv").write_text(text, encoding="utf-8")
    source = {"kind": "pos", "path": "o.csv", "record_id": "card", "events": [ORDERS], **settings}
    config = Config.model_validate(
        {"company": {"timezone": "UTC"}, "as_of": "2017-10-01", "sources": {"pos": source}, "ingest": {"store": ""}}
    )
    sources = read_sources(con, config)
    events = happenings.all_events(con, sources, config)
    return sources, events, set_aside(sources, events)


HEADER = "card,day,no,amount\n"
SOUND, RAGGED, BAD_DAY, BAD_AMOUNT, BAD_BOTH, NOBODY = (
    "c1,2017-01-01,1,5.00\n", "c1,2017-01-01,1\n", "c1,2017-02-30,1,5.00\n", "c1,2017-01-01,1,five\n", "c1,x,1,five\n", " ,2017-01-01,1,5\n",
)  # fmt: skip


@settings(max_examples=12)
@given(st.lists(st.sampled_from([SOUND, SOUND, RAGGED, BAD_DAY, BAD_AMOUNT, BAD_BOTH, NOBODY]), max_size=25))
def test_rows_in_are_rows_accepted_plus_rows_set_aside(con, tmp_path_factory, lines):
    folder = tmp_path_factory.mktemp("orders")
    _, events, quarantine = sources_events = orders(con, folder, HEADER + SOUND + "".join(lines), path=str(folder / "o.csv"))
    found = check_rejects(sources_events[0], quarantine, 1.0).iloc[0]
    assert found.rows == 1 + len(lines)
    assert found.accepted == 1 + lines.count(SOUND)
    assert found.rows == found.accepted + found.quarantined
    assert events.filter(events.fault.isnull()).count().to_pyarrow().as_py() == found.accepted
    assert quarantine.columns.tolist() == ["source", "file", "row", "column", "reason"]  # no values: they may be personal


def test_too_many_rows_set_aside_stop_the_run_with_the_columns_to_blame(con, home):
    sources, _, quarantine = orders(con, home, HEADER + SOUND * 90 + BAD_AMOUNT * 7 + BAD_DAY * 3)
    assert check_rejects(sources, quarantine, 0.1).quarantined.tolist() == [10]
    with pytest.raises(InputError) as caught:
        check_rejects(sources, quarantine, 0.0999)
    for words in (
        'source "pos"',
        "10.0%",
        '7 rows: column "amount" not a number',
        '3 rows: column "day" not a time in the declared format',
        "91",
    ):
        assert words in str(caught.value)
    assert "ingest.max_reject_share" in caught.value.fix


def test_one_wrong_byte_far_down_is_one_line_set_aside(opened):
    source = opened(b"id,name\n" + b"1,Ann\n" * 3000 + b"2,M\xfcller\n" + b"3,Cid\n" * 500, profile={"n": "name"})
    assert source.rows == 3501
    assert [fault.line for fault in source.faults] == [3002]
    assert len(cells(source)) == 3500


def test_broken_json_lines_are_set_aside(opened):
    source = opened('{"id": "1"}\n{"id": "2", \n\n{"id": "3"}\n', "a.jsonl")
    assert [row["id"] for row in cells(source)] == ["1", "3"]
    assert (source.rows, [fault.line for fault in source.faults]) == (3, [2])


def test_a_decimal_comma_is_read_as_declared_and_never_dropped(con, home):
    text = "card;day;no;amount\nc1;2017-01-01;1;1.234,50\nc1;2017-01-01;2;12,5\n"
    _, events, quarantine = orders(con, home, text, csv={"delimiter": ";"}, decimal=",")
    assert len(quarantine) == 0
    assert sorted(events.amount.to_pyarrow().to_pylist()) == [Decimal("12.5"), Decimal("1234.5")]
    _, _, quarantine = orders(con, home, text, csv={"delimiter": ";"})
    assert quarantine.column.tolist() == ["amount", "amount"]


def test_costs_are_joined_once_per_item(con, home):
    (home / "costs.csv").write_text("product,rate\nmilk,0.5\nmilk,0.6\nbread,0.25\n")
    (home / "o.csv").write_text(
        "card,day,no,amount,item\nc1,2017-01-01,1,10,milk\nc1,2017-01-01,1,4,bread\nc1,2017-01-01,1,3,salt\n"
    )
    plain = {
        "pos": {"kind": "pos", "path": "o.csv", "record_id": "card", "events": [{**ORDERS, "item": "item"}]},
        "finance": {"kind": "finance", "path": "costs.csv", "costs": {"item": "product", "rate": "rate"}},
    }
    config = Config.model_validate({"company": {"timezone": "UTC"}, "as_of": "2017-10-01", "sources": plain})
    sources = read_sources(con, config)
    events = happenings.all_events(con, sources, config)
    rows = happenings.add_costs(con, events, sources).to_pyarrow().to_pylist()
    assert {row["item"]: row["cost"] for row in rows} == {"milk": Decimal("6"), "bread": Decimal("1"), "salt": None}
    assert len(rows) == 3


def test_completeness_counts_blanks_as_missing(opened):
    source = opened("id,mail\n1,a@x.com\n2,\n3,  \n4,b@x.com\n", identity={"email": "mail"})
    assert completeness({"crm": source}).set_index("attribute").filled.to_dict() == {"email": 0.5}
