"""The engine's sums against a plain computation, event by event."""

import datetime as dt
import zoneinfo
from collections import defaultdict

import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kpi_company import EVENTS, PERIOD, event, order, table_of

from workbench.core.event_types import CART, LOOKED
from workbench.kpis.customer_sums import (
    COLUMNS,
    ENGAGED,
    WEB_OR_APP,
    build_customer_sums,
    sum_ad_spend,
)

ZONE = zoneinfo.ZoneInfo(PERIOD.zone)
KINDS = (
    "order",
    "order",
    "order",
    "return",
    "campaign_sent",
    "coupon_redeemed",
    "email_open",
    "checkout",
    "page_view",
    "survey",
    "ticket",
    "search",
    "add_to_cart",
)
# An anchor makes every column present, so that the comparison is never about missing sources.
ANCHOR = [e | {"customer_id": "z"} for e in EVENTS if e["customer_id"] in ("a", "c")] + [event("z", "2024-03-09T10:00", "search")]

events_at_random = st.lists(
    st.builds(
        lambda who, hours, kind, basket, category, cents, off, cost, campaign, score, machine: event(
            who, PERIOD.end - dt.timedelta(hours=hours), kind,
            order_id=basket, category=category, amount=(-cents if kind == "return" else cents) / 100 if kind in ("order", "return") else None,
            discount=off, cost=cost, campaign_id=campaign, score=score, machine=machine,
        ),
        st.sampled_from(["a", "b", "c", None]), st.integers(-48, 70 * 24), st.sampled_from(KINDS), st.sampled_from(["1", "2", None]),
        st.sampled_from(["X", "Y", None]), st.integers(0, 5000), st.sampled_from([None, 0, 3]), st.sampled_from([None, 1, 7]),
        st.sampled_from(["c1", "c2", None]), st.sampled_from([None, 0.0, 6.0, 7.0, 9.0, 11.0]), st.sampled_from([False, False, True, None]),
    ),
    max_size=40,
)  # fmt: skip


def plain_sums(rows, customer):
    """The same sums by loops over one customer's events."""
    mine = [e for e in rows if e["customer_id"] == customer and e["occurred_at"] < PERIOD.end and not e["machine"]]
    now = [e for e in mine if e["occurred_at"] >= PERIOD.start]
    earlier = [e for e in mine if PERIOD.before_start <= e["occurred_at"] < PERIOD.start]
    of = lambda part, *kinds: [e for e in part if e["event_type"] in kinds]  # noqa: E731
    key = lambda e: e["order_id"] or e["occurred_at"].isoformat()  # noqa: E731
    day = lambda e: e["occurred_at"].astimezone(ZONE).date()  # noqa: E731
    money = lambda part, column: float(sum(e[column] or 0 for e in part))  # noqa: E731
    bought, before = of(now, "order"), of(earlier, "order")
    lines = of(now, "order", "return")
    priced = [e for e in lines if e["amount"] is not None and e["cost"] is not None]
    campaigns = defaultdict(lambda: ([], []))
    for e in of(now, "campaign_sent", "coupon_redeemed"):
        if e["campaign_id"]:
            campaigns[e["campaign_id"]][e["event_type"] == "coupon_redeemed"].append(e["occurred_at"])
    redeemed = {day(e) for e in of(now, "coupon_redeemed")}
    follows = [e for e in bought if any(0 <= (day(e) - d).days < 14 for d in redeemed)]
    answers = [e for e in of(now, "survey") if e["score"] is not None and e["score"] <= 10]
    last = max((e["occurred_at"] for e in answers), default=None)
    first = min((e["occurred_at"] for e in of(mine, "order")), default=None)
    return {
        "orders": len({key(e) for e in bought}), "gross": money(bought, "amount"), "revenue": money(lines, "amount"),
        "active": bool(bought), "repeat": len({day(e) for e in bought}) > 1,
        "orders_before": len({key(e) for e in before}), "gross_before": money(before, "amount"), "revenue_before": money(of(earlier, "order", "return"), "amount"),
        "active_before": bool(before), "is_new": first is not None and first >= PERIOD.start,
        "new_category": bool({e["category"] for e in bought} - {e["category"] for e in before} - {None}),
        "margin": money(priced, "amount") - money(priced, "cost"), "lines": len(lines), "cost_lines": len(priced),
        "engaged": bool(of(now, *ENGAGED)), "visitor": bool(of(now, *WEB_OR_APP)),
        "looked": bool(of(now, *LOOKED, *CART)), "carted": bool(of(now, *CART)), "tickets": len(of(now, "ticket")),
        "campaigns_sent": sum(bool(sent) for sent, _ in campaigns.values()),
        "campaigns_responded": sum(bool(sent and got and max(got) >= min(sent)) for sent, got in campaigns.values()),
        "attributed_revenue": money(follows, "amount"), "attributed_discount": money(follows, "discount"),
        "score": min((e["score"] for e in answers if e["occurred_at"] == last), default=float("nan")),
    }  # fmt: skip


@given(events_at_random)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_engine_agrees_with_a_plain_computation(rows):
    found = build_customer_sums(table_of([*rows, *ANCHOR]), ["c", "a", "b", "quiet"], PERIOD)
    wanted = pd.DataFrame([{"customer_id": c} | plain_sums(rows, c) for c in ("a", "b", "c", "quiet")])
    numbers = wanted.drop(columns="customer_id").astype("float64")
    pd.testing.assert_frame_equal(found, wanted[["customer_id"]].join(numbers)[found.columns], rtol=1e-12)
    assert set(found) == {"customer_id", *(c for columns in COLUMNS.values() for c in columns)}


def test_the_period_begins_and_ends_at_local_midnight():
    assert PERIOD.start == dt.datetime(2024, 3, 1, 23, tzinfo=dt.UTC)
    assert PERIOD.end == dt.datetime(2024, 3, 31, 22, tzinfo=dt.UTC)
    assert PERIOD.before_start == dt.datetime(2024, 1, 31, 23, tzinfo=dt.UTC)


def test_one_local_day_is_no_repeat_and_a_known_category_is_not_new():
    one_day = [order("n", "2024-03-10T00:30", "p", "X", 1), order("n", "2024-03-10T22:30", "q", "X", 1)]
    late = [order("m", "2024-03-10T00:30", "p", "X", 1), order("m", "2024-03-10T23:30", "q", "X", 1)]
    before = [order("n", "2024-02-20T10:00", "r", "X", 1), order("m", "2024-02-20T10:00", "r", "Y", 1)]
    sums = build_customer_sums(table_of([*EVENTS, *one_day, *late, *before]), ["m", "n"], PERIOD).set_index("customer_id")
    assert sums.new_category.to_dict() == {"m": 1, "n": 0}
    assert sums.orders.to_dict() == {"m": 2, "n": 2}
    assert sums.repeat.to_dict() == {"m": 1, "n": 0}


def test_ad_spend_counts_only_the_period():
    assert sum_ad_spend(table_of(EVENTS), PERIOD) == 80
    assert sum_ad_spend(table_of([e for e in EVENTS if e["event_type"] != "ad_spend"]), PERIOD) is None


def test_silent_sources_take_their_columns_with_them():
    quiet = [e for e in EVENTS if e["event_type"] == "ticket" or e["occurred_at"].month < 3]
    assert not {"orders", "engaged", "looked", "carted", "score", "margin"} & set(
        build_customer_sums(table_of(quiet), ["a"], PERIOD)
    )


def test_attribution_ends_after_fourteen_days_and_a_response_may_come_at_once():
    told = [event("m", "2024-03-03T12:00", kind, campaign_id="c9") for kind in ("campaign_sent", "coupon_redeemed")]
    bought = [order("m", f"2024-03-{day:02}T12:00", f"o{day}", "X", day, discount=1) for day in (2, 3, 16, 17)]
    sums = build_customer_sums(table_of([*EVENTS, *told, *bought]), ["m"], PERIOD).iloc[0]
    assert (sums.attributed_revenue, sums.attributed_discount) == (3 + 16, 2)
    assert (sums.campaigns_sent, sums.campaigns_responded) == (1, 1)
