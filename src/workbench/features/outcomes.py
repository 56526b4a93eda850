"""Outcomes: what one horizon brought, from the same declarations. The only reader of what comes after as_of."""

from __future__ import annotations

import ibis.expr.types as ir

from workbench.features.affinity import share_feature
from workbench.features.purchases import order_lines, orders
from workbench.features.window import Window


def outcome_table(events: ir.Table, horizon: Window, categories: list[str], columns: set[str]) -> ir.Table:
    """Events in the horizon -> customer_id + future_* columns, one row per customer with an order or redemption there.

    columns: which of discount, own_brand, coupon_redeemed the sources carry. Shares and order value stay
    missing for customers who did not order; absent rows mean zero spend (filled in by `build_outcomes`).
    """
    happened = horizon.events(events)
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
    per = bought.group_by("customer_id").agg(paid=bought.amount.sum().cast("float64"), **sums)
    table = (
        spend.left_join(visits, "customer_id").drop("customer_id_right").left_join(per, "customer_id").drop("customer_id_right")
    )
    table = table.select(
        "customer_id", "future_spend", "future_orders", future_aov=table.gross / table.future_orders, **_shares(table, sums)
    )
    if "coupon_redeemed" not in columns:
        return table
    redeemed = (
        happened.filter(happened.event_type == "coupon_redeemed").select("customer_id").distinct().mutate(future_redeemed=1.0)
    )
    both = table.outer_join(redeemed, "customer_id")
    return both.mutate(customer_id=both.customer_id.fill_null(both.customer_id_right)).drop("customer_id_right")


def _shares(table: ir.Table, sums: dict) -> dict:
    shares = {}
    for name in sums:
        part = table[name].cast("float64")
        if name == "future_discount_share":
            shares[name] = part / (table.paid + part).nullif(0)
        else:
            shares[name] = part / table.paid.nullif(0)
    return shares
