"""What a reader sees of notebook 01: sources, quality, who was linked to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from workbench.views.theme import ACCENT, GREY, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ORIGIN_WORDS = {"own": "your own data", "real": "real", "simulated": "simulated", "mixed": "partly real, partly simulated"}


def say_origins(sources: pd.DataFrame) -> str:
    """Which sources are real and which are simulated, in one paragraph."""
    by_origin = {o: [plain(s.replace("_", " ")) for s in sources.source[sources.origin == o]] for o in ORIGIN_WORDS}
    parts = [f"**{ORIGIN_WORDS[o]}**: {', '.join(names)}" for o, names in by_origin.items() if names]
    return f"Where the data come from – {'; '.join(parts)}."


def chart_sources(sources: pd.DataFrame) -> Axes:
    """Rows per source on a logarithmic scale; real sources dark, simulated ones pale."""
    import matplotlib.pyplot as plt

    ordered = sources.sort_values("rows")
    _, axes = plt.subplots(figsize=(8, 0.38 * len(ordered) + 1.1))
    shades = ordered.origin.map({"own": ACCENT, "real": ACCENT, "mixed": "#66aad0", "simulated": "#c9c9c9"})
    axes.barh(ordered.source, ordered.rows, color=shades)
    axes.set_xscale("log")
    axes.set_xlim(right=ordered.rows.max() * 6)
    for place, row in enumerate(ordered.itertuples()):
        axes.text(row.rows * 1.1, place, f"{row.rows:,} · {ORIGIN_WORDS[row.origin]}", va="center", fontsize=9)
    largest = ordered.iloc[-1]
    axes.set(xlabel="rows (logarithmic)", title=f"{largest.source} holds {largest.rows / ordered.rows.sum():.0%} of all rows")
    return axes


def say_rows(rows: pd.DataFrame) -> str:
    """Rows in, accepted and set aside."""
    bad = int(rows.quarantined.sum())
    worst = rows.sort_values("share").iloc[-1]
    tail = (
        "none was set aside as unreadable."
        if bad == 0
        else f"{bad:,} were set aside, most in {plain(worst.source)} ({worst.share:.2%} of its rows)."
    )
    return f"Of {int(rows.rows.sum()):,} rows, {int(rows.accepted.sum()):,} were read; {tail}"


def say_identity(identities: pd.DataFrame, customers: pd.DataFrame, refused: pd.DataFrame) -> str:
    """How many records became how many customers, and what was not linked."""
    known = identities.customer_id.isin(customers.customer_id)
    anonymous = identities[~known]
    return (
        f"{len(identities):,} records became **{len(customers):,} customers** ({known.sum() / max(len(customers), 1):.1f} records each). "
        f"{len(anonymous):,} records belong to nobody known before the as-of day, most of them browsers that never logged in; they are kept apart. "
        f"{len(refused):,} shared identifiers linked nobody, because they would have given one customer two loyalty cards or stand on too many records. "
        "Only exact shared identifiers link here: people whose e-mail, phone and card all differ between systems stay two."
    )


def chart_linked(linked: pd.Series) -> Axes:
    """Share of each source's records that belong to a known customer."""
    import matplotlib.pyplot as plt

    ordered = linked.sort_values()
    _, axes = plt.subplots(figsize=(8, 0.38 * len(ordered) + 1.1))
    axes.barh(ordered.index, ordered, color=[ACCENT if v > 0.9 else GREY for v in ordered])
    for place, value in enumerate(ordered):
        axes.text(value + 0.01, place, f"{value:.0%}", va="center", fontsize=9)
    axes.set(
        xlim=(0, 1.12),
        xlabel="share of the source's records",
        title=f"{ordered.index[0]} is the source that knows its visitors least",
    )
    return axes
