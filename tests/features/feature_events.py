"""Events of a company small enough to work its features out by hand, and ways to generate others."""

from __future__ import annotations

import datetime as dt
import functools
from decimal import Decimal

import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st

from workbench.core.config import Engine, FeatureSettings
from workbench.core.engine import as_table, connect
from workbench.features.purchases import kept_orders
from workbench.features.window import Window

MONEY = ("quantity", "amount", "discount", "cost")
SCHEMA = pa.schema(
    [
        ("customer_id", pa.string()), ("customer_number", pa.int64()), ("occurred_at", pa.timestamp("us", "UTC")), ("source", pa.string()), ("channel", pa.string()),
        ("event_type", pa.string()), ("order_id", pa.string()), ("item", pa.string()), ("category", pa.string()),
        ("subcategory", pa.string()), *[(name, pa.decimal128(18, 4)) for name in MONEY], ("campaign_id", pa.string()),
        ("topic", pa.string()), ("score", pa.float64()), ("own_brand", pa.bool_()), ("machine", pa.bool_()),
        ("duration_hours", pa.float64()),
    ]
)  # fmt: skip

ZONE = "Europe/Berlin"
AS_OF = dt.date(2024, 4, 15)
# Summer time began on 31 March, inside this window; the window begins at 2024-03-03T23:00Z and ends at 2024-04-14T22:00Z.
WINDOW = Window(AS_OF, 42, ZONE)
SETTINGS = FeatureSettings(window_days=42, horizon_days=30)


def event(customer, at, kind, **more):
    """One event; `at` is text in UTC or a moment."""
    moment = dt.datetime.fromisoformat(at).replace(tzinfo=dt.UTC) if isinstance(at, str) else at
    fixed = {"customer_id": customer, "occurred_at": moment, "event_type": kind, "source": "s", "channel": "store"}
    row = dict.fromkeys(SCHEMA.names) | fixed | {"own_brand": False, "machine": False} | more
    return row | {name: None if row[name] is None else Decimal(str(row[name])) for name in MONEY}


def order(customer, at, order_id, amount, category=None, **more):
    """One order line."""
    return event(customer, at, "order", order_id=order_id, amount=amount, category=category, **more)


COMPANY = [
    # The window's first moment: Monday 00:00 in Berlin, 42 days before as_of.
    order("a", "2024-03-03T23:00", "o1", 30, "X", discount=10),
    order("a", "2024-03-03T23:00", "o1", 10, "Y", discount=0),
    # Saturday 23:30 before the change to summer time, 16 days before.
    order("a", "2024-03-30T22:30", "o2", 20, "X"),
    # Monday 05:30 after the change, 14 days before.
    order("a", "2024-04-01T03:30", "o3", 40, "Y", own_brand=True),
    # Sunday 23:59, the window's last minute.
    order("a", "2024-04-14T21:59", "o4", 100, "X"),
    event("a", "2024-04-05T10:00", "return", order_id="r1", amount=-20, category="X"),
    # Wednesday 12:00, 5 days before.
    order("b", "2024-04-10T10:00", "o5", 60, "X"),
    # Outside: a minute before the window, and the moment it ends.
    order("a", "2024-03-03T22:59", "o0", 999, "Z", discount=99),
    order("a", "2024-04-14T22:00", "o9", 999, "Z", discount=99),
    *[event("a", f"2024-04-0{day}T08:00", "email_delivered", channel="email") for day in (2, 3, 4, 5)],
    *[event("a", f"2024-04-0{day}T09:00", "email_open", channel="email") for day in (2, 3)],
    *[event("a", f"2024-04-0{day}T08:01", "email_open", channel="email", machine=True) for day in (2, 3, 4)],
    event("a", "2024-04-02T09:01", "email_click", channel="email"),
    *[event("e", f"2024-04-0{day}T08:00", "email_delivered", channel="email") for day in (1, 2, 3, 4, 5, 6)],
    # b opens in the window an e-mail that was delivered before it.
    event("b", "2024-03-01T08:00", "email_delivered", channel="email"),
    event("b", "2024-03-06T08:00", "email_open", channel="email"),
    event("a", "2024-04-02T10:00", "page_view", channel="web"),
    event("a", "2024-04-02T10:01", "page_view", channel="web"),
    event("a", "2024-03-10T10:00", "survey", score=3.0),
    event("a", "2024-04-10T10:00", "survey", score=9.0),
    event(None, "2024-04-10T10:00", "page_view", channel="web"),
]  # fmt: skip


@functools.cache
def engine():
    """One engine for all tests."""
    return connect(Engine())


def numbered(rows):
    """Rows -> Arrow table in which customers have numbers in the order of their ids, as ingest gives them."""
    rows = list(rows)
    numbers = {customer: n for n, customer in enumerate(sorted({row["customer_id"] for row in rows} - {None}))}
    return pa.Table.from_pylist([row | {"customer_number": numbers.get(row["customer_id"])} for row in rows], schema=SCHEMA)


def table(rows):
    """Rows -> events on the engine."""
    return as_table(engine(), numbered(rows), "hand_made")


def inside(rows, window=WINDOW):
    """Rows -> events in a window and their orders."""
    happened = window.events(table(rows))
    return happened, kept_orders(happened, window)


@st.composite
def generated_orders(draw, first_day, last_day, orders=12, customers="abcd", tag="g"):
    """Orders and returns of a few customers, `first_day` to `last_day` days before as_of (negative: after it)."""
    end = WINDOW.end
    minutes = st.integers(-first_day * 1440, -last_day * 1440 - 1)
    cents = st.integers(1, 30_000)
    line = st.tuples(st.sampled_from(["X", "Y", "Z", None]), cents, st.integers(0, 5_000), st.booleans())
    drawn = draw(
        st.lists(
            st.tuples(st.sampled_from(customers), minutes, st.lists(line, min_size=1, max_size=3), st.integers(0, 7)),
            min_size=orders // 2, max_size=orders,
        )
    )  # fmt: skip
    rows = []
    for number, (customer, minute, lines, die) in enumerate(drawn):
        moment = end + dt.timedelta(minutes=minute)
        for category, amount, off, own in lines:
            more = {"category": category, "order_id": f"{tag}{number}"}
            if die == 0:
                rows.append(event(customer, moment, "return", amount=Decimal(-amount) / 100, **more))
            else:
                money = {"amount": Decimal(amount) / 100, "discount": Decimal(off) / 100}
                rows.append(event(customer, moment, "order", own_brand=own, **money, **more))
    return rows


# -- a company with every kind of source ---------------------------------------------------------------------------------

RICH_ZONE = "America/New_York"
# The day after the window is 29 February. Clocks were changed on 12 March and 5 November 2023, and will be on 10 March 2024.
RICH_WINDOW = Window(dt.date(2024, 2, 29), 371, RICH_ZONE)
RICH_SETTINGS = FeatureSettings(window_days=371, horizon_days=30, text_topics=3)
RICH_CUSTOMERS = tuple(f"c{i:02d}" for i in range(40))
# Both sides of a change of clocks, the hour that comes twice, 29 February of an earlier year, and the window's own edges.
TURNS = tuple(
    dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)
    for text in (
        "2020-02-29T05:00", "2020-03-01T04:59", "2023-03-12T06:59", "2023-03-12T07:00", "2023-11-05T05:30", "2023-11-05T06:30",
        "2023-12-31T23:59", "2024-02-28T05:00", "2024-02-29T04:59",
    )
)  # fmt: skip
LATER_TURNS = tuple(
    dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)
    for text in (
        "2024-02-29T05:00", "2024-02-29T12:00", "2024-03-01T04:59", "2024-03-10T06:59", "2024-03-10T07:00", "2024-11-03T05:30",
        "2024-11-03T06:30", "2028-02-29T12:00",
    )
)  # fmt: skip
WRITTEN = (
    "delivery late parcel damaged driver rude address carton doorstep lost",
    "invoice wrong refund payment failed twice total missing receipt bank",
    "password reset login broken account page hangs mail code expired",
)


def rich_event(chance, customer, at):
    """An event of any kind, with all that its kind carries; chance: random.Random."""
    kinds = {
        "order": 8, "return": 1, "page_view": 4, "search": 3, "add_to_cart": 3, "checkout": 1, "login": 1, "app_open": 2, "offer_view": 1,
        "list_add": 1, "store_locator": 1, "email_delivered": 4, "email_open": 3, "email_click": 2, "email_sent": 1, "email_bounce": 1,
        "email_unsubscribe": 1, "campaign_sent": 1, "ad_spend": 1, "coupon_redeemed": 1, "social": 2, "ticket": 2, "survey": 2, "survey_answer": 2,
        "webinar_registration": 1, "webinar_attendance": 1, "subscription_started": 2, "subscription_ended": 1, "opportunity_open": 2,
        "opportunity_won": 1, "opportunity_lost": 1, "feature_use": 3, "export": 1, "api_call": 1, "admin_action": 1, "assignment": 1,
    }  # fmt: skip
    kind = chance.choices(list(kinds), list(kinds.values()))[0]
    if customer in RICH_CUSTOMERS[:5] and kind in ("email_open", "email_click"):
        kind = "email_delivered"  # some never read a mail
    money = chance.randint(100, 20_000)
    category = chance.choice(["Tea", "Tools", "Toys", None])
    more = {"channel": chance.choice(["store", "web", "phone", "mobile_app"])}
    match kind:
        case "order":
            more |= {
                "order_id": f"o{at:%y%m%d%H}", "item": f"item {chance.randint(1, 12)}", "category": category,
                "subcategory": category and f"{category} {chance.randint(1, 3)}", "quantity": chance.randint(1, 4), "amount": Decimal(money) / 100,
                "discount": Decimal(chance.randint(0, 900)) / 100, "cost": Decimal(money * 6 // 10) / 100, "own_brand": chance.random() < 0.3,
            }  # fmt: skip
        case "return":
            more |= {"order_id": f"r{at:%y%m%d%H}", "category": category, "amount": Decimal(-money) / 200}
        case "email_delivered" | "email_open" | "email_click":
            more |= {"channel": "email", "machine": kind != "email_delivered" and chance.random() < 0.3}
            more |= {"topic": chance.choice(["Recipes", "Garden", "Sale"])}
        case "social" | "survey" | "survey_answer" | "ticket":
            words = {
                "social": ["Recipes", "Garden"], "survey": [None], "survey_answer": ["price matters", "I like new things"], "ticket": ["delivery", "payment"]
            }  # fmt: skip
            more |= {"topic": chance.choice(words[kind]), "score": chance.choice([None, *range(11)])}
            more |= {"duration_hours": chance.choice([None, 3.5, 48.0])} if kind == "ticket" else {}
        case "subscription_started" | "subscription_ended":
            more |= {"channel": "contract", "quantity": chance.randint(1, 20), "amount": Decimal(money) / 10}
        case "opportunity_open" | "opportunity_won" | "opportunity_lost":
            more |= {"order_id": f"offer {customer} {chance.randint(1, 4)}", "topic": chance.choice(["upgrade", "seats"])}
        case _:
            more |= {"topic": chance.choice(["crm", "stock", "reports"]), "category": category}
    return event(customer, at, kind, **more)


def rich_events(chance, count, begin, until, customers=RICH_CUSTOMERS, turns=()):
    """`count` events from `begin` until before `until`, ten at each of the moments `turns`; some go on: visits, lines of orders."""
    minutes = int((until - begin).total_seconds() // 60)
    moments = [begin + dt.timedelta(minutes=chance.randrange(minutes)) for _ in range(count)]
    rows = [rich_event(chance, chance.choice(customers), at) for at in [*moments, *turns * 10]]
    visits = [row for row in rows if row["event_type"] in ("page_view", "add_to_cart")]
    for row in chance.sample(visits, len(visits) // 2):
        soon = row["occurred_at"] + dt.timedelta(minutes=chance.choice([0, 5, 60]))
        rows += [row | {"event_type": "checkout", "occurred_at": soon}] if begin <= soon < until else []
    again = [row | {"item": "item 1", "category": "Tea", "quantity": Decimal(2)} for row in rows if row["event_type"] == "order"]
    return rows + chance.sample(again, len(again) // 3)


def rich_texts(chance, count, begin, until, customers=RICH_CUSTOMERS):
    """Messages: customer_id, occurred_at, text; each customer has one thing on their mind."""
    days, rows = (until - begin).days, []
    for _ in range(count):
        customer = chance.choice(customers)
        words = WRITTEN[customers.index(customer) % len(WRITTEN)].split()
        moment = begin + dt.timedelta(days=chance.randrange(days), minutes=chance.randrange(1440))
        rows.append((customer, moment, " ".join([*chance.sample(words, 5), *chance.choice(WRITTEN).split()[:1]])))
    frame = pd.DataFrame(rows, columns=["customer_id", "occurred_at", "text"])
    return frame.astype({"occurred_at": "datetime64[us, UTC]"})


def rich_people():
    """What is known of who they are -> customers, people of accounts."""
    n = len(RICH_CUSTOMERS)
    customers = pd.DataFrame(
        {
            "customer_id": RICH_CUSTOMERS, "region": ["north", "south"] * (n // 2), "industry": ["retail", "trade", "energy", "retail"] * (n // 4),
            "headcount": [str(10 + i) for i in range(n)], "headcount_year_ago": ["20", "30"] * (n // 2), "revenue_band": ["under 1 million", "1-5 million", "5-9 million", None] * (n // 4),
            "hiring": ["yes", "no"] * (n // 2), "technologies": ["erp|crm", "crm|shop", "erp", "shop"] * (n // 4), "household_size": ["1", "2", "3", "4"] * (n // 4),
        }
    )  # fmt: skip
    people = pd.DataFrame(
        {"customer_id": RICH_CUSTOMERS[: n // 2] + RICH_CUSTOMERS[n // 4 :], "buying_role": ["champion"] * (n // 2) + ["user"] * (3 * n // 4)}
    )  # fmt: skip
    return customers, people
