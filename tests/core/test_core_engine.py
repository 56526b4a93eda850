"""What a system wrote becomes a moment, a number or nothing, never something wrong; odd files are read or refused."""

import csv
import datetime as dt
import zoneinfo
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core import engine

UTC = dt.UTC


def moments(con, values, pattern="iso", zone="America/New_York"):
    table = engine.as_table(con, pa.table({"x": values}), "moments")
    return table.select(y=engine.parse_moment(table.x, pattern, zone)).to_pyarrow()["y"].to_pylist()


def numbers(con, values, decimal="."):
    table = engine.as_table(con, pa.table({"x": values}), "numbers")
    return table.select(y=engine.parse_number(table.x, decimal)).to_pyarrow()["y"].to_pylist()


@pytest.mark.parametrize(
    "written, utc",
    [
        ("2017-07-01", "2017-07-01 04:00"),
        ("2017-07-01T10:00", "2017-07-01 14:00"),
        ("2017-01-01 10:00:00", "2017-01-01 15:00"),
        (" 2017-07-01 10:00:00 ", "2017-07-01 14:00"),
        ("2017-07-01T10:00:00Z", "2017-07-01 10:00"),
        ("2017-07-01T10:00:00z", "2017-07-01 10:00"),
        ("2017-07-01 10:00:00 UTC", "2017-07-01 10:00"),
        ("2017-07-01T10:00:00+02:00", "2017-07-01 08:00"),
        ("2017-07-01T10:00:00+0200", "2017-07-01 08:00"),
        ("2017-07-01T10:00:00+02", "2017-07-01 08:00"),
        ("2017-07-01T10:00:00-05", "2017-07-01 15:00"),
        ("2017-07-01T10:00:00.500+05:30", "2017-07-01 04:30:00.5"),
        ("2016-02-29", "2016-02-29 05:00"),
        ("2017-12-31T23:30", "2018-01-01 04:30"),
    ],
)
def test_iso_times_are_the_zones_unless_they_say_their_own(con, written, utc):
    assert moments(con, [written]) == [dt.datetime.fromisoformat(utc).replace(tzinfo=UTC)]


@pytest.mark.parametrize(
    "written",
    ["2017-02-30", "2017-13-01", "2017-02-29", "0000-00-00", "junk", "", None, "01/02/2017", "infinity", "epoch", "12:30", "2017"]
    + ["99999-01-01", "2017-07-01 10:00:00 Nowhere/City", "2017-07-01 10:00 pm", "2017-07-01T25:00"],
)
def test_what_is_no_time_is_missing(con, written):
    assert moments(con, pa.array([written, "2017-07-01"], pa.string()))[0] is None


@pytest.mark.parametrize("kind", [pa.int64(), pa.int32(), pa.float64()])
def test_a_day_written_as_a_number_is_read_as_it_is_written(con, kind):
    """And never as seconds since 1970: what no pattern reads is no time."""
    written = pa.array([19970101, None, 7], kind)
    assert moments(con, written, "%Y%m%d", "UTC") == [dt.datetime(1997, 1, 1, tzinfo=UTC), None, None]
    assert moments(con, written, "iso", "UTC") == [None, None, None]


def test_daylight_saving_time_is_honoured(con):
    before, gap, after = moments(con, ["2017-03-12 01:59", "2017-03-12 02:30", "2017-03-12 03:00"])
    assert (before.hour, after.hour) == (6, 7)
    assert dt.timedelta(0) <= gap - before < dt.timedelta(hours=1)
    early, twice, late = moments(con, ["2017-11-05 00:59", "2017-11-05 01:30", "2017-11-05 02:00"])
    assert (early.hour, late.hour) == (4, 7)
    assert twice.hour in (5, 6)


@settings(max_examples=15)
@given(
    st.lists(st.datetimes(dt.datetime(1971, 1, 1), dt.datetime(2100, 1, 1)), min_size=1, max_size=20),
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York", "Pacific/Apia"]),
)
def test_local_time_and_back_is_the_same_moment(con, clocks, zone):
    here = [moment.replace(tzinfo=UTC).astimezone(zoneinfo.ZoneInfo(zone)) for moment in clocks]
    assert moments(con, [moment.isoformat() for moment in here], zone="Asia/Tokyo") == here
    # Naive first: once pandera is imported, pyarrow 26 forgets the offsets of zoned datetimes.
    table = engine.as_table(con, pa.table({"x": pa.array(clocks, pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))}), "clocks")
    local = table.select(y=engine.local_time(table.x, zone)).to_pyarrow()["y"].to_pylist()
    assert local == [moment.replace(tzinfo=None) for moment in here]


def test_epochs_and_patterns(con):
    new_year = dt.datetime(2017, 1, 1, tzinfo=UTC)
    assert moments(con, [1483228800000], "epoch_ms") == [new_year]
    assert moments(con, ["1483228800000", "x", ""], "epoch_ms") == [new_year, None, None]
    assert moments(con, [1483228800, None], "epoch_s") == [new_year, None]
    assert moments(con, [float("nan"), 1483228800.0], "epoch_s") == [None, new_year]
    assert moments(con, ["31.12.2017 10:00", "31.02.2017 10:00"], "%d.%m.%Y %H:%M", "Europe/Berlin") == [
        dt.datetime(2017, 12, 31, 9, tzinfo=UTC),
        None,
    ]
    assert moments(con, ["2017-12-31 10:00 +0200"], "%Y-%m-%d %H:%M %z") == [dt.datetime(2017, 12, 31, 8, tzinfo=UTC)]


@pytest.mark.parametrize("pattern", ["epoch_s", "epoch_ms"])
@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 10**17])
def test_one_impossible_epoch_does_not_stop_the_others(con, pattern, value):
    assert moments(con, [value, 0], pattern)[1] == dt.datetime(1970, 1, 1, tzinfo=UTC)
    assert moments(con, [str(value), "0"], pattern)[0] is None


def test_times_that_are_times_already(con):
    noon = dt.datetime(2017, 7, 1, 12)
    assert moments(con, pa.array([noon, None], pa.timestamp("us"))) == [noon.replace(hour=16, tzinfo=UTC), None]
    assert moments(con, pa.array([noon]).cast(pa.timestamp("us", "UTC"))) == [noon.replace(tzinfo=UTC)]
    assert moments(con, pa.array([noon.date()], pa.date32())) == [dt.datetime(2017, 7, 1, 4, tzinfo=UTC)]


@pytest.mark.parametrize(
    "written, point, comma",
    [
        ("1234.5", "1234.5", "1234.5"),
        ("12,50", None, "12.5"),
        ("1,234.50", "1234.5", None),
        ("1.234,50", None, "1234.5"),
        ("1.234", "1.234", "1234"),
        ("1,234", "1234", "1.234"),
        ("12,345,678.9", "12345678.9", None),
        ("-1.234,5", None, "-1234.5"),
        (" -7 ", "-7", "-7"),
        ("+5", "5", "5"),
        ("1,23,456", None, None),
        ("1e400", None, None),
    ]
    + [(junk, None, None) for junk in ("", "abc", "$5", "(25.00)", "5-", "1.2.3", "nan", "inf", "-Infinity", "NULL", "0x10")]
    + [(None, None, None), ("99999999999999999999", None, None)],
)
def test_numbers_as_text(con, written, point, comma):
    values = pa.array([written, "1"], pa.string())
    assert numbers(con, values)[0] == (Decimal(point) if point else None)
    assert numbers(con, values, ",")[0] == (Decimal(comma) if comma else None)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e30])
def test_one_number_that_is_none_does_not_stop_the_others(con, bad):
    assert numbers(con, [1.5, bad, None]) == [Decimal("1.5"), None, None]


@settings(max_examples=25)
@given(st.decimals(-(10**13), 10**13, places=4), st.sampled_from([".", ","]), st.booleans())
def test_a_number_survives_being_written_either_way(con, number, decimal, grouped):
    english = f"{number:,.4f}" if grouped else f"{number:.4f}"
    written = english.translate(str.maketrans(",.", ".,")) if decimal == "," else english
    assert numbers(con, [written], decimal) == [number]


@settings(max_examples=15)
@given(st.permutations([f"{n}.{n:04d}" for n in range(1, 60)] + ["0.1", "0.2", "-0.3", "1000000000.0001"]))
def test_money_adds_up_exactly_whatever_the_order(con, values):
    table = engine.as_table(con, pa.table({"x": values}), "money")
    total = engine.fetch_row(table.agg(total=engine.parse_number(table.x, ".").sum()))["total"]
    assert total == sum(Decimal(v) for v in values)


# -- text files --------------------------------------------------------------------------------------------------------


def delimited(con, path, text, delimiter=",", skip=0):
    """Write a text, copy its columns and read them back under the names of its header."""
    path.write_text(text, encoding="utf-8", newline="")
    header = next(csv.reader(text.splitlines(keepends=True)[skip:], delimiter=delimiter))
    target = path.with_name("copy.parquet")
    _, faults = engine.copy_delimited(con, path, target, len(header), range(len(header)), delimiter, skip + 1)
    table = engine.read_parts(con, "sample", [(target, "it's", 0)], header)
    return table.drop(engine.ROW, engine.FILE).to_pyarrow().to_pylist(), [(line, reason) for line, _, reason in faults]


def test_every_cell_stays_as_it_was_written(con, tmp_path):
    rows, faults = delimited(con, tmp_path / "a.csv", 'id,n,t\n007,1.0,NA\n" 8",,null\n9,"a,\n""b""",NaN\n')
    assert rows == [
        {"id": "007", "n": "1.0", "t": "NA"},
        {"id": " 8", "n": None, "t": "null"},
        {"id": "9", "n": 'a,\n"b"', "t": "NaN"},
    ]
    assert faults == []


@pytest.mark.parametrize("bad", ["2,y,z", "2", "2,y,z,1,2,3", '2,y,z,"w"q'])
def test_a_ragged_row_is_set_aside_with_its_line_and_once(con, tmp_path, bad):
    rows, faults = delimited(con, tmp_path / "a.csv", f"id,a\n1,x\n{bad}\n3,w\n")
    assert [row["id"] for row in rows] == ["1", "3"]
    assert [line for line, _ in faults] == [3]


@pytest.mark.parametrize("after", ["{},x\n", '{},"x"\n'])
def test_an_unclosed_quote_is_told_apart_with_the_line_that_opens_it(con, tmp_path, after):
    text = "id,a\n1,x\n" + '2,"oops\n' + "".join(after.format(i) for i in range(3, 400))
    _, faults = delimited(con, tmp_path / "a.csv", text)
    assert faults == [(3, engine.QUOTE_LEFT_OPEN)]


@pytest.mark.parametrize("name", ['a"; DROP TABLE x; --', "select", "it's", "a b", "ä€", "$1", "?", "a\nb", "{x}", "%s"])
def test_a_column_may_have_any_name(con, tmp_path, name):
    quoted = name.replace('"', '""')
    rows, faults = delimited(con, tmp_path / "a.csv", f'id,"{quoted}"\n1,x\n')
    assert rows == [{"id": "1", name: "x"}]
    assert faults == []


@pytest.mark.parametrize("name", ["it's.csv", "a b;--.csv", "a*[x]?.csv", "ü.csv", '"q".csv', "x" * 200 + ".csv"])
def test_a_file_may_have_any_name(con, tmp_path, name):
    (tmp_path / "ax.csv").write_text("id,a\n9,wrong file\n")
    rows, _ = delimited(con, tmp_path / name, "id,a\n1,x\n")
    assert rows == [{"id": "1", "a": "x"}]


def test_a_title_above_the_header_is_skipped(con, tmp_path):
    rows, _ = delimited(con, tmp_path / "a.csv", "Report of 2017\n\nid\ta\n1\tx\n", "\t", 2)
    assert rows == [{"id": "1", "a": "x"}]


def json_lines(con, path, text, fields):
    path.write_text(text, encoding="utf-8")
    target = path.with_name("copy.parquet")
    _, faults, _ = engine.copy_json_lines(con, path, target, fields)
    return engine.read_parts(con, "lines", [(target, "a", 0)], fields).drop(engine.FILE).to_pyarrow().to_pylist(), faults


def test_json_lines_with_broken_ones(con, tmp_path):
    text = '{"id": "1", "u": {"e": "a@b"}}\n{"id": "2", \n\nnot json\n{"id": 3, "u": null}\n[5]\n{"u.e": 6}\n'
    rows, faults = json_lines(con, tmp_path / "it's.jsonl", text, ["id", "u.e"])
    assert rows == [
        {engine.ROW: 1, "id": "1", "u.e": "a@b"},
        {engine.ROW: 5, "id": "3", "u.e": None},
        {engine.ROW: 7, "id": None, "u.e": "6"},
    ]
    assert faults == [2, 4, 6]


def test_large_whole_numbers_in_json_stay_exact(con, tmp_path):
    text = '{"id": 12345678901234567890123}\n{"id": "00012"}\n{"id": [12345678901234567890123, 1]}\n'
    rows, _ = json_lines(con, tmp_path / "a.jsonl", text, ["id"])
    assert [row["id"] for row in rows] == ["12345678901234567890123", "00012", "[12345678901234567890123,1]"]


def test_rows_are_numbered_from_part_to_part_of_each_file(con, tmp_path):
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path, rows in zip(paths, (3, 2, 4), strict=True):
        assert engine.copy_batches(con, 1, [[[f"{path.name}{i}"] for i in range(rows)]], path) == rows
    parts = [(paths[0], "x", 0), (paths[1], "x", 3), (paths[2], "y", 0)]
    rows = engine.read_parts(con, "parts", parts, ["id"]).to_pyarrow().to_pylist()
    assert [(r["id"], r[engine.FILE], r[engine.ROW]) for r in rows] == (
        [(f"a{i}", "x", i + 1) for i in range(3)]
        + [(f"b{i}", "x", i + 4) for i in range(2)]
        + [(f"c{i}", "y", i + 1) for i in range(4)]
    )


def test_parquet_keeps_rows_in_order_and_times_in_utc(con, tmp_path):
    table = engine.as_table(con, pa.table({"n": list(range(5000))}), "rows")
    path = tmp_path / "it's.parquet"
    engine.write_parquet(con, table.order_by(-table.n), path)
    assert engine.read_parquet(con, path).n.to_pyarrow().to_pylist() == list(range(4999, -1, -1))


@pytest.mark.parametrize("others", [0, 2_000])
def test_a_word_has_its_place_among_few_words_and_among_many(con, others):
    """Few words are looked up in a list, many in a table; nobody sees which."""
    words = ["tea", "ham", *(f"word {n}" for n in range(others))]
    texts = engine.as_table(con, pa.table({"text": ["ham", None, "tea", "HAM", "", "tea"]}), "texts")
    placed = engine.with_place(texts, "text", words)
    found = engine.fetch(placed.group_by("text", "text_place").agg(rows=placed.count()))
    assert dict(zip(found.text.fillna("nothing"), zip(found.text_place, found.rows, strict=True), strict=True)) == {
        "ham": (1, 1), "tea": (0, 2), "HAM": (engine.NOT_THERE, 1), "": (engine.NOT_THERE, 1), "nothing": (engine.NOT_THERE, 1),
    }  # fmt: skip
    assert engine.count_rows(placed.filter(engine.is_among(placed.text, words[:2]))) == 3
    assert engine.fetch(engine.with_place(texts, "text", [])).text_place.eq(engine.NOT_THERE).all()
