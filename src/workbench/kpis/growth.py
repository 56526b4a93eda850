"""Why revenue changed: more buyers, more orders each, or larger orders; the parts add up to the change, to the last digit."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd

from workbench.core.contracts import as_promised
from workbench.kpis.metrics import TOTAL, TOTAL_NAME

NEEDED = ("orders", "orders_before", "gross", "gross_before", "revenue", "revenue_before", "active", "active_before")
PARTS = ("by_buyers", "by_orders", "by_order_value", "by_returns")
COLUMNS = ["segment_id", "segment_name", "revenue_before", "revenue", "change", *PARTS]


def split_growth(sums: pd.DataFrame, segments: pd.DataFrame) -> pd.DataFrame:
    """Customer sums + segments -> `growth_parts`: per segment and in total (-2), what the change of net revenue is made of (money).

    Orders' revenue = buyers x orders per buyer x order value. Each factor's part is its Shapley value (Shorrocks 2013): the mean of
    what it changes over all orders in which the three can change; exact, and the same whichever factor is named first. A factor that
    one period does not have (no orders, so no order value) keeps the other's. by_returns: what returns took less or more. The
    total's parts are the sums of the segments'. Empty where the sources do not reach back over the period before.
    """
    if not set(NEEDED) <= set(sums):
        return as_promised("growth_parts", [], COLUMNS)
    table = segments[["customer_id", "segment_id", "segment_name"]].merge(sums, on="customer_id", how="left")
    by = table.groupby(["segment_id", "segment_name"], as_index=False)[list(NEEDED)].sum()
    now = _factors(by.active, by.orders, by.gross)
    then = _factors(by.active_before, by.orders_before, by.gross_before)
    buyers, orders, value = _shapley(_filled(now, then), _filled(then, now))
    returns = (by.revenue - by.gross) - (by.revenue_before - by.gross_before)
    made = by.assign(
        change=by.revenue - by.revenue_before, by_buyers=buyers, by_orders=orders, by_order_value=value, by_returns=returns
    )
    numbers = [c for c in COLUMNS if c not in ("segment_id", "segment_name")]
    total = pd.DataFrame([{"segment_id": TOTAL, "segment_name": TOTAL_NAME, **made[numbers].sum()}])
    return as_promised("growth_parts", pd.concat([total, made[COLUMNS]], ignore_index=True), COLUMNS)


def _factors(buyers: pd.Series, orders: pd.Series, gross: pd.Series) -> np.ndarray:
    """3 x segments: buyers, orders per buyer, revenue per order; NaN where a period does not have one."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.array([buyers, orders / buyers.where(buyers > 0), gross / orders.where(orders > 0)], dtype=float)


def _filled(mine: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.nan_to_num(np.where(np.isnan(mine), other, mine))


def _shapley(now: np.ndarray, then: np.ndarray) -> np.ndarray:
    """Factors of two periods -> each factor's part of the change of their product; the parts add up to it."""
    k = len(now)
    parts = np.zeros_like(now)
    for order in itertools.permutations(range(k)):
        state = then.copy()
        for factor in order:
            before = state.prod(axis=0)
            state[factor] = now[factor]
            parts[factor] += (state.prod(axis=0) - before) / math.factorial(k)
    return parts
