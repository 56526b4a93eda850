"""What a reader sees of notebook 04: the named map, drivers, personas, the matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.personas.story import LEADS, QUOTED
from workbench.views.ingest import ORIGIN_WORDS
from workbench.views.theme import GREY, plain, told_verdicts

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def say_segments(segments: pd.DataFrame, certificate: pd.DataFrame, board: pd.DataFrame) -> str:
    """The first paragraph of the report: how many segments, how sure, worth how much."""
    assigned = segments[segments.segment_id >= 0]
    left = len(segments) - len(assigned)
    top = certificate.sort_values(["revenue_share", "segment_id"], ascending=[False, True]).iloc[0]
    most = f" “{plain(top.segment_name)}” brings most revenue: {top.revenue_share:.0%} from {top.share:.0%} of the customers."
    return (
        f"**{certificate.segment_id.nunique()} segments** of {len(assigned):,} customers; {left:,} further customers without an order in the window are reported as unassigned. "
        f"Of the segments {told_verdicts(certificate.verdict)}.{most if top.revenue_share > 0 else ''}"
    )


def say_drivers(drivers: pd.DataFrame, segments: pd.DataFrame, compared: int) -> str:
    """How many claims stand and which segments have none."""
    silent = segments[(segments.segment_id >= 0) & ~segments.segment_id.isin(drivers.segment_id)].segment_name.unique()
    tail = f" Nothing sets apart: {', '.join(plain(s) for s in silent)}." if len(silent) else ""
    return f"Of {compared:,} comparisons {len(drivers):,} are told: those that survive false-discovery control, are large enough, and are the strongest of their kind. Segments are made of behaviour, so they differ in it by construction: claims describe this window.{tail}"


def chart_drivers(compared: pd.DataFrame, catalog: pd.DataFrame, names: dict[int, str], count: int = 18) -> Axes:
    """Heat map of effect sizes: segments by what sets each apart most, then by what sets all apart (mean square over customers)."""
    import matplotlib.pyplot as plt
    import seaborn as sns

    wide = compared.pivot(index="segment_id", columns="feature", values="effect_size")
    nouns = catalog.set_index("feature").noun
    apart = (compared.effect_size**2 * compared.n).groupby(compared.feature).sum()
    strongest = apart.sort_values(ascending=False, kind="stable").index
    strongest = strongest[~nouns.reindex(strongest).duplicated()]  # a category and its only subcategory read alike
    own = set(wide[strongest].abs().idxmax(axis=1))
    others = strongest[~strongest.isin(own)][: max(0, count - len(own))]
    strongest = strongest[strongest.isin(own.union(others))]
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
    axes.set_title("What sets segments apart, strongest first", pad=12)
    axes.set_xticks(np.arange(len(table.columns)) + 0.5, table.columns, rotation=40, ha="right", fontsize=8.5)
    axes.set_yticks(np.arange(len(table)) + 0.5, table.index, rotation=0, fontsize=8.5)
    return axes


def say_names(
    names: pd.Series, before: Mapping[int, str], kept: Mapping[int, str], feedback: pd.DataFrame, stray: pd.DataFrame
) -> str:
    """Where the names come from, which of the last run are true no longer, and what of the teams' feedback concerned nobody.

    before: the last run's names of segments that went on; kept: those of them that are still true.
    """
    renamed = feedback[feedback.kind == "rename"].text
    wished = int(names.isin(renamed).sum())
    from_before = sum(names.get(segment) == name for segment, name in kept.items())
    made = len(names) - wished - from_before
    tail = f" No segment is called {', '.join(f'“{plain(s)}”' for s in stray.segment.unique())}, so that feedback changed nothing." if len(stray) else ""  # fmt: skip
    gone = [
        f"“{plain(before[s])}” (now “{plain(names[s])}”)"
        for s in before
        if s not in kept and names.get(s, before[s]) != before[s]
    ]
    given_up = f" No longer true of their segments, and given up: {', '.join(gone)}." if gone else ""
    return f"Of {len(names)} names {made} are made from this run's traits, {from_before} are kept from the last run and {wished} were given by analysts.{given_up}{tail}"


def say_personas(personas: pd.DataFrame, certificate: pd.DataFrame) -> str:
    """Every persona as a short section, the largest first: what they are, then what is not known and how far to trust it."""
    order = certificate.sort_values(["size", "segment_id"], ascending=[False, True]).segment_id
    told = personas.set_index("segment_id")
    return "\n\n".join(_portrait(told.loc[i]) for i in order)


def _portrait(persona: pd.Series) -> str:
    body = plain(persona.body)
    for lead in (*(lead.removesuffix(" they") for lead in LEADS.values() if ":" in lead), *QUOTED):
        body = body.replace(f" {lead}", f"\n- **{lead.removesuffix(':')}**{':' if lead.endswith(':') else ''}")
    return f"### {plain(persona.segment_name)}\n\n*{plain(persona.tagline)}*\n\n- {body}\n\n{plain(persona.caution)}"


def say_quotes(quotes: pd.DataFrame, sources: pd.DataFrame) -> str:
    """Where the quotations come from, and which of those sources nobody really wrote."""
    origin = sources.set_index("source").origin
    told = [
        f"{plain(name.replace('_', ' '))} ({ORIGIN_WORDS[origin.get(name, 'own')]})" for name in sorted(quotes.source.unique())
    ]
    return (
        f"Quotations come from {', '.join(told)}. Shares are of members over the whole window: who orders more often has more to write about."
        if told
        else "No source holds what customers wrote about a topic, so nobody is quoted."
    )


PRODUCT_HEADS = {
    "segment": "segment", "rank": "rank", "kind_of": "kind", "product": "product", "bought_by": "bought by", "ci_low": "low", "ci_high": "high",
    "base": "all customers", "index": "index",
}  # fmt: skip
PRODUCT_FORM = dict.fromkeys(("bought_by", "ci_low", "ci_high", "base"), "{:.0%}") | {"index": "{:.0f}", "product": "{}"}


def say_products(products: pd.DataFrame, hits: pd.DataFrame, names: pd.Series) -> str:
    """Whether the recommendations beat plain popularity, for everybody together first, then for how many segments."""
    if hits.empty and products.empty:
        return "No segment surely buys more of any product than everybody, or no source names products: none is told."
    if hits.empty:
        return f"{len(products):,} products are told that segments buy more than others. How well recommendations are chosen cannot be judged: the data end at the as-of day."
    whole, mine = hits[hits.segment_id == -2].iloc[0], hits[hits.segment_id >= 0]
    counts = mine.verdict.value_counts()
    lost = mine.segment_id[mine.verdict == "worse"].map(names)
    tail = f" Use popularity for {', '.join(plain(n) for n in lost)}." if len(lost) else ""
    if mine.pooled.notna().any():
        tail = f" Each segment drawn towards all of them by as much as chance explains, it is higher beyond chance in {(mine.pooled_low > 0).sum()}.{tail}"
    return (
        f"Everybody together: {whole.hit_rate:.1%} of {whole.n:,} customers who ordered bought one of five recommended new products, "
        f"{whole.popularity:.1%} one of the five most popular: {100 * whole.difference:+.1f} points "
        f"({100 * whole.ci_low:+.1f} to {100 * whole.ci_high:+.1f}), {whole.verdict}. The share is higher in {(mine.difference > 0).sum()} of {len(mine)} "
        f"segments, by their own customers alone beyond chance in {counts.get('better', 0)}; lower beyond chance in {counts.get('worse', 0) or 'none'}.{tail}"
    )


def say_kinds(known: float) -> str:
    """How much of what is recommended is only another product of a kind that the customer knows."""
    if np.isnan(known):
        return "Nothing is recommended: no source names products, or nobody lacks any of those looked at."
    return f"A product is an article: {known:.0%} of the recommended ones are of a kind of which the customer has bought another, {1 - known:.0%} are of a kind that is new to them."


def say_running(matrix: pd.DataFrame) -> str:
    """How many cells with customers nothing reaches today, and which treatments they would start."""
    here = matrix[matrix.customers > 0]
    idle, reached = here[here.running == "nothing"], (here.running_share * here.customers).sum() / here.customers.sum()
    tail = f" Nothing runs for {len(idle)} of {len(here)} cells with customers ({idle.customers.sum():,} customers)." if len(idle) else ""  # fmt: skip
    return f"Campaigns and e-mails of the last four weeks reached {reached:.0%} of the segmented customers, whatever their segment.{tail}"


def say_playbook(pages: pd.DataFrame, function: str, names: pd.Series) -> str:
    """One function's page: a section per segment, a line per question."""
    mine = pages[pages.function == function]
    parts = [f"#### {plain(names[i])}\n\n" + "\n".join(f"- **{plain(r.what)}**: {plain(r.text)}" for r in rows.itertuples()) for i, rows in mine.groupby("segment_id", sort=False)]  # fmt: skip
    return f"### For {plain(function)}\n\n" + "\n\n".join(parts)


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
        "(acquisition holds none: these are customers already). Winback: no order for over twice their usual gap; retention: for over one and a half; "
        "onboarding: first seen lately, or one order only; growth: the rest. Of customers with contracts these tell instead."
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
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.set_title(
        f"“{names[worst]}” has most to win back: {share.winback.iloc[-1]:.0%} are silent for longer than usual", pad=30
    )
    axes.tick_params(axis="y", labelsize=8.5, colors=GREY, labelcolor="#222222")
    return axes
