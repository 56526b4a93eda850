"""What the company itself lately sent to its customers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir

if TYPE_CHECKING:
    import datetime as dt

RECENT_DAYS = 28
SENT = ("email_sent", "campaign_sent")


def recent_contacts(events: ir.Table, as_of: dt.date) -> ir.Table:
    """Events -> those of the last 28 days before as_of by which the company addressed a known customer."""
    return events.filter(events.event_type.isin(SENT), lately(events, as_of), events.customer_id.notnull())


def contacts_per_week(events: ir.Table, as_of: dt.date) -> ir.Table:
    """Events -> customer_id, running: contacts per week of the last 28 days, of those who got any."""
    sent = recent_contacts(events, as_of)
    return sent.group_by("customer_id").agg(running=sent.count() * 7.0 / RECENT_DAYS)


def lately(events: ir.Table, as_of: dt.date) -> ir.BooleanValue:
    """Whether an event lies in the last 28 days before as_of."""
    until = ibis.timestamp(as_of.isoformat(), timezone="UTC")
    return (events.occurred_at < until) & (events.occurred_at >= until - ibis.interval(days=RECENT_DAYS))
