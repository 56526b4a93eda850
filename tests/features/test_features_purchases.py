"""Every purchase, affinity and engagement feature of a hand-made company, worked out by hand."""

import datetime as dt
import math

import numpy as np
import pandas as pd
import pytest
from feature_events import AS_OF, COMPANY, SETTINGS, WINDOW, event, inside, order, table

from workbench.core.engine import fetch
from workbench.features import affinity, engagement, habits, matrix, outcomes, purchases
from workbench.features.tally import tally_events
from workbench.features.window import Window


@pytest.fixture(scope="module")
def built():
    events = table(COMPANY)
    plan = matrix.plan_features(matrix.Known(events), WINDOW, SETTINGS)
    frame = matrix.build_features(matrix.Known(events), plan, WINDOW).set_index("customer_id")
    return plan, frame


# Money: a paid 40 + 20 + 40 + 100 = 200, b 60, so an average order is worth 260 / 5 = 52 and five of them weigh 260.
GAPS = (42 - 16, 16 - 14, 14 - 1)
MEAN_GAP = sum(GAPS) / 3
A = {
    "recency_days": 1,
    "order_count": 4,
    "orders_last_28": 3,
    "active_weeks": 4,
    "gap_days_mean": MEAN_GAP,
    "gap_days_cv": math.sqrt(sum((g - MEAN_GAP) ** 2 for g in GAPS) / 2) / MEAN_GAP,
    "net_revenue": 180,
    "revenue_last_28": 20 + 40 + 100 - 20,
    "aov": 200 / 4,
    "revenue_trend": (160 - 40) / 200,
    "lines_per_order": 5 / 4,
    "line_value": 200 / 5,
    "weekend_share": (2 + 5 * 2 / 5) / (4 + 5),
    # Of a's orders the one at midnight sharp has no time of day: too many lines stand there for it to be an hour of trade.
    "morning_share": (1 + 5 * 1 / 4) / (3 + 5),
    "midday_share": (0 + 5 * 1 / 4) / (3 + 5),
    "afternoon_share": 0,
    "evening_share": (2 + 5 * 2 / 4) / (3 + 5),
    "discount_share": (10 + 260 * 10 / 270) / (210 + 260),
    "own_brand_share": (40 + 260 * 40 / 50) / (50 + 260),  # only Y sells own brand and others
    "return_share": (20 + 260 * 20 / 260) / (200 + 260),
    "category_count": 2,
    "category_x_share": (150 + 260 * 210 / 260) / (200 + 260),
    "category_y_share": (50 + 260 * 50 / 260) / (200 + 260),
    "email_open_count": 2,
    "email_click_count": 1,
    "page_view_count": 2,
    # 10 e-mails were delivered to a and e, two opened by a person, one clicked.
    "email_open_rate": (2 + 5 * 2 / 10) / (4 + 5),
    "email_click_rate": (1 + 5 * 1 / 10) / (4 + 5),
    "last_score": 9,
    # Own actions: a 4 orders, 2 page views, 3 in e-mails; b 1 order and 1 e-mail.
    "channel_store_share": (4 + 5 * 5 / 11) / (9 + 5),
    "channel_web_share": (2 + 5 * 2 / 11) / (9 + 5),
    "channel_email_share": (3 + 5 * 4 / 11) / (9 + 5),
    # The first order known lies a minute before the window.
    "tenure_days": 43,
    "order_value_cv": math.sqrt((10**2 + 30**2 + 10**2 + 50**2) / 3) / 50,
    "large_order_share": 0,
    "overdue_ratio": 1 / ((42 - 1) / 3),
    "visit_count": 1,
    "visit_days": 1,
    "actions_per_visit": 2,
    "days_since_visit": 13,
    "browse_only_share": 1,
    "email_engaged": 1,
    "email_dormant": 0,
    "days_since_email": 12,
    # On distinct days: a 4 actions, all in the second half of the window; b one, in the first.
    "activity_trend": 2 * (4 + 5 * 4 / 5) / (4 + 5) - 1,
}
B = {
    "recency_days": 5,
    "order_count": 1,
    "orders_last_28": 1,
    "active_weeks": 1,
    "net_revenue": 60,
    "revenue_last_28": 60,
    "aov": 60,
    "revenue_trend": 1,
    "lines_per_order": 1,
    "line_value": 60,
    "weekend_share": (0 + 5 * 2 / 5) / (1 + 5),
    "midday_share": (1 + 5 * 1 / 4) / (1 + 5),
    "evening_share": (0 + 5 * 2 / 4) / (1 + 5),
    "discount_share": (0 + 260 * 10 / 270) / (60 + 260),
    "own_brand_share": (0 + 260 * 40 / 50) / (0 + 260),
    "return_share": (0 + 260 * 20 / 260) / (60 + 260),
    "category_count": 1,
    "category_x_share": (60 + 260 * 210 / 260) / (60 + 260),
    "email_open_count": 1,
    "page_view_count": 0,
    "channel_store_share": (1 + 5 * 5 / 11) / (2 + 5),
    "tenure_days": 5,
    "email_engaged": 0,
    "email_dormant": 0,
    "days_since_email": 40,
    "activity_trend": 2 * (0 + 5 * 4 / 5) / (1 + 5) - 1,
}


@pytest.mark.parametrize("customer, expected", [("a", A), ("b", B)])
def test_every_feature_by_hand(built, customer, expected):
    _, frame = built
    wrong = {n: (frame[n][customer], v) for n, v in expected.items() if frame[n][customer] != pytest.approx(v, rel=1e-12)}
    assert not wrong


def test_the_hand_computed_list_is_complete(built):
    _, frame = built
    assert set(frame.columns) == set(A)


def test_only_customers_with_an_order_in_the_window_have_features(built):
    assert list(built[1].index) == ["a", "b"]


def test_what_cannot_be_known_is_missing_and_not_zero(built):
    b = built[1].loc["b"]
    assert b[["gap_days_mean", "gap_days_cv", "email_open_rate", "email_click_rate", "last_score"]].isna().all()


def test_affinity_shares_of_all_categories_add_up_to_one(built):
    _, frame = built
    assert frame[["category_x_share", "category_y_share"]].sum(axis=1).to_list() == pytest.approx([1, 1], rel=1e-12)


def test_channel_shares_of_all_channels_add_up_to_one(built):
    plan, frame = built
    assert plan.channels == ("email", "store", "web")
    assert frame.filter(regex="^channel_").sum(axis=1).to_list() == pytest.approx([1, 1], rel=1e-12)


def test_shrinkage_moves_towards_the_population_and_none_leaves_the_raw_share():
    raw, mild, strong = (
        fetch(purchases.purchase_features(*inside(COMPANY), WINDOW, prior)).set_index("customer_id") for prior in (0.0, 5.0, 1e9)
    )
    assert raw.discount_share.to_dict() == pytest.approx({"a": 10 / 210, "b": 0})
    assert raw.weekend_share.to_dict() == pytest.approx({"a": 2 / 4, "b": 0})
    assert strong.discount_share.to_dict() == pytest.approx({"a": 1 / 27, "b": 1 / 27}, rel=1e-6)
    assert raw.discount_share["a"] > mild.discount_share["a"] > 1 / 27 > mild.discount_share["b"] > 0


def test_own_brand_counts_only_where_there_is_a_choice():
    """Who buys fuel, of which there is none but the own brand, does not prefer it."""
    rows = [order("a", f"2024-04-0{d}T10:00", f"f{d}", 90, "FUEL", own_brand=True) for d in range(1, 6)]
    rows += [order(who, "2024-04-02T12:00", f"{who}{own}", 10, "MILK", own_brand=own) for who in "ab" for own in (True, False)]
    events, _ = inside(rows)
    rivals = purchases.own_brand_rivals(tally_events(events))
    assert rivals == ("MILK",)
    bought = purchases.kept_orders(events, WINDOW, rivals)
    frame = fetch(purchases.purchase_features(events, bought, WINDOW, 5.0)).set_index("customer_id")
    assert frame.own_brand_share.to_dict() == pytest.approx({"a": 0.5, "b": 0.5})


MIDNIGHT = "2024-04-{:02}T22:00"  # in Berlin, where days are told from


def dayparts(rows):
    """-> whether dayparts are declared, and the shares of those that are."""
    known = matrix.Known(table(rows))
    frame = matrix.build_features(known, plan := matrix.plan_features(known, WINDOW, SETTINGS), WINDOW).set_index("customer_id")
    assert "weekend_share" in frame
    return "hours" in plan.columns, frame.filter(regex="^(morning|midday|afternoon|evening)_share$")


def test_a_shop_that_writes_dates_only_has_no_dayparts():
    declared, frame = dayparts([order(who, MIDNIGHT.format(day), f"{who}{day}", 10) for who in "ab" for day in (3, 6, 9)])
    assert not declared
    assert frame.columns.tolist() == []


def test_orders_with_a_date_only_are_of_no_daypart_beside_orders_with_a_time():
    rows = [order(who, MIDNIGHT.format(day), f"{who}{day}", 10) for who in "ab" for day in (3, 6, 9)]
    rows += [order(who, f"2024-04-0{day}T06:30", f"{who}{day}w", 10, channel="web") for who in "bc" for day in (4, 7)]
    declared, frame = dayparts(rows)
    assert declared
    assert frame.loc["a"].isna().all()
    assert frame.loc[["b", "c"], "morning_share"].to_list() == [1, 1]
    assert frame.loc[["b", "c"]].sum(axis=1).to_list() == [1, 1]


def test_an_order_at_midnight_among_many_others_is_an_order_in_the_evening():
    rows = [order("a", f"2024-04-{day:02}T08:{minute:02}", f"{day}-{minute}", 10) for day in (4, 5, 6) for minute in range(40)]
    declared, frame = dayparts([*rows, order("b", MIDNIGHT.format(8), "b", 10)])
    assert declared
    assert frame.evening_share["b"] > frame.evening_share["a"] > 0


@pytest.mark.parametrize(
    "zone, as_of, moment, days_ago",
    [
        ("Europe/Berlin", dt.date(2024, 4, 1), "2024-03-30T23:00", 1),  # 31 March has 23 hours
        ("Europe/Berlin", dt.date(2024, 4, 1), "2024-03-30T22:59", 2),
        ("America/New_York", dt.date(2024, 11, 4), "2024-11-04T04:59", 1),  # 3 November has 25 hours
        ("America/New_York", dt.date(2024, 11, 4), "2024-11-03T03:59", 2),
        ("Asia/Kolkata", dt.date(2024, 6, 2), "2024-05-31T18:30", 1),
        ("UTC", dt.date(2024, 2, 29), "2024-02-28T23:59", 1),
        ("UTC", dt.date(2024, 3, 1), "2024-02-28T12:00", 2),
        ("UTC", dt.date(2023, 3, 1), "2023-02-28T12:00", 1),
    ],
)
def test_days_are_counted_on_the_local_calendar(zone, as_of, moment, days_ago):
    found = fetch(Window(as_of, 10, zone).events(table([order("a", moment, "o", 1)])))
    assert list(found.days_ago) == [days_ago]


def test_29_february_is_a_day_like_any_other():
    window = Window(dt.date(2024, 2, 29), 366, "UTC")
    rows = [order("a", "2023-02-28T00:00", "o1", 10), order("a", "2024-02-28T23:59", "o2", 20), order("a", "2024-02-29T00:00", "o3", 40)]  # fmt: skip
    found = fetch(purchases.purchase_features(*inside(rows, window), window, 5.0))
    assert found[["recency_days", "order_count", "net_revenue"]].values.tolist() == [[1, 2, 30]]
    happened = fetch(outcomes.outcome_table(matrix.horizon_after(window, 1).events(table(rows)), [], set(), ()))
    assert happened[["future_spend", "future_orders"]].values.tolist() == [[40, 1]]
    assert window.earlier(365).as_of == dt.date(2023, 3, 1)


def test_a_bare_orders_table_works():
    """No order ids, categories, discounts or e-mails: lines of one moment are one order, and nothing is made up."""
    rows = [
        order("a", "2024-04-01T10:00", None, 5), order("a", "2024-04-01T10:00", None, 15), order("a", "2024-04-08T10:00", None, 40),
        order("b", "2024-04-14T10:00", None, 7),
    ]  # fmt: skip
    events = table(rows)
    plan = matrix.plan_features(matrix.Known(events), WINDOW, SETTINGS)
    frame = matrix.build_features(matrix.Known(events), plan, WINDOW).set_index("customer_id")
    assert set(frame.columns) == {f.feature for f in (*purchases.BEHAVIOUR, *habits.habit_catalog(frozenset(), 42))}
    assert frame.order_count.to_dict() == {"a": 2, "b": 1}
    assert frame.aov.to_dict() == {"a": 30, "b": 7}
    assert frame.gap_days_mean["a"] == 7
    assert frame.lines_per_order["a"] == 1.5
    later = matrix.build_outcomes(matrix.Known(events), plan, matrix.horizon_after(WINDOW, 30), list(frame.index))
    assert list(later) == ["customer_id", "future_spend", "future_orders", "future_active", "future_aov"]


def test_orders_without_an_id_count_as_separate_actions_of_their_channel():
    rows = [order("a", f"2024-04-0{day}T10:00", None, 5) for day in (1, 2, 3)]
    rows += [order("a", "2024-04-05T10:00", None, 5, channel="web")]
    shares = fetch(engagement.channel_features(WINDOW.events(table(rows)), ("store", "web"), prior=5.0))
    assert shares.channel_store_share.to_list() == [pytest.approx(0.75)]


def test_two_spellings_of_a_category_and_other_scripts_make_no_clash():
    words = ["Meat", "MEAT", "Käse & Co", "肉", "Мясо", "肉"]
    rows = [order("a", "2024-04-01T10:00", f"o{i}", 10 + i, word) for i, word in enumerate(words)]
    events, bought = inside(rows)
    tops = {"category": affinity.top_values(tally_events(events), "category", 12), "subcategory": ()}
    found = affinity.affinity_features(events, bought, tops, prior=5.0).set_index("customer_id")
    assert list(found)[1:] == ["category_肉_share", "category_мясо_share", "category_käse_co_share", "category_meat_share"]
    assert tops["category"] == ("肉", "Мясо", "Käse & Co", "MEAT")
    assert len(affinity.affinity_catalog(tops, {})) == 1 + len(tops["category"])


def test_the_largest_categories_come_first_and_ties_by_name():
    rows = [order("a", "2024-04-01T10:00", f"o{i}", amount, word) for i, (word, amount) in enumerate([("C", 5), ("B", 5), ("A", 4), ("D", 9)])]  # fmt: skip
    events = table([*rows, order("a", "2024-04-20T10:00", "later", 1000, "A")])
    assert affinity.top_values(tally_events(WINDOW.events(events)), "category", 3) == ("D", "B", "C")


def test_a_subcategory_that_readers_know_by_the_word_of_a_category_makes_no_second_feature_of_that_word():
    bought = [("FUEL", "PUMP 1", 50), ("FOOD", "BREAD", 9), ("FOOD", "SNACKS", 8), ("FOOD", "MILK", 7)]
    rows = [order("a", "2024-04-01T10:00", f"o{i}", paid, kind, subcategory=part) for i, (kind, part, paid) in enumerate(bought)]
    counts, names = {"category": 12, "subcategory": 2}, {"FUEL": "fuel", "PUMP 1": "fuel"}
    tops = affinity.top_levels(tally_events(WINDOW.events(table(rows))), counts, names)
    assert tops == {"category": ("FUEL", "FOOD"), "subcategory": ("BREAD", "SNACKS")}
    nouns = [f.noun for f in affinity.affinity_catalog(tops, names)]
    assert len(nouns) == len(set(nouns))


def test_outcomes_by_hand():
    events = table(
        [
            *COMPANY,
            order("a", "2024-04-15T10:00", "f1", 30, "X", discount=10),
            order("a", "2024-04-15T10:00", "f1", 10, "Y", own_brand=True),
            order("a", "2024-05-14T21:59", "f2", 20, "X"),
            event("a", "2024-05-01T10:00", "return", order_id="f3", amount=-10, category="X"),
            order("a", "2024-05-14T22:00", "too late", 500, "X"),
            event("c", "2024-04-16T10:00", "coupon_redeemed"),
            event("b", "2024-04-01T10:00", "coupon_redeemed"),
        ]
    )
    # The order that lies on the window's last moment belongs to the future: 999 in Z with 99 off.
    plan = matrix.plan_features(matrix.Known(events), WINDOW, SETTINGS)
    customers = matrix.build_features(matrix.Known(events), plan, WINDOW).customer_id.to_list() + ["c"]
    found = matrix.build_outcomes(matrix.Known(events), plan, matrix.horizon_after(WINDOW, 30), customers).set_index(
        "customer_id"
    )
    a = {
        "future_spend": 999 + 40 + 20 - 10, "future_orders": 3, "future_active": 1, "future_aov": 1059 / 3, "future_own_brand_share": 10 / 1059,
        "future_discount_share": 109 / (1059 + 109), "future_category_x_share": 50 / 1059, "future_category_y_share": 10 / 1059, "future_redeemed": 0,
        "future_variety": 3, "future_engaged_days": 0, "future_score": math.nan,
    }  # fmt: skip
    assert found.loc["a"].to_dict() == pytest.approx(a, nan_ok=True)
    shares = [
        "future_aov",
        "future_own_brand_share",
        "future_discount_share",
        "future_category_x_share",
        "future_category_y_share",
    ]
    for nobody, redeemed in (("b", 0), ("c", 1)):
        assert found.loc[nobody, ["future_spend", "future_orders", "future_active"]].to_list() == [0, 0, 0]
        assert found.loc[nobody, shares].isna().all()
        assert found.future_redeemed[nobody] == redeemed


@pytest.mark.parametrize("days_left, reached", [(7, True), (8, False)])
def test_outcomes_are_told_only_where_the_orders_reach_that_far(built, days_left, reached):
    day = AS_OF + dt.timedelta(days=30 - days_left)
    events = table([order("a", "2024-04-01T10:00", "o1", 5), order("a", f"{day}T10:00", "o2", 5)])
    assert (matrix.outcomes_if_reached(matrix.Known(events), built[0], pd.Series(["a"])) is not None) == reached


def test_the_lower_of_two_answers_at_one_moment_counts():
    rows = [order("a", "2024-04-01T10:00", "o", 5), *[event("a", "2024-04-02T10:00", "survey", score=s) for s in (8.0, 4.0, 6.0)]]
    assert fetch(engagement.engagement_features(WINDOW.events(table(rows)), ["order", "survey"], 5.0)).last_score.to_list() == [4]


@pytest.mark.parametrize("many", [3, 70, 1_100])
def test_categories_are_counted_however_many_there_are(many):
    """64 of them fit a number of the machine; a thousand fit a list of words."""
    rows = [order("a", "2024-04-01T10:00", f"o{i}", 1, f"C{i:04}", subcategory=f"S{i % 2}") for i in range(many)]
    rows += [order("a", "2024-04-02T10:00", "again", 1, "C0001", subcategory="S0"), order("b", "2024-04-02T10:00", "b", 5, None, subcategory="S1")]  # fmt: skip
    tops = {"category": ("C0001", "C0000"), "subcategory": ("S1",)}
    found = affinity.affinity_features(*inside(rows), tops, prior=0.0).set_index("customer_id")
    assert found.category_count.to_dict() == {"a": many, "b": 0}
    assert found.category_c0001_share.to_dict() == pytest.approx({"a": 2 / (many + 1), "b": 0})
    assert found.subcategory_s1_share.to_dict() == pytest.approx({"a": (many // 2) / (many + 1), "b": 1})


def test_a_category_of_which_no_amount_is_known_has_no_share():
    rows = [order("a", "2024-04-01T10:00", "o1", None, "X"), order("a", "2024-04-01T10:00", "o2", 10, "Y"), order("a", "2024-04-02T10:00", "o3", None, "Y"), order("b", "2024-04-02T10:00", "o4", 10, "X")]  # fmt: skip
    found = affinity.affinity_features(*inside(rows), {"category": ("X", "Y"), "subcategory": ()}, 0.0).set_index("customer_id")
    assert found.category_count.to_dict() == {"a": 2, "b": 1}
    assert found.category_y_share.to_dict() == {"a": 1, "b": 0}
    assert np.isnan(found.category_x_share["a"])
    assert found.category_x_share["b"] == 1
