"""How segments answered the campaigns that were really sent. Nobody was drawn to be left out, so this says nothing of causes."""

from __future__ import annotations

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from workbench.core.config import KpiSettings
from workbench.core.contracts import as_promised
from workbench.core.engine import fetch
from workbench.core.stats import ratio_intervals, wilson
from workbench.kpis.metrics import FEWEST, TOTAL, TOTAL_NAME
from workbench.kpis.period import Period

EVERY = "all campaigns"
COLUMNS = [
    "campaign_id", "segment_id", "segment_name", "sent", "responded", "response", "ci_low", "ci_high", "shrunk", "redemptions",
    "redemption", "redemption_low", "redemption_high", "confidence",
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
    """Answers + segments -> `campaign_responses`: per campaign, and for all together, every segment and the total (-2).

    sent: customers; responded: those who redeemed at least once; response with its Wilson interval. shrunk: response drawn towards
    the campaign's own by a beta prior fitted by moments (Kleinman 1973), so that few customers make no record. redemptions per
    customer with a bootstrap interval over customers, missing under 10 customers.
    """
    mine = answers.merge(segments[["customer_id", "segment_id", "segment_name"]], on="customer_id")
    whole = (
        mine.groupby(["customer_id", "segment_id", "segment_name"], as_index=False).redemptions.sum().assign(campaign_id=EVERY)
    )
    frames = [_of_campaign(one, settings) for _, one in pd.concat([whole, mine]).groupby("campaign_id", sort=False)]
    return as_promised("campaign_responses", pd.concat(frames, ignore_index=True) if frames else [], COLUMNS)


def compare_receivers(sums: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Customer sums + answers -> got (yes / no), customers, revenue_before and orders_before per customer: how they differed already.

    The period before is the one before any of these campaigns; empty where the orders do not reach back over it.
    """
    known = [c for c in ("revenue_before", "orders_before") if c in sums]
    if len(known) < 2 or answers.empty:
        return pd.DataFrame(columns=["got", "customers", *known])
    got = np.where(sums.customer_id.isin(answers.customer_id), "yes", "no")
    return sums.groupby(got)[known].mean().assign(customers=pd.Series(got).value_counts()).rename_axis("got").reset_index()


def _of_campaign(one: pd.DataFrame, settings: KpiSettings) -> pd.DataFrame:
    """One campaign: the total, then its segments."""
    one = one.sort_values("customer_id", ignore_index=True)
    ids, place = np.unique(one.segment_id, return_inverse=True)
    names = one.drop_duplicates("segment_id").set_index("segment_id").segment_name.reindex(ids).to_numpy()
    total = _cells(one, np.zeros(len(one), int), 1, settings).assign(segment_id=TOTAL, segment_name=TOTAL_NAME)
    each = _cells(one, place, len(ids), settings).assign(segment_id=ids, segment_name=names)
    each["shrunk"] = _shrunk(each.responded.to_numpy(float), each.sent.to_numpy(float))
    frame = pd.concat([total, each], ignore_index=True)
    return frame.assign(campaign_id=one.campaign_id.iloc[0], confidence=settings.confidence)


def _cells(one: pd.DataFrame, place: np.ndarray, groups: int, settings: KpiSettings) -> pd.DataFrame:
    redemptions = one.redemptions.to_numpy(float)
    sent, responded, redeemed = (
        np.bincount(place, w, minlength=groups) for w in (np.ones(len(one)), redemptions > 0, redemptions)
    )
    low, high = wilson(responded, sent, settings.confidence)
    near, far = ratio_intervals(
        redemptions, np.ones(len(one)), place, groups, settings.bootstraps, settings.confidence, settings.seed
    )
    blind = (sent < FEWEST) | (near == far)
    return pd.DataFrame(
        {
            "sent": sent.astype("int64"), "responded": responded.astype("int64"), "response": responded / sent, "ci_low": low,
            "ci_high": high, "shrunk": responded / sent, "redemptions": redeemed.astype("int64"), "redemption": redeemed / sent,
            "redemption_low": np.where(blind, np.nan, near), "redemption_high": np.where(blind, np.nan, far),
        }
    )  # fmt: skip


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
