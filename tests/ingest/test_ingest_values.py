"""Bad values and bad populations, cases 33 to 60 of the catalogue: each with a real file, its outcome and the fix that it names."""

import datetime as dt
import json
from decimal import Decimal
from types import SimpleNamespace

import pandas as pd
import pytest

from workbench.core import engine
from workbench.core.config import Config
from workbench.core.errors import InputError
from workbench.ingest import values
from workbench.ingest.cleaning import account, cleaning_log
from workbench.ingest.events import read_events, tie_to_customers
from workbench.ingest.orphans import orphan_share
from workbench.ingest.quality import check_rejects
from workbench.ingest.quarantine import set_aside, with_values, write_quarantine
from workbench.ingest.records import collect_records
from workbench.ingest.settle import settle_records
from workbench.ingest.sources import read_sources
from workbench.ingest.survivorship import collect_attributes, combine_consent

KEY = b"k" * 32
ORDER = {"type": "order", "at": "at", "order_id": "no", "amount": "amount"}
HEADER = "card,at,no,amount\n"
GOOD = "c1,2017-01-01,1,5\n"


@pytest.fixture
def ingest(con, home):
    """Texts of files and settings -> everything that ingest makes of them, up to the counts of rows."""

    def run(*, limit=1.0, company=None, as_of="2017-10-01", until=None, files=None, **sources):
        for name, text in (files or {}).items():
            (home / name).write_text(text, encoding="utf-8")
        plain = {
            "company": {"timezone": "UTC", **(company or {})},
            "as_of": as_of,
            "data_until": until,
            "sources": sources,
            "ingest": {"store": ""},
        }
        config = Config.model_validate(plain)
        opened = read_sources(con, config)
        settled = settle_records(opened, config)
        events = read_events(con, settled.sources, config)
        aside = set_aside(settled.sources, events, settled.aside)
        rows = check_rejects(opened, aside, limit)
        books = account(opened, settled, events, aside)
        assert (rows.rows == rows.accepted + rows.quarantined).all()
        assert (books.rows_in == books.rows_out + books.set_aside + books.left_out + books.merged).all()
        assert (books.rows_out >= 0).all()
        return SimpleNamespace(
            config=config, opened=opened, settled=settled, events=events, aside=aside, rows=rows, books=books,
            sound=engine.fetch(events.filter(events.reason.isnull()).order_by("source_row")),
            log=lambda: cleaning_log(settled, events, aside, collect_records(settled.sources, config, KEY)[1], config),
        )  # fmt: skip

    return run


@pytest.fixture
def orders(ingest):
    """Lines of an order file and settings of its source -> the same."""

    def run(text, event=None, header=HEADER, limit=1.0, company=None, as_of="2017-10-01", until=None, **settings):
        source = {"kind": "pos", "path": "o.csv", "record_id": "card", "events": [{**ORDER, **(event or {})}], **settings}
        return ingest(files={"o.csv": header + text}, limit=limit, company=company, as_of=as_of, until=until, pos=source)

    return run


def amounts(values_, orders, **settings):
    """Amounts as the file has them -> those read, and the reasons of the others."""
    lines = "".join(f'c1,2017-01-01,{i},"{value}"\n' for i, value in enumerate(values_))
    found = orders(lines, **settings)
    return [str(a.normalize()) if a is not None else None for a in found.sound.amount], found


def reasons(found):
    return list(found.aside[["row", "column", "reason"]].itertuples(index=False, name=None))


def refusal(run, *words, **settings):
    """Run -> the message, which has the words, the fix and at most ten lines."""
    with pytest.raises(InputError) as caught:
        run(**settings)
    message = str(caught.value)
    for word in words:
        assert word in message, message
    assert caught.value.fix
    assert len(message.splitlines()) <= 10, message
    return message


CRM = {"kind": "crm", "path": "crm.csv", "record_id": "id", "identity": {"email": "mail"}}
POS = {"kind": "pos", "path": "o.csv", "record_id": "card", "events": [ORDER]}


def with_crm(ingest, text, crm, **settings):
    return ingest(files={"crm.csv": text, "o.csv": HEADER + GOOD}, crm={**CRM, **crm}, pos=POS, **settings)


# -- 33 to 37: identifiers and texts -----------------------------------------------------------------------------------


def test_33_leading_zeros_stay(orders):
    assert orders("007,2017-01-01,0012,5\n").sound[["raw_id", "order_id"]].values.tolist() == [["007", "0012"]]


def test_34_long_numbers_keep_every_digit_beside_blanks(orders):
    found = orders("12345678901234567890123,2017-01-01,1,5\n ,2017-01-01,1,5\n12345678901234567890124,2017-01-01,1,5\n")
    assert found.sound.raw_id.tolist() == ["12345678901234567890123", "12345678901234567890124"]
    assert reasons(found) == [(2, "card", values.NO_RECORD)]


def test_35_spellings_of_one_number_are_one_record_and_counted(orders):
    found = orders('1,2017-01-01,1,5\n1.0,2017-01-01,2,5\n 1,2017-01-01,3,5\n"1",2017-01-01,4,5\n01,2017-01-01,5,5\n')
    assert found.sound.raw_id.tolist() == ["1", "1", "1", "1", "01"]
    records, _ = collect_records(found.settled.sources, found.config, KEY)
    assert records.raw_id.tolist() == ["01", "1"]
    log = found.log().set_index("rule").rows
    assert log["card: warning, different spellings became one record"] == 4


def test_36_names_that_look_like_nothing_stay(ingest):
    text = "id,mail,name\n1,,NA\n2,,None\n3,,null\n4,,n/a\n"
    found = with_crm(ingest, text, {"profile": {"name": "name"}, "missing": ["n/a"]})
    kept = collect_attributes(found.settled.sources, found.config, KEY, "profile")
    assert sorted(kept.value) == ["NA", "None", "null"]


def test_37_a_column_that_changes_its_type_is_set_aside_from_there_on(orders):
    found = orders(GOOD * 3000 + "c1,2017-01-01,1,five\n", limit=0.001)
    assert reasons(found) == [(3001, "amount", values.NOT_A_NUMBER)]


# -- 38 to 45: times ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written, fixes",
    [
        pytest.param("03/04/2024", ['events.0.at_format: "%d/%m/%Y"', '"%m/%d/%Y"'], id="38-ambiguous"),
        pytest.param("3/4/2024 10:00", ['"%d/%m/%Y %H:%M"', '"%m/%d/%Y %H:%M"'], id="38-ambiguous-with-time"),
        pytest.param("45292", ["at_format: excel_serial"], id="40-excel"),
        pytest.param("1483228800", ["at_format: epoch_s"], id="39-epoch-s"),
        pytest.param("1483228800000", ["at_format: epoch_ms"], id="39-epoch-ms"),
    ],
)
def test_38_39_40_a_column_in_another_format_stops_with_the_format_that_it_has(orders, written, fixes):
    message = refusal(lambda: orders(f"c1,{written},1,5\n" * 3, limit=0.01), 'column "at"', "first rows 1, 2, 3", *fixes)
    assert written not in message


def test_38_a_declared_format_decides(orders):
    for pattern, day in (("%d/%m/%Y", dt.date(2017, 4, 3)), ("%m/%d/%Y", dt.date(2017, 3, 4))):
        assert orders("c1,03/04/2017,1,5\n", {"at_format": pattern}).sound.occurred_at.dt.date.tolist() == [day]


def test_39_values_in_other_formats_are_set_aside(orders):
    found = orders(GOOD + "c1,1483228800,1,5\nc1,01.02.2017,1,5\nc1,,1,5\n")
    assert reasons(found) == [(2, "at", values.NOT_A_TIME), (3, "at", values.NOT_A_TIME), (4, "at", values.NO_TIME)]


@pytest.mark.parametrize(
    "format, written, utc",
    [
        ({"at_format": "excel_serial"}, "42736.5", "2017-01-01 12:00"),
        ({"at_format": "epoch_us"}, "1483228800000000", "2017-01-01 00:00"),
        ({"at_format": "hours", "since": "2017-01-01"}, "25.5", "2017-01-02 01:30"),
        ({"at_format": "days", "since": "2017-01-01"}, "1.25", "2017-01-02 06:00"),
    ],
)
def test_40_counted_times_are_read_when_declared(orders, format, written, utc):
    found = orders(f"c1,{written},1,5\nc1,x,1,5\n", format)
    assert found.sound.occurred_at.tolist() == [pd.Timestamp(utc, tz="UTC")]
    assert reasons(found) == [(2, "at", values.NOT_A_TIME)]


@pytest.mark.parametrize("written", ["2017-02-30", "2017-01-01 24:00", "2017-01-01T24:00:00Z", "0000-00-00", "2017-13-01"])
def test_41_impossible_times_are_set_aside(orders, written):
    assert reasons(orders(GOOD + f"c1,{written},1,5\n")) == [(2, "at", values.NOT_A_TIME)]


@pytest.mark.parametrize("written", ["9999-12-31", "1900-01-01", "1970-01-01", "1970-01-01T00:00:00Z", "9999-12-31 23:59:59"])
def test_42_placeholder_times_of_events_are_set_aside(orders, written):
    found = orders(GOOD + f"c1,{written},1,5\n", company={"timezone": "America/New_York"})
    assert reasons(found) == [(2, "at", values.PLACEHOLDER)]


def test_42_placeholder_first_days_and_birth_dates_are_missing_and_counted(ingest):
    text = "id,mail,since,born\n1,,1900-01-01,1900-01-01\n2,,2016-05-01,1980-02-03\n3,,9999-12-31,1970-01-01\n4,,,\n"
    found = with_crm(ingest, text, {"created_at": "since", "identity": {"email": "mail", "birth_date": "born"}})
    records, _ = collect_records(found.settled.sources, found.config, KEY)
    seen = records[records.source == "crm"].set_index("raw_id").first_seen_at
    assert seen.isna().to_dict() == {"1": True, "2": False, "3": True, "4": True}
    log = found.log().set_index("rule").rows
    assert log["since: placeholder date, made missing"] == 2
    assert log["born: placeholder date, made missing"] == 2
    assert found.aside.empty


def test_42_unreadable_first_days_are_set_aside_and_unreadable_birth_dates_stop(ingest):
    text = "id,mail,since,born\n1,,nonsense,\n2,,2016-05-01,\n"
    found = with_crm(ingest, text, {"created_at": "since"})
    assert reasons(found) == [(1, "since", values.NOT_A_TIME)]
    assert collect_records(found.settled.sources, found.config, KEY)[0].raw_id.tolist() == ["2", "c1"]
    text = "id,mail,born\n" + "1,,31.12.1980\n2,,30.11.1981\n"
    crm = {"identity": {"email": "mail", "birth_date": "born"}}
    refusal(lambda: with_crm(ingest, text, crm), '"born"', 'sources.crm.birth_date_format: "%d.%m.%Y"')


def test_43_events_after_the_export_are_set_aside_and_those_of_its_day_counted(orders):
    found = orders(GOOD + "c1,2017-10-01 12:00,1,5\nc1,2017-10-02 00:00,1,5\n")
    assert reasons(found) == [(3, "at", values.AFTER)]
    assert found.log().set_index("rule").rows["warning: less than a day after data_until, kept"] == 1
    assert orders(GOOD + "c1,2017-12-01,1,5\n", until="2018-01-01").aside.empty
    refusal(lambda: orders(GOOD + "c1,2017-12-01,1,5\n", limit=0.1), values.AFTER, "set data_until")


def test_44_zones_gap_and_overlap(orders):
    text = "".join(f"c1,{at},{i},5\n" for i, at in enumerate(
        ["2017-03-12 02:30", "2017-11-05 01:30", "2017-03-12T02:30:00Z", "2017-03-12T02:30:00+02:00"]
    ))  # fmt: skip
    found = orders(text, {"zone": "America/New_York"}, company={"timezone": ""}, until="2018-01-01")
    written = [str(at)[:16] for at in found.sound.occurred_at]
    # 02:30 is skipped, so it is 03:30; 01:30 is shown twice, so it is the later one.
    assert written == ["2017-03-12 07:30", "2017-11-05 06:30", "2017-03-12 02:30", "2017-03-12 00:30"]


@pytest.mark.parametrize("event", [{}, {"at_format": "%Y-%m-%d"}, {"at_format": "excel_serial"}])
def test_44_times_without_a_zone_stop_unless_one_is_declared(orders, event):
    message = refusal(lambda: orders(GOOD, event, company={"timezone": ""}), '"at"', "company.timezone", "company: {timezone:")
    assert "2017-01-01" not in message
    assert orders("c1,2017-01-01T00:00:00Z,1,5\n", company={"timezone": ""}).aside.empty
    assert orders("c1,1483228800,1,5\n", {"at_format": "epoch_s"}, company={"timezone": ""}).aside.empty


def test_44_first_days_without_a_zone_stop(ingest):
    text = "id,mail,since\n1,,2016-05-01\n"
    run = lambda: with_crm(ingest, text, {"created_at": "since"}, company={"timezone": ""})  # noqa: E731
    refusal(run, 'source "crm"', "the first is row 1", "company: {timezone:")


def test_45_as_of_before_all_events_stops_with_the_days_of_the_data(orders):
    refusal(lambda: orders("c1,2017-01-05,1,5\nc1,2017-02-01,2,5\n", as_of="2016-10-01"), "0 events before as_of 2016-10-01", "2017-01-05..2017-02-01", "as_of: 2017-02-01")  # fmt: skip


# -- 46 to 51: money ---------------------------------------------------------------------------------------------------


def test_46_money_as_people_write_it(orders):
    written = ["$1,234.50", "10 USD", "(25.00)", "5-", "−5", "1 234.50", "1\u00a0234.50", "1'234.50", "-$5", "USD 7"]
    read, found = amounts(written, orders)
    assert read == ["1234.5", "1E+1", "-25", "-5", "-5", "1234.5", "1234.5", "1234.5", "-5", "7"]
    assert found.aside.empty
    read, _ = amounts(["1.234,50", "12,5 €", "1 234,50", "(1.234,50)"], orders, decimal=",", company={"currency": "EUR"})
    assert read == ["1234.5", "12.5", "1234.5", "-1234.5"]


def test_46_a_decimal_comma_that_nobody_declared_stops_with_the_setting(orders):
    run = lambda: amounts(["12,5", "1,25", "7,5"], orders, limit=0.01)  # noqa: E731
    refusal(run, '"amount"', 'set sources.pos.decimal: ","')


def test_47_two_decimal_marks_in_one_column_stop(orders):
    for decimal in (".", ","):
        run = lambda d=decimal: amounts(["1.234,50"] + ["1,234.50"] * 300, orders, decimal=d)  # noqa: E731
        refusal(run, 'column "amount"', "decimal comma", "decimal point", "first is row 1", "first is row 2", "decimal")


@pytest.mark.parametrize(
    "written, settings, found",
    [
        (["5", "€5"], {}, "EUR: 1.00"),
        (["5", "5 GBP"], {}, "GBP: 1.00"),
        (["5"], {"currency": "CHF"}, "CHF: 1.00"),
        (["$5"], {"company": {"currency": "EUR"}}, "USD: 1.00"),
    ],
)
def test_48_a_currency_without_a_rate_stops(orders, written, settings, found):
    refusal(lambda: amounts(written, orders, **settings), 'source "pos"', "currency_rates", found)


def test_48_currencies_with_rates_are_converted_exactly(orders):
    company = {"currency": "EUR", "currency_rates": {"CHF": 1.05, "USD": 0.9}}
    text = "c1,2017-01-01,1,10.10,1,2,eur\nc1,2017-01-01,2,10.10,1,2,CHF\nc1,2017-01-01,3,$10,1,2,USD\nc1,2017-01-01,4,5,1,2,\n"
    event = {"currency": "currency", "discount": "off", "cost": "cost"}
    found = orders(text, event, "card,at,no,amount,off,cost,currency\n", company=company).sound
    expected = [("10.1", "1", "2"), ("10.605", "1.05", "2.1"), ("9", "0.9", "1.8"), ("5", "1", "2")]
    assert found[["amount", "discount", "cost"]].values.tolist() == [[Decimal(v) for v in row] for row in expected]
    refusal(lambda: orders("c1,2017-01-01,1,10,1,2,XYZ\n", event, "card,at,no,amount,off,cost,currency\n"), "XYZ: 1.00")
    found = orders("c1,2017-01-01,1,€5,1,2,CHF\n", event, "card,at,no,amount,off,cost,currency\n", company=company)
    assert reasons(found) == [(1, "amount", values.TWO_CURRENCIES)]
    assert amounts(["$5", "CHF 10", "€1"], orders, company=company)[0] == ["4.5", "10.5", "1"]


def test_49_negative_order_lines_are_returns(orders):
    found = orders("c1,2017-01-01,1,20\nc1,2017-01-02,2,-5\nc1,2017-01-03,3,(3.00)\n").sound
    assert list(zip(found.event_type, found.amount, strict=True)) == [("order", 20), ("return", -5), ("return", -3)]


def test_50_zero_and_huge_amounts_are_kept_and_told_with_their_row(orders):
    found = orders(GOOD + "c1,2017-01-01,1,0\nc1,2017-01-01,1,1000000000000\nc1,2017-01-01,1,0.00\n")
    assert found.rows.quarantined.tolist() == [0]
    log = found.log().set_index("rule").rows
    assert log["warning: order lines with an amount of zero, kept (first row 2)"] == 2
    assert log["warning: amounts over 1,000,000,000, kept (first row 3)"] == 1


@pytest.mark.parametrize("written", ["inf", "-Infinity", "1e400", "nan", "NaN", "1e30"])
def test_51_what_is_no_number_is_set_aside(orders, written):
    assert reasons(orders(GOOD + f"c1,2017-01-01,1,{written}\n")) == [(2, "amount", values.NOT_A_NUMBER)]


def test_51_infinite_numbers_of_a_parquet_file_are_set_aside(ingest, home):
    frame = pd.DataFrame({"card": 1.0, "at": pd.Timestamp("2017-01-01"), "no": 1, "amount": [1.5, float("inf"), None]})
    frame.to_parquet(home / "o.parquet")
    found = ingest(pos={**POS, "path": "o.parquet"})
    assert reasons(found) == [(2, "amount", values.NOT_A_NUMBER)]
    assert found.sound.raw_id.tolist() == ["1", "1"]


# -- 52 to 58: words, characters, ranges -------------------------------------------------------------------------------

CONSENT = {"consent": {"email": "news"}}


def test_52_consent_words(ingest):
    text = "id,mail,news\n1,,Y\n2,,TRUE\n3,,ja\n4,,nein\n5,,0\n6,,\n"
    run = lambda **words: with_crm(ingest, text, {**CONSENT, **words})  # noqa: E731
    refusal(run, '"news" has 2 rows', '"ja"', '"nein"', "the first is row 3", "crm: {yes_words: [ja], no_words: [nein]}")
    found = run(yes_words=["ja"], no_words=["nein"])
    said = collect_attributes(found.settled.sources, found.config, KEY, "consent")
    identities = said[["source", "record_id"]].assign(customer_id="c" + said.record_id)
    given = combine_consent(said, identities, identities, found.config.sources).set_index("customer_id").value
    assert given.to_dict() == {"c1": "yes", "c2": "yes", "c3": "yes", "c4": "no", "c5": "no"}


def test_52_personal_words_are_not_shown(ingest):
    message = refusal(lambda: with_crm(ingest, "id,mail,news\n1,,ann@x.com\n2,,+49 30 123456\n", CONSENT), '"news" has 2 rows')
    assert "ann" not in message
    assert "123456" not in message


def test_53_control_characters_go_and_are_counted(orders, ingest, home):
    found = orders("c\x001,2017-01-01,1\x07,5\n")
    assert found.sound[["raw_id", "order_id"]].values.tolist() == [["c1", "1"]]
    assert any("control character" in note for note in found.opened["pos"].notes)
    (home / "o.jsonl").write_text(json.dumps({"card": "c\x001", "at": "2017-01-01", "no": "a\tb", "amount": "5"}) + "\n")
    found = ingest(pos={**POS, "path": "o.jsonl"})
    assert found.sound[["raw_id", "order_id"]].values.tolist() == [["c1", "a\tb"]]
    assert found.log().set_index("rule").rows["control characters removed"] == 1


@pytest.mark.parametrize(
    "name",
    [
        "café",
        "cafe\u0301",
        "İstanbul",
        "Straße",
        "Ａｎｎ",
        "👩‍👩‍👧",
        "שלום",
        "a\u202eb",
        "=cmd|' /C calc'!A0",
        "<script>",
        "$$",
        "O'Brien; DROP",
    ],  # fmt: skip
)
def test_54_55_56_odd_texts_stay_as_they_are(orders, name):
    found = orders(f'c1,2017-01-01,1,5,"{name}"\n', {"item": "item"}, "card,at,no,amount,item\n")
    assert found.sound["item"].tolist() == [name]


@pytest.mark.parametrize("value", ["=cmd|' /C calc'!A0", "+1", "-1x", "@SUM(A1)", "\tx", "plain"])
def test_56_the_private_quarantine_is_safe_in_a_spreadsheet(orders, con, tmp_path, value):
    found = orders(GOOD + f'c1,"{value}",1,5\n')
    assert value not in found.aside.astype(str).to_string()
    rows = with_values(con, found.opened, found.aside)
    assert rows.value.tolist() == [value]
    write_quarantine(tmp_path / "private" / "quarantine.csv", rows)
    written = pd.read_csv(tmp_path / "private" / "quarantine.csv", dtype=str, keep_default_na=False)
    assert written.value.tolist() == [value if value == "plain" else f"'{value}"]
    assert (tmp_path / "private" / "quarantine.csv").stat().st_mode & 0o077 == 0


def test_57_scores_outside_the_scale_are_set_aside(orders):
    text = "".join(f"c1,2017-01-01,1,5,{score}\n" for score in ("0", "10", "11", "-1", "", "99"))
    found = orders(text, {"score": "nps", "score_range": [0, 10]}, "card,at,no,amount,nps\n")
    assert reasons(found) == [(row, "nps", values.OUTSIDE) for row in (3, 4, 6)]
    assert found.sound.score.dropna().tolist() == [0.0, 10.0]


def test_58_rates_that_mix_shares_and_percent_are_told(ingest):
    finance = {"kind": "finance", "path": "costs.csv", "costs": {"item": "item", "rate": "rate"}}
    files = {"costs.csv": "item,rate\nmilk,0.2\nbread,20\nsalt,0.3\nsoap,twenty\n", "o.csv": HEADER + GOOD}
    found = ingest(files=files, finance=finance, pos=POS)
    log = found.log().set_index("rule").rows
    assert log["cost rates over 1 beside rates under 1: percent or share? (first row 2)"] == 1
    assert reasons(found) == [(4, "rate", values.NOT_A_NUMBER)]


# -- 59 and 60: population ---------------------------------------------------------------------------------------------

TWICE = "id,mail,since,city\n1,,2016-01-01,Bonn\n2,,2016-01-01,Kiel\n1,,2016-05-01,Ulm\n1,,2016-03-01,Köln\n"
CITY = {"created_at": "since", "profile": {"city": "city"}}


def test_59_two_rows_of_one_record_stop(ingest):
    refusal(lambda: with_crm(ingest, TWICE, CITY), '1 values of "id"', "2 rows", "crm: {duplicates: keep_latest}")


def test_59_the_latest_row_of_a_record_counts_if_declared(ingest):
    found = with_crm(ingest, TWICE, {**CITY, "duplicates": "keep_latest"})
    kept = collect_attributes(found.settled.sources, found.config, KEY, "profile")
    assert dict(zip(kept.record_id, kept.value, strict=True)) == {"1": "Ulm", "2": "Kiel"}
    assert found.books.set_index("source").merged.to_dict() == {"crm": 2, "pos": 0}
    assert found.log().set_index("rule").rows["id: earlier rows of a record, dropped"] == 2


def test_60_events_of_strangers_are_counted_and_too_many_stop(ingest, con):
    text = "id,mail,card\n1,a@x.com,c1\n"
    crm = {"identity": {"email": "mail", "loyalty_id": "card"}}
    pos = {**POS, "identity": {"loyalty_id": "card"}}
    lines = HEADER + GOOD * 2 + "c2,2017-01-01,9,5\n" * 3
    found = ingest(files={"crm.csv": text, "o.csv": lines}, crm={**CRM, **crm}, pos=pos)
    records, _ = collect_records(found.settled.sources, found.config, KEY)
    owner = {("crm", "1"): "a", ("pos", "c1"): "a", ("pos", "c2"): "b"}
    identities = records.assign(customer_id=[owner[pair] for pair in zip(records.source, records.record_id, strict=True)])
    events = tie_to_customers(con, found.events, records, identities)
    shares = orphan_share(events, identities, found.config.sources, 0.6)
    assert shares.to_dict("records") == [{"source": "pos", "events": 5, "orphans": 3, "share": 0.6}]
    refusal(
        lambda: orphan_share(events, identities, found.config.sources, 0.5),
        'source "pos"', "3 of 5 events (60.0%)", "ingest.max_orphan_share",
    )  # fmt: skip


# -- what else an event may say ----------------------------------------------------------------------------------------


def test_repeats_of_an_event_count_once(orders):
    text = (
        "c1,2017-01-01,1,5,e1\nc1,2017-01-01,1,6,e1\nc1,2017-01-01,1,7,\nc1,2017-01-01,1,8,\nc1,x,1,9,e2\nc1,2017-01-01,1,9,e2\n"
    )
    found = orders(text, {"event_id": "id"}, "card,at,no,amount,id\n")
    assert found.sound.amount.tolist() == [5, 7, 8, 9]
    assert reasons(found) == [(5, "at", values.NOT_A_TIME)]
    assert found.books[["rows_out", "set_aside", "merged"]].values.tolist() == [[4, 1, 1]]


def test_how_long_an_event_lasted(orders):
    text = "c1,2017-01-01 10:00,1,5,2017-01-01 11:30\nc1,2017-01-01 10:00,1,5,\nc1,2017-01-01 10:00,1,5,2017-01-01 09:00\nc1,2017-01-01,1,5,x\n"
    found = orders(text, {"ends_at": "end"}, "card,at,no,amount,end\n")
    assert found.sound.duration_hours.fillna(-1).tolist() == [1.5, -1]
    assert reasons(found) == [(3, "end", values.ENDS_EARLY), (4, "end", values.NOT_A_TIME)]


def test_rows_with_other_words_are_listed_and_never_lost(orders):
    event = {"type": {"column": "what", "values": {"buy": "order"}}}
    text = (
        "c1,2017-01-01,1,5,buy\nc1,2017-01-01,1,5,look\nc1,2017-01-01,1,5,look\nc1,2017-01-01,1,5,ann@x.com\nc1,2017-01-01,1,5,\n"
    )
    found = orders(text, event, "card,at,no,amount,what\n")
    assert found.books[["rows_in", "rows_out", "left_out"]].values.tolist() == [[5, 1, 4]]
    log = found.log().set_index("rule").rows
    assert log['what is "look", no event: left out'] == 2
    assert log["what is another word, no event: left out"] == 1
    assert log["what is empty, no event: left out"] == 1
    assert not found.log().astype(str).apply(lambda c: c.str.contains("ann")).any().any()


MAILINGS = "mail,sent,opened,clicked\na@x.de,2017-01-01,2017-01-02,1\nb@x.de,2017-01-01,,0\nc@x.de,2017-01-01, ,0\nd@x.de,2017-01-01,soon,1\n"
SENT = {"type": "email_sent", "at": "sent"}
CLICKED = {"type": "email_click", "at": "sent", "where": {"column": "clicked", "values": ["1"]}}


def newsletters(ingest, opened, limit=1.0):
    mail = {"kind": "email", "path": "m.csv", "record_id": "mail", "events": [SENT, opened, CLICKED]}
    return ingest(files={"m.csv": MAILINGS}, limit=limit, mail=mail)


def test_a_row_per_mailing_tells_what_came_of_it_and_empty_cells_tell_nothing(ingest):
    found = newsletters(ingest, {"type": "email_open", "at": "opened", "where": {"column": "opened"}})
    assert found.sound.event_type.value_counts().to_dict() == {"email_sent": 4, "email_click": 2, "email_open": 1}
    assert reasons(found) == [(4, "opened", values.NOT_A_TIME)]
    assert found.log().set_index("rule").rows["opened is empty, no email_open: left out"] == 2


def test_a_time_that_is_empty_because_nothing_happened_has_a_fix(ingest):
    refusal(lambda: newsletters(ingest, {"type": "email_open", "at": "opened"}, limit=0.1), 'where: {column: "opened"}')


def test_the_cleaning_log_shows_shapes_and_never_values(ingest):
    text = "id,mail,phone\n1,Ann@X.com,(212) 555-0123\n2,junk,2125550199\n"
    found = with_crm(ingest, text, {"identity": {"email": "mail", "phone": "phone"}})
    log = found.log().set_index("rule")
    assert log.loc["phone: one spelling", ["rows", "before", "after"]].tolist() == [2, "(999) 999-9999", "+99999999999"]
    assert log.loc["email: one spelling", ["before", "after"]].tolist() == ["Aaa at A.aaa", "aaa at a.aaa"]
    assert log.rows["email: no valid value or a placeholder, made missing"] == 1
    for secret in ("555", "Ann", "ann", "junk"):
        assert secret not in found.log().to_string()
