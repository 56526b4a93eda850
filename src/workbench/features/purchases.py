"""Purchase behaviour and value: recency, frequency, value, make-up of orders, cadence, trend, daypart, discount use, returns."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from workbench.core.engine import fetch
from workbench.features.catalog import Feature
from workbench.features.window import Window

RIVALS = 0.01  # of a category's lines
DAYPARTS = {"morning": (5, 11), "midday": (11, 15), "afternoon": (15, 19), "evening": (19, 29)}

BEHAVIOUR = (
    Feature("recency_days", "recency", "days", "days since the last order", "have not ordered for a while", "ordered very recently", "timing", "days since the last order"),
    Feature("order_count", "frequency", "orders", "orders in the window", "order often", "order rarely", "timing", "orders"),
    Feature("orders_last_28", "frequency", "orders", "orders in the last 28 days", "ordered often in the last four weeks", "ordered little in the last four weeks", "timing", "orders of the last four weeks"),
    Feature("active_weeks", "frequency", "weeks", "different weeks with an order", "order in many weeks", "order in few weeks", "timing", "weeks with an order"),
    Feature("gap_days_mean", "cadence", "days", "mean days between days with an order", "leave long gaps between orders", "come back quickly", "timing", "days between orders"),
    Feature("gap_days_cv", "cadence", "ratio", "standard deviation of those days over their mean", "order at irregular intervals", "order at regular intervals", "timing", "irregularity"),
    Feature("net_revenue", "value", "money", "revenue in the window, returns deducted", "spend a lot", "spend little", "offer", "revenue"),
    Feature("revenue_last_28", "value", "money", "revenue in the last 28 days", "spent a lot in the last four weeks", "spent little in the last four weeks", "offer", "revenue of the last four weeks"),
    Feature("aov", "value", "money", "average order value: revenue over orders, returns not deducted", "place large orders", "place small orders", "offer", "order value"),
    Feature("revenue_trend", "trend", "share", "revenue of the window's second half less the first half, over both", "spent more lately than before", "spent less lately than before", "timing", "change in spending"),
    Feature("lines_per_order", "order", "lines", "order lines per order", "order many items at once", "order few items at once", "product", "items per order"),
    Feature("line_value", "order", "money", "revenue per order line", "spend much per item", "spend little per item", "price", "revenue per item"),
    Feature("weekend_share", "daypart", "share", "share of orders on Saturday or Sunday, shrunk", "order on weekends", "order on working days", "timing", "weekend orders"),
    *(
        Feature(f"{part}_share", "daypart", "share", f"share of orders from {a} to {b % 24} o'clock, shrunk", f"order in the {part}" if part != "midday" else "order around noon", f"seldom order in the {part}" if part != "midday" else "seldom order around noon", "timing", f"{part} orders")
        for part, (a, b) in DAYPARTS.items()
    ),
)  # fmt: skip
DISCOUNT = (
    Feature("discount_share", "price", "share", "money off over the undiscounted value, shrunk", "buy on discount more than others", "take less discount than others", "price", "discount share"),
)  # fmt: skip
OWN_BRAND = (
    Feature("own_brand_share", "price", "share", "share of the company's own brand in the revenue of categories that sell other brands too, shrunk", "buy the own brand more than others", "buy the own brand less than others", "product", "own-brand share"),
)  # fmt: skip
RETURNS = (
    Feature("return_share", "returns", "share", "money returned over money spent, shrunk", "return a lot", "return little", "service", "return share"),
)  # fmt: skip


def order_lines(events: ir.Table) -> ir.Table:
    """The events that are purchases or returns; lines without an order id belong together when they share the moment."""
    lines = events.filter(events.event_type.isin(["order", "return"]))
    return lines.mutate(order_id=ibis.coalesce(lines.order_id, lines.occurred_at.cast("string")))


def orders(lines: ir.Table) -> ir.Table:
    """Order lines -> one row per customer and order: local, days_ago, amount, lines."""
    bought = lines.filter(lines.event_type == "order")
    return bought.group_by("customer_id", "order_id").agg(
        local=bought.local.min(), days_ago=bought.days_ago.max(), amount=bought.amount.sum(), lines=bought.count()
    )


def purchase_catalog(columns: frozenset[str]) -> list[Feature]:
    """The declarations that the sources allow; columns: which of lines, clock, discount, own_brand and return there are."""
    hidden = set() if "lines" in columns else {"lines_per_order", "line_value"}
    hidden |= set() if "clock" in columns else {f.feature for f in BEHAVIOUR if f.family == "daypart"}
    declared = [f for f in BEHAVIOUR if f.feature not in hidden]
    more = {"discount": DISCOUNT, "own_brand": OWN_BRAND, "return": RETURNS}
    return declared + [f for name, features in more.items() if name in columns for f in features]


def own_brand_rivals(happened: ir.Table) -> tuple[str, ...]:
    """The categories that sell the company's own brand and others, each for at least 1 % of their lines; elsewhere nobody chooses."""
    lines = happened.filter(happened.event_type == "order", happened.category.notnull())
    shared = lines.group_by("category").agg(own=lines.own_brand.fill_null(False).cast("float64").mean())
    return tuple(fetch(shared.filter(shared.own.between(RIVALS, 1 - RIVALS)).order_by("category")).category)


def purchase_features(happened: ir.Table, window: Window, prior: float, rivals: tuple[str, ...] = ()) -> ir.Table:
    """Events in the window -> customer_id + the features of BEHAVIOUR, DISCOUNT, OWN_BRAND and RETURNS; customers with an order.

    rivals: categories in which own brand and others are a choice (see `own_brand_rivals`); none: all lines are.
    """
    lines = order_lines(happened)
    bought = orders(lines)
    table = _counts(bought, lines, window)
    for part in (_cadence(bought), _dayparts(bought, prior), _prices(lines, bought, prior, rivals)):
        table = table.left_join(part, "customer_id").drop("customer_id_right")
    return table


def _counts(bought: ir.Table, lines: ir.Table, window: Window) -> ir.Table:
    late = bought.days_ago <= window.days // 2
    per = bought.group_by("customer_id").agg(
        recency_days=bought.days_ago.min().cast("float64"),
        order_count=bought.count().cast("float64"),
        orders_last_28=bought.count(where=bought.days_ago <= 28).cast("float64"),
        active_weeks=((bought.days_ago - 1) // 7).nunique().cast("float64"),
        late=bought.amount.sum(where=late).fill_null(0).cast("float64"),
        gross=bought.amount.sum().cast("float64"),
        lines=bought.lines.sum().cast("float64"),
    )
    money = lines.group_by("customer_id").agg(
        net_revenue=lines.amount.sum().cast("float64"),
        known=lines.amount.count(),
        lately=lines.amount.sum(where=lines.days_ago <= 28).fill_null(0).cast("float64"),
    )
    # Nothing spent lately is 0; amounts that nobody wrote down are not.
    money = money.select("customer_id", "net_revenue", revenue_last_28=ibis.cases((money.known > 0, money.lately), else_=None))
    joined = per.inner_join(money, "customer_id")
    return joined.select(
        "customer_id", "recency_days", "order_count", "orders_last_28", "active_weeks", "net_revenue", "revenue_last_28",
        aov=joined.gross / joined.order_count,
        revenue_trend=(2 * joined.late - joined.gross) / joined.gross.nullif(0),
        lines_per_order=joined.lines / joined.order_count,
        line_value=joined.gross / joined.lines,
    )  # fmt: skip


def _cadence(bought: ir.Table) -> ir.Table:
    days = bought.select("customer_id", "days_ago").distinct()
    gaps = days.mutate(
        gap=days.days_ago.lag().over(ibis.window(group_by=days.customer_id, order_by=days.days_ago.desc())) - days.days_ago
    )
    # Sums of whole days and of their squares are exact, so the result does not depend on the order of rows.
    sums = gaps.group_by("customer_id").agg(
        n=gaps.gap.count().cast("float64"),
        total=gaps.gap.sum().cast("float64"),
        squares=(gaps.gap * gaps.gap).sum().cast("float64"),
    )
    mean = sums.total / sums.n.nullif(0)
    variance = (sums.squares - sums.n * mean * mean) / (sums.n - 1).nullif(0)
    enough = sums.n >= 2
    return sums.select(
        "customer_id",
        gap_days_mean=mean,
        gap_days_cv=ibis.cases((enough, ibis.greatest(variance, 0.0).sqrt() / mean), else_=None),
    )


def _dayparts(bought: ir.Table, prior: float) -> ir.Table:
    hour = bought.local.hour()
    parts = {"weekend_share": bought.local.day_of_week.index() >= 5}
    for part, (start, end) in DAYPARTS.items():
        inside = (hour >= start) & (hour < end)
        parts[f"{part}_share"] = inside | (hour < end - 24) if end > 24 else inside
    counted = bought.mutate(**{name: flag.cast("int64") for name, flag in parts.items()})
    per = counted.group_by("customer_id").agg(n=counted.count(), **{name: counted[name].sum() for name in parts})
    return shrunk_shares(per, list(parts), "n", prior)


def _prices(lines: ir.Table, bought: ir.Table, prior: float, rivals: tuple[str, ...]) -> ir.Table:
    is_order = lines.event_type == "order"
    is_choice = is_order & lines.category.isin(rivals) if rivals else is_order
    zero = ibis.literal(0).cast(lines.amount.type())
    per = lines.group_by("customer_id").agg(
        paid=lines.amount.sum(where=is_order),
        returned=(-lines.amount).sum(where=~is_order).fill_null(zero),
        off=lines.discount.sum(where=is_order).fill_null(zero),
        chosen=lines.amount.sum(where=is_choice).fill_null(zero),
        own=lines.amount.sum(where=is_choice & lines.own_brand).fill_null(zero),
    )
    per = per.filter(per.paid.notnull())
    # What comes back in the window may have been bought before it.
    per = per.mutate(full=per.paid + per.off, returned=ibis.least(per.returned, ibis.greatest(per.paid, zero)))
    money = bought.amount.sum().cast("float64") / bought.count()
    total = bought.agg(order_value=money)
    names = {"off": ("full", "discount_share"), "own": ("chosen", "own_brand_share"), "returned": ("paid", "return_share")}
    table = per.cross_join(total)
    base = per.agg(
        **{
            f"{part}_base": per[part].sum().cast("float64") / per[whole].sum().cast("float64").nullif(0)
            for part, (whole, _) in names.items()
        }
    )
    table = table.cross_join(base)
    return table.select(
        "customer_id",
        **{
            name: (table[part].cast("float64") + prior * table.order_value * table[f"{part}_base"])
            / (table[whole].cast("float64") + prior * table.order_value).nullif(0)
            for part, (whole, name) in names.items()
        },
    )


def shrunk_shares(per: ir.Table, parts: list[str], whole: str, prior: float) -> ir.Table:
    """Sums per customer -> parts as shares of `whole`, each shrunk to the population's share by `prior` units of `whole`.

    share = (part + prior * base) / (whole + prior): the mean of a Beta posterior whose prior weighs `prior` units. Without a prior
    a share of nothing is missing.
    """
    base = per.agg(**{f"{p}_base": per[p].sum().cast("float64") / per[whole].sum().cast("float64").nullif(0) for p in parts})
    table = per.cross_join(base)
    return table.select(
        "customer_id",
        **{
            p: (table[p].cast("float64") + prior * table[f"{p}_base"]) / (table[whole].cast("float64") + prior).nullif(0)
            for p in parts
        },
    )
