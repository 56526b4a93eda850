"""What the company does already: the campaigns that reached customers lately, by segment and stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis.expr.types as ir
import pandas as pd

from workbench.core import engine
from workbench.core.contacts import RECENT_DAYS, lately, recent_contacts

if TYPE_CHECKING:
    import datetime as dt

PAID = "ad_spend"
WORDS = {"email_sent": "e-mail", "campaign_sent": "campaigns", PAID: "paid ads"}
NOTHING = "nothing"


def add_running(plan: pd.DataFrame, events: ir.Table, labels: pd.Series, stages: pd.Series, as_of: dt.date) -> pd.DataFrame:
    """The matrix -> the same with what already runs in each cell: running (in words) and running_share (members reached).

    Counted over the last 28 days before as_of. acquisition: whether money was spent on ads, which no segment can be told of.
    """
    sent = recent_contacts(events, as_of)
    counted = sent.group_by("customer_id", "event_type").agg(contacts=sent.count())
    reached = engine.fetch(counted)
    reached = reached.assign(segment_id=reached.customer_id.map(labels), stage=reached.customer_id.map(stages))
    ads = _money_for_ads(events, as_of)
    words, shares = [], []
    cells = dict(list(reached.groupby(["segment_id", "stage"])))
    for cell in plan.itertuples(index=False):
        mine = cells.get((cell.segment_id, cell.stage), reached.head(0))
        words.append(_tell(mine, cell.customers) if cell.stage != "acquisition" else ads)
        shares.append(mine.customer_id.nunique() / cell.customers if cell.customers else 0.0)
    return plan.assign(running=pd.Series(words, index=plan.index, dtype="str"), running_share=shares)


def _tell(mine: pd.DataFrame, customers: int) -> str:
    """Kind of contact, share of the cell's customers that it reached, and how often a week."""
    told = []
    for kind, rows in mine.groupby("event_type"):
        share, weekly = len(rows) / customers, rows.contacts.mean() * 7 / RECENT_DAYS
        told.append(f"{WORDS[kind]} to {share:.0%}, {weekly:.1f} a week")
    return "; ".join(told) or NOTHING


def _money_for_ads(events: ir.Table, as_of: dt.date) -> str:
    spent = engine.count_rows(events.filter(events.event_type == PAID, lately(events, as_of)))
    return f"{WORDS[PAID]}, not by segment" if spent else NOTHING
