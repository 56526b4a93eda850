"""Next products: learned before as_of only, and better than popularity where segments really differ."""

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from workbench.core import engine
from workbench.core.config import Config
from workbench.core.contracts import check_frame
from workbench.personas.next_products import judge_products, next_products, product_level, purchases, rank_products

CONFIG = Config(as_of="2024-01-01", sources={"till": {"kind": "pos", "path": "x.csv", "record_id": "card"}}, company={"timezone": "UTC"})  # fmt: skip
BEFORE, AFTER = pd.Timestamp("2023-11-01", tz="UTC"), pd.Timestamp("2024-02-01", tz="UTC")
GOODS = [f"{taste}{i}" for taste in ("tea", "coffee") for i in range(12)]


def labels(members=80) -> pd.Series:
    return pd.Series(np.repeat([0, 1], members), index=[f"c{i:03d}" for i in range(2 * members)])


def orders(taste: float, seed=3) -> ibis.Table:
    """Segment 0 buys tea, segment 1 coffee; taste: how much likelier than the other. Six products before as_of and six after."""
    rng, rows = np.random.default_rng(seed), []
    for customer, segment in labels().items():
        weights = np.where([g.startswith(("tea", "coffee")[segment]) for g in GOODS], taste, 1.0)
        for moment in (BEFORE, AFTER):
            rows += [(customer, moment, "order", item) for item in rng.choice(GOODS, 6, replace=False, p=weights / weights.sum())]
    frame = pd.DataFrame(rows, columns=["customer_id", "occurred_at", "event_type", "item"])
    frame = frame.assign(subcategory=frame.item.str.rstrip("0123456789").str.upper(), category=None).astype({"category": "str"})
    return engine.as_table(engine.connect(CONFIG.engine), pa.Table.from_pandas(frame, preserve_index=False), "events")


def told(events):
    bought = purchases(events, labels(), CONFIG)
    ranked = rank_products(bought, labels())
    return bought, ranked, judge_products(bought, ranked, labels(), 0.95)


def test_recommendations_beat_popularity_where_tastes_differ():
    bought, ranked, judged = told(orders(12.0))
    assert set(judged.segment_id) == {0, 1, -2}
    assert set(judged.verdict) == {"better"}
    assert (judged.ci_low < judged.difference).all()
    assert (judged.difference < judged.ci_high).all()
    assert judged.n.tolist() == [80, 80, 160]
    chosen = next_products(ranked, bought, {"TEA": "teas"})
    assert chosen[chosen.segment_id == 0].kind_of.tolist() == ["teas"] * 5
    assert chosen[chosen.segment_id == 1].kind_of.tolist() == ["coffee"] * 5
    assert (chosen["index"] > 100).all()
    check_frame("next_products", chosen)
    check_frame("product_hits", judged)


def test_they_do_not_claim_to_where_everybody_is_alike():
    """The interval holds zero for everybody together, whatever the seed."""
    for seed in range(3):
        judged = told(orders(1.0, seed))[2].set_index("segment_id")
        assert judged.verdict[-2] == "not told apart"


def test_nothing_after_as_of_is_learned_from():
    events = orders(12.0)
    past = events.filter(events.occurred_at < BEFORE + pd.Timedelta(days=1))
    whole, cut = told(events), told(past)
    pd.testing.assert_frame_equal(whole[1], cut[1])
    assert cut[2].empty
    check_frame("product_hits", cut[2])


def test_what_was_bought_already_is_no_hit():
    """A customer who only buys the same again after as_of counts as a miss for both."""
    events = orders(12.0).filter(lambda t: t.occurred_at < BEFORE + pd.Timedelta(days=1))
    again = events.mutate(occurred_at=ibis.literal(AFTER.to_pydatetime()).cast(events.occurred_at.type()))
    judged = told(events.union(again))[2]
    assert judged.hit_rate.eq(0).all()
    assert judged.popularity.eq(0).all()


@pytest.mark.parametrize("missing, level", [([], "item"), (["item"], "subcategory")])
def test_a_level_that_is_mostly_empty_is_passed_over(missing, level):
    events = orders(1.0)
    assert product_level(events.mutate(**{m: ibis.null("string") for m in missing})) == level


def test_no_orders_give_no_products():
    events = orders(1.0)
    bought, ranked, judged = told(events.filter(events.event_type == "none"))
    assert ranked.empty
    assert judged.empty
    chosen = next_products(ranked, bought, {})
    assert chosen.empty
    check_frame("next_products", chosen)
