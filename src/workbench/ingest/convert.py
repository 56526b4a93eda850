"""The rows of a source -> the same rows with their events beside them: moments, numbers, money in the company's currency, faults.

Nothing here depends on the day of a run (as_of, data_until): converted rows are remembered from run to run.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ibis
import ibis.expr.types as ir

from workbench.core import engine
from workbench.core.config import ChannelColumn, Config, Events, Match, Source, TypeColumn
from workbench.core.engine import OURS
from workbench.ingest import values

if TYPE_CHECKING:
    from workbench.ingest.sources import SourceTable

TEXTS = ("order_id", "item", "category", "subcategory", "campaign_id", "topic", "text")
NUMBERS = ("quantity", "amount", "discount", "cost", "score")
MONEY = ("amount", "discount", "cost")
FACTS = ("channel", "event_type", *TEXTS, *NUMBERS, "own_brand", "machine", "duration_hours", "event_id", "fault", "reason")
RAW_ID, ODD, CELLS = (f"{OURS}{name}" for name in ("raw_id", "odd", "cells"))
Faults = list[tuple[ir.BooleanValue, str, str]]  # where it is so, the column, the reason


def column_of(place: int, fact: str) -> str:
    """The column of a converted source that holds one of FACTS of its declaration of events number `place`."""
    return f"{OURS}{place}_{fact}"


def moment_of(source: Source, place: int) -> str:
    """The column of a converted source with the moments of a declaration; those that read them alike share one."""
    return column_of(_first_alike(source, place), "occurred_at")


def picks_rows(declared: Events) -> bool:
    """Whether a declaration of events takes only some rows of its source."""
    return bool(declared.where or isinstance(declared.type, TypeColumn))


def table_with_events(opened: SourceTable, config: Config) -> ir.Table:
    """An opened source's rows with its events, whether or not they were converted when it was read."""
    if opened.has_events or not opened.source.events:
        return opened.table
    return with_events(opened.table, opened.name, opened.source, config)


def with_events(table: ir.Table, name: str, source: Source, config: Config) -> ir.Table:
    """A source's rows, cells as they were written -> the same with RAW_ID (the record's code) and the events of every declaration.

    Of each, under `column_of`: FACTS (event_type missing where the row is no such event; fault, reason: the first column whose value
    cannot be used, and why), and under `moment_of` occurred_at (UTC; missing where there is none or a placeholder). Raises
    ParameterError and InputError for declarations that nothing can be converted by.
    """
    row, declared = _converted(table, name, source, config)
    return row.select(**{c: row[_cell(c)] for c in table.columns}, **_facts(row, declared))


@dataclass(frozen=True)
class Kept:
    """What is kept of the rows of a text file: `query` (see engine.query_of) makes the columns `stored`, `fixed` are one for all rows."""

    query: str
    columns: tuple[str, ...]
    stored: tuple[str, ...]
    fixed: Mapping[str, ir.Scalar]

    def table(self, rows: ir.Table, source: Source) -> ir.Table:
        """The stored columns of all files -> the rows, with their events (and the cells of `_with_events_alone`) where they were converted."""
        whole = engine.with_constants(rows, self.fixed, [engine.ROW, engine.FILE, *self.columns])
        return _as_written(whole, source) if RAW_ID in self.columns else values.without_missing(whole, source)


def kept_of_text(con: Any, name: str, source: Source, config: Config | None, needed: Collection[str], further: int = 0) -> Kept:
    """What is kept of a text file with the columns `needed`, and `further` ones that have to be looked at: events where there are any.

    Without a configuration the cells alone.
    """
    columns = [*needed, *(f"{OURS}further_{n}" for n in range(further))]
    if not (config and source.events):
        return Kept(f"FROM {engine.LINES}", tuple(columns), tuple(columns), {})
    lines = engine.lines(con, len(columns))
    table = lines.select(**{column: lines[f"c{n}"] for n, column in enumerate(columns)})
    with engine.apart():
        table = _with_events_alone(values.without_missing(table, source), name, source, config)
        fixed = engine.constants(table)
        stored = [column for column in table.columns if column not in fixed]
        return Kept(engine.query_of(table.select(*stored)), table.columns, tuple(stored), fixed)


def _with_events_alone(table: ir.Table, name: str, source: Source, config: Config) -> ir.Table:
    """The rows of a text file with their events, and of their cells those that somebody reads as text.

    The record number, numbers and times that serve events alone are kept together in CELLS, in rows of which one is not plain or at
    fault: a column that is missing everywhere takes as long to write as one of numbers. Texts that serve events alone are kept as
    the event has them.
    """
    row, declared = _converted(table, name, source, config)
    odd = [is_odd for each in declared for is_odd in each.odd(row)]
    odd += [~row[_cell(source.record_id)].identical_to(row[RAW_ID])] if source.record_id else []
    row = engine.stage(row.mutate(**{ODD: functools.reduce(operator.or_, odd)}))
    loose, whole = _loose_columns(source), _read_as_text(source)
    mark = ibis.literal(_mark_between(source))
    cells = functools.reduce(lambda text, column: text + mark + row[_cell(column)].fill_null(""), loose, ibis.literal(""))
    kept = {column: row[_cell(column)] for column in table.columns if column in whole and column not in loose}
    kept[CELLS] = ibis.cases((row[ODD], cells))
    further = [column for column in table.columns if column.startswith(OURS)]
    return row.select(**kept, **_facts(row, declared), **{column: row[column] for column in further})


def _as_written(table: ir.Table, source: Source) -> ir.Table:
    """What `_with_events_alone` kept -> the cells in CELLS as columns again: record numbers everywhere, plain times in ISO form (UTC)."""
    is_there, cells = table[CELLS].notnull(), table[CELLS].split(_mark_between(source))
    back = {column: ibis.cases((is_there, cells[n].nullif(""))) for n, column in enumerate(_loose_columns(source), 1)}
    for place, events in enumerate(source.events):
        if events.at in back:
            back[events.at] = ibis.coalesce(back[events.at], table[moment_of(source, place)].cast("string"))
    if source.record_id:
        back[source.record_id] = ibis.coalesce(back[source.record_id], table[RAW_ID])
    return table.mutate(**back).drop(CELLS)


def _loose_columns(source: Source) -> list[str]:
    """The columns of which some cells are kept, in CELLS: the record number, then numbers and times that serve events alone."""
    first, whole = [source.record_id] if source.record_id else [], _read_as_text(source)
    times = [column for events in source.events for column in (events.at, events.ends_at)]
    found = [*times, *(column for events in source.events for _, column in _number_columns(events))]
    return list(dict.fromkeys([*first, *(column for column in found if column and column not in whole)]))


def _mark_between(source: Source) -> str:
    """What parts the cells in CELLS: a control character, which no cell has but one that the file's columns are parted by."""
    return "\x1e" if source.csv.delimiter == "\x1f" else "\x1f"


def _converted(table: ir.Table, name: str, source: Source, config: Config) -> tuple[ir.Table, list[_Declared]]:
    """-> (rows with every step of the conversion, cells as they were written under `_cell`; the declarations that read them)."""
    declared = [_Declared(name, source, place, events, config) for place, events in enumerate(source.events)]
    written = {_cell(c): table[c] for c in table.columns}
    bare = {c: engine.trimmed(table[c], empty=None) for c, kind in table.schema().items() if kind.is_string()}
    # Staged, else the engine would do the same work again wherever a later step looks at its result.
    row = engine.stage(table.mutate(**written, **bare))
    plain = {_plain(c): engine.plain_number(row[_cell(c)], source.decimal) for each in declared for _, c in each.number_columns}
    row = engine.stage(row.mutate(**plain, **_all(each.kind(row) for each in declared)))
    raw_id = engine.parse_code(row[_cell(source.record_id)], row[source.record_id]) if source.record_id else ibis.null("string")
    row = engine.stage(row.mutate(**{RAW_ID: raw_id}, **_all(each.parsed(row) for each in declared)))
    row = engine.stage(row.mutate(**_all(each.numbers(row) for each in declared)))
    return engine.stage(row.mutate(**_all(each.first_fault(row) for each in declared))), declared


def _facts(row: ir.Table, declared: list[_Declared]) -> dict[str, ir.Value]:
    return {RAW_ID: row[RAW_ID]} | _all(each.facts(row) for each in declared)


def _all(parts: Iterable[dict[str, ir.Value]]) -> dict[str, ir.Value]:
    return functools.reduce(operator.or_, parts, {})


@dataclass(frozen=True)
class _Declared:
    """One declaration of events, and the columns that each step of its conversion makes from those of the steps before."""

    name: str
    source: Source
    place: int
    events: Events
    config: Config

    def __post_init__(self) -> None:
        values.check_pattern(f"sources.{self.name}.events.{self.place}.at_format", self.events.at_format)

    @functools.cached_property
    def zone(self) -> str:
        return values.zone_of(self.events.zone, self.config)

    @functools.cached_property
    def currency(self) -> values.Currency:
        return values.currency_of(self.name, self.source, self.events, self.config.company)

    @functools.cached_property
    def number_columns(self) -> list[tuple[str, str]]:
        return _number_columns(self.events)

    def own(self, step: str, column: str = "") -> str:
        return _step(self.place, step, column)

    def mine(self, row: ir.Table, value: ir.Value) -> ir.Value:
        """A value in the rows that are such events; nothing is computed or kept of the others."""
        return ibis.cases((row[self.own("kind")].notnull(), value)) if picks_rows(self.events) else value

    # -- the steps -------------------------------------------------------------------------------------------------

    def kind(self, row: ir.Table) -> dict[str, ir.Value]:
        kind, where = _event_type(row, self.events.type), self.events.where
        if where:
            kind = ibis.cases((values.matches(row[where.column], where.values), kind))
        return {self.own("kind"): kind}

    def parsed(self, row: ir.Table) -> dict[str, ir.Value]:
        """Moments, numbers and the currency marks beside amounts."""
        events, made = self.events, {}
        times = [("at", events.at)] if _first_alike(self.source, self.place) == self.place else []
        times += [("ends", events.ends_at)] if events.ends_at else []
        for step, column in times:
            made[self.own(step)] = engine.parse_moment(row[_cell(column)], events.at_format, self.zone, events.since)
        for fact, column in self.number_columns:
            parse = engine.parse_money if fact in MONEY else engine.parse_number
            made[self.own(fact, column)] = self.mine(row, parse(row[_cell(column)], self.source.decimal, row[_plain(column)]))
        for column in self._columns_with_marks(row):
            # What is plain has no mark: nothing is looked for there.
            mark, is_odd = engine.currency_mark(row[_cell(column)]), row[_plain(column)].isnull()
            made[self.own("mark", column)] = self.mine(row, ibis.cases((is_odd, mark)))
            made[self.own("marked", column)] = self.mine(row, ibis.cases((is_odd, self.currency.of_mark(mark))))
        return made

    def numbers(self, row: ir.Table) -> dict[str, ir.Value]:
        """NUMBERS: money in the company's currency, several columns added up, a score as a plain number; and which moments are none."""
        is_none = values.placeholder(self._at(row), self.zone)
        return {self.own("placeholder"): is_none, **{self.own(fact): self._number(row, fact) for fact in NUMBERS}}

    def first_fault(self, row: ir.Table) -> dict[str, ir.Value]:
        """The number of a row's first fault among `_faults`."""
        found = [(is_so, ibis.literal(n, "int8")) for n, (is_so, _, _) in enumerate(self._faults(row))]
        return {self.own("fault"): self.mine(row, ibis.cases(*found, else_=ibis.null("int8")))}

    def facts(self, row: ir.Table) -> dict[str, ir.Value]:
        """FACTS and the moment, under their final names."""
        events, kind = self.events, self._kind(row)
        texts = {fact: self.mine(row, _text(row, getattr(events, fact))) for fact in (*TEXTS, "event_id")}
        texts["order_id"] = self._order_id(row, kind, texts["order_id"])
        texts |= {"topic": ibis.literal(events.question)} if events.question else {}
        found = {
            "channel": self._channel(row), "event_type": kind, **texts, **{fact: row[self.own(fact)] for fact in NUMBERS},
            "own_brand": _flag(row, events.own_brand), "machine": _flag(row, events.machine), "duration_hours": self._hours(row),
            **self._told(row),
        }  # fmt: skip
        moment = ibis.cases((~row[self.own("placeholder")], self._at(row)))
        return {moment_of(self.source, self.place): moment, **{column_of(self.place, fact): v for fact, v in found.items()}}

    def odd(self, row: ir.Table) -> list[ir.BooleanValue]:
        """Rows of which somebody may want to see the cells: one number is not plain, or something is at fault."""
        not_plain = [_is_unread(row[_plain(c)], row[_cell(c)]) for c in dict.fromkeys(c for _, c in self.number_columns)]
        return [row[self.own("fault")].notnull(), *not_plain]

    # -- parts of them ---------------------------------------------------------------------------------------------

    def _at(self, row: ir.Table) -> ir.TimestampValue:
        return row[_step(_first_alike(self.source, self.place), "at")]

    def _columns_with_marks(self, row: ir.Table) -> list[str]:
        return list(dict.fromkeys(c for fact, c in self.number_columns if fact in MONEY and row[c].type().is_string()))

    def _code(self, row: ir.Table, column: str) -> ir.StringValue | None:
        marked = row[self.own("marked", column)] if column in self._columns_with_marks(row) else None
        return self.currency.code(row) if self.currency.column else marked

    def _number(self, row: ir.Table, fact: str) -> ir.Value:
        parsed = [(row[self.own(fact, column)], column) for n, column in self.number_columns if n == fact]
        if fact in MONEY:
            return _total([self.currency.convert(amount, self._code(row, column)) for amount, column in parsed])
        total = _total([number for number, _ in parsed])
        return total.cast("float64") if fact == "score" else total

    def _faults(self, row: ir.Table) -> Faults:
        key = self.source.record_id
        no_record = [(row[RAW_ID].isnull(), key, values.NO_RECORD)] if key else []
        return [*no_record, *self._time_faults(row), *self._number_faults(row)]

    def _time_faults(self, row: ir.Table) -> Faults:
        events, found, at = self.events, [], self._at(row)
        moments = [(at, events.at), *([(row[self.own("ends")], events.ends_at)] if events.ends_at else [])]
        for moment, column in moments:
            unread = _is_unread(moment, row[_cell(column)])
            if not self.zone and row[column].type().is_string():
                elsewhere = engine.parse_moment(row[_cell(column)], events.at_format, "UTC", events.since)
                found.append((unread & elsewhere.notnull(), column, values.NAIVE))
            found.append((unread, column, values.NOT_A_TIME))
        found += [
            (at.isnull(), events.at, values.NO_TIME),
            (row[self.own("placeholder")], events.at, values.PLACEHOLDER),
        ]
        return found + [(moment < at, column, values.ENDS_EARLY) for moment, column in moments[1:]]

    def _number_faults(self, row: ir.Table) -> Faults:
        found: Faults = []
        for fact, column in self.number_columns:
            number, code = row[self.own(fact, column)], self._code(row, column)
            found.append((_is_unread(number, row[_cell(column)]), column, values.NOT_A_NUMBER))
            if fact in MONEY and code is not None:
                if self.events.currency and column in self._columns_with_marks(row):
                    clashes = self.currency.clashes(code, row[self.own("mark", column)])
                    found.append((clashes, column, values.TWO_CURRENCIES))
                is_unrated = number.notnull() & self.currency.is_unrated(code)
                found.append((is_unrated, self.events.currency or column, values.UNRATED))
        if self.events.score_range:
            outside = ~row[self.own("score")].between(*self.events.score_range)
            found.append((outside, self.events.score, values.OUTSIDE))
        return found

    def _told(self, row: ir.Table) -> dict[str, ir.StringValue]:
        """fault, reason: the column and the reason of a row's first fault; missing where it has none."""
        number, faults, nothing = row[self.own("fault")], self._faults(row), ibis.null("string")
        told = {"fault": [column for _, column, _ in faults], "reason": [reason for _, _, reason in faults]}
        return {
            fact: ibis.cases(
                (number.isnull(), nothing), *[(number == n, ibis.literal(text)) for n, text in enumerate(texts)], else_=nothing
            )
            for fact, texts in told.items()
        }

    def _kind(self, row: ir.Table) -> ir.StringValue:
        """The event type; an order line with a negative amount is a return."""
        kind = row[self.own("kind")]
        if not self.events.amount or "order" not in self.events.kinds:
            return kind
        return ibis.cases(((kind == "order") & (row[self.own("amount")] < 0), ibis.literal("return")), else_=kind)

    def _order_id(self, row: ir.Table, kind: ir.StringValue, given: ir.StringValue) -> ir.StringValue:
        """Order lines without a number belong together when they happened at one moment."""
        if not {"order", "return"} & set(self.events.kinds):
            return given
        return ibis.coalesce(given, ibis.cases((kind.isin(["order", "return"]), self._at(row).cast("string"))))

    def _channel(self, row: ir.Table) -> ir.StringValue:
        declared, kind = self.events.channel, self.source.kind
        if isinstance(declared, ChannelColumn):
            return self.mine(row, row[declared.column].cast("string").lower().fill_null(kind))
        return ibis.literal(declared or kind)

    def _hours(self, row: ir.Table) -> ir.FloatingValue:
        """How long an event lasted; missing where it has not ended."""
        if not self.events.ends_at:
            return ibis.null("float64")
        ends = row[self.own("ends")]
        ends = ibis.cases((~values.placeholder(ends, self.zone), ends))
        return self.mine(row, (ends.epoch_seconds() - self._at(row).epoch_seconds()).cast("float64") / 3600)


def _number_columns(events: Events) -> list[tuple[str, str]]:
    """(fact, column) of every number; several columns add up to one discount."""
    named = [(name, getattr(events, name)) for name in NUMBERS]
    return [(n, c) for n, columns in named for c in ((columns,) if isinstance(columns, str) else columns or ())]


def _first_alike(source: Source, place: int) -> int:
    """The first declaration of a source that reads its times as this one does."""

    def how(events: Events) -> tuple:
        return events.at, events.at_format, events.zone, events.since

    return next(n for n, events in enumerate(source.events) if how(events) == how(source.events[place]))


def _read_as_text(source: Source) -> set[str]:
    """Columns of which somebody reads the cells themselves, not only the events made of them."""
    named = {source.created_at, *source.identity.values(), *source.profile.values(), *source.consent.values()}
    named |= {source.costs.item, source.costs.rate} if source.costs else set()
    named |= {source.lookup.column} if source.lookup else set()
    for events in source.events:
        picks = [part.column for part in (events.where, events.type) if isinstance(part, Match | TypeColumn)]
        named |= {*picks, events.currency}
    return named


def _step(place: int, step: str, column: str = "") -> str:
    return f"{OURS}{place}_{step}_of_{column}"


def _cell(column: str) -> str:
    return f"{OURS}cell_{column}"


def _plain(column: str) -> str:
    return f"{OURS}plain_{column}"


def _event_type(row: ir.Table, declared: str | TypeColumn) -> ir.StringValue:
    if isinstance(declared, str):
        return ibis.literal(declared)
    word = row[declared.column].cast("string")
    return ibis.cases(
        *[(word == theirs, ibis.literal(ours)) for theirs, ours in declared.values.items()], else_=ibis.null("string")
    )


def _is_unread(value: ir.Value, cell: ir.Column) -> ir.BooleanValue:
    """Where a cell that is more than blanks became nothing; nothing is asked of the others."""
    return ibis.cases((value.isnull(), values.filled(cell)), else_=False)


def _flag(row: ir.Table, match: Match | None) -> ir.BooleanValue:
    return values.matches(row[match.column], match.values) if match else ibis.literal(False)


def _text(row: ir.Table, column: str | None) -> ir.StringValue:
    return row[column].cast("string") if column else ibis.null("string")


def _total(parsed: list[ir.DecimalValue]) -> ir.Value:
    if not parsed:
        return ibis.null(engine.MONEY)
    if len(parsed) == 1:
        return parsed[0].cast(engine.MONEY)
    zero = ibis.literal(0).cast(engine.MONEY)
    total = parsed[0].fill_null(zero)
    for part in parsed[1:]:
        total = total + part.fill_null(zero)
    return total.cast(engine.MONEY)
