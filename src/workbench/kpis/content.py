"""Which themes customers of a segment turn to: of e-mails opened, pages and offers, searches, social posts and webinars."""

from __future__ import annotations

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from scipy import stats

from workbench.core.config import KpiSettings
from workbench.core.contracts import as_promised
from workbench.core.engine import fetch
from workbench.core.event_types import ENGAGED
from workbench.core.stats import false_discovery, wilson
from workbench.kpis.metrics import FEWEST, TOTAL, cells_of, total_and_parts
from workbench.kpis.period import Period

MOST = 12  # themes, by customers who turn to them
COLUMNS = [
    "theme", "segment_id", "segment_name", "value", "ci_low", "ci_high", "n", "numerator", "denominator", "q_value", "versus_others",
    "confidence",
]  # fmt: skip


def read_themes(events: ir.Table, period: Period) -> pd.DataFrame:
    """Events -> customer_id, theme: who did something of their own with a theme (`topic`) in the period; each pair once."""
    mine = events.filter(
        events.customer_id.notnull(), events.topic.notnull(), events.event_type.isin(ENGAGED), events.occurred_at >= period.start,
        events.occurred_at < period.end, ~events.machine.fill_null(False),
    )  # fmt: skip
    return fetch(mine.select("customer_id", theme=mine.topic).distinct().order_by(["customer_id", "theme"]))


def estimate_content(themes: pd.DataFrame, segments: pd.DataFrame, settings: KpiSettings) -> pd.DataFrame:
    """Themes (customer_id, theme) + segments -> `content`: a row per theme, and segment or total (-2); twelve themes at most.

    value: share of customers who turned to the theme, of those who turned to any (n), with Wilson's interval. q_value: of the same
    share among all others (two-sample test of shares, Benjamini & Hochberg over all rows); versus_others: above or below where it is
    under `false_discovery`, else alike. Missing q where under 10 customers turned to anything.
    """
    known = segments[["customer_id", "segment_id", "segment_name"]]
    mine = themes.merge(known, on="customer_id")
    active = mine.drop_duplicates("customer_id")[known.columns].sort_values("customer_id", ignore_index=True)
    if active.empty:
        return as_promised("content", [], COLUMNS)
    cells = cells_of(active)
    n = total_and_parts(np.ones(len(active)), active.segment_id, cells)
    counted = mine.theme.value_counts()
    chosen = sorted(counted.index, key=lambda t: (-counted[t], t))[:MOST]
    frames = []
    for theme in chosen:
        did = active.customer_id.isin(mine.customer_id[mine.theme == theme]).to_numpy(float)
        hits = total_and_parts(did, active.segment_id, cells)
        low, high = wilson(hits, n, settings.confidence)
        told = cells.assign(
            theme=theme, value=hits / n, ci_low=low, ci_high=high, n=n.astype("int64"), numerator=hits, denominator=n
        )
        frames.append(told.assign(p=_p_against_others(hits, n)))
    frame = pd.concat(frames, ignore_index=True)
    q = false_discovery(frame.p.to_numpy())
    differs = q <= settings.false_discovery
    whole = frame.theme.map(frame[frame.segment_id == TOTAL].set_index("theme").value)
    frame["versus_others"] = np.select(
        [frame.segment_id == TOTAL, differs & (frame.value > whole), differs & (frame.value < whole)],
        ["", "above", "below"],
        "alike",
    )
    return as_promised("content", frame.assign(q_value=q, confidence=settings.confidence), COLUMNS)


def _p_against_others(hits: np.ndarray, n: np.ndarray) -> np.ndarray:
    """The first entry is the total: p per segment of one share in it and among all others (pooled z test); NaN where too few to tell."""
    others, outside = hits[0] - hits, n[0] - n
    p = hits[0] / n[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(p * (1 - p) * (1 / n + 1 / outside))
        z = (hits / n - others / outside) / error
    few = (n < FEWEST) | (outside < FEWEST) | (np.minimum(n, outside) * min(p, 1 - p) < 5)
    return np.where(few | ~np.isfinite(z), np.nan, 2 * stats.norm.sf(np.abs(z)))
