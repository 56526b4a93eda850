"""What a reader sees of notebook 01: sources, quality, who was linked to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from workbench.views.theme import ACCENT, GREY, INK, PALE, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BOOKS = {
    "source": "source", "rows_in": "rows in", "rows_out": "used", "set_aside": "set aside", "left_out": "left out", "merged": "merged",
}  # fmt: skip
MODEL = {"fact": "fact", "agreement": "agreement", "m": "one person (m)", "u": "by chance (u)", "weight": "weight (bits)"}
REVIEW = {
    "source_l": "source", "record_id_l": "record", "source_r": "other source", "record_id_r": "other record",
    "match_weight": "weight (bits)", "match_probability": "probability",
}  # fmt: skip
COUNTS = {"event_type": "event", "events": "events", "with_customer": "tied to somebody", "first": "first", "last": "last"}
CHANGED = {"change": "change", "customer_id": "customer now", "former_id": "customer before", "records": "records"}
QUALITY = {"source": "source", "check": "check", "rows": "rows", "share": "share"}
READY = {
    "capability": "feature family or KPI",
    "kind": "kind",
    "ready": "ready",
    "missing": "missing",
    "unlock": "what would bring it",
}
ORIGIN_WORDS = {"own": "your own data", "real": "real", "simulated": "simulated", "mixed": "partly real, partly simulated"}


def worded(frame: pd.DataFrame) -> pd.DataFrame:
    """The texts of a table with blanks where names have underscores."""
    texts = frame.select_dtypes("str").columns
    return frame.assign(**{c: frame[c].str.replace("_", " ") for c in texts})


def readiness_in_words(readiness: pd.DataFrame) -> pd.DataFrame:
    """The readiness table with KPIs by their names for readers."""
    from workbench.kpis.metrics import KPIS

    names = {kpi.kpi: kpi.name.replace(", next {days} days", "") for kpi in KPIS}
    capability = readiness.capability.replace(names).str.replace("_", " ")
    return readiness.assign(capability=capability, missing=readiness.missing.str.replace("_", " "))


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
    axes.xaxis.set_major_formatter(lambda rows, _: f"{rows:,.0f}")
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


def say_identity(identities: pd.DataFrame, customers: pd.DataFrame, matches: pd.DataFrame, review: pd.DataFrame) -> str:
    """How many records became how many customers, by which kind of evidence, and what was left to a person."""
    known = identities.customer_id.isin(customers.customer_id)
    alike = int((matches.rule == "alike").sum())
    return (
        f"{known.sum():,} of {len(identities):,} records became **{len(customers):,} customers** ({known.sum() / max(len(customers), 1):.1f} records each). "
        f"{int((~known).sum()):,} records belong to nobody known before the as-of day (browsers and devices without a login, people without an account, later records); they are kept apart. "
        f"{len(matches) - alike:,} links rest on a shared identifier, {alike:,} on how alike two records are. "
        f"{len(review):,} further pairs were not joined and stand in `link_review` for somebody to look at."
    )


def say_likeness(notes: list[str], blocking: pd.DataFrame, pairs: pd.DataFrame, min_probability: float) -> str:
    """What was compared, and what training could not learn."""
    sure = int((pairs.match_probability >= min_probability).sum())
    told = f"{int(blocking.pairs.sum()):,} pairs were compared; {sure:,} of them are one customer with a probability of {min_probability:.0%} or more."
    return " ".join([told if len(blocking) else "**No records were compared.**", *(plain(note) for note in notes)])


def closest_pair(pairs: pd.DataFrame, min_probability: float) -> pd.Series | None:
    """The compared pair whose probability is nearest to the threshold; None where no pair was compared."""
    if pairs.empty:
        return None
    return pairs.loc[(pairs.match_probability - min_probability).abs().idxmin()]


def say_people(people: pd.DataFrame, customers: pd.DataFrame) -> str:
    """How many people act for the accounts (b2b)."""
    mine = people[people.customer_id.isin(customers.customer_id)]
    if mine.empty:
        return "Customers here are people themselves; there is nobody under them."
    several = mine.groupby("person_id").customer_id.nunique().gt(1).sum()
    return (
        f"{mine.person_id.nunique():,} people act for {mine.customer_id.nunique():,} of the {len(customers):,} accounts, "
        f"{len(mine) / max(mine.customer_id.nunique(), 1):.1f} each; {several:,} of them for more than one account."
    )


def chart_waterfall(pair: pd.Series) -> Axes:
    """One compared pair: where its match weight comes from, fact by fact, in bits."""
    import matplotlib.pyplot as plt

    bits = pair.filter(like="bits_").astype(float)
    bits.index = [name.removeprefix("bits_").replace("_", " ") for name in bits.index]
    bits = bits[bits != 0].sort_values(ascending=False)
    start = float(pair.match_weight) - bits.sum()
    steps = pd.concat([pd.Series({"two random records": start}), bits])
    before = steps.cumsum().shift(fill_value=0.0)
    _, axes = plt.subplots(figsize=(8, 0.42 * (len(steps) + 1) + 1.1))
    axes.barh(list(steps.index), steps, left=before, color=[ACCENT if v > 0 else "#d55e00" for v in steps])
    axes.barh(["together"], [pair.match_weight], color=INK)
    for place, (left, value) in enumerate(zip(before, steps, strict=True)):
        axes.text(max(left, left + value) + 0.3, place, f"{value:+.1f}", va="center", fontsize=9)
    axes.text(max(pair.match_weight, 0) + 0.3, len(steps), f"{pair.match_weight:+.1f}", va="center", fontsize=9)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.invert_yaxis()
    axes.set(
        xlabel="match weight (bits; right of 0 speaks for one person)",
        title=f"This pair is one person with a probability of {pair.match_probability:.1%}",
    )
    axes.margins(x=0.12)
    return axes


def chart_overlap(combinations: pd.DataFrame, most: int = 12) -> Axes:
    """The largest combinations of sources that know the same customers, as dots, with their customers as bars."""
    import matplotlib.pyplot as plt

    top = combinations.head(most)
    sets = [words.split(" + ") for words in top.sources]
    sources = sorted({s for one in sets for s in one}, key=lambda s: -sum(s in one for one in sets))
    figure, (bars, dots) = plt.subplots(
        2, 1, sharex=True, figsize=(8, 2.6 + 0.28 * len(sources)), height_ratios=[2, 0.28 * len(sources) + 0.6]
    )
    bars.bar(range(len(top)), top.customers, color=ACCENT)
    for place, count in enumerate(top.customers):
        bars.text(place, count, f"{count:,}", ha="center", va="bottom", fontsize=8)
    rest = 1 - top.share.sum()
    bars.set(
        ylabel="customers",
        title=f"No combination of sources knows more than {top.share.iloc[0]:.0%} of the customers; {rest:.0%} are in smaller ones",
    )
    for place, one in enumerate(sets):
        rows = [sources.index(s) for s in one]
        dots.scatter([place] * len(sources), range(len(sources)), color=PALE, s=22)
        dots.plot([place] * len(rows), rows, color=INK, marker="o", markersize=5, linewidth=1)
    dots.set(
        yticks=range(len(sources)), yticklabels=[s.replace("_", " ") for s in sources], xticks=[], xlabel="combination of sources"
    )
    dots.invert_yaxis()
    figure.tight_layout()
    return bars


def chart_filled(filled: pd.DataFrame) -> Axes:
    """Share of filled cells per source and attribute; empty where a source does not have it."""
    import matplotlib.pyplot as plt
    import seaborn as sns

    wide = filled.assign(attribute=filled.attribute.str.replace("_", " ")).pivot_table(
        index="attribute", columns="source", values="filled"
    )
    _, axes = plt.subplots(figsize=(1.4 + 0.75 * wide.shape[1], 1.2 + 0.3 * wide.shape[0]))
    sns.heatmap(
        wide, vmin=0, vmax=1, cmap="cividis", annot=True, fmt=".0%", annot_kws={"size": 8}, cbar=False, ax=axes, linewidths=0.5
    )
    thin = filled.sort_values("filled").iloc[0]
    axes.set(xlabel="", ylabel="", title=f"Least filled: {thin.attribute.replace('_', ' ')} in {thin.source} ({thin.filled:.0%})")
    axes.tick_params(axis="x", rotation=30)
    return axes


def say_readiness(readiness: pd.DataFrame) -> str:
    """How much of what the workbench can compute these sources allow, and what would unlock the rest."""
    ready = int(readiness.ready.sum())
    told = f"These sources allow **{ready} of {len(readiness)}** feature families and KPIs ({ready / len(readiness):.0%})."
    missing = readiness_in_words(readiness[~readiness.ready])
    if missing.empty:
        return told
    wanted = missing.groupby("unlock", sort=False).capability.agg(", ".join)
    return told + " Missing: " + "; ".join(f"{names} (would need {unlock})" for unlock, names in wanted.items()) + "."


def say_changes(changes: pd.DataFrame) -> str:
    """What is different from the last finished run of this company."""
    if changes.empty:
        return "There is no earlier finished run of this company to compare with."
    alarms = changes[changes.severity == "warn"]
    rows = changes[changes.what == "rows"]
    told = f"Since the last run the sources grew from {rows.before.sum():,.0f} to {rows.now.sum():,.0f} rows."
    if alarms.empty:
        return f"{told} No source or column lost much."
    named = "; ".join(
        f"{plain(r.source)}, {plain(r.what)}: {r.before:,.2g} before, {r.now:,.2g} now" for r in alarms.head(6).itertuples()
    )
    return f"{told} **{len(alarms)} lost much**: {named}."


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
