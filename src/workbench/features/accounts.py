"""Accounts under contract: seats, recurring revenue, tenure, offers, product use, and where in buying they stand (B2B)."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from workbench.core.event_types import CONTRACTS, PRODUCT
from workbench.features.catalog import Feature
from workbench.features.purchases import shrunk_shares
from workbench.features.window import Window

RECENT = 28  # days
STAGES = {  # the furthest stage counts; None of them: unaware
    "customer": "under contract",
    "evaluating": "an open offer",
    "interested": "asked, registered or searched in the window",
}
INTEREST = ("search", "webinar_registration", "webinar_attendance", "email_click", "page_view")

CONTRACT = (
    Feature("seats", "contract", "seats", "seats under contract at as_of", "have many seats", "have few seats", "product", "seats"),
    Feature("recurring_revenue", "contract", "money", "monthly amount of the contracts that run at as_of", "pay a high monthly amount", "pay a low monthly amount", "offer", "monthly amount under contract"),
    Feature("contract_days", "contract", "days", "days since the first contract began", "have been under contract for long", "signed lately", "timing", "days under contract"),
    Feature("seat_growth", "growth", "share", "seats at as_of less those when the window began, over both", "added seats", "gave up seats", "product", "change in seats"),
)  # fmt: skip
OFFERS = (
    Feature("open_offers", "buying stage", "offers", "offers at as_of that are neither won nor lost", "have offers on the table", "have no open offers", "offer", "open offers"),
    Feature("win_rate", "buying stage", "share", "offers won over offers decided, shrunk", "take most offers", "turn down most offers", "offer", "offers taken"),
)  # fmt: skip
USE = (
    Feature("module_count", "product use", "modules", "different parts of the product used", "use many parts of the product", "use few parts of the product", "product", "parts of the product used"),
    Feature("use_days_28", "product use", "days used", f"days with product use in the last {RECENT} days", "used the product on many recent days", "hardly used the product lately", "product", "recent days of use"),
    Feature("use_per_seat", "product use", "actions", "actions in the product per seat under contract", "use their seats heavily", "leave their seats idle", "product", "actions per seat"),
)  # fmt: skip


def account_catalog(types: tuple[str, ...]) -> list[Feature]:
    """The declarations that the event types allow."""
    there = set(types)
    declared = [*CONTRACT] if "subscription_started" in there else []
    declared += [*OFFERS] if "opportunity_open" in there else []
    if there & set(PRODUCT):
        declared += USE if "subscription_started" in there else USE[:2]
    if there & set(CONTRACTS):
        declared += [_stage(stage) for stage in STAGES]
    return declared


def _stage(stage: str) -> Feature:
    words = {"customer": ("are under contract", "are not under contract"), "evaluating": ("weigh an offer", "weigh no offer"), "interested": ("show interest without an offer", "show no new interest")}  # fmt: skip
    high, low = words[stage]
    return Feature(
        f"stage_{stage}", "buying stage", "yes/no", f"furthest buying stage at as_of: {STAGES[stage]}", high, low, "timing", high
    )


def account_features(
    events: ir.Table, happened: ir.Table, window: Window, types: tuple[str, ...], prior: float
) -> ir.Table | None:
    """events: all; happened: those in the window -> customer_id + the features of `account_catalog`; None without a source."""
    there = set(types)
    if not there & {*CONTRACTS, *PRODUCT}:
        return None
    past = events.filter(events.customer_id.notnull(), events.occurred_at < window.end)
    table = past.select("customer_id").distinct()
    parts = []
    if "subscription_started" in there:
        parts.append(_contracts(past, window))
    if "opportunity_open" in there:
        parts.append(_offers(past, prior))
    if there & set(PRODUCT):
        parts.append(_use(happened))
    if there & set(CONTRACTS):
        interest = happened.filter(happened.event_type.isin(list(INTEREST)))
        parts.append(interest.group_by("customer_id").agg(interests=interest.count()))
    for part in parts:
        table = table.left_join(part, "customer_id").drop("customer_id_right")
    made = {}
    if "use_actions" in table.columns and "seats" in table.columns:
        made["use_per_seat"] = table.use_actions.cast("float64") / table.seats.nullif(0)
    if there & set(CONTRACTS):
        made |= _furthest(table)
    return table.mutate(**made).select("customer_id", *[f.feature for f in account_catalog(types)])


def _contracts(past: ir.Table, window: Window) -> ir.Table:
    deals = past.filter(past.event_type.isin(["subscription_started", "subscription_ended"]))
    sign = ibis.cases((deals.event_type == "subscription_started", 1), else_=-1)
    zero = ibis.literal(0).cast(deals.quantity.type())
    deals = deals.select(
        "customer_id", "occurred_at", "event_type",
        seats=deals.quantity.fill_null(zero) * sign, money=deals.amount.fill_null(zero) * sign,
        is_early=deals.occurred_at < window.start,
    )  # fmt: skip
    starts = deals.event_type == "subscription_started"
    per = deals.group_by("customer_id").agg(
        seats=deals.seats.sum().cast("float64"),
        recurring_revenue=deals.money.sum().cast("float64"),
        first=deals.occurred_at.min(where=starts),
        before=deals.seats.sum(where=deals.is_early).cast("float64").fill_null(0.0),
    )
    # Ends without a start would leave negative seats.
    seats, before = ibis.greatest(per.seats, 0.0), ibis.greatest(per.before, 0.0)
    days = (ibis.literal(window.end).epoch_seconds() - per["first"].epoch_seconds()).cast("float64") / 86_400
    return per.select(
        "customer_id",
        seats=seats,
        recurring_revenue=ibis.greatest(per.recurring_revenue, 0.0),
        contract_days=days,
        seat_growth=(seats - before) / (seats + before).nullif(0),
    )


def _offers(past: ir.Table, prior: float) -> ir.Table:
    offers = past.filter(past.event_type.startswith("opportunity_"))
    named = offers.mutate(offer=ibis.coalesce(offers.order_id, offers.occurred_at.cast("string")))
    each = named.group_by("customer_id", "offer").agg(
        won=(named.event_type == "opportunity_won").cast("int64").max(),
        lost=(named.event_type == "opportunity_lost").cast("int64").max(),
    )
    decided = ibis.greatest(each.won, each.lost)
    each = each.mutate(decided=decided)
    per = each.group_by("customer_id").agg(
        open_offers=(1 - each.decided).sum(), decided=each.decided.sum().nullif(0), win_rate=each.won.sum()
    )
    rates = shrunk_shares(per, ["win_rate"], "decided", prior)
    return (
        per.select("customer_id", open_offers=per.open_offers.cast("float64"))
        .left_join(rates, "customer_id")
        .drop("customer_id_right")
    )


def _use(happened: ir.Table) -> ir.Table:
    used = happened.filter(happened.event_type.isin(list(PRODUCT)), ~happened.machine.fill_null(False))
    recent = ibis.cases((used.days_ago <= RECENT, used.days_ago), else_=None)
    used = used.mutate(recent=recent)
    return used.group_by("customer_id").agg(
        module_count=used.topic.nunique().cast("float64"),
        use_days_28=used.recent.nunique().cast("float64"),
        use_actions=used.count(),
    )


def _furthest(table: ir.Table) -> dict[str, ir.Value]:
    """The yes/no columns of the stages, at most one of them 1."""
    no = ibis.literal(False)
    reached = {
        "customer": (table.seats > 0).fill_null(False) if "seats" in table.columns else no,
        "evaluating": (table.open_offers > 0).fill_null(False) if "open_offers" in table.columns else no,
        "interested": (table.interests > 0).fill_null(False),
    }
    made, further = {}, no
    for stage in STAGES:
        made[f"stage_{stage}"] = (reached[stage] & ~further).cast("float64")
        further = further | reached[stage]
    return made
