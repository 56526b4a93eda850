"""Events are converted while a text file is read, and remembered so: nobody can tell from what comes out."""

import datetime as dt
import random

import pandas as pd
import pytest

from workbench.core import engine
from workbench.core.config import Config
from workbench.ingest.cleaning import account, cleaning_log
from workbench.ingest.events import read_events
from workbench.ingest.quarantine import set_aside, with_values
from workbench.ingest.records import collect_records
from workbench.ingest.settle import settle_records
from workbench.ingest.sources import read_sources

KEY = b"k" * 32
COLUMNS = ["card", "what", "day", "end", "no", "item", "amount", "off", "more", "money", "stars"]
EVENTS = [
    {
        "type": {"column": "what", "values": {"sale": "order", "claim": "ticket"}}, "at": "day", "ends_at": "end", "order_id": "no", "item": "item",
        "amount": "amount", "discount": ["off", "more"], "currency": "money",
    },
    {"type": "nps", "at": "day", "where": {"column": "stars"}, "score": "stars", "score_range": [0, 10]},
]  # fmt: skip
CELLS = {
    "card": ["c1", "c2", " c1", "7.0", "7", " ", None],
    "what": ["sale", "sale", "claim", " sale ", "other", None],
    "day": ["2017-01-31", "2017-02-01 09:30:00", " 2017-03-01 ", "2017-03-01T10:00:00Z", "2031-05-06", "1900-01-01", "31.01.2017", None],
    "end": [None, "2017-02-02", "2017-01-01", "soon"],
    "no": ["1", "2", None],
    "item": ["tea", " tea", "a \"b\"", None],
    "amount": ["5", "5.25", " 5.25 ", "-3", "1,234.50", "5 EUR", "(2.00)", "five", None],
    "off": ["0", "0.5", "x", None],
    "more": ["0.25", None],
    "money": [None, "USD", "EUR", "eur"],
    "stars": [None, "9", "10.0", "99", "many"],
}  # fmt: skip


@pytest.fixture
def ingest(con, home):
    """Rows of cells in a kind of file -> all that ingest makes of them."""

    def run(rows, ending, store="", **change):
        frame = pd.DataFrame(rows, columns=COLUMNS, dtype="str")
        path = home / f"o.{ending}"
        writers = {
            "csv": lambda: frame.to_csv(path, index=False), "parquet": lambda: frame.to_parquet(path),
            "jsonl": lambda: frame.to_json(path, orient="records", lines=True, force_ascii=False),
        }  # fmt: skip
        writers[ending]()
        source = {"kind": "pos", "path": f"o.{ending}", "record_id": "card", "events": EVENTS, **change.pop("source", {})}
        config = Config.model_validate(
            {
                "company": {"timezone": "Europe/Berlin", "currency_rates": {"EUR": 1.5}, **change.pop("company", {})},
                "as_of": "2017-10-01", "sources": {"pos": source}, "ingest": {"store": store, "max_reject_share": 1.0}, **change,
            }
        )  # fmt: skip
        opened = read_sources(con, config)
        settled = settle_records(opened, config)
        events = read_events(con, settled.sources, config)
        aside = set_aside(settled.sources, events, settled.aside)
        records, identifiers = collect_records(settled.sources, config, KEY, events)
        found = {
            "events": engine.fetch(events.order_by(["event_type", "source_row"]).drop("source_file")),
            "aside": aside.drop(columns="file"),
            "records": records,
            "log": cleaning_log(settled, events, aside, identifiers, config),
            "books": account(opened, settled, events, aside),
        }
        return found, with_values(con, opened, aside).drop(columns="file"), opened["pos"]

    return run


def alike(one, other):
    for name, frame in one.items():
        pd.testing.assert_frame_equal(frame, other[name], obj=name)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_text_file_tells_the_same_events_as_one_that_is_converted_later(ingest, seed):
    chance = random.Random(seed)
    rows = [{column: chance.choice(cells) for column, cells in CELLS.items()} for _ in range(500)]
    text, written, _ = ingest(rows, "csv")
    later, _, _ = ingest(rows, "parquet")
    alike(text, later)
    # The quarantine shows cells as they were written, but for plain times that only lie too far ahead.
    values = {(n + 1, column): value for n, row in enumerate(rows) for column, value in row.items()}
    for r in written.itertuples():
        cell = values[r.row, r.column] or ""
        assert r.value == cell or (r.reason == "after data_until" and r.value == "2031-05-05 22:00:00+00"), (r.reason, r.column)


ROWS = [
    {**dict.fromkeys(COLUMNS), "card": "c1", "what": "sale", "day": "2017-01-01", "amount": "5", "money": "EUR"},
    {**dict.fromkeys(COLUMNS), "card": "c2", "what": "sale", "day": "2017-11-01", "amount": "1.234", "more": "n/a"},
]


def test_what_was_converted_before_is_not_read_again_whatever_the_day_of_the_run(ingest):
    first, _, opened = ingest(ROWS, "csv", "data/store")
    assert (opened.read_rows, opened.reused_rows) == (2, 0)
    assert first["aside"].reason.tolist() == ["after data_until"]
    later, _, opened = ingest(ROWS, "csv", "data/store", data_until=dt.date(2017, 12, 31))
    assert (opened.read_rows, opened.reused_rows) == (0, 2)
    assert later["aside"].reason.tolist() == ["not a number"]


@pytest.mark.parametrize(
    "change",
    [
        {"company": {"timezone": "UTC"}},
        {"company": {"currency_rates": {"EUR": 2.0}}},
        {"source": {"decimal": ","}},
        {"source": {"missing": ["n/a"]}},
        {"source": {"events": [{**EVENTS[0], "type": "order"}]}},
    ],
)
def test_what_decides_the_conversion_has_it_done_again(ingest, change):
    ingest(ROWS, "csv", "data/store")
    found, _, opened = ingest(ROWS, "csv", "data/store", **change)
    assert (opened.read_rows, opened.reused_rows) == (2, 0)
    alike(found, ingest(ROWS, "csv", **change)[0])


def test_a_grown_file_is_converted_from_where_it_grew(ingest):
    ingest(ROWS[:1], "csv", "data/store")
    found, _, opened = ingest(ROWS, "csv", "data/store")
    assert (opened.read_rows, opened.reused_rows) == (1, 1)
    alike(found, ingest(ROWS, "csv")[0])


def test_texts_of_few_words_are_texts_in_the_file(con, tmp_path):
    rows = engine.as_table(con, engine.pa.table({"n": [2, 1, 3], "word": ["b", None, "it's"], "text": ["x", "y", "z"]}), "worded")
    words = engine.few_words(rows, ["word"])
    assert words == {"word": ["b", "it's"]}
    table = engine.with_constants(
        engine.in_order(rows, ["n"], words), {"one": engine.ibis.literal("c")}, ["n", "word", "text", "one"]
    )
    engine.write_parquet(con, table, tmp_path / "w.parquet")
    frame = pd.read_parquet(tmp_path / "w.parquet")
    assert frame.fillna("").values.tolist() == [[1, "", "y", "c"], [2, "b", "x", "c"], [3, "it's", "z", "c"]]
    assert (frame.dtypes[["word", "one"]] == "str").all()
