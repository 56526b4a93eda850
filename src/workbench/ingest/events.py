"""What happened: every declared event of every source in one shape, on the engine, tied to customers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa

from workbench.core import engine
from workbench.core.config import ChannelColumn, Config, Events, Match, TypeColumn
from workbench.core.errors import InputError
from workbench.ingest import values
from workbench.ingest.sources import SourceTable
from workbench.ingest.stops import check_as_of, check_events

TEXTS = ("order_id", "item", "category", "subcategory", "campaign_id", "topic", "text")
NUMBERS = ("quantity", "amount", "discount", "cost", "score")
MONEY = ("amount", "discount", "cost")
ORDER = (
    "customer_id", "occurred_at", "source", "channel", "event_type", "order_id", "item", "category", "subcategory", "quantity",
    "amount", "discount", "cost", "campaign_id", "topic", "score", "own_brand", "machine", "duration_hours",
)  # fmt: skip
AT, ENDS, KIND, RAW_ID = "_workbench_at", "_workbench_ends", "_workbench_kind", "_workbench_raw_id"
Faults = list[tuple[ir.BooleanValue, str, str]]  # where it is so, the column, the reason


def read_events(con: Any, sources: Mapping[str, SourceTable], config: Config) -> ir.Table:
    """Every source's events, converted once and kept on the engine; raises InputError for what no row may decide.

    That is: times without a zone, currencies without a rate, two decimal marks in one column, nothing before as_of.
    """
    events = _together(
        [engine.materialize(con, part, f"events_{n}", on_disk=True) for n, part in enumerate(_declared(sources, config))]
    )
    check_events(sources, events, config)
    check_as_of(events, config)
    return events


def all_events(sources: Mapping[str, SourceTable], config: Config) -> ir.Table:
    """Every source's events under one another."""
    return _together(_declared(sources, config))


def _declared(sources: Mapping[str, SourceTable], config: Config) -> list[ir.Table]:
    """Every declaration of events of every source, one by one: what is the same in all rows of one need not be kept."""
    parts = [part for opened in sources.values() for part in declared_events(opened, config)]
    if not parts:
        raise InputError(
            "no source declares events.",
            "Without what customers did there is nothing to describe.",
            "say in the configuration what a source's rows are:\n  sources: {NAME: {events: [{type: order, at: COLUMN, amount: COLUMN}]}}",
        )
    return parts


def _together(parts: list[ir.Table]) -> ir.Table:
    return ibis.union(*parts) if len(parts) > 1 else parts[0]


def declared_events(opened: SourceTable, config: Config) -> list[ir.Table]:
    """One source -> one expression per declaration: the canonical columns without customer_id, plus raw_id and four more.

    fault and reason: the first column whose value could not be used, and why; such rows go to quarantine. A repeat of an event has
    a reason and no fault. source_row, source_file (only with a reason or a text): where the row stands.
    """
    for place, events in enumerate(opened.source.events):
        values.check_pattern(f"sources.{opened.name}.events.{place}.at_format", events.at_format)
    return [_canonical(opened, events, config) for events in opened.source.events]


def tie_to_customers(con: Any, events: ir.Table, records: pd.DataFrame, identities: pd.DataFrame) -> ir.Table:
    """Sound events -> the events table: each with its record's customer_id, in one fixed order.

    records: source, record_id, raw_id; identities: source, record_id, customer_id. Rows in one order whatever the files' own.
    """
    sound = events.filter(events.reason.isnull())
    fixed = {c: value for c, value in engine.constants(sound).items() if c in ORDER}
    tied = _with_owners(con, sound, records, identities).select("place", *[c for c in ORDER if c not in fixed])
    return engine.with_constants(engine.in_order(tied, ["place", "occurred_at"]), fixed, ORDER)


def texts_of_customers(con: Any, events: ir.Table, records: pd.DataFrame, identities: pd.DataFrame) -> pd.DataFrame:
    """What customers wrote -> frame: source, file, row, customer_id, occurred_at, event_type, topic, text; for private/ alone."""
    written = _with_owners(con, events.filter(events.reason.isnull(), events.text.notnull()), records, identities)
    chosen = written.select(
        "source", "customer_id", "occurred_at", "event_type", "topic", "text", file=written.source_file, row=written.source_row
    )
    chosen = chosen.filter(chosen.customer_id.notnull())
    return engine.fetch(chosen.order_by(["source", "file", "row", "event_type"]))


def _with_owners(con: Any, events: ir.Table, records: pd.DataFrame, identities: pd.DataFrame) -> ir.Table:
    """Events with customer_id, and its place among all in their order: a number sorts quicker than a text."""
    known = records.merge(identities[["source", "record_id", "customer_id"]], on=["source", "record_id"])
    known["place"] = pd.factorize(known.customer_id, sort=True)[0]
    columns = known[["source", "raw_id", "customer_id", "place"]]
    owners = engine.as_table(con, pa.Table.from_pandas(columns, preserve_index=False), "owners")
    return events.left_join(owners, ["source", "raw_id"])


def add_costs(con: Any, events: ir.Table, sources: Mapping[str, SourceTable]) -> ir.Table:
    """Order lines without a cost get amount x the item's cost rate, where a finance source declares one."""
    rates = [_rates(opened) for opened in sources.values() if opened.source.costs]
    if not rates:
        return events
    table = ibis.union(*rates) if len(rates) > 1 else rates[0]
    # One rate per item, whatever the file repeats; the largest is the cautious one.
    table = table.group_by("priced_item").agg(rate=table.rate.max())
    joined = events.left_join(table, events.item == table.priced_item)
    computed = (joined.amount.cast("float64") * joined.rate.cast("float64")).cast(engine.MONEY)
    return joined.mutate(cost=ibis.coalesce(joined.cost, computed)).drop("priced_item", "rate")


def quarantined(events: ir.Table) -> pd.DataFrame:
    """Events with a fault -> frame: source, file, row, column, reason (no values: they may be personal); sorted."""
    bad = events.filter(events.fault.notnull())
    bad = bad.select("source", file=bad.source_file, row=bad.source_row, column=bad.fault, reason=bad.reason)
    return engine.fetch(bad.order_by(list(bad.columns)))


def count_events(events: ir.Table, zone: str) -> pd.DataFrame:
    """-> event_type, events, with_customer (share tied to a customer or visitor), first, last (days in the zone)."""
    counted = events.group_by("event_type").agg(
        events=events.count(),
        with_customer=events.customer_id.notnull().mean(),
        first=engine.local_time(events.occurred_at.min(), zone).date(),
        last=engine.local_time(events.occurred_at.max(), zone).date(),
    )
    return engine.fetch(counted.order_by(ibis.desc("events"), "event_type"))


def latest_events(events: ir.Table) -> pd.Series:
    """-> last moment per source."""
    return engine.fetch(events.group_by("source").agg(last=events.occurred_at.max()).order_by("source")).set_index("source")[
        "last"
    ]


def _rates(opened: SourceTable) -> ir.Table:
    costs, table = opened.source.costs, opened.table
    number = engine.parse_number(engine.trimmed(table[costs.rate]), opened.source.decimal)
    return table.select(priced_item=table[costs.item].cast("string").strip(), rate=number)


def _canonical(opened: SourceTable, declared: Events, config: Config) -> ir.Table:
    zone = values.zone_of(declared.zone, config)
    currency = values.currency_of(opened, declared, config.company)
    table = _computed(opened, declared, config, zone)
    # Staged, else amounts would be converted again wherever their sign matters.
    codes = _codes(table, declared, currency)
    table = engine.stage(table.mutate(**{_ours(n): _number(table, declared, n, currency, codes) for n in NUMBERS}))
    marks, codes = _marked(table, declared), _codes(table, declared, currency)
    numbers = {name: table[_ours(name)] for name in NUMBERS}
    raw_id = table[RAW_ID]
    faults = _time_faults(table, declared, config, zone) + _number_faults(table, declared, currency, codes, marks, numbers)
    if opened.source.record_id:
        faults = [(raw_id.isnull(), opened.source.record_id, values.NO_RECORD), *faults]
    kind, texts = _kind_of(table, declared, numbers["amount"]), {n: _text(table, getattr(declared, n)) for n in TEXTS}
    texts["order_id"] = _order_id(table, declared, kind, texts["order_id"])
    texts |= {"topic": ibis.literal(declared.question)} if declared.question else {}
    row = table.select(
        source=ibis.literal(opened.name), raw_id=raw_id, source_row=table[engine.ROW].cast("int64"), source_file=table[engine.FILE],
        occurred_at=ibis.cases((~values.placeholder(table[AT], zone), table[AT])),
        channel=_channel(table, declared, opened.source.kind), event_type=kind, **texts, **numbers,
        own_brand=_flag(table, declared.own_brand), machine=_flag(table, declared.machine),
        duration_hours=_hours(table, declared, zone), event_id=_text(table, declared.event_id),
        fault_number=ibis.cases(*[(fault[0], i) for i, fault in enumerate(faults)], else_=ibis.null("int8")),
    )  # fmt: skip
    row = engine.stage(row)
    row = row.mutate(fault=_told(row.fault_number, faults, 1), reason=_told(row.fault_number, faults, 2)).drop("fault_number")
    return _without_repeats(row, declared)


def _computed(opened: SourceTable, declared: Events, config: Config, zone: str) -> ir.Table:
    """The rows of a declaration: blanks around cells cut off, empty cells missing, and every conversion that costs something done once."""
    # Staged, else the engine would cut the same blanks off again wherever a later step looks at the cell.
    table, decimal = engine.stage(_bare(opened.table)), opened.source.decimal
    plain = {_plain(c): engine.plain_number(table[c], decimal) for _, c in _number_columns(declared)}
    table = engine.stage(table.mutate(**plain))
    if not zone and values.is_naive(table[declared.at], declared.at_format):
        raise values.naive_times(opened.name, declared.at, f"all {opened.rows:,} rows")
    if declared.where:
        table = table.filter(values.matches(table[declared.where.column], declared.where.values))
    times = {AT: declared.at, **({ENDS: declared.ends_at} if declared.ends_at else {})}
    made = {n: engine.parse_moment(table[c], declared.at_format, zone, declared.since) for n, c in times.items()}
    for name, column in _number_columns(declared):
        parse = engine.parse_money if name in MONEY else engine.parse_number
        made[_parsed(name, column)] = parse(table[column], decimal, table[_plain(column)])
    for column, mark in _marks(table, declared).items():
        made[mark] = ibis.cases((table[_plain(column)].isnull(), engine.currency_mark(table[column])))
    key = opened.source.record_id
    made[RAW_ID] = engine.parse_code(table[key]) if key else ibis.null("string")
    table = table.mutate(**made, **{KIND: _event_type(table, declared.type)})
    return engine.stage(table.filter(table[KIND].notnull()) if isinstance(declared.type, TypeColumn) else table)


def _bare(table: ir.Table) -> ir.Table:
    texts = [c for c, kind in table.schema().items() if kind.is_string() and c not in (engine.ROW, engine.FILE)]
    return table.mutate(**{c: engine.trimmed(table[c]).nullif("") for c in texts})


def _number_columns(declared: Events) -> list[tuple[str, str]]:
    """(our name, column) of every number of a declaration; several columns add up to one discount."""
    named = [(name, getattr(declared, name)) for name in NUMBERS]
    return [(n, c) for n, columns in named for c in ((columns,) if isinstance(columns, str) else columns or ())]


def _ours(name: str) -> str:
    return f"_workbench_{name}"


def _plain(column: str) -> str:
    return f"_workbench_plain_{column}"


def _parsed(name: str, column: str) -> str:
    return f"_workbench_{name}_{column}"


def _marks(table: ir.Table, declared: Events) -> dict[str, str]:
    """Column of amounts written as text -> our column with the currency mark beside each."""
    return {c: f"_workbench_mark_{c}" for name, c in _number_columns(declared) if name in MONEY and table[c].type().is_string()}


def _marked(table: ir.Table, declared: Events) -> dict[str, ir.StringValue]:
    return {column: table[mark] for column, mark in _marks(table, declared).items()}


def _codes(table: ir.Table, declared: Events, currency: values.Currency) -> dict[str, ir.StringValue | None]:
    marks = _marked(table, declared)
    return {column: currency.code(table, marks.get(column)) for _, column in _number_columns(declared)}


def _number(
    table: ir.Table, declared: Events, name: str, currency: values.Currency, codes: Mapping[str, ir.StringValue | None]
) -> ir.Value:
    """One of NUMBERS: money in the company's currency, several columns added up, a score as a plain number."""
    parsed = [(table[_parsed(n, c)], codes[c]) for n, c in _number_columns(declared) if n == name]
    if name in MONEY:
        return _total([currency.convert(amount, code) for amount, code in parsed])
    total = _total([number for number, _ in parsed])
    return total.cast("float64") if name == "score" else total


def _kinds(declared: Events) -> tuple[str, ...]:
    return tuple(declared.type.values.values()) if isinstance(declared.type, TypeColumn) else (declared.type,)


def _kind_of(table: ir.Table, declared: Events, amount: ir.DecimalValue) -> ir.StringValue:
    """The event type; an order line with a negative amount is a return."""
    if not declared.amount or "order" not in _kinds(declared):
        return table[KIND]
    return ibis.cases(((table[KIND] == "order") & (amount < 0), ibis.literal("return")), else_=table[KIND])


def _order_id(table: ir.Table, declared: Events, kind: ir.StringValue, given: ir.StringValue) -> ir.StringValue:
    """Order lines without a number belong together when they happened at one moment."""
    if not {"order", "return"} & set(_kinds(declared)):
        return given
    moment = table[AT].cast("string")
    return ibis.coalesce(given, ibis.cases((kind.isin(["order", "return"]), moment)))


def _hours(table: ir.Table, declared: Events, zone: str) -> ir.FloatingValue:
    """How long an event lasted; missing where it has not ended."""
    if not declared.ends_at:
        return ibis.null("float64")
    ends = ibis.cases((~values.placeholder(table[ENDS], zone), table[ENDS]))
    return (ends.epoch_seconds() - table[AT].epoch_seconds()).cast("float64") / 3600


def _time_faults(table: ir.Table, declared: Events, config: Config, zone: str) -> Faults:
    at, found = table[AT], []
    for name, column in ((AT, declared.at), (ENDS, declared.ends_at)):
        if not column:
            continue
        unread = table[name].isnull() & table[column].notnull()
        if not zone and table[column].type().is_string():
            elsewhere = engine.parse_moment(table[column], declared.at_format, "UTC", declared.since)
            found.append((unread & elsewhere.notnull(), column, values.NAIVE))
        found.append((unread, column, values.NOT_A_TIME))
    found += [
        (at.isnull(), declared.at, values.NO_TIME),
        (values.placeholder(at, zone), declared.at, values.PLACEHOLDER),
        (values.is_after(at, values.latest_moment(config)), declared.at, values.AFTER),
    ]
    if declared.ends_at:
        found.append((table[ENDS] < at, declared.ends_at, values.ENDS_EARLY))
    return found


def _number_faults(
    table: ir.Table,
    declared: Events,
    currency: values.Currency,
    codes: Mapping[str, ir.StringValue | None],
    marks: Mapping[str, ir.StringValue],
    numbers: Mapping[str, ir.Value],
) -> Faults:
    found: Faults = []
    for name, column in _number_columns(declared):
        number, code = table[_parsed(name, column)], codes[column]
        found.append((number.isnull() & table[column].notnull(), column, values.NOT_A_NUMBER))
        if name in MONEY and code is not None:
            if declared.currency and column in marks:
                found.append((currency.clashes(code, marks[column]), column, values.TWO_CURRENCIES))
            found.append((number.notnull() & currency.is_unrated(code), declared.currency or column, values.UNRATED))
    if declared.score_range:
        found.append((~numbers["score"].between(*declared.score_range), declared.score, values.OUTSIDE))
    return found


def _told(number: ir.IntegerValue, faults: Faults, part: int) -> ir.StringValue:
    """The column or the reason of a row's first fault; missing where it has none."""
    named = [(number == i, ibis.literal(fault[part])) for i, fault in enumerate(faults)]
    return ibis.cases((number.isnull(), ibis.null("string")), *named, else_=ibis.null("string"))


def _without_repeats(row: ir.Table, declared: Events) -> ir.Table:
    """Of events with one event_id the first sound one stays as it is; the others get REPEAT as their reason."""
    if declared.event_id:
        place = ibis.row_number().over(
            ibis.window(group_by=row.event_id, order_by=[row.reason.notnull(), row.source_file, row.source_row])
        )
        row = row.mutate(place=place)
        is_repeat = row.event_id.notnull() & row.reason.isnull() & (row.place > 0)
        row = row.mutate(reason=ibis.cases((is_repeat, ibis.literal(values.REPEAT)), else_=row.reason)).drop("place")
    told = row.reason.notnull() | row.text.notnull()
    return row.mutate(source_file=ibis.cases((told, row.source_file))).drop("event_id")


def _event_type(table: ir.Table, declared: str | TypeColumn) -> ir.StringValue:
    if isinstance(declared, str):
        return ibis.literal(declared)
    word = table[declared.column].cast("string")
    return ibis.cases(
        *[(word == theirs, ibis.literal(ours)) for theirs, ours in declared.values.items()], else_=ibis.null("string")
    )


def _channel(table: ir.Table, declared: Events, kind: str) -> ir.StringValue:
    if isinstance(declared.channel, ChannelColumn):
        return table[declared.channel.column].cast("string").lower().fill_null(kind)
    return ibis.literal(declared.channel or kind)


def _flag(table: ir.Table, match: Match | None) -> ir.BooleanValue:
    return values.matches(table[match.column], match.values) if match else ibis.literal(False)


def _text(table: ir.Table, column: str | None) -> ir.StringValue:
    return table[column].cast("string") if column else ibis.null("string")


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
