"""How long customers stay and how soon they come back, by when they started: survival curves with censoring, and cohorts."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from scipy import stats

from workbench.core.contracts import as_promised
from workbench.core.engine import fetch, local_time
from workbench.core.stats import wilson
from workbench.kpis.metrics import FEWEST, TOTAL, TOTAL_NAME
from workbench.kpis.period import Period

STEP = 28
CURVES = ["curve", "segment_id", "segment_name", "days", "value", "ci_low", "ci_high", "at_risk"]
COHORTS = ["cohort", "months", "customers", "active", "value", "ci_low", "ci_high"]


def read_lifetimes(events: ir.Table, period: Period) -> pd.DataFrame:
    """Events before as_of -> one row per customer who ever ordered: customer_id, seen, stayed, ended, second, came_back.

    seen: days from the first order in the data to as_of. stayed, ended: days until the first silence as long as the period is over
    (ended 1), or seen where there was none (ended 0, censored). second, came_back: days until the second day with an order, or seen.
    """
    days = _order_days(events, period)
    mine = ibis.window(group_by=days.customer_id, order_by=days.days_ago.desc())
    days = days.mutate(first=days.days_ago.max().over(group_by=days.customer_id), place=ibis.row_number().over(mine))
    days = days.mutate(silence=days.days_ago - days.days_ago.lead().over(mine).fill_null(0))
    silent = days.silence > period.days
    per = days.group_by("customer_id").agg(
        seen=days["first"].max().cast("float64"),
        left=(days["first"] - days.days_ago + period.days).min(where=silent).cast("float64"),
        second=(days["first"] - days.days_ago).min(where=days.place == 1).cast("float64"),
    )
    known = fetch(per.order_by("customer_id"))
    return known.assign(
        stayed=known.left.fillna(known.seen), ended=known.left.notna(), came_back=known.second.notna(),
        second=known.second.fillna(known.seen),
    ).drop(columns="left")  # fmt: skip


def estimate_retention(lifetimes: pd.DataFrame, segments: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Lifetimes + segments -> `retention_curves`: every 28 days since the first order, for everybody (-2) and each segment.

    curve "staying": share not yet lapsed; "coming back": share with a second day of orders. Both by Kaplan & Meier (1958), so that
    customers who started late count as long as they were seen and no longer: cohorts of different age are comparable. Interval:
    Greenwood's variance on the log-log scale (Kalbfleisch & Prentice 1980). A curve ends where fewer than 10 were seen
    so long. at_risk: seen so long and not yet ended.
    """
    table = lifetimes.merge(segments[["customer_id", "segment_id", "segment_name"]], on="customer_id")
    groups = [((TOTAL, TOTAL_NAME), table), *table.groupby(["segment_id", "segment_name"])]
    frames = []
    for (segment, name), mine in groups:
        for curve, days, event in (("staying", "stayed", "ended"), ("coming back", "second", "came_back")):
            earliest = table[days][table[event]].min()
            sides = (mine[days].to_numpy(float), mine[event].to_numpy(bool), mine.seen.to_numpy(float))
            made = _kaplan_meier(*sides, earliest, confidence)
            made = (
                made
                if curve == "staying"
                else made.assign(value=1 - made.value, ci_low=1 - made.ci_high, ci_high=1 - made.ci_low)
            )
            frames.append(made.assign(curve=curve, segment_id=segment, segment_name=name))
    return as_promised("retention_curves", pd.concat(frames, ignore_index=True), CURVES)


def build_cohorts(events: ir.Table, period: Period, confidence: float) -> pd.DataFrame:
    """Events before as_of -> `cohorts`: customers by the month of their first order in the data, and who ordered so many months later.

    cohort: YYYY-MM, in the company's zone; months: 1 is the month after; only whole months before as_of. value: active over
    customers, with its Wilson interval. The first cohort holds everybody who was a customer already when the data begin.
    """
    days = _order_days(events, period)
    ordered = days.select("customer_id", month=(days.day.year() * 12 + days.day.month() - 1).cast("int64")).distinct()
    this = period.as_of.year * 12 + period.as_of.month - 1
    ordered = ordered.filter(ordered.month < this)
    first = ordered.month.min().over(group_by=ordered.customer_id)
    counted = (
        ordered.mutate(first=first, months=ordered.month - first).group_by("first", "months").agg(active=lambda t: t.count())
    )
    table = fetch(counted.order_by(["first", "months"]))
    if table.empty:
        return as_promised("cohorts", [], COHORTS)
    wide = table.pivot(index="first", columns="months", values="active")
    wide = wide.reindex(columns=pd.RangeIndex(this - wide.index.min(), name="months")).fillna(0)
    long = wide.stack().rename("active").reset_index()
    long = long[(long["first"] + long.months < this) & (long.months > 0)]
    customers = long["first"].map(wide[0])
    low, high = wilson(long.active, customers, confidence)
    named = long["first"].map(lambda month: f"{month // 12:04d}-{month % 12 + 1:02d}")
    made = long.assign(cohort=named, customers=customers, value=long.active / customers, ci_low=low, ci_high=high)
    return as_promised("cohorts", made.reset_index(drop=True), COHORTS)


def _order_days(events: ir.Table, period: Period) -> ir.Table:
    """customer_id, day, days_ago: each local day with an order, once."""
    past = events.filter(events.event_type == "order", events.customer_id.notnull(), events.occurred_at < period.end)
    past = past.filter(~past.machine.fill_null(False))
    days = past.select("customer_id", day=local_time(past.occurred_at, period.zone).date()).distinct()
    return days.mutate(days_ago=ibis.date(period.as_of.isoformat()).delta(days.day, unit="day").cast("int64"))


def _kaplan_meier(days: np.ndarray, event: np.ndarray, seen: np.ndarray, earliest: float, confidence: float) -> pd.DataFrame:
    """Durations, whether they ended, how long each was seen -> days (0, 28, …), value, ci_low, ci_high, at_risk.

    earliest: the first day at which anybody could end. Where nobody or everybody has ended, the interval is Wilson's over the
    customers seen so long: Greenwood's would have no width. A curve ends where too few are left in sight to tell.
    """
    times, ending, order = np.unique(days[event]), np.sort(days[event]), np.sort(days)
    risk = len(days) - np.searchsorted(order, times, side="left")
    ends = np.searchsorted(ending, times, side="right") - np.searchsorted(ending, times, side="left")
    grid = np.arange(0, seen.max(initial=0) + 1, STEP)
    place, watched = np.searchsorted(times, grid, side="right"), len(seen) - np.searchsorted(np.sort(seen), grid, side="left")
    with np.errstate(divide="ignore", invalid="ignore"):
        survival, greenwood = np.cumprod(1 - ends / risk), np.cumsum(ends / (risk * (risk - ends)))
        s, v = np.concatenate([[1.0], survival])[place], np.concatenate([[0.0], greenwood])[place]
        half = stats.norm.ppf(0.5 + confidence / 2) * np.sqrt(v) / np.log(s)
        low, high = s ** np.exp(-half), s ** np.exp(half)
    flat_low, flat_high = wilson(s * watched, watched, confidence)
    flat = (s <= 0) | (s >= 1)
    low, high = np.where(flat, flat_low, low), np.where(flat, flat_high, high)
    known = grid < earliest
    left = len(days) - np.searchsorted(order, grid, side="left")
    frame = pd.DataFrame({"days": grid.astype("int64"), "value": s, "ci_low": np.where(known, 1.0, low), "ci_high": np.where(known, 1.0, high), "at_risk": left})  # fmt: skip
    lost = len(days) - left - np.searchsorted(ending, grid, side="left")  # out of sight before they ended
    return frame[(watched >= FEWEST) & ((left >= FEWEST) | (lost == 0))]
