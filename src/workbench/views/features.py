"""What a reader sees of notebook 02: the catalog, the scorecard, the outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from workbench.views.theme import ACCENT, GREY, PALE, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def say_features(catalog: pd.DataFrame, chance: float) -> str:
    """How many features, what is weak about them, what follows."""
    dropped, blind = catalog[~catalog.used], catalog[catalog.used & (catalog.relevance <= chance)]
    shaky = catalog[catalog.used & (catalog.stability < 0.3)]
    names = ", ".join(plain(f.replace("_", " ")) for f in shaky.feature.head(5))
    return (
        f"{len(catalog)} features; **{len(dropped)} are left out**, {len(blind)} tell outcomes no better than chance ({chance:.4f} mean squared rank correlation) "
        f"and get next to no weight. {len(shaky)} differ so much between odd and even weeks (correlation under 0.3) that they describe a week, "
        f"not a customer{': ' + names if len(shaky) else ''}. Set `min_coverage` higher to drop what few customers have."
    )


def chart_scorecard(catalog: pd.DataFrame, chance: float) -> Axes:
    """Each feature by how repeatable and how relevant it is; the most relevant are labelled."""
    import matplotlib.pyplot as plt

    used = catalog[catalog.used & catalog.stability.notna()]
    best = used.sort_values(["relevance", "feature"], ascending=[False, True]).head(12)
    _, axes = plt.subplots(figsize=(9, 5))
    axes.scatter(used.stability, used.relevance, s=22, color=[ACCENT if r > chance else GREY for r in used.relevance])
    axes.axhline(chance, color=GREY, linestyle=":", linewidth=1)
    axes.text(axes.get_xlim()[0], chance, " chance", va="bottom", fontsize=8, color=GREY)
    places = _spread(best.relevance.to_numpy(), gap=0.035 * max(used.relevance.max(), 1e-9))
    for row, place in zip(best.itertuples(), places, strict=True):
        axes.annotate(
            row.noun or row.feature.replace("_", " "),
            (row.stability, row.relevance),
            (1.04, place),
            textcoords=axes.get_yaxis_transform(),
            fontsize=8.5,
            va="center",
            arrowprops={"arrowstyle": "-", "color": PALE, "lw": 0.7},
        )
    axes.set(
        xlabel="the same in odd and even weeks (Spearman correlation)",
        ylabel="relevance to outcomes",
        title=f"“{best.noun.iloc[0]}” tells most about the next period",
    )
    return axes


def _spread(values: list[float], gap: float) -> list[float]:
    """Falling values moved apart to at least `gap`, so that their labels do not overlap."""
    placed: list[float] = []
    for value in values:
        placed.append(min(value, placed[-1] - gap) if placed else value)
    return placed


def say_outcomes(outcomes: pd.DataFrame | None, days: int) -> str:
    """What the horizon brought, or why it cannot be told."""
    if outcomes is None:
        return f"The data end before {days} days after the as-of day have passed: no outcome can be told, and the scoreboard will stay empty. Move `as_of` back to get one."
    active = outcomes.future_active.mean()
    return f"In the {days} days after the as-of day {active:.1%} of the {len(outcomes):,} customers ordered again and spent {outcomes.future_spend.mean():,.2f} on average. Nothing but the scoreboard reads this."
