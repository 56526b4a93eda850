"""One page per reader of the report: the tables of a run chosen and ordered for who reads them; nothing is computed here."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from workbench.views import business, changes, clustering, features, ingest, kpis, personas, scoreboard, theme

Read = Callable[[str], pd.DataFrame]
SOFT = 1.0  # a segment twice as far as the own one is another one
HEADLINES = ("clv", "revenue_growth", "profitability", "retention_rate", "engagement_rate", "nps")


class Tiles:
    """Headline figures side by side, each with its interval and what it is measured against."""

    def __init__(self, tiles: list[tuple[str, str, str]]):
        self.tiles = tiles

    def _repr_html_(self) -> str:
        cells = "".join("<li>" + "".join(f"<span>{html.escape(text)}</span>" for text in tile) + "</li>" for tile in self.tiles)
        return f'<ul class="tiles">{cells}</ul>'


def executive_tiles(read: Read, currency: str, chosen: tuple[str, ...] = HEADLINES) -> Tiles:
    """kpis + segment_quality -> headline figures: customers and segments, then the computable KPIs of `chosen`."""
    quality, total, sources = read("segment_quality"), read("kpis"), read("sources")
    total = total[(total.segment_id == theme.TOTAL) & total.value.notna()].set_index("kpi")
    tiles = [
        (
            "segmented customers",
            f"{quality['size'].sum():,}",
            f"{len(quality)} segments, {int((quality.verdict == 'pass').sum())} pass the stability test",
        )
    ]
    for kpi in [k for k in chosen if k in total.index]:
        row = total.loc[kpi]
        form = kpis.FORMATS[row.unit]
        interval = "no interval" if pd.isna(row.ci_low) else f"{form.format(row.ci_low)} to {form.format(row.ci_high)}"
        marks = [
            interval,
            {"clv": "forecast's error not included", "revenue_growth": "seasons left in"}.get(kpi, ""),
            kpis.VERDICTS.get(row.status, ""),
            kpis.origin_of(kpi, sources),
        ]
        tiles.append(
            (
                row["name"],
                form.format(row.value) + (f" {currency}" if row.unit == "money" else ""),
                "; ".join(mark for mark in marks if mark),
            )
        )
    return Tiles(tiles)


def executive_actions(read: Read, metrics: Mapping[str, float], currency: str) -> list[Any]:
    """business_case -> the three best next actions with expected value and its uncertainty."""
    case, total = (
        read("business_case"),
        {k.removeprefix("next_actions_"): v for k, v in metrics.items() if k.startswith("next_actions_")},
    )
    return ["## What to do next", business.say_case(case, total, currency), business.say_pilots(case, read("pilots"))]


def executive_doubts(read: Read) -> list[Any]:
    """What not to trust, in a few lines from the sources to the assumptions; and what changed."""
    sources, quality, total, board = read("sources"), read("segment_quality"), read("kpis"), read("scoreboard")
    lines = [
        f"**Sources.** {ingest.say_origins(sources).removeprefix('Where the data come from – ')}",
        _failing(quality),
        _borders(read("segments")),
        _foresight(board),
    ]
    total = total[total.segment_id == theme.TOTAL]
    lost = total["name"][total.value.isna()].map(theme.plain)
    undecided, goals = int((total.status == "undecided").sum()), total.target.notna().any()
    judged = f"{undecided} goals cannot be decided; goals are examples until you set yours." if goals else "no KPI has a goal."
    lines.append(f"**KPIs.** Not computable: {', '.join(lost.str.removeprefix('of these, ')) or 'none'}; {judged}")
    changed = read("kpi_changes")
    told = changes.say_kpi_changes(changed) if len(read("drift")) else "- No earlier run to compare with."
    return ["## What not to trust", "\n".join(f"- {line}" for line in lines), "## What changed since the last run", told]


def _failing(quality: pd.DataFrame) -> str:
    names = [theme.plain(name) for name in quality.segment_name[quality.verdict == "fail"]]
    if len(names) > 2:  # the page is one screen
        names = [f"{names[0]} and {len(names) - 1} others"]
    alone = f"; not to be acted on alone: {', '.join(names)}" if names else ""
    small = int(quality.too_small.sum())
    few = f"; too small to act on alone: {small}" if small else ""
    found = np.average(quality.found_anew, weights=quality["size"])
    shared = clustering.shared_members(found)
    anew = f" From half of the customers alone, about {shared:.0%} of a segment would be the same." if np.isfinite(found) else ""
    return f"**Segments.** Of {len(quality)}, {theme.told_verdicts(quality.verdict)}{alone}{few}.{anew}"


def _foresight(board: pd.DataFrame) -> str:
    mean = board[board.outcome == scoreboard.MEAN].set_index("method")
    ours = mean.loc[scoreboard.OURS]
    if pd.isna(ours.r2_adjusted):
        return "**Foresight.** Not tested: the data reach neither one horizon past the as-of day nor one back."
    sure = f" ({100 * ours.r2_low:.1f} to {100 * ours.r2_high:.1f}%)" if pd.notna(ours.r2_low) else ""
    single = f", predictions for single customers {ours.ceiling:.0%}" if pd.notna(ours.ceiling) else ""
    best, theirs = scoreboard.best_rival(board)
    rival = f"{scoreboard.named_method(best)} {theirs:.0%}"
    rival = f"**{rival}**" if theirs >= ours.r2_adjusted else rival
    told = f"Segments explain {ours.r2_adjusted:.0%}{sure} of how customers then differ{single}, {rival}."
    if ours.judged != scoreboard.AFTER:
        told = f"Not yet tested out of time. Of the last horizon: {told}"
    return f"**Foresight.** {told}"


def _borders(segments: pd.DataFrame) -> str:
    """How soft borders are: for half of the customers, how much farther than the own centre the next segment's is."""
    typical = segments.strength[segments.segment_id >= 0].median()
    farther = 1 / max(1 - typical, 0.01) - 1
    lead = "Borders are soft" if farther < SOFT else "Borders"
    return f"**{lead}.** For half of the customers another segment is at most {farther:.0%} farther than their own."


def _origins(read: Read) -> str:
    return f"{ingest.say_origins(read('sources'))} What is told from a simulated source is no finding."


def marketing(read: Read, metrics: Mapping[str, float], currency: str) -> list[Any]:
    """Actions, pilots, work, the matrix, and what marketing and sales do for each segment."""
    case, work, names = read("business_case"), read("workload"), _names(read)
    plan = (
        read("playbook")
        .assign(segment=lambda t: t.segment_id.map(names))
        .sort_values("customers", ascending=False, kind="stable")
    )
    heads = {"segment": "segment", "stage": "stage", "customers": "customers", "treatment": "treatment", "channel": "channel", "offer": "offer", "running": "runs today"}  # fmt: skip
    return [
        _origins(read), *executive_actions(read, metrics, currency), business.case_table(case, currency), business.pilots_table(read("pilots")),
        "## Can we do it?", business.say_workload(work), business.workload_table(work), business.say_waiting(case, currency),
        "## Who gets what?", "Treatments, channels and offers are those of the run's playbook; the one that comes with the project is an example for a grocer.", theme.table(plan, "The matrix, largest cells first", heads, rows=25),
        "## How do campaigns do?", kpis.SELECTED, kpis.kpi_detail_table(read("kpis"), "response_rate"),
        "## By segment", f"What most members stand at is no advice to spend: what an action is expected to bring stands under “Where the budget goes”. {_failing(read('segment_quality'))}", *(personas.say_playbook(read("function_playbook"), function, names) for function in ("marketing", "sales")),
    ]  # fmt: skip


def service(read: Read, metrics: Mapping[str, float], currency: str) -> list[Any]:
    """Satisfaction, who leaves, what customers say, and what service does for each segment."""
    names, quotes = _names(read), read("quotes")
    told = quotes.assign(segment=quotes.segment_id.map(names))
    heads = {
        "segment": "segment",
        "topic": "topic",
        "share": "members who wrote",
        "base": "all customers",
        "quote": "in their words",
    }
    return [
        _origins(read), "## How satisfied are they?", kpis.kpi_detail_table(read("kpis"), "nps"), "## Who stays away?", kpis.SELECTED, kpis.kpi_detail_table(read("kpis"), "lapse_rate"),
        "## What do they write about?", personas.say_quotes(quotes, read("sources")), theme.table(told, "The topic that most members write about (names, numbers and addresses hidden)", heads, {"share": "{:.0%}", "base": "{:.0%}"}),
        "## By segment", personas.say_playbook(read("function_playbook"), "service", names),
    ]  # fmt: skip


def product(read: Read, metrics: Mapping[str, float], currency: str) -> list[Any]:
    """Next products and how well they are chosen, cross-selling, and what each segment asks of the product."""
    names, products = _names(read), read("next_products")
    told = products.assign(segment=products.segment_id.map(names))
    return [
        _origins(read), "## What do they buy, and what next?", personas.say_products(products, read("product_hits"), names), theme.table(told, "Products that surely more of a segment bought at least once than of everybody: who orders more reaches more products", personas.PRODUCT_HEADS, personas.PRODUCT_FORM, len(told)),
        "## Who tries something new?", kpis.kpi_detail_table(read("kpis"), "cross_sell_rate"),
        "## By segment", personas.say_playbook(read("function_playbook"), "product", names),
    ]  # fmt: skip


def analytics(read: Read, metrics: Mapping[str, float], currency: str) -> list[Any]:
    """How far segments, features, KPIs and the business case can be trusted, and what changed."""
    catalog, board, quality, changed = read("feature_catalog"), read("scoreboard"), read("segment_quality"), read("kpi_changes")
    drift = read("drift")
    parts: list[Any] = [
        "## Do segments know the future?",
        theme.table(scoreboard.mean_board(board), scoreboard.board_title(board), scoreboard.BOARD_HEADS, scoreboard.BOARD_FORM),
    ]
    parts += ["## Do they hold?", clustering.say_stability(quality), _chart(clustering.chart_stability(quality, _names(read).to_dict()), "Stability per segment with its spread over refits, coloured by verdict")]  # fmt: skip
    parts += ["## Which features count?", features.say_features(catalog, metrics.get("chance_relevance", float("nan")))]
    parts += ["## What changed?", *([changes.say_kpi_changes(changed), changes.kpi_change_table(changed), changes.drift_table(drift)] if len(drift) else [changes.NO_EARLIER]), changes.advice_table(read("advice"))]  # fmt: skip
    parts += ["## KPIs with their intervals", kpis.kpi_total_table(read("kpis"), read("sources"))]
    return [*parts, "## What decides the business case?", _chart(business.chart_tornado(read("sensitivity")), "Tornado chart: value of the next actions when one assumption is low or high")]  # fmt: skip


def data(read: Read, metrics: Mapping[str, float], currency: str) -> list[Any]:
    """Where the data come from, what is wrong with them, and which source would unlock what."""
    sources, found, filled = read("sources"), read("quality"), read("sources_filled")
    warned = found[found.severity != "info"]
    parts: list[Any] = ["## Where do the data come from?", ingest.say_origins(sources), _chart(ingest.chart_sources(sources), "Bars of rows per source on a logarithmic scale; real sources dark, simulated ones pale")]  # fmt: skip
    parts += [
        "## What is wrong with them?",
        theme.table(warned, "What to know before trusting the data", ingest.QUALITY, {"share": "{:.1%}"}),
    ]
    if len(filled):
        parts.append(_chart(ingest.chart_filled(filled), "Heat map of the share of filled cells per source and attribute"))
    ready = read("readiness")
    return [
        *parts,
        "## What would other sources bring?",
        ingest.say_readiness(ready),
        theme.table(ingest.readiness_in_words(ready), "Readiness", ingest.READY),
    ]


PAGES = {"marketing": marketing, "service": service, "product": product, "analytics": analytics, "data": data}


def _names(read: Read) -> pd.Series:
    return read("segment_quality").set_index("segment_id").segment_name


def _chart(drawing: Any, alt: str) -> tuple[bytes, str]:
    return theme.picture(drawing), alt
