"""Engagement: what customers do besides buying, per event type, with e-mail rates shrunk towards the base rate."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
import pandas as pd

from workbench.core.engine import fetch_row, is_among
from workbench.core.event_types import ASSIGNMENT, CONTRACTS, NOT_OWN_ACTIONS, PURCHASES
from workbench.features.affinity import share_feature
from workbench.features.catalog import Feature
from workbench.features.purchases import shrunk_shares

# event type: (what many of them say, what few of them say, the noun, the lever)
WORDS = {
    "email_open": ("open e-mails often", "seldom open e-mails", "e-mails opened", "channel"),
    "email_click": ("click in e-mails often", "seldom click in e-mails", "clicks in e-mails", "channel"),
    "campaign_sent": ("were in many campaigns", "were in few campaigns", "campaigns received", "channel"),
    "coupon_redeemed": ("redeem offers often", "seldom redeem offers", "offers redeemed", "offer"),
    "page_view": ("browse the website often", "seldom browse the website", "pages viewed", "channel"),
    "search": ("search on the website often", "seldom search on the website", "searches", "content"),
    "add_to_cart": ("fill web carts often", "seldom fill web carts", "items put in web carts", "channel"),
    "checkout": ("check out online often", "seldom check out online", "web checkouts", "channel"),
    "app_open": ("use the app often", "seldom use the app", "app sessions", "channel"),
    "offer_view": ("look at offers in the app often", "seldom look at offers in the app", "offers viewed in the app", "offer"),
    "list_add": ("keep a shopping list in the app", "seldom use the app's shopping list", "shopping-list entries", "channel"),
    "store_locator": ("look for stores in the app often", "seldom look for stores in the app", "searches for a store", "channel"),
    "social": ("engage on social media often", "seldom engage on social media", "social interactions", "channel"),
    "ticket": ("contact service more than others", "contact service less than others", "service contacts", "service"),
    "feature_use": ("use the product's features often", "seldom use the product's features", "feature uses", "product"),
    "export": ("export data from the product often", "seldom export data from the product", "exports", "product"),
    "api_call": ("connect the product to other systems", "seldom connect the product to other systems", "calls by other systems", "product"),
    "admin_action": ("administer the product actively", "seldom administer the product", "administration steps", "service"),
    "webinar_registration": ("register for webinars often", "seldom register for webinars", "webinar registrations", "content"),
    "webinar_attendance": ("attend webinars often", "seldom attend webinars", "webinars attended", "content"),
}  # fmt: skip
CHANNELS = {
    "store": "the store",
    "email": "mailings",
    "web": "the website",
    "mobile_app": "the app",
    "coupon": "coupons",
    "phone": "the phone",
    "pos": "the till",
    "tickets": "service",
    "e-mail": "service e-mail",
    "product": "the product",
    "portal": "the service portal",
}
# Channels of the books: a document's day and hour are the accountant's, not the customer's.
BOOKED = ("invoice", "contract")
EMAIL_RATES = (
    Feature("email_open_rate", "engagement", "share", "opens by people over e-mails delivered, shrunk", "open more of their e-mails than others", "open fewer of their e-mails than others", "channel", "e-mail open rate"),
    Feature("email_click_rate", "engagement", "share", "clicks over e-mails delivered, shrunk", "click often in e-mails", "rarely click in e-mails", "channel", "e-mail click rate"),
)  # fmt: skip
SCORE = Feature(
    "last_score",
    "satisfaction",
    "points",
    "last survey score given in the window, by anybody of the customer's where it has several people",
    "give better survey scores",
    "give worse survey scores",
    "service",
    "survey score",
)


def engagement_catalog(types: list[str], channels: tuple[str, ...]) -> list[Feature]:
    """One count per event type, a share per channel, the e-mail rates where e-mails are logged, the last survey score."""
    counts = [_count_of(kind) for kind in _counted(types)]
    rates = EMAIL_RATES if "email_delivered" in types else ()
    shares = [_share_in(name) for name in channels]
    return [*counts, *shares, *rates, *([SCORE] if "survey" in types else [])]


def _count_of(kind: str) -> Feature:
    word = kind.replace("_", " ")
    high, low, noun, lever = WORDS.get(kind, (f"have many {word} events", f"have few {word} events", word, ""))
    definition = f"events of type {kind} in the window; a record that stands for several counts as often as its quantity says"
    return Feature(f"{kind}_count", "engagement", "events", definition, high, low, lever, noun)


def _share_in(channel: str) -> Feature:
    word = CHANNELS.get(channel, channel)
    definition = f"share of the customer's own actions in channel {channel}, shrunk"
    return Feature(share_feature("channel", channel), "channel", "share", definition, f"turn to {word} more than others", f"turn to {word} less than others", "channel", f"actions via {word}")  # fmt: skip


def engagement_features(happened: ir.Table, types: list[str], prior: float) -> ir.Table:
    """Events in the window -> customer_id, {type}_count per event type (quantities where given), email_open_rate, email_click_rate, last_score."""
    happened = happened.filter(happened.event_type.notin(PURCHASES), ~happened.machine.fill_null(False))
    times = happened.quantity.fill_null(1)
    sums = {
        f"{kind}_count": times.sum(where=happened.event_type == kind).fill_null(0).cast("float64") for kind in _counted(types)
    }
    mails = ("delivered", "open", "click") if "email_delivered" in types else ()
    sums |= {kind: happened.count(where=happened.event_type == f"email_{kind}") for kind in mails}
    table = happened.group_by("customer_id").agg(**sums) if sums else happened.select("customer_id").distinct()
    if mails:
        per = table.select(
            "customer_id", delivered=table.delivered.nullif(0),
            email_open_rate=ibis.least(table.open, table.delivered), email_click_rate=ibis.least(table.click, table.delivered),
        )  # fmt: skip
        rates = shrunk_shares(per, ["email_open_rate", "email_click_rate"], "delivered", prior)
        table = table.drop(*mails).left_join(rates, "customer_id").drop("customer_id_right")
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


def own_actions(happened: ir.Table) -> ir.Table:
    """What customers did themselves, in any channel but the books': a row per customer, channel, action (an order counts once)."""
    own = _own(happened)
    numbered = (own.event_type == "order") & own.order_id.notnull()
    moment = ibis.cases((~numbered, own.occurred_at))
    return own.select(
        "customer_id", "channel", "event_type", moment=moment, order=ibis.cases((numbered, own.order_id))
    ).distinct()


def _own(happened: ir.Table) -> ir.Table:
    return happened.filter(
        ~is_among(happened.event_type, NOT_OWN_ACTIONS), ~happened.machine.fill_null(False), ~is_among(happened.channel, BOOKED)
    )


def frequent_channels(happened: ir.Table, tally: pd.DataFrame, min_coverage: float) -> tuple[str, ...]:
    """Channels in which at least `min_coverage` of the customers acted, by name; none where there is only one."""
    own = tally[~tally.event_type.isin(NOT_OWN_ACTIONS) & ~tally.channel.isin(BOOKED)]
    there, acted = sorted(own.channel.dropna().unique()), _own(happened)
    if len(there) < 2:
        return ()
    per = acted.group_by("customer_id").agg(**{f"c{n}": (acted.channel == channel).any() for n, channel in enumerate(there)})
    found = fetch_row(per.agg(everyone=per.count(), **{f"c{n}": per.count(where=per[f"c{n}"]) for n, _ in enumerate(there)}))
    frequent = [channel for n, channel in enumerate(there) if found[f"c{n}"] >= max(min_coverage * found["everyone"], 1)]
    return tuple(frequent) if len(frequent) > 1 else ()


def channel_features(happened: ir.Table, channels: tuple[str, ...], prior: float) -> ir.Table:
    """Events in the window -> customer_id + channel_*_share: shares of the customer's own actions, shrunk to the population's."""
    acted = own_actions(happened)
    names = {share_feature("channel", c): acted.count(where=acted.channel == c) for c in channels}
    per = acted.group_by("customer_id").agg(n=acted.count(), **names)
    return shrunk_shares(per, list(names), "n", prior)


def _counted(types: list[str]) -> list[str]:
    skipped = {
        *PURCHASES,
        "survey",
        "survey_answer",
        "email_sent",
        "email_delivered",
        "email_bounce",
        "email_unsubscribe",
        "login",
        "ad_spend",
        ASSIGNMENT,
        *CONTRACTS,
    }
    return [t for t in types if t not in skipped]
