"""Events of a company small enough to work its features out by hand, and ways to generate others."""

from __future__ import annotations

import datetime as dt
import functools
from decimal import Decimal

import pyarrow as pa
from hypothesis import strategies as st

from workbench.core.config import Engine, FeatureSettings
from workbench.core.engine import as_table, connect
from workbench.features.window import Window

MONEY = ("quantity", "amount", "discount", "cost")
SCHEMA = pa.schema(
    [
        ("customer_id", pa.string()), ("occurred_at", pa.timestamp("us", "UTC")), ("source", pa.string()), ("channel", pa.string()),
        ("event_type", pa.string()), ("order_id", pa.string()), ("item", pa.string()), ("category", pa.string()),
        ("subcategory", pa.string()), *[(name, pa.decimal128(18, 4)) for name in MONEY], ("campaign_id", pa.string()),
        ("topic", pa.string()), ("score", pa.float64()), ("own_brand", pa.bool_()), ("machine", pa.bool_()),
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


def table(rows):
    """Rows -> events on the engine."""
    return as_table(engine(), pa.Table.from_pylist(list(rows), schema=SCHEMA), "hand_made")


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
