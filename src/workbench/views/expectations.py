"""What a reader sees of expected orders, value and leaving, of early warnings, and of what stands in for sensitive attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.features.decline import FALSE_ALARMS
from workbench.views.theme import ACCENT, GREY, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from workbench.features.clv import Choice
    from workbench.features.expectations import Expected
    from workbench.features.survival import Churn

COMPARED = {
    "method": "way of predicting", "mae": "mean absolute error", "total_error": "error of the total",
    "difference": "worse than the best by", "ci_low": "from", "ci_high": "to", "reason": "why not",
}  # fmt: skip
PROXIES = {
    "attribute": "attribute", "group": "told apart", "customers": "customers", "auc": "AUC", "ci_low": "from", "ci_high": "to",
}  # fmt: skip


def say_expected(choice: Choice, found: Expected, days: int, currency: str) -> str:
    """Which way of predicting won, what it expects of everybody together, and how far off it would have been."""
    expected = found.table
    best = choice.comparison.set_index("method").loc[choice.winner]
    told = (
        f"**{choice.winner}** predicts orders of the next {days} days: {plain(choice.reason)}. In the horizon before the as-of day it was off by "
        f"{best.mae:.2f} orders per customer and by {best.total_error:+.0%} in total. For the next one it expects "
        f"{expected.expected_orders.sum():,.0f} days with an order of {len(expected):,} customers"
    )
    if found.reason:
        return f"{told}. The value of an order cannot be told: {plain(found.reason)}"
    off = found.judged_value / found.actual_value - 1 if found.actual_value else float("nan")
    once = expected.p_alive == 1  # the model's own: who came back at least once can be found to stay away for longer than usual
    left = (
        f"{(expected.p_alive[~once] < 0.5).mean():.0%} of {'those who ordered more than once' if once.any() else 'them'} have probably left for good"
        if not once.all()
        else "Nobody ordered more than once"
    )
    untold = f"; of the {once.mean():.0%} who ordered once it cannot be told" if once.any() else ""
    return f"{told}, worth {expected.expected_value.sum():,.0f} {currency} (in money it would have been off by {off:+.0%} in the horizon before). {left}{untold}."


def chart_calibration(choice: Choice) -> Axes:
    """Orders that followed against orders predicted, per tenth of the customers, with 95% intervals; on the line is right."""
    import matplotlib.pyplot as plt

    bins = choice.calibration
    _, axes = plt.subplots(figsize=(5.6, 4.6))
    top = 1.05 * np.nanmax([bins.ci_high.max(), bins.predicted.max(), 0.1])  # of one customer there is no interval
    axes.plot([0, top], [0, top], color=GREY, linestyle=":", linewidth=1)
    spread = [(bins.actual - bins.ci_low).clip(lower=0), (bins.ci_high - bins.actual).clip(lower=0)]
    axes.errorbar(bins.predicted, bins.actual, yerr=spread, fmt="o", color=ACCENT, markersize=5, capsize=2, linewidth=1)
    covered = int(((bins.ci_low <= bins.predicted) & (bins.predicted <= bins.ci_high)).sum())
    axes.set(
        xlabel="orders predicted per customer", ylabel="orders that followed", xlim=(0, top), ylim=(0, top),
        title=f"In {covered} of {len(bins)} tenths of the customers\nthe prediction lies within the interval",
    )  # fmt: skip
    return axes


def say_leaving(churn: Churn | None, days: int) -> str:
    """How many customers will leave a contract, by which model, and how far to trust it."""
    if churn is None:
        return "No source has contracts: leaving is not observed, only silence is (see the probability of being alive above)."
    share = churn.risks.churn_risk.mean()
    known = (
        f"the higher risk left first in {churn.concordance:.0%} of pairs (out of time; 50 % is chance)"
        if churn.concordance == churn.concordance
        else "how well it tells them apart could not be tested out of time"
    )
    why = f" ({plain(churn.reason)})" if churn.reason else ""
    sure = churn.drivers[churn.drivers.p_value < 0.05] if len(churn.drivers) else churn.drivers
    rests = f"; {len(sure)} of {len(churn.drivers)} attributes surely matter" if len(churn.drivers) else ""
    return f"Of {len(churn.risks):,} customers under contract **{share:.1%}** are expected to leave within {days} days, by {churn.method}{why}: {known}{rests}. It learned from {churn.ends} contracts that ended; those that run on are censored, not loyal."


def say_declines(declines: pd.DataFrame) -> str:
    """How many customers are in decline, and how many of such flags are to be expected from chance alone."""
    flagged = declines[declines.declining.astype(bool)]
    if flagged.empty:
        return "**Nobody is flagged:** no customer's activity has fallen below their own earlier level for weeks."
    weeks, share = round(flagged.weeks_since.median()), len(flagged) / len(declines)
    ago = f"{weeks} week{'' if weeks == 1 else 's'} ago"
    few = f"Chance alone may flag as many (up to {FALSE_ALARMS:.0%} of steady customers): look at each of them, and take the number for no decline of all."
    some = f"Of steady customers chance alone flags at most {FALSE_ALARMS:.0%}."
    return f"**{len(flagged):,} of {len(declines):,} customers ({share:.1%}) are flagged**: their activity fell below their own earlier level, typically {ago}. {few if share <= FALSE_ALARMS else some} Slow declines of customers with less than three active days a week are mostly missed."


def say_proxies(proxies: pd.DataFrame, held: tuple[str, ...]) -> str:
    """Which sensitive attributes are not used, and whether what is used gives them away all the same."""
    if not held:
        return "No source has attributes that law protects, or all of them are allowed by the configuration."
    names = ", ".join(plain(name.replace("_", " ")) for name in held)
    told = f"**Not used: {names}.** They are protected by law in many countries; `attributes.sensitive` in the configuration would allow them."
    if proxies.empty:
        return f"{told} Too few customers have them to test whether other features stand in for them."
    strong = proxies[proxies.ci_low > 0.7]
    if strong.empty:
        return f"{told} The features that are used hardly give them away (no AUC surely above 0.7)."
    given = ", ".join(f"{plain(p.attribute.replace('_', ' '))} ({p.auc:.2f})" for p in strong.itertuples())
    return f"{told} But the features that are used stand in for {given}: whoever must not treat people by it should look at the segments too."
