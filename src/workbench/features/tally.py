"""A tally of a window's events: which kinds there are, and what they carry. A plan is made from it, in one pass over them."""

from __future__ import annotations

import ibis.expr.types as ir
import pandas as pd

from workbench.core.engine import fetch

KEYS = ("event_type", "channel", "category", "subcategory")
COUNTED = ("item", "quantity", "cost", "topic", "score", "duration_hours")


def tally_events(happened: ir.Table) -> pd.DataFrame:
    """Events in the window -> frame: a row per kind of `KEYS`, sorted by them.

    events: how many; item to duration_hours: how many carry one; own_brand: how many are of the own brand; amount, discount: money,
    missing where nobody wrote any down.
    """
    counted = happened.group_by(list(KEYS)).agg(
        events=happened.count(),
        **{column: happened[column].count() for column in COUNTED},
        own_brand=happened.count(where=happened.own_brand),
        amount=happened.amount.sum().cast("float64"),
        discount=happened.discount.sum().cast("float64"),
    )
    # Sorted, so that sums of sums do not depend on the engine's order.
    return fetch(counted).sort_values(list(KEYS), ignore_index=True)


def of_kinds(tally: pd.DataFrame, *kinds: str) -> pd.DataFrame:
    """The rows of some event types."""
    return tally[tally.event_type.isin(kinds)]
