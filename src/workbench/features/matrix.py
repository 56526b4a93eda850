"""One row per customer: every family's features for a window, and the outcomes of a horizon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import ibis.expr.types as ir
import pandas as pd

from workbench.core.config import FeatureSettings
from workbench.core.engine import fetch, fetch_row
from workbench.features import affinity, engagement, outcomes, purchases
from workbench.features.catalog import Feature
from workbench.features.window import HALVES, Window

OUTCOME_CATEGORIES = 3


@dataclass(frozen=True)
class Plan:
    """What the sources allow: decided once, before as_of, so that every window gets the same columns."""

    window: Window
    horizon_days: int
    prior: float
    tops: Mapping[str, tuple[str, ...]]
    channels: tuple[str, ...]
    types: tuple[str, ...]
    columns: frozenset[str]


def plan_features(events: ir.Table, window: Window, settings: FeatureSettings) -> Plan:
    """Look at the events before as_of: which event types occur, which columns are filled, which categories are large."""
    happened = window.events(events)
    types = sorted(fetch(happened.select("event_type").distinct()).event_type)
    lines = purchases.order_lines(happened)
    filled = fetch_row(lines.agg(
        discount=lines.discount.sum().fill_null(0) > 0, own_brand=lines.own_brand.any(),
        lines=lines.count() > lines.order_id.nunique(), clock=lines.channel.notin(engagement.BOOKED).any(),
    ))  # fmt: skip
    columns = {name for name, there in filled.items() if there} | ({"coupon_redeemed"} & set(types)) | ({"return"} & set(types))
    counts = {"category": settings.top_categories, "subcategory": settings.top_subcategories}
    tops = {level: affinity.top_values(events, window, level, count) for level, count in counts.items()}
    channels = engagement.frequent_channels(events, window, settings.min_coverage)
    return Plan(window, settings.horizon_days, settings.prior_orders, tops, channels, tuple(types), frozenset(columns))


def feature_declarations(plan: Plan, names: Mapping[str, str]) -> list[Feature]:
    """The features that this plan computes, in order; names: words of categories."""
    hidden = {"lines_per_order", "line_value"} if "lines" not in plan.columns else set()
    hidden |= {f.feature for f in purchases.BEHAVIOUR if f.family == "daypart"} if "clock" not in plan.columns else set()
    declared = [f for f in purchases.BEHAVIOUR if f.feature not in hidden]
    declared += [*purchases.DISCOUNT] if "discount" in plan.columns else []
    declared += [*purchases.OWN_BRAND] if "own_brand" in plan.columns else []
    declared += [*purchases.RETURNS] if "return" in plan.columns else []
    declared += affinity.affinity_catalog(plan.tops, names)
    return declared + engagement.engagement_catalog(list(plan.types), plan.channels)


def build_features(events: ir.Table, plan: Plan, window: Window) -> pd.DataFrame:
    """Events -> frame: customer_id + one column per declared feature; customers with an order in the window, sorted.

    Counts of other activity are 0 where the source exists and saw nothing; rates without a denominator stay missing.
    """
    table = purchases.purchase_features(events, window, plan.prior)
    parts = [engagement.engagement_features(events, window, list(plan.types), plan.prior)]
    if plan.tops["category"]:
        parts.append(affinity.affinity_features(events, window, plan.tops, plan.prior))
    if plan.channels:
        parts.append(engagement.channel_features(events, window, plan.channels, plan.prior))
    for part in parts:
        table = table.left_join(part, "customer_id").drop("customer_id_right")
    declared = feature_declarations(plan, {})
    frame = fetch(table.select("customer_id", *[f.feature for f in declared]).order_by("customer_id"))
    counts = [f.feature for f in declared if f.family == "engagement" and f.unit == "events"]
    frame[counts] = frame[counts].fillna(0.0)
    return frame


def build_outcomes(events: ir.Table, plan: Plan, horizon: Window, customers: pd.Series) -> pd.DataFrame:
    """Events -> frame: customer_id + future_* columns, one row per given customer; no event means no spend, not missing."""
    categories = list(plan.tops["category"][:OUTCOME_CATEGORIES])
    found = fetch(outcomes.outcome_table(events, horizon, categories, set(plan.columns)))
    frame = pd.DataFrame({"customer_id": customers}).merge(found, on="customer_id", how="left")
    zero = [c for c in ("future_spend", "future_orders", "future_redeemed") if c in frame]
    frame[zero] = frame[zero].fillna(0.0)
    frame.insert(3, "future_active", (frame.future_orders > 0).astype(float))
    return frame.sort_values("customer_id", ignore_index=True)


def horizon_after(window: Window, days: int) -> Window:
    """The `days` that begin on the window's as_of."""
    return replace(window.earlier(-days), days=days)


def build_learning_tables(events: ir.Table, plan: Plan, customers: pd.Series) -> dict[str, pd.DataFrame]:
    """-> features and outcomes of the earlier window and of odd and even weeks, stacked, told apart by the column `slice`.

    Outcomes belong to the earlier slices only and end at as_of; customers limits the rows to known customers.
    """
    features, outcomes = [], []
    for name, window in learning_windows(plan).items():
        frame = build_features(events, plan, window)
        frame = frame[frame.customer_id.isin(customers)].reset_index(drop=True)
        features.append(frame.assign(slice=name))
        if name.endswith("earlier"):
            outcomes.append(
                build_outcomes(events, plan, horizon_after(window, plan.horizon_days), frame.customer_id).assign(slice=name)
            )
    return {"features": pd.concat(features, ignore_index=True), "outcomes": pd.concat(outcomes, ignore_index=True)}


def slice_of(stacked: pd.DataFrame, name: str) -> pd.DataFrame:
    """One slice of a stacked table, without the column `slice`."""
    return stacked[stacked.slice == name].drop(columns="slice").reset_index(drop=True)


def outcomes_if_reached(events: ir.Table, plan: Plan, customers: pd.Series) -> pd.DataFrame | None:
    """What the horizon after as_of brought, or None where orders end more than a week before the horizon does."""
    horizon = horizon_after(plan.window, plan.horizon_days)
    orders = purchases.order_lines(horizon.events(events))
    last = fetch_row(orders.agg(days_left=orders.days_ago.min()))["days_left"]
    return build_outcomes(events, plan, horizon, customers) if last is not None and last <= 7 else None


def learning_windows(plan: Plan) -> dict[str, Window]:
    """The windows that learning and replication need: one horizon earlier, and odd and even weeks of both."""
    windows = {"earlier": plan.window.earlier(plan.horizon_days)}
    for half in HALVES:
        windows[half] = replace(plan.window, half=half)
        windows[f"{half}_earlier"] = replace(windows["earlier"], half=half)
    return windows
