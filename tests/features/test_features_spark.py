"""The same expressions on a real local Spark and on the embedded engine: the same plan, customers, features and outcomes."""

import dataclasses
import datetime as dt
import functools
import importlib.util
import random
import shutil
from decimal import Decimal

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feature_events import AS_OF, COMPANY, MONEY, SCHEMA, SETTINGS, WINDOW, ZONE, engine, event, numbered, order

from workbench.core import engine as door
from workbench.core import event_types
from workbench.core.config import Engine
from workbench.features import clv, matrix, survival
from workbench.features.window import Window

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("pyspark") is None, reason="needs pyspark: pip install 'workbench[spark]'"),
    pytest.mark.skipif(shutil.which("java") is None, reason="needs Java 17: apt-get install openjdk-17-jre-headless"),
]

# To compile every stage of a plan takes longer than to compute it on so few rows (tests/pipeline does compile).
PLAIN = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
SPARK = Engine(backend="spark", memory_limit="1GB", threads=2, options=PLAIN)
TYPES = sorted(
    {*event_types.PURCHASES, *event_types.WEB_OR_APP, *event_types.ENGAGED, *event_types.NOT_OWN_ACTIONS}
    | {"ticket", "coupon_redeemed", "payment", "a type of its own"}
)
LEAP = Window(dt.date(2024, 3, 10), 42, "America/New_York")  # 29 February, and as_of is the day of summer time
ODD = dataclasses.replace(WINDOW.earlier(SETTINGS.horizon_days), half="odd")
TEXTS = {
    "customer_id": [None, *(f"c{n}" for n in range(25)), "Zoë", "c 1", "C1"],
    "order_id": [None, None, "", "1", "01", "o-2"],
    "channel": ["store", "web", "email", "mobile_app", "invoice", "phone"],
    "category": [None, "X", "x", "Y", "Größe 42", ""],
    "topic": [None, "late delivery", "DELIVERY", "billing: invoice, wrong?"],
}


def drawn(number, seed):
    """Rows with all columns: ties, refunds larger than purchases, amounts of 0 and below it, missing values, machines' opens."""
    rng = random.Random(seed)
    first, last = dt.datetime(2023, 9, 1, tzinfo=dt.UTC), dt.datetime(2024, 5, 20, tzinfo=dt.UTC)
    # Many events share one of few moments, and some lie around the changes of the clocks, midnight and 29 February.
    edges = [
        "2023-10-29T00:30",
        "2023-10-29T01:30",
        "2024-02-29T04:59",
        "2024-02-29T05:00",
        "2024-03-10T06:59",
        "2024-03-10T07:00",
    ]
    edges += [
        "2024-03-03T23:00",
        "2024-03-31T00:59:59.999999",
        "2024-03-31T01:00",
        "2024-04-14T21:59:59.999999",
        "2024-04-14T22:00",
    ]
    moments = [dt.datetime.fromisoformat(f"{text}+00:00") for text in edges]
    moments += [first + (last - first) * rng.random() for _ in range(60)]
    rows = []
    for _ in range(number):
        kind = rng.choice(["order"] * 8 + ["return"] * 2 + TYPES)
        moment = rng.choice(moments) if rng.random() < 0.3 else first + (last - first) * rng.random()
        row = event(None, moment, kind)
        for field in SCHEMA:
            if field.name in ("customer_number", "occurred_at", "event_type", *MONEY):
                continue
            row[field.name] = _value(field, moment, rng)
        for name in MONEY:
            row[name] = rng.choice([None, Decimal(0), Decimal(rng.randint(-20_000, 200_000)).scaleb(-rng.choice([0, 2, 4]))])
        row["amount"] = rng.choice([row["amount"] or Decimal(0), Decimal(rng.randint(1, 10**8)).scaleb(-4)])
        row["amount"] = -abs(row["amount"]) if kind == "return" else row["amount"]
        rows.append(row)
    return rows


def _value(field, moment, rng):
    if pa.types.is_boolean(field.type):
        return rng.choice([None, True, False, False])
    if pa.types.is_floating(field.type):
        return rng.choice([None, 0.0, float(rng.randint(0, 10)), rng.uniform(-1, 10)])
    if pa.types.is_timestamp(field.type):
        return rng.choice([None, moment, moment + dt.timedelta(minutes=rng.randint(1, 90_000))])
    return rng.choice(TEXTS.get(field.name, [None, *(f"{field.name} {n}" for n in range(7))]))


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    con = door.connect_configured(SPARK, tmp_path_factory.mktemp("spill"))
    yield con
    con.disconnect()


@pytest.fixture(scope="module")
def both(spark, tmp_path_factory):
    """Rows -> the same Parquet file as (events on the embedded engine, events on Spark)."""

    def opened(rows):
        path = tmp_path_factory.mktemp("events") / "events.parquet"
        pq.write_table(numbered(rows), path)
        return door.read_parquet(engine(), path), door.read_parquet(spark, path)

    return opened


@pytest.fixture(scope="module")
def company(both):
    return both([*COMPANY, *drawn(4000, seed=1)])


def agree(ours, theirs, keys=("customer_id",)):
    """Same columns, same rows, numbers within a relative 1e-9 (exactly 0 where one is 0)."""
    assert list(ours) == list(theirs)
    ours, theirs = (f.sort_values(list(keys), ignore_index=True) for f in (ours, theirs))
    assert len(ours)
    for name in ours:
        if ours[name].dtype.kind == "f":
            np.testing.assert_allclose(theirs[name].astype(float), ours[name], rtol=1e-9, atol=0, err_msg=name)
        else:
            pd.testing.assert_series_equal(theirs[name], ours[name], check_dtype=False)


@functools.cache
def plan_of(events, window):
    return matrix.plan_features(matrix.Known(events), window, SETTINGS)


@pytest.mark.parametrize("window", [WINDOW, LEAP, ODD], ids=["summer time", "29 February", "odd weeks earlier"])
def test_every_declared_feature_is_the_same_on_spark(company, window):
    here, there = company
    plan = plan_of(here, window)
    assert plan_of(there, window) == plan
    ours, theirs = (matrix.build_features(matrix.Known(events), plan, window) for events in company)
    assert set(ours) == {"customer_id", *(f.feature for f in matrix.feature_declarations(plan))}
    assert len(ours) > 20
    agree(ours, theirs)
    agree(*(matrix.as_counted(matrix.Known(events), plan, frame) for events, frame in zip(company, (ours, theirs), strict=True)))


def test_features_by_customers_numbers_are_the_same_on_spark(company):
    nobody = matrix.Known(company[0])
    known = [matrix.prepared(events, ZONE, nobody.customers, nobody.people, nobody.texts) for events in company]
    plan = matrix.plan_features(known[0], WINDOW, SETTINGS)
    assert matrix.plan_features(known[1], WINDOW, SETTINGS) == plan
    agree(*(matrix.build_features(part, plan, WINDOW) for part in known))


def test_outcomes_are_the_same_on_spark(company):
    plan = plan_of(company[0], WINDOW)
    customers = pd.Series(TEXTS["customer_id"][1:])
    agree(*(matrix.outcomes_if_reached(matrix.Known(events), plan, customers) for events in company))


@pytest.mark.parametrize(
    "build",
    [
        lambda events: clv.order_history(events, AS_OF, ZONE),
        lambda events: clv.purchase_days(events, WINDOW),
        lambda events: survival.contract_spells(events, AS_OF, ZONE),
    ],
    ids=["order_history", "purchase_days", "contract_spells"],
)
def test_histories_and_spells_are_the_same_on_spark(company, build):
    ours, theirs = (door.fetch(build(events)) for events in company)
    agree(ours, theirs, [name for name in ("customer_id", "began") if name in ours])


@pytest.mark.parametrize(
    "rows",
    [
        [order("a", "2024-04-01T10:00", None, 0)],
        [order("a", "2024-04-01T10:00", "o", 5, "X"), event("a", "2024-04-02T10:00", "return", order_id="r", amount=-50)],
        [event("a", "2024-04-02T10:00", "page_view", channel="web")],
    ],
    ids=["one order of nothing", "refund larger than the purchase", "no order"],
)
def test_companies_of_one_customer_are_the_same_on_spark(both, rows):
    here, there = both(rows)
    plan = plan_of(here, WINDOW)
    assert plan_of(there, WINDOW) == plan
    ours, theirs = (matrix.build_features(matrix.Known(events), plan, WINDOW) for events in (here, there))
    pd.testing.assert_frame_equal(theirs, ours, rtol=1e-9, atol=0, check_dtype=bool(len(ours)))
    # As counted nothing is added to what is divided by: a share of nothing is missing on both.
    ours, theirs = (matrix.as_counted(matrix.Known(events), plan, found) for events, found in ((here, ours), (there, theirs)))
    pd.testing.assert_frame_equal(theirs, ours, rtol=1e-9, atol=0, check_dtype=bool(len(ours)))


def test_the_corrections_of_ibis_hold(company):
    def measured(events):
        none = events.filter(events.event_type == "no such type")
        per = events.group_by("event_type").agg(
            rows=events.count(where=events.score > 5), mean=events.amount.mean(), seconds=events.occurred_at.epoch_seconds().max(),
            middle=events.score.median(where=events.own_brand),
        )  # fmt: skip
        # The seconds have a fraction, though Ibis declares whole ones.
        per = per.mutate(seconds=per.seconds.cast("float64"))
        empty = none.agg(event_type=ibis.literal("-"), rows=none.count(where=none.score > 5), mean=none.amount.mean())
        return door.fetch(per), door.fetch(empty)

    for ours, theirs in zip(*(measured(events) for events in company), strict=True):
        agree(ours, theirs, ["event_type"])


def test_tables_cross_the_door_whole(company, spark):
    frame = pa.table({"customer_id": ["a", None], "at": pa.array([dt.datetime(2024, 3, 31, 1, tzinfo=dt.UTC), None])})
    frame = frame.cast(pa.schema([("customer_id", pa.string()), ("at", pa.timestamp("us", "UTC"))]))
    there = door.as_table(spark, frame, "small")
    assert pa.Table.from_pandas(door.fetch(there), preserve_index=False).cast(frame.schema).equals(frame)
    assert str(door.local_time(there.at, ZONE).type()) == "timestamp"
    assert door.fetch(there.select(at=door.local_time(there.at, ZONE)))["at"][0] == pd.Timestamp("2024-03-31 03:00")
    events = company[1]
    for limit in (10, 20):
        kept = door.materialize(spark, events.filter(events.amount > limit), "kept")
        assert kept.schema() == events.schema()
        assert door.count_rows(kept) == door.count_rows(events.filter(events.amount > limit)) > 0
    assert door.fetch_row(kept.agg(least=kept.amount.min()))["least"] > 20
