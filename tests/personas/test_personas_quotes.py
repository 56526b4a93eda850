"""Quotations carry no personal data, resolve to rows, and are of the segment."""

import datetime as dt
import re

import pandas as pd
import pyarrow as pa
import pytest

from workbench.core import engine
from workbench.core.config import Config
from workbench.personas.quotes import choose_quotes, scrub

CONFIG = Config(as_of="2024-01-01", sources={"desk": {"kind": "tickets", "path": "x.csv", "record_id": "id"}}, company={"timezone": "UTC"})  # fmt: skip
LABELS = pd.Series([0] * 20 + [1] * 20, index=[f"c{i:02d}" for i in range(40)])
COMMON = set(re.findall(r"\w+", "the shelf was empty when i came please call me at or write to my order for mark is late"))


@pytest.mark.parametrize(
    "personal",
    ["ann@example.com", "ANN.LEE+x@mail.example.co.uk", "+1 (212) 555-0123", "2125550123", "4111 1111 1111 1111", "10115", "@annlee", "https://x.example/u/ann",
     "www.example.com/ann", "Thistledown", "zephyrine", "Mark", "12/05/1980", "ＡＮＮ", "Ånn", "O’Brien-Smith"],
)  # fmt: skip
def test_whatever_may_point_at_a_person_is_hidden(personal):
    for text in (f"please call me at {personal} when the shelf was empty", f"{personal} is late", f"write to {personal}, please"):
        told = scrub(text, COMMON, {"mark"})
        assert personal.lower() not in told.lower(), told
        assert "…" in told


def test_ordinary_words_stay():
    assert scrub("The shelf was empty  when I came.", COMMON, {"mark"}) == "The shelf was empty when I came."
    assert scrub("mark my order", COMMON, {"mark"}) == "mark my order"


def table(con, name, rows, **more):
    columns = ["source", "customer_id", "occurred_at", "event_type", "topic", "text", "row"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["occurred_at"] = pd.to_datetime(frame.occurred_at, utc=True).astype("datetime64[us, UTC]")
    return engine.as_table(con, pa.Table.from_pandas(frame, preserve_index=False), name)


def texts(con, count=8, text="The shelf was empty again.", moment="2023-12-01"):
    """The first `count` members of each segment write; the very first signs with name and number."""
    rows = [("desk", c, moment, "ticket", "out of stock", text, 100 + i) for i, c in enumerate(LABELS.index) if i % 20 < count]
    rows[0] = (*rows[0][:5], "Zephyrine Thistledown, 212-555-0100: the shelf was empty again.", 100)
    return table(con, "texts", rows)


def test_a_quote_is_a_row_of_the_segment_without_the_signature(con):
    quotes = choose_quotes(texts(con), LABELS, None, CONFIG)
    assert quotes.segment_id.tolist() == [0, 1]
    assert set(quotes.quote) == {"The shelf was empty again."}
    assert quotes.row.tolist() == [101, 120]
    assert quotes.customers.tolist() == [8, 8]
    assert quotes.share.tolist() == [0.4, 0.4]
    assert (quotes.ci_low < quotes.base).all()
    assert (quotes.base < quotes.ci_high).all()


def test_few_writers_later_messages_and_rare_words_give_no_quote(con):
    assert choose_quotes(texts(con, count=4), LABELS, None, CONFIG).empty
    assert choose_quotes(texts(con, moment=str(CONFIG.as_of + dt.timedelta(days=1))), LABELS, None, CONFIG).empty
    rare = [("desk", c, "2023-12-01", "ticket", "other", f"wholly{i} unheard{i} story{i} told{i}", i) for i, c in enumerate(LABELS.index)]  # fmt: skip
    assert choose_quotes(table(con, "rare", rare), LABELS, None, CONFIG).empty


def test_names_of_customers_are_hidden_though_many_write_them(con):
    rows = [("desk", c, "2023-12-01", "ticket", "staff", "Rosalind was rude to me in the shop.", i) for i, c in enumerate(LABELS.index)]  # fmt: skip
    persons = engine.as_table(con, pa.table({"given_name": ["Rosalind"], "family_name": ["Lee"]}), "persons")
    quotes = choose_quotes(table(con, "named", rows), LABELS, persons, CONFIG)
    assert set(quotes.quote) == {"… was rude to me in the shop."}
