"""`workbench init`: drafts that run as they are, the right columns guessed, doubts said, no value of anybody's data told."""

import datetime as dt
import os
import random
import re
import sqlite3
import stat
import string
import tempfile
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.config import load_config
from workbench.core.errors import InputError, ParameterError, WorkbenchError
from workbench.ingest.checking import check_configuration
from workbench.ingest.draft import draft_configuration
from workbench.ingest.draft.columns import fold, look_at
from workbench.ingest.draft.history import Facts, plan_time
from workbench.ingest.draft.words import event_word

TODAY = dt.date(2026, 1, 1)


def order_rows(count: int = 900, customers: int = 60, most_day: int = 31) -> list[tuple[int, dt.datetime, int, float]]:
    """Customer, moment, order number, amount; two years, in the order of time."""
    dice = random.Random(3)
    moments = [dt.datetime(2023, 1, 2) + dt.timedelta(minutes=dice.randrange(720 * 1440)) for _ in range(count)]
    rows = [(dice.randrange(customers), m.replace(day=min(m.day, most_day)), dice.uniform(5, 2000)) for m in moments]
    return [(who, when, 70_000 + n, round(much, 2)) for n, (who, when, much) in enumerate(sorted(rows, key=lambda r: r[1]))]


def german(amount: float) -> str:
    return f"{amount:,.2f}".translate(str.maketrans(",.", ".,"))


ROWS = order_rows()
GERMAN = "cust_no;bestelldatum;bestellnr;betrag\n" + "".join(f"K{c:04d};{t:%d.%m.%Y};{o};{german(a)}\n" for c, t, o, a in ROWS)
EPOCH = "user,ts,total\n" + "".join(f"u{c},{int(t.timestamp())},{a}\n" for c, t, _, a in ROWS)
AMERICAN = "Customer ID,Order Date,Order #,Net\n" + "".join(f"{c},{t:%m/%d/%Y},{o},{a}\n" for c, t, o, a in ROWS)
TITLED = "Export of all orders\n\nKundennr\tKaufdatum\tBelegnr\tUmsatz\tE-Mail\n" + "".join(
    f"{c:06d}\t{t:%Y-%m-%d %H:%M}\t{o}\t{german(a)} €\tkunde{c}@example.org\n" for c, t, o, a in ROWS
)
DAY_FIRST = "client;date_achat;total\n" + "".join(f"C{c};{t:%d/%m/%Y};{a}\n" for c, t, _, a in ROWS)


def drafted(home: Path, name: str, content: str | bytes, **more) -> dict:
    """A file's content -> the drafted source as plain values, after `load_config` and `check` found nothing."""
    (home / name).write_bytes(content.encode() if isinstance(content, str) else content)
    draft_configuration([str(home / name)], "my.yaml", TODAY)
    return sound(home)[0]


def sound(home: Path) -> list[dict]:
    config = load_config(home / "my.yaml")
    checked = check_configuration(str(home / "my.yaml"))
    problems = [p.fault for p in checked.problems if "no source declares events" not in p.fault.what]  # init says so itself
    assert not problems, [str(fault) for fault in problems]
    return [source.model_dump() for source in config.sources.values()]


@pytest.mark.parametrize(
    "content, key, at, form, order, amount, decimal",
    [
        (GERMAN, "cust_no", "bestelldatum", "%d.%m.%Y", "bestellnr", "betrag", ","),
        (EPOCH, "user", "ts", "epoch_s", None, "total", "."),
        (AMERICAN, "Customer ID", "Order Date", "%m/%d/%Y", "Order #", "Net", "."),
        (TITLED.encode("utf-16"), "Kundennr", "Kaufdatum", "iso", "Belegnr", "Umsatz", ","),
        (DAY_FIRST, "client", "date_achat", "%d/%m/%Y", None, "total", "."),
    ],
)
def test_a_bare_table_of_orders_needs_no_edit(home, content, key, at, form, order, amount, decimal):
    source = drafted(home, "orders.csv", content)
    assert source["kind"] == "pos"
    assert source["record_id"] == key
    assert source["decimal"] == decimal
    (events,) = source["events"]
    assert (events["type"], events["at"], events["at_format"]) == ("order", at, form)
    assert (events["order_id"], events["amount"]) == (order, amount)
    assert source["identity"]["customer_number"] == key


def test_the_plan_of_time_leaves_a_horizon_and_two_windows(home):
    drafted(home, "orders.csv", GERMAN)
    config = load_config(home / "my.yaml")
    first, last = min(r[1] for r in ROWS).date(), max(r[1] for r in ROWS).date()
    assert config.data_until == last + dt.timedelta(days=1)
    assert config.as_of.day == 1
    assert config.as_of + dt.timedelta(days=config.features.horizon_days) <= config.data_until
    assert (config.as_of - first).days >= config.features.window_days + config.features.horizon_days


@pytest.mark.parametrize("days", [1, 9, 30, 45, 100, 200, 366, 500, 2000])
def test_any_history_gives_settings_that_are_legal_and_short_ones_are_told(days):
    start = dt.date(2020, 1, 1)
    facts = Facts(order_days=Counter(dict.fromkeys((start + dt.timedelta(days=n) for n in range(days)), 3)))
    plan, missing = plan_time([facts], TODAY)
    window, horizon = (plan["features"][name].value for name in ("window_days", "horizon_days"))
    assert window >= 14
    assert horizon >= 7
    assert plan["as_of"].value < plan["data_until"].value
    fits = (plan["as_of"].value - start).days >= window + horizon
    assert fits or missing


def test_strays_do_not_move_the_plan_of_time(home):
    facts = Facts()
    facts.order_days.update({dt.date(2024, 1, 1) + dt.timedelta(days=n): 100 for n in range(400)})
    facts.order_days.update({dt.date(1970, 1, 1): 1, dt.date(1999, 9, 9): 1, dt.date(2099, 12, 31): 1})
    plan, _ = plan_time([facts], TODAY)
    assert plan["data_until"].value == dt.date(2025, 2, 4)


# -- doubt is said -----------------------------------------------------------------------------------------------------


def lines_of(home: Path, setting: str) -> list[str]:
    return [
        line for line in (home / "my.yaml").read_text().splitlines() if line.strip().removeprefix("- ").startswith(f"{setting}:")
    ]


def test_a_date_that_fits_both_ways_is_said_to_be_open(home):
    rows = order_rows(most_day=12)
    random.Random(1).shuffle(rows)
    drafted(home, "orders.csv", "customer,date,total\n" + "".join(f"c{c},{t:%d/%m/%Y},{a}\n" for c, t, _, a in rows))
    assert "# GUESS, check: day first or month first?" in lines_of(home, "at_format")[0]
    assert "at_format" in (home / "my.yaml").read_text().split("Check first:")[1].split("Then:")[0]


def test_one_value_far_down_decides_a_date(home):
    rows = sorted(order_rows(4000, most_day=12), key=lambda r: r[1].day)
    lines = [f"c{c},{t:%d/%m/%Y},{a}\n" for c, t, _, a in rows]
    lines.insert(3500, "c1,25/06/2024,3.50\n")
    source = drafted(home, "orders.csv", "customer,date,total\n" + "".join(lines))
    assert source["events"][0]["at_format"] == "%d/%m/%Y"
    assert "decides" in lines_of(home, "at_format")[0]
    assert "GUESS" not in lines_of(home, "at_format")[0]


def test_naive_times_make_the_zone_a_question_and_offsets_answer_it(home):
    drafted(home, "orders.csv", "customer,when,total\n" + "".join(f"c{c},{t:%Y-%m-%d %H:%M:%S},{a}\n" for c, t, _, a in ROWS))
    assert "GUESS, check" in lines_of(home, "timezone")[0]
    (home / "my.yaml").unlink()
    with_offset = "".join(f"c{c},{t.isoformat()}{'+02:00' if 3 < t.month < 11 else '+01:00'},{a}\n" for c, t, _, a in ROWS)
    drafted(home, "orders.csv", "customer,when,total\n" + with_offset)
    assert lines_of(home, "timezone")[0].startswith("  timezone: Europe/Berlin  # guess: times carry +01:00 and +02:00")


def test_the_price_of_one_piece_is_asked_about(home):
    text = "InvoiceNo,StockCode,Quantity,InvoiceDate,UnitPrice,CustomerID\n"
    text += "".join(
        f"{o},{o % 90}A,{o % 7 + 1},{t.month}/{t.day}/{t.year} {t.hour}:{t.minute:02d},{a},{c}\n" for c, t, o, a in ROWS
    )
    source = drafted(home, "retail.csv", text)
    (events,) = source["events"]
    assert (events["amount"], events["quantity"], events["item"], events["order_id"]) == (
        "UnitPrice",
        "Quantity",
        "StockCode",
        "InvoiceNo",
    )
    assert "GUESS, check: is this the price of one piece?" in lines_of(home, "amount")[0]


def test_every_word_of_a_type_column_is_listed_also_a_rare_one(home):
    words = ["open", "click", "delivered", "Weiterempfohlen"]
    lines = [
        f"p{n % 80}@example.com,{words[0 if n < 5000 else n % 4]},2024-0{n % 9 + 1}-1{n % 9}T10:00:00Z\n" for n in range(5400)
    ]
    source = drafted(home, "newsletter.csv", "recipient,event,at\n" + "".join(lines))
    assert source["kind"] == "email"
    assert source["events"][0]["type"]["values"] == {
        "open": "email_open", "click": "email_click", "delivered": "email_delivered", "Weiterempfohlen": "weiterempfohlen",
    }  # fmt: skip
    assert "a word of yours" in (home / "my.yaml").read_text()


def test_people_with_consent_and_german_words(home):
    dice, lines = random.Random(5), []
    for n in range(200):
        who = f"Vor{string.ascii_lowercase[n % 26]}{string.ascii_lowercase[n // 26]}"
        lines.append(
            f"{n + 500};{who};Nach{who.lower()};{who.lower()}@example.de;+49 30 {2_000_000 + n * 37};{dice.choice(['ja', 'nein', 'unklar'])};"
            f"{dt.date(1960, 1, 1) + dt.timedelta(days=91 * n):%d.%m.%Y};{10_000 + n};{dice.choice(['Gold', 'Silber'])};2023-01-0{n % 9 + 1};{n % 3 + 1}.50\n"
        )
    head = "Kundennummer;Vorname;Nachname;E-Mail;Telefon;Werbeeinwilligung;Geburtsdatum;PLZ;Stufe;Angelegt am;Xyz\n"
    source = drafted(home, "kunden.csv", (head + "".join(lines)).encode("cp1252"))
    assert source["kind"] == "crm"
    assert source["record_id"] == "Kundennummer"
    assert source["created_at"] == "Angelegt am"
    assert source["birth_date_format"] == "%d.%m.%Y"
    assert source["identity"] == {
        "email": "E-Mail", "phone": "Telefon", "birth_date": "Geburtsdatum", "given_name": "Vorname", "family_name": "Nachname",
        "postcode": "PLZ", "customer_number": "Kundennummer",
    }  # fmt: skip
    assert source["profile"]["stufe"] == "Stufe"
    assert list(source["consent"].values()) == ["Werbeeinwilligung"]
    assert (source["yes_words"], source["no_words"], source["missing"]) == (("ja",), ("nein",), ("unklar",))
    assert lines_of(home, "region")[0].startswith("  region: DE  # guess: 100 %")


# -- files of every kind -----------------------------------------------------------------------------------------------


def test_formats_folders_patterns_and_databases(home):
    frame = pd.DataFrame(
        {"customer_id": [f"c{r[0]}" for r in ROWS], "ordered_at": [r[1] for r in ROWS], "amount": [r[3] for r in ROWS]}
    )
    (home / "exports").mkdir()
    frame[:400].to_csv(home / "exports" / "orders_2023.csv", index=False)
    frame[400:].to_csv(home / "exports" / "orders_2024.csv", index=False)
    frame.to_parquet(home / "sales.parquet")
    frame.head(300).to_excel(home / "verkauf.xlsx", index=False)
    with (home / "log.json").open("w") as file:
        file.writelines(f'{{"user": {{"id": "c{r[0]}"}}, "event": "page_view", "at": "{r[1].isoformat()}Z"}}\n' for r in ROWS)
    with sqlite3.connect(home / "shop.db") as base:
        frame.assign(ordered_at=frame.ordered_at.astype(str)).to_sql("orders", base, index=False)
        base.execute("CREATE TABLE empty_one (id TEXT)")
    base.close()
    draft = draft_configuration(
        [str(home / n) for n in ("exports", "sales.parquet", "verkauf.xlsx", "log.json", "shop.db")], "my.yaml", TODAY
    )
    found = {s["path"] or s["database"]["table"]: s for s in sound(home)}
    assert set(found) == {"exports/orders_*.csv", "sales.parquet", "verkauf.xlsx", "log.json", "orders"}
    assert found["log.json"]["format"] == "jsonl"
    assert found["log.json"]["record_id"] == "user.id"
    assert found["orders"]["database"] == {"url": "sqlite:///shop.db", "table": "orders"}
    assert all(s["events"][0]["amount"] == "amount" for s in found.values() if s["kind"] == "pos")
    assert next(r for r in draft.table if r["file"] == "exports/orders_*.csv")["rows"] == "900"


def test_what_is_no_table_of_customers_is_left_out_and_told(home):
    (home / "data").mkdir()
    (home / "data" / "orders.csv").write_text(GERMAN)
    (home / "data" / "words.csv").write_text("a,b\n" + "".join(f"{n % 3},{n % 5}\n" for n in range(50)))
    (home / "data" / "page.csv").write_text("<html><body>log in</body></html>")
    draft = draft_configuration([str(home / "data")], "my.yaml", TODAY)
    text = (home / "my.yaml").read_text()
    assert "left out: data/words.csv" in text
    assert "left out: data/page.csv is a web page" in text
    assert len(load_config(home / "my.yaml").sources) == 1
    assert len(draft.left_out) == 1


def test_columns_that_mean_nothing_here_stand_below_their_source(home):
    drafted(
        home,
        "orders.csv",
        GERMAN.replace("betrag\n", "betrag;shelf_x\n", 1).replace("\n", ";77\n").replace("shelf_x;77", "shelf_x"),
    )
    assert "# not understood, left out: shelf_x (1 different values)" in (home / "my.yaml").read_text()


# -- promises ----------------------------------------------------------------------------------------------------------


def test_the_head_says_how_to_go_on_and_the_key_is_secret(home):
    drafted(home, "orders.csv", GERMAN)
    text = (home / "my.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=")
    assert "`workbench check my.yaml`" in text
    assert "`workbench run my.yaml`" in text
    key = home / "my.key"
    assert stat.S_IMODE(os.stat(key).st_mode) == 0o600
    assert re.fullmatch("[0-9a-f]{64}\n", key.read_text())
    before = key.read_text()
    (home / "my.yaml").unlink()
    draft_configuration([str(home / "orders.csv")], "my.yaml", TODAY)
    assert key.read_text() == before


def test_nothing_is_overwritten_and_nothing_is_written_for_bad_input(home):
    (home / "orders.csv").write_text(GERMAN)
    (home / "my.yaml").write_text("mine")
    with pytest.raises(ParameterError, match="exists already") as caught:
        draft_configuration([str(home / "orders.csv")], "my.yaml")
    assert "-o" in caught.value.fix
    assert (home / "my.yaml").read_text() == "mine"
    for content, said in (
        (b"", "0 bytes"), (b"a,b\n", "no rows"), (b"<html></html>", "web page"), (b"%PDF-1.7", "PDF"), (b"\xd0\xcf\x11\xe0....", "old Excel"),
        (b"A,a\n1,2\n", "two columns of the same name"), (b"1,2\n3,4\n", "no header"), (b'[{"a": 1}]', "JSON array"), (b"a,b\n1,2\n", "nothing in it says"),
    ):  # fmt: skip
        (home / "bad.csv").write_bytes(content)
        with pytest.raises(InputError, match=said):
            draft_configuration([str(home / "bad.csv")], "other.yaml")
    with pytest.raises(InputError, match="orders.csv"):
        draft_configuration([str(home / "order.csv")], "other.yaml")
    assert not (home / "other.yaml").exists()
    assert not (home / "other.key").exists()


def test_no_value_of_a_person_stands_in_the_draft(small_demo, monkeypatch):
    monkeypatch.setenv("WORKBENCH_HOME", str(small_demo))
    text = demo_draft(small_demo)
    members = pd.read_csv(small_demo / "data/demo/loyalty/members.csv", dtype="str")
    contacts = pd.read_csv(small_demo / "data/demo/crm/contacts.csv", dtype="str", encoding="cp1252")
    personal = {
        *members.email.dropna(),
        *members.phone.dropna(),
        *members.card_number,
        *contacts.street.dropna(),
        *contacts.birth_date.dropna(),
    }
    words = set(re.findall(r"\w+", text))
    assert not {v for v in personal if v in text}
    assert not (set(members.last_name.dropna()) | set(contacts.city.dropna())) & words


def demo_draft(home: Path) -> str:
    if not (home / "drafted.yaml").exists():
        draft_configuration([str(home / "data/demo")], "drafted.yaml", TODAY)
    return (home / "drafted.yaml").read_text()


def test_the_demo_company_is_understood_without_an_edit(small_demo, monkeypatch):
    monkeypatch.setenv("WORKBENCH_HOME", str(small_demo))
    demo_draft(small_demo)
    mine = load_config(small_demo / "drafted.yaml")
    theirs = load_config(Path(__file__).parents[2] / "configs" / "grocer.yaml")
    assert set(mine.sources) == set(theirs.sources)
    for name, source in theirs.sources.items():
        drafted_source = mine.sources[name]
        assert drafted_source.kind == source.kind
        assert drafted_source.record_id == source.record_id
        assert drafted_source.identity == source.identity, name
        assert drafted_source.decimal == source.decimal
        # What a survey asked besides its score is not guessed.
        described = [events for events in source.events if events.type != "survey_answer"]
        for wanted, got in zip(described, drafted_source.events, strict=True):
            assert (got.at, got.at_format, got.type) == (wanted.at, wanted.at_format, wanted.type)
            assert (got.amount, got.cost, got.item, got.quantity, got.discount) == (
                wanted.amount,
                wanted.cost,
                wanted.item,
                wanted.quantity,
                wanted.discount,
            )
            assert (got.campaign_id, got.topic, got.score, got.channel) == (
                wanted.campaign_id,
                wanted.topic,
                wanted.score,
                wanted.channel,
            ) or name in ("pos", "marketing")
    assert not check_configuration(str(small_demo / "drafted.yaml")).problems


# -- parts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, folded",
    [
        ("Bestell-Nr.", "bestell nr"),
        ("orderNo", "order no"),
        ("Order #", "order nr"),
        ("user.email", "user email"),
        ("Straße", "strasse"),
        ("CustomerID", "customer id"),
    ],
)
def test_names_are_folded_to_words(name, folded):
    assert fold(name) == folded


@pytest.mark.parametrize(
    "values, pattern, rival",
    [
        (["2024-03-04", "2024-12-31"], "iso", ""), (["2024-03-04T05:06:07Z"], "iso", ""), (["03/04/2024", "05/06/2024"], "%d/%m/%Y", "%m/%d/%Y"),
        (["03/25/2024", "05/06/2024"], "%m/%d/%Y", ""), (["25.03.24 14:05"], "%d.%m.%y %H:%M", ""), (["3/25/2024 2:05 PM"], "%m/%d/%Y %I:%M %p", ""),
        (["1700000000000", "1700000100000"], "epoch_ms", ""), (["20240304", "20240305", "20240306", "20240307"], "%Y%m%d", ""), (["3 Mar 2024"], "%d %b %Y", ""),
    ],
)  # fmt: skip
def test_how_times_are_written(values, pattern, rival):
    time = look_at("ordered at", values).time
    assert (time.pattern, time.rival) == (pattern, rival)


def test_numbers_that_are_no_times_and_phones_that_are_no_numbers():
    assert look_at("product_id", [str(n) for n in range(1_000_000_000, 1_000_000_050)]).time is None
    assert look_at("zip", ["45013", "45044", "45036"]).time is None
    assert look_at("phone", ["+49 30 1234567", "030/1234567"]).is_mostly("phone numbers")
    assert not look_at("card", ["0000000304", "0000000480"]).is_mostly("formatted phone numbers")


def test_words_for_what_happened():
    assert event_word("Sign-In", "web") == ("login", True)
    assert event_word("sent", "email") == ("email_sent", True)
    assert event_word("sent", "marketing_automation") == ("campaign_sent", True)
    assert event_word("Foo Bar!", "web") == ("foo_bar", False)


cells = st.one_of(
    st.from_regex(r"[A-Za-zäöüß]{1,8}", fullmatch=True), st.integers(-10, 10**12).map(str), st.floats(0, 1e6).map(lambda x: f"{x:.2f}"),
    st.dates(dt.date(1999, 1, 1), dt.date(2030, 1, 1)).map(str), st.just(""), st.sampled_from(["yes", "no", "a@b.example", "12,50", "03/04/2024", "null", "~", "#", "x: y", "'", "- a"]),
)  # fmt: skip
names = st.text(st.characters(codec="utf-8", exclude_characters='\r\n\0",;\t|^:'), min_size=1, max_size=14).filter(
    lambda t: t.strip()
)


likely = st.sampled_from(
    [
        "id",
        "customer_id",
        "Kunde #",
        "E-Mail",
        "phone",
        "Datum",
        "created at",
        "total",
        "betrag",
        "event",
        "type",
        "consent: mail",
        "plz",
        "nps",
        "order-no",
        "menge",
    ]
)


@settings(max_examples=60)
@given(st.lists(st.one_of(names, likely), min_size=1, max_size=7, unique_by=str.casefold), st.data())
def test_any_table_gives_a_sound_draft_or_a_clean_refusal(columns, data):
    rows = data.draw(st.lists(st.lists(cells, min_size=len(columns), max_size=len(columns)), min_size=1, max_size=8))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_HOME", folder)
        path = Path(folder) / "any.csv"
        text = "\n".join([",".join(columns), *(",".join(f'"{cell}"' for cell in row) for row in rows)])
        path.write_text(text + "\n", encoding="utf-8")
        refused = None
        try:
            draft_configuration([str(path)], "my.yaml", TODAY)
        except WorkbenchError as fault:
            refused = fault
        if refused:
            assert refused.exit_code in (2, 3)
            assert not (Path(folder) / "my.yaml").exists()
        else:
            assert load_config(Path(folder) / "my.yaml").sources


def test_a_newsletter_with_a_row_per_mailing_is_drafted_with_what_came_of_it(home):
    day = dt.datetime(2024, 1, 1)
    lines = [
        f"p{n % 90}@example.com,{day + dt.timedelta(hours=n)},{day + dt.timedelta(hours=n + 3) if n % 3 == 0 else ''},"
        f"{int(n % 9 == 0)},{day + dt.timedelta(hours=n + 4) if n % 200 == 0 else ''},NL{n % 7}\n"
        for n in range(900)
    ]
    source = drafted(home, "newsletter.csv", "email,sent_at,opened_at,clicked,unsubscribed_at,mailing\n" + "".join(lines))
    assert (source["kind"], source["record_id"]) == ("email", "email")
    found = {e["type"]: (e["at"], e["where"] and (e["where"]["column"], e["where"]["values"])) for e in source["events"]}
    assert found == {
        "email_delivered": ("sent_at", None),  # nothing says that one came back
        "email_open": ("opened_at", ("opened_at", ())),
        "email_click": ("sent_at", ("clicked", ("1",))),
        "email_unsubscribe": ("unsubscribed_at", ("unsubscribed_at", ())),
    }
    assert {e["campaign_id"] for e in source["events"]} == {"mailing"}
    assert "no time that can be read" not in (home / "my.yaml").read_text()


@pytest.mark.parametrize("head", [",customer_id,email", ",customer_id,email,first_name,city,note"])
def test_a_column_without_a_name_is_said_with_what_to_do(home, head):
    """A data frame's index without a name: the column is the fault, not the whole table."""
    (home / "customers.csv").write_text(
        f"{head}\n" + "".join(f"{n},K{n},p{n}@example.com{',x' * (head.count(',') - 2)}\n" for n in range(90))
    )
    with pytest.raises(InputError, match=r"without a name that holds values \(column 1\) – give the column a name"):
        draft_configuration([str(home / "customers.csv")], "my.yaml", TODAY)


def test_a_draft_takes_nobody_elses_goals(home):
    drafted(home, "orders.csv", GERMAN)
    assert load_config(home / "my.yaml").kpis.targets == ""


def test_a_number_with_gaps_is_no_key_where_an_address_is_always_there(home):
    """Rows without a key are set aside, and a run stops at too many; guests have no customer number."""
    lines = [f"{f'K{n:04d}' if n % 10 else ''},p{n}@example.com,Ann{n},Lee\n" for n in range(400)]
    source = drafted(home, "customers.csv", "customer_no,email,first_name,last_name\n" + "".join(lines))
    assert source["record_id"] == "email"
    assert source["identity"]["customer_number"] == "customer_no"


def test_a_key_with_gaps_and_no_rival_is_said_to_be_open(home):
    rows = "".join(f"{f'K{c:04d}' if n % 20 else ''},{t:%Y-%m-%d},{a}\n" for n, (c, t, _, a) in enumerate(ROWS))
    (home / "orders.csv").write_text("customer_no,order_date,total\n" + rows)
    draft_configuration([str(home / "orders.csv")], "my.yaml", TODAY)
    assert "GUESS, check: only 95 % of rows have a value" in lines_of(home, "record_id")[0]


def test_who_refused_is_never_drafted_as_a_consent(home):
    """Read as a consent, 1 in "unsubscribed" would be a yes: such columns are left out, said, and describe nobody."""
    lines = [f"{n},p{n}@example.com,{n % 2},{n % 3 % 2},{'yes' if n % 5 else 'no'},{n % 2}\n" for n in range(300)]
    head = "customer_id,email,email_opt_out,newsletter_abgemeldet,newsletter_consent,do_not_mail\n"
    source = drafted(home, "customers.csv", (head + "".join(lines)).encode())
    assert list(source["consent"].values()) == ["newsletter_consent"]
    assert not {"email_opt_out", "newsletter_abgemeldet", "do_not_mail"} & set(source.get("profile", {}).values())
    assert "says who refused" in (home / "my.yaml").read_text()
