"""Recommendations: planted tastes beat popularity on what comes after, indifferent customers do not, nothing after as_of is used."""

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from workbench.core import engine
from workbench.core.config import Config
from workbench.core.contracts import check_frame
from workbench.personas import next_products as products

AS_OF = dt.date(2024, 7, 1)
CONFIG = Config.model_validate(
    {
        "as_of": str(AS_OF), "company": {"timezone": "UTC"}, "features": {"window_days": 60, "horizon_days": 30},
        "sources": {"pos": {"kind": "pos", "path": "x.csv", "record_id": "c"}},
    }
)  # fmt: skip


def shop(con, taste, seed=0, customers=600, after=True):
    """Two segments, twenty items; a customer buys an item of the own ten with probability taste, else any; -> events, labels."""
    generator = np.random.default_rng(seed)
    labels = pd.Series(np.arange(customers) % 2, index=pd.Index([f"c{i:04d}" for i in range(customers)], name="customer_id"))
    rows = []
    for customer, segment in labels.items():
        for days in [*generator.integers(1, 60, 6), *(-generator.integers(1, 29, 3) if after else ())]:
            own = generator.random() < taste
            item = segment * 10 + generator.integers(10) if own else generator.integers(20)
            rows.append((customer, pd.Timestamp(AS_OF, tz="UTC") - pd.Timedelta(days=int(days)), f"i{item:02d}"))
    frame = pd.DataFrame(rows, columns=["customer_id", "occurred_at", "item"]).assign(event_type="order", category="GOODS")
    return engine.as_table(
        con, pa.Table.from_pandas(frame, preserve_index=False), f"shop_{seed}_{round(10 * taste)}_{after}"
    ), labels


def ranked(con, *shopped):
    events, labels = shopped
    bought = products.purchases(events, labels, CONFIG)
    return bought, products.rank_products(bought, labels), labels


def test_planted_tastes_beat_popularity_with_an_interval(con):
    bought, ranking, labels = ranked(con, *shop(con, 0.9))
    judged = products.judge_products(bought, ranking, labels, 0.95)
    check_frame("product_test", judged)
    assert judged.segment_id.to_list() == [0, 1, -2]
    assert set(judged.verdict) == {"better"}
    assert (judged.ci_low > 0).all()
    offers = products.next_products(ranking, bought, {"GOODS": "goods"})
    check_frame("next_products", offers)
    assert offers[offers.segment_id == 0]["product"].lt("i10").all()
    assert offers[offers.segment_id == 1]["product"].ge("i10").all()
    assert set(offers.kind_of) == {"goods"}
    assert (offers.lift > 1).all()


def test_without_tastes_nothing_is_claimed(con):
    verdicts = [
        products.judge_products(*(found := ranked(con, *shop(con, 0.0, seed)))[:2], found[2], 0.95).verdict.iloc[-1]
        for seed in range(6)
    ]
    assert verdicts.count("not told apart") >= 4


def test_nothing_after_as_of_is_used_and_without_it_nothing_is_judged(con):
    _, with_after, _ = ranked(con, *shop(con, 0.9, 3))
    bought, without, labels = ranked(con, *shop(con, 0.9, 3, after=False))
    before = shop(con, 0.9, 3)[0].filter(lambda t: t.occurred_at < pd.Timestamp(AS_OF, tz="UTC"))
    _, cut, _ = ranked(con, before, labels)
    pd.testing.assert_frame_equal(with_after, cut)
    assert products.judge_products(bought, without, labels, 0.95).empty


def test_shares_by_hand(con):
    day = pd.Timestamp("2024-06-01", tz="UTC")
    frame = pd.DataFrame(
        {"customer_id": ["a", "a", "b", "c"], "item": ["x", "x", "x", "y"], "occurred_at": day, "event_type": "order"}
    )
    events = engine.as_table(con, pa.Table.from_pandas(frame, preserve_index=False), "by_hand")
    labels = pd.Series([0, 0, 1], index=["a", "b", "c"])
    _, table, _ = ranked(con, events, labels)
    row = table[(table.segment_id == 0) & (table["product"] == "x")].iloc[0]
    assert (row.buyers, row.n) == (2, 2)
    assert row.base == pytest.approx(2 / 3)
    assert row.bought_by == pytest.approx((2 + 20 * 2 / 3) / 22)
