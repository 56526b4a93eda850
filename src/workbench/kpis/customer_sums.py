"""What every KPI is made of: exact sums per customer, in the period and in the equal period before it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import ibis
import ibis.expr.types as ir
import pandas as pd

from workbench.core.contacts import contacts_per_week
from workbench.core.engine import fetch, fetch_row, local_time
from workbench.core.event_types import CART, ENGAGED, LOOKED, WEB_OR_APP
from workbench.core.subscriptions import count_contracts
from workbench.kpis.period import Period

ATTRIBUTION_DAYS = 14

# Columns that stand or fall with one kind of record; without such a record the column is absent, never 0.
COLUMNS = {
    "orders": ("orders", "gross", "revenue", "active", "repeat"),
    "history": ("orders_before", "gross_before", "revenue_before", "active_before", "is_new"),
    "categories": ("new_category",),
    "costs": ("margin", "lines", "cost_lines"),
    "engagement": ("engaged",),
    "visits": ("visitor",),
    "interest": ("looked",),
    "carts": ("carted",),
    "tickets": ("tickets",),
    "campaigns": ("campaigns_sent",),
    "redemptions": ("campaigns_responded",),
    "discounts": ("attributed_revenue", "attributed_discount"),
    "answers": ("score",),
}


def build_customer_sums(events: ir.Table, customers: Iterable[str], period: Period) -> pd.DataFrame:
    """Events -> frame: customer_id + the columns of COLUMNS that the sources allow, one row per given customer, sorted.

    Money is summed exactly on the engine. Nothing at or after as_of is read, machine-made events are left out, an order
    without an id is one order per moment, returns are deducted from revenue but not from `gross`. Flags are 0 or 1;
    `score` (last answer of the period, 0-10) is missing where nobody answered. A kind of record that does not occur in
    the period takes its columns with it: a silent source and a stopped one look alike.
    """
    past = _past(events, period)
    present = _present(past, period)
    parts = [
        _purchases(past, period),
        _categories(past),
        _actions(past),
        _campaigns(past),
        _attributed(past, period),
        _answers(past),
    ]
    table = past.select("customer_id").distinct()
    for part in parts:
        table = table.left_join(part, "customer_id").drop("customer_id_right")
    wanted = [c for group, columns in COLUMNS.items() if group in present for c in columns]
    found = fetch(table.select("customer_id", **{c: table[c].cast("float64") for c in wanted}))
    ids = pd.DataFrame({"customer_id": pd.Series(sorted(set(customers)), dtype="str")})
    frame = ids.merge(found, on="customer_id", how="left", validate="one_to_one")
    zero = [c for c in wanted if c != "score"]
    return frame.assign(**{c: frame[c].fillna(0.0) for c in zero})


def sum_ad_spend(events: ir.Table, period: Period) -> float | None:
    """Events -> advertising cost of the period in money; None where no such cost is recorded."""
    ads = events.filter(events.event_type == "ad_spend", events.occurred_at >= period.start, events.occurred_at < period.end)
    return fetch_row(ads.agg(cost=ads.cost.sum().cast("float64")))["cost"]


def count_contacts(events: ir.Table, as_of: dt.date) -> pd.DataFrame:
    """Events -> customer_id, running: how many contacts per week the company makes today, of those whom it contacts."""
    return fetch(contacts_per_week(events, as_of))


def with_expected_spend(sums: pd.DataFrame, predictions: pd.DataFrame | None) -> pd.DataFrame:
    """Sums + predictions (customer_id, future_spend) -> sums with `expected_spend`; unchanged where there are no predictions."""
    if predictions is None or "future_spend" not in predictions:
        return sums
    expected = predictions.set_index("customer_id").future_spend
    return sums.assign(expected_spend=sums.customer_id.map(expected).astype("float64"))


def with_contracts(sums: pd.DataFrame, events: ir.Table, period: Period) -> pd.DataFrame:
    """Sums + events -> sums with `bound` and `bound_before`; unchanged where the sources know no contracts.

    1 where a contract runs when the period ends, or begins, 0 where none does; missing for customers who never had one.
    """
    contracts = count_contracts(events, pd.Timestamp(period.end), period.days)
    if contracts.empty:
        return sums
    running = {"bound": contracts.running, "bound_before": contracts.running_before}
    flags = {name: sums.customer_id.map((count > 0).astype("float64")) for name, count in running.items()}
    return sums.assign(**flags)


def _past(events: ir.Table, period: Period) -> ir.Table:
    """Customers' own events before as_of, with `now` (in the period) and `earlier` (in the one before)."""
    past = events.filter(events.customer_id.notnull(), events.occurred_at < period.end, ~events.machine.fill_null(False))
    at = past.occurred_at
    return past.mutate(now=at >= period.start, earlier=(at >= period.before_start) & (at < period.start))


def _present(past: ir.Table, period: Period) -> set[str]:
    """Which groups of COLUMNS the records allow."""
    is_order, kind = past.now & (past.event_type == "order"), past.event_type
    counts = fetch_row(
        past.agg(
            orders=past.count(where=is_order),
            history=past.count(where=(kind == "order") & (past.occurred_at < period.covered_from)),
            # Categories and costs are compared between periods or summed up: they count only on lines of the period.
            categories=past.count(where=is_order & past.category.notnull()),
            costs=past.count(where=is_order & past.cost.notnull()),
            discounts=past.count(where=is_order & past.discount.notnull()),
            engagement=past.count(where=past.now & kind.isin(ENGAGED)),
            visits=past.count(where=past.now & kind.isin(WEB_OR_APP)),
            interest=past.count(where=past.now & kind.isin(LOOKED)),
            carts=past.count(where=past.now & kind.isin(CART)),
            tickets=past.count(where=past.now & (kind == "ticket")),
            campaigns=past.count(where=past.now & (kind == "campaign_sent") & past.campaign_id.notnull()),
            redemptions=past.count(where=past.now & (kind == "coupon_redeemed")),
            answers=past.count(where=past.now & _is_answer(past)),
        )
    )
    present = {name for name, count in counts.items() if count > 0}
    present -= {"categories"} if "history" not in present else set()
    return present - ({"discounts"} if "redemptions" not in present else set())


def _purchases(past: ir.Table, period: Period) -> ir.Table:
    lines = past.filter(past.event_type.isin(["order", "return"]))
    lines = lines.mutate(
        is_order=lines.event_type == "order",
        known=lines.amount.notnull() & lines.cost.notnull(),
        order=ibis.coalesce(lines.order_id, lines.occurred_at.cast("string")),
        # Only lines of the period need a calendar day; conversion of a whole year would double the time.
        day=ibis.cases((lines.now, local_time(lines.occurred_at, period.zone).date()), else_=None),
    )
    bought, bought_before = lines.now & lines.is_order, lines.earlier & lines.is_order
    per = lines.group_by("customer_id").agg(
        orders=lines.order.nunique(where=bought),
        orders_before=lines.order.nunique(where=bought_before),
        order_days=lines.day.nunique(where=bought),
        gross=lines.amount.sum(where=bought),
        revenue=lines.amount.sum(where=lines.now),
        gross_before=lines.amount.sum(where=bought_before),
        revenue_before=lines.amount.sum(where=lines.earlier),
        lines=lines.count(where=lines.now),
        cost_lines=lines.count(where=lines.now & lines.known),
        margin=(lines.amount - lines.cost).sum(where=lines.now & lines.known),
        first_order=lines.occurred_at.min(where=lines.is_order),
    )
    flags = {
        "active": per.orders > 0,
        "active_before": per.orders_before > 0,
        "repeat": per.order_days > 1,
        "is_new": per.first_order >= period.start,
    }
    return per.mutate(**flags).drop("first_order", "order_days")


def _categories(past: ir.Table) -> ir.Table:
    lines = past.filter(past.event_type == "order", past.category.notnull(), past.now | past.earlier)
    bought = lines.group_by("customer_id", "category").agg(now=lines.now.any(), earlier=lines.earlier.any())
    return bought.group_by("customer_id").agg(new_category=(bought.now & ~bought.earlier).any())


def _actions(past: ir.Table) -> ir.Table:
    acted = past.filter(past.now, past.event_type.isin({*ENGAGED, *WEB_OR_APP, "ticket"}))
    kind = acted.event_type
    return acted.group_by("customer_id").agg(
        engaged=kind.isin(ENGAGED).any(),
        visitor=kind.isin(WEB_OR_APP).any(),
        looked=kind.isin({*LOOKED, *CART}).any(),  # who fills a cart has looked
        carted=kind.isin(CART).any(),
        tickets=acted.count(where=kind == "ticket"),
    )


def _campaigns(past: ir.Table) -> ir.Table:
    """Campaigns first sent in the period; a response is a redemption of the same campaign at or after that moment."""
    told = past.filter(past.now, past.campaign_id.notnull(), past.event_type.isin(["campaign_sent", "coupon_redeemed"]))
    per = told.group_by("customer_id", "campaign_id").agg(
        sent=told.occurred_at.min(where=told.event_type == "campaign_sent"),
        redeemed=told.occurred_at.max(where=told.event_type == "coupon_redeemed"),
    )
    return per.group_by("customer_id").agg(
        campaigns_sent=per.sent.count(), campaigns_responded=per.count(where=per.redeemed >= per.sent)
    )


def _attributed(past: ir.Table, period: Period) -> ir.Table:
    """Revenue and discount on the calendar days that follow a redemption, its own day included; each day counts once."""
    mine = past.filter(past.now, past.event_type.isin(["order", "coupon_redeemed"]))
    mine = mine.mutate(
        day=ibis.date(period.as_of.isoformat()).delta(local_time(mine.occurred_at, period.zone).date(), unit="day").cast("int64")
    )
    bought = mine.event_type == "order"
    days = mine.group_by("customer_id", "day").agg(
        revenue=mine.amount.sum(where=bought),
        off=mine.discount.sum(where=bought),
        redeemed=(~bought).cast("int64").max(),
    )
    # A window and no join: a join on "at most 14 days later" compares all pairs of rows. `day` counts backwards from as_of, so
    # earlier days are larger and follow.
    before = ibis.range_window(preceding=0, following=ATTRIBUTION_DAYS - 1, group_by=days.customer_id, order_by=days.day)
    follows = days.mutate(since=days.redeemed.max().over(before))
    follows = follows.filter(follows.since == 1)
    return follows.group_by("customer_id").agg(attributed_revenue=follows.revenue.sum(), attributed_discount=follows.off.sum())


def _answers(past: ir.Table) -> ir.Table:
    answers = past.filter(past.now, _is_answer(past))
    place = ibis.rank().over(ibis.window(group_by=answers.customer_id, order_by=answers.occurred_at.desc()))
    latest = answers.mutate(place=place)
    latest = latest.filter(latest.place == 0)
    # Two answers at one moment: the worse one, so that the order of rows never shows.
    return latest.group_by("customer_id").agg(score=latest.score.min())


def _is_answer(past: ir.Table) -> ir.BooleanValue:
    return (past.event_type == "survey") & past.score.between(0, 10)
