"""What readers see of a comparison of two runs: weakness first, then what moved, and what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from workbench.views import theme
from workbench.views.kpis import FORMATS, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CHANGES = {"share": "{:+.1%}", "change": "{:+.1%}", "money": "{:+,.2f}", "ratio": "{:+.2f}", "points": "{:+.0f}"}
DRIFT_COLOURS = {"stable": theme.GREY, "moderate": theme.VERDICT_COLOURS["watch"], "large": theme.VERDICT_COLOURS["fail"]}
MIX, RATE = "#56b4e9", "#0072b2"
NO_EARLIER = "**No earlier run to compare with:** a run by hand has none, and neither has a company's first. `workbench compare A B` compares any two finished runs."


def say_changed(found: Any) -> str:
    """Comparison -> Markdown: what makes it hard to compare, then segments, moves, drift and KPIs in a sentence each."""
    lines = [f"**Beware:** {theme.plain(note)}" for note in found.notes]
    if not found.earlier:
        return "\n\n".join([NO_EARLIER, *lines])
    head = f"From run {theme.plain(found.earlier)} (as of {found.dates[0]}) to run {theme.plain(found.later)} (as of {found.dates[1]}):"
    return "\n\n".join([*lines, head, "\n".join([_say_lineage(found.lineage), _say_moved(found), _say_drift(found.drift), say_kpi_changes(found.kpi_changes)])])  # fmt: skip


def _say_lineage(lineage: pd.DataFrame) -> str:
    counts = lineage.change.value_counts()
    told = ", ".join(f"{counts[c]} {c}" for c in ("continued", "split", "merged", "born", "gone") if c in counts)
    kept = lineage[lineage.change == "continued"]
    share = (
        f"; a segment that continued has a mean overlap (Jaccard) of {kept.jaccard.mean():.0%} with what it was"
        if len(kept)
        else ""
    )
    return f"- **Segments**: {told}{share}."


def _say_moved(found: Any) -> str:
    moved, moves = found.moved, found.moves
    if found.dates[0] == found.dates[1]:
        elsewhere = moves.customers[~moves.stayed].sum() / max(moves.customers.sum(), 1)
        return f"- **Movement**: none, as no day passed; {elsewhere:.1%} of {moves.customers.sum():,} stand in another segment than the one that continues theirs because segments were found anew."
    if not moved["customers"] > 0:
        return "- **Movement** cannot be told from chance: at least one of the runs has no placebo."
    told = f"{moved['observed']:.1%} of {moved['customers']:,.0f} stand in another segment than the one that continues theirs, and {moved['placebo']:.1%} would with nothing changed"  # fmt: skip
    net = f"net {moved['net']:.1%}, 95% interval {moved['low']:.1%} to {moved['high']:.1%}"
    if moved["low"] <= 0:
        return f"- **No movement beyond chance**: {told} ({net})."
    return f"- **{moved['net']:.1%} of the customers moved beyond chance**: {told} ({net}). Segments were found anew, so a part of it is the refit's."


def _say_drift(drift: pd.DataFrame) -> str:
    counts = drift.drift.value_counts()
    large, moderate = int(counts.get("large", 0)), int(counts.get("moderate", 0))
    most = drift[drift.drift != "stable"].head(3)
    told = f"; most of all {', '.join(f'{theme.plain(r.noun)} ({r.psi:.2f})' for r in most.itertuples())}" if len(most) else ""
    return f"- **Features**: of {len(drift)}, {large} shifted much (index from 0.25) and {moderate} moderately (from 0.1){told}."


def say_kpi_changes(changed: pd.DataFrame) -> str:
    """kpi_changes -> one line of Markdown: the KPIs that changed beyond their intervals, with mix and rate."""
    total = changed[changed.segment_id == theme.TOTAL]
    if total.empty:
        return "- **KPIs**: none is compared: the runs have no KPI in common, or another `features.horizon_days`."
    if (total.change == 0).all():
        return f"- **KPIs**: none of {len(total)} changed at all, as where no day passed."
    sure = total[(total.ci_low > 0) | (total.ci_high < 0)]
    told = "; ".join(
        f"{theme.plain(r.name)} {CHANGES[r.unit].format(r.change)} (mix {CHANGES[r.unit].format(r.mix)}, rate {CHANGES[r.unit].format(r.rate)})"
        for r in sure.rename(columns={"name": "words"}).assign(name=sure["name"]).itertuples(index=False)
    )
    return f"- **KPIs**: {len(sure)} of {len(total)} changed beyond their intervals{': ' + told if told else ''}."


def lineage_table(found: Any) -> theme.Shown:
    """Comparison -> what became of each segment."""
    names = found.segments.set_index("segment_id").segment_name
    before = found.lineage.previous_name.where(found.lineage.previous_id >= 0, "–")
    shown = found.lineage.assign(now=found.lineage.segment_id.map(names).fillna("–"), before=before)
    return theme.table(
        shown, "What became of the segments",
        {"before": "segment before", "change": "what became of it", "now": "segment now", "shared": "customers in both", "jaccard": "overlap"},
        {"jaccard": "{:.0%}"},
    )  # fmt: skip


def kpi_change_table(changed: pd.DataFrame) -> theme.Shown:
    """kpi_changes -> every KPI's total: before, now, change with its interval, and its two parts."""
    total = changed[changed.segment_id == theme.TOTAL]
    cells = [
        {
            "KPI": r.name, "before": FORMATS[r.unit].format(r.value_before), "now": FORMATS[r.unit].format(r.value_now),
            **{part: CHANGES[r.unit].format(getattr(r, part)) for part in ("change", "mix", "rate")},
            "interval": "–" if pd.isna(r.ci_low) else f"{CHANGES[r.unit].format(r.ci_low)} to {CHANGES[r.unit].format(r.ci_high)}",
        }
        for r in total.itertuples(index=False)
    ]  # fmt: skip
    return theme.table(
        pd.DataFrame(cells, columns=["KPI", "before", "now", "change", "interval", "mix", "rate"]),
        "KPIs of all customers: mix (other shares of segments) and rate (segments doing otherwise) add up to the change",
    )


def drift_table(drift: pd.DataFrame, rows: int = 15) -> theme.Shown:
    """drift -> the features that shifted most."""
    return theme.table(
        drift, "Population stability index per feature",
        {"noun": "feature", "psi": "index", "chance": "by chance below", "weight": "weight in segments", "drift": "drift"},
        {"psi": "{:.3f}", "chance": "{:.3f}", "weight": "{:.1%}"}, rows,
    )  # fmt: skip


def signals_table(found: Any) -> theme.Shown:
    """Comparison -> signals for refitting, each with its thresholds."""
    caption = f"When to find segments anew: by {found.refit_by} at the latest, or as soon as a signal says refit" if found.earlier else "When to find segments anew"  # fmt: skip
    names = {"signal": "signal", "value": "value", "watch": "watch from", "refit": "refit from", "verdict": "verdict", "meaning": "what it is"}  # fmt: skip
    return theme.table(found.signals, caption, names)


def advice_table(advice: pd.DataFrame) -> theme.Shown:
    """advice -> which segments to sunset, retest, develop or keep, and why."""
    order = advice.assign(place=advice.advice.map({"sunset": 0, "retest": 1, "develop": 2, "keep": 3})).sort_values(
        "place", kind="stable"
    )
    names = {"segment_name": "segment", "state": "state", "since": "since", "verdict": "stability", "revenue_growth": "revenue growth", "advice": "advice", "why": "why"}  # fmt: skip
    return theme.table(order, "Which segments to sunset, retest, develop or keep", names, {"revenue_growth": "{:+.1%}"})


def chart_drift(drift: pd.DataFrame, most: int = 15) -> Axes:
    """drift -> bars of the features that shifted most, thresholds as lines, what chance explains as a mark."""
    import matplotlib.pyplot as plt

    top = drift.head(most)[::-1]
    _, axes = plt.subplots(figsize=(8, 1.2 + 0.28 * max(len(top), 1)))
    places = np.arange(len(top))
    axes.barh(places, top.psi, color=[DRIFT_COLOURS[d] for d in top.drift], height=0.6)
    axes.scatter(top.chance, places, marker="|", s=140, color=theme.INK, zorder=3)
    for threshold in (0.1, 0.25):
        axes.axvline(threshold, color=theme.INK, linewidth=0.8, linestyle="--")
    axes.set_yticks(places, top.noun)
    shifted = int((drift.drift != "stable").sum())
    axes.set_title(f"{shifted} of {len(drift)} features shifted beyond chance and 0.1")
    axes.set_xlabel("population stability index (dashed: moderate from 0.1, large from 0.25; mark: chance stays below)")
    axes.tick_params(axis="y", length=0, labelsize=8)
    return axes


def chart_kpi_parts(changed: pd.DataFrame, kpi: str, most: int = 12) -> Axes:
    """kpi_changes -> one KPI: what each segment adds to its change, mix and rate side by side, the largest first."""
    import matplotlib.pyplot as plt

    one = changed[changed.kpi == kpi]
    total = one[one.segment_id == theme.TOTAL].iloc[0]
    parts = one[one.segment_id != theme.TOTAL]
    parts = parts.loc[(parts.mix.abs() + parts.rate.abs()).sort_values(ascending=False).index].head(most)[::-1]
    _, axes = plt.subplots(figsize=(8, 1.4 + 0.38 * len(parts)))
    places = np.arange(len(parts))
    axes.barh(places + 0.2, parts.mix, height=0.36, color=MIX, label="mix: its share of customers")
    axes.barh(places - 0.2, parts.rate, height=0.36, color=RATE, label="rate: what it does")
    axes.axvline(0, color=theme.INK, linewidth=0.8)
    axes.set_yticks(places, [short(name) for name in parts.segment_name], fontsize=8)
    form = CHANGES[total.unit]
    axes.xaxis.set_major_formatter(lambda value, _: form.format(value))
    axes.set_title(f"{total['name'][:1].upper()}{total['name'][1:]}: {form.format(total.change)} in all (mix {form.format(total.mix)}, rate {form.format(total.rate)})", fontsize=11)  # fmt: skip
    axes.set_xlabel(f"what a segment adds to the change ({total.unit})")
    axes.legend(frameon=False, fontsize=8, loc="best")
    return axes


def chart_moves(found: Any) -> Axes:
    """Comparison -> Sankey diagram: segments before and now, bands of customers between them; coloured: beyond chance, grey: not."""
    import matplotlib.pyplot as plt

    moves = found.moves[found.moves.customers > 0]
    _, axes = plt.subplots(figsize=(9.5, 8))
    left, right = (_stack(moves, side) for side in ("from_segment", "to_segment"))
    colours = theme.segment_colours(sorted(set(moves.from_segment)))
    beyond = moves[~moves.stayed & (moves.net_share > 0)]
    _bands(axes, moves, (left, right), {row.Index: colours[row.from_segment] for row in beyond.itertuples()})
    for ends, names, x, side in ((left, found.segments_before, 0.0, "right"), (right, found.segments, 1.0, "left")):
        words = names.set_index("segment_id").segment_name
        for segment, (low, high) in ends.items():
            axes.plot([x, x], [low, high], color=theme.INK, linewidth=4, solid_capstyle="butt")
            axes.text(x + (0.02 if side == "left" else -0.02), (low + high) / 2, short(words.get(segment, str(segment))), ha=side, va="center", fontsize=8)  # fmt: skip
    axes.set(xlim=(-0.75, 1.75))
    axes.set_axis_off()
    title = f"{int(beyond.customers.sum()):,} of {int(moves.customers.sum()):,} customers are in a band that is wider than chance makes it\n(colour of the segment that they left; grey: stayed, or no more than by chance)"
    if moves.placebo_share.isna().all():
        title = f"Where {int(moves.customers.sum()):,} customers stood and stand\n(grey: nothing here can be told from chance)"
    axes.set_title(title, fontsize=10)
    return axes


def _stack(moves: pd.DataFrame, side: str) -> dict[int, tuple[float, float]]:
    """Segment -> its stretch of the upright axis, the largest on top, with a gap between."""
    sizes = moves.groupby(side).customers.sum().sort_values(ascending=False)
    gap, top, ends = 0.012 * sizes.sum(), 0.0, {}
    for segment, size in sizes.items():
        ends[segment] = (top - size, top)
        top -= size + gap
    return ends


def _bands(axes: Axes, moves: pd.DataFrame, ends: tuple[dict, dict], colours: dict[int, str]) -> None:
    """A smooth band per row of moves from its place in the left stretch to its place in the right one."""
    left, right = ({segment: high for segment, (_, high) in side.items()} for side in ends)
    t = np.linspace(0, 1, 40)
    ease = t**2 * (3 - 2 * t)
    order = moves.assign(a=-moves.from_segment.map(left), b=-moves.to_segment.map(right)).sort_values(["a", "b"])
    for row in order.itertuples():
        a, b = left[row.from_segment], right[row.to_segment]
        left[row.from_segment], right[row.to_segment] = a - row.customers, b - row.customers
        top = a + (b - a) * ease
        axes.fill_between(t, top - row.customers, top, color=colours.get(row.Index, theme.PALE), alpha=0.75 if row.Index in colours else 0.45, linewidth=0)  # fmt: skip


def tell_comparison(found: Any) -> list[Any]:
    """Comparison with an earlier run -> the parts of its report: Markdown, tables, pictures with alternative text."""
    decisive = _largest_change(found.kpi_changes)
    parts = ["## In short", say_changed(found), signals_table(found), "## Which segments live on?", lineage_table(found), advice_table(found.advice),
             "## Who moved?", "A band is as wide as its customers. The *placebo* is what two looks at an unchanged customer move; it is taken off before a band is coloured.",
             (theme.picture(chart_moves(found)), "Sankey diagram of customers between the segments of the two runs; the table below has the numbers"), _moves_table(found),
             "## What moved the KPIs?", kpi_change_table(found.kpi_changes)]  # fmt: skip
    if decisive:
        parts.append((theme.picture(chart_kpi_parts(found.kpi_changes, decisive)), "Bars of what each segment adds to the KPI's change by mix and rate; the table below has the numbers"))  # fmt: skip
        parts.append(_parts_table(found.kpi_changes, decisive))
    return [*parts, "## Which features shifted?", "What counts days, such as tenure, grows by itself as time passes; what counts is a shift in what customers do.", (theme.picture(chart_drift(found.drift)), "Bars of the population stability index per feature with its thresholds; the table below has the numbers"), drift_table(found.drift)]  # fmt: skip


def _largest_change(changed: pd.DataFrame) -> str | None:
    """The KPI whose total changed most against its interval; None where none has one."""
    total = changed[(changed.segment_id == theme.TOTAL) & (changed.ci_high > changed.ci_low)]
    return total.kpi[((total.change.abs()) / (total.ci_high - total.ci_low)).idxmax()] if len(total) else None


def _parts_table(changed: pd.DataFrame, kpi: str) -> theme.Shown:
    one = changed[(changed.kpi == kpi) & (changed.segment_id != theme.TOTAL)]
    form = CHANGES[one.unit.iloc[0]]
    names = {
        "segment_name": "segment",
        "value_before": "before",
        "value_now": "now",
        "mix": "mix",
        "rate": "rate",
        "change": "adds",
    }
    formats = {
        "value_before": FORMATS[one.unit.iloc[0]],
        "value_now": FORMATS[one.unit.iloc[0]],
        "mix": form,
        "rate": form,
        "change": form,
    }
    return theme.table(one, f"{one['name'].iloc[0]}: what each segment adds to the change", names, formats)


def _moves_table(found: Any) -> theme.Shown:
    names = [side.set_index("segment_id").segment_name for side in (found.segments_before, found.segments)]
    away = found.moves[~found.moves.stayed].sort_values("customers", ascending=False, kind="stable")
    away = away.assign(before=away.from_segment.map(names[0]), now=away.to_segment.map(names[1]))
    heads = {
        "before": "from",
        "now": "to",
        "customers": "customers",
        "share": "share",
        "placebo_share": "by chance",
        "net_share": "net",
    }
    return theme.table(away, "The largest moves", heads, dict.fromkeys(("share", "placebo_share", "net_share"), "{:.2%}"), 15)
