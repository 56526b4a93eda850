"""What a reader sees of the scoreboard: what each way of segmenting knows of the future, and whether it finds the same twice."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from workbench.views.theme import ACCENT, INK, between, listed, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
        f"The space holds {predicted.shape[1]} predicted outcomes. Out of time they explain between {ceiling[worst]:.0%} ({outcome_in_words(worst, names)}) and "
        f"{ceiling[best]:.0%} ({outcome_in_words(best, names)}) of what customers then did."
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
    loses = [outcome_in_words(o, names) for o in wide.index if o in behind]
    near = [outcome_in_words(o, names) for o in wide.index if o not in behind and others.loc[o].max() > wide.loc[o, OURS] + 0.005]
    same_space = [outcome_in_words(o, names) for o in board.outcome[led & (board.method == AWARE)] if o != MEAN]
    weak = " ".join(
        [
            f"**Where it loses:** another method surely tells more about {listed(loses)}."
            if loses
            else "No method outside this space surely tells more about any single outcome.",
            *([f"**k-means in the same space surely tells more about {listed(same_space)}.**"] if same_space else []),
            *([f"Higher, but not surely, is another's figure outside it for {listed(near)}."] if near else []),
            f"(Surely: at 95% over {_compared(board)} comparisons together; intervals in the table are of one each.)",
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
    gain = f"k-means in the same space reaches {aware:.1%}: the gain comes from the space, not from the clustering method"
    if mean.lead_high[AWARE] < 0:
        gain += (
            f"; finding dense groups in it loses {100 * -mean.lead_high[AWARE]:.1f} to {100 * -mean.lead_low[AWARE]:.1f} points"
        )
    return " ".join(
        [*_looking_back(judged), weak, _found_again(board), verdict, coarse, *([f"{gain}."] if aware > 0.95 * ours else [])]
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
    far = stats.norm.ppf(1 - 0.025 / max(_compared(board), 1))
    return (board.lead_high + board.lead_low) / 2 + far * error < 0


def _compared(board: pd.DataFrame) -> int:
    """How many of its rows have an interval."""
    return int((board.lead_high > board.lead_low).sum())


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
    parted = ": the two measures do not agree on which is found again better" if by_ami != by_ari else ""
    again = (
        f"Found again from the other half of the weeks, segments agree at AMI {mean.replication_ami[OURS]:.2f}, the RFM grid of equal "
        f"size at {mean.replication_ami[RFM_EQUAL]:.2f} (adjusted mutual information: 1 = the same segments, chance reaches {mean.replication_null[OURS]:.2f}); by pairs "
        f"of customers (ARI, adjusted Rand index) it is {mean.replication_ari[OURS]:.2f} against {mean.replication_ari[RFM_EQUAL]:.2f}{parted}. Weeks are halved in one "
        "way, so these have no interval."
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
        f"**What hangs on the cut:** it was chosen without a look at what then happened. Of {len(known)} that were tried, into {known.n_segments.min()} to "
        f"{known.n_segments.max()} segments after joining, the chosen one, into {chosen.n_segments}, explains {chosen.r2_adjusted:.1%} of it, the least telling ({low.n_segments} segments) "
        f"{low.r2_adjusted:.1%}, the most telling ({high.n_segments}) {high.r2_adjusted:.1%}. Another seed may choose another one: the "
        "intervals above are those of other customers alone."
    )


def say_limit(limit: pd.DataFrame, board: pd.DataFrame) -> str:
    """How much of what is predicted of single customers so few groups can tell at all; nothing where that is not known."""
    mean = board[(board.outcome == MEAN) & (board.method == OURS)].iloc[0]
    if limit.empty or limit.r2_adjusted.isna().any() or not mean.ceiling > 0:
        return ""
    told = listed([f"{row.r2_adjusted:.1%} with {row.n_segments:.0f} groups" for row in limit.itertuples()])
    most, short = limit.r2_adjusted.max(), 1 - mean.r2_adjusted / mean.ceiling
    lost = f"; these segments lose {short:.0%}" if short >= 0.005 else ""
    rest = (
        f"Even so many leave {1 - most / mean.ceiling:.0%} of it to single customers: where a decision can be taken customer by customer, use `predictions`."
        if max(most, mean.r2_adjusted) < mean.ceiling
        else f"Groups need lose nothing of it{lost}."
    )
    return (
        f"**What groups can tell that seek nothing else:** k-means on the predictions alone explains {told}; this segmentation "
        f"{mean.r2_adjusted:.1%}, predictions for single customers {mean.ceiling:.1%}. {rest}"
    )


def _counted(board: pd.DataFrame, names: Mapping[str, str]) -> str:
    """How many outcomes the mean is of, and which are not in it."""
    single = board[board.outcome != MEAN].drop_duplicates("outcome")
    left = single.outcome[single.ceiling.isna()]
    if len(left) in (0, len(single)):
        return f"{len(single)} outcomes"
    return f"{len(single) - len(left)} outcomes (without {listed([outcome_in_words(o, names) for o in left])}, for which no model was learned)"


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
    ahead = mean[["lead_low", "lead_high"]].where(mean.method != OURS)
    interval, lead = between(mean.r2_low, mean.r2_high, "{:.3f}"), between(ahead.lead_low, ahead.lead_high, "{:+.3f}")
    return mean.assign(interval=interval, lead=lead)


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
    return wide.assign(outcome=[o if o == MEAN else outcome_in_words(o, names) for o in wide.outcome])


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
        axes.text(ceiling, 0, f" single-customer\n predictions {ceiling:.3f}", fontsize=9.5, va="center")
    ours = mean.r2_adjusted[mean.method == OURS].iloc[0]
    when = "after the as-of day" if board.judged.iloc[0] == AFTER else "in the last horizon"
    what = "the future" if board.judged.iloc[0] == AFTER else "the last horizon"
    best, theirs = best_rival(board)
    wins = f"Knows {ours / theirs:.1f} times as much of {what} as {named_method(best)}"
    wins += f",\n{AWARE} knows more" if (mean.lead_high[mean.method == AWARE] < 0).any() else ""
    axes.set(
        xlabel=f"adjusted R² of what happened {when}\n(bar: mean over outcomes and its 95% interval; tick: one outcome)",
        title=wins if ours > theirs else f"{best[:1].upper()}{best[1:]} knows no less of {what}",
        ylim=(-0.65, len(mean) - 0.5),
    )
    return axes


def outcome_in_words(outcome: str, names: Mapping[str, str]) -> str:
    """future_category_drug_gm_share -> drugstore share; names: the system's word -> the readers' word."""
    slugs = {re.sub(r"[^a-z0-9]+", "_", k.lower()).strip("_"): v for k, v in names.items()}
    inner = outcome.removeprefix("future_").removeprefix("category_")
    category = inner.removesuffix("_share")
    return plain(f"{slugs[category]} share" if category in slugs else FUTURE.get(inner, inner.replace("_", " ")))
