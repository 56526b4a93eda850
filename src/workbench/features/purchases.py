"""Purchase behaviour and value: recency, frequency, value, make-up of orders, cadence, trend, daypart, discount use, returns."""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from workbench.core.engine import MONEY, fetch, is_among, materialize
from workbench.features.catalog import Feature
from workbench.features.tally import of_kinds
from workbench.features.window import Window, days_before

RIVALS = 0.01  # of a category's lines
LATELY = 28  # days
DATED = 0.01  # of order lines at midnight sharp: then midnight stands for a date without a time of day
LOOKED_AT = 500_000  # order lines, about: local times are dear
DAYPARTS = {"morning": (5, 11), "midday": (11, 15), "afternoon": (15, 19), "evening": (19, 29)}

BEHAVIOUR = (
    Feature("recency_days", "recency", "days", "days since the last order", "last ordered longer ago than others", "ordered more recently than others", "timing", "days since the last order"),
    Feature("order_count", "frequency", "orders", "orders in the window", "order often", "order rarely", "timing", "orders"),
    Feature("orders_last_28", "frequency", "orders", "orders in the last 28 days", "ordered often in the last four weeks", "ordered little in the last four weeks", "timing", "orders of the last four weeks"),
    Feature("active_weeks", "frequency", "weeks", "different weeks with an order", "order in many weeks", "order in few weeks", "timing", "weeks with an order"),
    Feature("gap_days_mean", "cadence", "days", "mean days between days with an order", "leave long gaps between orders", "come back quickly", "timing", "days between orders"),
    Feature("gap_days_cv", "cadence", "ratio", "standard deviation of those days over their mean", "order at irregular intervals", "order at regular intervals", "timing", "irregularity"),
    Feature("net_revenue", "value", "money", "revenue in the window, returns deducted", "spend a lot", "spend little", "offer", "revenue"),
    Feature("revenue_last_28", "value", "money", "revenue in the last 28 days", "spent a lot in the last four weeks", "spent little in the last four weeks", "offer", "revenue of the last four weeks"),
    Feature("aov", "value", "money", "average order value: revenue over orders, returns not deducted", "place large orders", "place small orders", "offer", "order value"),
    Feature("revenue_trend", "trend", "share", "revenue of the window's second half less the first half, over both", "had a better trend in spending than others", "had a worse trend in spending than others", "timing", "change in spending"),
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


def orders(lines: ir.Table, rivals: tuple[str, ...] = ()) -> ir.Table:
    """Order lines -> one row per customer and order: local (of its first line), amount, lines, off; chosen and own.

    off: money off. chosen: money in the categories `rivals` (none: in all), where own brand and others are a choice (see
    `own_brand_rivals`); own: what of it went to the own brand.
    """
    bought = lines.filter(lines.event_type == "order")
    is_choice = is_among(bought.category, rivals) if rivals else bought.amount.notnull()
    # In 18 digits the engine sums them on in half of the time.
    return bought.group_by("customer_id", "order_id").agg(
        local=bought.local.min(),
        amount=bought.amount.sum().cast(MONEY),
        lines=bought.count(),
        off=bought.discount.sum().cast(MONEY),
        chosen=bought.amount.sum(where=is_choice).cast(MONEY),
        own=bought.amount.sum(where=is_choice & bought.own_brand).cast(MONEY),
    )


def kept_orders(happened: ir.Table, window: Window, rivals: tuple[str, ...] = ()) -> ir.Table:
    """Events in a window -> its orders with days_ago, computed once for all that reads them; until the next window's take their place."""
    placed = orders(order_lines(happened), rivals).drop("order_id")
    placed = placed.mutate(days_ago=days_before(window.as_of, placed.local))
    return materialize(happened.get_backend(), placed, "orders")


def purchase_catalog(columns: frozenset[str]) -> list[Feature]:
    """The declarations that the sources allow; columns: which of lines, clock, hours, discount, own_brand and return there are."""
    hidden = set() if "lines" in columns else {"lines_per_order", "line_value"}
    hidden |= set() if "hours" in columns else {f"{part}_share" for part in DAYPARTS}
    hidden |= set() if "clock" in columns else {f.feature for f in BEHAVIOUR if f.family == "daypart"}
    declared = [f for f in BEHAVIOUR if f.feature not in hidden]
    more = {"discount": DISCOUNT, "own_brand": OWN_BRAND, "return": RETURNS}
    return declared + [f for name, features in more.items() if name in columns for f in features]


def share_dated(tally: pd.DataFrame, happened: ir.Table) -> float:
    """Events with their local time -> share of the order lines at midnight sharp; of many, every n-th customer's."""
    each = max(1, int(of_kinds(tally, "order").events.sum()) // LOOKED_AT)
    lines = happened.filter(happened.event_type == "order", happened.customer_number % each == 0)
    return fetch(lines.agg(share=(lines.local == lines.local.truncate("D")).mean())).fillna(0.0).share[0]


def own_brand_rivals(tally: pd.DataFrame) -> tuple[str, ...]:
    """The categories that sell the company's own brand and others, each for at least 1 % of their lines; elsewhere nobody chooses."""
    sold = of_kinds(tally, "order").groupby("category")[["own_brand", "events"]].sum()
    own = sold.own_brand / sold.events
    return tuple(own.index[own.between(RIVALS, 1 - RIVALS)])


def purchase_features(happened: ir.Table, bought: ir.Table, window: Window, prior: float, dated: bool = False) -> ir.Table:
    """Events in the window and their orders -> customer_id + the features of BEHAVIOUR, DISCOUNT, OWN_BRAND and RETURNS; customers with an order.

    dated: orders at midnight sharp have no time of day, and are of no daypart; who has no others has no dayparts.
    """
    bought = bought.mutate(timed=(bought.local != bought.local.truncate("D")) if dated else ibis.literal(True))
    per = _of_orders(bought, window).left_join(_of_returns(happened), "customer_id").drop("customer_id_right")
    zero, priced = ibis.literal(0).cast(per.paid.type()), per.paid.notnull()
    # What comes back in the window may have been bought before it.
    per = per.mutate(full=per.paid + per.off, returned=ibis.least(per.back.fill_null(zero), ibis.greatest(per.paid, zero)))
    moments = {"weekend_share": "n"} | {f"{part}_share": "n_timed" for part in DAYPARTS}
    prices = {"discount_share": ("off", "full"), "own_brand_share": ("own", "chosen"), "return_share": ("returned", "paid")}
    bases = {f"{name}_base": ratio(per[name].sum(), per[whole].sum()) for name, whole in moments.items()}
    bases |= {
        f"{name}_base": ratio(per[part].sum(where=priced), per[whole].sum(where=priced)) for name, (part, whole) in prices.items()
    }
    table = per.cross_join(per.agg(order_value=ratio(per.paid.sum(), per.n.sum()), **bases))
    shares = {name: shrunk(table[name], table[whole].nullif(0), table[f"{name}_base"], prior) for name, whole in moments.items()}
    for name, (part, whole) in prices.items():
        share = shrunk(table[part], table[whole], table[f"{name}_base"], prior * table.order_value)
        shares[name] = ibis.cases((table.paid.notnull(), share), else_=None)
    return table.select("customer_id", **_counts(table), **shares)


def _of_orders(bought: ir.Table, window: Window) -> ir.Table:
    """Orders -> sums per customer, those of `_moments` among them, in one pass."""
    before = bought.days_ago.lag().over(ibis.window(group_by=bought.customer_id, order_by=bought.days_ago.desc()))
    # Gaps are from day to day: two orders of a day make none.
    bought = bought.mutate(before=before, gap=(before - bought.days_ago).nullif(0))
    begins = bought.before.isnull() | ((bought.before - 1) // 7 != (bought.days_ago - 1) // 7)
    lately, zero = bought.days_ago <= LATELY, ibis.literal(0).cast(bought.amount.type())
    return bought.group_by("customer_id").agg(
        recency=bought.days_ago.min(),
        n=bought.count(),
        n_timed=bought.count(where=bought.timed),
        n_lately=bought.count(where=lately),
        weeks=bought.count(where=begins),
        late=bought.amount.sum(where=bought.days_ago <= window.days // 2).fill_null(zero),
        lately=bought.amount.sum(where=lately).fill_null(zero),
        paid=bought.amount.sum(),
        off=bought.off.sum().fill_null(zero),
        chosen=bought.chosen.sum().fill_null(zero),
        own=bought.own.sum().fill_null(zero),
        lines=bought.lines.sum(),
        # Sums of whole days and of their squares are exact, so the result does not depend on the order of rows.
        gaps=bought.gap.count().cast("float64"),
        gap_days=bought.gap.sum().cast("float64"),
        gap_squares=(bought.gap * bought.gap).sum().cast("float64"),
        **{name: flag.cast("int64").sum() for name, flag in _moments(bought).items()},
    )


def _moments(bought: ir.Table) -> dict[str, ir.BooleanValue]:
    """weekend_share and the shares of the dayparts: whether an order counts for each."""
    hour = bought.local.hour()
    parts = {"weekend_share": bought.local.day_of_week.index() >= 5}
    for part, (start, end) in DAYPARTS.items():
        inside = (hour >= start) & (hour < end)
        parts[f"{part}_share"] = bought.timed & (inside | (hour < end - 24) if end > 24 else inside)
    return parts


def _of_returns(happened: ir.Table) -> ir.Table:
    """Events -> customer_id, back, back_lately: money returned in the window and of late; customers with a return."""
    back = happened.filter(happened.event_type == "return")
    return back.group_by("customer_id").agg(
        back=(-back.amount).sum(), back_lately=(-back.amount).sum(where=back.days_ago <= LATELY)
    )


def _counts(per: ir.Table) -> dict[str, ir.FloatingValue]:
    """Sums per customer -> the features that are no shrunk shares."""
    orders_, lines, paid = per.n.cast("float64"), per.lines.cast("float64"), per.paid.cast("float64")
    gap = per.gap_days / per.gaps.nullif(0)
    variance = (per.gap_squares - per.gaps * gap * gap) / (per.gaps - 1).nullif(0)
    spent = ibis.coalesce(per.paid - per.back, per.paid, -per.back)
    return {
        "recency_days": per.recency.cast("float64"),
        "order_count": orders_,
        "orders_last_28": per.n_lately.cast("float64"),
        "active_weeks": per.weeks.cast("float64"),
        "gap_days_mean": gap,
        "gap_days_cv": ibis.cases((per.gaps >= 2, ibis.greatest(variance, 0.0).sqrt() / gap), else_=None),
        "net_revenue": spent.cast("float64"),
        # Nothing spent lately is 0; amounts that nobody wrote down are not.
        "revenue_last_28": ibis.cases((spent.notnull(), ibis.coalesce(per.lately - per.back_lately, per.lately).cast("float64"))),
        "aov": paid / orders_,
        "revenue_trend": (2 * per.late.cast("float64") - paid) / paid.nullif(0),
        "lines_per_order": lines / orders_,
        "line_value": paid / lines,
    }


def shrunk_shares(per: ir.Table, parts: list[str], whole: str, prior: float) -> ir.Table:
    """Sums per customer -> parts as shares of `whole`, each shrunk to the population's share by `prior` units of `whole`.

    share = (part + prior * base) / (whole + prior): the mean of a Beta posterior whose prior weighs `prior` units. Without a prior
    a share of nothing is missing.
    """
    base = per.agg(**{f"{p}_base": ratio(per[p].sum(), per[whole].sum()) for p in parts})
    table = per.cross_join(base)
    return table.select("customer_id", **{p: shrunk(table[p], table[whole], table[f"{p}_base"], prior) for p in parts})


def ratio(part: ir.NumericValue, whole: ir.NumericValue) -> ir.FloatingValue:
    """part / whole, missing where the whole is 0."""
    return part.cast("float64") / whole.cast("float64").nullif(0)


def shrunk(part: ir.NumericValue, whole: ir.NumericValue, base: ir.FloatingValue, weight: Any) -> ir.FloatingValue:
    """part / whole drawn towards base by `weight` units of the whole (see `shrunk_shares`)."""
    return (part.cast("float64") + weight * base) / (whole.cast("float64") + weight).nullif(0)
