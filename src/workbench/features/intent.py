"""Intent: what customers look for and put into carts without buying it, and how they visit."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from workbench.core.event_types import APP, PRODUCT, WEB
from workbench.features.catalog import Feature
from workbench.features.purchases import order_lines, shrunk_shares

SESSION_MINUTES = 30  # a longer silence ends a visit: web analytics' own convention
BUY_DAYS = 7  # an order within so many days after a day of browsing answers it
SITE = (*WEB, *APP, *PRODUCT)
BROWSING = ("page_view", "search", "add_to_cart", "offer_view", "list_add")

VISITS = (
    Feature("visit_count", "intent", "visits", "visits to website, app or product; half an hour of silence ends one", "visit website or app often", "seldom visit website or app", "channel", "visits"),
    Feature("visit_days", "intent", "days visited", "different days with a visit", "visit on many days", "visit on few days", "channel", "days with a visit"),
    Feature("actions_per_visit", "intent", "actions", "actions per visit", "do much in one visit", "do little in one visit", "content", "actions per visit"),
    Feature("days_since_visit", "intent", "days", "days since the last visit in the window", "have not visited for long", "visited lately", "channel", "days since the last visit"),
)  # fmt: skip
BROWSE = Feature("browse_only_share", "intent", "share", f"share of browsing days without an order within {BUY_DAYS} days, shrunk", "more often browse and do not buy", "more often buy when they browse", "offer", "browsing without buying")  # fmt: skip
CARTS = Feature("cart_abandon_share", "intent", "share", "share of days with a filled cart that no order or checkout followed within the set hours, shrunk", "leave carts behind more often than others", "leave carts behind less often than others", "offer", "abandoned carts")  # fmt: skip
SEARCHES = (
    Feature("recent_searches", "intent", "searches", "searches in the months before as_of that are set as recent", "searched a lot lately", "hardly searched lately", "content", "recent searches"),
    Feature("search_topics", "intent", "topics", "different things searched for in those months", "search for many different things", "search for few things", "content", "topics searched for"),
)  # fmt: skip


def intent_catalog(types: tuple[str, ...]) -> list[Feature]:
    """The declarations that the event types allow."""
    there = set(types)
    declared = [*VISITS] if there & set(SITE) else []
    declared += [BROWSE] if there & set(BROWSING) and "order" in there else []
    declared += [CARTS] if "add_to_cart" in there else []
    return declared + ([*SEARCHES] if "search" in there else [])


def intent_features(
    happened: ir.Table, types: tuple[str, ...], prior: float, search_window_days: int, cart_hours: int
) -> ir.Table | None:
    """Events in the window -> customer_id + the features of `intent_catalog`; customers with a visit; None without a source."""
    there, by_people = set(types), happened.filter(~happened.machine.fill_null(False))
    if not there & set(SITE):
        return None
    table = _visits(by_people)
    parts = []
    if there & set(BROWSING) and "order" in there:
        parts.append(_browsing(by_people, prior))
    if "add_to_cart" in there:
        parts.append(_carts(by_people, prior, cart_hours))
    if "search" in there:
        parts.append(_searches(by_people, search_window_days))
    for part in parts:
        table = table.left_join(part, "customer_id").drop("customer_id_right")
    return table


def _visits(happened: ir.Table) -> ir.Table:
    acted = happened.filter(happened.event_type.isin(list(SITE)))
    acted = acted.select("customer_id", "channel", "days_ago", second=acted.occurred_at.epoch_seconds())
    before = acted.second.lag().over(ibis.window(group_by=[acted.customer_id, acted.channel], order_by=acted.second))
    acted = acted.mutate(begins=(before.isnull() | (acted.second - before > SESSION_MINUTES * 60)).cast("int64"))
    per = acted.group_by("customer_id").agg(
        visits=acted.begins.sum(), visit_days=acted.days_ago.nunique(), actions=acted.count(), latest=acted.days_ago.min()
    )
    return per.select(
        "customer_id",
        visit_count=per.visits.cast("float64"),
        visit_days=per.visit_days.cast("float64"),
        actions_per_visit=per.actions.cast("float64") / per.visits.cast("float64").nullif(0),
        days_since_visit=per.latest.cast("float64"),
    )


def _browsing(happened: ir.Table, prior: float) -> ir.Table:
    """Days of browsing that an order answered, found by the nearest later order day."""
    looked = happened.filter(happened.event_type.isin(list(BROWSING))).select("customer_id", "days_ago").distinct()
    bought = order_lines(happened)
    bought = bought.filter(bought.event_type == "order").select("customer_id", "days_ago").distinct()
    both = looked.mutate(looks=1).union(bought.mutate(looks=0))
    # Per day, in time: an order of the same day comes after the look.
    turn = ibis.window(group_by=both.customer_id, order_by=[both.days_ago, both.looks], preceding=None, following=0)
    order_day = ibis.cases((both.looks == 0, both.days_ago), else_=None)
    both = both.mutate(answer=order_day.max().over(turn))
    days = both.filter(both.looks == 1)
    unanswered = (days.answer.isnull() | (days.days_ago - days.answer > BUY_DAYS)).cast("int64")
    per = days.group_by("customer_id").agg(n=days.count(), browse_only_share=unanswered.sum())
    return shrunk_shares(per, ["browse_only_share"], "n", prior)


def _carts(happened: ir.Table, prior: float, cart_hours: int) -> ir.Table:
    """The last filling of a cart per day, and whether an order or checkout came within the hours after it."""
    kinds = happened.filter(happened.event_type.isin(["add_to_cart", "order", "checkout"]))
    kinds = kinds.select(
        "customer_id",
        "days_ago",
        fills=(kinds.event_type == "add_to_cart").cast("int64"),
        second=kinds.occurred_at.epoch_seconds(),
    ).distinct()
    later = ibis.window(group_by=kinds.customer_id, order_by=[kinds.second.desc(), kinds.fills], preceding=None, following=0)
    bought = ibis.cases((kinds.fills == 0, kinds.second), else_=None)
    kinds = kinds.mutate(answer=bought.min().over(later))
    carts = kinds.filter(kinds.fills == 1)
    carts = carts.group_by("customer_id", "days_ago").agg(second=carts.second.max(), answer=carts.answer.max())
    left = (carts.answer.isnull() | (carts.answer - carts.second > cart_hours * 3600)).cast("int64")
    per = carts.group_by("customer_id").agg(n=carts.count(), cart_abandon_share=left.sum())
    return shrunk_shares(per, ["cart_abandon_share"], "n", prior)


def _searches(happened: ir.Table, days: int) -> ir.Table:
    recent = happened.filter(happened.event_type == "search", happened.days_ago <= days)
    return recent.group_by("customer_id").agg(
        recent_searches=recent.count().cast("float64"), search_topics=recent.topic.nunique().cast("float64")
    )
