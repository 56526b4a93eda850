"""Outcomes: what one horizon brought, from the same declarations. The only reader of what comes after as_of."""

from __future__ import annotations

from collections.abc import Collection

import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from workbench.core.event_types import NOT_OWN_ACTIONS, PURCHASES
from workbench.features.affinity import share_feature
from workbench.features.purchases import order_lines, orders

SCORE = dt.Decimal(18, 6)  # sums of decimals are exact, whatever the order of rows


COUNTS = ("future_spend", "future_orders", "future_redeemed", "future_engaged_days", "future_tickets")


def outcome_table(happened: ir.Table, categories: list[str], columns: set[str], types: Collection[str]) -> ir.Table:
    """Events in the horizon -> customer_id + future_* columns, one row per customer with an event there.

    columns: which of discount, own_brand, category the sources carry; types: event types there are. Shares, order value,
    variety and the survey score stay missing for customers who did not order or answer; absent rows mean none of COUNTS.
    """
    lines = order_lines(happened)
    bought = lines.filter(lines.event_type == "order")
    placed = orders(lines)
    spend = lines.group_by("customer_id").agg(future_spend=lines.amount.sum().cast("float64"))
    visits = placed.group_by("customer_id").agg(
        future_orders=placed.count().cast("float64"), gross=placed.amount.sum().cast("float64")
    )
    sums = {}
    if "own_brand" in columns:
        sums["future_own_brand_share"] = bought.amount.sum(where=bought.own_brand).fill_null(0)
    if "discount" in columns:
        sums["future_discount_share"] = bought.discount.sum().fill_null(0)
    for category in categories:
        sums[f"future_{share_feature('category', category)}"] = bought.amount.sum(where=bought.category == category).fill_null(0)
    variety = {"future_variety": bought.category.nunique().cast("float64")} if "category" in columns else {}
    per = bought.group_by("customer_id").agg(paid=bought.amount.sum().cast("float64"), **variety, **sums)
    table = (
        spend.left_join(visits, "customer_id").drop("customer_id_right").left_join(per, "customer_id").drop("customer_id_right")
    )
    table = table.select(
        "customer_id",
        "future_spend",
        "future_orders",
        *variety,
        future_aov=table.gross / table.future_orders,
        **_shares(table, sums),
    )
    others = _besides_buying(happened, types)
    if others is None:
        return table
    both = table.outer_join(others, "customer_id")
    return both.mutate(customer_id=both.customer_id.fill_null(both.customer_id_right)).drop("customer_id_right")


def _besides_buying(happened: ir.Table, types: Collection[str]) -> ir.Table | None:
    """Redemptions, own actions on distinct days, tickets and the mean survey score; None where no source tells of any."""
    made, there = {}, set(types)
    if "coupon_redeemed" in there:
        made["future_redeemed"] = (happened.event_type == "coupon_redeemed").cast("float64").max()
    if own := sorted(there - {*NOT_OWN_ACTIONS, *PURCHASES, "coupon_redeemed", "ticket"}):
        by_people = happened.event_type.isin(own) & ~happened.machine.fill_null(False)
        made["future_engaged_days"] = happened.days_ago.nunique(where=by_people).cast("float64")
    if "ticket" in there:
        made["future_tickets"] = happened.count(where=happened.event_type == "ticket").cast("float64")
    if "survey" in there:
        answered = (happened.event_type == "survey") & happened.score.notnull()
        total = happened.score.cast(SCORE).sum(where=answered).cast("float64")
        made["future_score"] = total / happened.count(where=answered).nullif(0)
    return happened.group_by("customer_id").agg(**made) if made else None


def _shares(table: ir.Table, sums: dict) -> dict:
    shares = {}
    for name in sums:
        part = table[name].cast("float64")
        if name == "future_discount_share":
            shares[name] = part / (table.paid + part).nullif(0)
        else:
            shares[name] = part / table.paid.nullif(0)
    return shares
