"""Intervals of every KPI hold the truth as often as they say, in simulated populations whose truth is known."""

import numpy as np
import pandas as pd
import pytest

from workbench.core.config import KpiSettings
from workbench.kpis.metrics import KPIS, estimate_kpis
from workbench.kpis.targets import Targets

SIZES = (15, 40, 150, 600)
SPEND, LARGE = 900.0, 300_000
SETTINGS = KpiSettings(bootstraps=400, cost_per_ticket=4.0)


def customers(rng, segment, n):
    """Sums of n customers of a segment: gamma-mixed Poisson orders, skewed baskets, rates that differ between segments."""
    level, rate = np.exp(rng.normal(0, 0.5, n)), rng.gamma(2, (0.6 + 0.5 * segment) / 2, n)
    orders, before = rng.poisson(rate), rng.poisson(rate * 0.9)
    baskets = [np.where(k > 0, 20 * level * np.maximum(k, 1) * np.exp(rng.normal(0, 0.6 / np.sqrt(np.maximum(k, 1)))), 0) for k in (orders, before)]  # fmt: skip
    returned = baskets[0] * (rng.random(n) < 0.1) * 0.3
    sent = rng.poisson(1.5, n)
    redeemed = rng.random(n) < 0.25
    flag = lambda p: (rng.random(n) < p) * 1.0  # noqa: E731
    visitor = flag(0.5)
    looked = visitor * flag(0.6)
    return pd.DataFrame(
        {
            "orders": orders, "gross": baskets[0], "revenue": baskets[0] - returned, "active": orders > 0, "repeat": orders > 1,
            "orders_before": before, "revenue_before": baskets[1], "active_before": before > 0, "is_new": flag(0.1),
            "new_category": (orders > 0) * flag(0.3), "margin": (baskets[0] - returned) * rng.beta(3, 7, n), "lines": orders, "cost_lines": orders,
            "engaged": flag(0.2 + 0.1 * segment), "visitor": visitor, "looked": looked, "carted": looked * flag(0.5),
            "tickets": rng.poisson(0.3 * np.exp(rng.normal(0, 0.7, n))), "campaigns_sent": sent,
            "campaigns_responded": rng.binomial(sent, rng.beta(0.6, 4, n)),
            "attributed_revenue": redeemed * (orders > 0) * baskets[0], "attributed_discount": redeemed * (orders > 0) * baskets[0] * rng.beta(2, 12, n),
            "score": np.where(rng.random(n) < 0.4, rng.choice([10, 9, 8, 7, 3], n, p=[0.3, 0.2, 0.2, 0.1, 0.2]), np.nan), "expected_spend": 40 * level * rate,
        }
    ).astype("float64")  # fmt: skip


def population(seed, sizes=SIZES):
    """One population: sums and segments."""
    rng = np.random.default_rng(seed)
    sums = pd.concat([customers(rng, segment, n) for segment, n in enumerate(sizes)], ignore_index=True)
    place = np.repeat(np.arange(len(sizes)), sizes)
    sums.insert(0, "customer_id", [f"c{i:07d}" for i in range(len(sums))])
    return sums, pd.DataFrame(
        {"customer_id": sums.customer_id, "segment_id": place, "segment_name": [f"segment {p}" for p in place]}
    )


def truths():
    """(KPI, segment) -> its value in a population 1,000 times as large of the same make-up; acquisition cost by the expected number of new customers."""
    large = [customers(np.random.default_rng(100 + s), s, LARGE) for s in range(len(SIZES))]
    sums = pd.concat([t.assign(customer_id=[f"s{s}_{i}" for i in range(len(t))]) for s, t in enumerate(large)], ignore_index=True)
    place = np.repeat(np.arange(len(SIZES)), LARGE)
    segments = pd.DataFrame({"customer_id": sums.customer_id, "segment_id": place, "segment_name": "one"})
    frame = estimate_kpis(sums, segments, Targets(), KpiSettings(bootstraps=50, cost_per_ticket=4.0), 92, SPEND).set_index(
        ["kpi", "segment_id"]
    )
    found = frame.value.to_dict()
    weights = np.array(SIZES) / LARGE
    for kpi in KPIS:
        parts = frame.loc[kpi.kpi].loc[list(range(len(SIZES)))]
        found[kpi.kpi, -2] = (parts.numerator @ weights) / (parts.denominator @ weights)
    cost = SPEND / (0.1 * sum(SIZES))
    return found | {("cac", segment): cost for segment in (-2, *range(len(SIZES)))}


@pytest.mark.slow
def test_intervals_of_every_kpi_cover_at_their_level_in_200_populations():
    truth, rows = truths(), []
    for seed in range(200):
        frame = estimate_kpis(*population(seed), Targets(), SETTINGS, 92, SPEND)
        known = frame[frame.ci_low.notna()]
        wanted = [truth[pair] for pair in zip(known.kpi, known.segment_id, strict=True)]
        rows.append(known[["kpi", "segment_id"]].assign(hit=(known.ci_low <= wanted) & (wanted <= known.ci_high)))
    hits = pd.concat(rows)
    counted = hits.groupby("kpi").hit.agg(["mean", "size"])
    each = hits.groupby(["kpi", "segment_id"]).hit.agg(["mean", "size"])
    assert set(counted.index) == {kpi.kpi for kpi in KPIS} - {"campaign_roi"}
    for found in (counted, each[each["size"] > 100]):
        short = found[found["mean"] < 0.95 - 3 * np.sqrt(0.95 * 0.05 / found["size"])]
        assert short.empty, short
