"""Features of customers whom a finished run did not know, counted as that run counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from workbench.core.config import Source
from workbench.core.engine import fetch, fetch_row, together
from workbench.features import matrix
from workbench.features.window import Window

ORDERED = ("item", "quantity", "category", "cost", "discount", "own_brand")


def further_features(run: Any, scored: Any) -> pd.DataFrame:
    """A finished run and one that has ingested further customers -> what notebook 02 calls features, indexed by those with an order.

    Categories, topics and channels are the run's, as far as the sources of the further customers have them. Shares are drawn towards the
    average of everybody, so the run's other customers are counted beside them: alone, twenty newcomers would be compared with each other.
    """
    mine, theirs = scored.read_events(), run.read_on(scored.engine, "events")
    own = _plan(scored, mine)
    plan = _of_sources(_plan(run, theirs), own, scored)
    customers, people, texts = (scored.read(name) for name in ("customers", "people", "private/texts"))
    events = _beside(mine, theirs, round((scored.config.as_of - run.config.as_of).days / 7))
    everybody = matrix.prepared(events, own.window.zone, customers, people, texts)
    features = matrix.build_features(everybody, plan, plan.window).set_index("customer_id")
    return features[features.index.isin(fetch(mine.select("customer_id").distinct()).customer_id)]


def _plan(run: Any, events: ir.Table) -> matrix.Plan:
    config, zone = run.config, run.config.company.zone
    known = matrix.prepared(events, zone, run.read("customers"), run.read("people"), run.read("private/texts"))
    window = Window(config.as_of, config.features.window_days, zone)
    return matrix.plan_features(known, window, config.features, config.attributes, config.names)


def _of_sources(plan: matrix.Plan, own: matrix.Plan, scored: Any) -> matrix.Plan:
    """A run's plan without what the further customers' sources do not have: it is missing, not zero.

    A source that saw nothing of a few customers is there all the same.
    """
    there = set(own.types).union(*(_declared(source) for source in scored.config.sources.values()))
    columns = {False: set(scored.read("customers")), True: set(scored.read("people"))}
    return replace(
        plan,
        window=own.window,
        types=tuple(kind for kind in plan.types if kind in there),
        columns=plan.columns & (own.columns | there) | own.columns & {"dates"},
        topics=replace(plan.topics, needs=tuple(need for need in plan.topics.needs if need[0] in there)),
        language=plan.language if len(scored.read("private/texts")) else None,
        attributes=tuple(a for a in plan.attributes if a.name in columns[a.of_people]),
        growth={now: before for now, before in plan.growth.items() if {now, before} <= columns[False]},
        has_people=own.has_people,
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
