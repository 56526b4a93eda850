"""What features promise of awkward data: empty, single, constant, unknown, mostly zero, refunded, on odd days. And of noise."""

import datetime as dt
import functools
import random
import sys
import zoneinfo
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feature_events import (
    RICH_CUSTOMERS,
    RICH_WINDOW,
    SETTINGS,
    WINDOW,
    event,
    inside,
    order,
    rich_events,
    rich_people,
    rich_texts,
    table,
)
from scipy.optimize import linear_sum_assignment

from workbench.clustering import baselines, representation
from workbench.clustering.assign import relevance_of
from workbench.clustering.segmenter import Segmenter
from workbench.core.config import Attributes, ClusteringSettings, FeatureSettings
from workbench.core.engine import fetch
from workbench.core.errors import InputError
from workbench.features import affinity, clv, decline, engagement, expectations, matrix, profile, purchases, scorecard, topics
from workbench.features.catalog import Feature
from workbench.features.window import Window

RAW = FeatureSettings(window_days=42, horizon_days=30, prior_orders=0)
# Shares that may be negative or, where goods cost more than they bring, lie below 0.
SIGNED = ("revenue_trend", "activity_trend", "seat_growth")


def built(rows, window=WINDOW, settings=SETTINGS, customers=None):
    """-> plan, features by customer."""
    company = matrix.Known(table(rows)) if customers is None else matrix.Known(table(rows), customers)
    plan = matrix.plan_features(company, window, settings)
    return plan, matrix.build_features(company, plan, window).set_index("customer_id")


def ready(rows, zone):
    """Events with numbers for ids and local times kept, as notebook 02 reads them."""
    nobody = matrix.Known(table([]))
    return matrix.prepared(table(rows), zone, nobody.customers, nobody.people, nobody.texts)


def bought(company, window, prior=0.0):
    """Features of purchases by customer, which ask most of the calendar."""
    happened = matrix.Happened(company.events, window.events(company.events), window)
    frame = company.named(fetch(purchases.purchase_features(happened.inside, happened.orders, window, prior)))
    return frame.set_index("customer_id").sort_index()


def graded(plan, frame):
    """-> feature_catalog, with too little history to tell what is relevant."""
    features = frame.reset_index()
    evidence = scorecard.Evidence(features, features[["customer_id"]].assign(future_spend=1.0), *[features] * 4)
    declared = matrix.feature_declarations(plan)
    return scorecard.score_features(declared, features, evidence, frame.net_revenue, ("offer",), 0.05).set_index("feature")


def assert_sound(plan, frame):
    """Columns as declared, nothing infinite, shares within their bounds, no negative count."""
    declared = matrix.feature_declarations(plan)
    assert list(frame) == [f.feature for f in declared]
    assert not frame.columns[np.isinf(frame.to_numpy(float)).any(axis=0)].tolist()
    for f in declared:
        known = frame[f.feature].dropna()
        if f.unit == "share" and f.feature != "margin_rate":
            low = -1 if f.feature in SIGNED else 0
            assert known.between(low - 1e-12, 1 + 1e-12).all(), f.feature
        if f.unit not in ("share", "money", "points"):
            assert (known >= 0).all(), f.feature


# -- nobody, one, the same for all ---------------------------------------------------------------------------------------

VIEWS = [event("a", "2024-04-02T10:00", "page_view", channel="web"), event("b", "2024-04-02T10:00", "email_delivered")]


@pytest.mark.parametrize(
    "rows", [[], VIEWS, [order("a", "2024-05-01T10:00", "o1", 5)]], ids=["no event", "no order", "orders after as_of only"]
)
def test_without_an_order_in_the_window_nobody_has_features_and_nothing_is_used(rows):
    plan, frame = built(rows)
    assert_sound(plan, frame)
    assert len(frame) == 0
    assert not graded(plan, frame).used.any()
    company = matrix.Known(table(rows))
    with pytest.raises(InputError, match="No customer had bought one horizon"):
        expectations.expect_orders(company, plan, {"": frame.reset_index()}, 1)


def test_a_source_kind_without_events_has_no_features_and_one_that_saw_nothing_of_a_customer_counts_0():
    rows = [order(c, "2024-04-02T10:00", "o", 5) for c in "ab"]
    plan, frame = built(rows)
    assert not [f for f in frame if f.endswith("_count") and f != "order_count"]
    assert {f.family for f in matrix.feature_declarations(plan)} <= {
        "recency", "frequency", "cadence", "value", "trend", "order", "daypart", "tenure"
    }  # fmt: skip
    # A type that was seen before the window or from as_of on only is no source either.
    outside = [event("a", at, "ticket", topic="t", score=1.0) for at in ("2024-01-01T10:00", "2024-04-14T22:00")]
    pd.testing.assert_frame_equal(built([*rows, *outside])[1], frame)
    # Others were seen: a count of 0, and no rate or mean.
    seen = [
        event("c", "2024-04-03T10:00", "email_delivered"),
        event("c", "2024-04-03T11:00", "email_open"),
        event("c", "2024-04-03T11:00", "ticket", topic="t", score=1.0, duration_hours=3.0),
    ]
    plan, frame = built([*rows, *seen])
    assert_sound(plan, frame)
    assert frame[["email_open_count", "ticket_count"]].eq(0).all(axis=None)
    assert (
        frame[["email_open_rate", "email_click_rate", "email_dormant", "ticket_score", "ticket_days_open"]].isna().all(axis=None)
    )


def test_one_event_each_gives_what_one_event_tells_and_says_why_nothing_is_predicted():
    rows = [order(f"c{i:02d}", f"2024-04-{1 + i % 9:02d}T10:00", f"o{i}", i + 1) for i in range(60)]
    plan, frame = built(rows)
    assert_sound(plan, frame)
    assert frame.order_count.eq(1).all()
    assert frame.recency_days.equals(frame.tenure_days)
    assert frame.aov.equals(frame.net_revenue)
    assert frame[["gap_days_mean", "gap_days_cv", "overdue_ratio"]].isna().all(axis=None)
    reasons = graded(plan, frame).reason
    assert reasons["order_count"] == "left out: the same for everybody"
    assert reasons["gap_days_mean"] == "left out: known for too few customers"
    company = matrix.Known(table(rows))
    with pytest.raises(InputError, match="No customer had bought one horizon"):
        expectations.expect_orders(company, plan, {"": frame.reset_index()}, 1)
    with pytest.raises(InputError, match="(?s)0 repeat buyers.*Why"):
        clv.fit_values(fetch(clv.order_history(company.events, WINDOW.as_of, WINDOW.zone)))
    assert fetch(decline.decline_table(company.events, WINDOW)).decline.isna().all()


def test_one_order_has_no_spread_of_order_values():
    _, frame = built([order("a", "2024-04-02T10:00", "o1", 5), order("b", "2024-04-02T10:00", "o2", 7)])
    assert frame.order_value_cv.isna().all()


def test_where_all_customers_are_alike_no_feature_is_used_and_each_says_so():
    rows = [order(f"c{i:02d}", f"2024-04-0{d}T10:00", f"o{d}", 5, "X") for i in range(60) for d in (1, 4, 6)]
    plan, frame = built(rows)
    assert_sound(plan, frame)
    assert (frame.nunique() <= 1).all()
    catalog = graded(plan, frame)
    assert not catalog.used.any()
    assert set(catalog.reason) == {"left out: the same for everybody"}


# -- columns: constant, unknown, mostly zero -------------------------------------------------------------------------------


def shop(**columns):
    """60 customers with 2 to 4 orders each; columns: one value for all lines, or a function of the line's number."""
    chance, rows = random.Random(1), []
    for i in range(60):
        for n in range(chance.randint(2, 4)):
            at = WINDOW.start + dt.timedelta(minutes=chance.randrange(42 * 1440))
            line = {
                "amount": chance.randint(1, 99),
                "category": "X",
                "item": "i",
                "quantity": 1,
                "cost": 1,
                "discount": 0,
            } | columns
            line = {name: value(len(rows)) if callable(value) else value for name, value in line.items()}
            rows.append(event(f"c{i:02d}", at, "order", order_id=f"o{n}", **line))
    return rows


def test_a_constant_column_is_left_out_with_the_reason():
    plan, frame = built(shop())
    assert_sound(plan, frame)
    constant = ["category_count", "category_x_share", "item_count", "price_tier", "own_brand_share"]
    there = frame.columns.intersection(constant)
    assert len(there) >= 4
    catalog = graded(plan, frame)
    assert set(catalog.reason[there]) == {"left out: the same for everybody"}
    assert catalog.used[["net_revenue", "recency_days"]].all()
    assert not plan.channels  # all in one channel tell nothing of channels


def test_columns_without_a_value_have_no_features():
    unknown = dict.fromkeys(("category", "subcategory", "item", "quantity", "cost", "discount", "own_brand", "channel"))
    plan, frame = built(shop(**unknown))
    assert_sound(plan, frame)
    families = {f.family for f in matrix.feature_declarations(plan)}
    assert not families & {"affinity", "variety", "price", "channel", "returns"}
    assert not {"margin", "margin_rate", "price_tier", "discount_share", "item_count", "category_count"} & set(frame)
    assert frame.net_revenue.notna().all()


def test_customers_attributes_without_a_value_have_no_features():
    customers = pd.DataFrame({"customer_id": [f"c{i:02d}" for i in range(60)], "region": None, "floor": [None] * 60, "size": "3"})
    plan, frame = built(shop(), customers=customers)
    assert not {"region", "floor"} & {a.name for a in plan.attributes}
    assert graded(plan, frame).reason["size"] == "left out: the same for everybody"


MONEY = (
    "net_revenue",
    "aov",
    "revenue_trend",
    "line_value",
    "discount_share",
    "margin_rate",
    "category_x_share",
    "order_value_cv",
)


@pytest.mark.parametrize("feature", MONEY)
def test_unknown_amounts_leave_money_unknown(feature):
    plan, frame = unpriced()
    if feature in frame:
        assert frame[feature].isna().all()
    assert frame.order_count.notna().all()


@functools.cache
def unpriced():
    plan, frame = built(shop(amount=None))
    assert_sound(plan, frame)
    return plan, frame


def test_columns_that_are_mostly_zero_stay_counts_and_divide_nobody_by_chance():
    rows = shop(discount=lambda line: 50 if line == 0 else 0)
    rows += [event(f"c{i:02d}", "2024-04-02T10:00", "page_view", channel="web") for i in range(3)]
    rows += [event("c00", "2024-04-02T10:00", "return", amount=-5, order_id="r")]
    plan, frame = built(rows)
    assert_sound(plan, frame)
    assert frame.page_view_count.value_counts().to_dict() == {0: 57, 1: 3}
    catalog = graded(plan, frame)
    assert catalog.zero_share["page_view_count"] == 57 / 60
    assert catalog.top_share["page_view_count"] == 57 / 60
    # Tiers and the map work on ranks: a column of mostly zeros is no reason to stop, and ties stay together.
    flat = frame.assign(order_count=0.0, net_revenue=np.where(np.arange(60) < 57, 0.0, 9.0))
    cells = pd.Series(baselines.rfm_grid(flat), frame.index).groupby([flat.recency_days, flat.net_revenue]).nunique()
    assert cells.eq(1).all()
    numbers = frame.set_index("customer_id") if "customer_id" in frame else frame
    assert np.isfinite(representation.Space().fit(numbers).transform(numbers)).all()


# -- identifiers, refunds, extremes --------------------------------------------------------------------------------------

LONG = ("9007199254740992", "9007199254740993")  # one number, were they read as floats


def test_identifiers_of_sixteen_digits_are_told_apart():
    rows = [order(c, "2024-04-02T10:00", o, 10, "X", item=o) for c in LONG for o in LONG]
    rows += [order(LONG[0], "2023-12-02T10:00", LONG[0], 10, item="old")]
    company = ready(rows, WINDOW.zone)
    plan = matrix.plan_features(company, WINDOW, SETTINGS)
    frame = matrix.build_features(company, plan, WINDOW).set_index("customer_id")
    assert_sound(plan, frame)
    assert list(frame.index) == list(LONG)
    assert frame.order_count.tolist() == [2, 2]
    assert frame.item_count.tolist() == [2, 2]
    assert frame.repurchase_share.tolist() == [0, 0]
    assert frame.tenure_days.tolist() == [135, 13]
    assert bought(matrix.Known(table(rows)), WINDOW).order_count.to_dict() == dict.fromkeys(LONG, 2)


REFUNDED = [
    order("a", "2024-04-02T10:00", "o1", 40, "X", discount=1, item="i", quantity=1, cost=60),
    event("a", "2024-04-03T10:00", "return", order_id="r1", amount=-400, category="X", item="i", quantity=-10),
    order("b", "2024-04-02T10:00", "o2", 60, "Y", discount=0, item="j", quantity=1, cost=20),
    event("b", "2024-04-04T10:00", "return", order_id="r2", amount=-15, category="Y", item="j"),
    order("c", "2024-04-02T10:00", "o3", 20, "Y", discount=0, item="j", quantity=1, cost=5),
    event("only returns", "2024-04-02T10:00", "return", order_id="r3", amount=-90, category="Z"),
]


def test_refunds_larger_than_purchases_are_a_negative_revenue_and_leave_shares_within_bounds():
    plan, frame = built(REFUNDED)
    assert_sound(plan, frame)
    assert frame.net_revenue.to_dict() == {"a": -360, "b": 45, "c": 20}  # no features for who bought nothing
    assert frame.aov.to_dict() == {"a": 40, "b": 60, "c": 20}
    assert (frame.return_share >= 0).all()
    assert frame.margin.to_dict() == {"a": -20, "b": 40, "c": 15}
    assert frame.margin_rate.between(-1, 1).all()
    catalog = graded(plan, frame)
    assert catalog.revenue_coverage.between(0, 1).all()
    history = fetch(clv.order_history(table(REFUNDED), WINDOW.as_of, WINDOW.zone))
    assert not (history.mean_value <= 0).any()


def test_nobody_returns_more_than_all_that_they_bought():
    _, frame = built(REFUNDED)
    assert frame.return_share.between(0, 1).all()
    assert frame.return_share.idxmax() == "a"


@pytest.mark.parametrize("settings", [SETTINGS, RAW], ids=["shrunk", "raw"])
def test_nothing_and_very_much_are_no_reason_for_infinity(settings):
    """Free, nearly free and dear orders; no, negative and huge quantities; a discount of everything; goods that cost more than they bring."""
    lines = [
        ("a", 0, 0, 0, 0), ("a", 0, 5, -1, 1), ("b", "0.0001", 0, 1, 0), ("b", "0.0001", "99999", 10**6, 10**6), ("c", 10**12, 0, 1, 1),
        ("c", 10**12, 10**12, 1, 10**12), ("d", 5, 0, None, None), ("e", 0, None, 1, 0),
    ]  # fmt: skip
    rows = [
        order(c, f"2024-04-0{1 + i}T10:00", f"o{i}", amount, "X", discount=off, quantity=n, cost=cost, item=f"i{i % 3}")
        for i, (c, amount, off, n, cost) in enumerate(lines)
    ]
    rows += [
        event("a", "2024-04-09T10:00", "return", order_id="r", amount=-5),
        event("d", "2024-04-09T10:00", "return", amount=0),
    ]
    rows += [
        event("a", "2024-04-09T10:00", kind, quantity=0, channel="web")
        for kind in ("page_view", "feature_use", "subscription_started")
    ]
    plan, frame = built(rows, settings=settings)
    assert_sound(plan, frame)
    assert list(frame.index) == list("abcde")
    assert frame.net_revenue["c"] == 2 * 10**12


@pytest.mark.parametrize("value", ["inf", "1e400", "-Infinity"])
def test_an_attribute_is_never_infinite(value):
    customers = pd.DataFrame({"customer_id": ["a", "b", "c"], "points": ["3", value, "5"]})
    attributes, _ = profile.plan_profile(customers, customers.head(0), Attributes(), 0.05)
    frame = profile.profile_features(customers, customers.head(0), attributes, {}, "|").set_index("customer_id")
    assert not np.isinf(frame.to_numpy(float)).any()


# -- days ----------------------------------------------------------------------------------------------------------------


def test_29_february_ends_a_window_and_lies_in_one():
    ended = Window(dt.date(2024, 2, 29), 366, "America/New_York")
    settings = FeatureSettings(window_days=366, horizon_days=30, prior_orders=0)
    rows = [
        order("a", "2020-02-29T12:00", "o1", 1), order("a", "2024-02-01T12:00", "o2", 1), order("a", "2024-02-29T04:59", "o3", 1),
        order("a", "2024-02-29T05:00", "o4", 1), order("a", "2024-03-01T04:59", "o5", 1),
    ]  # fmt: skip
    plan, frame = built(rows, ended, settings)
    assert_sound(plan, frame)
    assert frame.loc["a", ["recency_days", "order_count", "tenure_days"]].tolist() == [1, 2, 1461]
    plan, frame = built(rows, Window(dt.date(2024, 3, 1), 366, "America/New_York"), settings)
    assert frame.loc["a", ["recency_days", "order_count", "tenure_days"]].tolist() == [1, 4, 1462]
    assert frame.gap_days_mean["a"] == (27 + 1) / 2  # 1, 28 and 29 February
    assert frame.winter_share["a"] == 1
    # A year is a year: the window of 366 days before 1 March begins on the 1 March before.
    assert Window(dt.date(2024, 3, 1), 366, "America/New_York").start == dt.datetime(2023, 3, 1, 5, tzinfo=dt.UTC)


CHANGES = [
    ("America/New_York", dt.date(2024, 3, 10), 46),  # 2 o'clock is skipped
    ("America/New_York", dt.date(2024, 11, 3), 50),  # 1 o'clock comes twice
    ("Europe/Berlin", dt.date(2024, 10, 27), 50),  # 2 o'clock comes twice
    ("Australia/Lord_Howe", dt.date(2024, 10, 6), 47),  # 2:00 to 2:29 is skipped
    ("Australia/Lord_Howe", dt.date(2024, 4, 7), 49),  # 1:30 to 1:59 comes twice
]


@pytest.mark.parametrize("zone, day, half_hours", CHANGES, ids=[f"{zone} {day}" for zone, day, _ in CHANGES])
def test_a_day_on_which_clocks_are_changed_is_one_day(zone, day, half_hours):
    """An order every half hour of that day, one a minute before it and one the moment after it."""
    tz, window = zoneinfo.ZoneInfo(zone), Window(day + dt.timedelta(days=1), 28, zone)
    begin = dt.datetime.combine(day, dt.time(), tz).astimezone(dt.UTC)
    moments = [begin + dt.timedelta(minutes=30 * i) for i in range(half_hours)]
    assert moments[-1] + dt.timedelta(minutes=30) == window.end
    rows = [order("all day", at, f"o{i}", 1) for i, at in enumerate(moments)]
    rows += [order("the day before", begin - dt.timedelta(minutes=1), "o", 1), order("after", window.end, "o", 1)]
    # A year of earlier orders, so that clocks were changed before too.
    rows += [order("all day", begin - dt.timedelta(days=30 * i), f"e{i}", 1) for i in range(1, 13)]
    frame = bought(matrix.Known(table(rows)), window)
    assert frame.recency_days.to_dict() == {"all day": 1, "the day before": 2}
    assert frame.order_count["all day"] == half_hours
    assert frame.active_weeks["all day"] == 1
    hours = [at.astimezone(tz).hour for at in moments]
    assert frame.evening_share["all day"] == pytest.approx(sum(h >= 19 or h < 5 for h in hours) / half_hours, rel=1e-12)
    assert frame.weekend_share["all day"] == 1  # clocks are changed on Sundays
    pd.testing.assert_frame_equal(bought(ready(rows, zone), window), frame, check_exact=True)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "Europe/Berlin"])
def test_a_company_whose_clocks_never_change_is_no_trouble(zone):
    window = Window(WINDOW.as_of, 10, zone)
    rows = [order(c, f"2024-04-{d:02d}T10:00", f"o{d}", d) for c, d in (("a", 8), ("a", 10), ("b", 12))]
    pd.testing.assert_frame_equal(bought(ready(rows, zone), window), bought(matrix.Known(table(rows)), window), check_exact=True)


# -- rates and shares of a company with every kind of source, thinly filled ----------------------------------------------------

THIN = Window(RICH_WINDOW.as_of, 84, RICH_WINDOW.zone)


@functools.cache
def thin():
    """-> plan, features by customer, events before as_of as a frame with `inside` (the window), and as rows."""
    chance = random.Random(8)
    rows = rich_events(chance, 500, THIN.start - dt.timedelta(days=60), THIN.end)
    rows += [order(c, THIN.end - dt.timedelta(days=1 + i % 9), "last", 5, "Tea") for i, c in enumerate(RICH_CUSTOMERS)]
    company = matrix.Known(table(rows), *rich_people(), rich_texts(chance, 100, THIN.start, THIN.end))
    plan = matrix.plan_features(company, THIN, FeatureSettings(window_days=84, horizon_days=30, text_topics=3))
    frame = matrix.build_features(company, plan, THIN).set_index("customer_id")
    happened = pd.DataFrame(rows)
    return plan, frame, happened.assign(inside=happened.occurred_at >= THIN.start), rows


def test_shares_counts_and_rates_of_every_family_lie_within_their_bounds():
    plan, frame, *_ = thin()
    assert len(frame) == len(RICH_CUSTOMERS)
    assert_sound(plan, frame)
    assert (frame.margin_rate.dropna() <= 1).all()


def of(kinds, column=None, **values):
    """Customers with an event of these kinds in the window, by people, whose column is known."""

    def found(happened):
        mine = happened[happened.inside & happened.event_type.isin(kinds) & ~happened.machine.fillna(False).astype(bool)]
        mine = mine[mine[column].notna()] if column else mine
        for name, value in values.items():
            mine = mine[mine[name] == value]
        return set(mine.customer_id)

    return found


def several(count, what):
    """Customers with more than `count` different orders, or days with an order, in the window."""

    def found(happened):
        bought = happened[happened.inside & (happened.event_type == "order")]
        day = pd.to_datetime(bought.occurred_at, utc=True).dt.tz_convert(THIN.zone).dt.date
        values = bought.order_id if what == "orders" else day
        return set(values.groupby(bought.customer_id).nunique().loc[lambda n: n > count].index)

    return found


def decided(happened):
    return set(happened.customer_id[happened.event_type.isin(["opportunity_won", "opportunity_lost"])])


def with_seats_and_use(happened):
    sign = happened.event_type.map({"subscription_started": 1, "subscription_ended": -1}).fillna(0)
    seats = (happened.quantity.astype(float).fillna(0) * sign).groupby(happened.customer_id).sum()
    return set(seats.index[seats > 0]) & of(["feature_use", "export", "api_call", "admin_action"])(happened)


BROWSED = ("page_view", "search", "offer_view", "list_add", "add_to_cart")
CONTENT = ("email_open", "email_click", "social", "webinar_registration", "webinar_attendance")
# feature: who has what it is a rate or mean of
DENOMINATORS = {
    "email_open_rate": of(["email_delivered"]), "email_click_rate": of(["email_delivered"]), "days_since_email": of(["email_open", "email_click"]),
    "cart_abandon_share": of(["add_to_cart"]), "browse_only_share": of(BROWSED), "browsed_tea_share": of(BROWSED, "category"),
    "content_recipes_share": of(CONTENT, "topic"), "social_sentiment": of(["social"], "score"), "ticket_score": of(["ticket"], "score"),
    "ticket_days_open": of(["ticket"], "duration_hours"), "last_score": of(["survey"], "score"),
    "answer_price_matters": of(["survey_answer"], "score", topic="price matters"), "win_rate": decided, "use_per_seat": with_seats_and_use,
    "margin_rate": of(["order"], "cost"), "repurchase_share": of(["order"], "item"), "price_tier": of(["order"], "item"),
    "gap_days_mean": several(1, "days"), "gap_days_cv": several(2, "days"), "overdue_ratio": several(1, "days"), "order_value_cv": several(1, "orders"),
}  # fmt: skip


@pytest.mark.parametrize("feature", DENOMINATORS)
def test_a_rate_without_a_denominator_is_missing_and_never_0(feature):
    _, frame, happened, _ = thin()
    has = frame.index.isin(DENOMINATORS[feature](happened))
    assert not has.all()
    assert has.any()
    assert frame.index[frame[feature].notna() & ~has].tolist() == []
    if feature != "price_tier":  # of items without a category nobody knows the tier
        assert frame.index[frame[feature].isna() & has].tolist() == []


@functools.cache
def everything_in_a_category():
    """-> plan, what happened in the window; as many categories and channels as there are have a share."""
    rows = [row | {"category": row["category"] or "Others"} for row in thin()[-1]]
    company = matrix.Known(table(rows))
    whole = FeatureSettings(window_days=84, horizon_days=30, top_categories=50, min_coverage=0)
    return matrix.plan_features(company, THIN, whole), matrix.Happened(company.events, THIN.events(company.events), THIN)


@pytest.mark.parametrize("prior", [0.0, 5.0, 1e6])
@pytest.mark.parametrize("level", ["category", "channel"])
def test_shares_of_all_categories_and_of_all_channels_add_up_to_one(level, prior):
    plan, happened = everything_in_a_category()
    frame = (
        affinity.affinity_features(happened.inside, happened.orders, plan.tops, prior)
        if level == "category"
        else fetch(engagement.channel_features(happened.inside, plan.channels, prior))
    )
    shares = frame.filter(regex=f"^{level}_.*_share$")
    assert shares.shape[1] >= 4
    assert shares.stack().between(0, 1).all()
    assert shares.sum(axis=1).tolist() == pytest.approx([1] * len(shares), rel=1e-9)


def test_people_are_told_with_shares_as_they_were_counted():
    """One order of tea is all tea to a reader, however little a model may conclude from it."""
    rows = [
        order("tea", "2024-04-02T10:00", "o1", 10, "Tea"),
        order("both", "2024-04-02T20:00", "o2", 30, "Tea"), order("both", "2024-04-03T10:00", "o3", 10, "Soap"),
        order("free", "2024-04-02T10:00", "o4", 0, "Tea"),
    ]  # fmt: skip
    company = matrix.Known(table(rows))
    plan = matrix.plan_features(company, WINDOW, SETTINGS)
    features = matrix.build_features(company, plan, WINDOW)
    counted = matrix.as_counted(company, plan, features).set_index("customer_id")
    assert counted.category_tea_share.to_dict() == pytest.approx({"tea": 1, "both": 0.75, "free": np.nan}, nan_ok=True)
    assert counted.evening_share.to_dict() == {"tea": 0, "both": 0.5, "free": 0}
    assert features.set_index("customer_id").category_tea_share.between(0.75, 0.95).all()  # drawn towards 0.8
    assert not {"order_count", "recency_days", "net_revenue"} & set(counted)


def test_a_customer_who_paid_nothing_has_no_share_of_categories_without_a_prior():
    rows = [order("free", "2024-04-02T10:00", "o1", 0, "X"), order("paid", "2024-04-02T10:00", "o2", 5, "X")]
    frame = affinity.affinity_features(*inside(rows), {"category": ("X",), "subcategory": ()}, 0.0).set_index("customer_id")
    assert np.isnan(frame.category_x_share["free"])
    assert frame.category_x_share["paid"] == 1


def test_canned_sentences_are_learned_without_a_warning():
    """What a few write, and what most do: words of the latter are not read, and the one sentence left is taken apart without an error."""
    usual = ["parcel lost driver rude", "invoice total wrong", "payment failed twice", "mail never arrives", "page hangs"]
    rows = [(f"c{i:02d}", "the delivery came late and the parcel was damaged") for i in range(10)]
    rows += [(f"c{i:02d}", sentence) for sentence in usual for i in range(30)]
    language = topics.learn_language(pd.DataFrame(rows, columns=["customer_id", "text"]), 2)
    assert language is not None
    assert np.isfinite(language.weights).all()


# -- noise -----------------------------------------------------------------------------------------------------------------

NOISE = [f"noise_{i}" for i in range(10)]


@functools.cache
def planted():
    """Twelve groups of sixty customers, whose future depends on their group, and traits that tell nothing of it."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "clustering"))
    from simulator import planted_company

    return planted_company(groups=12, members=60, seed=0)


def noisy(frame, seed):
    """Ten columns that say nothing: even and heavy-tailed ones, frequent and rare yes/no."""
    generator, n = np.random.default_rng(seed), len(frame)
    drawn = [
        *generator.normal(size=(4, n)), *(generator.random((3, n)) < np.array([[0.5], [0.2], [0.05]])).astype(float),
        generator.standard_cauchy(n), *np.exp(2 * generator.normal(size=(2, n))),
    ]  # fmt: skip
    return frame.assign(**dict(zip(NOISE, drawn, strict=True)))


def segmented(add):
    """-> names of the used columns, label per customer, as notebooks 02 and 03 find them; add: (frame, number of the slice) -> frame."""
    slices, settings = planted().slices, ClusteringSettings()
    seen = [slices["full"].today, slices["full"].earlier, slices["odd"].today, slices["even"].today]
    seen += [slices["odd"].earlier, slices["even"].earlier]  # in the place of the window's halves
    today, earlier, *others = (add(frame, number) for number, frame in enumerate(seen))
    outcomes = slices["full"].earlier_outcomes
    declared = [Feature(name, "f", "points", "d", "h", "l", "offer", name) for name in today]
    evidence = scorecard.Evidence(*(frame.reset_index() for frame in (earlier, outcomes, *others)))
    catalog = scorecard.score_features(
        declared, today.reset_index(), evidence, today.net_revenue, ("offer",), 0.05, settings.seed
    )
    used = list(catalog.feature[catalog.used])
    told = relevance_of(catalog)
    found = Segmenter.of(settings).fit(today[used], earlier=earlier[used], outcomes=outcomes, relevance=told)
    return used, found.labels_


@functools.cache
def without_noise():
    return segmented(lambda frame, number: frame)


def share_moved(labels, others):
    """Customers in another segment, once each segment is matched with the one that has most of its customers."""
    overlap = pd.crosstab(labels, others).to_numpy()
    return 1 - overlap[linear_sum_assignment(-overlap)].sum() / len(labels)


@pytest.mark.slow
@pytest.mark.parametrize("lasting", [False, True], ids=["drawn anew in each slice", "the same in each slice"])
def test_ten_columns_of_noise_move_fewer_than_one_customer_in_twenty(lasting):
    used, labels = segmented(lambda frame, number: noisy(frame, 100 if lasting else 100 + number))
    assert {"net_revenue", "discount_share"} <= set(used)
    assert share_moved(without_noise()[1], labels) < 0.05, f"noise that is used: {sorted(set(used) & set(NOISE))}"
