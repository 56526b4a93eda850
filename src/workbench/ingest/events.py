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
from workbench.ingest.sources import SourceTable

TEXTS = ("order_id", "item", "category", "subcategory", "campaign_id", "topic")
AMOUNTS = ("quantity", "amount", "cost")
ORDER = (
    "customer_id", "occurred_at", "source", "channel", "event_type", "order_id", "item", "category", "subcategory", "quantity",
    "amount", "discount", "cost", "campaign_id", "topic", "score", "own_brand", "machine",
)  # fmt: skip


def declared_events(opened: SourceTable, zone: str) -> list[ir.Table]:
    """One source -> one expression per declaration: the canonical columns without customer_id, plus raw_id, source_row, fault.

    fault names the first column whose value could not be converted; such rows go to quarantine.
    """
    return [_canonical(opened, events, zone) for events in opened.source.events]


def all_events(sources: Mapping[str, SourceTable], config: Config) -> ir.Table:
    """Every source's events under one another."""
    parts = [part for opened in sources.values() for part in declared_events(opened, config.company.zone)]
    return ibis.union(*parts) if len(parts) > 1 else parts[0]


def tie_to_customers(con: Any, events: ir.Table, records: pd.DataFrame, identities: pd.DataFrame) -> ir.Table:
    """Sound events -> the events table: each with its record's customer_id, in one fixed order.

    records: source, record_id, raw_id; identities: source, record_id, customer_id.
    """
    known = records.merge(identities[["source", "record_id", "customer_id"]], on=["source", "record_id"])
    owners = engine.as_table(
        con, pa.Table.from_pandas(known[["source", "raw_id", "customer_id"]], preserve_index=False), "owners"
    )
    sound = events.filter(events.fault.isnull())
    tied = sound.left_join(owners, ["source", "raw_id"])
    return tied.select(*ORDER).order_by(list(ORDER))


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
    """Events with a fault -> frame: source, source_row, column (no values: they may be personal)."""
    bad = events.filter(events.fault.notnull()).select("source", "source_row", column=events.fault)
    return engine.fetch(bad.order_by(["source", "source_row", "column"]))


def count_events(events: ir.Table) -> pd.DataFrame:
    """-> event_type, events, with_customer (share tied to a customer or visitor), first, last (UTC days)."""
    counted = events.group_by("event_type").agg(
        events=events.count(),
        with_customer=events.customer_id.notnull().mean(),
        first=events.occurred_at.min().date(),
        last=events.occurred_at.max().date(),
    )
    return engine.fetch(counted.order_by(ibis.desc("events"), "event_type"))


def latest_events(events: ir.Table) -> pd.Series:
    """-> last moment per source."""
    return engine.fetch(events.group_by("source").agg(last=events.occurred_at.max()).order_by("source")).set_index("source")[
        "last"
    ]


def _rates(opened: SourceTable) -> ir.Table:
    costs, table = opened.source.costs, opened.table
    number = engine.parse_number(table[costs.rate], opened.source.decimal)
    return table.select(priced_item=table[costs.item].cast("string").strip(), rate=number)


def _canonical(opened: SourceTable, declared: Events, zone: str) -> ir.Table:
    table, source = opened.table, opened.source
    if declared.where:
        table = table.filter(_matches(table, declared.where))
    moment = engine.parse_moment(table[declared.at], declared.at_format, declared.zone or zone)
    kind = _event_type(table, declared.type)
    numbers = {name: (getattr(declared, name),) if getattr(declared, name) else () for name in AMOUNTS}
    numbers["discount"] = (declared.discount,) if isinstance(declared.discount, str) else tuple(declared.discount or ())
    numbers["score"] = (declared.score,) if declared.score else ()
    faults = [(moment.isnull(), declared.at)]
    values = {}
    for name, columns in numbers.items():
        parsed = [engine.parse_number(table[c], source.decimal) for c in columns]
        faults += [(p.isnull() & _filled(table[c]), c) for p, c in zip(parsed, columns, strict=True)]
        values[name] = _total(parsed)
    values["score"] = values["score"].cast("float64")
    raw_id = table[source.record_id].cast("string").strip().nullif("") if source.record_id else ibis.null("string")
    if source.record_id:
        faults.append((raw_id.isnull(), source.record_id))
    texts = {name: _text(table, getattr(declared, name)) for name in TEXTS}
    # Order lines without a number belong together when they happened at one moment.
    numbered = kind.notin(["order", "return"]) | texts["order_id"].notnull()
    texts["order_id"] = ibis.cases((numbered, texts["order_id"]), else_=moment.cast("string"))
    return table.filter(kind.notnull()).select(
        source=ibis.literal(opened.name), raw_id=raw_id, source_row=table[engine.ROW].cast("int64"), occurred_at=moment,
        channel=_channel(table, declared, source.kind), event_type=kind,
        **texts, **values,
        own_brand=_flag(table, declared.own_brand), machine=_flag(table, declared.machine),
        fault=ibis.cases(*[(bad, ibis.literal(column)) for bad, column in faults], else_=ibis.null("string")),
    )  # fmt: skip


def _event_type(table: ir.Table, declared: str | TypeColumn) -> ir.StringValue:
    if isinstance(declared, str):
        return ibis.literal(declared)
    word = table[declared.column].cast("string").strip()
    return ibis.cases(
        *[(word == theirs, ibis.literal(ours)) for theirs, ours in declared.values.items()], else_=ibis.null("string")
    )


def _channel(table: ir.Table, declared: Events, kind: str) -> ir.StringValue:
    if isinstance(declared.channel, ChannelColumn):
        return table[declared.channel.column].cast("string").strip().lower().nullif("").fill_null(kind)
    return ibis.literal(declared.channel or kind)


def _matches(table: ir.Table, match: Match) -> ir.BooleanValue:
    return table[match.column].cast("string").strip().isin(list(match.values))


def _flag(table: ir.Table, match: Match | None) -> ir.BooleanValue:
    return _matches(table, match).fill_null(False) if match else ibis.literal(False)


def _text(table: ir.Table, column: str | None) -> ir.StringValue:
    return table[column].cast("string").strip().nullif("") if column else ibis.null("string")


def _filled(column: ir.Column) -> ir.BooleanValue:
    return column.cast("string").strip().nullif("").notnull()


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
