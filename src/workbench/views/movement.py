"""What a reader sees of change: what became of the last run's segments, who moved beyond chance, and how a forecast of sizes did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.views.theme import listed, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from workbench.clustering.movement import Backtest, Movement


def say_lineage(lineage: pd.DataFrame, earlier: str | None, apart: str = "") -> str:
    """What became of the segments since the last run; apart: why the two cannot be compared."""
    if earlier is None:
        return "**No earlier run of this company:** every segment is new, nothing can be said of change between runs."
    if apart:
        return f"**Not comparable with run {plain(earlier)}:** {plain(apart)} Every segment is new, and none of its segments is put down as gone."
    counts = lineage.change.value_counts()
    told = listed([f"{counts[c]} {c}" for c in ("continued", "split", "merged", "born", "gone") if c in counts])
    kept = lineage[lineage.change == "continued"]
    share = f" A continued segment shares {kept.jaccard.mean():.0%} of its customers with what it was." if len(kept) else ""
    return f"Since run {plain(earlier)}: {told}.{share}"


def say_movement(moved: Movement | None) -> str:
    """How many customers changed segments beyond chance."""
    if moved is None:
        return "**Movement cannot be told from chance:** too few customers bought in odd and in even weeks, then and now, or half of the weeks says too little of them."
    looked_at = f"{moved.customers:,} looked at (who bought in odd and in even weeks, then and now)"
    elsewhere = f"of {looked_at} {moved.observed:.1%} stand in another segment than one horizon ago"
    half = f" The two windows share {moved.overlap:.0%} of their days, in which whoever turned since is still who they were: the figure is what shows by now, less than have turned." if moved.overlap else ""  # fmt: skip
    net = f"(net {moved.net:.1%}, 95% interval {moved.low:.1%} to {moved.high:.1%})"
    if moved.high < 0:
        return f"**Movement cannot be judged here:** {elsewhere}, and surely more would with nothing changed {net}: more than chance sets odd weeks apart from even ones."
    if moved.low <= 0:
        return f"**No movement beyond chance:** {elsewhere}, but so many would with nothing changed {net}.{half}"
    return (
        f"**{moved.net:.1%} of the customers moved beyond chance** (95% interval {moved.low:.1%} to {moved.high:.1%}): {elsewhere}, "
        f"and {moved.observed - moved.net:.1%} are no more than chance makes (the placebo, from odd and even weeks): a move to a segment much like the last counts for less than one.{half}"
    )


def chart_migration(migration: pd.DataFrame, sure: np.ndarray) -> Axes:
    """Net moves between segments as a heat map: rows are left, columns joined; numbers stand where a move is surely beyond chance (from, to)."""
    import matplotlib.pyplot as plt
    import seaborn as sns

    k = len(sure)
    apart = migration.assign(net=100 * migration.net_share)[migration.from_segment != migration.to_segment]
    net = apart.pivot(index="from_segment", columns="to_segment", values="net").reindex(index=range(k), columns=range(k))
    limit = max(apart.net.abs().max() if len(apart) else 0.0, 0.1)
    _, axes = plt.subplots(figsize=(8, 6.4))
    heat = {"cmap": "vlag", "center": 0, "vmin": -limit, "vmax": limit, "ax": axes, "square": True}
    sns.heatmap(net.mask(sure), alpha=0.25, cbar=False, **heat)
    beyond = net.where(sure)
    sns.heatmap(
        beyond, annot=net.map("{:+.1f}".format).where(sure, ""), fmt="", annot_kws={"size": 8},
        cbar_kws={"label": "% of customers, net of chance (pale: no more than chance can make)"}, **heat,
    )  # fmt: skip
    more, fewer = int((beyond > 0).to_numpy().sum()), int((beyond < 0).to_numpy().sum())
    axes.set(xlabel="segment today", ylabel="segment one horizon ago")
    axes.set_title(
        f"Of {k * (k - 1)} moves between segments, {more or 'none'} {'is' if more < 2 else 'are'} surely more than chance makes"
        + (f",\n{fewer} surely fewer: there customers go one way, and the placebo does not" if fewer else "")
    )
    return axes


def say_backtest(tested: Backtest | None) -> str:
    """Whether the forecast of segment sizes was nearer to what came than no change at all."""
    if tested is None:
        return "How good such a forecast is cannot be tested: the data do not reach one horizon beyond the as-of day."
    if tested.difference == tested.low == tested.high == 0:
        return (
            "**No more moved one way than chance makes, so the forecast is today's sizes:** one horizon after the as-of day, they "
            f"were wrong for {tested.no_change:.1%} of {tested.customers:,} customers."
        )
    figures = (
        f"its sizes were wrong for {tested.forecast:.1%} of {tested.customers:,} customers, today's sizes for {tested.no_change:.1%} "
        f"({100 * tested.difference:+.2f} points, 95% interval {100 * tested.low:+.2f} to {100 * tested.high:+.2f})."
    )
    if tested.high < 0:
        return f"**The forecast was better than to expect no change:** one horizon after the as-of day, {figures}"
    worse = "worse" if tested.low > 0 else "no better"
    return f"**The forecast was {worse} than to expect no change; do not plan by it:** one horizon after the as-of day, {figures}"
