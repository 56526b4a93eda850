"""What readers see of the business case: what is assumed and not known first, then the next actions with their uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from workbench.views import theme
from workbench.views.kpis import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VERDICT_COLOURS = dict(zip(("pays", "not distinguishable from zero", "loses"), (theme.VERDICT_COLOURS[v] for v in ("pass", "watch", "fail")), strict=True))  # fmt: skip
MONEY = "{:+,.0f}"
ENOUGH = 0.8  # the power that a pilot is commonly planned for
WARNING = "**These are assumptions, not results:** nothing was tried here. Published figures enter as priors only; an experiment replaces them."


def say_case(case: pd.DataFrame, total: dict[str, float], currency: str) -> str:
    """business_case + total of the best (see `total_of_best`) -> Markdown: the warning, the next actions, and all of them together."""
    if case.empty:
        return (
            f"{WARNING}\n\nNo segment has customers at a stage for which the assumptions have a lever, so nothing can be valued."
        )
    best = case[case["best"] > 0].sort_values("best")
    unsure, pay, lose = (int((case.verdict == verdict).sum()) for verdict in ("not distinguishable from zero", "pays", "loses"))
    surely = "none surely pays" if pay == 0 else f"{pay} surely pay{'s' if pay == 1 else ''}"
    costly = int((case.value < 0).sum())
    cost_more = "is expected to cost more than it brings" if costly == 1 else "are expected to cost more than they bring"
    counts = f"Of {len(case)} possible actions {surely}, {unsure} cannot be told from zero and {lose} lose; {costly} {cost_more}. Expected to bring more than they cost, in a segment that passed its test, within budget and hours: {int(case.chosen.sum()) or 'none'}."  # fmt: skip
    if best.empty:
        return f"{WARNING}\n\n{counts} **No action is expected to bring more than it costs**, so none is named: not acting is the best that is known."
    first = case.iloc[0]
    which = f"The first {len(best)} of them" if case.chosen.sum() > len(best) else "The next actions"
    head = f"{counts} **{which} by expected value**, each with the additional margin less cost expected over {first.months:.0f} months and its {first.confidence:.0%} interval:"
    whole = f"These {len(best)} together" if len(best) > 1 else "In all"
    together = (
        f"{whole}: {_money(total['value'], currency)}, {_range(total['low'], total['high'])}; the chance that they pay is {total['pays']:.0%}. "
        "Their uncertainty does not average out: whether a kind of treatment works at all is assumed alike for every segment."
    )
    lines = [f"{int(row.best)}. {_say_action(row, currency)}" for row in best.itertuples()]
    everybody = " Everybody counts as reachable: no source says otherwise." if (case.reachable == case.customers).all() else ""
    return "\n\n".join([WARNING, head, "\n".join(lines), together + everybody])


def _say_action(row: tuple, currency: str) -> str:
    try_it = "pilot it first, half treated" if row.power >= ENOUGH else "too few to pilot alone"
    sure = "" if row.verdict == "pays" else f"; pays from an uplift of {row.break_even:.1%}, {row.verdict}: {try_it}"
    limit = "" if row.chosen else f". **Not within the limits:** {theme.plain(row.reason)}"
    return f"**{theme.plain(row.treatment[:1].upper() + row.treatment[1:])}** for {theme.plain(row.segment_name)} at {row.scenario} ({row.customers:,} customers, {row.reachable:,.0f} reachable): {_money(row.value, currency)}, {_range(row.value_low, row.value_high)}{sure}{limit}"  # fmt: skip


def say_waiting(case: pd.DataFrame, currency: str) -> str:
    """business_case -> Markdown: what not acting costs, by prediction and by assumption, kept apart."""
    chosen = case[case.chosen]
    lapsing = case.lapsing.sum(min_count=1)
    told = (
        f"Of what these customers spent in the last horizon, {_money(lapsing, currency, '{:,.0f}')} is at risk in the next (each customer's spend times the predicted chance of ordering nothing, over the cells with an action); acting would save some of it at most."
        if pd.notna(lapsing)
        else "No chance of lapsing is predicted, so what leaves by itself is not known."
    )
    return f"**Cost of not acting.** {told} Each month of waiting gives up {_money(chosen.lost_per_month.sum(), currency, '{:,.0f}')} of expected value of {_actions(len(chosen))} within all limits; where an action cannot be told from zero, neither can this."  # fmt: skip


def say_pilots(case: pd.DataFrame, pooled: pd.DataFrame) -> str:
    """business_case + pooled pilots -> Markdown: what to try first, alone or with all segments of a treatment together."""
    ranked = case[(case.pilot_score > 0) & (case.value > 0)].sort_values("pilot_score", ascending=False)
    if ranked.empty:
        return "**No pilot is worth it:** no action has value, a segment that holds, and customers enough to see anything."
    large = ranked[ranked.power >= ENOUGH].head(2)
    told = "; ".join(
        f"{theme.plain(r.treatment)} for {theme.plain(r.segment_name)} (if it works, seen with {r.power:.0%}; uplifts from {r.detectable_uplift:.0%} with 80%)" for r in large.itertuples()
    )  # fmt: skip
    same = pooled[pooled.treatment.isin(ranked.treatment)]
    small = f"**Segments are too small to pilot alone:** an effect of the size assumed would be seen with {ranked.power.max():.0%} at best."
    alone = f"Large enough to pilot alone, first by value, feasibility and power: {told}." if len(large) else small
    keep = "" if len(large) else " Until there are more customers or horizons to test on, keep what runs."
    together = same[same.segments > 1].sort_values("power", ascending=False, kind="stable")
    if together.empty:
        return alone + keep
    first = together.iloc[0]
    shown = first.power >= ENOUGH
    return (
        f"{alone} {'Together they would show it' if shown else 'Even together they may fail to show it'}: **{theme.plain(first.treatment)}** over all {first.segments} segments that get it (also those "
        f"that did not pass) reaches {first.addressed:,.0f} customers, and if it works, an uplift of {first.uplift:.0%} is seen with a chance of {first.power:.0%}, one of {first.detectable_uplift:.1%} with 80%."
        f"{'' if shown else keep}"
    )


def say_workload(work: pd.DataFrame) -> str:
    """workload (see `sum_workload`) -> Markdown: hours of all actions and of the chosen against what the team has, and who would be contacted too often."""
    total = work.iloc[-1]
    fits = "fits" if total.hours_chosen <= total.capacity else "does not fit"
    everything = "fits as well" if total.hours <= total.capacity else "does not: automate what is routine, or join segments"
    over = f"{int(total.over_cap):,} customers would be contacted too often, counting what runs already." if total.over_cap else "Nobody would be contacted more often than the cap allows, counting what runs already."  # fmt: skip
    return f"**Work:** the chosen actions need {total.hours_chosen:,.0f} of {total.capacity:,.0f} hours, which {fits}; all possible actions need {total.hours:,.0f}, which {everything}. **Contacts:** {over}"  # fmt: skip


def assumptions_table(assumptions: pd.DataFrame) -> theme.Shown:
    """Assumptions -> each with its range and who says so."""
    names = {"assumption": "assumption", "low": "low", "mode": "most likely", "high": "high", "source": "who says so"}
    return theme.table(assumptions, "What the case assumes (shares, money, hours); the margin rate only where the sources carry no costs", names, dict.fromkeys(("low", "mode", "high"), "{:.3g}"))  # fmt: skip


def case_table(case: pd.DataFrame, currency: str, rows: int = 15) -> theme.Shown:
    """business_case -> actions in the order of what one more unit of money brings, and why an action is taken or not."""
    names = {
        "segment_name": "segment", "scenario": "stage", "treatment": "treatment", "reason": "in the budget", "customers": "customers", "reachable": "reachable", "cost": f"cost, {currency}", "value": f"expected value, {currency}",
        "interval": "interval", "pays": "chance to pay", "break_even": "pays from uplift", "marginal_return": "per unit of money",
    }  # fmt: skip
    money = dict.fromkeys(("reachable", "cost", "value"), "{:,.0f}")
    told = case.assign(interval=[_range(*pair) for pair in zip(case.value_low, case.value_high, strict=True)])
    return theme.table(
        told,
        "Where the budget goes, by what one more unit of money is expected to bring",
        names,
        money | {"pays": "{:.0%}", "break_even": "{:.1%}"},
        rows,
    )


def pilots_table(pooled: pd.DataFrame) -> theme.Shown:
    """Pooled pilots -> what each treatment would show over all its segments."""
    names = {"scenario": "stage", "treatment": "treatment", "segments": "segments", "addressed": "customers", "uplift": "uplift assumed if it works", "power": "chance to see it", "detectable_uplift": "uplift seen with a chance of 80%"}  # fmt: skip
    formats = {"addressed": "{:,.0f}", "uplift": "{:.0%}", "power": "{:.0%}"}
    pooled = pooled.assign(
        detectable_uplift=pooled.detectable_uplift.map(lambda u: f"{u:.1%}" if u <= 1 else "over 100%", na_action="ignore")
    )
    return theme.table(pooled, "Pilots over all segments of a treatment: half treated, one horizon", names, formats)


def workload_table(work: pd.DataFrame) -> theme.Shown:
    """workload -> hours and contacts per channel."""
    names = {"channel": "channel", "actions": "actions", "hours": "hours", "chosen": "chosen", "hours_chosen": "hours of the chosen", "over_cap": "contacted too often"}  # fmt: skip
    return theme.table(work, "Work and contacts per channel", names, dict.fromkeys(("actions", "hours", "chosen", "hours_chosen", "over_cap"), "{:,.0f}"))  # fmt: skip


def chart_actions(case: pd.DataFrame, most: int = 10) -> Axes:
    """business_case -> the actions of highest expected value: value and interval around zero, coloured by verdict."""
    import matplotlib.pyplot as plt

    top = case.sort_values("value", ascending=False, kind="stable").head(most)[::-1].reset_index(drop=True)
    _, axes = plt.subplots(figsize=(8.5, 1.4 + 0.42 * len(top)))
    shades = [VERDICT_COLOURS[v] for v in top.verdict]
    axes.hlines(top.index, top.value_low, top.value_high, color=shades, linewidth=3)
    axes.scatter(top.value, top.index, color=theme.INK, s=30, zorder=3)
    axes.axvline(0, color=theme.INK, linewidth=1)
    axes.set_yticks(top.index, [f"{short(r.segment_name, 44)}\n{r.scenario}: {short(r.treatment, 50)}" for r in top.itertuples()], fontsize=7.5)  # fmt: skip
    axes.xaxis.set_major_formatter("{x:,.0f}")
    counts = top.verdict.value_counts()
    axes.set_title(
        f"Of the {len(top)} actions of highest expected value, {counts.get('not distinguishable from zero', 0)} cannot be told from zero",
        fontsize=11,
    )
    axes.set_xlabel("additional margin less cost (dot: expected, line: interval, upright line: zero)")
    return axes


def chart_tornado(sensitivity: pd.DataFrame, most: int = 8) -> Axes:
    """sensitivity -> one bar per assumption from the value at its low to that at its high end, the widest on top."""
    import matplotlib.pyplot as plt

    top = sensitivity.head(most)[::-1].reset_index(drop=True)
    figure, axes = plt.subplots(figsize=(8.5, 1.6 + 0.5 * max(len(top), 1)), layout="constrained")
    if top.empty:
        axes.set_title("No assumption moves the value of the next actions")
        axes.set_axis_off()
        return axes
    middle = top.value.iloc[0]
    for side, colour in (("low", "#56b4e9"), ("high", "#e69f00")):
        axes.barh(top.index, top[f"value_{side}"] - middle, left=middle, color=colour, height=0.6, label=f"assumption at its {side} end (5th or 95th percentile)" if side == "low" else "at its high end")  # fmt: skip
    axes.axvline(middle, color=theme.INK, linewidth=1)
    axes.axvline(0, color=theme.GREY, linewidth=1, linestyle="--")
    axes.set_yticks(top.index, [f"{short(r.assumption)}\n{r.low:.3g} to {r.high:.3g}" for r in top.itertuples()], fontsize=8)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_title(f"What moves the value of the next actions most: {top.assumption.iloc[-1]}", fontsize=11)
    axes.set_xlabel("expected value of all of them together (line: all as expected, dashed: zero)")
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=2)  # a bar or a line may be anywhere inside
    return axes


def _actions(count: int) -> str:
    return f"{count} action{'' if count == 1 else 's'}"


def _money(value: float, currency: str, form: str = MONEY) -> str:
    return f"{form.format(value)} {theme.plain(currency)}".strip()


def _range(low: float, high: float) -> str:
    return f"{MONEY.format(low)} to {MONEY.format(high)}"
