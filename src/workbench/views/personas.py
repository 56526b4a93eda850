"""What a reader sees of notebook 04: the named map, drivers, personas, the matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.views.theme import GREY, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def say_segments(segments: pd.DataFrame, certificate: pd.DataFrame, board: pd.DataFrame) -> str:
    """The first paragraph of the report: how many segments, how sure, worth how much."""
    assigned = segments[segments.segment_id >= 0]
    left = len(segments) - len(assigned)
    counts = certificate.verdict.value_counts()
    top = certificate.sort_values(["revenue_share", "segment_id"], ascending=[False, True]).iloc[0]
    return (
        f"**{certificate.segment_id.nunique()} segments** of {len(assigned):,} customers; {left:,} further customers without an order in the window are reported as unassigned. "
        f"Of the segments {counts.get('pass', 0)} pass the stability test, {counts.get('watch', 0)} are to be watched and {counts.get('fail', 0)} fail it. "
        f"“{plain(top.segment_name)}” brings most revenue: {top.revenue_share:.0%} from {top.share:.0%} of the customers."
    )


def say_drivers(drivers: pd.DataFrame, segments: pd.DataFrame, compared: int) -> str:
    """How many claims stand and which segments have none."""
    silent = segments[(segments.segment_id >= 0) & ~segments.segment_id.isin(drivers.segment_id)].segment_name.unique()
    tail = f" Nothing sets apart: {', '.join(plain(s) for s in silent)}." if len(silent) else ""
    return f"Of {compared:,} comparisons {len(drivers):,} are told: those that survive false-discovery control, are large enough, and are the strongest of their kind.{tail}"


def chart_drivers(compared: pd.DataFrame, catalog: pd.DataFrame, names: dict[int, str], count: int = 18) -> Axes:
    """Heat map of effect sizes: segments by the features that set any of them apart most; numbers in the strong cells."""
    import matplotlib.pyplot as plt
    import seaborn as sns

    wide = compared.pivot(index="segment_id", columns="feature", values="effect_size")
    strongest = wide.abs().max().sort_values(ascending=False, kind="stable").head(count).index
    nouns = catalog.set_index("feature").noun
    table = wide[strongest].rename(index=names, columns=nouns)
    text = table.map(lambda v: f"{v:+.1f}" if abs(v) >= 0.8 else "")
    _, axes = plt.subplots(figsize=(11, 0.3 * len(table) + 2.6))
    sns.heatmap(
        table,
        cmap="PuOr",
        center=0,
        vmin=-2.5,
        vmax=2.5,
        annot=text,
        fmt="",
        annot_kws={"size": 8},
        linewidths=0.4,
        cbar_kws={"label": "effect size (standard deviations)", "shrink": 0.6},
        ax=axes,
    )
    axes.set(xlabel="", ylabel="")
    axes.set_title(f"“{table.columns[0]}” separates the segments most", pad=12)
    axes.set_xticks(np.arange(len(table.columns)) + 0.5, table.columns, rotation=40, ha="right", fontsize=8.5)
    axes.set_yticks(np.arange(len(table)) + 0.5, table.index, rotation=0, fontsize=8.5)
    return axes


def say_personas(personas: pd.DataFrame, certificate: pd.DataFrame) -> str:
    """Every persona as a short section, the largest first; the caution of unstable segments is part of the story."""
    order = certificate.sort_values(["size", "segment_id"], ascending=[False, True]).segment_id
    told = personas.set_index("segment_id")
    return "\n\n".join(f"### {plain(told.segment_name[i])}\n\n*{plain(told.tagline[i])}* {plain(told.story[i])}" for i in order)


def say_matrix(matrix: pd.DataFrame, customers: int, not_here: list[str]) -> str:
    """Which rules can never apply, whether the matrix is complete, where customers stand."""
    standing = matrix.groupby("stage", sort=False).customers.sum()
    words = ", ".join(f"{stage} {count:,}" for stage, count in standing.items())
    idle = (
        f"Rules that ask for {', '.join(plain(n) for n in not_here)} never apply: this run has no such feature. "
        if not_here
        else ""
    )
    return (
        f"{idle}Every one of the {len(matrix):,} cells has a treatment. The {customers:,} segmented customers stand at: {words} "
        "(acquisition holds none: these are customers already)."
    )


def chart_stages(matrix: pd.DataFrame, names: dict[int, str]) -> Axes:
    """Share of each segment's members per journey stage."""
    import matplotlib.pyplot as plt

    wide = matrix[matrix.stage != "acquisition"].pivot(index="segment_id", columns="stage", values="customers")
    wide = wide[["onboarding", "growth", "retention", "winback"]]
    share = wide.div(wide.sum(axis=1), axis=0).sort_values("winback")
    _, axes = plt.subplots(figsize=(9, 0.28 * len(share) + 1.6))
    left = np.zeros(len(share))
    for stage, colour in zip(share.columns, ("#56b4e9", "#009e73", "#cccccc", "#d55e00"), strict=True):
        axes.barh(share.index.map(names), share[stage], left=left, color=colour, label=stage)
        left = left + share[stage].to_numpy()
    axes.legend(frameon=False, ncols=4, loc="lower left", bbox_to_anchor=(0, 1.0), fontsize=9)
    worst = share.index[-1]
    axes.set(xlim=(0, 1), xlabel="share of the segment's members")
    axes.set_title(f"“{names[worst]}” needs winning back most: {share.winback.iloc[-1]:.0%}", pad=30)
    axes.tick_params(axis="y", labelsize=8.5, colors=GREY, labelcolor="#222222")
    return axes


def say_feedback(told: pd.DataFrame, unused: pd.DataFrame) -> str:
    """What analysts and teams said, and what of it found no segment."""
    if told.empty:
        return "No feedback file: nothing was renamed or vetoed by hand."
    counts = told.kind.value_counts()
    first = ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in counts.items())
    lost = (
        f" **{len(unused)} of them name no segment of this run:** {', '.join(sorted({plain(n) for n in unused.segment}))}."
        if len(unused)
        else ""
    )
    return f"Feedback: {first}.{lost}"


def say_products(judged: pd.DataFrame) -> str:
    """Whether recommendations by segment beat plain popularity, weakest first."""
    if judged.empty:
        return "**Not judged:** the data end at the as-of day, so nobody can say yet whether these lists beat plain popularity."
    everybody, single = judged[judged.segment_id == -2].iloc[0], judged[judged.segment_id != -2]
    counts = single.verdict.value_counts()
    level = {
        "better": "more than", "worse": "**fewer than**", "not told apart": "**no more, beyond chance, than**",
    }[everybody.verdict]  # fmt: skip
    return (
        f"In {counts.get('not told apart', 0)} of {len(single)} segments the lists cannot be told from plain popularity, in {counts.get('worse', 0)} they are worse, "
        f"in {counts.get('better', 0)} better. Over all customers who ordered, {everybody.hit_rate:.1%} bought one of the five, {level} the "
        f"{everybody.popularity:.1%} by popularity (difference {everybody.difference:+.1%}, interval {everybody.ci_low:+.1%} to {everybody.ci_high:+.1%})."
    )
