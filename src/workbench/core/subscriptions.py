"""Contracts: who has one, and whether it grew. The only place where a customer is known to have left."""

from __future__ import annotations

import ibis.expr.types as ir
import pandas as pd

from workbench.core.engine import fetch

STARTED, ENDED = "subscription_started", "subscription_ended"


def count_contracts(events: ir.Table, as_of: pd.Timestamp, horizon_days: int) -> pd.DataFrame:
    """Events -> frame indexed by customer_id: running, running_before; one row per customer with a contract before as_of.

    running: contracts (and later additions, such as seats) started less ended when as_of begins; running_before: the same
    `horizon_days` days earlier. No rows where the sources know no contracts.
    """
    known = events.filter(events.customer_id.notnull(), events.event_type.isin([STARTED, ENDED]), events.occurred_at < as_of)
    sign = known.event_type.cases((STARTED, 1), else_=-1)
    earlier = known.occurred_at < as_of - pd.Timedelta(days=horizon_days)
    counted = known.group_by("customer_id").agg(running=sign.sum(), running_before=sign.sum(where=earlier).fill_null(0))
    return fetch(counted.order_by("customer_id")).set_index("customer_id").astype("int64")
