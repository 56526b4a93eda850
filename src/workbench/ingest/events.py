"""What happened: every declared event of every source in one shape, on the engine, tied to customers."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa

from workbench.core import engine
from workbench.core.config import Config
from workbench.core.errors import InputError
from workbench.ingest import values
from workbench.ingest.convert import FACTS, RAW_ID, column_of, moment_of, picks_rows, table_with_events
from workbench.ingest.sources import SourceTable
from workbench.ingest.stops import check_as_of, check_events

ORDER = (
    "customer_id", "customer_number", "occurred_at", "source", "channel", "event_type", "order_id", "item", "category", "subcategory", "quantity",
    "amount", "discount", "cost", "campaign_id", "topic", "score", "own_brand", "machine", "duration_hours",
)  # fmt: skip
WORDS = ("source", "channel", "event_type", "category", "subcategory", "campaign_id", "topic")


def read_events(con: Any, sources: Mapping[str, SourceTable], config: Config) -> ir.Table:
    """Every source's events, kept on the engine; raises InputError for what no row may decide.

    That is: times without a zone, currencies without a rate, two decimal marks in one column, nothing before as_of.
    """
    events = all_events(con, sources, config)
    check_events(sources, events, config)
    check_as_of(events, config)
    return events


def all_events(con: Any, sources: Mapping[str, SourceTable], config: Config) -> ir.Table:
    """Every source's events under one another, each converted once; raises InputError where no source has any."""
    parts = [part for opened in sources.values() for part in _kept_events(con, opened, config)]
    if not parts:
        raise InputError(
            "no source declares events.",
            "Without what customers did there is nothing to describe.",
            "say in the configuration what a source's rows are:\n  sources: {NAME: {events: [{type: order, at: COLUMN, amount: COLUMN}]}}",
        )
    return engine.as_view(con, engine.together(parts), "events")


def _kept_events(con: Any, opened: SourceTable, config: Config) -> list[ir.Table]:
    """The events of a source's declarations, in files: those that were converted when they were read are in some."""
    return [
        part
        if opened.has_events and not declared.event_id
        else engine.materialize(con, part, f"events_{opened.name}_{place}", on_disk=True)
        for place, (declared, part) in enumerate(zip(opened.source.events, declared_events(opened, config), strict=True))
    ]


def declared_events(opened: SourceTable, config: Config) -> list[ir.Table]:
    """One source -> one expression per declaration: the canonical columns without customer_id, plus raw_id and four more.

    fault and reason: the first column whose value could not be used, and why; such rows go to quarantine. A repeat of an event has
    a reason and no fault. source_row, source_file (only with a reason or a text): where the row stands.
    """
    table = table_with_events(opened, config)
    return [_of_declaration(opened, table, place, config) for place in range(len(opened.source.events))]


def _of_declaration(opened: SourceTable, table: ir.Table, place: int, config: Config) -> ir.Table:
    declared = opened.source.events[place]
    if not values.zone_of(declared.zone, config) and values.is_naive(table[declared.at], declared.at_format):
        raise values.naive_times(opened.name, declared.at, f"all {opened.rows:,} rows")
    row = table.filter(table[column_of(place, "event_type")].notnull()) if picks_rows(declared) else table
    row = row.select(
        source=ibis.literal(opened.name), raw_id=row[RAW_ID], source_row=row[engine.ROW].cast("int64"), source_file=row[engine.FILE],
        occurred_at=row[moment_of(opened.source, place)], **{fact: row[column_of(place, fact)] for fact in FACTS},
    )  # fmt: skip
    # Told here, since a row that lay ahead last month need not do so today.
    # Not isin, which the engine turns into a join for every list.
    is_worse = functools.reduce(operator.or_, (row.reason == reason for reason in values.BEFORE_AFTER)).fill_null(False)
    ahead = values.is_after(row.occurred_at, values.latest_moment(config)) & ~is_worse
    row = row.mutate(
        fault=ibis.cases((ahead, ibis.literal(declared.at)), else_=row.fault),
        reason=ibis.cases((ahead, ibis.literal(values.AFTER)), else_=row.reason),
    )
    row = _without_repeats(row) if declared.event_id else row
    told = row.reason.notnull() | row.text.notnull()
    return row.mutate(source_file=ibis.cases((told, row.source_file))).drop("event_id")


def tie_to_customers(con: Any, events: ir.Table, records: pd.DataFrame, identities: pd.DataFrame) -> ir.Table:
    """Sound events -> the events table: each with its record's customer_id, in one fixed order.

    records: source, record_id, raw_id; identities: source, record_id, customer_id. Rows in one order whatever the files' own.
    """
    sound = events.filter(events.reason.isnull())
    fixed = {c: value for c, value in engine.constants(sound).items() if c in ORDER}
    # Of all events: to tell the sound ones would be computed again for each column.
    words = engine.few_words(events, [c for c in WORDS if c not in fixed])
    tied = _with_owners(con, sound, records, identities).select(*[c for c in ORDER if c not in fixed])
    return engine.with_constants(engine.in_order(tied, ["customer_number", "occurred_at"], words), fixed, ORDER)


def texts_of_customers(con: Any, events: ir.Table, records: pd.DataFrame, identities: pd.DataFrame) -> pd.DataFrame:
    """What customers wrote -> frame: source, file, row, customer_id, occurred_at, event_type, topic, text; for private/ alone."""
    written = _with_owners(con, events.filter(events.reason.isnull(), events.text.notnull()), records, identities)
    chosen = written.select(
        "source", "customer_id", "occurred_at", "event_type", "topic", "text", file=written.source_file, row=written.source_row
    )
    chosen = chosen.filter(chosen.customer_id.notnull())
    return engine.fetch(chosen.order_by(["source", "file", "row", "event_type"]))


def _with_owners(con: Any, events: ir.Table, records: pd.DataFrame, identities: pd.DataFrame) -> ir.Table:
    """Events with customer_id and customer_number, its place among all in their order: a number sorts and groups quicker than a text."""
    known = records.merge(identities[["source", "record_id", "customer_id"]], on=["source", "record_id"])
    known["customer_number"] = pd.factorize(known.customer_id, sort=True)[0].astype("int64")
    columns = known[["source", "raw_id", "customer_id", "customer_number"]]
    owners = engine.as_table(con, pa.Table.from_pandas(columns, preserve_index=False), "owners")
    return events.left_join(owners, ["source", "raw_id"])


def add_costs(con: Any, events: ir.Table, sources: Mapping[str, SourceTable]) -> ir.Table:
    """Order lines without a cost get amount x the item's cost rate, where a finance source declares one."""
    rates = [_rates(opened) for opened in sources.values() if opened.source.costs]
    if not rates:
        return events
    table = engine.together(rates)
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
    number = engine.parse_number(table[costs.rate], opened.source.decimal)
    return table.select(priced_item=table[costs.item].cast("string").strip(), rate=number)


def _without_repeats(row: ir.Table) -> ir.Table:
    """Of events with one event_id the first sound one stays as it is; the others get REPEAT as their reason."""
    place = ibis.row_number().over(
        ibis.window(group_by=row.event_id, order_by=[row.reason.notnull(), row.source_file, row.source_row])
    )
    row = row.mutate(place=place)
    is_repeat = row.event_id.notnull() & row.reason.isnull() & (row.place > 0)
    return row.mutate(reason=ibis.cases((is_repeat, ibis.literal(values.REPEAT)), else_=row.reason)).drop("place")
