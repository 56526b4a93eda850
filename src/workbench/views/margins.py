"""Who the profit comes from, as readers of notebook 05 see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from workbench.views import theme
from workbench.views.kpis import empty_figure, intervals_in_unit, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HALF = 0.5  # of the margin: what the sentence counts to
NAMED, APART = 0.8, 0.05  # of the margin: up to where the chart names segments, and how far apart
HEADS = {
    "segment_name": "segment", "customers": "customers", "margin": "margin", "customer_share": "customers so far", "margin_share": "margin so far",
    "interval": "interval",
}  # fmt: skip
FORM = {"margin": "{:,.0f}", "customer_share": "{:.1%}", "margin_share": "{:.1%}"}


def say_profit(curve: pd.DataFrame, kpis: pd.DataFrame) -> str:
    """profit_curve and kpis -> Markdown: how few customers bring half of the margin, and who surely costs more than they bring."""
    if curve.empty:
        rows = kpis[kpis.kpi == "profitability"].sort_values("segment_id")  # all customers first
        unknown = rows[rows.value.isna()]
        if unknown.empty:
            return "There is no profit to share: goods cost all customers' money or more." if len(rows) else ""
        first = unknown.iloc[0]
        return f"Whose the profit is cannot be told: margin per customer of {theme.plain(first.segment_name)} is {theme.plain(first.status)}."
    count = int((curve.margin_share < HALF).sum()) + 1
    row, lost = curve.iloc[count - 1], curve[curve.surely_lost & (curve.segment_id >= 0)]
    who = (
        f"The {count} segments that bring most per customer are" if count > 1 else f"**{theme.plain(row.segment_name)}** alone is"
    )
    told = f"{who} {row.customer_share:.0%} of the customers, with {row.margin_share:.0%} of the margin{_interval(row, kpis.confidence.iloc[0])}."
    names = ", ".join(f"**{theme.plain(name)}**" for name in lost.segment_name)
    return f"{told} Surely more than they bring cost {names}." if len(lost) else told


def _interval(row: pd.Series, confidence: float) -> str:
    if pd.isna(row.margin_share_low):
        return ""
    return f" ({confidence:.0%} interval {row.margin_share_low:.0%} to {row.margin_share_high:.0%})"


def profit_in_words(curve: pd.DataFrame) -> pd.DataFrame:
    """profit_curve -> the same with its interval as text."""
    return curve.assign(interval=intervals_in_unit(curve.assign(unit="share"), "margin_share_low", "margin_share_high"))


def chart_profit(curve: pd.DataFrame) -> Axes | Figure:
    """profit_curve -> share of the margin by share of the customers, segments by what one customer brings; grey: were all alike."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import PercentFormatter

    if curve.empty:
        return empty_figure("No margin is known")
    colours = theme.segment_colours(list(curve.segment_id))
    figure, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
    x, y = ([0.0, *curve[column]] for column in ("customer_share", "margin_share"))
    low, high = ([0.0, *curve[column]] for column in ("margin_share_low", "margin_share_high"))
    ax.fill_between(x, low, high, color=theme.GREY, alpha=0.25, linewidth=0)
    ax.plot([0, 1], [0, 1], color=theme.GREY, linewidth=0.8)
    ax.plot(x, y, color=theme.INK, linewidth=1.2)
    before, last = 0.0, -1.0
    for row in curve.itertuples():
        ax.scatter(row.customer_share, row.margin_share, s=26, color=colours[row.segment_id], zorder=3)
        if before < NAMED and row.margin_share - last > APART:
            ax.annotate(
                short(row.segment_name),
                (row.customer_share, row.margin_share),
                (7, -3),
                textcoords="offset points",
                fontsize=8,
                va="top",
            )
            last = row.margin_share
        before = row.margin_share
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set_xlim(0, 1.02)
    ax.set_ylim(0, max(1.02, 1.02 * curve.margin_share.max()))
    ax.set_xlabel("customers, from those segments that bring most per customer")
    ax.set_ylabel("share of the margin")
    ax.set_title("Who the margin comes from (grey line: were all customers alike)", fontsize=10)
    return ax
