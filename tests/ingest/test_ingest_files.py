"""The bad-input catalogue of files, encodings, headers and shapes (1 to 32): read right, set aside visibly, or refused with the fix."""

import gzip
import io
import os
import zipfile

import pandas as pd
import pytest

from workbench.core import engine
from workbench.core.config import Source
from workbench.core.errors import InputError
from workbench.core.inputs import find_files, input_hashes
from workbench.ingest.sources import describe_reading, open_source

ROWS = "id,name\n1,Ann\n2,Bob\n"
NAMES = "id,name\n1,Müller\n2,O’Brien €\n"
PLAIN = [{"id": "1", "name": "Ann"}, {"id": "2", "name": "Bob"}]
READ = [{"id": "1", "name": "Müller"}, {"id": "2", "name": "O’Brien €"}]
MANY = "".join(f"{i},name {i}\n" for i in range(30_000))


@pytest.fixture
def opened(con, home):
    """Bytes or text of a file -> the opened source with columns id and name; further words are settings of the source."""

    def open_it(content, path="a.csv", **settings):
        if content is not None:
            (home / path).write_bytes(content.encode() if isinstance(content, str) else content)
        plain = {"kind": "crm", "path": path, "record_id": "id", "profile": {"name": "name"}, **settings}
        return open_source(con, "crm", Source(**plain))

    return open_it


@pytest.fixture
def refused(opened):
    """The same -> the message of the refusal, of the right form."""

    def message(content, path="a.csv", **settings):
        with pytest.raises(InputError) as caught:
            opened(content, path, **settings)
        text = str(caught.value)
        assert 'source "crm"' in text
        assert caught.value.fix
        assert len(text.splitlines()) <= 10
        assert "Ann" not in text  # no value of a row
        assert "Müller" not in text
        return text

    return message


def cells(source) -> list[dict]:
    assert source.rows == engine.count_rows(source.table) + len(source.faults)
    return source.table.drop(engine.ROW, engine.FILE).to_pyarrow().to_pylist()


def zipped(**files: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/"), text)
    return held.getvalue()


def workbook(rows, sheet="Sheet1", **others) -> bytes:
    import openpyxl

    book, held = openpyxl.Workbook(), io.BytesIO()
    book.active.title = sheet
    for row in rows:
        book.active.append(row)
    for name, its in others.items():
        page = book.create_sheet(name)
        for row in its:
            page.append(row)
    book.save(held)
    return held.getvalue()


# -- read right, with a note -------------------------------------------------------------------------------------------

RIGHT = {
    "01-utf8-mark": (NAMES.encode("utf-8-sig"), {}, READ, []),
    "02-utf16": (NAMES.encode("utf-16"), {}, READ, ["read as utf-16"]),
    "02-utf16-without-mark": (NAMES.encode("utf-16-le"), {}, READ, ["read as utf-16-le"]),
    "02-utf16-crlf": (NAMES.replace("\n", "\r\n").encode("utf-16"), {}, READ, ["read as utf-16"]),
    "03-cp1252": (NAMES.encode("cp1252"), {}, READ, ["read as cp1252, recognised from its bytes"]),
    "03-cp1251": (
        ("id,name\n1,Иван Иванович\n2,Ольга из города Казань\n" + "3,Анна живёт в Москве\n" * 20).encode("cp1251"), {},
        [{"id": "1", "name": "Иван Иванович"}, {"id": "2", "name": "Ольга из города Казань"}, *[{"id": "3", "name": "Анна живёт в Москве"}] * 20], ["read as cp1251"],
    ),
    "05-semicolon": ("id;name\n1;12,50\n", {"decimal": ","}, [{"id": "1", "name": "12,50"}], ["read as semicolon"]),
    "06-tab": (ROWS.replace(",", "\t"), {}, PLAIN, ["read as TAB"]),
    "06-pipe": (ROWS.replace(",", "|"), {}, PLAIN, ["read as bar"]),
    "08-header-only-optional": ("id,name\n", {"optional": True}, [], ["no rows"]),
    "11-gz-that-is-none": (ROWS, {"path": "a.csv.gz"}, PLAIN, ["not compressed"]),
    "11-gz-called-csv": (gzip.compress(NAMES.encode()), {}, READ, []),
    "11-gz": (gzip.compress(NAMES.encode("cp1252")), {"path": "a.csv.gz"}, READ, ["read as cp1252"]),
    "16-cr-only": (ROWS.replace("\n", "\r"), {}, PLAIN, []),
    "16-mixed": ("id,name\r\n1,Ann\n2,Bob\r\n", {}, PLAIN, ["line ends were mixed"]),
    "16-mixed-three": ("id,name\r\n1,Ann\r2,Bob\n", {}, PLAIN, ["line ends were mixed"]),
    "16-crlf": (ROWS.replace("\n", "\r\n"), {}, PLAIN, []),
    "19-blanks-around-a-name": ("id , name \n1,Ann\n2,Bob\n", {}, PLAIN, ["blanks around the names of id, name"]),
    "20-trailing-comma": ("id,name,\n1,Ann,\n2,Bob,\n", {}, PLAIN, ["1 empty column without a name was ignored"]),
    "20-trailing-comma-in-rows": ("id,name\n1,Ann,\n2,Bob,\n", {}, PLAIN, []),
    "22-extra-columns": ("id,x,name,y\n1,a,Ann,b\n2,c,Bob,d\n", {}, PLAIN, ["2 columns not declared were ignored: x, y"]),
    "28-newline-in-quotes": ('id,name\n1,"A\nB"\n', {}, [{"id": "1", "name": "A\nB"}], []),
    "28-newline-in-quotes-crlf": ('id,name\r\n1,"A\r\nB"\r\n', {}, [{"id": "1", "name": "A\nB"}], []),
    "28-newline-in-quotes-mixed": ('id,name\r\n1,"A\nB"\r\n', {}, [{"id": "1", "name": "A\nB"}], ["line ends were mixed"]),
    "29-skip-rows": ("Report\n\nid,name\n1,Ann\n2,Bob\n", {"csv": {"skip_rows": 2}}, PLAIN, []),
    "29-quoted-title": ('"Report\nof 2017"\nid,name\n1,Ann\n2,Bob\n', {"csv": {"skip_rows": 2}}, PLAIN, []),
    "29-blank-lines-above": ("\n\nid,name\n1,Ann\n2,Bob\n", {}, PLAIN, ["2 blank lines above the header"]),
    "53-control-characters": ("id,name\n1,A\0n\x07n\n2,Bob\n", {}, PLAIN, ["2 control characters removed"]),
}  # fmt: skip


@pytest.mark.parametrize("case", RIGHT)
def test_what_can_be_put_right_is_and_told(opened, case):
    content, settings, rows, words = RIGHT[case]
    source = opened(content, **settings)
    assert cells(source) == rows
    assert source.faults == []
    for word in words:
        assert any(word in note for note in source.notes), source.notes
    if not words:
        assert source.notes == []


def test_31_of_5000_columns_only_the_declared_are_read(opened):
    names = ["id", *(f"column {i}" for i in range(4998)), "name"]
    text = "\n".join([",".join(names), *(",".join([str(i), *["x"] * 4998, f"n{i}"]) for i in range(3))]) + "\n"
    source = opened(text)
    assert cells(source) == [{"id": str(i), "name": f"n{i}"} for i in range(3)]
    assert "4,998 columns not declared were ignored: column 0, column 1" in source.notes[0]
    assert len(source.notes[0]) < 300


def test_08_a_file_of_several_may_be_empty_and_that_is_told(con, home, opened):
    (home / "day1.csv").write_text("id,name\n")
    (home / "day2.csv").write_text(ROWS)
    source = opened(None, "day*.csv")
    assert cells(source) == PLAIN
    assert source.notes == ["day1.csv: no rows"]


def test_07_an_empty_file_of_an_optional_source_is_an_empty_table(opened):
    source = opened("", optional=True)
    assert cells(source) == []
    assert source.table.columns == (engine.ROW, engine.FILE, "id", "name")
    assert source.notes == ["empty (0 bytes)"]


# -- set aside ---------------------------------------------------------------------------------------------------------

ASIDE = {
    "04-one-wrong-byte": ((ROWS + MANY).encode() + b"x,M\xfcller\n3,Cid\n", [30_004], "not UTF-8"),
    "04-in-a-utf8-file": (NAMES.encode() + b"x,M\xfcller\n3,Cid\n", [4], "not UTF-8"),
    "04-after-a-newline-in-quotes": (NAMES.encode() + b'3,"a\nb"\nx,M\xfcller\n', [6], "not UTF-8"),
    "04-declared": (b"id,name\n1,Cid\nx,M\xfcller\n", [3], "not UTF-8", {"csv": {"encoding": "utf-8"}}),
    "24-extra-field": (ROWS + "3,Cid,x\n4,Dee\n", [4], "too many fields"),
    "26-too-few-fields": (ROWS + "3\n4,Dee\n", [4], "too few fields"),
    "26-with-blank-lines": (ROWS + "\n\n3\n4,Dee\n", [6], "too few fields"),
    "26-with-a-mark": (b"\xef\xbb\xbf" + (ROWS + "3\n4,Dee\n").encode(), [4], "too few fields"),
    "26-crlf": ((ROWS + "3\n4,Dee\n5\n").replace("\n", "\r\n"), [4, 6], "too few fields"),
    "26-mixed": ((ROWS + "3\r\n4,Dee\n5\n"), [4, 6], "too few fields"),
    "30-footer": ("id,name,x\n1,Ann,3\nTotal,6\n", [3], "too few fields"),
    "32-cell-of-3-MB": (ROWS + "3," + "x" * 3_000_000 + "\n4,Dee\n", [4], "longer than 1 MB"),
    "32-cell-of-40-MB": (ROWS + "3," + "x" * 40_000_000 + "\n4,Dee\n5\n", [4, 6], "longer than 1 MB"),
}


@pytest.mark.parametrize("case", ASIDE)
def test_a_row_that_is_none_is_set_aside_with_its_line(opened, case):
    content, lines, reason, *settings = ASIDE[case]
    source = opened(content, **(settings[0] if settings else {}))
    rows = cells(source)
    assert [fault.line for fault in source.faults] == lines
    assert reason in source.faults[0].reason
    assert {fault.file for fault in source.faults} == {"a.csv"}
    assert not any(row["id"] in ("x", "Total") for row in rows)
    assert source.table[engine.ROW].to_pyarrow().to_pylist() == list(range(1, len(rows) + 1))


def test_30_a_footer_of_all_fields_is_left_to_the_conversion_of_values(opened):
    assert cells(opened(ROWS + "Total,6\n"))[-1] == {"id": "Total", "name": "6"}


@pytest.mark.parametrize("lines", [[b'{"id": 3, "name": "M\xfcller"}'], [b'{"id": 3, "name": "' + b"x" * 40_000_000 + b'"}']])
def test_04_and_32_lines_of_json_too(opened, lines):
    content = b"\n".join([b'{"id": 1, "name": "A"}', *lines, b'{"id": 4, "name": "B"}', b""])
    source = opened(content, "a.jsonl")
    assert cells(source) == [{"id": "1", "name": "A"}, {"id": "4", "name": "B"}]
    assert [fault.line for fault in source.faults] == [2]
    assert source.table[engine.ROW].to_pyarrow().to_pylist() == [1, 3]


# -- refused -----------------------------------------------------------------------------------------------------------

ONE_MORE = "id,name\n" + "".join(f"{i},n{i},x\n" for i in range(300))
REFUSED = {
    "03-ambiguous": (b"id,name\n1,M\xfcller\n", {}, ["a.csv:2", "sources.crm.csv.encoding"]),
    "03-declared-wrongly": (NAMES.encode("cp1252"), {"csv": {"encoding": "utf-16"}}, ["utf-16", "sources.crm.csv.encoding"]),
    "03-declared-multi-byte": (b"id,name\n1,A\n2,\x81\n", {"csv": {"encoding": "shift_jis"}}, ["a.csv:3", "shift_jis"]),
    "07-zero-bytes": ("", {}, ["empty (0 bytes)", "optional: true"]),
    "08-header-only": ("id,name\n", {}, ["a header and no rows", "optional: true"]),
    "09-blank-lines": ("\n\n  \n", {}, ["only blank lines"]),
    "10-truncated-gz": (gzip.compress((ROWS + MANY).encode())[:-2000], {"path": "a.csv.gz"}, ["gzip", "nothing was ingested"]),
    "10-broken-gz": (b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xff\xfe", {"path": "a.csv.gz"}, ["gzip"]),
    "12-xlsx": (workbook([["id", "name"], [1, "Ann"]]), {}, ["Excel workbook", "sources.crm.format: excel"]),
    "12-ods": (
        zipped(mimetype="application/vnd.oasis.opendocument.spreadsheet", content="x"),
        {},
        ["OpenDocument", "save it as"],
    ),
    "12-zip": (zipped(a="x"), {}, ["ZIP", "unpack"]),
    "12-xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, {}, ["old Excel", ".xlsx"]),
    "12-parquet": (b"PAR1....", {}, ["Parquet", "format: parquet"]),
    "12-csv-called-xlsx": (ROWS, {"path": "a.xlsx"}, ["not readable as excel", "sources.crm.format"]),
    "12-csv-called-parquet": (ROWS, {"path": "a.parquet"}, ["not readable as parquet", "sources.crm.format"]),
    "12-csv-called-jsonl": (ROWS, {"path": "a.jsonl"}, ["JSON object", "format: csv"]),
    "13-web-page": ("<!DOCTYPE html><html><body>Log in", {}, ["web page", "logged in"]),
    "13-web-page-2": ("\n <HTML><head>", {}, ["web page"]),
    "13-web-page-jsonl": ("\n <HTML><head>", {"path": "a.jsonl"}, ["web page"]),
    "14-json-lines": ('{"id": 1, "name": 2}\n{"id": 2, "name": 3}\n', {}, ["lines of JSON", "sources.crm.format: jsonl"]),
    "14-json-array": ('[{"id": 1}]', {"path": "a.jsonl"}, ["JSON array", "jq"]),
    "17-no-header": ("1,Ann\n2,Bob\n", {}, ["no header", "line 1 looks like data"]),
    "17-no-header-mail": ("x,a@b.com\ny,c@d.com\n", {}, ["no header"]),
    "18-twice": ("id,name,name\n1,x,y\n", {}, ['"name" (columns 2, 3)']),
    "19-case": ("id,Name,name\n1,x,y\n", {}, ["(columns 2, 3", '"Name" and "name"']),
    "19-blanks": ("id, name,name\n1,x,y\n", {}, ["(columns 2, 3"]),
    "19-other-case": ("id,Name\n1,x\n", {}, ['Did you mean "Name"?', 'profile: {name: "Name"}']),
    "20-values-without-a-name": ("id,name,\n1,Ann,x\n", {}, ["column without a name", "column 3"]),
    "20-values-far-down": ("id,name,\n" + "1,Ann,\n" * 3000 + "1,Ann,x\n", {}, ["column without a name", "column 3"]),
    "21-missing": ("id,city,street\n1,x,y\n", {}, ['no column "name" (sources.crm.profile.name)', "Known: city, id, street"]),
    "23-renamed": ("cust_id,name\n1,x\n", {"record_id": "custid"}, ['Did you mean "cust_id"?', 'record_id: "cust_id"']),
    "25-every-row-longer": (ONE_MORE, {}, ["every row has 3 fields", "2 columns"]),
    "27-open-quote": ('id,name\n1,Ann\n2,"Bob\n3,Cid\n4,Dee\n', {}, ["a.csv:3", "quotation mark is opened"]),
    "27-open-quote-far-down": (ROWS + MANY + '2,"Bob\n' + MANY, {}, ["a.csv:30004", "quotation mark is opened"]),
    "27-closed-by-another": (ROWS + MANY + '2,"Bob\n3,"Cid"\n' + MANY, {}, ["a.csv:30004", "quotation mark is opened"]),
    "29-title": ("Report of 2017\nid,name\n1,Ann\n", {}, ["line 2", "csv: {skip_rows: 1}"]),
    "29-titles": ("Report\n\nfrom: 1 to: 2\n\nid;name\n1;Ann\n", {}, ["line 5", "csv: {skip_rows: 4}"]),
    "29-skip-too-far": (ROWS, {"csv": {"skip_rows": 9}}, ["3 lines", "skip_rows"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_put_right_is_refused_with_the_fix(refused, case):
    content, settings, words = REFUSED[case]
    message = refused(content, **settings)
    for word in words:
        assert word in message, message


def test_29_the_suggested_skip_rows_works(opened):
    text = "Report\n\nfrom: 1 to: 2\n\nid;name\n1;Ann\n2;Bob\n"
    assert cells(opened(text, csv={"skip_rows": 4})) == PLAIN


@pytest.mark.parametrize(
    "path, words",
    [
        ("data/contact.csv", ['Did you mean "contacts.csv"?', "sources.crm.path"]),
        ("dta/contacts.csv", ["folder", 'Did you mean "data"?']),
        ("data", ["folder", "data/*.csv"]),
        ("data/contract*.csv", ["matches no file", 'Did you mean "contacts.csv"?']),
        ("data/*.tsv", ["matches no file", "contacts.csv"]),
        ("nowhere/*/x.csv", ["does not exist"]),
    ],
)
def test_15_what_is_not_there_names_the_nearest(con, home, path, words):
    (home / "data").mkdir()
    (home / "data/contacts.csv").write_text(ROWS)
    with pytest.raises(InputError) as caught:
        open_source(con, "crm", Source(kind="crm", path=path, record_id="id"))
    for word in words:
        assert word in str(caught.value)


def test_15_a_file_that_may_not_be_read_says_so(refused, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "no permission" in refused(ROWS)


# -- patterns ----------------------------------------------------------------------------------------------------------


def test_a_pattern_reads_every_file_in_the_order_of_names(con, home, opened):
    (home / "exports/2017").mkdir(parents=True)
    for name, text in {
        "2017/b.csv": "name;id\nC;3\nD;4\n5\n",
        "2017/a.csv": ROWS,
        "2017/.hidden.csv": "x",
        "note.txt": "x",
    }.items():
        (home / "exports" / name).write_text(text)
    source = opened(None, "exports/**/*.csv")
    rows = source.table.to_pyarrow().to_pylist()
    assert [(r["id"], r[engine.FILE], r[engine.ROW]) for r in rows] == [
        ("1", "exports/2017/a.csv", 1), ("2", "exports/2017/a.csv", 2), ("3", "exports/2017/b.csv", 1), ("4", "exports/2017/b.csv", 2),
    ]  # fmt: skip
    assert (source.rows, source.files) == (5, 2)
    assert source.faults == [("exports/2017/b.csv", 4, "too few fields")]
    assert describe_reading({"crm": source}).set_aside.tolist() == [1]


def test_a_pattern_of_parquet_files_keeps_the_types(con, home, opened):
    for name in ("a", "b"):
        pd.DataFrame({"x": [1, 2], "id": [f"{name}1", f"{name}2"], "name": [1.5, 2.5]}).to_parquet(home / f"{name}.parquet")
    rows = opened(None, "*.parquet").table.to_pyarrow().to_pylist()
    assert [(r["id"], r["name"], r[engine.FILE], r[engine.ROW]) for r in rows] == [
        ("a1", 1.5, "a.parquet", 1), ("a2", 2.5, "a.parquet", 2), ("b1", 1.5, "b.parquet", 1), ("b2", 2.5, "b.parquet", 2),
    ]  # fmt: skip


def test_one_file_of_a_pattern_without_a_column_is_named(home, refused):
    (home / "a.csv").write_text(ROWS)
    (home / "b.csv").write_text("id,nam\n1,x\n")
    assert "b.csv" in refused(None, "*.csv")


def test_the_hash_of_a_source_covers_every_file(home):
    from workbench.core.config import Config

    (home / "a.csv").write_text(ROWS)
    (home / "b.csv").write_text(ROWS)
    sources = {
        "many": {"kind": "crm", "path": "*.csv", "record_id": "id"}, "none": {"kind": "crm", "path": "x.csv", "record_id": "id"},
        "base": {"kind": "crm", "database": {"url": "sqlite:///x.db", "table": "t"}, "record_id": "id"},
    }  # fmt: skip
    config = Config.model_validate({"as_of": "2017-10-01", "sources": sources})
    before = input_hashes(config)
    assert (before["none"], before["base"]) == ("no file", "database")
    assert find_files("base", config.sources["base"]) == []
    (home / "b.csv").write_text(ROWS + "3,Cid\n")
    assert input_hashes(config)["many"] != before["many"]


# -- Excel and lines of JSON -------------------------------------------------------------------------------------------


def test_excel_cells_are_told_as_text(opened):
    import datetime as dt

    values = [
        "007",
        1,
        1.0,
        12.5,
        0.3,
        1e22,
        12345678901,
        True,
        dt.datetime(2024, 1, 5),
        dt.datetime(2024, 1, 5, 10, 30),
        dt.date(2024, 1, 5),
        "NA",
        None,
    ]
    source = opened(
        workbook([["id", "x", "name"], *[[f"r{i}", "y", v] for i, v in enumerate(values)], [None, None, None]]), "a.xlsx"
    )
    assert [row["name"] for row in cells(source)] == [
        "007", "1", "1", "12.5", "0.3", "10000000000000000000000", "12345678901", "true",
        "2024-01-05", "2024-01-05 10:30:00", "2024-01-05", "NA", None,
    ]  # fmt: skip
    assert source.notes == ["1 column not declared was ignored: x"]


def test_sheets_titles_and_empty_columns_of_excel(opened, refused):
    book = workbook([["x"]], "First", Orders=[["Report", None], [None, None], ["id", "name"], [1, None], [2, None]])
    source = opened(book, "a.xlsx", sheet="Orders", csv={"skip_rows": 1})
    assert cells(source) == [{"id": "1", "name": None}, {"id": "2", "name": None}]
    assert "skip_rows: 2" in refused(book, "a.xlsx", sheet="Orders")
    assert 'Did you mean "Orders"?' in refused(book, "a.xlsx", sheet="Order")
    assert '"id"' in refused(book, "a.xlsx")
    assert "is empty" in refused(workbook([]), "a.xlsx")
    assert "a header and no rows" in refused(workbook([["id", "name"]]), "a.xlsx")
    assert cells(opened(workbook([["id", "name"]]), "a.xlsx", optional=True)) == []


def test_a_field_that_is_always_null_is_there_and_one_nobody_has_is_not(opened, refused):
    text = '{"id": 12345678901234567890123, "user": {"name": null}}\n{"id": "00012"}\n'
    source = opened(text, "a.jsonl", profile={"name": "user.name"})
    assert cells(source) == [{"id": "12345678901234567890123", "user.name": None}, {"id": "00012", "user.name": None}]
    assert 'Did you mean "user.name"?' in refused(text, "a.jsonl", profile={"name": "user.nam"})


def test_a_large_file_is_read_while_it_is_looked_through(opened, monkeypatch):
    from workbench.ingest import readers

    monkeypatch.setattr(readers, "LARGE", 0)
    for content in (ROWS, ROWS.replace("\n", "\r\n"), ROWS.replace("\n", "\r\n", 1), ROWS.replace("Ann", "A\0nn")):
        assert cells(opened(content)) == PLAIN
