"""What changed between two runs: in the customers' features, in each KPI by mix and rate, in the segments; and when to refit."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pandas as pd
from scipy import stats

from workbench.kpis.metrics import TOTAL, TOTAL_NAME

BINS = 10
MODERATE, LARGE = 0.1, 0.25
LIFETIME_DAYS = 365  # a segmentation that old is found anew whatever the signals say, like the certificate of a segment
NOBODY = -1


# -- the customers' features ----------------------------------------------------------------------------------------------


def population_stability(before: np.ndarray, now: np.ndarray) -> tuple[float, float]:
    """One feature of two populations -> (population stability index, the value that chance alone stays below in 95 of 100 cases).

    PSI = sum over bins of (b - a) ln(b / a) (Siddiqi 2006, Credit Risk Scorecards); bins between the deciles of `before`, a missing
    value is a bin of its own; a, b: shares of the bin with half a customer added, so that an empty bin is no infinity. Chance: the
    chi-squared approximation (bins - 1)(1 / n + 1 / m) of Yurdakul (2018), for unrelated customers; of customers who are in both
    populations less is by chance.
    """
    edges = _edges(before)
    counts = np.array([_counts(values, edges) for values in (before, now)], float)
    counts = counts[:, counts.sum(axis=0) > 0]
    bins = counts.shape[1]
    a, b = (counts + 0.5) / (counts.sum(axis=1, keepdims=True) + 0.5 * bins)
    chance = stats.chi2.ppf(0.95, bins - 1) * (1 / len(before) + 1 / len(now)) if bins > 1 else 0.0
    return float(((b - a) * np.log(b / a)).sum()), float(chance)


def _edges(values: np.ndarray) -> np.ndarray:
    """Deciles; where the largest value is a decile it gets a bin of its own, so that yes/no features have two bins."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.array([])
    inner = np.quantile(known, np.arange(1, BINS) / BINS, method="inverted_cdf")
    return np.unique(np.minimum(inner, np.nextafter(known.max(), -np.inf)))


def _counts(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    known = values[np.isfinite(values)]
    return np.append(np.bincount(edges.searchsorted(known), minlength=len(edges) + 1), len(values) - len(known))


def build_drift(before: pd.DataFrame, now: pd.DataFrame, catalog: pd.DataFrame) -> pd.DataFrame:
    """Two runs' features (customer_id + features) + the later catalog -> drift: how far each feature of both has shifted.

    Columns: feature, noun, psi, chance, weight (what the feature weighs among those that segments are made of, adding up to 1), drift
    (stable, moderate from 0.1, large from 0.25; stable also where chance explains it); the largest first.
    """
    told = catalog.set_index("feature")
    common = [name for name in before.columns.intersection(now.columns) if name in told.index]
    found = [population_stability(before[name].to_numpy(float), now[name].to_numpy(float)) for name in common]
    frame = pd.DataFrame(found, columns=["psi", "chance"]).assign(feature=pd.Series(common, dtype="str"))
    frame["noun"] = told.noun.reindex(common).to_numpy()
    weight = (told.relevance.fillna(0.0) * told.weight * told.used).reindex(common).to_numpy(float)
    frame["weight"] = weight / weight.sum() if weight.sum() > 0 else weight
    beyond = frame.psi > frame.chance
    frame["drift"] = np.select([beyond & (frame.psi >= LARGE), beyond & (frame.psi >= MODERATE)], ["large", "moderate"], "stable")
    columns = ["feature", "noun", "psi", "chance", "weight", "drift"]
    return (
        frame[columns]
        .astype({"noun": "str", "drift": "str"})
        .sort_values("psi", ascending=False, kind="stable", ignore_index=True)
    )


# -- the KPIs -------------------------------------------------------------------------------------------------------------


def decompose(before: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """Numerator and denominator per group, before and now (index: the same groups, 0 where a group is not there) -> mix and rate.

    mix + rate, summed over the groups, is the change of sum(numerator) / sum(denominator) exactly: with a group's weight w (its share
    of the denominator) and rate r, mix = (w' - w)(mean of r and r' less mean of the totals), rate = (r' - r)(mean of w and w')
    (Marshall 1923, Edgeworth 1925). A group that is new or gone has one rate only, so all of its part is mix.
    """
    w0, w1 = before.denominator / before.denominator.sum(), now.denominator / now.denominator.sum()
    r0 = before.numerator / before.denominator.where(before.denominator != 0)
    r1 = now.numerator / now.denominator.where(now.denominator != 0)
    r0, r1 = r0.fillna(r1).fillna(0.0), r1.fillna(r0).fillna(0.0)
    level = (before.numerator.sum() / before.denominator.sum() + now.numerator.sum() / now.denominator.sum()) / 2
    return pd.DataFrame({"mix": (w1 - w0) * ((r0 + r1) / 2 - level), "rate": (r1 - r0) * (w0 + w1) / 2})


def build_kpi_changes(before: pd.DataFrame, now: pd.DataFrame, lineage: pd.DataFrame) -> pd.DataFrame:
    """Two runs' `kpis` + lineage -> kpi_changes: per KPI of both the total (segment_id -2) and what each segment adds to its change.

    Columns: kpi, segment_id, previous_id, segment_name, value_before, value_now, mix, rate, change (= mix + rate), ci_low, ci_high (of
    the total's change, from both intervals: Newcombe 1998, MOVER; as if the two were unrelated, so rather too wide), name, unit.
    Segments are those that continue, on both sides; all others are born (previous_id -1) or gone (segment_id -1).
    """
    kept = lineage[lineage.change == "continued"].set_index("previous_id").segment_id.to_dict() | {NOBODY: NOBODY}
    parts = []
    for kpi in [k for k in dict.fromkeys(now.kpi) if k in set(before.kpi)]:
        one, two = (_known(frame, kpi) for frame in (before, now))
        if one is not None and two is not None:
            parts.append(_kpi_change(one, two, kept))
    kinds = {"kpi": "str", "segment_id": int, "previous_id": int, "segment_name": "str"}
    kinds |= dict.fromkeys(("value_before", "value_now", "mix", "rate", "change", "ci_low", "ci_high"), float)
    kinds |= {"name": "str", "unit": "str"}
    return (pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(kinds)))[list(kinds)].astype(kinds)


def _known(kpis: pd.DataFrame, kpi: str) -> pd.DataFrame | None:
    """One KPI by segment; None where the total has no value or nothing to divide by, or a part of it is not known and mix and rate would not add up."""
    one = kpis[kpis.kpi == kpi].set_index("segment_id")
    total, parts = one.loc[TOTAL], one.drop(TOTAL)
    whole = total.denominator != 0 and math.isclose(parts.denominator.sum(), total.denominator, rel_tol=1e-9)
    return one if whole and math.isclose(parts.numerator.sum(), total.numerator, rel_tol=1e-9, abs_tol=1e-9) else None


def _kpi_change(before: pd.DataFrame, now: pd.DataFrame, kept: dict[int, int]) -> pd.DataFrame:
    """Groups are pairs (segment now, segment before); -1 is unassigned on both sides, or nobody on one."""
    back = {new: old for old, new in kept.items()}
    one = before.drop(TOTAL).rename(index=lambda s: (kept.get(s, NOBODY), s))
    two = now.drop(TOTAL).rename(index=lambda s: (s, back.get(s, NOBODY)))
    pairs = sorted(set(one.index) | set(two.index))
    sums = [frame[["numerator", "denominator"]].reindex(pairs, fill_value=0.0) for frame in (one, two)]
    names = two.segment_name.reindex(pairs).fillna(one.segment_name.reindex(pairs))
    frame = decompose(*sums).assign(
        segment_id=[pair[0] for pair in pairs], previous_id=[pair[1] for pair in pairs], segment_name=names.astype("str"),
        value_before=one.value.reindex(pairs), value_now=two.value.reindex(pairs),
    )  # fmt: skip
    frame["change"] = frame.mix + frame.rate
    low, high = _interval(before.loc[TOTAL], now.loc[TOTAL])
    total = {
        "segment_id": TOTAL, "previous_id": TOTAL, "segment_name": TOTAL_NAME, "value_before": before.value[TOTAL],
        "value_now": now.value[TOTAL], "mix": frame.mix.sum(), "rate": frame.rate.sum(), "change": frame.change.sum(),
        "ci_low": low, "ci_high": high,
    }  # fmt: skip
    words = now.loc[TOTAL, ["kpi", "name", "unit"]].to_dict()
    return pd.concat([pd.DataFrame([total]), frame.assign(ci_low=np.nan, ci_high=np.nan)]).assign(**words)


def _interval(before: pd.Series, now: pd.Series) -> tuple[float, float]:
    """Bounds of now - before from the bounds of either (square-and-add, Newcombe 1998)."""
    change = now.value - before.value
    low = change - math.hypot(now.value - now.ci_low, before.ci_high - before.value)
    return low, change + math.hypot(now.ci_high - now.value, before.value - before.ci_low)


# -- who moved ------------------------------------------------------------------------------------------------------------


def build_moves(
    before: pd.DataFrame, now: pd.DataFrame, lineage: pd.DataFrame, placebos: list[tuple[pd.DataFrame, dict[int, int]]]
) -> pd.DataFrame:
    """Two runs' segments (customer_id, segment_id) + lineage -> moves of the customers segmented in both, a row per from x to.

    Columns: from_segment (of the earlier run), to_segment (of the later), stayed (the segment continues there), customers, share,
    placebo_share, net_share. placebos: `migration` tables, each with its segments' ids -> ids of the earlier run; their placebo is
    averaged, and only pairs of segments that every one of them knows have one.
    """
    both = before[before.segment_id >= 0].merge(now[now.segment_id >= 0], on="customer_id", suffixes=("_from", "_to"))
    kept = lineage[lineage.change == "continued"].set_index("previous_id").segment_id.to_dict()
    chance = [_renamed(migration, ids) for migration, ids in placebos]
    counts = both.groupby(["segment_id_from", "segment_id_to"]).size()
    # A pair between which only chance moved somebody counts as well: observed and placebo are both whole.
    pairs = sorted({*counts.index} | {(a, kept[b]) for frame in chance for a, b in frame.index if b in kept})
    moves = pd.DataFrame(pairs, columns=["from_segment", "to_segment"], dtype="int64")
    moves["stayed"] = moves.from_segment.map(kept) == moves.to_segment
    moves["customers"] = counts.reindex(pairs, fill_value=0).to_numpy(dtype="int64")
    moves["share"] = moves.customers / max(len(both), 1)
    back = {new: old for old, new in kept.items()}
    told = [_lookup(frame, [(a, back.get(b, NOBODY)) for a, b in pairs]) for frame in chance]
    moves["placebo_share"] = np.mean(told, axis=0) if told else np.nan
    return moves.assign(net_share=moves.share - moves.placebo_share)


def _renamed(migration: pd.DataFrame, ids: dict[int, int]) -> pd.Series:
    """placebo_share by (from, to) in the earlier run's ids; segments without one are left out."""
    named = migration.assign(from_segment=migration.from_segment.map(ids), to_segment=migration.to_segment.map(ids))
    named = named.dropna(subset=["from_segment", "to_segment"]).astype({"from_segment": int, "to_segment": int})
    return named.set_index(["from_segment", "to_segment"]).placebo_share


def _lookup(placebo: pd.Series, pairs: list[tuple[int, int]]) -> np.ndarray:
    """A pair of known segments between which chance moved nobody has the placebo 0; a pair with an unknown one has none."""
    known = {segment for pair in placebo.index for segment in pair}
    return np.array([placebo.get(pair, 0.0) if set(pair) <= known else np.nan for pair in pairs], float)


def moved_share(moves: pd.DataFrame) -> dict[str, float]:
    """moves -> share of customers elsewhere than in the segment that continues theirs: observed, placebo, net with its 95 % bounds.

    Over the pairs that have a placebo; NaN without one. The bounds take observed and placebo as unrelated (rather too wide).
    """
    judged = moves[moves.placebo_share.notna()]
    n, away = judged.customers.sum(), judged[~judged.stayed.astype(bool)]
    if not n:
        return dict.fromkeys(("customers", "observed", "placebo", "net", "low", "high"), np.nan)
    observed, placebo = away.customers.sum() / n, away.placebo_share.sum() / judged.placebo_share.sum()
    half = 1.96 * math.sqrt((observed * (1 - observed) + placebo * (1 - placebo)) / n)
    net = observed - placebo
    return {"customers": n, "observed": observed, "placebo": placebo, "net": net, "low": net - half, "high": net + half}


# -- what follows ---------------------------------------------------------------------------------------------------------


def refit_signals(
    before: dt.date, now: dt.date, horizon_days: int, drift: pd.DataFrame, lineage: pd.DataFrame, quality: pd.DataFrame
) -> pd.DataFrame:
    """-> signal, value, watch, refit (thresholds), verdict (keep, watch, refit), meaning: how long the earlier segmentation serves.

    drift is weighed by what features weigh in the space of segments. A signal is on watch beyond its first threshold.
    """
    sizes = quality.set_index("segment_id")["size"]
    new = ~sizes.index.isin(lineage.segment_id[lineage.change == "continued"])
    failing = sizes.index.isin(quality.segment_id[quality.verdict == "fail"])
    rows = [
        ("age in days", float((now - before).days), float(horizon_days), float(LIFETIME_DAYS), "days between the two as-of days; one horizon later its outcomes are known"),
        ("drift of the features", float((drift.psi * drift.weight).sum()), MODERATE, LARGE, "mean population stability index, by what each feature weighs"),
        ("customers in new segments", float(sizes[new].sum() / sizes.sum()), 0.25, 0.5, "share of the customers whose segment continues none of the earlier run"),
        ("customers in failing segments", float(sizes[failing].sum() / sizes.sum()), 0.1, 0.25, "share of the customers whose segment does not survive resampling"),
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["signal", "value", "watch", "refit", "meaning"])
    frame["verdict"] = np.select([frame.value >= frame.refit, frame.value >= frame.watch], ["refit", "watch"], "keep")
    return frame[["signal", "value", "watch", "refit", "verdict", "meaning"]].astype({"verdict": "str"})


def refit_by(signals: pd.DataFrame, before: dt.date, now: dt.date) -> dt.date:
    """The day by which to find segments anew: the later run's lifetime, or when drift at the pace seen reaches its threshold, if sooner."""
    age, drift = (signals.set_index("signal").value[name] for name in ("age in days", "drift of the features"))
    pace = drift / age if age > 0 else 0.0
    return now + dt.timedelta(days=min(LIFETIME_DAYS, int(LARGE / pace) if pace > 0 else LIFETIME_DAYS))


def advise_segments(registry: pd.DataFrame, kpis: pd.DataFrame, quality: pd.DataFrame) -> pd.DataFrame:
    """The later run's registry, KPIs and segments -> advice (sunset, retest, develop, keep) per living or retired segment, and why.

    sunset: retired, or failing; retest: on watch, or proposed and not yet passed a second time; develop: passed, and its revenue
    grows more than that of all customers (the interval excludes theirs); keep: the rest. With many segments some intervals do so by
    chance, and `why` says how many.
    """
    growth = kpis[(kpis.kpi == "revenue_growth") & (kpis.segment_id >= 0)].set_index("segment_id")
    names = quality.set_index("segment_id").segment_name
    compared = growth[growth.versus_total.isin(["above", "below", "alike"])]
    by_chance = ((1 - compared.confidence) / 2).sum()
    chance = f" (of {len(compared)} segments compared, about {by_chance:.1g} would by chance alone; they were found in the period that this growth ends with, so it partly tells how)"
    rows = [(*_advice(row, growth.versus_total.get(row.segment_id, ""), chance), row) for row in registry.itertuples()]
    return pd.DataFrame(
        {
            "segment_id": [row.segment_id for *_, row in rows], "segment_name": [names.get(row.segment_id, f"no longer found ({row.key})") for *_, row in rows],
            "state": [row.state for *_, row in rows], "since": [row.since for *_, row in rows], "verdict": [row.verdict for *_, row in rows],
            "revenue_growth": [float(growth.value.get(row.segment_id, np.nan)) for *_, row in rows],
            "advice": [advice for advice, *_ in rows], "why": [why for _, why, _ in rows],
        }
    )  # fmt: skip


def _advice(row: tuple, growth: str, chance: str) -> tuple[str, str]:
    match row.state, row.verdict:
        case "sunset", _:
            return "sunset", row.evidence
        case _, "fail":
            return "sunset", "does not survive resampling; once more and it is retired"
        case "proposed", "pass":
            return "retest", "passed for the first time: pilots only, with a control group, until it passes again"
        case (("watch" | "proposed"), _) | (_, "watch"):
            return "retest", "has not passed: no budget of its own; treat it with its macro-segment until it does"
        case _ if growth == "above":
            return "develop", f"passed, and its revenue grows more than that of all customers{chance}"
        case _ if growth == "below":
            return "keep", f"passed, but its revenue does worse than that of all customers: find out why{chance}"
    return "keep", "passed; its growth cannot be told from that of all customers"
