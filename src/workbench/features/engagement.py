"""Engagement: what customers do besides buying, per event type, with e-mail rates shrunk towards the base rate."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from workbench.core.engine import count_rows, fetch
from workbench.core.event_types import CONTRACTS, NOT_OWN_ACTIONS, PURCHASES
from workbench.features.affinity import share_feature
from workbench.features.catalog import Feature
from workbench.features.purchases import shrunk_shares
from workbench.features.window import Window

WORDS = {
    "email_open": ("open e-mails", "e-mails opened", "channel"),
    "email_click": ("click in e-mails", "clicks in e-mails", "channel"),
    "campaign_sent": ("are already in many campaigns", "campaigns received", "channel"),
    "coupon_redeemed": ("redeem coupons", "coupons redeemed", "offer"),
    "page_view": ("browse the website", "pages viewed", "channel"),
    "search": ("search on the website", "searches", "content"),
    "add_to_cart": ("fill web carts", "items put in web carts", "channel"),
    "checkout": ("check out online", "web checkouts", "channel"),
    "app_open": ("use the app", "app visits", "channel"),
    "offer_view": ("look at offers in the app", "offers viewed in the app", "offer"),
    "list_add": ("keep a shopping list in the app", "shopping-list entries", "channel"),
    "social": ("engage on social media", "social interactions", "channel"),
    "ticket": ("contact service", "service contacts", "service"),
    "feature_use": ("use many features of the product", "feature uses", "product"),
    "export": ("export data from the product", "exports", "product"),
    "api_call": ("connect the product to other systems", "calls by other systems", "product"),
    "admin_action": ("administer the product actively", "administration", "service"),
    "webinar_registration": ("register for webinars", "webinar registrations", "content"),
    "webinar_attendance": ("attend webinars", "webinars attended", "content"),
}
CHANNELS = {
    "store": "store",
    "email": "newsletter",
    "web": "website",
    "mobile_app": "app",
    "coupon": "coupon",
    "phone": "phone",
    "e-mail": "service e-mail",
    "product": "product",
    "sales": "sales team",
    "invoice": "invoice",
    "contract": "contract",
}
EMAIL_RATES = (
    Feature("email_open_rate", "engagement", "share", "opens by people over e-mails delivered, shrunk", "open most e-mails", "leave e-mails unopened", "channel", "e-mail open rate"),
    Feature("email_click_rate", "engagement", "share", "clicks over e-mails delivered, shrunk", "click often in e-mails", "rarely click in e-mails", "channel", "e-mail click rate"),
)  # fmt: skip
SCORE = Feature(
    "last_score",
    "satisfaction",
    "points",
    "last survey score given in the window",
    "are satisfied",
    "are dissatisfied",
    "service",
    "survey score",
)


def engagement_catalog(types: list[str], channels: tuple[str, ...]) -> list[Feature]:
    """One count per event type, a share per channel, the e-mail rates where e-mails are logged, the last survey score."""
    counts = []
    for kind in _counted(types):
        high, noun, lever = WORDS.get(kind, (f"show many {kind.replace('_', ' ')} events", kind.replace("_", " "), ""))
        counts.append(Feature(f"{kind}_count", "engagement", "events", f"events of type {kind} in the window", high, f"do not {high}" if kind in WORDS and kind != "campaign_sent" else f"few {noun}", lever, noun))  # fmt: skip
    rates = EMAIL_RATES if "email_delivered" in types else ()
    shares = [
        Feature(share_feature("channel", name), "channel", "share", f"share of the customer's own actions in channel {name}, shrunk", f"turn to the {CHANNELS.get(name, name)}", f"seldom use the {CHANNELS.get(name, name)}", "channel", f"share of the {CHANNELS.get(name, name)}")
        for name in channels
    ]  # fmt: skip
    return [*counts, *shares, *rates, *([SCORE] if "survey" in types else [])]


def engagement_features(events: ir.Table, window: Window, types: list[str], prior: float) -> ir.Table:
    """Events -> customer_id, {type}_count per event type, email_open_rate, email_click_rate, last_score."""
    happened = window.events(events)
    happened = happened.filter(happened.event_type.notin(PURCHASES), ~happened.machine.fill_null(False))
    counts = {f"{kind}_count": happened.count(where=happened.event_type == kind).cast("float64") for kind in _counted(types)}
    table = happened.group_by("customer_id").agg(**counts) if counts else happened.select("customer_id").distinct()
    if "email_delivered" in types:
        mails = happened.filter(happened.event_type.isin(["email_delivered", "email_open", "email_click"]))
        per = mails.group_by("customer_id").agg(
            delivered=mails.count(where=mails.event_type == "email_delivered").nullif(0),
            email_open_rate=ibis.least(
                mails.count(where=mails.event_type == "email_open"), mails.count(where=mails.event_type == "email_delivered")
            ),
            email_click_rate=ibis.least(
                mails.count(where=mails.event_type == "email_click"), mails.count(where=mails.event_type == "email_delivered")
            ),
        )
        rates = shrunk_shares(per, ["email_open_rate", "email_click_rate"], "delivered", prior)
        table = table.left_join(rates, "customer_id").drop("customer_id_right")
    if "survey" in types:
        answers = happened.filter(happened.event_type == "survey", happened.score.notnull())
        # Of two answers at one moment the lower counts, so ties cannot depend on the order of rows.
        latest = answers.mutate(
            place=ibis.rank().over(ibis.window(group_by=answers.customer_id, order_by=answers.occurred_at.desc()))
        )
        latest = latest.filter(latest.place == 0)
        score = latest.group_by("customer_id").agg(last_score=latest.score.min())
        table = table.left_join(score, "customer_id").drop("customer_id_right")
    return table


def own_actions(events: ir.Table, window: Window) -> ir.Table:
    """What customers did themselves, in any channel: one row per customer, channel and action (an order counts once)."""
    happened = window.events(events)
    own = happened.filter(happened.event_type.notin(NOT_OWN_ACTIONS), ~happened.machine.fill_null(False))
    moment = own.occurred_at.cast("string") + own.event_type
    once = ibis.cases((own.event_type == "order", own.order_id.fill_null(moment)), else_=moment)
    return own.select("customer_id", "channel", action=once).distinct()


def frequent_channels(events: ir.Table, window: Window, min_coverage: float) -> tuple[str, ...]:
    """Channels in which at least `min_coverage` of the customers acted, by name; none where there is only one."""
    acted = own_actions(events, window)
    found = fetch(acted.group_by("channel").agg(customers=acted.customer_id.nunique()))
    everyone = count_rows(acted.select("customer_id").distinct())
    frequent = sorted(found.channel[found.customers >= min_coverage * everyone])
    return tuple(frequent) if len(frequent) > 1 else ()


def channel_features(events: ir.Table, window: Window, channels: tuple[str, ...], prior: float) -> ir.Table:
    """Events -> customer_id + channel_*_share: shares of the customer's own actions, shrunk to the population's."""
    acted = own_actions(events, window)
    names = {share_feature("channel", c): acted.count(where=acted.channel == c) for c in channels}
    per = acted.group_by("customer_id").agg(n=acted.count(), **names)
    return shrunk_shares(per, list(names), "n", prior)


def _counted(types: list[str]) -> list[str]:
    skipped = {
        *PURCHASES,
        "survey",
        "email_sent",
        "email_delivered",
        "email_bounce",
        "email_unsubscribe",
        "login",
        "ad_spend",
        *CONTRACTS,
    }
    return [t for t in types if t not in skipped]
