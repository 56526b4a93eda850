"""Rules pick whom they say, in SQL as in pandas; audiences narrow layer by layer."""

import functools
import json

import duckdb
import numpy as np
import pandas as pd
import pytest
from simulator import planted_company

from workbench.clustering import audiences, rules, scoreboard
from workbench.core.config import ClusteringSettings
from workbench.core.contracts import check_frame
from workbench.core.errors import InputError, ParameterError
from workbench.views import clustering as views
from workbench.views import openings


@functools.cache
def ruled():
    company = planted_company(12, 60, 0)
    part = company.slices["full"]
    labels = scoreboard.fit_slice(part, ClusteringSettings(), company.relevance).labels_
    features = part.today.copy()
    features.iloc[::50, 2] = np.nan
    catalog = pd.DataFrame({"feature": list(features), "noun": [f"words for {name}" for name in features], "unit": "money"})
    return features, labels, rules.build_rules(features, labels, catalog, 7)


def test_rules_describe_planted_groups_and_hold_for_customers_they_were_not_drawn_from():
    _, labels, table = ruled()
    check_frame("rules", table)
    assert table.segment_id.to_list() == list(range(labels.max() + 1))
    assert table.precision.mean() > 0.8
    assert table.recall.mean() > 0.8
    assert table.unseen_precision.mean() > 0.7
    assert table.rule.str.startswith("words for ").all()
    assert "they overlap" in views.say_rules(table, int(table.customers.sum()) - 1)
    assert "they overlap" not in views.say_rules(table, int(table.customers.sum()))
    assert not table.rule.str.contains("_").any() or table.rule.str.contains("words for").all()


def test_replayed_on_duckdb_a_rule_has_the_stated_precision_and_recall():
    features, labels, table = ruled()
    frame = features.reset_index().assign(segment=labels)
    con = duckdb.connect()
    con.register("features", frame)
    for row in table.itertuples():
        picked = con.sql(f"SELECT segment FROM features WHERE {row.sql}").df().segment
        assert len(picked) == row.customers
        assert (picked == row.segment_id).mean() == pytest.approx(row.precision)
        assert (picked == row.segment_id).sum() / (labels == row.segment_id).sum() == pytest.approx(row.recall)


def test_conditions_as_json_say_the_same():
    features, _, table = ruled()
    for row in table.itertuples():
        picked = np.zeros(len(features), bool)
        for path in json.loads(row.conditions):
            inside = np.ones(len(features), bool)
            for c in path:
                values = features[c["feature"]]
                holds = values <= c["at_most"] if "at_most" in c else values > c["above"]
                inside &= holds.where(values.notna(), c["or_unknown"]).to_numpy(bool)
            picked |= inside
        assert picked.sum() == row.customers


@pytest.mark.parametrize("odd", [np.inf, -np.inf])
def test_infinite_values_are_told_in_sql_as_in_pandas(odd):
    generator = np.random.default_rng(2)
    features = pd.DataFrame({"spend": generator.normal(size=400), "visits": generator.normal(size=400)})
    labels = (features.spend > 0.5).astype(int).to_numpy()
    features.loc[::40, "spend"] = odd
    catalog = pd.DataFrame({"feature": list(features), "noun": list(features), "unit": "money"})
    found = rules.build_rules(features, labels, catalog, 7)
    for row in found.itertuples():
        assert duckdb.sql(f"SELECT count(*) FROM features WHERE {row.sql}").fetchone() == (row.customers,)
        assert row.precision > 0.9


def test_odd_names_of_features_are_quoted():
    condition = rules.Condition('a"; DROP TABLE t; --', True, 1.5, True)
    con = duckdb.connect()
    con.register("features", pd.DataFrame({'a"; DROP TABLE t; --': [1.0, 2.0, None]}))
    assert len(con.sql(f"SELECT * FROM features WHERE {condition.sql}").df()) == 2


def test_a_rule_tells_a_bound_of_many_digits_in_full():
    days = pd.DataFrame({"day": 20240000.0 + np.arange(200) % 28})
    catalog = pd.DataFrame({"feature": ["day"], "noun": "day", "unit": "count"})
    found = rules.build_rules(days, (days.day > 20240013).astype(int).to_numpy(), catalog, 7)
    assert found.rule[1] == "day above 20,240,013"


def test_a_rule_may_ask_only_whether_a_value_is_known():
    """The members are those without a value: no bound, no infinity, and SQL that finds them."""
    generator = np.random.default_rng(1)
    features = pd.DataFrame({"score": generator.normal(size=300)})
    features.loc[:99, "score"] = np.nan
    catalog = pd.DataFrame({"feature": ["score"], "noun": "survey score", "unit": "points", "definition": "survey score"})
    table = rules.build_rules(features, (features.score.isna()).to_numpy(int), catalog, 7)
    assert table.rule.to_list() == ["survey score known", "survey score unknown"]
    con = duckdb.connect()
    con.register("features", features)
    for row, expected in zip(table.itertuples(), (200, 100), strict=True):
        assert con.sql(f"SELECT count(*) FROM features WHERE {row.sql}").fetchone() == (expected,)
        assert json.loads(row.conditions) == [[{"feature": "score", "is_known": expected == 200}]]


def test_among_those_who_have_nothing_of_a_share_a_rule_sees_no_difference():
    """Three in four never redeem; drawn towards everybody's, their share tells how much they buy, and the first segment are those who buy much."""
    bought = np.random.default_rng(4).integers(1, 400, 1000)
    redeemed = np.where(np.arange(1000) % 4 == 0, bought // 5, 0)
    features = pd.DataFrame({"coupon_share": (redeemed + 0.5) / (bought + 10), "bought": bought.astype(float)})
    labels = (bought < 200).astype(int)
    catalog = pd.DataFrame({"feature": list(features), "noun": ["coupons", "bought"], "unit": ["share", "items"]})
    counted = pd.DataFrame({"coupon_share": redeemed / bought})
    alone = rules.build_rules(features[["coupon_share"]], labels, catalog, 7)
    blind = rules.build_rules(features[["coupon_share"]], labels, catalog, 7, counted)
    assert alone.precision[0] > 0.7 > blind.precision[0]
    told = rules.build_rules(features, labels, catalog, 7, counted)
    assert told.rule[0].startswith("bought above")
    assert told.precision[0] == 1
    assert told.recall[0] > 0.95
    who = duckdb.sql(f"SELECT count(*) FROM features WHERE {blind.sql[0]}").fetchone()[0]
    assert who == blind.customers[0]


def test_bounds_keep_the_digits_that_tell_members_apart():
    features = pd.DataFrame({"born": np.random.default_rng(1).integers(1940, 2005, 800).astype(float)})
    catalog = pd.DataFrame({"feature": ["born"], "noun": "year of birth", "unit": "year", "definition": "year of birth"})
    table = rules.build_rules(features, features.born.between(1981, 1985).to_numpy(int), catalog, 7)
    assert table.precision[1] == table.recall[1] == 1
    assert rules.readable(1044.7, 800.0) == 1040  # where the spread is wide, three digits do
    assert rules.readable(np.inf, 1.0) == np.inf


def test_a_segment_that_nothing_tells_apart_has_no_rule_and_sql_that_picks_nobody():
    features = pd.DataFrame({"same": np.ones(100)})
    catalog = pd.DataFrame({"feature": ["same"], "noun": "same", "unit": "count", "definition": "same"})
    table = rules.build_rules(features, np.arange(100) % 2, catalog, 7)
    assert table["sql"].tolist() == ["FALSE", "FALSE"]
    assert table.customers.tolist() == [0, 0]


def test_paths_that_differ_in_one_side_only_are_one():
    first, low, high = (
        rules.Condition("fuel", False, 0.3, False),
        rules.Condition("items", True, 9.0, True),
        rules.Condition("items", False, 9.0, False),
    )
    assert rules._without_cancelled([[first, low], [first, high]], set()) == [[first]]
    other = rules.Condition("wine", True, 1.0, False)
    assert rules._without_cancelled([[first, low], [other, high]], set()) == [[first, low], [other, high]]
    unknown_to_both = rules.Condition("items", True, 9.0, False)
    either = [[first, unknown_to_both], [first, high]]
    assert len(rules._without_cancelled(either, set())) == 2
    assert rules._without_cancelled(either, {"items"}) == [[first]]  # nobody's is unknown


def test_unknown_values_are_told_of_where_there_are_any():
    features, _, table = ruled()
    conditions = [c for row in table.conditions for path in json.loads(row) for c in path]
    with_gap = features.columns[features.isna().any()]
    assert not [c for c in conditions if c.get("or_unknown") and c["feature"] not in with_gap]


def test_noise_is_described_by_rules_that_do_not_hold():
    generator = np.random.default_rng(0)
    features = pd.DataFrame(generator.normal(size=(400, 5))).add_prefix("f")
    catalog = pd.DataFrame({"feature": list(features), "noun": "thing", "unit": "share", "definition": "thing"})
    table = rules.build_rules(features, generator.integers(0, 10, 400), catalog, 7)
    assert table.unseen_precision.mean() < 0.15 < table.precision.mean()


# -- audiences ---------------------------------------------------------------------------------------------------------------

# A shop's sneakers for those who like a certain comic: broad to narrow, counted by hand.
SHOP = pd.DataFrame(
    {
        "country": ["JP", "JP", "JP", "US", "JP", None, "JP", "JP"],
        "interest": ["anime", "Anime", "golf", "anime", "anime", "anime", None, "anime"],
        "sneaker_orders": [3, 0, 5, 4, 2, 9, 7, 1],
        "spend": [100.0, 500, 90, 80, 70, 60, 50, 400],
        "coupons": [7, 7, 0, 0, 0, 0, 0, 0],
        "joined": pd.Timestamp("2024-03-01"),
    },
    index=pd.Index([f"c{i}" for i in range(8)], name="customer_id"),
)


def audience(*layers):
    return audiences.Audience(
        description="as told", layers=tuple(audiences.Layer(column=c, test=t, value=v) for c, t, v in layers)
    )


def test_a_funnel_counts_what_each_layer_leaves():
    layers = [("country", "is", "jp"), ("interest", "is", "anime"), ("sneaker_orders", "at_least", "2")]
    table, left = audiences.build_funnel(audience(*layers), SHOP)
    assert table.customers.to_list() == [8, 6, 4, 2]
    assert table.layer.to_list() == [0, 1, 2, 3]
    assert left.to_list() == ["c0", "c4"]


@pytest.mark.parametrize(
    "layer, who",
    [
        (("country", "is_not", "JP"), ["c3"]),
        (("sneaker_orders", "at_most", "1"), ["c1", "c7"]),
        (("spend", "top_share", "0.25"), ["c1", "c7"]),
        (("spend", "is", "90"), ["c2"]),  # a number, however it is written
        (("spend", "is_not", "90"), ["c0", "c1", "c3", "c4", "c5", "c6", "c7"]),
        (("coupons", "top_share", "0.8"), ["c0", "c1"]),  # with those who have none it would be everybody
        (("coupons", "top_share", "0.1"), []),
    ],
)
def test_tests_of_a_layer(layer, who):
    assert audiences.build_funnel(audience(layer), SHOP)[1].to_list() == who


@pytest.mark.parametrize("customers", [10, 1000])
def test_a_top_share_is_never_more_than_it_says(customers):
    values = pd.Series(np.arange(float(customers)))
    for percent in range(1, 100):
        picked = audiences.Layer(column="x", test="top_share", value=f"{percent / 100:g}").holds(values)
        assert picked.sum() == customers * percent // 100


def test_a_column_that_is_not_there_is_named_with_the_nearest():
    with pytest.raises(InputError, match='no feature or attribute "countri".*Did you mean "country"'):
        audiences.build_funnel(audience(("countri", "is", "JP")), SHOP)


def test_moments_and_words_are_not_compared_with_a_number():
    with pytest.raises(InputError, match='"joined" holds moments'):
        audiences.build_funnel(audience(("joined", "at_least", "20240101")), SHOP)
    with pytest.raises(InputError, match='"held" holds durations'):
        audiences.build_funnel(audience(("held", "at_least", "1")), SHOP.assign(held=pd.Timedelta(days=3)))
    with pytest.raises(InputError, match='layer 2: "country" holds words, top_share 0.1 asks for a number'):
        audiences.build_funnel(audience(("spend", "at_least", "1"), ("country", "top_share", "0.1")), SHOP)
    written = audiences.build_funnel(audience(("spend", "at_least", "100")), SHOP.assign(spend=SHOP.spend.astype("str")))[0]
    assert written.customers.to_list() == [8, 3], "numbers written as text are numbers"


def test_the_audiences_that_come_with_the_project(tmp_path):
    ours, vendors = "configs/audiences.yaml", "configs/b2b_audiences.yaml"
    assert not set(audiences.read_audiences(ours).audiences) & set(audiences.read_audiences(vendors).audiences)
    accounts = pd.DataFrame(
        {
            "industry": ["software", "software", "retail"], "headcount_growth": [0.3, 0.0, 0.5], "api_call_count": [5.0, 9, 9],
            "headcount": [300.0, 100, 900], "people_count": [6.0, 7, 2], "net_revenue": [10.0, 30, 20], "feature_use_count": [0.0, 1, 99],
        }
    )  # fmt: skip
    funnels = audiences.build_funnels(vendors, accounts)
    last = funnels.groupby("audience").customers.last()
    assert last.to_dict() == {"growing_software_houses": 1, "wide_committees": 1, "idle_seats": 1}
    assert audiences.left_out(ours, accounts) == ["weekend_savers", "quiet_big_spenders"]
    nothing = audiences.build_funnels(ours, accounts)
    assert nothing.empty
    catalog = pd.DataFrame(
        {"feature": ["headcount_growth", "net_revenue"], "noun": ["growth of staff", "net revenue"], "unit": ["share", "money"]}
    )
    told = openings.funnels_in_words(funnels, catalog).groupby("audience").condition.agg(list)
    assert told["growing software houses"][0] == "all customers"
    assert {"industry is software", "growth of staff at least 10 %"} <= set(told["growing software houses"])
    assert "net revenue among the highest 50 %" in told["idle seats"]
    assert openings.funnels_in_words(nothing, catalog).empty
    broken = tmp_path / "broken.yaml"
    for odd in ("many", "nan"):
        broken.write_text(f"audiences:\n  a: {{description: one two, layers: [{{column: x, test: at_least, value: {odd}}}]}}\n")
        with pytest.raises(ParameterError, match="needs a number"):
            audiences.read_audiences(str(broken))


@pytest.mark.parametrize("test", ["is", "is_not"])
def test_a_word_is_not_looked_for_among_numbers(test):
    audience = audiences.Audience(description="one two", layers=[audiences.Layer(column="orders", test=test, value="abc")])
    with pytest.raises(InputError, match=f'"orders" holds numbers, {test} abc asks for a word'):
        audiences.build_funnel(audience, pd.DataFrame({"orders": [1.0, 2.0]}))


def test_a_feature_counts_where_the_customer_table_names_the_same():
    features = pd.DataFrame({"employees": [5.0, 9.0]}, index=pd.Index(["a", "b"], name="customer_id"))
    customers = pd.DataFrame({"customer_id": ["b", "a"], "employees": ["many", "few"], "region": ["North", "South"]})
    known = audiences.known_of(features, customers)
    assert known.employees.to_list() == [5.0, 9.0]
    assert known.region.to_list() == ["South", "North"]
