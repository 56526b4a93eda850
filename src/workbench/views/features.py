"""What a reader sees of notebook 02: the catalog, the scorecard, the outcomes, what predicts them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.views.theme import ACCENT, GREY, INK, PALE, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from workbench.features.drivers import Propensity

LEFT_OUT = "left out: "


def say_features(catalog: pd.DataFrame, chance: float) -> str:
    """How many features, how many were left out and why, what is weak about the others, what follows."""
    dropped, used = catalog[~catalog.used], catalog[catalog.used]
    reasons = dropped.reason.str.removeprefix(LEFT_OUT).str.replace(
        r"^says the same as .*", "says the same as another", regex=True
    )
    why = "; ".join(f"{plain(reason)}: {count}" for reason, count in reasons.value_counts(sort=False).sort_index().items())
    shaky = used[used.weight < 0.5].sort_values(["weight", "feature"])
    names = ", ".join(shaky.noun.head(5).map(plain))
    idle = int((~used.actionable).sum())
    told = (
        f" Relevance is the mean squared rank correlation with outcomes; chance gives up to {chance:.4f}."
        if chance == chance
        else ""
    )
    return (
        f"{len(catalog)} features; **{len(dropped)} are left out**{f' ({why})' if len(dropped) else ''}. "
        f"Of the {len(used)} used ones {len(shaky)} differ so much between weeks that they count for less than half"
        f"{': ' + names + (', …' if len(shaky) > 5 else '') if len(shaky) else ''}. "
        f"{_idle(idle)}{told}"
    )


def chart_scorecard(catalog: pd.DataFrame, chance: float) -> Axes:
    """Each feature by how repeatable and how relevant it is; the most relevant of the used ones are labelled."""
    import matplotlib.pyplot as plt

    shown = catalog[catalog.stability.notna() & catalog.relevance.notna()]
    used, dropped = shown[shown.used], shown[~shown.used]
    best = used.sort_values(["relevance", "feature"], ascending=[False, True]).head(12)
    _, axes = plt.subplots(figsize=(9, 5))
    axes.scatter(dropped.stability, dropped.relevance, s=26, color=GREY, marker="x", linewidth=1.2, label="left out")
    axes.scatter(used.stability, used.relevance, s=10 + 40 * used.weight, color=ACCENT, label="used (larger: counts for more)")
    if chance == chance:
        axes.axhline(chance, color=GREY, linestyle=":", linewidth=1, label="what chance gives")
    places = _spread(best.relevance.to_numpy(), gap=0.042 * max(shown.relevance.max(), 1e-9) if len(shown) else 1)
    for word, row, place in zip(best.noun, best.itertuples(), places, strict=True):
        axes.annotate(
            word,
            (row.stability, row.relevance),
            (1.04, place),
            textcoords=axes.get_yaxis_transform(),
            fontsize=8.5,
            va="center",
            arrowprops={"arrowstyle": "-", "color": PALE, "lw": 0.7},
        )
    title = (
        f"“{best.noun.iloc[0]}” tells most about the next period" if len(best) else "No attribute could be compared with outcomes"
    )
    axes.set(xlabel="the same in odd and even weeks (Spearman correlation)", ylabel="relevance to outcomes", title=title)
    axes.legend(frameon=False, fontsize=8.5, loc="upper left")
    return axes


def _idle(count: int) -> str:
    if not count:
        return "Each has a lever that the playbook knows."
    return f"Without a lever that the playbook knows: {count}. They describe, but nothing follows from them."


def _spread(values: list[float], gap: float) -> list[float]:
    """Falling values moved apart to at least `gap`, so that their labels do not overlap."""
    placed: list[float] = []
    for value in values:
        placed.append(min(value, placed[-1] - gap) if placed else value)
    return placed


def say_outcomes(outcomes: pd.DataFrame | None, days: int) -> str:
    """What the horizon brought, or why it cannot be told."""
    if outcomes is None:
        return f"The data end before {days} days after the as-of day have passed: no outcome can be told, and the scoreboard of notebook 03 judges by the last horizon instead. Move `as_of` back to test out of time."
    active = outcomes.future_active.mean()
    return f"In the {days} days after the as-of day {active:.1%} of the {len(outcomes):,} customers ordered again and spent {outcomes.future_spend.mean():,.2f} on average. Nothing but the scoreboard reads this."


# -- what predicts outcomes --------------------------------------------------------------------------------------------


def say_drivers(propensity: Propensity, catalog: pd.DataFrame) -> str:
    """How well the target is predicted, whether that beats the simplest way, whether sizes hold, and what it rests on."""
    if propensity.reason:
        return f"**{_upper(plain(propensity.said))}** cannot be predicted: {plain(propensity.reason)}."
    words = _by_feature(catalog)
    main = propensity.metrics.iloc[0]
    measure = (
        f"told apart with an AUC of {main.model:.2f}"
        if propensity.yes_no
        else f"ranked with a Spearman correlation of {main.model:.2f}"
    )
    beaten = (
        f"surely better than “{plain(_noun(words, propensity.baseline))}” alone ({main.baseline:.2f}; gain {main.gain:.3f}, {main.gain_low:.3f} to {main.gain_high:.3f})"
        if propensity.beats_baseline
        else f"**not surely better than “{plain(_noun(words, propensity.baseline))}” alone** ({main.baseline:.2f}): use that instead, it is simpler"
    )
    guessing = 0.5 if propensity.yes_no else 0.0
    if main.low <= guessing:
        worse = "surely worse than guessing" if main.high < guessing else "not surely better than guessing"
        beaten = f"**{worse}: do not use it**; what it rests on says nothing"
    expected, happened = _amount(propensity, propensity.predicted), _amount(propensity, propensity.actual)
    sure = propensity.drivers[propensity.drivers.low > 0].head(3)
    rests = "; ".join(plain(_driver_phrase(words, row)) for row in sure.itertuples()) or "no single group of attributes surely"
    return (
        f"**{_upper(plain(propensity.said))}.** Judged {propensity.judged} ({propensity.judged_on:,} customers), customers are {measure} "
        f"({main.low:.2f} to {main.high:.2f}), {beaten}. Expected on average: {expected}; happened: {happened}. "
        f"It rests on: {rests}. This tells who, not why: nobody knows yet what a treatment changes."
    )


def chart_reliability(propensity: Propensity) -> Axes:
    """What happened against what was predicted, per tenth of the judged customers, with 95% intervals; on the line is right."""
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(figsize=(5.6, 5))
    bins = propensity.reliability.astype(float)
    if not len(bins):
        return _empty(axes, propensity)
    top = 1.05 * max(bins.high.max(), bins.predicted.max())
    axes.plot([0, top], [0, top], color=GREY, linestyle=":", linewidth=1, label="happens as predicted")
    axes.errorbar(
        bins.predicted,
        bins.actual,
        np.clip([bins.actual - bins.low, bins.high - bins.actual], 0, None),
        fmt="o",
        color=ACCENT,
        ecolor=PALE,
        elinewidth=2.5,
    )
    unit = "share of customers" if propensity.yes_no else "mean per customer"
    sound = ((bins.low <= bins.predicted) & (bins.predicted <= bins.high)).sum()
    axes.set(
        xlabel=f"predicted ({unit})",
        ylabel=f"happened ({unit})",
        xlim=(-0.02 * top, top),
        ylim=(-0.02 * top, top),
        title=f"{sound} of {len(bins)} predictions within chance of what happened\n{propensity.said}",
    )
    axes.legend(frameon=False, fontsize=8.5, loc="lower right")
    if propensity.yes_no:
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:.0%}")
    return axes


def chart_drivers(propensity: Propensity, catalog: pd.DataFrame, most: int = 8) -> Axes:
    """The groups of attributes that predictions rest on, with 95% intervals, and what customers high or low in them do."""
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(figsize=(9, 0.62 * most + 1))
    if not len(propensity.drivers):
        return _empty(axes, propensity)
    words = _by_feature(catalog)
    shown = propensity.drivers.head(most).iloc[::-1].reset_index(drop=True)
    for i, row in shown.iterrows():
        colour = ACCENT if row.low > 0 else GREY
        axes.hlines(i, row.low, row.high, color=colour, linewidth=2, alpha=0.5)
        axes.plot(row.importance, i, "o" if row.low > 0 else "x", color=colour)
    right = axes.get_yaxis_transform()
    for i, row in enumerate(shown.itertuples()):
        axes.text(1.02, i, _effect(propensity, words, row), transform=right, va="center", fontsize=8.5, color=INK)
    axes.set_yticks(range(len(shown)), [_group_words(words, row) for row in shown.itertuples()], fontsize=9)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.text(1.02, len(shown) - 0.35, "high in it, against low in it", transform=right, fontsize=8.5, color=GREY)
    metric = "AUC" if propensity.yes_no else "rank correlation"
    axes.set(
        xlabel=f"{metric} lost without it (grey: may be chance)",
        ylim=(-0.6, len(shown) - 0.1),
        title=f"“{_noun(words, propensity.drivers.feature[0])}” tells most about {propensity.said.split(':')[0]}",
    )
    return axes


def chart_redundancy(matrix: pd.DataFrame, catalog: pd.DataFrame) -> Axes:
    """Rank correlations between attributes as a heat map, like ones side by side: dark blocks say one thing."""
    import matplotlib.pyplot as plt

    words = _by_feature(catalog)
    names, n = [_noun(words, f) for f in matrix.columns], len(matrix)
    _, axes = plt.subplots(figsize=(0.29 * n + 3.6, 0.27 * n + 2.4))
    picture = axes.imshow(matrix.to_numpy(), cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    axes.set_xticks(range(n), names, rotation=90, fontsize=8)
    axes.set_yticks(range(n), names, fontsize=8)
    axes.figure.colorbar(picture, ax=axes, label="Spearman correlation", shrink=0.7)
    rest = abs(matrix.to_numpy()) * (1 - np.eye(n))
    pair = np.unravel_index(rest.argmax(), rest.shape) if n > 1 else None
    axes.set(title=f"Most alike: “{names[pair[0]]}” and “{names[pair[1]]}”" if pair else "Nothing to compare")
    axes.spines[:].set_visible(False)
    return axes


def _by_feature(catalog: pd.DataFrame) -> pd.DataFrame:
    return catalog.set_index("feature")[["noun", "high", "low"]]


def _noun(words: pd.DataFrame, feature: str) -> str:
    return str(words.noun.get(feature, feature.replace("_", " ")))


def _group_words(words: pd.DataFrame, row) -> str:
    others = len(row.also.split())
    return _noun(words, row.feature) + (f"\nand {others} that {'say' if others > 1 else 'says'} much the same" if others else "")


def _driver_phrase(words: pd.DataFrame, row) -> str:
    """Who does more of it, in the words of the catalog."""
    said = words.high.get(row.feature) if row.effect > 0 else words.low.get(row.feature)
    return f"{_noun(words, row.feature)} (more among those who {said})" if said else _noun(words, row.feature)


def _effect(propensity: Propensity, words: pd.DataFrame, row) -> str:
    if propensity.yes_no:
        return f"{round(100 * row.effect, 1) + 0.0:+.1f} percentage points"
    return f"{round(row.effect, 2) + 0.0:+,.{0 if abs(row.effect) >= 10 else 2}f}"


def _amount(propensity: Propensity, value: float) -> str:
    return f"{value:.1%}" if propensity.yes_no else f"{value:,.2f}"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _empty(axes: Axes, propensity: Propensity) -> Axes:
    axes.text(
        0.5,
        0.5,
        "Not predicted:\n" + propensity.reason.replace("; ", ";\n"),
        ha="center",
        va="center",
        wrap=True,
        transform=axes.transAxes,
    )
    axes.set_axis_off()
    axes.set(title=_upper(propensity.said))
    return axes
