"""What a reader sees of the segments themselves: how many, the map, the stability certificate, rules, neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.views.scoreboard import outcome_in_words
from workbench.views.theme import ACCENT, GREY, INK, VERDICT_COLOURS, between, listed, plain, segment_colours, told_verdicts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from workbench.clustering.anew import Anew


OVERLAP = 2  # own spreads between two centres; customers near the border could then belong to either
SMALL, MEDIUM = 0.2, 0.5  # differences in standard deviations (Cohen 1988)
NEAREST_HEADS = {
    "segment_id": "segment", "nearest_segment": "nearest", "distance": "distance, in own spreads", "lookalikes": "customers elsewhere who look like it",
    "outcome": "differs from it most in", "effect": "by (standard deviations)", "interval": "95% interval",
}  # fmt: skip
NEAREST_FORM = {"distance": "{:.2f}", "effect": "{:.2f}"}
SHAPES = "osD^"  # of segments on the map in turn: no palette alone tells so many apart


def chart_map(segmentation: pd.DataFrame, names: dict[int, str] | None = None) -> Figure:
    """Every customer on the two-dimensional map, coloured by segment, each segment labelled beside the map."""
    import matplotlib.pyplot as plt

    placed, grouped = segmentation[segmentation.map_x.notna()], int((segmentation.segment_id >= 0).sum())
    colours = segment_colours(list(placed.segment_id.unique()))
    middles = placed[placed.segment_id >= 0].groupby("segment_id")[["map_x", "map_y"]].median()
    labels = names or {i: str(i) for i in middles.index}
    margin = 0.25 if names else 0.08
    figure = plt.figure(figsize=(12.5 if names else 9, 7.2))
    axes = figure.add_axes((margin, 0.05, 1 - 2 * margin, 0.88))
    for (core, segment), chosen in placed.groupby([placed.assigned == "core", "segment_id"]):
        size, alpha, shape = 15 if core else 9, 0.95 if core else 0.4, SHAPES[segment % len(SHAPES)]
        axes.scatter(chosen.map_x, chosen.map_y, s=size, alpha=alpha, linewidths=0, color=colours[segment], marker=shape)
    axes.set_axis_off()
    _label_beside(axes, middles, labels, colours)
    figure.text(
        0.02,
        0.97,
        f"{len(middles)} segments, {len(placed):,}{'' if len(placed) == grouped else f' of {grouped:,}'} customers: near means alike in what is predictable",
        fontsize=13,
        weight="bold",
    )
    note = "Distances between far groups mean nothing. Large marks: the heart of a segment; small pale ones: assigned to the nearest."
    figure.text(0.02, 0.01, note, fontsize=9.5, color=GREY)
    return figure


def _label_beside(axes: Axes, middles: pd.DataFrame, names: dict[int, str], colours: dict[int, str]) -> None:
    """Labels in two columns left and right of the map, as high as their segments where they do not overlap, tied to them by lines."""
    by_side = middles.sort_values(["map_x", "map_y"])
    half, (low, high) = len(by_side) // 2, axes.get_ylim()
    for side, chosen in (("left", by_side.iloc[:half]), ("right", by_side.iloc[half:])):
        ordered = chosen.sort_values("map_y")
        heights = _parted(((ordered.map_y - low) / (high - low)).to_numpy())
        for (segment, row), height in zip(ordered.iterrows(), heights, strict=True):
            axes.annotate(
                names[segment], (row.map_x, row.map_y), (-0.03 if side == "left" else 1.03, height), textcoords="axes fraction",
                fontsize=10, ha="right" if side == "left" else "left", va="center", color=INK, annotation_clip=False,
                arrowprops={"arrowstyle": "-", "color": colours[segment], "lw": 1.1, "relpos": (1.0 if side == "left" else 0.0, 0.5)},
            )  # fmt: skip
            axes.plot(
                row.map_x,
                row.map_y,
                SHAPES[segment % len(SHAPES)],
                markersize=6,
                color=colours[segment],
                markeredgecolor=INK,
                markeredgewidth=0.7,
            )


def _parted(heights: np.ndarray) -> np.ndarray:
    """Heights (0 to 1, rising) -> the same, moved up as far as labels need not to overlap, and down where there is no more room."""
    gap = min(0.045, 0.96 / max(len(heights) - 1, 1))
    place = np.arange(len(heights)) * gap
    return np.minimum(np.maximum.accumulate(np.maximum(heights, 0.02) - place) + place, 0.98 - place[::-1])


def say_counts(counts: pd.DataFrame, repairs: pd.DataFrame, knows: bool) -> str:
    """Why so many segments: what more would know, how much of it would come back, and what was joined afterwards."""
    chosen, best = counts[counts.chosen].iloc[0], _best(counts)
    telling = counts.sort_values(["knowledge", "surviving"]).iloc[-1]
    if len(counts) == 1:
        first = f"**{chosen.n_repaired:.0f} segments**, the only number that was tried: none was chosen by what it knows."
    elif not knows:
        first = "**Nothing shows that any number of segments knows the future better than chance does;** none can pass."
    else:
        first = (
            f"**{chosen.n_repaired:.0f} segments** know {chosen.knowledge:.1%} of the earlier horizon's outcomes, and a customer's segment comes back in refits "
            f"at a mean Jaccard index of {chosen.survives:.2f} (shared customers among those of either)."
        )
        if telling.knowledge > chosen.knowledge + 0.0005:
            first += f" Most is known by {_cut_in_words(telling, chosen)}, {telling.knowledge:.1%}, which {'come' if telling.n_repaired != chosen.n_repaired else 'comes'} back at {telling.survives:.2f}."  # fmt: skip
        equal = counts[(best.surviving - counts.surviving).abs() <= counts.surviving_error]
        equal = equal if chosen.as_before else equal[equal.knowledge <= chosen.knowledge + 0.0005]
        near = equal.drop(index=chosen.name, errors="ignore").sort_values("n_repaired")
        near = list(dict.fromkeys(_cut_in_words(row, chosen) for _, row in near.iterrows()))
        if near:
            most = "" if chosen.as_before else ", and know no more" if len(near) > 1 else ", and knows no more"
            first += f" By the product of both {listed(near)} {'is' if len(near) == 1 else 'are'} as good within a standard error{most}."
    if chosen.as_before:
        first += " They go on from the last run: the number that would be taken without one is not surely better when looked at again, and numbers and names should not flicker."
    elif counts.surviving.max() > best.surviving:
        first += " Numbers of which more would survive leave a segment that is too small to act on."
    causes = repairs.why.value_counts()
    joined = listed([f"{count} {_reason(why, count)}" for why, count in causes.items()])
    after = f" Of {chosen.n_segments:.0f} dense groups, joined with the nearest sibling: {joined}." if len(repairs) else ""
    if chosen.n_repaired == counts.n_segments.min() and len(counts) > 1:
        after += f" Fewer than {counts.n_segments.min():.0f} are not wanted (`min_segments`): joining ends there."
    return first + after + " To force a number, set `min_segments` and `max_segments` to it."


def _cut_in_words(cut: pd.Series, chosen: pd.Series) -> str:
    return f"{cut.n_repaired:.0f}" if cut.n_repaired != chosen.n_repaired else "another cut into as many"


def _best(counts: pd.DataFrame) -> pd.Series:
    """The row that the others are held against: it alone has no lag and so no error."""
    return counts.loc[counts.surviving_error.fillna(0.0).idxmin()]


def _reason(why: str, count: int) -> str:
    if not why.startswith("does"):
        return f"as {why}"
    return f"because {'it does' if count == 1 else 'they do'}{why.removeprefix('does')}"


def chart_counts(counts: pd.DataFrame) -> Axes:
    """Per number of dense groups what the segments made of them know, how much of one comes back, and the product that decides."""
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(figsize=(8, 3.6))
    best = counts.surviving.max()
    for column, scale, label, style in (
        ("knowledge", counts.knowledge.max(), "knowledge (1 = the most known)", "s"), ("survives", 1.0, "how much comes back (mean Jaccard index)", "o"),
        ("surviving", best, "product (1 = the highest)", "D"),
    ):  # fmt: skip
        strong = column == "surviving"
        axes.plot(counts.n_segments, counts[column] / max(scale, 1e-12), marker=style, markersize=5 if strong else 4, linewidth=2 if strong else 1, label=label, color={"surviving": ACCENT, "knowledge": GREY}.get(column, VERDICT_COLOURS["watch"]), alpha=1 if strong else 0.9)  # fmt: skip
    chosen = counts[counts.chosen].iloc[0]
    held = _best(counts)
    why = (
        "the most surviving knowledge" if held.name == chosen.name else "as much surviving knowledge as any, and the most telling"
    )
    why += ", and none too small to act on" if best > held.surviving else ""
    why = "as many as in the last run, and none surely better" if chosen.as_before else why
    axes.axvline(chosen.n_segments, color=INK, linestyle=":", linewidth=1)
    axes.set(
        xlabel="number of dense groups, before joining",
        ylabel="part of the most, Jaccard index",
        ylim=(0, 1.08),
        title=f"{chosen.n_repaired:.0f} segments: {why}",
    )
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=True, framealpha=1, edgecolor="none", loc="lower left", fontsize=9)
    return axes


def chart_tree(tree: np.ndarray, certificate: pd.DataFrame, macro: np.ndarray) -> Axes:
    """Segments as leaves of their tree (scipy's format), labelled with size and verdict, branches of one macro-segment in one colour."""
    import matplotlib.pyplot as plt
    from scipy.cluster.hierarchy import dendrogram

    rows = zip(certificate.segment_id, certificate["size"], certificate.verdict, macro, strict=True)
    labels = [f"{i} · {size:,} customers · {verdict} · macro-segment {m}" for i, size, verdict, m in rows]
    _, axes = plt.subplots(figsize=(8, 0.27 * len(labels) + 1.2))
    colours = segment_colours(list(range(macro.max() + 1)))
    members = {i: {int(m)} for i, m in enumerate(macro)}
    for place, (a, b, *_) in enumerate(tree):
        members[len(labels) + place] = members[int(a)] | members[int(b)]
    drawn = dendrogram(
        tree, orientation="right", labels=labels, ax=axes, leaf_font_size=9,
        link_color_func=lambda n: colours[next(iter(members[n]))] if len(members[n]) == 1 else GREY,
    )  # fmt: skip
    for text, leaf in zip(axes.get_yticklabels(), drawn["leaves"], strict=True):
        text.set_color(VERDICT_COLOURS[certificate.verdict.iloc[leaf]])
    axes.set(
        xlabel="how much joining them would lose (Ward: distance, weighted by size)",
        title=f"{len(labels)} segments in {macro.max() + 1} macro-segments",
    )
    axes.spines["left"].set_visible(False)
    return axes


def _many(certificate: pd.DataFrame) -> bool:
    """Whether a refit draws less than its usual share of the customers."""
    from workbench.clustering.cluster import MOST, SHARE

    return SHARE * certificate["size"].sum() > MOST


def say_stability(certificate: pd.DataFrame) -> str:
    """How many segments survive, weakest first."""
    from workbench.clustering.cluster import MOST
    from workbench.clustering.stability import WATCH

    weakest = certificate.sort_values("stability").iloc[0]
    safer = " A customer of a failing segment is safer treated by the macro-segment." if weakest.verdict == "fail" else ""
    left_out = f"when all but {MOST:,} customers are" if _many(certificate) else "when a fifth of the customers is"
    moved = certificate.segment_id[certificate.seed_stability < WATCH]
    below = f" (segment {listed([str(i) for i in moved])}: under {WATCH})" if len(moved) else ""
    return (
        f"Of {len(certificate)} segments **{told_verdicts(certificate.verdict)}** ({left_out} left out, a mean Jaccard of 0.75 and more passes unless it falls under 0.5 in more than one of "
        f"twenty refits; a mean under 0.5 fails); the weakest reaches {weakest.stability:.2f}. "
        f"Averaged over customers it is {np.average(certificate.stability, weights=certificate['size']):.2f}, "
        f"and {np.average(certificate.seed_stability, weights=certificate['size']):.2f} in two refits of everybody with other seeds{below}.{safer}{_too_small(certificate)}"
    )


def say_found_anew(found: Anew, certificate: pd.DataFrame) -> str:
    """How much of a segment hangs on which customers were looked at, beside simpler ways."""
    from workbench.clustering.scoreboard import KMEANS, OURS, RFM_EQUAL
    from workbench.clustering.stability import WATCH, comes_back

    methods = found.methods
    if methods.isna().any():
        return "Whether other customers would have given the same segments cannot be told: half of them gives none."
    below = certificate.found_anew < WATCH
    capped = int((below & comes_back(certificate.stability, certificate.stability_low)).sum())
    watched = (
        f"; {capped} of these would pass by the refits, and {'is' if capped == 1 else 'are'} to be watched for this"
        if capped
        else ""
    )
    shared = "the space" if _many(certificate) else "most of their customers, and the space"
    return (
        f"**Learned anew from half of the customers, a customer's segment is found again with a mean Jaccard of {methods[OURS]:.2f}** (of two groups of equal size: {shared_members(methods[OURS]):.0%} of the members in both; "
        f"dealt at random, {found.chance:.2f}). Over segments, small ones counting as much as large ones, the mean is {certificate.found_anew.mean():.2f}, and {below.sum() or 'none'} of {len(certificate)} {'is' if below.sum() < 2 else 'are'} "
        f"under {WATCH}{watched}. The refits share {shared}: they say how steady the search is, this says how much of a border hangs on who was looked at. "
        f"K-means on scaled features reaches {methods[KMEANS]:.2f}, an RFM grid of equal size {methods[RFM_EQUAL]:.2f}: its borders are ruled, not found. "
        "Where it is low, customers differ by degrees, and a segment is a stretch of them more than a group of its own."
    )


def shared_members(jaccard: float) -> float:
    """The Jaccard index of two groups of equal size -> which part of each lies in the other."""
    return 2 * jaccard / (1 + jaccard)


def _too_small(certificate: pd.DataFrame) -> str:
    small = certificate[certificate.too_small]
    if small.empty:
        return ""
    named = small.segment_name.map(plain) if "segment_name" in small else "segment " + small.segment_id.astype(str)
    sizes = [f"{name} with {_people(size)}" for name, size in zip(named, small["size"], strict=True)]
    return (
        f" **Too small to act on alone: {listed(sizes)}.** That is fewer than `min_size_share` asks for: treat their customers one "
        "by one, or with the macro-segment."
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
    axes.legend(frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1.0, 1.0))  # above the points, whatever they are
    return axes


def say_rules(rules: pd.DataFrame, customers: int) -> str:
    """How well short rules stand in for segments of so many customers, weakest first."""
    worst, picked = rules.sort_values("unseen_precision").iloc[0], rules.customers.sum()
    return (
        f"**The weakest rule is right for {worst.unseen_precision:.0%}** of the unseen customers that it picks (segment {worst.segment_id}). On average over "
        f"rules {rules.unseen_precision.mean():.0%} of the unseen customers picked are of the segment, and {rules.unseen_recall.mean():.0%} of a segment are picked. "
        f"Together they pick {picked:,} times among {customers:,} customers{': they overlap, so apply them by falling precision on the unseen' if picked > customers else ''}. "
        "A rule is for systems that cannot be given a list; where they can, give them the list."
    )


def say_neighbours(nearest: pd.DataFrame, strengths: np.ndarray, among: int) -> str:
    """Which segments overlap, and how surely a customer belongs; among: customers that look-alikes were looked for among."""
    distance = nearest.distance
    some = f", of {among:,} drawn customers" if among < len(strengths) else ""
    return (
        f"{(distance < OVERLAP).sum()} of {len(nearest)} segments overlap their nearest one (distances {distance.min():.2f} to {distance.max():.2f} of the own "
        f"spread; under about {OVERLAP} they do). How surely a customer belongs is the column `strength` of the segmentation: 0 on the border, 1 at "
        f"the centre; half of the customers are under {np.median(strengths):.2f}. A look-alike lies as near as nine in ten of the segment's own; the table `lookalikes` lists them{some}."
    )


def say_alike(nearest: pd.DataFrame, names: Mapping[str, str]) -> str:
    """Whether a segment and its nearest one differ enough to be treated differently; names: words of categories."""
    known = nearest[nearest.effect.notna()].sort_values("effect", kind="stable")
    if known.empty:
        return "Whether two of them could be treated as one cannot be told: of no outcome is it known how they differ."
    least, one = known.iloc[0], known[known.effect_high < SMALL]
    close = known[(known.effect < MEDIUM) & (known.effect_high >= SMALL)]
    pairs = sorted({tuple(sorted(pair)) for pair in zip(one.segment_id, one.nearest_segment, strict=True)})
    told = [f"Surely less than {SMALL} in everything: {listed([f'{a} with {b}' for a, b in pairs])}. Treat them as one."] if pairs else []  # fmt: skip
    if len(close):
        told.append(f"{len(close)} of {len(known)} differ{'s' if len(close) == 1 else ''} from the nearest one by less than {MEDIUM} in every outcome: there one treatment for both may do.")  # fmt: skip
    return " ".join(
        [
            f"**Most alike are {least.segment_id} and {least.nearest_segment}:** they differ most in {outcome_in_words(least.outcome, names)}, by {least.effect:.2f} "
            f"standard deviations ({least.effect_low:.2f} to {least.effect_high:.2f}; outcomes of the last horizon, each customer placed by models that never saw them).",
            *(told or ["None is so near to another one that both should be treated alike."]),
        ]
    )


def nearest_in_words(nearest: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """The table of neighbours for readers, see `NEAREST_HEADS`."""
    outcome = [outcome_in_words(o, names) for o in nearest.outcome]
    return nearest.assign(outcome=outcome, interval=between(nearest.effect_low, nearest.effect_high, "{:.2f}"))


def say_candidates(candidates: pd.DataFrame) -> str:
    """Whether a group among badly fitting customers is worth a look."""
    if candidates.empty:
        return "**No new segment in sight:** customers that fit badly form no group that comes back and stands apart."
    best, many = candidates.iloc[0], len(candidates) > 1
    return (
        f"{'**' + str(len(candidates)) + ' groups' if many else '**A group'} of badly fitting customers may become {'segments' if many else 'a segment'}:** "
        f"{'they come' if many else 'it comes'} back and {'stand' if many else 'stands'} apart; {'the most promising has' if many else 'it has'} {best.customers:.0f} customers, most of them now in "
        f"segment {best.mostly_from:.0f} (the group comes back at a mean Jaccard of {best.stability:.2f}; the same number of others is {best.apart:.1f} times as far away as its own spread)."
    )


def _people(count: float) -> str:
    return f"{count:,.0f} customer{'' if count == 1 else 's'}"
