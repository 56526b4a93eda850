"""What an experiment tells: sample ratio first, then whether segments differ at all, then each segment, partially pooled."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from workbench.core.config import KpiSettings, parse_shares
from workbench.core.contracts import as_promised
from workbench.core.stats import false_discovery, pool_effects
from workbench.kpis import effects
from workbench.kpis.arms import OUTCOMES, Outcome
from workbench.kpis.metrics import FEWEST, TOTAL, TOTAL_NAME

MISMATCH = 0.001  # p of the sample-ratio check below which nothing is concluded (Fabijan et al. 2019)
POWER = 0.8
NOBODY = "nobody {did} in either arm"
COLUMNS = [
    "experiment", "outcome", "arm", "segment_id", "segment_name", "n_arm", "n_control", "arm_mean", "control_mean", "effect", "ci_low",
    "ci_high", "p_value", "q_value", "interaction_p", "pooled", "pooled_low", "pooled_high", "power", "detectable", "verdict", "reason",
    "name", "unit", "adjusted", "confidence",
]  # fmt: skip
CHECKS = ["experiment", "assigned", "both_arms", "incomplete", "unknown", "used", "arms", "planned", "ratio_p", "reason"]


def check_experiments(assignments: pd.DataFrame, segments: pd.DataFrame, settings: KpiSettings) -> pd.DataFrame:
    """Assignments (read_assignments) + segments -> `experiment_checks`: whether each experiment may be read at all, and if not, why.

    assigned = both_arms (customers in more than one arm) + incomplete (their days are not over) + unknown (in no segment) + used.
    arms, planned: customers per arm, and the planned share of each. ratio_p: chi-squared test of one against the other; below 0.001
    something removed or added customers of one arm, and no comparison of the arms is valid. reason: empty where all is well.
    """
    rows = [_check(name, mine, segments, settings) for name, mine in assignments.groupby("experiment", sort=True)]
    return as_promised("experiment_checks", rows, CHECKS)


def estimate_experiments(
    assignments: pd.DataFrame, checks: pd.DataFrame, segments: pd.DataFrame, settings: KpiSettings, as_of: pd.Timestamp
) -> pd.DataFrame:
    """Assignments, their checks, segments (customer_id, segment_id, segment_name) -> the `experiments` table.

    One row per experiment, outcome, arm other than the control, and segment (-2: everybody). effect: the arm's mean less the
    control's, with its interval; counts and money adjusted for the days before (CUPED) where they are known (`adjusted`). p_value:
    of the effect, counts and money by permutation of the arms within the segment; q_value: after Benjamini & Hochberg over all rows of
    the experiment, half of the errors left to everybody, half to the segments. interaction_p: whether the arm's effect differs between segments. pooled…: drawn towards the mean effect. power: to
    find `effect_wanted`; detectable: the effect found with a power of 0.8. Where nothing can be said there is no p-value but a reason.
    Segments found in behaviour after an assignment (it lies before as_of) may be made by the treatment: they are described only; the
    total is not concerned. All this holds for one reading: of an experiment that is read anew as it grows, some reading errs more often.
    """
    reasons = checks.set_index("experiment").reason
    frames = [
        _readout(usable(mine, segments), reasons[name], settings, as_of)
        for name, mine in assignments.groupby("experiment", sort=True)
    ]
    frames = [f for f in frames if len(f)]
    return as_promised("experiments", pd.concat(frames, ignore_index=True) if frames else [], COLUMNS)


def usable(mine: pd.DataFrame, segments: pd.DataFrame) -> pd.DataFrame:
    """One experiment's customers who count: in one arm, days over, in a segment (unassigned included); + segment_id, segment_name."""
    kept = mine[(mine.arms == 1) & mine.complete]
    return kept.merge(segments[["customer_id", "segment_id", "segment_name"]], on="customer_id")


def found_after(mine: pd.DataFrame, as_of: pd.Timestamp) -> str:
    """Why segments may not be compared: they were found in behaviour after the first assignment. Empty where they were not."""
    first = mine.assigned_at.min()
    if mine.empty or first >= as_of:
        return ""
    return f"segments were found in behaviour after the assignment; a run with as_of {first:%Y-%m-%d} or earlier can tell"


def _check(name: str, mine: pd.DataFrame, segments: pd.DataFrame, settings: KpiSettings) -> dict[str, object]:
    # A merge and no isin, which goes through texts one by one.
    mine = mine.merge(segments[["customer_id", "segment_id"]], on="customer_id", how="left", validate="one_to_one")
    both, late, unknown = mine.arms > 1, ~mine.complete, mine.segment_id.isna()
    used = mine[~both & ~late & ~unknown]
    planned = _planned(mine, settings)
    counts = used.arm.value_counts().reindex(sorted({*planned, *mine.arm[~both]}), fill_value=0)
    p = _ratio_p(counts, planned)
    return {
        "experiment": name, "assigned": len(mine), "both_arms": int(both.sum()), "incomplete": int((late & ~both).sum()),
        "unknown": int((unknown & ~late & ~both).sum()), "used": len(used),
        "arms": ", ".join(f"{arm} {count:,}" for arm, count in counts.items()),
        "planned": ", ".join(f"{arm} {share:.0%}" for arm, share in planned.items()),
        "ratio_p": p, "reason": _why_not(counts, p, settings, both.any() or late.any() or unknown.any()),
    }  # fmt: skip


def _planned(mine: pd.DataFrame, settings: KpiSettings) -> Mapping[str, float]:
    """The planned shares, where they name every arm of the experiment; else equal ones."""
    shares, arms = parse_shares(settings.arm_shares), sorted(set(mine.arm[mine.arms == 1]))
    return shares if shares and set(arms) <= set(shares) else {arm: 1 / len(arms) for arm in arms}


def _ratio_p(counts: pd.Series, planned: Mapping[str, float]) -> float:
    expected = counts.sum() * pd.Series(planned, dtype="float64").reindex(counts.index)
    if len(counts) < 2 or not (expected > 0).all():
        return np.nan
    return float(stats.chisquare(counts.to_numpy(), expected.to_numpy()).pvalue)


def _why_not(counts: pd.Series, p: float, settings: KpiSettings, lost: bool) -> str:
    control = settings.control_arm
    if control not in counts.index or counts[control] == 0:
        return f"no control group: nobody who counts is in an arm called {control}"
    if len(counts) < 2:
        return "no customer got a treatment: there is only the control group"
    if (counts == 0).any():
        return f"an arm is empty: {', '.join(counts.index[counts == 0])}"
    if p < MISMATCH:
        hint = "customers left out may be the cause" if lost else "was the planned split another one (arm_shares)?"
        return f"sample ratio mismatch (p = {p:.1g}): the arms are not of the planned sizes, so they are not alike; {hint}"
    return ""


def _readout(used: pd.DataFrame, reason: str, settings: KpiSettings, as_of: pd.Timestamp) -> pd.DataFrame:
    """All rows of one experiment."""
    used = used.sort_values("customer_id", ignore_index=True)
    arms = sorted(set(used.arm) - {settings.control_arm})
    outcomes = [o for o in OUTCOMES if used[o.outcome].notna().any()]
    if not arms or not outcomes:
        return pd.DataFrame(columns=COLUMNS)
    table = pd.concat([_outcome_rows(used, o, arms, settings) for o in outcomes], ignore_index=True)
    table = _without_claims(table, reason, found_after(used, as_of))
    table["q_value"] = _discoveries(table.p_value, table.segment_id == TOTAL)
    table["verdict"] = _verdicts(table, settings.false_discovery)
    return table


def _discoveries(p: pd.Series, total: pd.Series) -> np.ndarray:
    """q-values over all rows, which weigh as much for everybody together as for all segments (Genovese et al. 2006); never under p.

    Else the question whether a treatment works at all would pay for there being many segments.
    """
    weight = p.count() / p.groupby(total).transform("count") / max(total[p.notna()].nunique(), 1)
    return np.maximum(false_discovery((p / weight).clip(upper=1).to_numpy()), p.to_numpy())


def _outcome_rows(used: pd.DataFrame, outcome: Outcome, arms: list[str], settings: KpiSettings) -> pd.DataFrame:
    """One outcome: the total and every segment, for each arm against the control."""
    ids, place = np.unique(used.segment_id, return_inverse=True)
    names = used.drop_duplicates("segment_id").set_index("segment_id").segment_name
    whole = _compare(used, outcome, np.zeros(len(used), int), 1, arms, settings)
    parts = _compare(used, outcome, place, len(ids), arms, settings)
    rows = []
    for arm in arms:
        total, each = (frame[frame.arm == arm].copy() for frame in (whole, parts))
        each["segment_id"], each["segment_name"] = ids, names.reindex(ids).to_numpy()
        each["pooled"], each["pooled_low"], each["pooled_high"] = pool_effects(
            each.effect.to_numpy(), each.common.to_numpy(), settings.confidence
        )
        _, p = effects.heterogeneity(*(each[c].to_numpy() for c in ("effect", "common", "freedom")))
        total["segment_id"], total["segment_name"] = TOTAL, TOTAL_NAME
        rows += [total.assign(interaction_p=p), each.assign(interaction_p=p)]
    table = pd.concat(rows, ignore_index=True)
    return table.assign(
        experiment=used.experiment.iloc[0], outcome=outcome.outcome, name=outcome.name, unit=outcome.unit,
        confidence=settings.confidence,
    )  # fmt: skip


def _compare(
    used: pd.DataFrame, outcome: Outcome, place: np.ndarray, groups: int, arms: list[str], settings: KpiSettings
) -> pd.DataFrame:
    """Each arm against the control, group by group: n, means, effect, interval, p, errors, freedom, power, detectable, reason."""
    order = [settings.control_arm, *arms]
    arm = used.arm.map({name: i for i, name in enumerate(order)}).to_numpy()
    cell, y = place * len(order) + arm, used[outcome.outcome].to_numpy(float)
    raw = _by_arm(effects.describe_cells(y, cell, groups * len(order)), groups)
    before = used[f"{outcome.outcome}_before"].to_numpy(float)
    adjusted = outcome.kind != "binary" and bool(np.isfinite(before).all())
    z = effects.cuped(y, before, place, cell) if adjusted else y
    near = _by_arm(effects.describe_cells(z, cell, groups * len(order)), groups)
    compare = effects.compare_shares if outcome.kind == "binary" else effects.compare_means
    frames = []
    for i, name in enumerate(arms, 1):
        found = compare(near[i], near[0], settings.confidence)
        if outcome.kind != "binary":
            pair = (arm == i) | (arm == 0)
            found = effects.by_permutation(found, z[pair], place[pair], arm[pair] == i, settings.confidence, settings.seed)
        frames.append(
            _cells_frame(raw[i], raw[0], found, outcome, settings).assign(arm=name, adjusted="yes" if adjusted else "no")
        )
    return pd.concat(frames, ignore_index=True)


def _by_arm(cells: effects.Cells, groups: int) -> list[effects.Cells]:
    """Cells of groups x arms -> one Cells per arm."""
    n, mean, variance = (a.reshape(groups, -1).T for a in (cells.n, cells.mean, cells.variance))
    return [effects.Cells(*parts) for parts in zip(n, mean, variance, strict=True)]


def _cells_frame(
    arm: effects.Cells, control: effects.Cells, found: effects.Differences, outcome: Outcome, settings: KpiSettings
) -> pd.DataFrame:
    reason = np.full(len(arm.n), "", dtype=object)
    did = "ordered" if outcome.outcome != "revenue" else "brought revenue"
    reason[(arm.mean == 0) & (control.mean == 0)] = NOBODY.format(did=did)
    reason[(reason == "") & ~np.isfinite(found.p)] = "all customers are alike: there is no variation to judge by"
    reason[np.minimum(arm.n, control.n) < FEWEST] = f"fewer than {FEWEST} customers in an arm"
    few = reason == f"fewer than {FEWEST} customers in an arm"
    silent = reason != ""
    alpha = 1 - settings.confidence
    with np.errstate(invalid="ignore", divide="ignore"):
        power = effects.power_of(settings.effect_wanted * control.mean, found.error, alpha)
    error, common = (np.where(silent, np.nan, e) for e in (found.error, found.common))
    return pd.DataFrame(
        {
            "n_arm": arm.n.astype("int64"), "n_control": control.n.astype("int64"), "arm_mean": arm.mean, "control_mean": control.mean,
            "effect": found.effect, "ci_low": np.where(few, np.nan, found.low), "ci_high": np.where(few, np.nan, found.high),
            "p_value": np.where(silent, np.nan, found.p), "common": common, "freedom": found.freedom,
            "power": np.where(silent | ~(control.mean > 0), np.nan, power),
            "detectable": effects.detectable_effect(error, alpha, POWER), "reason": pd.Series(reason, dtype="str"),
            "pooled": np.nan, "pooled_low": np.nan, "pooled_high": np.nan,
        }
    )  # fmt: skip


def _without_claims(table: pd.DataFrame, reason: str, after: str) -> pd.DataFrame:
    """The rows without what may not be concluded, and the reason in its place."""
    judged = ["p_value", "interaction_p", "pooled", "pooled_low", "pooled_high", "power", "detectable"]
    if reason:
        nothing = [*judged, "effect", "ci_low", "ci_high"]
        return table.assign(**dict.fromkeys(nothing, np.nan), reason=reason, described=False)
    part = (table.segment_id != TOTAL) & (after != "")
    table = table.assign(described=part, reason=table.reason.mask(part & (table.reason == ""), after))
    table.loc[part, judged] = np.nan
    table.loc[table.described | (after != ""), "interaction_p"] = np.nan
    return table


def _verdicts(table: pd.DataFrame, level: float) -> pd.Series:
    found = table.q_value <= level
    cases = [table.described, table.reason != "", found & (table.effect > 0), found & (table.effect < 0)]
    words = ["described only", "not computable", "better", "worse"]
    return pd.Series(np.select(cases, words, default="not enough evidence"), index=table.index, dtype="str")
