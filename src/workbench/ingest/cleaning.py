"""The cleaning log: everything that was put right or set aside, with examples that show the shape and never the value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from workbench.core import engine
from workbench.core.config import Config, Events, Match, TypeColumn
from workbench.ingest import values
from workbench.ingest.convert import picks_rows
from workbench.ingest.quarantine import count_rows
from workbench.ingest.settle import LOG, Settled
from workbench.ingest.sources import SourceTable

HUGE = 1_000_000_000  # an amount above it is told
WORDS = 10  # event words listed per source
ALLOWED_WORD = re.compile(r"[^\W\d][\w ./:-]{0,39}")


def cleaning_log(
    settled: Settled, events: ir.Table, aside: pd.DataFrame, identifiers: pd.DataFrame, config: Config
) -> pd.DataFrame:
    """-> the table cleaning_log: source, rule, rows, before, after; sorted.

    before, after: shapes of an example ("(999) 999-9999" -> "+99999999999"), empty where there is none.
    identifiers: source, raw, value, identifier, as collect_records gives them.
    """
    parts = [
        settled.log,
        _set_aside(aside),
        _repeats(events),
        _left_out(settled.sources),
        _odd_amounts(events),
        _late(events, config),
        _spellings(identifiers),
    ]
    whole = pd.concat([part[LOG] for part in parts if len(part)] or [pd.DataFrame(columns=LOG)], ignore_index=True)
    whole = whole.astype({"source": "str", "rule": "str", "rows": "int64", "before": "str", "after": "str"})
    return whole.sort_values(["source", "rule"], ignore_index=True)


def account(sources: Mapping[str, SourceTable], settled: Settled, events: ir.Table, aside: pd.DataFrame) -> pd.DataFrame:
    """-> frame: source, rows_in, rows_out, set_aside, left_out, merged; rows_in is the sum of the others.

    left_out: rows that no declaration of events uses; merged: earlier rows of a record, repeats of an event.
    """
    rows = pd.DataFrame({"source": list(sources), "rows_in": [s.rows for s in sources.values()]})
    dropped = settled.log[settled.log.rule.str.endswith("earlier rows of a record, dropped")].groupby("source").rows.sum()
    repeats = events.filter(events.reason == values.REPEAT).select("source", file=events.source_file, row=events.source_row)
    again = engine.fetch(repeats.distinct()).merge(aside[["source", "file", "row"]].drop_duplicates(), how="left", indicator=True)
    merged = again[again._merge == "left_only"].groupby("source").size().add(dropped, fill_value=0)
    unused = pd.Series({name: _unused_rows(opened) for name, opened in settled.sources.items()})
    found = {"set_aside": count_rows(aside), "left_out": unused, "merged": merged}
    for name, counts in found.items():
        rows[name] = rows.source.map(counts).fillna(0).astype(int)
    rows["rows_out"] = rows.rows_in - rows[list(found)].sum(axis=1)
    return rows[["source", "rows_in", "rows_out", *found]]


def _set_aside(aside: pd.DataFrame) -> pd.DataFrame:
    counted = aside.value_counts(["source", "column", "reason"]).rename("rows").reset_index()
    place = counted.column.where(counted.column != "", "line")
    return counted.assign(rule="set aside: " + place + ", " + counted.reason, before="", after="")


def _repeats(events: ir.Table) -> pd.DataFrame:
    again = events.filter(events.reason == values.REPEAT)
    return engine.fetch(again.group_by("source").agg(rows=again.count())).assign(
        rule=f"{values.REPEAT}, counted once", before="", after=""
    )


def _is_used(opened: SourceTable, declared: Events) -> ir.BooleanValue:
    table = opened.table
    used = ibis.literal(True)
    for picks in (declared.where, declared.type):
        if isinstance(picks, Match | TypeColumn):
            used &= values.matches(engine.trimmed(table[picks.column]), picks.values)
    return used


def _unused_rows(opened: SourceTable) -> int:
    """Rows that no declaration of events uses, in a source that has some and picks rows in each."""
    declared = opened.source.events
    if not declared or not all(picks_rows(events) for events in declared):
        return 0
    used = _is_used(opened, declared[0])
    for events in declared[1:]:
        used |= _is_used(opened, events)
    return engine.count_rows(opened.table.filter(~used))


def _left_out(sources: Mapping[str, SourceTable]) -> pd.DataFrame:
    """Rows by the word for which a declaration leaves them out; a word that looks personal is not shown."""
    found = []
    for name, opened in sources.items():
        for declared in opened.source.events:
            if not picks_rows(declared):
                continue
            column = declared.type.column if isinstance(declared.type, TypeColumn) else declared.where.column
            left = opened.table.filter(~_is_used(opened, declared))
            counted = left.group_by(word=left[column].cast("string").strip()).agg(rows=left.count())
            words = engine.fetch(counted.order_by([ibis.desc("rows"), "word"]))
            kinds = declared.type if isinstance(declared.type, str) else "event"
            rules = [f"{column} is {_shown(w, place)}, no {kinds}: left out" for place, w in enumerate(words.word)]
            found.append(words.assign(source=name, rule=rules, before="", after=""))
    if not found:
        return pd.DataFrame(columns=LOG)
    return pd.concat(found, ignore_index=True).groupby(["source", "rule", "before", "after"], as_index=False).rows.sum()


def _shown(word: Any, place: int) -> str:
    """The word of a cell for readers; one that looks personal, or comes after many others, is not shown."""
    if not isinstance(word, str) or not word:
        return "empty"
    return f'"{word}"' if place < WORDS and ALLOWED_WORD.fullmatch(word) else "another word"


def _odd_amounts(events: ir.Table) -> pd.DataFrame:
    """Amounts that are kept and told: zero or huge ones of orders, returns with a positive amount."""
    sound = events.filter(events.reason.isnull(), events.amount.notnull(), events.event_type.isin(["order", "return"]))
    rule = ibis.cases(
        ((sound.event_type == "order") & (sound.amount == 0), "warning: order lines with an amount of zero, kept"),
        (sound.amount.abs() > HUGE, "warning: amounts over 1,000,000,000, kept"),
        ((sound.event_type == "return") & (sound.amount > 0), "warning: returns with a positive amount, kept"),
    )
    odd = sound.select("source", "source_row", rule=rule)
    odd = odd.filter(odd.rule.notnull())
    found = engine.fetch(odd.group_by("source", "rule").agg(rows=odd.count(), first=odd.source_row.min()))
    return found.assign(rule=found.rule + " (first row " + found["first"].astype(str) + ")", before="", after="")


def _late(events: ir.Table, config: Config) -> pd.DataFrame:
    """Events of the very day on which the exports were made."""
    day = values.start_of(config, config.data_until or config.as_of)
    late = events.filter(events.reason.isnull(), values.is_after(events.occurred_at, day))
    found = engine.fetch(late.group_by("source").agg(rows=late.count()))
    return found.assign(rule="warning: less than a day after data_until, kept", before="", after="")


def _spellings(identifiers: pd.DataFrame) -> pd.DataFrame:
    """Identifiers whose spelling was changed, and those that identify nobody."""
    known = identifiers.dropna(subset=["raw"])
    changed = known[known.raw != known.value]
    if changed.empty:
        return pd.DataFrame(columns=LOG)
    lost = changed.value.isna()
    rule = changed.identifier.where(lost, changed.identifier + ": one spelling").where(
        ~lost, changed.identifier + ": no valid value or a placeholder, made missing"
    )
    shaped = changed.assign(
        rule=rule, before=changed.raw.map(shape), after=changed.value.map(shape, na_action="ignore").fillna("")
    )
    counted = shaped.value_counts(["source", "rule", "before", "after"]).rename("examples").reset_index()
    best = counted.sort_values(["examples", "before"], ascending=[False, True]).drop_duplicates(["source", "rule"])
    total = shaped.groupby(["source", "rule"]).size().rename("rows").reset_index()
    return best.drop(columns="examples").merge(total, on=["source", "rule"])


def shape(text: str) -> str:
    """'(212) 555-0123' -> '(999) 999-9999'; letters become a or A, and @ a word, so that no shape looks like an address."""
    lower = re.sub(r"[a-zß-öø-ÿ]", "a", re.sub(r"\d", "9", text))
    return "".join("A" if c.isalpha() and c != "a" else c for c in lower).replace("@", " at ")[:40]
