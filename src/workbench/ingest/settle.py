"""Records made sound before anybody reads them: odd characters, first days, cost rates, duplicates, consent words."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import ibis
import ibis.expr.types as ir
import pandas as pd

from workbench.core import engine
from workbench.core.config import Config, Source
from workbench.core.errors import InputError, ParameterError
from workbench.ingest import values
from workbench.ingest.convert import RAW_ID
from workbench.ingest.quarantine import COLUMNS, advice
from workbench.ingest.sources import SourceTable
from workbench.ingest.standardize import consent_word, standardize_birth_date

LOG = ["source", "rule", "rows", "before", "after"]
CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
WORD_SHOWN = re.compile(r"[^\W\d_][\w '/-]{0,19}", re.UNICODE)  # short words, no numbers, no addresses
FIRST_ROWS = 3


@dataclass(frozen=True)
class Settled:
    """sources: without the rows set aside; aside: those rows (COLUMNS); log: what was put right (LOG)."""

    sources: dict[str, SourceTable]
    aside: pd.DataFrame
    log: pd.DataFrame


def settle_records(sources: Mapping[str, SourceTable], config: Config) -> Settled:
    """Opened sources -> Settled; raises InputError for duplicate records, unknown consent words, times without a zone."""
    settled, aside, log = {}, [], []
    for name, opened in sources.items():
        notes: list[tuple[str, int, str, str]] = []
        opened = _without_controls(opened, notes)
        opened, bad = _without_faults(opened, config, notes)
        opened = _one_row_per_record(opened, config, notes)
        _check_consent(opened)
        _count_birth_dates(opened, config, notes)
        _count_record_numbers(opened, notes)
        settled[name] = opened
        aside.append(bad)
        log += [(name, *note) for note in notes]
    return Settled(settled, pd.concat(aside, ignore_index=True), pd.DataFrame(log, columns=LOG))


def _without_controls(opened: SourceTable, notes: list) -> SourceTable:
    """Control characters go; delimited files lost theirs while they were read."""
    if not opened.source.database and opened.source.file_format == "csv":
        return opened
    table = opened.table
    texts = [c for c in table.columns if c not in (engine.ROW, engine.FILE) and table[c].type().is_string()]
    if not texts:
        return opened
    found = engine.fetch_row(table.agg(**{f"n{i}": table[c].re_search(CONTROL).sum() for i, c in enumerate(texts)}))
    odd = [c for i, c in enumerate(texts) if found[f"n{i}"]]
    if not odd:
        return opened
    notes.append(("control characters removed", sum(int(n or 0) for n in found.values()), "a·a", "aa"))
    return replace(opened, table=table.mutate(**{c: table[c].re_replace(CONTROL, "") for c in odd}))


def _without_faults(opened: SourceTable, config: Config, notes: list) -> tuple[SourceTable, pd.DataFrame]:
    """Rows whose record number, created_at or cost rate cannot be read are set aside; placeholders among the days are only counted."""
    source, table, faults = opened.source, opened.table, []
    if source.record_id and not source.events:  # rows of events are looked at with their event
        faults.append((engine.parse_code(table[source.record_id]).isnull(), source.record_id, values.NO_RECORD))
    if source.created_at:
        values.check_pattern(f"sources.{opened.name}.created_at_format", source.created_at_format)
        faults.append(_created_fault(opened, config, notes))
    if source.costs:
        rate = engine.parse_number(table[source.costs.rate], source.decimal)
        faults.append((rate.isnull() & values.filled(table[source.costs.rate]), source.costs.rate, values.NOT_A_NUMBER))
        _compare_rates(table, rate, notes)
    if not faults:
        return opened, pd.DataFrame(columns=COLUMNS)
    column = ibis.cases(*[(bad, ibis.literal(name)) for bad, name, _ in faults], else_=ibis.null("string"))
    reason = ibis.cases(*[(bad, ibis.literal(why)) for bad, _, why in faults], else_=ibis.null("string"))
    bad = table.select(
        source=ibis.literal(opened.name), file=table[engine.FILE], row=table[engine.ROW], column=column, reason=reason
    )
    found = engine.fetch(bad.filter(bad.column.notnull()).order_by(["file", "row"]))
    return (replace(opened, table=table.filter(column.isnull())) if len(found) else opened), found


def _created_fault(opened: SourceTable, config: Config, notes: list) -> tuple[ir.BooleanValue, str, str]:
    source, table, zone = opened.source, opened.table, values.zone_of("", config)
    cell = table[source.created_at]
    if source.created_at_format in ("hours", "days"):
        raise ParameterError(
            f"sources.{opened.name}.created_at_format: {source.created_at_format} needs a first day, which created_at has none for.",
            "Records would be dated wrongly.",
            f"write the days out in the export, and set sources.{opened.name}.created_at_format: iso",
        )
    moment = engine.parse_moment(cell, source.created_at_format, zone)
    elsewhere = engine.parse_moment(cell, source.created_at_format, "UTC")
    found = engine.fetch_row(
        table.agg(
            naive=table.count(where=moment.isnull() & elsewhere.notnull()),
            first=table[engine.ROW].min(where=moment.isnull() & elsewhere.notnull()),
            placeholders=table.count(where=values.placeholder(moment, zone)),
        )
    )
    if found["naive"]:
        raise values.naive_times(opened.name, source.created_at, f"{found['naive']:,} rows, the first is row {found['first']}")
    if found["placeholders"]:
        notes.append((f"{source.created_at}: placeholder date, made missing", found["placeholders"], "1900-01-01", ""))
    return moment.isnull() & values.filled(cell), source.created_at, values.NOT_A_TIME


def _compare_rates(table: ir.Table, rate: ir.DecimalValue, notes: list) -> None:
    found = engine.fetch_row(
        table.agg(
            percent=table.count(where=rate > 1), share=table.count(where=(rate > 0) & (rate < 1)),
            first=table[engine.ROW].min(where=rate > 1),
        )
    )  # fmt: skip
    if found["percent"] and found["share"]:
        notes.append(
            (
                f"cost rates over 1 beside rates under 1: percent or share? (first row {found['first']})",
                found["percent"],
                "99",
                "99",
            )
        )


def _one_row_per_record(opened: SourceTable, config: Config, notes: list) -> SourceTable:
    """In a source without events one row is one record; two rows of one stop the run, or the later one counts, as declared."""
    source, table = opened.source, opened.table
    if not source.record_id or source.events or source.costs:
        return opened
    code = engine.parse_code(table[source.record_id])
    if source.record_id in (source.identity.get("email"), source.identity.get("handle")):
        code = code.lower()
    keyed = table.mutate(_workbench_code=code)
    coded = keyed.filter(keyed._workbench_code.notnull())
    again = coded.group_by("_workbench_code").agg(n=coded.count(), row=coded[engine.ROW].max())
    again = again.filter(again.n > 1)
    found = engine.fetch_row(again.agg(records=again.count(), rows=(again.n - 1).sum()))
    if not found["records"]:
        return opened
    if source.duplicates == "stop":
        rows = ", ".join(str(r) for r in engine.fetch(again.order_by("row").limit(FIRST_ROWS)).row)
        raise InputError(
            f'source "{opened.name}": {found["records"]:,} values of "{source.record_id}" stand in more than one row ({found["rows"]:,} rows '
            f"too many; the last of the first ones: row {rows}).",
            "Which row is right cannot be known, and customers would be counted twice.",
            f"remove them from the export, or keep the latest row of each:\n  sources: {{{opened.name}: {{duplicates: keep_latest}}}}",
        )
    notes.append((f"{source.record_id}: earlier rows of a record, dropped", int(found["rows"]), "", ""))
    created = values.created_moment(opened, values.zone_of("", config)) if source.created_at else ibis.null(engine.MOMENT)
    keyed = keyed.mutate(_workbench_created=created)
    latest_first = [
        keyed._workbench_created.isnull(),
        keyed._workbench_created.desc(),
        keyed[engine.FILE].desc(),
        keyed[engine.ROW].desc(),
    ]
    place = ibis.row_number().over(ibis.window(group_by=keyed._workbench_code, order_by=latest_first))
    ranked = keyed.mutate(_workbench_place=place)
    kept = ranked.filter((ranked._workbench_place == 0) | ranked._workbench_code.isnull())
    return replace(opened, table=kept.drop("_workbench_code", "_workbench_created", "_workbench_place"))


def _check_consent(opened: SourceTable) -> None:
    """Raise InputError for filled cells of consent columns that are neither yes nor no."""
    source, table = opened.source, opened.table
    for column in dict.fromkeys(source.consent.values()):
        counted = table.group_by(word=table[column].cast("string").strip()).agg(n=table.count(), row=table[engine.ROW].min())
        found = engine.fetch(counted.filter(counted.word.notnull(), counted.word != "").order_by([ibis.desc("n"), "word"]))
        unknown = found[[is_unknown_word(word, source) for word in found.word]]
        if len(unknown):
            raise _unknown_words(opened, column, unknown)


def is_unknown_word(word: str, source: Source) -> bool:
    """Whether a filled cell of a consent column says neither yes nor no."""
    return consent_word(word, source.yes_words, source.no_words) == "unknown"


def _unknown_words(opened: SourceTable, column: str, found: pd.DataFrame) -> InputError:
    shown = [f'"{word}"' for word in found.word if WORD_SHOWN.fullmatch(word)][:5]
    words = f" ({', '.join(shown)}{', …' if len(found) > len(shown) else ''})" if shown else " (long or personal, so not shown)"
    return InputError(
        f'source "{opened.name}": column "{column}" has {int(found.n.sum()):,} rows that say neither yes nor no{words}; the first is row '
        f"{int(found.row.min())}.",
        "Whether a customer may be contacted is never guessed.",
        f"say what the words mean:\n  sources: {{{opened.name}: {{yes_words: [ja], no_words: [nein]}}}}\n"
        f"  or, for words that mean nothing was said:  sources: {{{opened.name}: {{missing: [unknown]}}}}",
    )


def _count_birth_dates(opened: SourceTable, config: Config, notes: list) -> None:
    """Count what is no birth date (it becomes missing); raise InputError when more than max_reject_share are none."""
    source, column = opened.source, opened.source.identity.get("birth_date")
    if not column:
        return
    cell = opened.table[column].cast("string").strip()
    counted = opened.table.group_by(text=cell).agg(
        n=opened.table.count(), row=opened.table[engine.ROW].min(), file=opened.table[engine.FILE].min()
    )
    found = engine.fetch(counted.filter(counted.text.notnull(), counted.text != "").order_by("text"))
    lost = found[[standardize_birth_date(text, source.birth_date_format) is None for text in found.text]]
    is_date = [_is_placeholder_day(text, source.birth_date_format) for text in lost.text]
    placeholders, unread = lost[is_date], lost[[not flag for flag in is_date]]
    for rule, rows in (("placeholder date", placeholders), ("not a date in the declared format", unread)):
        if len(rows):
            notes.append((f"{column}: {rule}, made missing", int(rows.n.sum()), _shape(rows.text.iloc[0]), ""))
    total = int(found.n.sum())
    if len(unread) and unread.n.sum() > max(config.ingest.max_reject_share * total, 1):
        raise _no_birth_dates(opened, column, unread, total)


def _is_placeholder_day(text: str, pattern: str) -> bool:
    try:
        return bool(dt.date.fromisoformat(text[:10]) if pattern == "iso" else dt.datetime.strptime(text, pattern))
    except ValueError:
        return False


def _no_birth_dates(opened: SourceTable, column: str, unread: pd.DataFrame, total: int) -> InputError:
    rows = unread.assign(column=column, reason=values.NOT_A_TIME)
    hints = advice(opened, rows) or [
        f"set sources.{opened.name}.birth_date_format, or declare the words for nothing as sources.{opened.name}.missing"
    ]
    first = ", ".join(str(row) for row in sorted(unread.row)[:FIRST_ROWS])
    return InputError(
        f'source "{opened.name}": {int(unread.n.sum()):,} of {total:,} values of "{column}" are no date in the declared format (first rows {first}).',
        "Birth dates decide who is who; wrong ones would join strangers.",
        "\n".join([*hints, "or, to go on regardless, raise ingest.max_reject_share"]),
    )


def _count_record_numbers(opened: SourceTable, notes: list) -> None:
    """Count record numbers that are one only by the rule 1.0 = 1, " 1" = 1."""
    source, table = opened.source, opened.table
    if not source.record_id:
        return
    code = table[RAW_ID] if opened.has_events else engine.parse_code(table[source.record_id])
    table = table.select(raw=table[source.record_id].cast("string"), code=code)
    changed = engine.fetch_row(table.agg(rows=table.count(where=table.raw != table.code)))["rows"]
    if not changed:
        return
    keyed = table.group_by("raw", "code").agg(rows=table.count())
    spelled = keyed.group_by("code").agg(spellings=keyed.count(), rows=keyed.rows.sum())
    many = spelled.spellings > 1
    found = engine.fetch_row(spelled.agg(one=spelled.count(where=many), rows=spelled.rows.sum(where=many)))
    is_name = source.record_id in (source.identity.get("email"), source.identity.get("handle"))
    how, before, after = ("a name (blanks go)", " a", "a") if is_name else ("a number (1.0 is 1, blanks go)", "9.0", "9")
    notes.append((f"{source.record_id}: one spelling of {how}", int(changed), before, after))
    if found["one"]:
        notes.append(
            (
                f"{source.record_id}: warning, different spellings became one record",
                int(found["rows"]),
                f"{before}, {after}",
                after,
            )
        )


def _shape(text: str) -> str:
    return re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "9", text))[:40]
