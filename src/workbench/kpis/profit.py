"""Who the profit comes from: segments in the order of what one of their customers brings."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from workbench.kpis.metrics import TOTAL


def profit_curve(kpis: pd.DataFrame) -> pd.DataFrame:
    """kpis -> segment_id, segment_name, customers, margin, customer_share, margin_share, margin_share_low, margin_share_high.

    A row per segment (unassigned included) by falling margin per customer. Shares are those of the segment and all before it, so the last row holds
    all; where a segment loses money a share can pass 1. The interval, at the level of the KPIs, is that of a ratio of sums of independent
    segments (delta method), their errors from the KPI's own intervals. No rows where the margin of all customers is not known or not
    above 0.
    """
    rows = kpis[kpis.kpi == "profitability"]
    all_told = rows.value[rows.segment_id == TOTAL].gt(0).any()  # else a part of the costs, or no profit to share
    rows = rows[(rows.segment_id != TOTAL) & all_told]
    rows = rows.sort_values(["value", "segment_id"], ascending=[False, True], ignore_index=True)
    margin, customers = rows.numerator.to_numpy(float), rows.denominator.to_numpy(float)
    z = stats.norm.ppf(0.5 + rows.confidence / 2)
    variance = np.nan_to_num((rows.ci_high - rows.ci_low) / (2 * z) * customers) ** 2
    total, so_far = margin.sum(), margin.cumsum()
    share = so_far / total
    error = np.sqrt((1 - share) ** 2 * variance.cumsum() + share**2 * np.maximum(variance.sum() - variance.cumsum(), 0)) / total
    return pd.DataFrame(
        {
            "segment_id": rows.segment_id, "segment_name": rows.segment_name, "customers": customers.astype(int), "margin": margin,
            "customer_share": customers.cumsum() / customers.sum(), "margin_share": share,
            "margin_share_low": share - z * error, "margin_share_high": share + z * error,
        }
    )  # fmt: skip
