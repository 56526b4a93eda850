"""A company of four customers whose KPIs can be worked out by hand."""

from __future__ import annotations

import datetime as dt
import functools
import random
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa

from workbench.core.config import Engine, KpiSettings
from workbench.core.contracts import check_frame
from workbench.core.engine import as_table, connect
from workbench.kpis.customer_sums import (
    build_customer_sums,
    sum_ad_spend,
    with_expected_spend,
)
from workbench.kpis.metrics import estimate_kpis
from workbench.kpis.period import Period
from workbench.kpis.targets import Targets

# Berlin changes to summer time on the last day of this period; it begins on 2 March, the one before on 1 February.
PERIOD = Period(dt.date(2024, 4, 1), 30, "Europe/Berlin")
SETTINGS = KpiSettings(bootstraps=50, cost_per_ticket=4.0)
SCHEMA = pa.schema(
    [
        ("customer_id", pa.string()), ("occurred_at", pa.timestamp("us", "UTC")), ("event_type", pa.string()), ("order_id", pa.string()),
        ("category", pa.string()), ("amount", pa.decimal128(18, 4)), ("discount", pa.decimal128(18, 4)), ("cost", pa.decimal128(18, 4)),
        ("campaign_id", pa.string()), ("topic", pa.string()), ("score", pa.float64()), ("machine", pa.bool_()),
    ]
)  # fmt: skip
MONEY = ("amount", "discount", "cost")


def event(customer, at, kind, **more):
    """One event; `at` is text in UTC or a moment."""
    moment = dt.datetime.fromisoformat(at).replace(tzinfo=dt.UTC) if isinstance(at, str) else at
    row = (
        dict.fromkeys(SCHEMA.names)
        | {"customer_id": customer, "occurred_at": moment, "event_type": kind, "machine": False}
        | more
    )
    return row | {name: None if row[name] is None else Decimal(str(row[name])) for name in MONEY}


def order(customer, at, order_id, category, amount, cost=None, discount=None, kind="order"):
    """One order line."""
    return event(customer, at, kind, order_id=order_id, category=category, amount=amount, cost=cost, discount=discount)


EVENTS = [
    order("a", "2024-02-02T10:00", "o1", "X", 10),
    order("b", "2024-02-10T10:00", "o4", "X", 50),
    order("d", "2024-01-05T10:00", "o0", "X", 5),
    order("a", "2024-03-05T10:00", "o2", "X", 20, cost=12, discount=2),
    order("a", "2024-03-05T10:00", "o2", "Y", 10, cost=6, discount=0),
    order("a", "2024-03-10T10:00", "o3", "X", 30, cost=18, discount=3),
    order("a", "2024-03-12T10:00", "r1", "X", -5, cost=-3, kind="return"),
    order("c", "2024-03-31T21:59", "o5", "Y", 40, cost=20, discount=5),
    event("a", "2024-03-04T10:00", "page_view"),
    event("c", "2024-03-15T10:00", "checkout"),
    event("d", "2024-03-08T10:00", "app_open"),
    event("d", "2024-03-08T10:05", "search", topic="cheese"),
    event("b", "2024-03-05T10:00", "email_open", machine=True),
    event("a", "2024-03-07T10:00", "ticket", topic="out of stock"),
    event("a", "2024-03-03T23:00", "campaign_sent", campaign_id="c1"),
    event("b", "2024-03-03T23:00", "campaign_sent", campaign_id="c1"),
    event("a", "2024-03-04T23:00", "coupon_redeemed", campaign_id="c1"),
    event("b", "2024-03-01T23:00", "coupon_redeemed", campaign_id="c1"),
    event("a", "2024-03-06T10:00", "survey", score=3.0),
    event("a", "2024-03-20T10:00", "survey", score=10.0),
    event("b", "2024-03-20T10:00", "survey", score=6.0),
    event(None, "2024-03-10T10:00", "ad_spend", cost=80),
    event(None, "2024-02-20T10:00", "ad_spend", cost=20),
]
FUTURE = [
    order("c", "2024-03-31T22:00", "o6", "X", 1000, cost=1),
    order("b", "2024-04-02T10:00", "o7", "Z", 1000, cost=1),
    event("b", "2024-04-02T10:00", "coupon_redeemed", campaign_id="c1"),
    event("c", "2024-04-02T10:00", "survey", score=0.0),
    event("b", "2024-04-02T10:00", "page_view"),
    event(None, "2024-04-02T10:00", "ad_spend", cost=999),
]
SEGMENTS = pd.DataFrame(
    {
        "customer_id": ["a", "b", "c", "d"],
        "segment_id": [0, 0, 1, -1],
        "segment_name": ["regulars", "regulars", "newcomers", "unassigned"],
    }
)
PREDICTIONS = pd.DataFrame({"customer_id": ["a", "b", "c"], "future_spend": [100.0, 0.0, 50.0]})

CON = connect(Engine())


def table_of(rows, seed=0):
    """Events as an Ibis table, rows in a random order."""
    rows = random.Random(seed).sample(rows, len(rows))
    return as_table(CON, pa.Table.from_pylist(rows, SCHEMA), "events")


def without(*kinds):
    """The company's events without some event types."""
    return [e for e in EVENTS if e["event_type"] not in kinds]


def kpis_of(rows, segments=SEGMENTS, predictions=PREDICTIONS, seed=0, **goals):
    """The checked `kpis` table of some events."""
    events = table_of(rows, seed)
    sums = with_expected_spend(build_customer_sums(events, segments.customer_id, PERIOD), predictions)
    frame = estimate_kpis(sums, segments, Targets(**goals), SETTINGS, PERIOD.days, sum_ad_spend(events, PERIOD))
    check_frame("kpis", frame)
    return frame


@functools.cache
def company_kpis():
    """The `kpis` table of the hand-made company."""
    return kpis_of(EVENTS)


def simulated_sums(customers, seed):
    """Sums of many customers in five segments, and those segments."""
    rng = np.random.default_rng(seed)
    ids = pd.Series([f"c{i:04d}" for i in range(customers)], dtype="str")
    orders = rng.poisson(1.5, customers).astype(float)
    gross = (orders * rng.gamma(2, 10, customers)).round(2)
    sums = pd.DataFrame(
        {
            "customer_id": ids,
            "orders": orders,
            "gross": gross,
            "revenue": gross,
            "active": (orders > 0) * 1.0,
            "repeat": (orders > 1) * 1.0,
        }
    )
    sums["score"] = np.where(rng.random(customers) < 0.3, rng.integers(0, 11, customers), np.nan)
    group = rng.integers(-1, 4, customers)
    return sums, pd.DataFrame({"customer_id": ids, "segment_id": group, "segment_name": [f"segment {g}" for g in group]})
