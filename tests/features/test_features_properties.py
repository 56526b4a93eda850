"""What holds for any events: no feature sees the future, row order never matters, halves share nothing, DuckDB adds up right."""

import datetime as dt
import functools
import random

import numpy as np
import pandas as pd
import pytest
from feature_events import COMPANY, SETTINGS, WINDOW, event, generated_orders, inside, order, table
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from workbench.core.engine import fetch
from workbench.features import matrix, purchases
from workbench.features.window import HALVES, Window

# Two large examples instead of many small ones, and no shrinking: building the query costs a second, rows cost nothing.
few = settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),
)
END = WINDOW.end


def build(rows, window=WINDOW):
    events = table(rows)
    plan = matrix.plan_features(matrix.Known(events), window, SETTINGS)
    return plan, matrix.build_features(matrix.Known(events), plan, window)


def same(left, right):
    pd.testing.assert_frame_equal(left, right, check_exact=True)


# -- nothing from as_of on is seen -------------------------------------------------------------------------------------

PAST = [row for row in COMPANY if row["occurred_at"] < END]
OTHER_KINDS = ("email_open", "email_delivered", "page_view", "survey", "coupon_redeemed", "never_seen_before")


@functools.cache
def known_by_then():
    return build(PAST)


@st.composite
def future(draw):
    """Any events from as_of on, known and new customers, event types, channels and categories."""
    orders = draw(generated_orders(0, -60, orders=40, customers=("a", "b", "e", "new"), tag="future"))
    minutes = st.integers(0, 60 * 1440)
    who, what, where = st.sampled_from("abe"), st.sampled_from(OTHER_KINDS), st.sampled_from(("store", "web", "new channel"))
    others = draw(st.lists(st.tuples(who, minutes, what, where), max_size=8))
    return orders + [event(c, END + dt.timedelta(minutes=m), kind, channel=channel, score=1.0) for c, m, kind, channel in others]


@few
@given(future())
def test_no_feature_sees_the_future(later):
    plan, frame = build([*later, *PAST])
    assert plan == known_by_then()[0]
    same(frame, known_by_then()[1])


def test_learning_tables_do_not_see_the_future_either():
    """Outcomes of the earlier window end where as_of begins; every slice is there."""
    window = Window(WINDOW.as_of, 20, WINDOW.zone)
    past = [order("a", "2024-03-05T10:00", "h1", 10, "X"), order("a", "2024-03-14T10:00", "h2", 20, "X"), *PAST]
    later = [
        order("a", END, "n", 5_000, "X", discount=500),
        event("a", END, "coupon_redeemed"),
        event("b", END, "return", amount=-9),
    ]
    plan = matrix.plan_features(matrix.Known(table(past)), window, SETTINGS)
    earlier = window.earlier(30)
    features = matrix.build_features(matrix.Known(table(past)), plan, earlier)
    outcomes = matrix.build_outcomes(matrix.Known(table(past)), plan, matrix.horizon_after(earlier, 30), features.customer_id)
    learned = matrix.build_learning_tables(matrix.Known(table(past + later)), plan, features.customer_id)
    same(matrix.slice_of(learned["features"], "earlier"), features)
    same(matrix.slice_of(learned["outcomes"], "earlier"), outcomes)
    # What a bought from 16 March on, returns deducted: the future of the earlier window, all of it before as_of.
    assert outcomes.future_spend.to_list() == [20 + 40 + 100 - 20]
    # Two horizons before as_of nobody had ordered yet.
    assert set(learned["outcomes"].slice) == {"earlier", "odd_earlier", "even_earlier"}
    assert set(learned["features"].slice) == {"earlier", "odd", "even", "odd_earlier", "even_earlier", "first", "second"}


# -- the order of rows never shows -------------------------------------------------------------------------------------


@few
@given(generated_orders(42, 0, orders=60), st.integers(0, 2**32))
def test_row_order_never_matters(rows, seed):
    rows = [*PAST, *rows]
    shuffled = random.Random(seed).sample(rows, len(rows))
    (plan, frame), (again, other) = build(rows), build(shuffled)
    assert plan == again
    same(frame, other)


# -- odd and even weeks ------------------------------------------------------------------------------------------------


@few
@given(st.lists(st.integers(-50 * 1440, 1440), min_size=1, max_size=60), st.sampled_from([14, 28, 35, 42]))
def test_odd_and_even_weeks_are_disjoint_and_cover_the_window(minutes, days):
    rows = [order("a", END + dt.timedelta(minutes=m), f"o{i}", 1) for i, m in enumerate(minutes)]
    events = table(rows)
    whole, odd, even = (fetch(Window(WINDOW.as_of, days, WINDOW.zone, half).events(events)) for half in ("", *HALVES))
    assert sorted([*odd.order_id, *even.order_id]) == sorted(whole.order_id)
    # The last seven days are an odd week; weeks alternate from there, whatever the length of the window.
    assert set((odd.days_ago - 1) // 7 % 2) <= {0}
    assert set((even.days_ago - 1) // 7 % 2) <= {1}


# -- the engine against a plain computation ----------------------------------------------------------------------------


def plain_features(rows, prior):
    """The main features by the book: loops over plain Python rows, floats, no engine."""
    frame = pd.DataFrame(rows)
    frame = frame[(frame.occurred_at >= WINDOW.start) & (frame.occurred_at < WINDOW.end)]
    frame["local"] = pd.to_datetime(frame.occurred_at, utc=True).dt.tz_convert(WINDOW.zone)
    frame["days_ago"] = [(WINDOW.as_of - moment.date()).days for moment in frame.local]
    frame[["amount", "discount"]] = frame[["amount", "discount"]].astype(float).fillna(0.0)
    lines = frame[frame.event_type == "order"]
    orders = lines.groupby("order_id").agg(customer_id=("customer_id", "first"), local=("local", "min"), days_ago=("days_ago", "max"), amount=("amount", "sum"))  # fmt: skip
    order_value = lines.amount.sum() / len(orders)
    weekend = orders.local.dt.day_of_week >= 5
    evening = (orders.local.dt.hour >= 19) | (orders.local.dt.hour < 5)
    returned = -frame[frame.event_type == "return"].groupby("customer_id").amount.sum()
    spent = lines.groupby("customer_id").amount.sum()
    given_back = returned.reindex(spent.index).fillna(0.0).clip(upper=spent)  # more may have been bought before the window
    sold = lines.groupby("category").own_brand.mean()
    choice = lines[lines.category.isin(sold.index[sold.between(0.01, 0.99)])] if sold.between(0.01, 0.99).any() else lines
    shares = {
        "discount_share": lines.discount.sum() / (lines.amount + lines.discount).sum(),
        "own_brand_share": choice.amount[choice.own_brand].sum() / choice.amount.sum(),
        "return_share": given_back.sum() / spent.sum(),
    }
    found = {}
    for customer, mine in orders.groupby("customer_id"):
        bought, chosen = lines[lines.customer_id == customer], choice[choice.customer_id == customer]
        paid, days = mine.amount.sum(), np.sort(mine.days_ago.unique())[::-1]
        gaps = -np.diff(days)
        weight, back = prior * order_value, returned.get(customer, 0.0)
        late = mine.amount[mine.days_ago <= WINDOW.days // 2].sum()
        month = frame[(frame.customer_id == customer) & frame.event_type.isin(["order", "return"]) & (frame.days_ago <= 28)]
        row = {
            "recency_days": days.min(), "order_count": len(mine), "orders_last_28": (mine.days_ago <= 28).sum(),
            "active_weeks": len({(d - 1) // 7 for d in days}), "gap_days_mean": gaps.mean() if len(gaps) else np.nan,
            "gap_days_cv": gaps.std(ddof=1) / gaps.mean() if len(gaps) > 1 else np.nan, "net_revenue": paid - back,
            "revenue_last_28": month.amount.sum(), "aov": paid / len(mine), "revenue_trend": (late - (paid - late)) / paid,
            "lines_per_order": len(bought) / len(mine), "line_value": paid / len(bought),
            "weekend_share": (weekend[mine.index].sum() + prior * weekend.mean()) / (len(mine) + prior),
            "evening_share": (evening[mine.index].sum() + prior * evening.mean()) / (len(mine) + prior),
            "discount_share": (bought.discount.sum() + weight * shares["discount_share"]) / (paid + bought.discount.sum() + weight),
            "own_brand_share": (chosen.amount[chosen.own_brand].sum() + weight * shares["own_brand_share"]) / (chosen.amount.sum() + weight),
            "return_share": (given_back[customer] + weight * shares["return_share"]) / (paid + weight), "category_count": bought.category.nunique(),
        }  # fmt: skip
        for category in ("X", "Y", "Z"):
            base = lines.amount[lines.category == category].sum() / lines.amount.sum()
            mine_in = bought.amount[bought.category == category].sum()
            row[f"category_{category.lower()}_share"] = (mine_in + weight * base) / (paid + weight)
        found[customer] = row
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("customer_id")


@few
@given(generated_orders(45, -3, orders=60))
def test_the_engine_equals_a_plain_computation(rows):
    plan, frame = build([order("a", "2024-03-20T10:00", "first", 10, "X", discount=1), *rows])
    plain = plain_features([order("a", "2024-03-20T10:00", "first", 10, "X", discount=1), *rows], SETTINGS.prior_orders)
    computed = frame.set_index("customer_id")
    common = [c for c in plain if c in computed]
    assert len(common) >= 15
    assert list(computed.index) == sorted(plain.index)
    plain = plain.loc[computed.index, common].astype(float)
    pd.testing.assert_frame_equal(computed[common], plain, check_exact=False, rtol=1e-9, atol=1e-12, check_index_type=False)
    assert computed.filter(regex="_share$").drop(columns="return_share", errors="ignore").stack().between(0, 1).all()


@pytest.mark.parametrize("prior", [0.0, 5.0])
def test_a_free_order_breaks_nothing(prior):
    rows = [order("a", "2024-04-01T10:00", "free", 0, discount=0), order("b", "2024-04-02T10:00", "paid", 10, discount=1)]
    frame = fetch(purchases.purchase_features(*inside(rows), WINDOW, prior)).set_index("customer_id")
    assert frame.aov["a"] == 0
    assert not np.isinf(frame.to_numpy(float)).any()
