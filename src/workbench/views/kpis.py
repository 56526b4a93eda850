"""What readers of notebook 05 see: tables, charts and computed sentences about the `kpis` table."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.kpis.metrics import FEWEST_JUDGED, PREDICTED
from workbench.views import theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DECISIVE = ("clv", "repeat_rate", "lapse_rate", "revenue_growth", "response_rate", "profitability")
FORMATS = {"share": "{:.1%}", "change": "{:+.1%}", "money": "{:,.2f}", "ratio": "{:.2f}", "points": "{:+.0f}"}
VERDICTS = {"on target": "meets its goal", "below target": "misses its goal", "undecided": "undecided"}
SETTLING_MONTHS = 3  # in which most who order for the first time in the data were customers before
VERDICT_COLOURS = dict(zip(VERDICTS, (theme.VERDICT_COLOURS[v] for v in ("pass", "fail", "watch")), strict=True))
GROWTH_PARTS = {
    "by_buyers": "customers who order",
    "by_orders": "orders of each",
    "by_order_value": "order value",
    "by_returns": "returns",
}
GROWTH_COLOURS = ("#0072b2", "#56b4e9", "#e69f00", theme.GREY)
MARKS = {"above": " ▲", "below": " ▼"}
REASON = "not computable: "
# The systems that a KPI's figures come from, for the mark of those that are simulated.
VISITS = {"web", "mobile_app"}
SYSTEMS = {
    "engagement_rate": {"email", "web", "mobile_app", "social"}, "conversion_rate": VISITS | {"pos"}, "interest_rate": VISITS, "cart_rate": VISITS,
    "cart_order_rate": VISITS | {"pos"}, "aov": {"pos"}, "repeat_rate": {"pos"}, "lapse_rate": {"pos"}, "retention_rate": {"pos"}, "penetration": {"pos"},
    "revenue_growth": {"pos"}, "cross_sell_rate": {"pos"}, "response_rate": {"marketing_automation"}, "campaign_roi": {"marketing_automation"},
    "attributed_return": {"marketing_automation", "pos"}, "cac": {"ads", "pos"}, "profitability": {"pos", "finance"},
    "contribution": {"pos", "finance", "tickets"}, "nps": {"survey"},
}  # fmt: skip
# Two tables, so that each fits a page: what customers buy and bring, and how they are reached and answer. Retained is what has not lapsed.
PARTS = {
    "buying": ("aov", "repeat_rate", "clv", "lapse_rate", "penetration", "revenue_growth", "cross_sell_rate", "profitability", "contribution"),
    "engagement": ("engagement_rate", "conversion_rate", "response_rate", "campaign_roi", "attributed_return", "cac", "nps"),
}  # fmt: skip
FEWEST_SHOWN = 5  # what fewer customers answered would tell of each of them
SELECTED = "Segments were found in data that hold this period: what sets one apart here is partly how it was found. Expect the next period nearer to all customers."
FUNNEL = {"interest_rate": "looked at offers", "cart_rate": "of these, filled a cart", "cart_order_rate": "of these, ordered"}


def origin_of(kpi: str, sources: pd.DataFrame) -> str:
    """A KPI and the sources (kind, origin) -> "simulated" or "partly simulated", else "" (a company's own data need no mark).

    Where none of a KPI's systems is there (a company that books orders elsewhere), and for what is predicted from all of them, all
    sources count.
    """
    mine = sources[sources.kind.isin(SYSTEMS.get(kpi, set()))]
    made_up = (mine if len(mine) else sources).origin.map({"simulated": 1.0, "mixed": 0.5}).fillna(0.0)
    return "simulated" if len(made_up) and made_up.min() == 1 else "partly simulated" if made_up.any() else ""


def kpi_total_table(kpis: pd.DataFrame, sources: pd.DataFrame | None = None) -> theme.Shown:
    """kpis -> every KPI for all customers: value, interval, n, goal, verdict, and of the sources what is simulated; definition."""
    total = kpis[kpis.segment_id == theme.TOTAL]
    origins = total.kpi.map(lambda k: "" if sources is None else origin_of(k, sources))
    shown = pd.DataFrame(
        {
            "KPI": total["name"],
            "value": values_in_unit(total, "value"), "interval": intervals_in_unit(total), "customers": total.n, "goal": values_in_unit(total, "target"),
            "verdict": total.status.map(lambda s: VERDICTS.get(s, s)), "data": origins.replace("", "–"), "definition": total.definition,
        }
    )  # fmt: skip
    if not origins.any():
        shown = shown.drop(columns="data")
    return theme.table(shown, f"All customers: every KPI with its {_level(kpis)} interval (money in the company's currency)")


def kpi_table(kpis: pd.DataFrame, segments: pd.DataFrame, part: str) -> theme.Shown:
    """kpis + segments (customer_id, segment_id) -> segments x KPIs of a part (see `PARTS`); ▲ ▼ mark intervals that exclude the value of all customers."""
    known = kpis[kpis.value.notna() & kpis.kpi.isin(PARTS[part])]
    cells = _marked(known)
    wide = (
        cells.pivot(index="segment_id", columns="name", values="cell")
        .reindex(columns=list(dict.fromkeys(cells["name"])))
        .astype("str")
    )
    sizes = segments.segment_id.value_counts()
    sizes.loc[theme.TOTAL] = len(segments)
    names = kpis.drop_duplicates("segment_id").set_index("segment_id").segment_name
    order = sizes.sort_values(ascending=False, kind="stable").index
    first = pd.DataFrame({"segment": names.reindex(order), "customers": sizes.reindex(order)})
    caption = f"KPIs per segment, {part}; {_legend(kpis)}"
    return theme.table(first.join(wide).reset_index(drop=True), caption)


def funnel_table(kpis: pd.DataFrame) -> theme.Shown:
    """kpis -> segments x steps from a visit to an order: visitors, and at each step the share of those of the step before."""
    cells = _marked(kpis[kpis.kpi.isin(FUNNEL) & kpis.value.notna()])
    wide = cells.pivot(index="segment_id", columns="kpi", values="cell").reindex(columns=list(FUNNEL)).rename(columns=FUNNEL)
    visitors = kpis[kpis.kpi == "interest_rate"].set_index("segment_id").denominator
    names = kpis.drop_duplicates("segment_id").set_index("segment_id").segment_name
    order = visitors.dropna().sort_values(ascending=False, kind="stable").index
    first = pd.DataFrame({"segment": names.reindex(order), "visitors": visitors.reindex(order)})
    caption = f"From visit to order; {_legend(kpis)}"
    return theme.table(first.join(wide).fillna("–").reset_index(drop=True), caption, formats={"visitors": "{:,.0f}"})


def _legend(kpis: pd.DataFrame) -> str:
    return f"▲ ▼: the {_level(kpis)} interval excludes the value of all customers; in brackets: told by so few customers only"


def _marked(kpis: pd.DataFrame) -> pd.DataFrame:
    """kpis + cell: the value in its unit, how many tell it where they are under 30, and the mark of a segment that differs from all customers."""
    few = np.where(kpis.n < FEWEST_JUDGED, kpis.n.map(" ({:.0f})".format), "")
    return kpis.assign(cell=values_in_unit(kpis, "value") + few + kpis.versus_total.map(MARKS).fillna(""))


def say_content(content: pd.DataFrame) -> str:
    """content -> Markdown: which themes most turn to, and how many pairs of segment and theme differ beyond chance."""
    if content.empty:
        return "No source tells themes of what customers open, search or post."
    total = content[content.segment_id == theme.TOTAL].sort_values("value", ascending=False, kind="stable")
    told = ", ".join(f"{row.theme} {row.value:.0%}" for row in total.head(3).itertuples())
    pairs = content[content.segment_id >= 0]
    apart = int(pairs.versus_others.isin(["above", "below"]).sum())
    return (
        f"Of {total.n.iloc[0]:,} customers who turned to any theme, most turned to: {told}. In **{apart} of {len(pairs)} pairs** of segment "
        "and theme the share differs from that of all other customers beyond chance; for the others nothing is claimed."
    )


def content_table(content: pd.DataFrame) -> theme.Shown:
    """content -> the pairs of segment and theme that differ, the furthest first."""
    total = content[content.segment_id == theme.TOTAL].set_index("theme").value
    apart = content[(content.segment_id >= 0) & content.versus_others.isin(["above", "below"])].assign(unit="share")
    whole = apart.theme.map(total).astype("float64")  # of no theme at all, too
    apart = apart.assign(everybody=whole, far=(apart.value - whole).abs()).sort_values("far", ascending=False, kind="stable")
    shown = pd.DataFrame(
        {
            "segment": apart.segment_name, "theme": apart.theme, "turned to it": values_in_unit(apart, "value"),
            "interval": intervals_in_unit(apart), "all customers": values_in_unit(apart, "everybody"), "customers": apart.n, "is": apart.versus_others,
        }
    )  # fmt: skip
    level = f"{100 * content.confidence.iloc[0]:g}% " if len(content) else ""
    return theme.table(shown, f"Themes that a segment turns to more or less than all others, with {level}intervals", rows=15)


def kpi_detail_table(kpis: pd.DataFrame, kpi: str) -> theme.Shown:
    """kpis -> one KPI for every segment: value, interval, n, what is over what (points apart), verdict; the highest first."""
    one = kpis[kpis.kpi == kpi].sort_values("value", ascending=False, na_position="last")
    told = ["value", "ci_low", "ci_high", "numerator", "denominator"]
    one = one.assign(**one[told].where(one.n >= FEWEST_SHOWN))
    sums = {} if (one.unit == "points").any() else {"numerator": one.numerator, "denominator": one.denominator}
    shown = pd.DataFrame(
        {
            "segment": one.segment_name, "value": values_in_unit(one, "value"), "interval": intervals_in_unit(one), "customers": one.n,
            **sums, "goal": values_in_unit(one, "target"),
            "verdict": one.status.map(lambda s: VERDICTS.get(s, s)),
        }
    )  # fmt: skip
    whole = dict.fromkeys(sums, "{:,.0f}")
    return theme.table(
        shown,
        f"{_first_upper(one['name'].iloc[0])}: {one.definition.iloc[0]} (told by fewer than {FEWEST_SHOWN} customers: not shown)",
        formats=whole,
    )


def chart_kpi_small_multiples(kpis: pd.DataFrame, chosen: Sequence[str] = DECISIVE) -> Figure:
    """kpis -> one panel per computable KPI of `chosen`: segments in order of value, dot and interval; the line is all customers."""
    import matplotlib.pyplot as plt

    drawn = [k for k in chosen if not _segments(kpis, k).empty]
    if not drawn:
        return empty_figure("None of these KPIs can be computed")
    columns = min(2, len(drawn))
    rows = -(-len(drawn) // columns)
    height = 1.2 + 0.21 * max(len(_segments(kpis, k)) for k in drawn)
    figure, axes = plt.subplots(rows, columns, figsize=(6.2 * columns, height * rows), squeeze=False, layout="constrained")
    colours = theme.segment_colours(sorted(set(kpis.segment_id)))
    for ax, kpi in zip(axes.flat, drawn, strict=False):
        _panel(ax, kpis, kpi, colours)
    for ax in axes.flat[len(drawn) :]:
        ax.set_axis_off()
    return figure


def chart_kpi_targets(kpis: pd.DataFrame) -> Figure:
    """kpis -> one row per KPI with a goal: bar to the value of all customers, its interval, and the goal as an upright mark."""
    import matplotlib.pyplot as plt

    total = kpis[(kpis.segment_id == theme.TOTAL) & kpis.target.notna() & kpis.value.notna()]
    if total.empty:
        return empty_figure("No computable KPI has a goal")
    figure, axes = plt.subplots(len(total), 1, figsize=(10, 0.9 + 0.5 * len(total)), squeeze=False, layout="constrained")
    for ax, row in zip(axes.flat, total.itertuples(), strict=True):
        _bullet(ax, row)
    figure.suptitle(_goal_title(total), x=0.01, ha="left", fontweight="bold", fontsize=12)
    return figure


def chart_growth(growth: pd.DataFrame) -> Axes:
    """growth_parts -> per segment, stacked bars of what its revenue gained and lost by; the dot is the change."""
    import matplotlib.pyplot as plt

    rows = growth[growth.segment_id != theme.TOTAL].sort_values("change", ignore_index=True)
    figure, ax = plt.subplots(figsize=(10, 1.5 + 0.26 * len(rows)), layout="constrained")
    ax.use_sticky_edges = False  # else no margin is left beyond the longest bar
    for side in (1, -1):
        start = pd.Series(0.0, index=rows.index)
        for (part, word), colour in zip(_growth_parts(growth).items(), GROWTH_COLOURS, strict=False):
            width = rows[part].where(rows[part] * side > 0, 0.0)
            ax.barh(rows.index, width, left=start, height=0.7, color=colour, label=word if side == 1 else None)
            start = start + width
    ax.scatter(rows.change, rows.index, s=22, color=theme.INK, zorder=3, label="change of net revenue")
    ax.axvline(0, color=theme.INK, linewidth=0.8)
    ax.set_yticks(rows.index, [short(name) for name in rows.segment_name], fontsize=8)
    ax.tick_params(axis="y", length=0)
    unit_axis(ax, "money")
    ax.margins(x=0.05)
    ax.set_xlabel("money against the period before")
    figure.legend(loc="outside lower center", fontsize=8, frameon=False, ncols=5)
    ax.set_title(_growth_title(growth), fontsize=10)
    return ax


def say_growth(growth: pd.DataFrame) -> str:
    """growth_parts -> Markdown: the change of all customers' revenue and its parts, which add up to it."""
    if growth.empty:
        return "The orders do not reach back over the period before, so no growth can be told."
    total = growth[growth.segment_id == theme.TOTAL].iloc[0]
    parts = ", ".join(f"{word} {total[part]:+,.0f}" for part, word in _growth_parts(growth).items())
    return (
        f"Net revenue went from {total['revenue_before']:,.0f} to {total['revenue']:,.0f} ({total['change']:+,.0f}): {parts}. The parts of each "
        "segment add up to its change, and the segments to the total."
    )


def chart_retention(curves: pd.DataFrame, curve: str = "staying") -> Figure:
    """retention_curves -> one panel per segment: its curve and band; dashed: all customers."""
    import matplotlib.pyplot as plt

    one = curves[curves.curve == curve]
    names = one[one.segment_id >= 0].drop_duplicates("segment_id")
    if names.empty:
        return empty_figure("Too few customers for a curve")
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(3.1 * columns, 0.6 + 1.9 * rows), squeeze=False, sharex=True, sharey=True, layout="constrained"
    )
    total, colours = one[one.segment_id == theme.TOTAL], theme.segment_colours(sorted(set(one.segment_id)))
    for ax, (segment, name) in zip(axes.flat, zip(names.segment_id, names.segment_name, strict=True), strict=False):
        mine = one[one.segment_id == segment]
        ax.fill_between(mine.days, mine.ci_low, mine.ci_high, step="post", color=colours[segment], alpha=0.25, linewidth=0)
        ax.step(mine.days, mine.value, where="post", color=colours[segment], linewidth=1.8)
        ax.step(total.days, total.value, where="post", color=theme.INK, linewidth=1, linestyle="--")
        ax.set_title(textwrap.fill(short(name), 34), fontsize=8)
        ax.tick_params(labelsize=8)
        ax.yaxis.set_major_formatter(lambda v, _: f"{v:.0%}")
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    for ax in axes.flat[max(0, len(names) - columns) : len(names)]:  # the lowest of each column
        ax.tick_params(labelbottom=True)
    axes[0, 0].set_ylim(0, 1.03)
    figure.supxlabel("days since the first order in the data (band: interval; dashed: all customers)", fontsize=9)
    figure.supylabel("not lapsed yet" if curve == "staying" else "ordered again", fontsize=9)
    figure.suptitle(_retention_title(total, curve), x=0.01, ha="left", fontweight="bold", fontsize=11)
    return figure


def retention_table(curves: pd.DataFrame, confidence: float) -> theme.Shown:
    """retention_curves -> segments x (not lapsed, ordered again), with interval, at the last day of each curve."""
    last = curves.groupby(["segment_id", "curve"], sort=False).tail(1).assign(unit="share")
    told = values_in_unit(last, "value") + " (" + intervals_in_unit(last) + ") by day " + last.days.astype("str")
    wide = last.assign(told=told).pivot(index="segment_id", columns="curve", values="told")
    wide = wide.reindex(columns=["staying", "coming back"])
    names = last.drop_duplicates("segment_id").set_index("segment_id").segment_name
    shown = pd.DataFrame({"segment": names, "not lapsed": wide["staying"], "ordered again": wide["coming back"]}).loc[names.index]
    return theme.table(shown, f"The last point of each curve with its {100 * confidence:g}% interval")


def chart_cohorts(cohorts: pd.DataFrame) -> Axes:
    """cohorts -> heatmap: month of the first order x months later, the share who ordered; the number of customers beside."""
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(9, 1.4 + 0.42 * max(cohorts.cohort.nunique(), 1)), layout="constrained")
    if cohorts.empty:
        ax.set_axis_off()
        ax.set_title("No cohort has a later month")
        return ax
    wide = cohorts.pivot(index="cohort", columns="months", values="value")
    sizes = cohorts.drop_duplicates("cohort").set_index("cohort").customers.reindex(wide.index)
    ax.pcolormesh(wide.to_numpy(), cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=1)
    for i, (_, row) in enumerate(wide.iterrows()):
        for j, value in enumerate(row.dropna()):
            ax.text(
                j + 0.5,
                i + 0.5,
                f"{value:.0%}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if value > 0.6 else theme.INK,
            )
    ax.set_yticks([i + 0.5 for i in range(len(wide))], [f"{c} ({n:,})" for c, n in sizes.items()], fontsize=9)
    ax.set_xticks([j + 0.5 for j in range(wide.shape[1])], wide.columns)
    ax.invert_yaxis()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel("months after the month of the first order")
    early = list(wide.index[:SETTLING_MONTHS])
    later = cohorts[(cohorts.months == 1) & ~cohorts.cohort.isin(early)]
    told = (
        f"{later.active.sum() / later.customers.sum():.0%} of new customers order in the month after their first"
        if len(later)
        else "How many new customers order in the month after their first cannot be told"
    )
    why = f"customers in brackets; {early[0]} to {early[-1]} are not counted: many were customers before the data begin"
    ax.set_title(f"{told}\n({why})", fontsize=10)
    return ax


def say_kpis(kpis: pd.DataFrame, chosen: Sequence[str] = DECISIVE) -> str:
    """kpis -> Markdown: what is missing and undecided first, then the most reliable differences of the chosen KPIs."""
    lines = [say_not_computable(kpis), _say_verdicts(kpis), _say_chance(kpis)]
    lines += [_say_extremes(kpis, kpi) for kpi in chosen]
    return "\n\n".join(line for line in lines if line)


def say_not_computable(kpis: pd.DataFrame) -> str:
    """kpis -> Markdown: each KPI without a value for all customers and why, and how many values single segments lack."""
    total = kpis[kpis.segment_id == theme.TOTAL]
    lost = total[total.status.str.startswith(REASON)]
    gaps = kpis[(kpis.segment_id != theme.TOTAL) & kpis.status.str.startswith(REASON) & ~kpis.kpi.isin(lost.kpi)]
    head = f"**{len(lost)} of {len(total)} KPIs cannot be computed from these sources**" + (":" if len(lost) else ".")
    reasons = [f"- {theme.plain(row['name'])}: {theme.plain(row['status'].removeprefix(REASON))}" for _, row in lost.iterrows()]
    more = (
        f"Of the others, {len(gaps)} values of single segments or of the unassigned are missing: {_reasons(gaps)}."
        if len(gaps)
        else ""
    )
    return "\n\n".join(part for part in (head, "\n".join(reasons), more) if part)


def _say_verdicts(kpis: pd.DataFrame) -> str:
    judged = kpis[kpis.status.isin(VERDICTS)]
    if judged.empty:
        return "No KPI has a goal, so there are no verdicts; goals stand in a file that the parameter `targets` names (configs/targets.yaml has examples)."
    counts = judged.status.value_counts()
    undecided, met, missed = (int(counts.get(s, 0)) for s in ("undecided", "on target", "below target"))
    return (
        f"**Of {len(judged)} comparisons with a goal, {undecided} are undecided**: the interval contains the goal, fewer than {FEWEST_JUDGED} customers tell "
        f"it, or it is a prediction. {met} meet their goal and {missed} miss it."
    )


def _say_chance(kpis: pd.DataFrame) -> str:
    compared = kpis[kpis.versus_total.isin(["above", "below", "alike"]) & (kpis.segment_id >= 0)]
    if compared.empty:
        return ""
    apart, chance = int((compared.versus_total != "alike").sum()), (1 - compared.confidence.iloc[0]) * len(compared)
    return (
        f"{apart} of {len(compared)} segment values differ from all customers at {_level(kpis)}; about {chance:.0f} would do so by chance alone. "
        "Segments are made of behaviour, so they differ in it by construction: read these as descriptions, not as effects of anything done."
    )


def _say_extremes(kpis: pd.DataFrame, kpi: str) -> str:
    """The segments whose intervals lie farthest above and below all customers: the clearest, not the largest differences."""
    one = _segments(kpis, kpi)
    one = one[one.segment_id >= 0]  # who is in no segment bought nothing in the window, and so lies far off by construction
    above, below = one[one.versus_total == "above"], one[one.versus_total == "below"]
    if above.empty and below.empty:
        return ""
    total = kpis[(kpis.kpi == kpi) & (kpis.segment_id == theme.TOTAL)].iloc[0]
    ends = [("above", above.loc[above.ci_low.idxmax()])] if len(above) else []
    ends += [("below", below.loc[below.ci_high.idxmin()])] if len(below) else []
    told = " and ".join(f"{side} it **{theme.plain(row['segment_name'])}** with {_with_interval(row)}" for side, row in ends)
    return f"- {_first_upper(theme.plain(total['name']))}, {format_value(total['value'], total['unit'])} for all customers; most clearly {told}."


def _panel(ax: Axes, kpis: pd.DataFrame, kpi: str, colours: dict[int, str]) -> None:
    one = _segments(kpis, kpi).sort_values("value", ignore_index=True)
    total = kpis[(kpis.kpi == kpi) & (kpis.segment_id == theme.TOTAL)].iloc[0]
    shades = [theme.GREY if s == -1 else colours[s] for s in one.segment_id]
    ax.hlines(one.index, one.ci_low, one.ci_high, color=shades, linewidth=2)
    # A hollow dot: too few or too equal customers for an interval.
    ax.scatter(
        one.value,
        one.index,
        edgecolors=shades,
        s=22,
        zorder=3,
        facecolors=["white" if none else c for c, none in zip(shades, one.ci_low.isna(), strict=True)],
    )
    if pd.notna(total["value"]):
        ax.axvline(total["value"], color=theme.INK, linewidth=1, linestyle="--", zorder=0)
    ax.set_yticks(one.index, [short(name) for name in one.segment_name], fontsize=8)
    ax.tick_params(axis="y", length=0)
    ax.margins(y=0.02)
    unit_axis(ax, total["unit"])
    everybody, named = format_value(total["value"], total["unit"]), one.versus_total[one.segment_id >= 0]
    apart = f"{named.isin(MARKS).sum()} of {len(named)} segments\ndiffer from all customers ({everybody})"
    told = f"predicted,\n{everybody} for all customers" if kpi in PREDICTED else apart
    ax.set_title(f"{_first_upper(total['name'])}: {told}", fontsize=10)
    ax.set_xlabel(f"{total['unit']}, {_level(kpis)} interval (hollow: none); dashed: all customers")


def _bullet(ax: Axes, row: object) -> None:
    ax.barh(0, row.value, height=0.55, color=VERDICT_COLOURS[row.status], alpha=0.55)
    if pd.notna(row.ci_low):
        ax.hlines(0, row.ci_low, row.ci_high, color=theme.INK, linewidth=2)
    ax.vlines(row.target, -0.5, 0.5, color=theme.INK, linewidth=3)
    ax.set_yticks([0], [row.name])
    side = " (lower is better)" if row.better == "lower" else ""
    text = f"{format_value(row.value, row.unit)}, goal {format_value(row.target, row.unit)}{side}: {VERDICTS[row.status]}"
    ax.annotate(text, (1.01, 0.5), xycoords="axes fraction", va="center", fontsize=9)
    ax.axvline(0, color=theme.GREY, linewidth=0.8)
    ax.set_ylim(-0.6, 0.6)
    ax.tick_params(axis="both", length=0, labelsize=9)
    ax.set_xticks([])
    ax.spines[["left", "bottom"]].set_visible(False)


def _growth_parts(growth: pd.DataFrame) -> dict[str, str]:
    """Parts of a change and their names; returns only where any were counted."""
    return {part: word for part, word in GROWTH_PARTS.items() if part != "by_returns" or growth[part].abs().max() > 0}


def _growth_title(growth: pd.DataFrame) -> str:
    total = growth[growth.segment_id == theme.TOTAL].iloc[0]
    biggest = max(GROWTH_PARTS, key=lambda part: abs(total[part]))
    return f"Revenue changed by {total['change']:+,.0f}, most through {GROWTH_PARTS[biggest]} ({total[biggest]:+,.0f})"


def _retention_title(total: pd.DataFrame, curve: str) -> str:
    words = {"staying": "have not lapsed", "coming back": "have ordered again"}[curve]
    end = total.iloc[-1]
    return f"{end['value']:.0%} of all customers {words} {end['days']} days after their first order in the data"


def _goal_title(total: pd.DataFrame) -> str:
    counts = total.status.value_counts()
    met, missed, open_ = (int(counts.get(s, 0)) for s in VERDICTS)
    return f"{met} of {len(total)} goals are met, {missed} missed, {open_} undecided (bar: value, line: interval, upright mark: goal; own scales)"


def empty_figure(text: str) -> Figure:
    """A figure that says why there is nothing to draw."""
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(6, 1))
    ax.set_axis_off()
    ax.set_title(text)
    return figure


def unit_axis(ax: Axes, unit: str) -> None:
    """Write the x axis in a KPI's unit."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(5))
    is_whole = unit == "money" and max(map(abs, ax.get_xlim())) >= 100  # cents would run into each other
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if is_whole else format_value(value, unit)))


def _segments(kpis: pd.DataFrame, kpi: str) -> pd.DataFrame:
    """The segments' rows of a KPI that have a value, unassigned included."""
    return kpis[(kpis.kpi == kpi) & (kpis.segment_id != theme.TOTAL) & kpis.value.notna()]


def format_value(value: float, unit: str) -> str:
    """A number in its unit; – where it is missing."""
    return "–" if pd.isna(value) else FORMATS[unit].format(value)


def _with_interval(row: pd.Series) -> str:
    low, high = format_value(row["ci_low"], row["unit"]), format_value(row["ci_high"], row["unit"])
    return f"{format_value(row['value'], row['unit'])} ({low} to {high}, n = {row['n']:,})"


def values_in_unit(frame: pd.DataFrame, column: str) -> pd.Series:
    """A column as text, each row in its own unit."""
    return pd.Series([format_value(v, u) for v, u in zip(frame[column], frame.unit, strict=True)], index=frame.index, dtype="str")


def intervals_in_unit(frame: pd.DataFrame, low: str = "ci_low", high: str = "ci_high") -> pd.Series:
    """Bounds as text such as 1.0% to 2.0%; – where there are none."""
    both = zip(values_in_unit(frame, low), values_in_unit(frame, high), frame[low].isna(), strict=True)
    return pd.Series(["–" if none else f"{a} to {b}" for a, b, none in both], index=frame.index, dtype="str")


def _level(kpis: pd.DataFrame) -> str:
    return f"{100 * kpis.confidence.iloc[0]:g}%"


def _reasons(gaps: pd.DataFrame, most: int = 3) -> str:
    counts = gaps.status.str.removeprefix(REASON).value_counts()
    told = [f"{count} because {theme.plain(reason)}" for reason, count in counts.head(most).items()]
    return "; ".join([*told, f"{counts.iloc[most:].sum()} for other reasons"] if len(counts) > most else told)


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def short(name: str, most: int = 44) -> str:
    """A segment's name for an axis: no control characters, at most `most` characters."""
    text = re.sub(r"[\u202a-\u202e\u2066-\u2069\x00-\x1f]", " ", str(name))
    return text if len(text) <= most else text[: most - 1] + "…"
