"""What to expect of each customer: orders, value, being alive, leaving a contract; by models that are compared out of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from workbench.core.engine import fetch
from workbench.core.errors import InputError
from workbench.features import clv, survival
from workbench.features.matrix import EARLIEST, Known, Plan, horizon_after
from workbench.features.window import Window

ATTRIBUTES = 8  # that the model of leaving may use


def expect_orders(known: Known, plan: Plan, features: Mapping[str, pd.DataFrame], seed: int) -> clv.Choice:
    """Features of today (""), one ("earlier") and two horizons before ("earliest") -> the winner's predictions of orders.

    Without features of two horizons before the challenger knows what BG/NBD knows. Raises InputError where nobody had bought
    one horizon before as_of.
    """
    days, moments = plan.settings.horizon_days, []
    for back, name in enumerate(("", "earlier", EARLIEST)):
        window = plan.window.earlier(back * days)
        history = known.named(fetch(clv.order_history(known.events, window.as_of, window.zone)))
        orders = known.named(fetch(clv.purchase_days(known.events, horizon_after(window, days)))) if back else None
        by_then = features[name] if EARLIEST in features else history[["customer_id"]]
        moments.append(clv.Moment(history, by_then, orders))
    return clv.choose(*moments, weeks=days / 7, seed=seed)


@dataclass(frozen=True)
class Expected:
    """The table expectations; what money it would have expected in the judged horizon, what came; why no value can be told."""

    table: pd.DataFrame
    judged_value: float
    actual_value: float
    reason: str


def expect_values(known: Known, plan: Plan, choice: clv.Choice) -> Expected:
    """The predictions with the value of an order and of the horizon (money), and the same for the horizon before as_of.

    expected_value = expected_orders x order_value: of the customers' own orders, shrunk to everybody's (Gamma-Gamma).
    """
    frame = choice.predictions.assign(method=choice.winner)
    try:
        frame = frame.merge(_order_values(known, plan.window), on="customer_id")
        then = plan.window.earlier(plan.settings.horizon_days)
        past = choice.judged.merge(_order_values(known, then), on="customer_id")
        horizon = horizon_after(then, plan.settings.horizon_days).events(known.events)
        bought = horizon.filter(horizon.event_type == "order")
        came = known.named(fetch(bought.group_by("customer_id").agg(amount=bought.amount.sum().cast("float64"))))
        actual, judged, reason = (
            came[came.customer_id.isin(past.customer_id)].amount.sum(),
            (past.predicted * past.order_value).sum(),
            "",
        )
    except InputError as fault:
        nothing = dict.fromkeys(["order_value", "order_value_low", "order_value_high"], float("nan"))
        frame, judged, actual, reason = frame.assign(**nothing), float("nan"), float("nan"), fault.what
    frame = frame.assign(expected_value=frame.expected_orders * frame.order_value)
    return Expected(frame.sort_values("customer_id", ignore_index=True), float(judged), float(actual), reason)


def _order_values(known: Known, window: Window) -> pd.DataFrame:
    history = known.named(fetch(clv.order_history(known.events, window.as_of, window.zone)))
    return clv.fit_values(history).predict(history, 0.95)


def expect_leaving(
    known: Known, plan: Plan, features: Mapping[str, pd.DataFrame], catalog: pd.DataFrame
) -> survival.Churn | None:
    """Who will leave a contract in the next horizon, from the most relevant features; None where no source has contracts."""
    if survival.STARTED not in plan.types:
        return None
    spells = known.named(fetch(survival.contract_spells(known.events, plan.window.as_of, plan.window.zone)))
    if spells.empty:
        return None
    # Contracts seldom end: more attributes than this would be fitted to a handful of accidents.
    columns = ["customer_id", *catalog[catalog.used].nlargest(ATTRIBUTES, "relevance").feature]
    now, earlier, earliest = (features[n][columns] if n in features else None for n in ("", "earlier", EARLIEST))
    return survival.churn_risk(spells, now, earlier, earliest, plan.settings.horizon_days)
