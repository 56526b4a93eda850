"""What the sources allow: which features and KPIs can be computed, and which source would unlock the rest."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import ibis.expr.types as ir
import pandas as pd

from workbench.core import engine
from workbench.core.event_types import APP, ASSIGNMENT, CART, ENGAGED, LOOKED, PRODUCT, WEB, WEB_OR_APP

COUNTED = ("category", "discount", "cost", "campaign_id", "score")


@dataclass(frozen=True)
class Capability:
    """Something that the workbench can compute.

    needs: facts that must all be there; a tuple among them is a choice. A fact is an event type, event_type.column, `history`
    (orders in the period and before it), `profile` or `consent`. unlock: the source that would bring what is missing.
    """

    capability: str
    kind: str
    needs: tuple[str | tuple[str, ...], ...]
    unlock: str


ORDERS, MAIL = (
    "orders with time and amount (cash register, shop or invoices)",
    "the e-mail service's log of deliveries, opens and clicks",
)
SITE, REDEEMED = "web or app events tied to a login", "campaigns and what was redeemed of them, with the campaign's number"
CAPABILITIES = (
    Capability("recency, frequency, value, cadence", "features", ("order",), ORDERS),
    Capability("what is bought (categories)", "features", ("order.category",), "a category on every order line"),
    Capability("discount use", "features", ("order.discount",), "the money off on every order line"),
    Capability("returns", "features", ("return",), "returns or credit notes"),
    Capability("e-mail engagement", "features", ("email_delivered", ("email_open", "email_click")), MAIL),
    Capability("website behaviour", "features", (WEB,), "web analytics with page views and searches"),
    Capability("app or product use", "features", ((*APP, *PRODUCT),), "app events or product telemetry"),
    Capability("social engagement", "features", ("social",), "the social media tool's log"),
    Capability("service contacts", "features", ("ticket",), "the ticket system"),
    Capability("satisfaction", "features", ("survey.score",), "survey answers from 0 to 10"),
    Capability("who they are (profile)", "features", ("profile",), "customer attributes of the CRM or loyalty programme"),
    Capability("whom one may contact", "activation", ("consent",), "consent by channel"),
    Capability("engagement_rate", "KPI", (ENGAGED,), f"{MAIL}, or {SITE}"),
    Capability("conversion_rate", "KPI", (WEB_OR_APP, "order"), SITE),
    Capability("interest_rate", "KPI", (LOOKED,), SITE),
    Capability("cart_rate", "KPI", (LOOKED, CART), SITE),
    Capability("cart_order_rate", "KPI", (CART, "order"), SITE),
    Capability("aov", "KPI", ("order",), ORDERS),
    Capability("repeat_rate", "KPI", ("order",), ORDERS),
    Capability("clv", "KPI", ("history",), "orders that reach back over several periods"),
    Capability("lapse_rate", "KPI", ("history",), "orders that reach back over the period before"),
    Capability("retention_rate", "KPI", ("history",), "orders that reach back over the period before"),
    Capability("penetration", "KPI", ("order",), ORDERS),
    Capability("response_rate", "KPI", ("campaign_sent.campaign_id", "coupon_redeemed"), REDEEMED),
    Capability("campaign_roi", "KPI", ("holdout",), "a randomly chosen group that gets no campaign"),
    Capability("attributed_return", "KPI", ("coupon_redeemed", "order.discount"), REDEEMED),
    Capability("revenue_growth", "KPI", ("history",), "orders that reach back over the period before"),
    Capability("cac", "KPI", ("history", "ad_spend"), "advertising cost by day"),
    Capability("cross_sell_rate", "KPI", ("history", "order.category"), "a category on every order line"),
    Capability("profitability", "KPI", ("order.cost",), "the cost of every order line, or a cost rate per item"),
    Capability(
        "contribution",
        "KPI",
        ("order.cost", "ticket", "cost of a ticket"),
        "the cost of every order line, the ticket system, and the cost of a ticket (kpis.cost_per_ticket)",
    ),
    Capability("nps", "KPI", ("survey.score",), "survey answers from 0 to 10"),
)


def known_facts(
    events: ir.Table, customers: pd.DataFrame, people: pd.DataFrame, period_days: int, as_of: pd.Timestamp
) -> set[str]:
    """Events, customers and the people of accounts -> facts of the last period before as_of: event types, event_type.column, history, profile, consent."""
    start = as_of - pd.Timedelta(days=period_days)
    past = events.filter(
        events.customer_id.notnull(), events.occurred_at < as_of.to_pydatetime(), ~events.machine.fill_null(False)
    )
    past = past.mutate(now=past.occurred_at >= start.to_pydatetime())
    counted = engine.fetch(
        past.group_by("event_type").agg(
            now=past.count(where=past.now),
            before=past.count(where=~past.now),
            **{c: past[c].count(where=past.now) for c in COUNTED},
        )
    )
    facts = set(counted.event_type[counted.now > 0])
    for column in COUNTED:
        facts |= {f"{kind}.{column}" for kind in counted.event_type[counted[column] > 0]}
    if "order" in facts and counted.set_index("event_type").before["order"] > 0:
        facts.add("history")
    spent = events.filter(events.event_type == "ad_spend", events.occurred_at >= start.to_pydatetime(), events.cost.notnull())
    if engine.count_rows(spent.filter(spent.occurred_at < as_of.to_pydatetime()).limit(1)):
        facts.add("ad_spend")
    if engine.count_rows(events.filter(events.event_type == ASSIGNMENT).limit(1)):
        facts.add("holdout")
    filled = {c for c in customers if customers[c].replace("unknown", None).notna().any()} - {
        "customer_id",
        "kind",
        "first_seen_at",
    }
    asked = filled | {c for c in people if people[c].replace("unknown", None).notna().any()}
    facts |= {"consent"} if any(c.startswith("consent_") for c in asked) else set()
    return facts | ({"profile"} if any(not c.startswith("consent_") for c in filled) else set())


def assess(facts: Collection[str]) -> pd.DataFrame:
    """Facts -> the readiness table: capability, kind, ready, missing (facts in words), unlock; in the order of CAPABILITIES."""
    rows = []
    for one in CAPABILITIES:
        absent = [need for need in one.needs if not _met(need, facts)]
        words = ", ".join(_words(need) for need in absent)
        rows.append((one.capability, one.kind, not absent, words, one.unlock if absent else ""))
    return pd.DataFrame(rows, columns=["capability", "kind", "ready", "missing", "unlock"])


def _met(need: str | tuple[str, ...], facts: Collection[str]) -> bool:
    return need in facts if isinstance(need, str) else any(choice in facts for choice in need)


def _words(need: str | tuple[str, ...]) -> str:
    if not isinstance(need, str):
        return f"{_words(need[0])} or the like"
    kind, _, column = need.partition(".")
    return kind.replace("_", " ") + (f" with {column.replace('_', ' ')}" if column else "")
