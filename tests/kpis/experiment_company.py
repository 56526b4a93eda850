"""Customers in segments, dealt to arms, whose effects are known; and events of a small company that tried something out."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
from kpi_company import event, order

from workbench.core.config import KpiSettings
from workbench.core.contracts import check_frame
from workbench.kpis.experiments import check_experiments, estimate_experiments

SETTINGS = KpiSettings(bootstraps=50)
BEFORE, AFTER = pd.Timestamp("2024-03-01", tz="UTC"), pd.Timestamp("2024-04-01", tz="UTC")
START = pd.Timestamp("2024-03-04", tz="UTC")


def dealt(seed, sizes, effects=None, arms=("control", "mail"), shares=None, cost=np.nan, outcome="revenue"):
    """Assignments and segments: `effects[segment]` is what every arm but the control adds to the outcome of each customer."""
    rng = np.random.default_rng(seed)
    place = np.repeat(np.arange(len(sizes)), sizes)
    n = len(place)
    lift = np.zeros(len(sizes)) if effects is None else np.asarray(effects, float)
    arm = rng.choice(arms, n, p=shares)
    usual = rng.gamma(2, 15, n)
    extra = lift[place] * (arm != "control")
    ordered = rng.random(n) < np.clip(0.3 + (extra if outcome == "ordered" else 0), 0, 1)
    orders = np.where(ordered, 1 + rng.poisson(1, n), 0) + (rng.poisson(np.maximum(extra, 0)) if outcome == "orders" else 0)
    revenue = usual * rng.gamma(2, 0.5, n) + (extra if outcome == "revenue" else 0)
    ids = pd.Series([f"c{i:06d}" for i in range(n)], dtype="str")
    table = pd.DataFrame(
        {
            "experiment": "spring", "customer_id": ids, "arm": arm, "arms": 1, "assigned_at": START, "cost": np.where(arm == "control", np.nan, cost),
            "complete": True, "ordered": ordered * 1.0, "orders": orders * 1.0, "revenue": revenue, "margin": np.nan,
            "ordered_before": (rng.random(n) < 0.3) * 1.0, "orders_before": rng.poisson(0.6, n) * 1.0, "revenue_before": usual * rng.gamma(2, 0.5, n),
            "margin_before": np.nan,
        }
    )  # fmt: skip
    segments = pd.DataFrame({"customer_id": ids, "segment_id": place, "segment_name": [f"segment {p}" for p in place]})
    return table, segments


TENTH = KpiSettings(bootstraps=50, arm_shares="control: 0.1, mail: 0.9")


def skewed(seed, sizes, uplift=0.0):
    """Assignments and segments, a tenth of the customers control: few order, and money is lognormal; the arm's is `uplift` times more."""
    rng = np.random.default_rng(seed)
    table, segments = dealt(seed, sizes, shares=(0.1, 0.9), cost=0.5)
    usual, n = np.exp(rng.normal(3.4, 0.7, len(table))), len(table)
    for when in ("_before", ""):
        orders = np.where(rng.random(n) < 0.3, 1.0 + rng.poisson(0.6, n), 0.0)
        revenue = usual * orders * np.exp(rng.normal(0, 1, n))
        if not when:
            revenue = np.where(table.arm == "mail", 1 + uplift, 1.0) * revenue
        money = {f"revenue{when}": revenue, f"margin{when}": 0.3 * revenue}
        table = table.assign(**{f"ordered{when}": (orders > 0) * 1.0, f"orders{when}": orders}, **money)
    return table, segments


def read(table, segments, settings=SETTINGS, as_of=BEFORE):
    """The checked tables `experiment_checks` and `experiments`."""
    checks = check_experiments(table, segments, settings)
    frame = estimate_experiments(table, checks, segments, settings, as_of)
    check_frame("experiment_checks", checks)
    check_frame("experiments", frame)
    return checks, frame


def assigned(customer, arm, at="2024-03-04T10:00", **more):
    """One assignment event."""
    return event(customer, at, "assignment", campaign_id="spring", topic=arm, **more)


TRIED = [
    assigned("a", "control"),
    assigned("b", "mail", cost=0.5),
    assigned("c", "mail", cost=0.5),
    assigned("c", "control"),
    assigned("d", "mail", "2024-03-20T10:00", cost=0.5),
    order("a", "2024-02-20T10:00", "x0", "X", 7, cost=3),
    order("a", "2024-03-04T09:59", "x1", "X", 10, cost=5),
    order("a", "2024-03-04T10:00", "x2", "X", 20, cost=10),
    order("a", "2024-03-31T10:00", "x3", "X", 30, cost=15),
    order("a", "2024-04-01T10:00", "x4", "X", 500, cost=15),
    order("a", "2024-03-05T10:00", "x2", "X", -4, cost=-2, kind="return"),
    order("b", "2024-01-20T10:00", "y0", "X", 5, cost=2),
    order("b", "2024-03-10T10:00", "y1", "X", 6, cost=2),
]
UNTIL = dt.datetime(2024, 4, 10, tzinfo=dt.UTC)
