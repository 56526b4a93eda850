"""Churn under contract: how long customers stay, and who will leave in the next horizon. Those who stay are censored, not lost.

Kaplan & Meier 1958 for the curve; a Weibull accelerated-failure-time model for what drives leaving, fitted from a landmark (van
Houwelingen 2007): everybody under contract one horizon ago, described by what was known then, followed until as_of.
"""

from __future__ import annotations

import datetime as dt
import warnings
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from scipy import stats

from workbench.core.engine import local_time
from workbench.core.errors import InputError
from workbench.core.stats import wilson
from workbench.features.window import Window, days_before

STARTED, ENDED = "subscription_started", "subscription_ended"
MIN_ENDS = 20  # in the horizon that is learned from; with fewer the curve alone speaks
MODEL, CURVE = "Weibull AFT", "Kaplan-Meier"
TENURE = "tenure_log_days"

_MIN_AT_RISK = 10  # a curve is not read where fewer are left
_PRIOR = 0.5  # standard deviation that a coefficient per standard deviation of a feature is expected to have


# -- spells ------------------------------------------------------------------------------------------------------------


def contract_spells(events: ir.Table, as_of: dt.date, zone: str) -> ir.Table:
    """Events -> one row per customer and unbroken time under contract, as known when the local day `as_of` begins.

    customer_id, began (days from its first day to as_of), days (under contract, the last one included), ended (else it runs
    at as_of, and its length is censored). A customer may have several contracts at once: a spell ends with the last of them.
    A contract that begins by the day after an end renews it; an end that no start explains is left out. Events from as_of on
    are not read.
    """
    end = Window(as_of, 1, zone).end
    known = events.filter(events.customer_id.notnull(), events.event_type.isin([STARTED, ENDED]), events.occurred_at < end)
    sign = ibis.cases((known.event_type == STARTED, 1), else_=-1).cast("int64")
    known = known.mutate(sign=sign, left=days_before(as_of, local_time(known.occurred_at, zone)))
    # A contract covers the day it ends on, so its end counts from the next day on: there it meets a start and vanishes.
    known = known.mutate(left=known.left - (known.sign < 0).cast("int64"))
    days = known.group_by("customer_id", "left").agg(change=known.sign.sum())

    def so_far(table: ir.Table) -> ibis.expr.builders.WindowBuilder:
        return ibis.window(group_by=table.customer_id, order_by=table.left.desc(), preceding=None, following=0)

    days = days.mutate(level=days.change.sum().over(so_far(days)))
    # Ends without a start would leave a debt that later contracts had to pay off.
    days = days.mutate(running=days.level - ibis.least(days.level.min().over(so_far(days)), 0))
    in_turn = ibis.window(group_by=days.customer_id, order_by=days.left.desc())
    days = days.mutate(before=days.running.lag().over(in_turn).fill_null(0))
    days = days.mutate(begins=((days.running > 0) & (days.before == 0)).cast("int64"))
    days = days.mutate(spell=days.begins.sum().over(so_far(days)))
    days = days.filter((days.begins == 1) | ((days.running == 0) & (days.before > 0)))
    per = days.group_by("customer_id", "spell").agg(
        began=days.left.max(), over=days.left.min(where=days.running == 0), ended=(days.running == 0).cast("int64").max() == 1
    )
    return per.select(
        "customer_id", began=per.began.cast("int64"), days=(per.began - per.over.fill_null(0)).cast("int64"), ended=per.ended
    )


# -- the curve ---------------------------------------------------------------------------------------------------------


def records_begin(spells: pd.DataFrame) -> int | None:
    """Days from the first recorded end to as_of, None without an end.

    Billing systems often list only contracts that ran when they were set up, with their true beginnings. Counted from
    those, time without any recorded end looks like loyalty; it is no evidence, and `survival_curve` leaves it out.
    """
    over = (spells.began - spells.days)[spells.ended]
    return int(over.max()) if len(over) else None


def survival_curve(spells: pd.DataFrame, since_days: int | None = None, confidence: float = 0.95) -> pd.DataFrame:
    """Spells -> Kaplan-Meier curve: days, at_risk, ends, survival (share under contract after so many days), ci_low, ci_high.

    One row per day with an end, an entry or a censored spell. since_days: ends are looked at only when nearer to as_of than
    so many days; spells that began before enter late, with the days they already had. None: all ends since the first start
    are known. Where few are at risk early on, one end can bring the curve to 0 for good. The interval is Greenwood's on the
    log(-log) scale (Kalbfleisch & Prentice 1980). Empty without spells.
    """
    length, ended = spells.days.to_numpy(float), spells.ended.to_numpy(bool)
    entry = np.zeros(len(spells)) if since_days is None else np.maximum(spells.began.to_numpy(float) - since_days, 0)
    length, ended, entry = (values[entry < length] for values in (length, ended, entry))
    days = np.unique(np.concatenate([entry, length]))
    # At risk: entered before that day and not gone before it.
    at_risk = np.searchsorted(np.sort(entry), days, side="left") - np.searchsorted(np.sort(length), days, side="left")
    ends = np.bincount(np.searchsorted(days, length[ended]), minlength=len(days))
    with np.errstate(divide="ignore", invalid="ignore"):
        survival = np.cumprod(1 - ends / np.maximum(at_risk, 1))
        greenwood = np.cumsum(np.where(ends > 0, ends / (at_risk * (at_risk - ends)), 0))
        half = stats.norm.ppf(0.5 + confidence / 2) * np.sqrt(greenwood) / np.log(survival)
        low, high = survival ** np.exp(-half), survival ** np.exp(half)
    # Where nobody has left yet, or nobody stays, the log(-log) interval has no ends.
    sure = (survival == 0) | (survival == 1)
    return pd.DataFrame(
        {
            "days": days, "at_risk": at_risk, "ends": ends, "survival": survival,
            "ci_low": np.where(sure, survival, low), "ci_high": np.where(sure, survival, high),
        }
    )  # fmt: skip


def curve_risk(
    curve: pd.DataFrame, tenure: np.ndarray, horizon_days: int, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Curve, days under contract so far -> chance to end within the horizon, lower and upper bound; shapes (customers,).

    1 - exp(-H), H the sum of ends over spells at risk from tenure to tenure + horizon (Nelson 1972, Aalen 1978). Who has
    stayed longer than the curve is read (10 spells at risk) is treated like the longest-staying that it tells of; missing
    where it is not read as far as one horizon. Bounds are Wilson's for those who were followed to the horizon's end.
    """
    days, at_risk, ends = curve[["days", "at_risk", "ends"]].to_numpy(float).T
    last = days[at_risk >= _MIN_AT_RISK].max(initial=0.0) - horizon_days
    tenure = np.asarray(tenure, float)
    if last < 0:
        return tuple(np.full((3, len(tenure)), np.nan))
    start = np.minimum(tenure, last)
    first, end = (np.searchsorted(days, t, side="right") for t in (start, start + horizon_days))
    # Not the ratio of two values of the curve: where few are at risk early on, it falls to 0 for good.
    hazard, gone = (np.append(0, np.cumsum(v)) for v in (ends / np.maximum(at_risk, 1), ends))
    risk = 1 - np.exp(hazard[first] - hazard[end])
    # Who was at risk on the window's last day, and who ended before it: that is what the share is of.
    last_day = np.searchsorted(days, start + horizon_days, side="left")
    followed = at_risk[last_day] + gone[last_day] - gone[first]
    low, high = wilson(risk * followed, followed, confidence)
    return risk, low, high


# -- who will leave ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Churn:
    """Who will leave: risks per customer, and how far to trust them.

    method: Weibull AFT or Kaplan-Meier; reason: why the curve alone, else "". risks: customer_id, churn_risk (chance that the
    spell which runs at as_of ends within the horizon), ci_low, ci_high; one row per customer under contract. drivers:
    feature, effect (log hazard per standard deviation; above 0 means they leave sooner), ci_low, ci_high, p_value, by
    strength; empty for the curve. ends: in the horizon learned from. concordance: chance that of two customers the one with
    the higher risk left first, in the last horizon, by a model of the horizon before; 0.5 is chance, missing where it cannot
    be told.
    """

    method: str
    reason: str
    risks: pd.DataFrame
    drivers: pd.DataFrame
    ends: int
    concordance: float


def under_contract(spells: pd.DataFrame, days_ago: int, horizon_days: int) -> pd.DataFrame:
    """Spells -> who was under contract `days_ago` days before as_of: customer_id, tenure, days, ended.

    tenure: days under contract by then. days: followed from there, at most the horizon; ended: whether it ended by then. With
    days_ago = 0 nothing follows.
    """
    over = spells.began - spells.days  # days before as_of on which the customer was free again
    # A spell that runs at as_of has no end: its `over` of 0 is not one.
    ran = spells[(spells.began > days_ago) & ((over < days_ago) | ~spells.ended)]
    until = np.maximum(ran.began - ran.days, max(days_ago - horizon_days, 0))
    ended = ran.ended & (ran.began - ran.days >= days_ago - horizon_days)
    frame = pd.DataFrame(
        {"customer_id": ran.customer_id, "tenure": ran.began - days_ago, "days": days_ago - until, "ended": ended}
    )
    return frame.sort_values("customer_id", ignore_index=True)


def churn_risk(
    spells: pd.DataFrame,
    today: pd.DataFrame,
    earlier: pd.DataFrame,
    earliest: pd.DataFrame | None,
    horizon_days: int,
    confidence: float = 0.95,
) -> Churn:
    """Spells at as_of, and features as of as_of, one and two horizons before it -> risks of the next horizon.

    today, earlier, earliest: customer_id and numbers, missing where unknown (then taken as average); customers without a row
    too. The model learns from `earlier` and what followed by as_of; `earliest` only serves the out-of-time concordance. With
    fewer than MIN_ENDS ends in that horizon, or when the fit fails, every customer gets the curve's risk for their time under
    contract. Raises InputError without any spell.
    """
    if not len(spells):
        raise InputError(
            "No contract began before as_of.",
            why="Who has left is known only where contracts are.",
            fix=f"Declare events of type {STARTED} and {ENDED}, or leave churn out.",
        )
    current = under_contract(spells, 0, horizon_days)
    past = under_contract(spells, horizon_days, horizon_days)
    ends, reason, drivers = int(past.ended.sum()), "", pd.DataFrame(columns=["feature", "effect", "ci_low", "ci_high", "p_value"])
    try:
        model = _fit(past, earlier, horizon_days)
        bounds, method, drivers = _risk(model, current, today, horizon_days, confidence), MODEL, _drivers(model, confidence)
    except InputError as fault:
        bounds, method, reason = (
            curve_risk(survival_curve(spells, records_begin(spells)), current.tenure, horizon_days, confidence),
            CURVE,
            fault.what,
        )
    risks = current[["customer_id"]].assign(**dict(zip(("churn_risk", "ci_low", "ci_high"), bounds, strict=True)))
    concordance = np.nan if earliest is None else _concordance(spells, past, earlier, earliest, horizon_days)
    return Churn(method, reason, risks, drivers, ends, concordance)


@dataclass(frozen=True)
class _Model:
    """Weibull: log of the scale (days) is coefficients of [features standardised, 1], log of the shape the last coefficient."""

    columns: list[str]
    mean: np.ndarray
    deviation: np.ndarray
    coefficients: np.ndarray
    covariance: np.ndarray


def _inputs(known: pd.DataFrame, features: pd.DataFrame) -> pd.DataFrame:
    frame = known[["customer_id"]].merge(features, on="customer_id", how="left").drop(columns="customer_id").astype(float)
    return frame.assign(**{TENURE: np.log1p(known.tenure.to_numpy(float))})


def _scaled(frame: pd.DataFrame, model_columns: list[str], mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    # Four standard deviations: one customer of a thousand orders must not carry a coefficient.
    return np.nan_to_num(np.clip((frame.reindex(columns=model_columns).to_numpy(float) - mean) / deviation, -4, 4))


def _fit(known: pd.DataFrame, features: pd.DataFrame, horizon_days: int) -> _Model:
    ends = int(known.ended.sum())
    if ends < MIN_ENDS:
        raise InputError(
            f"Only {ends} contracts ended within {horizon_days} days, of {len(known)} that ran.",
            why=f"What drives leaving cannot be told from fewer than {MIN_ENDS} ends.",
            fix="Use a longer features.horizon_days or a later as_of.",
        )
    from lifelines import WeibullAFTFitter
    from lifelines.exceptions import ConvergenceError

    frame = _inputs(known, features)
    frame = frame.loc[:, frame.nunique() > 1]
    columns, mean, deviation = list(frame), frame.mean().to_numpy(), frame.std().to_numpy()
    table = pd.DataFrame(_scaled(frame, columns, mean, deviation), columns=[f"x{i}" for i in range(len(columns))])
    table = table.assign(days=known.days.to_numpy(float), ended=known.ended.to_numpy(bool))
    # lifelines' penalty is on the mean log likelihood; as a prior it must weigh less the more customers there are.
    fitter = WeibullAFTFitter(penalizer=1 / (_PRIOR**2 * len(table)))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pandas 4; whether the fit is sound is looked at below
            fitter.fit(table, "days", "ended")
    except (ConvergenceError, np.linalg.LinAlgError) as fault:
        raise _unsound(str(fault)) from fault
    order = [*[("lambda_", c) for c in table.columns[:-2]], ("lambda_", "Intercept"), ("rho_", "Intercept")]
    coefficients = fitter.params_.loc[order].to_numpy(float)
    covariance = fitter.variance_matrix_.loc[order, order].to_numpy(float)
    if not (np.isfinite(coefficients).all() and np.isfinite(covariance).all() and (np.diag(covariance) > 0).all()):
        raise _unsound("its covariance is not a number")
    return _Model(columns, mean, deviation, coefficients, covariance)


def _unsound(detail: str) -> InputError:
    return InputError(
        f"The Weibull model could not be fitted: {detail.splitlines()[0] if detail else 'no convergence'}.",
        why="Its numbers would be arbitrary.",
        fix="Leave out features that repeat one another.",
    )


def _risk(
    model: _Model, known: pd.DataFrame, features: pd.DataFrame, horizon_days: int, confidence: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> chance to end within the horizon and its bounds, by the delta method on the log of the cumulative hazard."""
    x = np.column_stack([_scaled(_inputs(known, features), model.columns, model.mean, model.deviation), np.ones(len(known))])
    shape = np.exp(model.coefficients[-1])
    hazard = shape * (np.log(horizon_days) - x @ model.coefficients[:-1])
    slope = np.column_stack([-shape * x, hazard])
    half = stats.norm.ppf(0.5 + confidence / 2) * np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", slope, model.covariance, slope), 0))
    return tuple(-np.expm1(-np.exp(hazard + shift)) for shift in (0.0, -half, half))


def _drivers(model: _Model, confidence: float) -> pd.DataFrame:
    """The log hazard per standard deviation is minus shape times the AFT coefficient; its error by the delta method."""
    k, shape = len(model.columns), np.exp(model.coefficients[-1])
    beta, variance = model.coefficients[:k], np.diag(model.covariance)
    with_shape = model.covariance[:k, -1]
    error = shape * np.sqrt(variance[:k] + beta**2 * variance[-1] + 2 * beta * with_shape)
    effect, half = -shape * beta, stats.norm.ppf(0.5 + confidence / 2) * error
    frame = pd.DataFrame(
        {"feature": model.columns, "effect": effect, "ci_low": effect - half, "ci_high": effect + half,
         "p_value": 2 * stats.norm.sf(abs(effect) / error)}
    )  # fmt: skip
    return frame.sort_values("effect", key=abs, ascending=False, kind="stable", ignore_index=True)


def _concordance(
    spells: pd.DataFrame, past: pd.DataFrame, earlier: pd.DataFrame, earliest: pd.DataFrame, horizon_days: int
) -> float:
    try:
        model = _fit(under_contract(spells, 2 * horizon_days, horizon_days), earliest, horizon_days)
    except InputError:
        return np.nan
    if not past.ended.any() or past.ended.all() and past.days.nunique() == 1:
        return np.nan
    from lifelines.utils import concordance_index

    risk = _risk(model, past, earlier, horizon_days, 0.95)[0]
    return float(concordance_index(past.days, -risk, past.ended))
