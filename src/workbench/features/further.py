"""Features of customers whom a finished run did not know, counted as that run counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from workbench.core.config import Source
from workbench.core.engine import fetch_row, together
from workbench.features import matrix
from workbench.features.tally import tally_events
from workbench.features.window import Window

ORDERED = ("item", "quantity", "category", "cost", "discount", "own_brand")


def further_features(run: Any, scored: Any) -> pd.DataFrame:
    """A finished run and one that has ingested further customers -> what notebook 02 calls features, indexed by those with an order.

    Categories, topics and channels are the run's, as far as the sources of the further customers have them. Shares are drawn towards the
    average of everybody, so the run's other customers are counted beside them: alone, twenty newcomers would be compared with each other.
    """
    mine, theirs = scored.read_events(), run.read_on(scored.engine, "events")
    known, window = _known(scored, mine), _window(scored)
    planned = matrix.plan_features(
        _known(run, theirs), _window(run), run.config.features, run.config.attributes, run.config.names
    )
    plan = _of_sources(planned, known, window, scored.config.sources.values())
    events = _beside(mine, theirs, round((scored.config.as_of - run.config.as_of).days / 7))
    everybody = matrix.prepared(events, window.zone, known.customers, known.people, known.texts)
    features = matrix.build_features(everybody, plan, window).set_index("customer_id")
    features = features[features.index.isin(known.ids)]
    matrix.check_orders(len(features), len(known.customers), window)
    return features


def _known(run: Any, events: ir.Table) -> matrix.Known:
    return matrix.prepared(events, run.config.company.zone, run.read("customers"), run.read("people"), run.read("private/texts"))


def _window(run: Any) -> Window:
    return Window(run.config.as_of, run.config.features.window_days, run.config.company.zone)


def _of_sources(plan: matrix.Plan, known: matrix.Known, window: Window, sources: Iterable[Source]) -> matrix.Plan:
    """A run's plan without what the further customers' sources do not have: it is missing, not zero.

    A source that saw nothing of a few customers is there all the same.
    """
    happened = window.events(known.events)
    tally = tally_events(happened)
    found = matrix.columns_of(tally, happened)
    there = found.union(tally.event_type, *(_declared(source) for source in sources))
    columns = {False: set(known.customers), True: set(known.people)}
    return replace(
        plan,
        window=window,
        types=tuple(kind for kind in plan.types if kind in there),
        columns=plan.columns & there | found & {"dates"},
        topics=replace(plan.topics, needs=tuple(need for need in plan.topics.needs if need[0] in there)),
        language=plan.language if len(known.texts) else None,
        attributes=tuple(a for a in plan.attributes if a.name in columns[a.of_people]),
        growth={now: before for now, before in plan.growth.items() if {now, before} <= columns[False]},
        has_people=len(known.people) > 0,
    )


def _declared(source: Source) -> set[str]:
    """Event types, and what is told of them (see `matrix.Plan`), that a source is declared to have."""
    found: set[str] = set()
    for events in source.events:
        found |= set(events.kinds) | {f"{kind}.score" for kind in events.kinds if events.score}
        if "order" in events.kinds:
            found |= {"return", "lines"} | {column for column in ORDERED if getattr(events, column)}
            found |= {"cost"} if source.costs else set()
        if events.ends_at:
            found |= {f"{kind}.hours" for kind in events.kinds}
    return found


def _beside(mine: ir.Table, theirs: ir.Table, weeks: int) -> ir.Table:
    """Events, and those of a run's other customers so many weeks later: whole weeks, or weekends would be other days."""
    others = theirs.filter(theirs.customer_id.notnull()).anti_join(mine.select("customer_id").distinct(), "customer_id")
    first = (fetch_row(mine.agg(last=mine.customer_number.max()))["last"] or 0) + 1
    moved = {"occurred_at": others.occurred_at + ibis.interval(weeks=weeks), "customer_number": others.customer_number + first}
    return together([mine, others.mutate(**moved)])
