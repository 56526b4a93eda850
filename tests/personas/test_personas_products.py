"""Next products: learned before as_of only, and better than popularity where segments really differ."""

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.linear_model import Ridge

from workbench.core import engine
from workbench.core.config import Config
from workbench.core.contracts import check_frame
from workbench.personas import personal
from workbench.personas.next_products import next_products, product_level, purchases, rank_products

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
    frame = frame.assign(subcategory=frame.item.str.rstrip("0123456789").str.upper(), category=None, amount=3.0).astype(
        {"category": "str"}
    )
    return engine.as_table(engine.connect(CONFIG.engine), pa.Table.from_pandas(frame, preserve_index=False), "events")


def told(events):
    bought = purchases(events, labels(), CONFIG)
    found = personal.baskets(bought, labels(), {})
    return bought, rank_products(bought, labels()), personal.judge(found, personal.recommend(found), 0.95)


def offered(events, words=None):
    """-> customer_id, rank, product, kind_of as recommended."""
    found = personal.baskets(purchases(events, labels(), CONFIG), labels(), words or {})
    return personal.pick_table(found, personal.recommend(found))


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
    pd.testing.assert_frame_equal(offered(events), offered(past))
    assert cut[2].empty
    check_frame("product_hits", cut[2])


def test_what_was_bought_already_is_no_hit():
    """A customer who only buys the same again after as_of counts as a miss for both."""
    events = orders(12.0).filter(lambda t: t.occurred_at < BEFORE + pd.Timedelta(days=1))
    again = events.mutate(occurred_at=ibis.literal(AFTER.to_pydatetime()).cast(events.occurred_at.type()))
    judged = told(events.union(again))[2]
    assert judged.hit_rate.eq(0).all()
    assert judged.popularity.eq(0).all()


def test_each_customer_is_offered_five_new_products():
    events = orders(12.0)
    picks = offered(events, {"TEA": "teas"})
    check_frame("recommendations", picks)
    assert picks.groupby("customer_id").size().eq(5).all()
    had = engine.fetch(events.filter(events.occurred_at == BEFORE).select("customer_id", product="item").distinct())
    assert picks.merge(had, on=["customer_id", "product"]).empty
    assert set(picks.kind_of) == {"teas", "coffee"}
    mine = picks.assign(segment=picks.customer_id.map(labels()), tea=picks.kind_of == "teas").groupby("segment").tea.mean()
    assert mine[0] > 0.8 > 0.2 > mine[1]


def few(rows) -> ibis.Table:
    frame = pd.DataFrame(rows, columns=["customer_id", "occurred_at", "item"]).assign(event_type="order", amount=3.0)
    return engine.as_table(engine.connect(CONFIG.engine), pa.Table.from_pandas(frame, preserve_index=False), "few")


def test_what_goes_with_the_own_purchases_comes_before_what_sells_best():
    """All bought bread; who bought a tent also bought a stove. One tent owner of the segment lacks both: the stove comes first."""
    people = labels().index
    rows = [(c, BEFORE, "bread") for c in people[1:]] + [(c, BEFORE, "milk") for c in people[40:120]]
    rows += [(c, BEFORE, item) for c in people[20:40] for item in ("tent", "stove")] + [(people[0], BEFORE, "tent")]
    picks = offered(few(rows))
    assert picks[picks.customer_id == people[0]]["product"].to_list()[0] == "stove"
    assert picks[picks.customer_id == people[45]]["product"].to_list()[0] != "bread"


def test_what_nobody_paid_for_is_no_product():
    events = few([(c, BEFORE, item) for c in labels().index[:60] for item in ("tea", "coupon code")])
    free = events.mutate(amount=ibis.cases((events.item == "coupon code", 0.0), else_=3.0))
    assert set(offered(free)["product"]) == {"tea"}
    unknown = events.mutate(amount=ibis.null("float64"))
    assert set(offered(unknown)["product"]) == {"tea", "coupon code"}


def test_what_was_bought_long_ago_is_not_new():
    """Two years before as_of, far outside the window."""
    people, long_ago = labels().index, BEFORE - pd.Timedelta(days=700)
    rows = (
        [(c, BEFORE, "bread") for c in people[:60]]
        + [(c, BEFORE, "milk") for c in people[30:90]]
        + [(people[0], long_ago, "milk")]
    )
    picks = offered(few(rows))
    assert "milk" not in picks[picks.customer_id == people[0]]["product"].to_list()
    assert "milk" in picks[picks.customer_id == people[1]]["product"].to_list()


def test_how_much_is_of_a_kind_that_is_known_already():
    """Everybody bought tea1 and half coffee1; the others of each kind are new articles, and known kinds only to who bought one."""
    events = orders(12.0).filter(lambda t: t.item.isin(["tea1", "tea2", "tea3", "coffee1", "coffee2"]))
    found = personal.baskets(purchases(events, labels(), CONFIG), labels(), {})
    picks = personal.recommend(found)
    owned = pd.DataFrame((found.before > 0).toarray(), index=found.customers).T.groupby(found.kinds.to_numpy()).any().T
    table = personal.pick_table(found, picks)
    by_hand = [owned.loc[row.customer_id, row.kind_of] for row in table.itertuples()]
    assert personal.share_of_known_kinds(found, picks) == pytest.approx(np.mean(by_hand))
    assert 0 < np.mean(by_hand) < 1


def test_a_late_purchase_counts_more_than_an_early_one():
    """Two products of equally many buyers, with nothing else to go by: the one that was bought lately."""
    early, people = BEFORE - pd.Timedelta(days=100), labels().index
    rows = [(c, early, "winter tea") for c in people[:30]] + [(c, BEFORE, "summer tea") for c in people[30:60]]
    rows += [(people[70], BEFORE, "mug")]
    picks = offered(few(rows))
    assert picks[picks.customer_id == people[75]]["product"].to_list()[:2] == ["summer tea", "winter tea"]


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


def test_the_weights_of_other_products_are_those_of_a_ridge_regression():
    """Each product on all others, without an intercept: scikit-learn's own gives the same."""
    rng = np.random.default_rng(5)
    own = (rng.random((300, 8)) < 0.4).astype(float)
    own[:, 3] = own[:, 1] * (rng.random(300) < 0.9)  # whoever bought product 1 mostly bought product 3
    weights = personal._linear(own.T @ own)
    for product in range(8):
        others = np.delete(np.arange(8), product)
        ridge = Ridge(alpha=personal.RIDGE, fit_intercept=False).fit(own[:, others], own[:, product])
        np.testing.assert_allclose(weights[others, product], ridge.coef_, atol=1e-9)
    assert weights[:, 3].argmax() == 1
    assert not weights.diagonal().any()
