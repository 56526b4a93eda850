"""What campaigns caused over what they cost: the margin of treated customers beyond that of customers drawn to be left alone."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.core.config import KpiSettings
from workbench.kpis import effects
from workbench.kpis.experiments import found_after, usable
from workbench.kpis.metrics import FEWEST, Returns

REST = -9  # the stratum of segments that have too few customers in an arm for one of their own
COLUMNS = ["incremental_margin", "incremental_variance", "incremental_loss", "campaign_cost"]


def incremental_returns(
    assignments: pd.DataFrame, checks: pd.DataFrame, segments: pd.DataFrame, settings: KpiSettings, as_of: pd.Timestamp
) -> Returns:
    """Assignments, their checks (see `check_experiments`), segments -> margin caused, its variance, and cost, per treated customer.

    incremental_margin is a customer's margin in the days after the assignment less the control arm's mean in the same segment;
    its sum over n treated customers is n times the difference of the means. incremental_variance sums up to that sum's variance,
    n² (s²/n of the treated + s²/n of the control), or the same by one variance of both arms where that is more: a small control without
    its rare large margins has a low mean and a low variance together. incremental_loss sums up to what that variance, squared, is over
    its degrees of freedom (Welch 1947). Segments with under 10 customers in an arm share one control mean. Only sound experiments
    count, and of these only such with the margin of every customer and the cost of every treatment.
    """
    parts, reasons, silent = [], [], {}
    why_not = checks.set_index("experiment").reason
    for name, mine in assignments.groupby("experiment", sort=True):
        used = usable(mine, segments).sort_values("customer_id", ignore_index=True)
        treated = used.arm != settings.control_arm
        reason = why_not[name] or _unpriced(used, treated)
        if reason:
            reasons.append(f"{name}: {reason}")
            continue
        late = found_after(used, as_of)
        thin = _thin(used.segment_id, treated)
        silent |= {s: late or f"fewer than {FEWEST} customers in an arm" for s in (set(used.segment_id) if late else thin)}
        stratum = np.where(used.segment_id.isin(thin) | (late != ""), REST, used.segment_id)
        parts.append(_caused(used, treated, stratum, settings.confidence))
    parts = [p for p in parts if len(p)]
    if not parts:
        return Returns(reason="; ".join(reasons)) if reasons else Returns()
    return Returns(pd.concat(parts).groupby("customer_id", as_index=False)[COLUMNS].sum(), "", silent)


def _unpriced(used: pd.DataFrame, treated: pd.Series) -> str:
    if used.margin.isna().any():
        return "margins are not known, so a return would be one of revenue"
    if not (used.cost[treated] > 0).all():
        return "no cost of the treatment is recorded"
    return ""


def _thin(segment: pd.Series, treated: pd.Series) -> set[int]:
    fewest = pd.crosstab(segment, treated).reindex(columns=[False, True], fill_value=0).min(axis=1)
    return set(fewest.index[fewest < FEWEST])


def _caused(used: pd.DataFrame, treated: pd.Series, stratum: np.ndarray, confidence: float) -> pd.DataFrame:
    """Treated customers with COLUMNS; those of strata without two customers in each arm are left out."""
    place = np.unique(stratum, return_inverse=True)[1]
    cells = effects.describe_cells(used.margin.to_numpy(float), 2 * place + treated.to_numpy(), 2 * (place.max() + 1))
    n, mean, variance = (a.reshape(-1, 2) for a in (cells.n, cells.mean, cells.variance))
    enough = (n >= 2).all(axis=1)
    control, arm = (effects.Cells(n[:, i], mean[:, i], variance[:, i]) for i in (0, 1))
    found = effects.compare_means(arm, control, confidence)
    # The stratum's sum: its variance and loss in equal parts per treated customer; 0 where no margin varies.
    spread = n[:, 1] * np.nan_to_num(np.maximum(found.error, found.common)) ** 2
    loss = n[:, 1] * np.nan_to_num(spread**2 / found.freedom)
    frame = pd.DataFrame(
        {
            "customer_id": used.customer_id, "incremental_margin": used.margin - mean[place, 0], "incremental_variance": spread[place],
            "incremental_loss": loss[place], "campaign_cost": used.cost,
        }
    )  # fmt: skip
    return frame[treated.to_numpy() & enough[place]]
