"""A persona told from its drivers: every clause comes from a row, every number in the prose stands in a table."""

from __future__ import annotations

import re

import pandas as pd

from workbench.core.errors import WorkbenchError

NUMBER = re.compile(r"(?:(?<!\w)-)?\d[\d,]*(?:\.\d+)?")


def show_value(value: float, unit: str, currency: str) -> str:
    """A feature's value in its unit, as prose shows it: 0.283 share -> 28 %, 31.26 money -> 31.26 USD."""
    if unit == "share":
        return f"{round(100 * value)} %"
    if unit == "money":
        return f"{value:,.2f} {currency}" if abs(value) < 100 else f"{value:,.0f} {currency}"
    return f"{value:,.1f} {unit}" if unit not in ("ratio", "points") else f"{value:,.2f}"


def tell_claim(row: pd.Series, currency: str) -> str:
    """One driver -> a clause: what they do, their value and everybody's; the noun says what is counted, so no unit repeats it."""
    mine, base = (show_value(value, row.unit, currency).removesuffix(f" {row.unit}") for value in (row.value, row.base))
    return f"{row.claim} ({row.noun}: {mine}, all customers: {base})"


def tell_personas(segments: pd.DataFrame, drivers: pd.DataFrame, currency: str) -> pd.DataFrame:
    """Named segments (segment_id, segment_name, size, share, revenue_share, verdict) and drivers -> personas: tagline, story."""
    rows = []
    for segment in segments.itertuples(index=False):
        mine = drivers[drivers.segment_id == segment.segment_id]
        rows.append((segment.segment_id, segment.segment_name, _tagline(mine), _story(segment, mine, currency)))
    return pd.DataFrame(rows, columns=["segment_id", "segment_name", "tagline", "story"]).astype(
        {"tagline": "str", "story": "str"}
    )


def _tagline(mine: pd.DataFrame) -> str:
    claims = list(mine.claim[:2])
    return f"They {' and '.join(claims)}." if claims else "Close to the average customer in everything that was measured."


def _story(segment: object, mine: pd.DataFrame, currency: str) -> str:
    who = f"{segment.size:,} customers, {100 * segment.share:.1f} % of all, bringing {100 * segment.revenue_share:.1f} % of revenue."
    clauses = [tell_claim(row, currency) for _, row in mine.iterrows()]
    does = f" They {'; '.join(clauses)}." if clauses else " Nothing that was measured sets them apart reliably."
    caution = {
        "pass": "",
        "watch": " The segment's border moves when the data are resampled: use it for themes, not for one-to-one promises.",
        "fail": " The segment does not survive resampling: do not act on it alone.",
    }
    return who + does + caution[segment.verdict]


def check_story(personas: pd.DataFrame, segments: pd.DataFrame, drivers: pd.DataFrame, currency: str) -> int:
    """Count the numbers in all stories; raises WorkbenchError for one that no table row shows."""
    checked = 0
    for persona in personas.itertuples(index=False):
        segment = segments[segments.segment_id == persona.segment_id].iloc[0]
        mine = drivers[drivers.segment_id == persona.segment_id]
        allowed = {f"{segment['size']:,}", f"{100 * segment.share:.1f}", f"{100 * segment.revenue_share:.1f}"}
        for _, row in mine.iterrows():
            for text in (
                row.claim,
                row.noun,
                show_value(row.value, row.unit, currency),
                show_value(row.base, row.unit, currency),
            ):
                allowed |= set(NUMBER.findall(text))
        found = NUMBER.findall(persona.story + persona.tagline)
        wrong = [n for n in found if n not in allowed]
        if wrong:
            raise WorkbenchError(
                f'Persona "{persona.segment_name}" tells {wrong[0]}, which no table carries.',
                "A persona may only say what the data say.",
                "rerun notebook 04; if it stays, report it",
            )
        checked += len(found)
    return checked
