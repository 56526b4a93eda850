"""Who the profit comes from: segments in the order of what one of their customers brings."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from workbench.kpis.metrics import TOTAL


def profit_curve(kpis: pd.DataFrame) -> pd.DataFrame:
    """kpis -> segment_id, segment_name, customers, margin, surely_lost, customer_share, margin_share, margin_share_low, margin_share_high.

    A row per segment (unassigned included) by falling margin per customer. Shares are those of the segment and all before it, so the last row holds
    all; where a segment loses money a share can pass 1. The interval, at the level of the KPIs, is that of a ratio of sums of independent
    segments (delta method) in this order, their errors from the KPI's own intervals; missing where one is. Where segments hardly differ, their
    order itself is chance and the curve too steep. surely_lost: the segment's interval lies below 0. No rows where a segment's margin is not known,
    or all of it is not above 0.
    """
    rows = kpis[kpis.kpi == "profitability"]
    all_told = rows.value.notna().all() and rows.value[rows.segment_id == TOTAL].gt(0).any()
    rows = rows[(rows.segment_id != TOTAL) & all_told]
    rows = rows.sort_values(["value", "segment_id"], ascending=[False, True], ignore_index=True)
    margin, customers = rows.numerator.to_numpy(float), rows.denominator.to_numpy(float)
    z = stats.norm.ppf(0.5 + rows.confidence / 2)
    half = (rows.ci_high - rows.ci_low).where(margin != 0, 0.0)  # who ordered nothing has no interval, and no error
    variance = (half / (2 * z) * customers).to_numpy() ** 2
    total, so_far = margin.sum(), margin.cumsum()
    share = so_far / total
    error = np.sqrt((1 - share) ** 2 * variance.cumsum() + share**2 * np.maximum(variance.sum() - variance.cumsum(), 0)) / total
    return pd.DataFrame(
        {
            "segment_id": rows.segment_id, "segment_name": rows.segment_name, "customers": customers.astype(int), "margin": margin,
            "surely_lost": rows.ci_high < 0,
            "customer_share": customers.cumsum() / customers.sum(), "margin_share": share,
            "margin_share_low": share - z * error, "margin_share_high": share + z * error,
        }
    )  # fmt: skip
