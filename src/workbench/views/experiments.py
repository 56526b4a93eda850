"""What readers of notebook 05 see of experiments, of real campaigns, and of the next test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from workbench.views import theme
from workbench.views.kpis import (
    chart_kpi_small_multiples,
    empty_figure,
    format_value,
    intervals_in_unit,
    short,
    unit_axis,
    values_in_unit,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EVERY = "all campaigns"
SHOWN = "revenue"
SHADES = {
    "better": theme.VERDICT_COLOURS["pass"],
    "worse": theme.VERDICT_COLOURS["fail"],
    "not enough evidence": theme.GREY,
    "described only": theme.GREY,
    "not computable": theme.PALE,
}
NO_EXPERIMENT = (
    "**There is no experiment in these data**: no source declares customers who were assigned to an arm by chance. "
    "So nothing below is an effect. Declare assignments as events of type `assignment` (campaign_id: the experiment, topic: the arm, "
    "one of them the control), and this section tells what works for whom."
)
ONE_READING = (
    "These figures hold for one reading, at a time fixed beforehand: if an experiment is read in every run while customers are still added, "
    "effects that are not there turn up more often than stated."
)


def say_experiments(checks: pd.DataFrame, readout: pd.DataFrame, policies: pd.DataFrame) -> str:
    """checks, experiments, policy_values -> Markdown: who was left out and what stops, then whether segments differ, then who."""
    if checks.empty:
        return NO_EXPERIMENT
    parts = [_say_check(row) for _, row in checks.iterrows()]
    judged = readout[readout.segment_id == theme.TOTAL] if len(readout) else readout
    parts += [_say_effect(row, readout) for _, row in judged.iterrows() if row["verdict"] != "not computable"]
    parts += [_say_policy(row) for _, row in policies.iterrows() if pd.notna(row["value"])]
    parts += [ONE_READING] if len(parts) > len(checks) else []
    return "\n\n".join(parts)


def experiment_table(readout: pd.DataFrame, outcome: str = SHOWN) -> theme.Shown:
    """experiments -> one outcome: arms x segments with effect, interval, pooled effect, q, power and verdict."""
    one = readout[readout.outcome == outcome]
    shown = pd.DataFrame(
        {
            "experiment": one.experiment, "arm": one.arm, "segment": one.segment_name, "customers": one.n_arm + one.n_control,
            "control": values_in_unit(one, "control_mean"), "effect": values_in_unit(one, "effect"), "interval": intervals_in_unit(one, "ci_low", "ci_high"),
            "pooled": values_in_unit(one, "pooled"), "pooled interval": intervals_in_unit(one, "pooled_low", "pooled_high"),
            "q": one.q_value.map(lambda q: "–" if pd.isna(q) else f"{q:.3f}"),
            "power": one.power.map(lambda p: "–" if pd.isna(p) else f"{p:.0%}"), "verdict": one.verdict, "why": one.reason,
        }
    )  # fmt: skip
    name = one["name"].iloc[0] if len(one) else outcome
    return theme.table(shown, f"Effect on {name}, arm less control")


def chart_effects(readout: pd.DataFrame, outcome: str = SHOWN) -> Figure:
    """experiments -> one panel per experiment and arm: each segment's own interval (pale) and the pooled one; the line is no effect."""
    import matplotlib.pyplot as plt

    one = readout[(readout.outcome == outcome) & readout.effect.notna()]
    panels = [panel for _, panel in one.groupby(["experiment", "arm"], sort=True)]
    if not panels:
        return empty_figure("No experiment can be read")
    height = 1.2 + 0.24 * max(len(p) for p in panels)
    figure, axes = plt.subplots(len(panels), 1, figsize=(9, height * len(panels)), squeeze=False, layout="constrained")
    for ax, panel in zip(axes.flat, panels, strict=True):
        _forest(ax, panel)
    return figure


def say_campaigns(responses: pd.DataFrame, receivers: pd.DataFrame, experiments: int) -> str:
    """campaign_responses, receivers and others before, number of experiments -> Markdown: why no effect is told, then who answered."""
    if responses.empty:
        return "No campaign was sent to anybody in the period (events `campaign_sent` with a campaign's number; e-mails alone do not count), so there is nothing to tell of responses."
    head = "**What these campaigns caused cannot be told**: nobody was left out by chance, so those who got none are no control group."
    if experiments:
        head = "**What campaigns outside the experiments caused cannot be told**: nobody was left out of them by chance."
    whole = responses[responses.campaign_id == EVERY]
    return "\n\n".join(p for p in (head + _say_receivers(receivers), _say_answer(whole), _say_differences(whole)) if p)


def chart_responses(responses: pd.DataFrame) -> Figure:
    """campaign_responses -> two panels, response and redemption of all campaigns per segment with intervals."""
    return chart_kpi_small_multiples(responses[responses.campaign_id == EVERY], ("response", "redemption"))


def campaign_table(responses: pd.DataFrame) -> theme.Shown:
    """campaign_responses -> one row per campaign: customers, response and redemptions with their intervals, for everybody."""
    total = responses[responses.segment_id == theme.TOTAL]
    first = total[total.kpi == "response"].set_index("campaign_id")
    second = total[total.kpi == "redemption"].set_index("campaign_id")
    shown = pd.DataFrame(
        {
            "campaign": first.index, "customers": first.n, "answered": first.numerator.astype("int64"), "response": values_in_unit(first, "value"),
            "interval": intervals_in_unit(first, "ci_low", "ci_high"), "redemptions": second.numerator.astype("int64"),
            "per customer": values_in_unit(second, "value"), "interval ": intervals_in_unit(second, "ci_low", "ci_high"),
        }
    )  # fmt: skip
    return theme.table(shown, "Campaigns of the period: who redeemed at least once, and how often; intervals, but no effects")


def response_table(responses: pd.DataFrame) -> theme.Shown:
    """campaign_responses -> segments x (customers, response and redemptions of all campaigns, with intervals), highest response first."""
    whole = responses[responses.campaign_id == EVERY]
    first = whole[whole.kpi == "response"].sort_values("value", ascending=False).set_index("segment_id")
    second = whole[whole.kpi == "redemption"].set_index("segment_id").reindex(first.index)
    shown = pd.DataFrame(
        {
            "segment": first.segment_name, "customers": first.n, "answered": first.numerator.astype("int64"), "response": values_in_unit(first, "value"),
            "interval": intervals_in_unit(first, "ci_low", "ci_high"), "shrunk": values_in_unit(first, "shrunk"),
            "redemptions": second.numerator.astype("int64"), "per customer": values_in_unit(second, "value"),
            "interval ": intervals_in_unit(second, "ci_low", "ci_high"),
        }
    )  # fmt: skip
    return theme.table(
        shown, "Response and redemption per segment, all campaigns of the period; shrunk: few customers drawn to everybody's rate"
    )


def say_design(plan: pd.DataFrame, wanted: float) -> str:
    """experiment_design -> Markdown: how many segments can be tested alone, together or not, and the three easiest."""
    if plan.empty:
        return "No segment has a history, so no test can be planned."
    lines = []
    for name, one in plan.groupby("name", sort=False):
        counts = one.verdict.value_counts()
        alone, joined, never = (int(counts.get(v, 0)) for v in ("testable alone", "testable together", "not testable"))
        lines.append(
            f"- {theme.plain(name)}, {wanted:.0%} more: **{never} of {len(one)} segments cannot be tested** with the customers there "
            f"are, {joined} only together with neighbours, {alone} alone."
        )
    easy = plan[plan.verdict == "testable alone"].sort_values(["weeks", "per_arm"]).head(3)
    told = "; ".join(
        f"**{theme.plain(r['segment_name'])}** ({theme.plain(r['name'])}: {r['per_arm']:,.0f} customers per arm, {r['weeks']} weeks)"
        for _, r in easy.iterrows()
    )
    return "\n".join(lines) + (f"\n\nThe next test could begin with {told}." if told else "")


def design_table(plan: pd.DataFrame, outcome: str = SHOWN) -> theme.Shown:
    """experiment_design -> one outcome: who is tested alone, together or not, with customers, weeks and customers per arm, or why not."""
    one = plan[plan.outcome == outcome]
    joined = one.together != ""
    who = one.segment_name.where(~joined, one.segment_name + " + " + one.together)
    # Every segment of a joint test has the same row; it is shown once, under its first segment.
    members = who.str.split(" + ", regex=False).map(lambda names: tuple(sorted(names)))
    one = one.assign(who=who, customers=one.groupby(members).customers.transform("sum")).loc[~(joined & members.duplicated())]
    shown = pd.DataFrame(
        {
            "who": one.who, "customers": one.customers, "verdict": one.verdict, "weeks": one.weeks,
            "per arm": one.per_arm.map(lambda n: "–" if pd.isna(n) else f"{n:,.0f}"), "usual": values_in_unit(one, "baseline"),
            "effect wanted": values_in_unit(one, "wanted"), "detectable": values_in_unit(one, "detectable"), "why not": one.reason,
        }
    )  # fmt: skip
    words = one["name"].iloc[0] if len(one) else outcome
    return theme.table(
        shown, f"The next test of {words}, two arms of equal size; usual, wanted and detectable are the first segment's"
    )


def _say_check(row: pd.Series) -> str:
    out = [f"{row[c]:,} {words}" for c, words in (("both_arms", "in both arms"), ("incomplete", "whose days are not over"), ("unknown", "in no segment")) if row[c]]  # fmt: skip
    left = f"; left out: {', '.join(out)}" if out else ""
    head = f"**{theme.plain(row['experiment'])}**: {row['assigned']:,} customers assigned, {row['used']:,} counted ({theme.plain(row['arms'])}; planned {theme.plain(row['planned'])}){left}."
    if row["reason"]:
        return f"{head} **Nothing is concluded**: {theme.plain(row['reason'])}."
    return f"{head} The arms' sizes agree with the plan (p = {row['ratio_p']:.2f})."


def _say_effect(row: pd.Series, readout: pd.DataFrame) -> str:
    mine = readout[(readout.experiment == row["experiment"]) & (readout.arm == row["arm"]) & (readout.outcome == row["outcome"])]
    each = mine[mine.segment_id != theme.TOTAL]
    better, worse = (each.segment_name[each.verdict == v].tolist() for v in ("better", "worse"))
    low, high = (format_value(row[c], row["unit"]) for c in ("ci_low", "ci_high"))
    text = f"- {theme.plain(row['arm'])}, {theme.plain(row['name'])}: {format_value(row['effect'], row['unit'])} ({low} to {high}) for all customers, {row['verdict']}."
    if (each.verdict == "described only").any():
        return f"{text} Segments are described only: {theme.plain(each.reason.iloc[0])}."
    if pd.notna(row["interaction_p"]):
        differ = (
            "differs between segments"
            if row["interaction_p"] < 1 - row["confidence"]
            else "is not shown to differ between segments"
        )
        text += f" The effect {differ} (p = {row['interaction_p']:.3f})."
    told = [
        f"{word} for {', '.join(theme.plain(n) for n in names)}"
        for word, names in (("better", better), ("worse", worse))
        if names
    ]
    return text + (f" By segment: {'; '.join(told)}." if told else " No single segment shows an effect.")


def _say_policy(row: pd.Series) -> str:
    note = f" ({theme.plain(row['reason'])})" if row["reason"] else ""
    return (
        f"- Treating {row['policy']} ({row['treated_share']:.0%} of customers) rather than {row['against']}: {row['value']:,.2f} {row['outcome']} "
        f"per customer ({row['ci_low']:,.2f} to {row['ci_high']:,.2f}){note}."
    )


def _say_receivers(receivers: pd.DataFrame) -> str:
    if len(receivers) < 2:
        return ""
    by = receivers.set_index("got")
    yes, no = by.loc["yes"], by.loc["no"]
    return (
        f" They were other customers already: of those in a segment, the {int(yes['customers']):,} who got one had spent {yes['revenue_before']:,.0f} each in the period "
        f"before, the {int(no['customers']):,} others {no['revenue_before']:,.0f}."
    )


def _say_answer(whole: pd.DataFrame) -> str:
    total = whole[whole.segment_id == theme.TOTAL].set_index("kpi")
    first, second = total.loc["response"], total.loc["redemption"]
    return (
        f"Of {first['n']:,} customers who were sent a campaign, {first['value']:.1%} redeemed at least once ({first['ci_low']:.1%} to "
        f"{first['ci_high']:.1%}); that is {second['value']:.2f} redemptions per customer sent one."
    )


def _say_differences(whole: pd.DataFrame) -> str:
    one = whole[(whole.kpi == "response") & (whole.segment_id >= 0)]
    above, below = one[one.versus_total == "above"], one[one.versus_total == "below"]
    ends = [(word, part.loc[pick]) for word, part, pick in (("above", above, above.ci_low.idxmax() if len(above) else None), ("below", below, below.ci_high.idxmin() if len(below) else None)) if len(part)]  # fmt: skip
    told = " and ".join(f"{word} **{theme.plain(r['segment_name'])}** with {r['value']:.1%} ({r['ci_low']:.1%} to {r['ci_high']:.1%}, n = {r['n']:,})" for word, r in ends)  # fmt: skip
    head = f"In {len(above) + len(below)} of {len(one)} segments the interval of the response excludes everybody's rate"
    return f"{head}: most clearly {told}." if told else f"{head}."


def _forest(ax: Axes, panel: pd.DataFrame) -> None:
    rows = panel.sort_values("effect", ignore_index=True)
    unit, total = rows.unit.iloc[0], rows.segment_id == theme.TOTAL
    ax.hlines(rows.index, rows.ci_low, rows.ci_high, color=theme.PALE, linewidth=6)
    ax.scatter(rows.effect, rows.index, marker="|", s=60, color=theme.GREY)
    shades = [theme.INK if whole else SHADES[verdict] for whole, verdict in zip(total, rows.verdict, strict=True)]
    ax.hlines(rows.index, rows.pooled_low, rows.pooled_high, color=shades, linewidth=2)
    ax.scatter(rows.pooled.fillna(rows.effect), rows.index, s=24, color=shades, zorder=3)
    ax.axvline(0, color=theme.INK, linewidth=1, linestyle="--", zorder=0)
    ax.set_yticks(rows.index, [short(name) for name in rows.segment_name], fontsize=8)
    ax.tick_params(axis="y", length=0)
    unit_axis(ax, unit)
    found = int(rows.verdict[~total].isin(["better", "worse"]).sum())
    ax.set_title(f"{rows.experiment.iloc[0]}, {rows.arm.iloc[0]}: {found} of {int((~total).sum())} segments show an effect on {rows['name'].iloc[0]}", fontsize=10)  # fmt: skip
    ax.set_xlabel(f"arm less control, {unit}; pale: the segment alone, dot and line: partially pooled; dashed: no effect")
