"""How segments answered the campaigns that were really sent. Nobody was drawn to be left out, so this says nothing of causes."""

from __future__ import annotations

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from workbench.core.config import KpiSettings
from workbench.core.contracts import as_promised
from workbench.core.engine import fetch
from workbench.core.stats import wilson
from workbench.kpis.metrics import bootstrap_bounds, cells_of, total_and_parts, versus_total
from workbench.kpis.period import Period

EVERY = "all campaigns"
MEASURES = (
    ("response", "customers who answered", "share"),
    ("redemption", "redemptions per customer", "ratio"),
)
COLUMNS = [
    "campaign_id", "segment_id", "kpi", "value", "ci_low", "ci_high", "n", "numerator", "denominator", "shrunk", "segment_name", "name",
    "unit", "confidence", "versus_total",
]  # fmt: skip


def read_answers(events: ir.Table, period: Period) -> pd.DataFrame:
    """Events -> one row per customer and campaign first sent in the period: campaign_id, customer_id, redemptions from then on.

    Redemptions count until the period ends, so late campaigns had less time. Empty where no campaign was sent.
    """
    told = events.filter(
        events.customer_id.notnull(), events.campaign_id.notnull(), events.event_type.isin(["campaign_sent", "coupon_redeemed"]),
        events.occurred_at >= period.start, events.occurred_at < period.end, ~events.machine.fill_null(False),
    )  # fmt: skip
    is_sent = told.event_type == "campaign_sent"
    sent = told.filter(is_sent).group_by("campaign_id", "customer_id").agg(sent_at=told.occurred_at.min())
    redeemed = told.filter(~is_sent).select("campaign_id", "customer_id", "occurred_at")
    pairs = sent.left_join(redeemed, ["campaign_id", "customer_id"])
    counted = pairs.group_by("campaign_id", "customer_id").agg(
        redemptions=pairs.count(where=pairs.occurred_at >= pairs.sent_at).cast("float64")
    )
    return fetch(counted.order_by(["campaign_id", "customer_id"]))


def estimate_responses(answers: pd.DataFrame, segments: pd.DataFrame, settings: KpiSettings) -> pd.DataFrame:
    """Answers + segments -> `campaign_responses`: per campaign, and for all together, the total (-2) and every segment.

    Two measures, over n customers who were sent the campaign: response, the share who redeemed at least once, with its Wilson
    interval; redemption, redemptions per customer, with a bootstrap interval over customers, missing under 10. shrunk: the response
    drawn towards the campaign's own by a beta prior fitted by moments (Kleinman 1973), so that few customers make no record.
    """
    mine = answers.merge(segments[["customer_id", "segment_id", "segment_name"]], on="customer_id")
    whole = (
        mine.groupby(["customer_id", "segment_id", "segment_name"], as_index=False).redemptions.sum().assign(campaign_id=EVERY)
    )
    frames = [_of_campaign(one, settings) for _, one in pd.concat([whole, mine]).groupby("campaign_id", sort=False)]
    return as_promised("campaign_responses", pd.concat(frames, ignore_index=True) if frames else [], COLUMNS)


def compare_receivers(sums: pd.DataFrame, answers: pd.DataFrame, segments: pd.DataFrame) -> pd.DataFrame:
    """Customer sums, answers, segments -> got (yes / no), customers, revenue_before and orders_before: how receivers differed already.

    Means per customer in a segment, in the period before the campaigns; empty where the orders do not reach back over it.
    """
    known = [c for c in ("revenue_before", "orders_before") if c in sums]
    mine = sums.merge(segments.loc[segments.segment_id >= 0, ["customer_id"]], on="customer_id")
    if len(known) < 2 or answers.empty or mine.empty:
        return pd.DataFrame(columns=["got", "customers", *known])
    mine = mine.merge(answers[["customer_id"]].drop_duplicates(), on="customer_id", how="left", indicator="sent")
    got = np.where(mine.sent == "both", "yes", "no")
    return mine.groupby(got)[known].mean().assign(customers=pd.Series(got).value_counts()).rename_axis("got").reset_index()


def _of_campaign(one: pd.DataFrame, settings: KpiSettings) -> pd.DataFrame:
    """One campaign: both measures, for each the total, then its segments."""
    one = one.sort_values("customer_id", ignore_index=True)
    redemptions = one.redemptions.to_numpy(float)
    cells = cells_of(one)
    frames = []
    for (kpi, name, unit), above in zip(MEASURES, ((redemptions > 0) * 1.0, redemptions), strict=True):
        made = cells.assign(kpi=kpi, name=name, unit=unit, numerator=total_and_parts(above, one.segment_id, cells))
        made = made.assign(n=total_and_parts(np.ones(len(one)), one.segment_id, cells).astype("int64"))
        made = made.assign(denominator=made.n.astype("float64"), value=made.numerator / made.n, shrunk=np.nan)
        frames.append(_with_bounds(made, above, one.segment_id, settings))
    frame = pd.concat(frames, ignore_index=True)
    return frame.assign(campaign_id=one.campaign_id.iloc[0], confidence=settings.confidence)


def _with_bounds(made: pd.DataFrame, above: np.ndarray, segment: pd.Series, settings: KpiSettings) -> pd.DataFrame:
    """made + ci_low, ci_high, versus_total, and for the response shrunk."""
    if made.kpi.iloc[0] == "response":
        low, high = wilson(made.numerator, made.denominator, settings.confidence)
        each = _shrunk(made.numerator.to_numpy()[1:], made.denominator.to_numpy()[1:])
        made = made.assign(shrunk=np.concatenate([made.value[:1], each]))
    else:
        low, high = bootstrap_bounds(above, np.ones(len(above)), segment, made, settings)
    made = made.assign(ci_low=low, ci_high=high)
    return made.assign(versus_total=versus_total(made))


def _shrunk(responded: np.ndarray, sent: np.ndarray) -> np.ndarray:
    """(responded + m p) / (sent + m): m is the weight of the common rate p that the spread between segments tells (method of moments)."""
    p, k = responded.sum() / sent.sum(), len(sent)
    if k < 2 or p in (0.0, 1.0):
        return responded / sent
    spread = (sent * (responded / sent - p) ** 2).sum()
    usual = (k - 1) * p * (1 - p)
    between = (spread - usual) / (sent.sum() - (sent**2).sum() / sent.sum())
    prior = np.inf if between <= 0 else max(0.0, p * (1 - p) / between - 1)
    return np.full(k, p) if np.isinf(prior) else (responded + prior * p) / (sent + prior)
