"""What a reader sees of notebook 03: the scoreboard, the map, the stability certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.views.theme import ACCENT, GREY, INK, VERDICT_COLOURS, plain, segment_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEAN = "mean of outcomes"
OURS, RFM, AWARE = "this segmentation", "RFM grid", "k-means on the same representation"


def say_representation(predicted: pd.DataFrame | None, ceiling: dict[str, float]) -> str:
    """What the space is made of, or that it had to fall back."""
    if predicted is None:
        return (
            "**Too little history to learn from:** the space is made of scaled features, so segments follow whatever varies most."
        )
    if not ceiling:
        return f"The space holds {predicted.shape[1]} predicted outcomes. How well they come true cannot be told yet."
    best, worst = max(ceiling, key=ceiling.get), min(ceiling, key=ceiling.get)
    return (
        f"The space holds {predicted.shape[1]} predicted outcomes. Out of time they explain between {ceiling[worst]:.0%} ({_words(worst)}) and "
        f"{ceiling[best]:.0%} ({_words(best)}) of what customers then did: segments cannot know more than that."
    )


def say_scoreboard(board: pd.DataFrame) -> str:
    """Where this segmentation wins and where it loses, in words."""
    if board.empty:
        return "**No scoreboard:** the data do not reach one horizon past the as-of day."
    mean = board[board.outcome == MEAN].set_index("method")
    wide = board[board.outcome != MEAN].pivot(index="outcome", columns="method", values="r2_adjusted")
    ours, rfm = mean.r2_adjusted[OURS], mean.r2_adjusted[RFM]
    loses = [_words(o) for o in wide.index if wide.loc[o].drop(OURS).max() > wide.loc[o, OURS]]
    verdict = (
        f"It explains {ours:.1%} of the variance of outcomes out of time, {ours / mean.ceiling[OURS]:.0%} of what is explainable, {ours / rfm:.2f} times the RFM grid."
        if ours > rfm
        else f"**It explains {ours:.1%}, no more than the RFM grid ({rfm:.1%}): use the RFM grid.**"
    )
    again = f"Found again on the other half of the weeks: AMI {mean.replication_ami[OURS]:.2f}, RFM grid {mean.replication_ami[RFM]:.2f} (1 = the same segments, 0 = chance)."
    weak = f"Another method is better for: {', '.join(loses)}." if loses else "No other method is better for any single outcome."
    aware = mean.r2_adjusted[AWARE]
    kmeans = f"k-means in the same space reaches {aware:.1%}: most of the gain comes from the representation, not from the clustering method."
    return f"{again} {weak} {verdict} {kmeans if aware > 0.9 * ours else ''}"


def chart_scoreboard(board: pd.DataFrame) -> Axes:
    """Mean adjusted R² per method against the ceiling, with the single outcomes as dots."""
    import matplotlib.pyplot as plt

    mean = board[board.outcome == MEAN].sort_values("r2_adjusted", ignore_index=True)
    _, axes = plt.subplots(figsize=(9, 0.62 * len(mean) + 1.4))
    axes.barh(mean.method, mean.r2_adjusted, color=[ACCENT if m == OURS else "#bdbdbd" for m in mean.method], height=0.62)
    for place, row in enumerate(mean.itertuples()):
        single = board[(board.method == row.method) & (board.outcome != MEAN)].r2_adjusted
        axes.plot(single, np.full(len(single), place), "|", color=INK, markersize=9, alpha=0.55)
        axes.text(
            row.r2_adjusted + 0.006, place + 0.40, f"{row.r2_adjusted:.3f} · {row.n_segments} groups", va="center", fontsize=8.5
        )
    ceiling = mean.ceiling.iloc[0]
    axes.axvline(ceiling, color=GREY, linestyle="--", linewidth=1)
    axes.text(ceiling, len(mean) - 0.35, f" ceiling {ceiling:.3f}", fontsize=9, color=GREY)
    best = mean.iloc[-1]
    ours = mean.r2_adjusted[mean.method == OURS].iloc[0]
    rfm = mean.r2_adjusted[mean.method == RFM].iloc[0]
    title = (
        f"Knows {ours / rfm:.1f}x as much of the future as the RFM grid"
        if ours > rfm
        else f"{best.method} knows most of the future"
    )
    axes.set(
        xlabel="adjusted R² of what happened after as_of: mean over outcomes (bar), each outcome (tick)",
        title=title,
        ylim=(-0.6, len(mean) - 0.05),
    )
    return axes


def chart_map(segmentation: pd.DataFrame, names: dict[int, str] | None = None) -> Axes:
    """Every customer on the two-dimensional map, coloured by segment, each segment labelled at its middle or beside it."""
    import matplotlib.pyplot as plt

    placed = segmentation[segmentation.map_x.notna()]
    colours = segment_colours(list(placed.segment_id.unique()))
    figure, axes = plt.subplots(figsize=(11, 7.6))
    soft = placed.assigned != "core"
    for chosen, size, alpha in ((placed[soft], 7, 0.45), (placed[~soft], 12, 0.9)):
        axes.scatter(chosen.map_x, chosen.map_y, s=size, alpha=alpha, linewidths=0, color=chosen.segment_id.map(colours))
    middles = placed[placed.segment_id >= 0].groupby("segment_id")[["map_x", "map_y"]].median()
    _label_beside(axes, middles, names or {i: str(i) for i in middles.index}, colours)
    axes.set(xticks=[], yticks=[], xlabel="", ylabel="")
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_title(f"{len(middles)} segments of {len(placed):,} customers: near means alike in what is predictable", pad=14)
    figure.text(
        0.5,
        0.01,
        "distance within a group is meaningful, distance between far groups is not; small dots: not at the heart of the segment",
        ha="center",
        fontsize=8.5,
        color=GREY,
    )
    return axes


def _label_beside(axes: Axes, middles: pd.DataFrame, names: dict[int, str], colours: dict[int, str]) -> None:
    """Labels in two columns left and right of the map, tied to their segments by thin lines, so that none overlap."""
    low, high = axes.get_ylim()
    half = middles.map_x.median()
    for side, chosen in (("left", middles[middles.map_x <= half]), ("right", middles[middles.map_x > half])):
        ordered = chosen.sort_values("map_y")
        places = np.linspace(low, high, len(ordered) + 2)[1:-1]
        for (segment, row), place in zip(ordered.iterrows(), places, strict=True):
            axes.annotate(
                names[segment], (row.map_x, row.map_y), (-0.01 if side == "left" else 1.01, place), textcoords=axes.get_yaxis_transform(), fontsize=9,
                ha="right" if side == "left" else "left", va="center", color=INK, annotation_clip=False,
                arrowprops={"arrowstyle": "-", "color": colours[segment], "lw": 0.9, "shrinkB": 2},
            )  # fmt: skip


def say_stability(certificate: pd.DataFrame) -> str:
    """How many segments survive, weakest first."""
    counts = certificate.verdict.value_counts()
    weakest = certificate.sort_values("stability").iloc[0]
    return (
        f"**{counts.get('fail', 0)} of {len(certificate)} segments fail** (mean Jaccard under 0.5 when a fifth of the customers is left out), "
        f"{counts.get('watch', 0)} are to be watched, {counts.get('pass', 0)} pass (0.75 and more); the weakest reaches {weakest.stability:.2f}. "
        f"On average {np.average(certificate.stability, weights=certificate['size']):.2f} of a segment comes back. "
        "A customer of a failing segment is safer treated by the macro-segment. Fewer, larger segments (`min_size_share` up) are steadier and know less."
    )


def chart_stability(certificate: pd.DataFrame, names: dict[int, str] | None = None) -> Axes:
    """Stability per segment with the spread over refits, coloured by verdict."""
    import matplotlib.pyplot as plt

    ordered = certificate.sort_values("stability", ignore_index=True)
    labels = [(names or {}).get(i, str(i)) for i in ordered.segment_id]
    _, axes = plt.subplots(figsize=(8, 0.26 * len(ordered) + 1.3))
    for verdict, colour in VERDICT_COLOURS.items():
        mine = ordered[ordered.verdict == verdict]
        axes.hlines(mine.index, mine.stability_low, mine.stability_high, color=colour, linewidth=2, alpha=0.5)
        axes.plot(mine.stability, mine.index, {"pass": "o", "watch": "D", "fail": "X"}[verdict], color=colour, label=verdict)
    axes.axvline(0.75, color=GREY, linestyle=":", linewidth=1)
    axes.axvline(0.5, color=GREY, linestyle=":", linewidth=1)
    axes.set_yticks(range(len(ordered)), labels, fontsize=8.5)
    axes.set(
        xlim=(0, 1),
        xlabel="Jaccard index with its best match in a refit: mean, 5th to 95th percentile",
        ylabel="" if names else "segment",
        title=f"{(ordered.verdict == 'pass').sum()} of {len(ordered)} segments pass",
    )
    axes.legend(frameon=False, loc="lower right")
    return axes


def _words(outcome: str) -> str:
    return plain(outcome.removeprefix("future_").replace("category_", "").replace("_", " "))
