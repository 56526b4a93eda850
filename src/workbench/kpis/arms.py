"""Who was assigned to which arm of which experiment, and what they did in the days after it and before it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import pandas as pd

from workbench.core.engine import fetch, fetch_row
from workbench.core.event_types import ASSIGNMENT, PURCHASES

COST_COVERAGE = 0.99
UNCOVERED = 0.1  # share of the days before an assignment that the orders need not reach back over


@dataclass(frozen=True)
class Outcome:
    """What an experiment may change: binary, count or money; per customer in the days after the assignment."""

    outcome: str
    name: str
    kind: str
    unit: str


OUTCOMES = (
    Outcome("ordered", "customers who ordered", "binary", "share"),
    Outcome("orders", "orders per customer", "count", "ratio"),
    Outcome("revenue", "revenue per customer", "money", "money"),
    Outcome("margin", "margin per customer", "money", "money"),
)


def read_assignments(events: ir.Table, days: int, until: dt.datetime) -> pd.DataFrame:
    """Events -> one row per customer and experiment, sorted: who is in which arm, and the outcomes there.

    An assignment is an event of type assignment: campaign_id names the experiment, topic the arm, cost what the treatment of
    this customer costs. Columns: experiment, customer_id, arm (the first by name), arms (how many different ones), assigned_at
    (the first), cost (missing where none is recorded), complete (the `days` after the assignment lie before `until`); ordered,
    orders, revenue and margin of these days, and the same of the `days` before it (…_before), which are missing where the orders
    do not reach back. margin is missing where under 99 % of the lines have a cost. Money is summed exactly on the engine.
    """
    assigned = _assigned(events)
    known = fetch(assigned.order_by(["experiment", "customer_id"]))
    if known.empty:
        return known.assign(complete=pd.Series(dtype="bool"), **{c: pd.Series(dtype="float64") for c in _columns()})
    bought = fetch(_bought(events, assigned, days))
    first = fetch_row(events.filter(events.event_type == "order").agg(at=events.occurred_at.min()))["at"]
    table = known.merge(bought, on=["experiment", "customer_id"], how="left", validate="one_to_one")
    window = pd.Timedelta(days=days)
    table = table.assign(complete=table.assigned_at + window <= pd.Timestamp(until))
    measured = [c for c in _columns() if c in table]
    table[measured] = table[measured].fillna(0.0).astype("float64")
    return _reliable(table.assign(**{c: table[c] for c in measured}), first, window)


def _columns() -> list[str]:
    return [f"{o.outcome}{when}" for o in OUTCOMES for when in ("", "_before")]


def _assigned(events: ir.Table) -> ir.Table:
    """experiment, customer_id, arm, arms, assigned_at, cost."""
    told = events.filter(events.event_type == ASSIGNMENT, events.customer_id.notnull(), events.campaign_id.notnull())
    told = told.mutate(arm=told.topic.fill_null("not named"))
    return told.group_by(experiment=told.campaign_id, customer_id=told.customer_id).agg(
        arm=told.arm.min(),
        arms=told.arm.nunique(),
        assigned_at=told.occurred_at.min(),
        cost=told.cost.sum().cast("float64"),
    )


def _bought(events: ir.Table, assigned: ir.Table, days: int) -> ir.Table:
    """experiment, customer_id + the outcomes of the days after and before, lines and cost_lines of both."""
    lines = events.filter(events.event_type.isin(PURCHASES), ~events.machine.fill_null(False))
    lines = lines.select(
        "customer_id",
        "occurred_at",
        "amount",
        is_order=lines.event_type == "order",
        gain=lines.amount - lines.cost,
        order=ibis.coalesce(lines.order_id, lines.occurred_at.cast("string")),
    )
    mine = assigned.select("experiment", "customer_id", "assigned_at").inner_join(lines, "customer_id")
    window = ibis.interval(days=days)
    after = (mine.occurred_at >= mine.assigned_at) & (mine.occurred_at < mine.assigned_at + window)
    before = (mine.occurred_at < mine.assigned_at) & (mine.occurred_at >= mine.assigned_at - window)
    sums = {}
    for suffix, here in (("", after), ("_before", before)):
        number = mine.order.nunique(where=here & mine.is_order)
        sums |= {
            f"ordered{suffix}": (number > 0).cast("float64"),
            f"orders{suffix}": number.cast("float64"),
            f"revenue{suffix}": mine.amount.sum(where=here).cast("float64"),
            f"margin{suffix}": mine.gain.sum(where=here).cast("float64"),
        }
    counts = {"lines": mine.count(where=after | before), "cost_lines": mine.gain.count(where=after | before)}
    return mine.group_by("experiment", "customer_id").agg(**sums, **counts)


def _reliable(table: pd.DataFrame, first: pd.Timestamp | None, window: pd.Timedelta) -> pd.DataFrame:
    """The table without what cannot be trusted: margins of a part of the lines, days before that no order reaches back over."""
    lines, cost_lines = (table[c].fillna(0).sum() for c in ("lines", "cost_lines"))
    if lines == 0 or cost_lines < COST_COVERAGE * lines:
        table = table.assign(margin=float("nan"), margin_before=float("nan"))
    before = [c for c in table if c.endswith("_before")]
    earliest = table.groupby("experiment").assigned_at.transform("min")
    uncovered = pd.isna(first) or pd.Timestamp(first) > earliest - (1 - UNCOVERED) * window
    table = table.assign(**{c: table[c].mask(uncovered) for c in before})
    return table.drop(columns=["lines", "cost_lines"]).sort_values(["experiment", "customer_id"], ignore_index=True)
