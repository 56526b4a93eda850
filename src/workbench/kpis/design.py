"""The next test: which segments can be tested, alone or joined, with how many customers per arm and for how many weeks."""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from workbench.core.config import KpiSettings
from workbench.core.contracts import as_promised
from workbench.core.engine import fetch
from workbench.core.event_types import PURCHASES
from workbench.kpis import effects
from workbench.kpis.experiments import POWER
from workbench.kpis.metrics import FEWEST
from workbench.kpis.period import Period

WEEKS = (2, 4, 8, 12)
ROOM = 0.5  # of those who would not order anyway: the most that a treatment may be asked to win
DESIGNED = (("ordered", "customers who ordered", "share"), ("revenue", "revenue per customer", "money"))
COLUMNS = ["outcome", "segment_id", "segment_name", "customers", "baseline", "wanted", "weeks", "per_arm", "detectable", "together", "verdict", "reason", "name", "unit"]  # fmt: skip


@dataclass(frozen=True)
class Unit:
    """Segments tested as one: places of its segments, customers, mean and variance of the outcome, middle on the map."""

    segments: tuple[int, ...]
    n: int
    mean: float
    variance: float
    middle: tuple[float, float]

    def joined(self, other: Unit) -> Unit:
        """Both as one: the variance within, and that between the two."""
        n = self.n + other.n
        a, b = self.n / n, other.n / n
        spread = a * b * (self.mean - other.mean) ** 2
        middle = tuple(a * x + b * y for x, y in zip(self.middle, other.middle, strict=True))
        return Unit(
            self.segments + other.segments,
            n,
            a * self.mean + b * other.mean,
            a * self.variance + b * other.variance + spread,
            middle,
        )


def read_history(events: ir.Table, customers: pd.Series, period: Period) -> pd.DataFrame:
    """Events before as_of -> customer_id and, for 2, 4, 8 and 12 weeks, ordered_W, revenue_W and revenue_W_before, 0 for silence.

    W weeks end at as_of; revenue_W_before is that of the W weeks before them. Sums are exact on the engine.
    """
    past = events.filter(events.event_type.isin(PURCHASES), events.customer_id.notnull(), events.occurred_at < period.end)
    past = past.filter(~past.machine.fill_null(False), past.occurred_at >= _ago(period, 2 * max(WEEKS)))
    sums: dict[str, ir.Value] = {}
    for weeks in WEEKS:
        now = past.occurred_at >= _ago(period, weeks)
        before = (past.occurred_at >= _ago(period, 2 * weeks)) & ~now
        sums |= {
            f"ordered_{weeks}": past.count(where=now & (past.event_type == "order")) > 0,
            f"revenue_{weeks}": past.amount.sum(where=now),
            f"revenue_{weeks}_before": past.amount.sum(where=before),
        }
    table = past.group_by("customer_id").agg(**{name: value.cast("float64") for name, value in sums.items()})
    ids = pd.DataFrame({"customer_id": pd.Series(sorted(set(customers)), dtype="str")})
    found = ids.merge(fetch(table), on="customer_id", how="left", validate="one_to_one")
    return found.assign(**{c: found[c].fillna(0.0) for c in sums})


def design_experiment(history: pd.DataFrame, segments: pd.DataFrame, settings: KpiSettings) -> pd.DataFrame:
    """History (read_history) + segments -> `experiment_design`: one row per outcome and segment, for two arms of equal size.

    baseline: the outcome per customer of the last `weeks`; wanted: the effect to find there (`effect_wanted` of it). weeks: the
    fewest of 2, 4, 8 and 12 with which the segment has the customers needed (`per_arm`, twice), at the level of confidence and a
    power of 0.8; revenue is adjusted for the weeks before (CUPED). together: the segments of the same macro-segment, nearest on the
    map first, that it has to be tested with where it is too small alone. detectable: the effect found with all its customers, alone.
    """
    table = history.merge(segments, on="customer_id").sort_values("customer_id", ignore_index=True)
    table = table[table.segment_id >= 0].reset_index(drop=True)
    if table.empty:
        return as_promised("experiment_design", [], COLUMNS)
    ids, place = np.unique(table.segment_id, return_inverse=True)
    first = table.drop_duplicates("segment_id").set_index("segment_id").loc[ids]
    rows = []
    for outcome, name, unit in DESIGNED:
        by_weeks = {weeks: _units(table, outcome, weeks, place, len(ids)) for weeks in WEEKS}
        joined = {weeks: _joined(units, first.macro_segment.to_numpy(), outcome, settings) for weeks, units in by_weeks.items()}
        for i, (segment, words) in enumerate(zip(ids, first.segment_name, strict=True)):
            made = _planned(i, by_weeks, joined, first.segment_name.to_numpy(), outcome, settings)
            rows.append({"outcome": outcome, "name": name, "unit": unit, "segment_id": segment, "segment_name": words, **made})
    return as_promised("experiment_design", rows, COLUMNS)


def _ago(period: Period, weeks: int) -> ibis.Value:
    return ibis.literal(period.end) - ibis.interval(days=7 * weeks)


def _units(table: pd.DataFrame, outcome: str, weeks: int, place: np.ndarray, groups: int) -> list[Unit]:
    """One unit per segment, with the variance that CUPED leaves."""
    y = table[f"{outcome}_{weeks}"].to_numpy(float)
    cells = effects.describe_cells(y, place, groups)
    before = f"{outcome}_{weeks}_before"
    left = effects.cuped(y, table[before].to_numpy(float), place, place) if before in table else y
    variance = np.nan_to_num(effects.describe_cells(left, place, groups).variance)
    x, xy = table.map_x.fillna(0.0).to_numpy(), table.map_y.fillna(0.0).to_numpy()
    middles = (np.bincount(place, x) / cells.n, np.bincount(place, xy) / cells.n)
    return [
        Unit((i,), int(cells.n[i]), float(cells.mean[i]), float(variance[i]), (middles[0][i], middles[1][i]))
        for i in range(groups)
    ]


def _needed(unit: Unit, outcome: str, settings: KpiSettings) -> float:
    """Customers per arm, at least 10; infinite where no number is enough."""
    wanted = settings.effect_wanted * unit.mean
    if wanted <= 0 or _no_room(unit, outcome, settings):
        return np.inf
    treated = (unit.mean + wanted) * (1 - unit.mean - wanted) if outcome == "ordered" else unit.variance
    control = unit.mean * (1 - unit.mean) if outcome == "ordered" else unit.variance
    return max(float(FEWEST), float(effects.per_arm(wanted, treated, control, 1 - settings.confidence, POWER)))


def _no_room(unit: Unit, outcome: str, settings: KpiSettings) -> bool:
    """Whether the effect would have to win more than half of those who would not order anyway."""
    return outcome == "ordered" and settings.effect_wanted * unit.mean > ROOM * (1 - unit.mean)


def _enough(unit: Unit, outcome: str, settings: KpiSettings) -> bool:
    return 2 * _needed(unit, outcome, settings) <= unit.n


def _joined(units: list[Unit], macros: np.ndarray, outcome: str, settings: KpiSettings) -> dict[int, Unit]:
    """Segment -> the unit it is tested in: too small ones join the nearest of their macro-segment until they are enough."""
    found: dict[int, Unit] = {}
    for macro in dict.fromkeys(macros):
        mine = [unit for unit, where in zip(units, macros, strict=True) if where == macro]
        while len(mine) > 1 and (small := [u for u in mine if not _enough(u, outcome, settings)]):
            least = min(small, key=lambda u: (u.n, u.segments))
            others = [u for u in mine if u is not least]
            nearest = min(others, key=lambda u, me=least: (np.hypot(*np.subtract(u.middle, me.middle)), u.segments))
            mine = [u for u in others if u is not nearest] + [least.joined(nearest)]
        found |= {segment: unit for unit in mine for segment in unit.segments}
    return found


def _planned(
    i: int,
    alone: dict[int, list[Unit]],
    joined: dict[int, dict[int, Unit]],
    names: np.ndarray,
    outcome: str,
    settings: KpiSettings,
) -> dict[str, object]:
    """One segment's row: alone if any number of weeks allows it, else with others, else not."""
    weeks = next((w for w in WEEKS if _enough(alone[w][i], outcome, settings)), None)
    verdict, unit = "testable alone", alone[weeks][i] if weeks else None
    if unit is None:
        weeks = next((w for w in WEEKS if _enough(joined[w][i], outcome, settings)), None)
        verdict, unit = "testable together", joined[weeks][i] if weeks else None
    if unit is None:
        weeks, verdict = max(WEEKS), "not testable"
        unit = alone[weeks][i]
    own, needed = alone[weeks][i], _needed(unit, outcome, settings)
    variance = own.mean * (1 - own.mean) if outcome == "ordered" else own.variance
    error = np.sqrt(4 * variance / own.n)
    together = [names[s] for s in sorted(unit.segments) if s != i]
    return {
        "customers": own.n, "baseline": own.mean, "wanted": settings.effect_wanted * own.mean, "weeks": weeks,
        "per_arm": needed if np.isfinite(needed) else np.nan, "verdict": verdict, "together": " + ".join(together),
        "detectable": float(effects.detectable_effect(error, 1 - settings.confidence, POWER)) if error > 0 else np.nan,
        "reason": _why_not(own, needed, outcome, settings) if verdict == "not testable" else "",
    }  # fmt: skip


def _why_not(own: Unit, needed: float, outcome: str, settings: KpiSettings) -> str:
    if own.mean == 0:
        return f"nobody ordered in {max(WEEKS)} weeks: there is nothing to improve on"
    if _no_room(own, outcome, settings):
        return "most order already: so large an effect can hardly be"
    return f"{2 * needed:,.0f} customers needed, {own.n:,} there; its whole macro-segment has too few for a test together, too"
