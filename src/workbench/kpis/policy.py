"""What it is worth to treat some segments only, against treating everybody or nobody: cross-fitted policy values."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from workbench.core.config import KpiSettings
from workbench.core.contracts import as_promised
from workbench.core.stats import pool_effects
from workbench.kpis import effects
from workbench.kpis.experiments import found_after, usable
from workbench.kpis.metrics import FEWEST

FOLDS = 5
TARGETED, EVERYONE, NOBODY = "by segment", "everyone", "nobody"
COMPARED = ((EVERYONE, NOBODY), (TARGETED, NOBODY), (TARGETED, EVERYONE))
COLUMNS = ["experiment", "policy", "against", "outcome", "value", "ci_low", "ci_high", "n", "treated_share", "reason"]


def estimate_policies(
    assignments: pd.DataFrame, checks: pd.DataFrame, segments: pd.DataFrame, settings: KpiSettings, as_of: pd.Timestamp
) -> pd.DataFrame:
    """Assignments, their checks, segments -> `policy_values`: value per customer of one policy less that of another.

    by segment: each segment gets the arm with the highest partially pooled value, the control where none is above 0; everyone: the
    best single arm. Arms are chosen on four fifths of the customers and judged on the last (cross-fitting, Chernozhukov et al. 2018)
    by doubly robust scores (Athey & Wager 2021), so that choosing does not flatter itself. The value is margin where it is known,
    else revenue, less the treatment's cost where one is recorded. reason: why there is no value, or what it leaves out.
    """
    reasons = checks.set_index("experiment").reason
    rows = []
    for name, mine in assignments.groupby("experiment", sort=True):
        used = usable(mine, segments).sort_values("customer_id", ignore_index=True)
        reason = reasons[name] or found_after(used, as_of) or _too_few(used, settings)
        rows += _nothing(name, len(used), reason) if reason else _values(name, used, settings)
    return as_promised("policy_values", rows, COLUMNS)


def _too_few(used: pd.DataFrame, settings: KpiSettings) -> str:
    return f"fewer than {FOLDS * FEWEST} customers in an arm" if used.arm.value_counts().min() < FOLDS * FEWEST else ""


def _nothing(name: str, n: int, reason: str) -> list[dict[str, object]]:
    blank = dict.fromkeys(("value", "ci_low", "ci_high", "treated_share"), np.nan)
    return [
        {"experiment": name, "policy": p, "against": a, "outcome": "", "n": n, "reason": reason, **blank} for p, a in COMPARED
    ]


def _values(name: str, used: pd.DataFrame, settings: KpiSettings) -> list[dict[str, object]]:
    outcome = "margin" if used.margin.notna().all() else "revenue"
    treated = used.arm != settings.control_arm
    without_cost = bool(used.cost[treated].isna().any())
    net = used[outcome].to_numpy(float) - used.cost.where(treated).fillna(0.0).to_numpy(float)
    order = [settings.control_arm, *sorted(set(used.arm) - {settings.control_arm})]
    arm = used.arm.map({a: i for i, a in enumerate(order)}).to_numpy()
    place = np.unique(used.segment_id, return_inverse=True)[1]
    gains, chosen = _cross_fitted(net, arm, place, len(order), settings)
    z = stats.norm.ppf(0.5 + settings.confidence / 2)
    rows = []
    for policy, against in COMPARED:
        gain = gains[policy] - gains[against]
        half = z * gain.std(ddof=1) / np.sqrt(len(gain))
        rows.append(
            {
                "experiment": name, "policy": policy, "against": against, "outcome": outcome, "value": gain.mean(),
                "ci_low": gain.mean() - half, "ci_high": gain.mean() + half, "n": len(gain),
                "treated_share": float((chosen[policy] > 0).mean()),
                "reason": "no cost of the treatment is recorded: the value is before its cost" if without_cost else "",
            }
        )  # fmt: skip
    return rows


def _cross_fitted(
    net: np.ndarray, arm: np.ndarray, place: np.ndarray, arms: int, settings: KpiSettings
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Per policy: each customer's doubly robust score under it, and the arm it gives them, both from folds without them."""
    folds = np.random.default_rng(settings.seed).permutation(len(net)) % FOLDS
    gains = {policy: np.zeros(len(net)) for policy in (TARGETED, EVERYONE, NOBODY)}
    chosen = {policy: np.zeros(len(net), int) for policy in gains}
    for fold in range(FOLDS):
        out = folds == fold
        means, shares, best, single = _learned(net[~out], arm[~out], place[~out], place.max() + 1, arms, settings)
        chosen[TARGETED][out], chosen[EVERYONE][out] = best[place[out]], single
        for policy, gain in gains.items():
            got = chosen[policy][out]
            model = means[place[out], got]
            gain[out] = model + (arm[out] == got) / shares[got] * (net[out] - model)
    return gains, chosen


def _learned(
    net: np.ndarray, arm: np.ndarray, place: np.ndarray, groups: int, arms: int, settings: KpiSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Means per segment and arm (the arm's where a segment has none), shares of the arms, best arm per segment, best single arm."""
    cells = effects.describe_cells(net, place * arms + arm, groups * arms)
    n, mean, variance = (a.reshape(groups, arms) for a in (cells.n, cells.mean, cells.variance))
    whole = np.bincount(arm, net, minlength=arms) / np.bincount(arm, minlength=arms)
    gains = np.zeros((groups, arms))
    for i in range(1, arms):
        found = effects.compare_means(
            effects.Cells(n[:, i], mean[:, i], variance[:, i]),
            effects.Cells(n[:, 0], mean[:, 0], variance[:, 0]),
            settings.confidence,
        )
        pooled = pool_effects(found.effect, found.common, settings.confidence)[0]
        # Too few segments or customers to pool: the segment's own difference, else what the arm does on the whole.
        gains[:, i] = np.where(np.isfinite(pooled), pooled, np.where(np.isfinite(found.error), found.effect, whole[i] - whole[0]))
    means = np.where(n > 0, np.nan_to_num(mean), whole)
    return means, np.bincount(arm, minlength=arms) / len(arm), gains.argmax(axis=1), int(1 + (whole[1:]).argmax())
