"""What a reader sees of notebook 03: the scoreboard, the map, the stability certificate."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from workbench.views.theme import ACCENT, GREY, INK, VERDICT_COLOURS, plain, segment_colours, told_verdicts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from workbench.clustering.anew import Anew
    from workbench.clustering.movement import Backtest, Movement

MEAN = "mean of outcomes"
FUTURE = {
    "aov": "order value",
    "active": "whether they order at all",
    "redeemed": "redemption of offers",
    "orders": "number of orders",
    "score": "the survey score",
}
OURS, MACRO, RFM, RFM_EQUAL, PLAIN, PLAIN_CHOSEN, AWARE = (
    "this segmentation", "its macro-segments", "RFM grid", "RFM grid of equal size", "plain UMAP + HDBSCAN",
    "UMAP + HDBSCAN on features in use", "k-means on the same representation",
)  # fmt: skip
AFTER, BEFORE, NEVER = "after as_of", "one horizon earlier", "not yet"  # where the scoreboard is judged
OVERLAP = 2  # own spreads between two centres; customers near the border could then belong to either
SHAPES = "osD^"  # of segments on the map in turn: no palette alone tells so many apart
BESIDES_BUYING = ("future_engaged_days", "future_tickets", "future_score")
BOARD_HEADS = {
    "method": "method", "n_segments": "groups", "r2_adjusted": "adjusted R²", "interval": "95% interval",
    "lead": "this segmentation is ahead by", "ceiling": "ceiling", "replication_ami": "odd / even weeks (AMI)",
    "replication_ari": "the same (ARI)", "replication_null": "AMI by chance",
}  # fmt: skip
BOARD_FORM = dict.fromkeys(("r2_adjusted", "ceiling"), "{:.3f}")


def say_representation(predicted: pd.DataFrame | None, ceiling: dict[str, float], names: Mapping[str, str]) -> str:
    """What the space is made of, or that it had to fall back."""
    if predicted is None:
        return "**Too little history to learn from:** the space is made of today's features alone, so segments follow whatever varies most."
    if not ceiling:
        return f"The space holds {predicted.shape[1]} predicted outcomes. How well they come true cannot be told yet."
    best, worst = max(ceiling, key=ceiling.get), min(ceiling, key=ceiling.get)
    return (
        f"The space holds {predicted.shape[1]} predicted outcomes. Out of time they explain between {ceiling[worst]:.0%} ({_words(worst, names)}) and "
        f"{ceiling[best]:.0%} ({_words(best, names)}) of what customers then did."
    )


def say_seconds(board: pd.DataFrame) -> str:
    """What finding the segments took, method by method, on this machine."""
    took = board.drop_duplicates("method").set_index("method").seconds
    told = ", ".join(f"{plain(name)} {value:.1f}" for name, value in took.items())
    return f"Seconds that each took on this machine: {told}." if told else "Nothing was compared, so nothing was timed."


def say_scoreboard(board: pd.DataFrame, names: Mapping[str, str]) -> str:
    """Where this segmentation loses, whether it finds the same twice, and where it wins; names: words of categories."""
    judged = board.judged.iloc[0]
    if board.r2_adjusted.isna().all():
        unknown = "What comes is not known yet, and there is no earlier horizon to judge by either."
        told = unknown if judged == NEVER else "Nothing to judge knowledge by: nothing differs in what customers did."
        return f"**{told}** {_found_again(board)}"
    mean = board[board.outcome == MEAN].set_index("method")
    wide = board[board.outcome != MEAN].pivot(index="outcome", columns="method", values="r2_adjusted")
    ours, rfm = mean.r2_adjusted[OURS], mean.r2_adjusted[RFM]
    others = wide.drop(columns=[OURS, AWARE])
    led = _surely_led(board)
    behind = set(board.outcome[led & ~board.method.isin([OURS, AWARE])])
    loses = [_words(o, names) for o in wide.index if o in behind]
    near = [_words(o, names) for o in wide.index if o not in behind and others.loc[o].max() > wide.loc[o, OURS] + 0.005]
    same_space = [_words(o, names) for o in board.outcome[led & (board.method == AWARE)] if o != MEAN]
    weak = " ".join(
        [
            f"**Where it loses:** another method surely tells more about {_listed(loses)}."
            if loses
            else "No method outside this space surely tells more about any single outcome.",
            *([f"**k-means in the same space surely tells more about {_listed(same_space)}.**"] if same_space else []),
            *([f"Another's figure is higher for {_listed(near)}, by no more than chance can make."] if near else []),
        ]
    )
    best, theirs = best_rival(board)
    named = named_method(best)
    easier = "" if best in (RFM, RFM_EQUAL) else f", {ours / rfm:.2f} times the RFM grid"
    if theirs >= ours:
        even = f", a difference that chance can make: {named} does as well, and is simpler"
        sure = ": surely more" if mean.lead_high[best] < 0 else even
        verdict = f"**It explains {ours:.1%} of the variance of outcomes, {named} {theirs:.1%}{sure}. Use {named}.**"
    elif mean.lead_low[RFM] <= 0:
        verdict = f"**It explains {ours:.1%} of the variance of outcomes, the RFM grid {rfm:.1%}: a difference that chance can make. Use the RFM grid.**"
    elif mean.lead_low[best] <= 0:
        verdict = f"**It explains {ours:.1%} of the variance of outcomes, {named} {theirs:.1%}: a difference that chance can make. {named[:1].upper()}{named[1:]} is simpler.**"
    else:
        verdict = (
            f"**Where it wins:** {'out of time' if judged == AFTER else BEFORE} it explains {ours:.1%} ({mean.r2_low[OURS]:.1%} to {mean.r2_high[OURS]:.1%}) of the variance of {_counted(board, names)}, "
            f"{_of_ceiling(ours, mean.ceiling[OURS])}; {ours / theirs:.2f} times {named}, the best without this space{easier}{_of_buying(board)} and "
            f"{ours / mean.r2_adjusted[PLAIN]:.2f} times plain UMAP + HDBSCAN on every feature{_chosen(ours, mean)}."
        )
    enough = ", no less: treat by them" if mean.r2_adjusted[MACRO] >= ours else ""
    coarse = f"The {mean.n_segments[MACRO]:.0f} macro-segments alone explain {mean.r2_adjusted[MACRO]:.1%}{enough}."
    aware = mean.r2_adjusted[AWARE]
    kmeans = f"k-means in the same space reaches {aware:.1%}: the gain comes from the space, not from the clustering method."
    return " ".join(
        [*_looking_back(judged), weak, _found_again(board), verdict, coarse, *([kmeans] if aware > 0.95 * ours else [])]
    )


def named_method(method: str) -> str:
    """A method of the scoreboard in the middle of a sentence."""
    article = {RFM: "the ", RFM_EQUAL: "the "}.get(method, "a " if method.startswith("Gaussian mixture") else "")
    return article + method


def best_rival(board: pd.DataFrame) -> tuple[str, float]:
    """scoreboard -> the method outside this space that tells most on the whole, and its R²; the first one and NaN where nothing is known."""
    mean = board[board.outcome == MEAN].set_index("method").r2_adjusted.drop([OURS, AWARE, MACRO])
    best = mean.idxmax() if mean.notna().any() else mean.index[0]
    return best, float(mean[best])


def _surely_led(board: pd.DataFrame) -> pd.Series:
    """scoreboard -> whether a method surely tells more than this segmentation, a row each: by Bonferroni over the rows with an interval."""
    error = (board.lead_high - board.lead_low) / (2 * stats.norm.ppf(0.975))
    far = stats.norm.ppf(1 - 0.025 / max(int((error > 0).sum()), 1))
    return (board.lead_high + board.lead_low) / 2 + far * error < 0


def _looking_back(judged: str) -> list[str]:
    """What is to be known of a scoreboard that is not out of time."""
    if judged == AFTER:
        return []
    return [
        "**What comes is not known yet, so methods are judged by the last horizon:** this segmentation as if it had stood at its beginning, each "
        "customer placed by models that never saw them. As many segments were taken as knew and survived most there, which favours it a little. For "
        "a test out of time move `as_of` back by one horizon."
    ]


def _found_again(board: pd.DataFrame) -> str:
    """How alike segments of odd and of even weeks are, beside the grid of equal size and chance."""
    mean = board[board.outcome == MEAN].set_index("method")
    if not np.isfinite(mean.replication_ami[OURS]):
        return "Half of the weeks alone gives no segments, so whether the same are found again cannot be told."
    by_ami, by_ari = (mean[measure][OURS] > mean[measure][RFM_EQUAL] for measure in ("replication_ami", "replication_ari"))
    better = "more than" if by_ami else "no more than"
    parted = ": the two measures do not agree on which is found again better" if by_ami != by_ari else ""
    again = (
        f"Found again from the other half of the weeks, segments agree at AMI {mean.replication_ami[OURS]:.2f}, {better} the RFM grid of equal "
        f"size ({mean.replication_ami[RFM_EQUAL]:.2f}; adjusted mutual information: 1 = the same segments, chance reaches {mean.replication_null[OURS]:.2f}); by pairs "
        f"of customers (ARI, adjusted Rand index) it is {mean.replication_ari[OURS]:.2f} against {mean.replication_ari[RFM_EQUAL]:.2f}{parted}."
    )
    steady = mean.replication_ami.drop(MACRO)
    if steady.max() > steady[OURS] + 0.005:
        again += f" Most alike in both halves is {steady.idxmax()} (AMI {steady.max():.2f})."
    return again


def say_tried(tried: pd.DataFrame) -> str:
    """How much hangs on the number of segments, which the intervals of the scoreboard do not hold."""
    known = tried[tried.r2_adjusted.notna()].sort_values("r2_adjusted")
    if known.empty:
        return "Whether another number of segments would have told more of what came cannot be known yet."
    if len(known) == 1:
        return "No other number of segments was tried."
    low, high, chosen = known.iloc[0], known.iloc[-1], known[known.chosen].iloc[0]
    return (
        f"**What hangs on the number of segments:** it was chosen without a look at what then happened. Of {len(known)} cuts that were tried the "
        f"chosen one, into {chosen.n_segments}, explains {chosen.r2_adjusted:.1%} of it, the least telling ({low.n_segments} segments) "
        f"{low.r2_adjusted:.1%}, the most telling ({high.n_segments}) {high.r2_adjusted:.1%}. Another seed may choose another one: the "
        "intervals above are those of other customers alone."
    )


def _counted(board: pd.DataFrame, names: Mapping[str, str]) -> str:
    """How many outcomes the mean is of, and which are not in it."""
    single = board[board.outcome != MEAN].drop_duplicates("outcome")
    left = single.outcome[single.ceiling.isna()]
    if len(left) in (0, len(single)):
        return f"{len(single)} outcomes"
    return f"{len(single) - len(left)} outcomes (without {_listed([_words(o, names) for o in left])}, for which no model was learned)"


def _of_buying(board: pd.DataFrame) -> str:
    """The same ratio over the outcomes of buying alone: a grid of purchases cannot know what else a customer does or says."""
    single = board[(board.outcome != MEAN) & board.ceiling.notna()]
    buying = single[~single.outcome.isin(BESIDES_BUYING)]
    if buying.empty or len(buying) == len(single):
        return ""
    mean = buying.groupby("method").r2_adjusted.mean()
    return f" ({mean[OURS] / mean[RFM]:.2f} times over the {buying.outcome.nunique()} that are of buying alone)"


def _chosen(ours: float, mean: pd.DataFrame) -> str:
    """What is left of the lead over UMAP + HDBSCAN where the scorecard has chosen its features."""
    if PLAIN_CHOSEN not in mean.index:
        return ""
    return f" ({ours / mean.r2_adjusted[PLAIN_CHOSEN]:.2f} times the same on the features in use)"


def mean_board(board: pd.DataFrame) -> pd.DataFrame:
    """The scoreboard's means with their intervals as text, for a table with `BOARD_HEADS` and `BOARD_FORM`."""
    mean = board[board.outcome == MEAN]
    return mean.assign(
        interval=[
            "–" if np.isnan(low) else f"{low:.3f} to {high:.3f}" for low, high in zip(mean.r2_low, mean.r2_high, strict=True)
        ],
        lead=[
            "–" if method == OURS or np.isnan(low) else f"{low:+.3f} to {high:+.3f}"
            for method, low, high in zip(mean.method, mean.lead_low, mean.lead_high, strict=True)
        ],
    )


def _of_ceiling(ours: float, ceiling: float) -> str:
    """How much of the ceiling is reached, or that predictions for single customers explain no more."""
    if not np.isfinite(ceiling):
        return "with no prediction to compare it to"
    if ours <= ceiling:
        return f"{ours / ceiling:.0%} of what predictions for single customers explain"
    return f"no less than predictions for single customers ({ceiling:.1%})"


def board_title(board: pd.DataFrame) -> str:
    """The caption of that table."""
    told = {AFTER: "after the as-of day", BEFORE: "in the last horizon, before the as-of day"}
    return f"Scoreboard: mean over outcomes {told.get(board.judged.iloc[0], 'that are not known yet')}"


def in_words(wide: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """The wide scoreboard with outcomes in plain words."""
    return wide.assign(outcome=[o if o == MEAN else _words(o, names) for o in wide.outcome])


def chart_scoreboard(board: pd.DataFrame) -> Axes:
    """Mean adjusted R² per method as a bar with the ceiling as a line; every single outcome as a tick below its bar."""
    import matplotlib.pyplot as plt

    mean = board[board.outcome == MEAN].sort_values("r2_adjusted", ignore_index=True)
    _, axes = plt.subplots(figsize=(9, 0.6 * len(mean) + 1.5))
    colours = [ACCENT if m == OURS else "#c4c4c4" for m in mean.method]
    error, whisker = mean.r2_high - mean.r2_adjusted, {"ecolor": INK, "elinewidth": 1, "capsize": 3}
    axes.barh(
        mean.method + ", " + mean.n_segments.astype(str) + " groups",
        mean.r2_adjusted,
        color=colours,
        height=0.6,
        xerr=error,
        error_kw=whisker,
    )
    for place, row in enumerate(mean.itertuples()):
        single = board[(board.method == row.method) & (board.outcome != MEAN)].r2_adjusted
        axes.plot(single, np.full(len(single), place - 0.4), "|", color=INK, markersize=6, alpha=0.6)
        colour = "white" if row.method == OURS else INK
        axes.text(0.006, place, f"{row.r2_adjusted:.3f}", va="center", fontsize=9.5, color=colour)
    ceiling = mean.ceiling.iloc[0]
    if np.isfinite(ceiling):
        axes.axvline(ceiling, color=INK, linestyle="--", linewidth=1)
        axes.text(ceiling, len(mean) - 0.8, f" single-customer\n predictions {ceiling:.3f}", fontsize=9.5, va="center")
    ours = mean.r2_adjusted[mean.method == OURS].iloc[0]
    when = "after the as-of day" if board.judged.iloc[0] == AFTER else "in the last horizon"
    what = "the future" if board.judged.iloc[0] == AFTER else "the last horizon"
    best, theirs = best_rival(board)
    wins = f"Knows {ours / theirs:.1f} times as much of {what} as {named_method(best)}"
    axes.set(
        xlabel=f"adjusted R² of what happened {when}\n(bar: mean over outcomes and its 95% interval; tick: one outcome)",
        title=wins if ours > theirs else f"{best[:1].upper()}{best[1:]} knows no less of {what}",
        ylim=(-0.65, len(mean) - 0.5),
    )
    return axes


def chart_map(segmentation: pd.DataFrame, names: dict[int, str] | None = None) -> Figure:
    """Every customer on the two-dimensional map, coloured by segment, each segment labelled beside the map."""
    import matplotlib.pyplot as plt

    placed = segmentation[segmentation.map_x.notna()]
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
        f"{len(middles)} segments of {len(placed):,} customers: near means alike in what is predictable",
        fontsize=13,
        weight="bold",
    )
    note = "Distances between far groups mean nothing. Large marks: the heart of a segment; small pale ones: assigned to the nearest."
    figure.text(0.02, 0.01, note, fontsize=9.5, color=GREY)
    return figure


def _label_beside(axes: Axes, middles: pd.DataFrame, names: dict[int, str], colours: dict[int, str]) -> None:
    """Labels in two equally long columns left and right of the map, tied to their segments by lines, none overlapping."""
    by_side = middles.sort_values(["map_x", "map_y"])
    half = len(by_side) // 2
    for side, chosen in (("left", by_side.iloc[:half]), ("right", by_side.iloc[half:])):
        ordered = chosen.sort_values("map_y")
        heights = np.linspace(0.02, 0.98, len(ordered)) if len(ordered) > 1 else [0.5]
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


def say_counts(counts: pd.DataFrame, repairs: pd.DataFrame, knows: bool) -> str:
    """Why so many segments: what more would know, how much of it would come back, and what was joined afterwards."""
    chosen = counts[counts.chosen].iloc[0]
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
        if telling.n_repaired != chosen.n_repaired:
            first += (
                f" Most is known by {telling.n_repaired:.0f}, {telling.knowledge:.1%}, which come back at {telling.survives:.2f}."
            )
        lag = (chosen.surviving - counts.surviving).abs()
        near = counts[(lag <= counts.surviving_error) & (counts.n_repaired != chosen.n_repaired)].n_repaired
        if len(near):
            told = _listed([f"{n:.0f}" for n in sorted(set(near))])
            first += f" By the product of both {told} {'lies' if near.nunique() == 1 else 'lie'} within a standard error of it."
    best = counts.loc[counts.surviving.idxmax()]
    if _as_the_last_run(chosen):
        first += f" So many had the last run; {best.n_repaired:.0f}, the best by that product, are no better for sure, and numbers and names should not flicker."
    elif best.surviving > chosen.surviving:
        first += " Numbers of which more would survive leave a segment that is too small to act on."
    causes = repairs.why.value_counts()
    joined = _listed([f"{count} {_reason(why, count)}" for why, count in causes.items()])
    after = f" Of {chosen.n_segments:.0f} dense groups, joined with the nearest sibling: {joined}." if len(repairs) else ""
    return first + after + " To force a number, set `min_segments` and `max_segments` to it."


def _as_the_last_run(chosen: pd.Series) -> bool:
    """Whether the chosen row of counts is not the best one, which alone has no lag and so no error, but as good with the last run's number."""
    return chosen.surviving_error > 0


def _reason(why: str, count: int) -> str:
    if why.startswith("too"):
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
    why = "the most surviving knowledge" + (", and none too small to act on" if best > chosen.surviving else "")
    why = "as many as in the last run, and none surely better" if _as_the_last_run(chosen) else why
    axes.axvline(chosen.n_segments, color=INK, linestyle=":", linewidth=1)
    axes.set(
        xlabel="number of dense groups, before joining",
        ylabel="part of the most",
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


def say_stability(certificate: pd.DataFrame) -> str:
    """How many segments survive, weakest first."""
    from workbench.clustering.cluster import MOST, SHARE

    weakest = certificate.sort_values("stability").iloc[0]
    safer = " A customer of a failing segment is safer treated by the macro-segment." if weakest.verdict == "fail" else ""
    left_out = (
        f"when all but {MOST:,} customers are" if SHARE * certificate["size"].sum() > MOST else "when a fifth of the customers is"
    )
    return (
        f"Of {len(certificate)} segments **{told_verdicts(certificate.verdict)}** ({left_out} left out, a mean Jaccard of 0.75 and more passes unless it falls under 0.5 in more than one of "
        f"twenty refits; a mean under 0.5 fails); the weakest reaches {weakest.stability:.2f}. "
        f"Averaged over customers it is {np.average(certificate.stability, weights=certificate['size']):.2f}, "
        f"and {np.average(certificate.seed_stability, weights=certificate['size']):.2f} when only the seeds change.{safer}{_too_small(certificate)}"
    )


def say_found_anew(found: Anew, certificate: pd.DataFrame) -> str:
    """How much of a segment hangs on which customers were looked at, beside simpler ways."""
    from workbench.clustering.scoreboard import KMEANS, OURS, RFM_EQUAL
    from workbench.clustering.stability import PASS, WATCH

    methods = found.methods
    if methods.isna().any():
        return "Whether other customers would have given the same segments cannot be told: half of them gives none."
    capped = int(((certificate.stability >= PASS) & (certificate.found_anew < WATCH)).sum())
    watched = f" {capped} that come{'s' if capped == 1 else ''} back in the refits {'is' if capped == 1 else 'are'} below 0.5 here, and so no better than watch." if capped else ""  # fmt: skip
    return (
        f"**Learned anew from half of the customers, a segment is found again with a mean Jaccard of {methods[OURS]:.2f}** (of two groups of equal size: {_shared(methods[OURS]):.0%} of the members in both; "
        f"dealt at random, {found.chance:.2f}). The refits share most of their customers, and the space: they say how steady the search is, this says how much of a border hangs on who was looked at.{watched} "
        f"K-means on scaled features reaches {methods[KMEANS]:.2f}, an RFM grid of equal size {methods[RFM_EQUAL]:.2f}: its borders are ruled, not found. "
        "Where it is low, customers differ by degrees, and a segment is a stretch of them more than a group of its own."
    )


def _shared(jaccard: float) -> float:
    """The Jaccard index of two groups of equal size -> which part of each lies in the other."""
    return 2 * jaccard / (1 + jaccard)


def _too_small(certificate: pd.DataFrame) -> str:
    small = certificate[certificate.too_small]
    if small.empty:
        return ""
    named = small.segment_name.map(plain) if "segment_name" in small else "segment " + small.segment_id.astype(str)
    sizes = [f"{name} with {_people(size)}" for name, size in zip(named, small["size"], strict=True)]
    return (
        f" **Too small to act on alone: {_listed(sizes)}.** That is fewer than `min_size_share` asks for: treat their customers one "
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


def _words(outcome: str, names: Mapping[str, str]) -> str:
    """future_category_drug_gm_share -> drugstore share; names: the system's word -> the readers' word."""
    slugs = {re.sub(r"[^a-z0-9]+", "_", k.lower()).strip("_"): v for k, v in names.items()}
    inner = outcome.removeprefix("future_").removeprefix("category_")
    category = inner.removesuffix("_share")
    return plain(f"{slugs[category]} share" if category in slugs else FUTURE.get(inner, inner.replace("_", " ")))


def _listed(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def say_rules(rules: pd.DataFrame, customers: int) -> str:
    """How well short rules stand in for segments of so many customers, weakest first."""
    worst, picked = rules.sort_values("unseen_precision").iloc[0], rules.customers.sum()
    return (
        f"**The weakest rule is right for {worst.unseen_precision:.0%}** of the unseen customers that it picks (segment {worst.segment_id}). On average over "
        f"rules {rules.unseen_precision.mean():.0%} of the unseen customers picked are of the segment, and {rules.unseen_recall.mean():.0%} of a segment are picked. "
        f"Together they pick {picked:,} times among {customers:,} customers{': they overlap, so apply them by falling precision on the unseen' if picked > customers else ''}. "
        "A rule is for systems that cannot be given a list; where they can, give them the list."
    )


def say_lineage(lineage: pd.DataFrame, earlier: str | None, apart: str = "") -> str:
    """What became of the segments since the last run; apart: why the two cannot be compared."""
    if earlier is None:
        return "**No earlier run of this company:** every segment is new, nothing can be said of change between runs."
    if apart:
        return f"**Not comparable with run {plain(earlier)}:** {plain(apart)} Every segment is new, and none of its segments is put down as gone."
    counts = lineage.change.value_counts()
    told = _listed([f"{counts[c]} {c}" for c in ("continued", "split", "merged", "born", "gone") if c in counts])
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
        f"and {moved.observed - moved.net:.1%} would with nothing changed (the placebo). Who went on to a segment much like the last counts for less than one.{half}"
    )


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


def say_neighbours(nearest: pd.DataFrame, strengths: np.ndarray, among: int) -> str:
    """Which segments overlap, and how surely a customer belongs; among: customers that look-alikes were looked for among."""
    distance = nearest.distance
    some = f", of {among:,} drawn customers" if among < len(strengths) else ""
    return (
        f"{(distance < OVERLAP).sum()} of {len(nearest)} segments overlap their nearest one (distances {distance.min():.2f} to {distance.max():.2f} of the own "
        f"spread; under about {OVERLAP} they do). How surely a customer belongs is the column `strength` of the segmentation: 0 on the border, 1 at "
        f"the centre; half of the customers are under {np.median(strengths):.2f}. A look-alike lies as near as nine in ten of the segment's own; the table `lookalikes` lists them{some}."
    )


def say_candidates(candidates: pd.DataFrame) -> str:
    """Whether a group among badly fitting customers is worth a look."""
    if candidates.empty:
        return "**No new segment in sight:** customers that fit badly form no group that comes back and stands apart."
    best, many = candidates.iloc[0], len(candidates) > 1
    return (
        f"{'**' + str(len(candidates)) + ' groups' if many else '**A group'} of badly fitting customers may become {'segments' if many else 'a segment'}:** "
        f"{'they come' if many else 'it comes'} back and {'stand' if many else 'stands'} apart; {'the most promising has' if many else 'it has'} {best.customers:.0f} customers, most of them now in "
        f"segment {best.mostly_from:.0f} (stability {best.stability:.2f}; the same number of others is {best.apart:.1f} times as far away as its own spread)."
    )


HEADROOM_HEADS = {
    "segment_id": "segment", "customers": "customers", "frontier": "upper quarter begins at", "below": "customers below", "gap": "what they lack",
    "lasting": "of it lasting", "headroom": "headroom", "interval": "95% interval",
}  # fmt: skip
HEADROOM_FORM = {"frontier": "{:,.0f}", "gap": "{:,.0f}", "lasting": "{:.0%}", "headroom": "{:,.0f}"}
SPACE_HEADS = {
    "segment_id": "segment", "category": "category", "bought_by": "bought by", "without": "customers without", "usual": "usual revenue from it",
    "at_stake": "at stake", "interval": "95% interval",
}  # fmt: skip
SPACE_FORM = {"bought_by": "{:.0%}", "usual": "{:,.0f}", "at_stake": "{:,.0f}"}


def say_headroom(headroom: pd.DataFrame, currency: str) -> str:
    """In which segments customers under the upper quarter lack more than the weeks make by chance, the largest with intervals."""
    sure = headroom[headroom.headroom_low > 0].sort_values("headroom", ascending=False, kind="stable")
    if sure.empty:
        return "**No headroom can be told:** within segments, revenue differs by no more than the weeks make by chance, or is not known."
    told = [
        f"{r.segment_id} ({r.headroom:,.0f} {currency}, {r.headroom_low:,.0f} to {r.headroom_high:,.0f})"
        for r in sure.head(3).itertuples()
    ]
    return (
        f"**Headroom:** in {len(sure)} of {len(headroom)} segments customers' revenue differs by surely more than the weeks make by chance. What those under "
        f"the upper quarter lack for good is most in segment{'s' if len(told) > 1 else ''} {_listed(told)}. It is what is to be expected of those seen below, not what an action brings: notebook 05 "
        "measures that in experiments."
    )


def _people(count: float) -> str:
    return f"{count:,.0f} customer{'' if count == 1 else 's'}"


def headroom_in_words(headroom: pd.DataFrame) -> pd.DataFrame:
    """The table for readers, see `HEADROOM_HEADS`."""
    return headroom.assign(interval=_between(headroom.headroom_low, headroom.headroom_high))


def space_in_words(space: pd.DataFrame, catalog: pd.DataFrame) -> pd.DataFrame:
    """White space for readers, see `SPACE_HEADS`; categories by their nouns."""
    nouns = catalog.set_index("feature").noun.str.removesuffix(" share")
    return space.assign(category=space.feature.map(nouns), interval=_between(space.at_stake_low, space.at_stake_high))


def _between(low: pd.Series, high: pd.Series) -> list[str]:
    return [f"{a:,.0f} to {b:,.0f}" for a, b in zip(low, high, strict=True)]


TESTS = {"is": "is", "is_not": "is not", "at_least": "at least", "at_most": "at most", "top_share": "among the highest"}


def funnels_in_words(funnels: pd.DataFrame, catalog: pd.DataFrame) -> pd.DataFrame:
    """Audiences layer by layer -> audience, condition, customers, share, features called by their nouns."""
    known = catalog.set_index("feature")

    def told(column: str, test: str, value: str) -> str:
        if not column:
            return "all customers"
        noun = known.noun.get(column, column.replace("_", " "))
        is_share = test == "top_share" or known.unit.get(column) == "share" and test in ("at_least", "at_most")
        return f"{noun} {TESTS[test]} {f'{100 * float(value):g} %' if is_share else value}"

    conditions = [told(*layer) for layer in zip(funnels.column, funnels.test, funnels.value, strict=True)]
    return funnels.assign(audience=funnels.audience.str.replace("_", " "), condition=conditions)


def say_left_out(names: list[str]) -> str:
    """Audiences that ask for what the sources do not carry."""
    return (
        f"Left out, for columns that these sources do not carry: {_listed([plain(n.replace('_', ' ')) for n in names])}."
        if names
        else "Every audience of the file can be counted."
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
    sns.heatmap(
        net.where(sure), annot=net.map("{:+.1f}".format).where(sure, ""), fmt="", annot_kws={"size": 8},
        cbar_kws={"label": "% of customers, net of chance (pale: no more than chance can make)"}, **heat,
    )  # fmt: skip
    count = int(sure.sum())
    axes.set(xlabel="segment today", ylabel="segment one horizon ago")
    axes.set_title(
        f"Of {k * (k - 1)} moves between segments, {count or 'none'} {'is' if count < 2 else 'are'} surely beyond chance"
    )
    return axes
