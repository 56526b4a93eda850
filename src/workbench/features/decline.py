"""An early warning per customer: activity that has fallen below the customer's own earlier level and stays there.

A lower one-sided CUSUM (Page 1954, "Continuous inspection schemes", Biometrika 41; Montgomery, "Introduction to statistical
quality control", chapter 9): shortfalls of the last weeks add up, a good week takes some of them back, and an alarm is raised
once the sum is larger than steady customers' sums get.
"""

from __future__ import annotations

import functools
import math
import operator

import ibis
import ibis.expr.types as ir
import numpy as np

from workbench.core.errors import InputError
from workbench.core.event_types import NOT_OWN_ACTIONS
from workbench.features.catalog import Feature
from workbench.features.window import Window

DECLINE = (
    Feature("decline", "trend", "standard deviations", "largest sum of weekly shortfalls against the own earlier level (lower CUSUM)", "fell further below their own earlier activity than others", "fell less below their own earlier activity than others", "timing", "decline in activity"),
)  # fmt: skip
RECENT_WEEKS = 8  # judged against all earlier weeks of the window
MIN_WEEKS = 6
FALSE_ALARMS = 0.05  # steady customers flagged at most, in any run
# Half the lasting shift that is to be found first, in standard deviations of a week. Montgomery's usual 0.5 waits for a shift of a
# whole one; over eight weeks, slow declines are found best by smaller values (simulated: 0 to 0.5).
REFERENCE = 0.25
PRIOR_WEEKS = 8  # what everybody's variance counts for against the own one


def decline_table(events: ir.Table, window: Window, false_alarms: float = FALSE_ALARMS) -> ir.Table:
    """Events -> one row per customer with an action of their own in the window.

    decline: the largest lower CUSUM of the last weeks, in standard deviations of one week; 0 without any shortfall, missing where
    nobody was active in the earlier weeks. declining: whether it passed the threshold and has not gone back to 0 since.
    weeks_since: whole weeks from the end of the week of that alarm to as_of, 0 = last week; missing without an alarm.

    Activity is the number of days per week with an action of the customer's own, as long bursts on one day tell little. The level
    is the mean of the earlier weeks, shrunk to everybody's (gamma-Poisson, by moments); the variance of a week is the own one,
    shrunk likewise (Smyth 2004, "Linear models and empirical Bayes methods", section 4). Both follow the season: what all earlier
    customers did that week over their usual week. A fall that everybody shares is therefore no decline of anybody. Customers
    with little activity can hardly be told from steady ones: from about three days a week half the declines show in eight weeks.

    Raises InputError when the window has under MIN_WEEKS whole weeks.
    """
    weeks = window.days // 7
    if weeks < MIN_WEEKS:
        raise InputError(
            f"The window of {window.days} days has {weeks} whole weeks.",
            why=f"A decline shows against earlier weeks; {MIN_WEEKS} are the least.",
            fix="Lengthen features.window_days.",
        )
    recent = min(RECENT_WEEKS, weeks // 3)
    table = _standardized(_active_days(events, window, weeks), weeks, recent)
    return _alarms(table, recent, threshold(weeks - recent, recent, false_alarms))


@functools.cache
def threshold(earlier: int, recent: int, false_alarms: float = FALSE_ALARMS, seed: int = 7) -> float:
    """Weeks -> the sum that a share of `false_alarms` of steady customers passes in `recent` weeks (standard deviations).

    Simulated: 100,000 customers with normal weeks whose level is estimated from `earlier` weeks; that estimate's error is most of
    what raises false alarms. The average run length is about recent / false_alarms weeks (160 weeks by default).
    """
    generator = np.random.default_rng(seed)
    weeks = generator.standard_normal((100_000, recent)) + generator.standard_normal((100_000, 1)) / math.sqrt(earlier)
    total = largest = np.zeros(100_000)
    for week in weeks.T:
        total = np.maximum(total + week - REFERENCE, 0)
        largest = np.maximum(largest, total)
    return float(np.quantile(largest, 1 - false_alarms))


def _active_days(events: ir.Table, window: Window, weeks: int) -> ir.Table:
    """-> customer_id, week_0 (the last) … : days with an action of the customer's own."""
    happened = window.events(events)
    own = happened.filter(happened.event_type.notin(NOT_OWN_ACTIONS), happened.days_ago <= 7 * weeks)
    days = own.select("customer_id", week=((own.days_ago - 1) / 7).floor().cast("int64"), day="days_ago").distinct()
    return days.group_by("customer_id").agg(
        **{f"week_{w}": (days.week == w).cast("int64").sum().cast("float64") for w in range(weeks)}
    )


def _standardized(table: ir.Table, weeks: int, recent: int) -> ir.Table:
    """Days per week -> customer_id, short_0 … : how far each recent week lies below its expected value, in standard deviations."""
    n = weeks - recent
    before = [f"week_{w}" for w in range(recent, weeks)]
    table = table.mutate(usual=_sum(table[w] for w in before) / n)
    known = table.usual > 0
    # Days are whole numbers: their sums, and so the season, do not depend on the order of rows.
    totals = table.agg(
        **{f"all_{w}": table[f"week_{w}"].sum(where=known) for w in range(weeks)},
        customers=table.count().cast("float64"),
        days=_sum(table[w] for w in before).sum(),
        squares=(_sum(table[w] for w in before) * _sum(table[w] for w in before)).sum(),
    )
    normal = (totals.days / n).nullif(0)
    mean = totals.days / n / totals.customers
    # Variance of levels between customers: of the mean weeks, less what chance within customers adds (Poisson).
    between = totals.squares / totals.customers / n**2 - mean * mean - mean / n
    totals = totals.select(
        mean=mean, prior=ibis.least(mean / ibis.greatest(between, 1e-6), 1e6), **{f"season_{w}": totals[f"all_{w}"] / normal for w in range(weeks)}
    )  # fmt: skip
    table = table.cross_join(totals)
    table = table.mutate(
        level=(table.prior * table["mean"] + n * table.usual) / (table.prior + n),
        scatter=_sum(
            (table[f"week_{w}"] - table.usual * table[f"season_{w}"]) * (table[f"week_{w}"] - table.usual * table[f"season_{w}"])
            for w in range(recent, weeks)
        ),
    )
    # Sums over customers of fractions: rounded to whole millionths, the order of rows does not show.
    pooled = table.agg(scatter=_exact_sum(table.scatter), spread=_exact_sum(_spread(table.usual)))
    pooled = pooled.select(dispersion=pooled.scatter / (n - 1) / pooled.spread.nullif(0))
    table = table.cross_join(pooled)
    variance = (PRIOR_WEEKS * table.dispersion * _spread(table.level) + table.scatter) / (PRIOR_WEEKS + n - 1)
    table = table.mutate(deviation=variance.sqrt().nullif(0))
    return table.select(
        "customer_id",
        **{f"short_{w}": (table.level * table[f"season_{w}"] - table[f"week_{w}"]) / table.deviation for w in range(recent)},
    )


def _alarms(table: ir.Table, recent: int, height: float) -> ir.Table:
    """Shortfalls per week -> decline, declining, weeks_since: S = max(0, S + shortfall - REFERENCE), week by week."""
    table = table.mutate(total=ibis.literal(0.0), decline=ibis.literal(0.0), since=ibis.literal(-1).cast("int64"))
    for week in reversed(range(recent)):
        total = ibis.greatest(table.total + table[f"short_{week}"] - REFERENCE, 0.0)
        table = table.mutate(total=ibis.cases((table[f"short_{week}"].notnull(), total)))
        since = ibis.cases((table.total == 0, -1), ((table.total > height) & (table.since < 0), week), else_=table.since)
        table = table.mutate(decline=ibis.greatest(table.decline, table.total), since=since.cast("int64"))
    declining = table.since >= 0
    return table.select(
        "customer_id",
        decline=ibis.cases((table.total.notnull(), table.decline)),
        declining=declining.fill_null(False),
        weeks_since=ibis.cases((declining, table.since.cast("float64"))),
    )


def _spread(level: ir.FloatingValue) -> ir.FloatingValue:
    """Variance of active days of seven (binomial) at a level; kept from vanishing for customers who come every day."""
    return level * ibis.greatest(1 - level / 7, 1 / 7)


def _exact_sum(column: ir.FloatingValue) -> ir.FloatingValue:
    return (column * 1e6).round().cast("int64").sum().cast("float64") / 1e6


def _sum(columns) -> ir.FloatingValue:
    return functools.reduce(operator.add, columns)
