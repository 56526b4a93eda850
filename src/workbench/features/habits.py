"""Habits of buying: how long they have been customers, what they buy again, when in the year, and what an item costs them."""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from workbench.core.engine import MONEY, local_time
from workbench.features.catalog import Feature
from workbench.features.purchases import order_lines, ratio, shrunk, shrunk_shares
from workbench.features.window import Window, days_before

SEASONS = {"spring": (3, 4, 5), "summer": (6, 7, 8), "autumn": (9, 10, 11), "winter": (12, 1, 2)}
WIDE = dt.Decimal(19, 4)  # a product of two decimals of 18 digits would overflow
YEAR = 365  # a season is a habit only where the window has seen all four

TENURE = Feature("tenure_days", "tenure", "days", "days since the first order known", "were first seen earlier than others", "were first seen later than others", "timing", "days as a customer")  # fmt: skip
ORDER_VALUES = (
    Feature("order_value_cv", "order", "ratio", "standard deviation of order values over their mean", "place orders of very different size", "place orders of much the same size", "offer", "spread of order values"),
    Feature("large_order_share", "order", "share", "share of orders above twice the average order value of all customers, shrunk", "place very large orders more often than others", "place very large orders less often than others", "offer", "very large orders"),
    Feature("overdue_ratio", "cadence", "ratio", "days since the last order over the customer's mean days between orders", "are later than others by their own rhythm", "are earlier than others by their own rhythm", "timing", "time since the last order, in own rhythms"),
)  # fmt: skip
REPEATS = (
    Feature("item_count", "variety", "items", "different items bought", "buy many different items", "buy few different items", "product", "items bought"),
    Feature("repurchase_share", "variety", "share", "share of order lines with an item of an earlier order in the window, shrunk", "buy the same items again more often than others", "buy the same items again less often than others", "product", "items bought again"),
)  # fmt: skip
SEASONAL = tuple(
    Feature(f"{season}_share", "season", "share", f"share of orders in {season} (northern months), shrunk", f"order in {season} more often than others", f"order in {season} less often than others", "timing", f"orders in {season}")
    for season in SEASONS
)  # fmt: skip
MARGIN = (
    Feature("margin", "value", "money", "revenue less cost of the lines whose cost is known", "leave a large margin", "leave a small margin", "price", "margin"),
    Feature("margin_rate", "value", "share", "margin over revenue of the lines whose cost is known, shrunk", "buy what leaves a higher margin", "buy what leaves a lower margin", "price", "margin rate"),
)  # fmt: skip
SPREAD = 1.0  # standard deviation of the logarithms (to base 10) of a category's prices
PRICE_TIER = Feature("price_tier", "price", "rank", "mean rank (0 to 1) of the bought items' unit price within their category, by revenue, shrunk; categories of mixed units left out", "choose dearer items of a category than others", "choose cheaper items of a category than others", "price", "price tier")  # fmt: skip


def habit_catalog(columns: frozenset[str], days: int) -> list[Feature]:
    """The declarations that the sources allow; columns: which of item, cost, quantity and category order lines carry."""
    declared = [TENURE, *ORDER_VALUES]
    declared += REPEATS if "item" in columns else ()
    declared += SEASONAL if days >= YEAR else ()
    declared += MARGIN if "cost" in columns else ()
    return declared + ([PRICE_TIER] if {"item", "quantity", "category"} <= columns else [])


def habit_features(
    events: ir.Table, happened: ir.Table, bought: ir.Table, window: Window, prior: float, columns: frozenset[str], days: int
) -> ir.Table:
    """events: all; happened: those in the window; bought: their orders; days: of the planned window -> customer_id + the features of `habit_catalog`; customers with an order."""
    lines = order_lines(happened)
    parts = [_order_values(bought, prior), tenure(events, window)]
    if "item" in columns:
        parts.append(_repeats(lines, prior))
    if days >= YEAR:
        parts.append(_seasons(bought, prior))
    if "cost" in columns:
        parts.append(_margins(lines, bought, prior))
    if {"item", "quantity", "category"} <= columns:
        parts.append(_price_tier(lines, bought, prior))
    table = bought.select("customer_id").distinct()
    for part in parts:
        table = table.left_join(part, "customer_id").drop("customer_id_right")
    return table


def tenure(events: ir.Table, window: Window) -> ir.Table:
    """All events -> customer_id, tenure_days: days from the day of the first order known to the window's as_of."""
    first = events.filter(events.customer_id.notnull(), events.event_type == "order", events.occurred_at < window.end)
    first = first.group_by("customer_id").agg(first=first.occurred_at.min())
    return first.select(
        "customer_id", tenure_days=days_before(window.as_of, local_time(first["first"], window.zone)).cast("float64")
    )


def _order_values(bought: ir.Table, prior: float) -> ir.Table:
    valued = bought.select("customer_id", "days_ago", value=bought.amount)
    typical = valued.agg(typical=ratio(valued.value.sum(), valued.count()))
    valued = valued.cross_join(typical)
    per = valued.group_by("customer_id").agg(
        n=valued.count(),
        large_order_share=(valued.value.cast("float64") > 2 * valued.typical).cast("int64").sum(),
        total=valued.value.sum().cast("float64"),
        squares=(valued.value.cast(WIDE) * valued.value)
        .sum()
        .cast("float64"),  # sums of decimals are exact, whatever the order of rows
        recency=valued.days_ago.min(),
        span=valued.days_ago.max() - valued.days_ago.min(),
        days=valued.days_ago.nunique(),
    )
    mean = per.total / per.n
    variance = ibis.greatest((per.squares - per.n * mean * mean) / (per.n - 1).nullif(0), 0.0)
    rhythm = per.span.cast("float64") / (per.days - 1).nullif(0)
    own = per.select(
        "customer_id",
        order_value_cv=ibis.cases(((mean > 0) & (per.n >= 2), variance.sqrt() / mean.nullif(0)), else_=None),
        overdue_ratio=per.recency / rhythm.nullif(0),
    )
    large = shrunk_shares(per.select("customer_id", "n", "large_order_share"), ["large_order_share"], "n", prior)
    return own.left_join(large, "customer_id").drop("customer_id_right")


def _repeats(lines: ir.Table, prior: float) -> ir.Table:
    bought = lines.filter(lines.event_type == "order", lines.item.notnull())
    # A line repeats when its item was bought at an earlier moment: all moments of an item but the first.
    moments = bought.group_by("customer_id", "item", "occurred_at").agg(n=bought.count())
    items = moments.group_by("customer_id", "item").agg(n=moments.n.sum(), first=moments.n.argmin(moments.occurred_at))
    per = items.group_by("customer_id").agg(
        item_count=items.count().cast("float64"), n=items.n.sum(), repurchase_share=(items.n - items["first"]).sum()
    )
    shares = shrunk_shares(per, ["repurchase_share"], "n", prior)
    return per.select("customer_id", "item_count").left_join(shares, "customer_id").drop("customer_id_right")


def _seasons(bought: ir.Table, prior: float) -> ir.Table:
    month = bought.local.month()
    counted = bought.mutate(**{f"{name}_share": month.isin(list(months)).cast("int64") for name, months in SEASONS.items()})
    names = [f"{name}_share" for name in SEASONS]
    per = counted.group_by("customer_id").agg(n=counted.count(), **{name: counted[name].sum() for name in names})
    return shrunk_shares(per, names, "n", prior)


def _margins(lines: ir.Table, bought: ir.Table, prior: float) -> ir.Table:
    known = lines.filter(lines.cost.notnull(), lines.event_type == "order")
    per = known.group_by("customer_id").agg(paid=known.amount.sum(), left=(known.amount - known.cost).sum())
    base = per.agg(base=ratio(per.left.sum(), per.paid.sum()))
    weight = bought.agg(order_value=ratio(bought.amount.sum(), bought.count()))
    table = per.cross_join(base).cross_join(weight)
    return table.select(
        "customer_id",
        margin=table.left.cast("float64"),
        margin_rate=shrunk(table.left, table.paid, table.base, prior * table.order_value),
    )


def _price_tier(lines: ir.Table, bought: ir.Table, prior: float) -> ir.Table:
    known = lines.filter(
        lines.event_type == "order", lines.item.notnull(), lines.category.notnull(), lines.quantity > 0, lines.amount > 0
    )
    items = known.group_by("category", "item").agg(price=ratio(known.amount.sum(), known.quantity.sum()))
    # Prices that differ a hundredfold and more are of different units, such as litres beside pieces: no tier can be told there.
    spread = items.price.log10().std(how="pop").over(ibis.window(group_by=items.category))
    items = items.mutate(spread=spread).filter(lambda t: t.spread <= SPREAD)
    # Items of one price share a rank: ties must not depend on the order of rows.
    rank = ibis.percent_rank().over(ibis.window(group_by=items.category, order_by=items.price))
    alone = items.count().over(ibis.window(group_by=items.category)) == 1  # neither dear nor cheap
    items = items.select("category", "item", rank=ibis.cases((alone, 0.5), else_=rank).cast(MONEY))
    spent = known.group_by("customer_id", "category", "item").agg(paid=known.amount.sum().cast(MONEY))
    ranked = spent.inner_join(items, ["category", "item"])
    per = ranked.group_by("customer_id").agg(whole=ranked.paid.sum(), part=(ranked.paid.cast(WIDE) * ranked["rank"]).sum())
    table = per.cross_join(per.agg(base=ratio(per.part.sum(), per.whole.sum())))
    table = table.cross_join(bought.agg(order_value=ratio(bought.amount.sum(), bought.count())))
    tier = shrunk(table.part, table.whole, table.base, prior * table.order_value)
    return table.select("customer_id", price_tier=tier)
