"""A persona told from its drivers: every clause comes from a row, every number in the prose stands in a table."""

from __future__ import annotations

import re

import pandas as pd

from workbench.core.errors import WorkbenchError
from workbench.personas.aspects import APART, KNOWN_WELL

QUOTED = ("They write most about", "The topic they write about most often is")  # more than everybody does, or no more
LEADS = {
    APART: "They", "channel": "Channels: they", "content": "Content: they", "priority": "What matters to them: they",
    "demand": "Sales talks: they",
    "frustration": "What bothers them: they",
}  # fmt: skip
CAUTION = {
    "pass": "",
    "watch": "The segment's border moves when the data are resampled: use it for themes, not for one-to-one promises.",
    "fail": "The segment does not survive resampling: do not act on it alone.",
}
NUMBER = re.compile(r"(?:(?<!\w)-)?\d[\d,]*(?:\.\d+)?")


def show_value(value: float, unit: str, currency: str, finer: int = 0) -> str:
    """A feature's value in its unit, as prose shows it: 0.283 share -> 28 %, 31.26 money -> 31.26 USD; finer: more digits."""
    if unit in ("share", "yes/no"):
        return f"{100 * value:.{finer + (0 < abs(value) < 0.01)}f} %"
    if unit == "money":
        return f"{value:,.{finer + 2 * (abs(value) < 100)}f} {currency}"
    return f"{value:,.{finer + 1}f} {unit}" if unit not in ("ratio", "points", "rank") else f"{value:,.{finer + 2}f}"


def tell_claim(row: pd.Series, currency: str) -> str:
    """One driver -> a clause: what they do, their value and everybody's; the noun says what is counted, so no unit repeats it.

    Where a value is not known of nearly all members (`KNOWN_WELL`), the clause says how many have one.
    """
    mine, base = _shown(row, currency)
    known = f", known of {row.n:,} members" if row.coverage < KNOWN_WELL else ""
    return f"{row.claim} ({row.noun}: {mine}, all customers: {base}{known})"


def _shown(row: pd.Series, currency: str) -> tuple[str, str]:
    """A driver's value and everybody's; what differs is to look different."""
    for finer in range(3):
        mine, base = (show_value(v, row.unit, currency, finer).removesuffix(f" {row.unit}") for v in (row.value, row.base))
        if mine != base:
            break
    return mine, base


def tell_personas(
    segments: pd.DataFrame, drivers: pd.DataFrame, gaps: pd.DataFrame, quotes: pd.DataFrame, currency: str
) -> pd.DataFrame:
    """Named segments and what is told of them -> personas: segment_id, segment_name, tagline, story, which is body and caution.

    segments: segment_id, segment_name, size, share, revenue_share, verdict; drivers with `aspect` (see `tell_aspects`); gaps (see
    `known_shares`); quotes (see `choose_quotes`).
    """
    rows = []
    for segment in segments.itertuples(index=False):
        mine, unknown, said = (table[table.segment_id == segment.segment_id] for table in (drivers, gaps, quotes))
        body = _body(segment, mine, said, currency)
        caution = " ".join(part for part in (_not_known(unknown), CAUTION[segment.verdict]) if part)
        rows.append((segment.segment_id, segment.segment_name, _tagline(mine), f"{body} {caution}".strip(), body, caution))
    columns = ["segment_id", "segment_name", "tagline", "story", "body", "caution"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[2:], "str"))


def _tagline(mine: pd.DataFrame) -> str:
    apart = mine[mine.aspect == APART]
    # Two things rather than one said twice.
    claims = list((apart if len(apart) else mine).drop_duplicates("family").claim[:2])
    return f"They {' and '.join(claims)}." if claims else "Close to the average customer in everything that was measured."


def _body(segment: object, mine: pd.DataFrame, said: pd.DataFrame, currency: str) -> str:
    money = f", bringing {100 * segment.revenue_share:.1f} % of revenue" if pd.notna(segment.revenue_share) else ""
    parts = [f"{segment.size:,} customers, {100 * segment.share:.1f} % of all{money}."]
    for aspect, lead in LEADS.items():
        clauses = [tell_claim(row, currency) for _, row in mine[mine.aspect == aspect].iterrows()]
        parts += [f"{lead} {'; '.join(clauses)}."] if clauses else []
    parts += [] if len(mine) else ["Nothing that was measured sets them apart reliably."]
    return " ".join([*parts, *(tell_quote(row) for row in said.itertuples(index=False))])


def tell_quote(row: object) -> str:
    """One row of quotes -> what they write about most, how many, everybody's share, and one message word for word."""
    shares = f"{100 * row.share:.0f} % of members, all customers: {100 * row.base:.0f} %"
    lead = QUOTED[0] if row.share > row.base else QUOTED[1]
    return f"{lead} {row.topic} ({shares}): “{row.quote}” ({row.source}, row {row.row:,})."


def _not_known(unknown: pd.DataFrame) -> str:
    """What the data do not carry, the least known first."""
    rows = unknown[unknown.known < KNOWN_WELL].itertuples(index=False)
    told = [f"{row.unknown} (for {100 * (1 - row.known):.0f} %)" for row in rows]
    return f"Not known: {'; '.join(told)}; and of nobody why they do it." if told else ""


def check_story(
    personas: pd.DataFrame, segments: pd.DataFrame, drivers: pd.DataFrame, gaps: pd.DataFrame, quotes: pd.DataFrame, currency: str
) -> int:
    """Count the numbers in all stories; raises WorkbenchError for one that the tables do not carry at that place.

    The tables are those that `tell_personas` told from. Numbers may be left out, but not added, changed or exchanged; words are
    not compared, so another writer may rephrase.
    """
    checked = 0
    for persona in personas.itertuples(index=False):
        segment = segments[segments.segment_id == persona.segment_id].iloc[0]
        mine, unknown, said = (table[table.segment_id == persona.segment_id] for table in (drivers, gaps, quotes))
        carried = carried_numbers(segment, mine, unknown, said, currency)
        in_claims = [number for claim in mine.claim for number in NUMBER.findall(claim)]
        for text, allowed in ((persona.story, carried), (persona.tagline, in_claims)):
            found = NUMBER.findall(text)
            if wrong := first_strange(found, allowed):
                raise WorkbenchError(
                    f'Persona "{persona.segment_name}" tells {wrong}, which no table carries at that place.',
                    "A persona may only say what the data say.",
                    "rerun notebook 04; if it stays, report it",
                )
            checked += len(found)
    return checked


def carried_numbers(
    segment: pd.Series, mine: pd.DataFrame, unknown: pd.DataFrame, said: pd.DataFrame, currency: str
) -> list[str]:
    """Every number that the tables carry of one segment, in the order in which a story tells them."""
    carried = [f"{segment['size']:,}", f"{100 * segment.share:.1f}"]
    carried += [f"{100 * segment.revenue_share:.1f}"] if pd.notna(segment.revenue_share) else []
    for aspect in LEADS:
        for _, row in mine[mine.aspect == aspect].iterrows():
            shown = [row.claim, row.noun, *_shown(row, currency)]
            carried += NUMBER.findall(" ; ".join([*shown, f"{row.n:,}" if row.coverage < KNOWN_WELL else ""]))
    for row in said.itertuples(index=False):
        carried += NUMBER.findall(f"{row.topic} ; {100 * row.share:.0f} ; {100 * row.base:.0f} ; {row.quote} ; {row.source} ; {row.row:,}")  # fmt: skip
    for row in unknown[unknown.known < KNOWN_WELL].itertuples(index=False):
        carried += NUMBER.findall(f"{row.unknown} ; {100 * (1 - row.known):.0f}")
    return carried


def first_strange(found: list[str], carried: list[str]) -> str:
    """The first number that does not stand in `carried` after those before it; empty when all do."""
    rest = iter(carried)
    return next((number for number in found if number not in rest), "")
