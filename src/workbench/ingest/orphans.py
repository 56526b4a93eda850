"""Events of people that no master system knows."""

from __future__ import annotations

from collections.abc import Mapping

import ibis.expr.types as ir
import pandas as pd

from workbench.core import engine
from workbench.core.config import Source
from workbench.core.errors import InputError

MASTERS = ("crm", "loyalty", "finance")
OF_PEOPLE = ("pos", "email", "marketing_automation", "tickets", "survey", "loyalty")


def master_sources(sources: Mapping[str, Source]) -> list[str]:
    """Sources that say who the customers are: crm, loyalty or finance with more about a record than its number."""
    return [
        name
        for name, source in sources.items()
        if source.kind in MASTERS and source.record_id and (source.profile or set(source.identity.values()) - {source.record_id})
    ]


def orphan_share(events: ir.Table, identities: pd.DataFrame, sources: Mapping[str, Source], limit: float) -> pd.DataFrame:
    """Written events -> frame: source, events, orphans, share, for sources of people where a master source exists.

    An orphan belongs to no customer with a record in a master source. identities: source, customer_id. Raises InputError where a
    source's share is above `limit`.
    """
    masters = master_sources(sources)
    asked = [n for n, s in sources.items() if s.events and s.kind in OF_PEOPLE and n not in masters] if masters else []
    if not asked:
        return pd.DataFrame(columns=["source", "events", "orphans", "share"])
    known = identities.customer_id[identities.source.isin(masters)].unique()
    mine = events.filter(events.source.isin(asked)).group_by("source", "customer_id").agg(events=lambda t: t.count())
    counted = engine.fetch(mine.order_by(["source", "customer_id"]))
    counted["orphans"] = counted.events.where(~counted.customer_id.isin(known), 0)
    found = counted.groupby("source", as_index=False)[["events", "orphans"]].sum()
    found["share"] = found.orphans / found.events
    over = found[found.share > limit]
    if len(over):
        lines = [
            f'source "{r.source}": {r.orphans:,} of {r.events:,} events ({r.share:.1%}) belong to nobody that {", ".join(masters)} know.'
            for r in over.itertuples()
        ]
        names = ", ".join(over.source)
        raise InputError(
            "\n".join(lines),
            f"More than ingest.max_orphan_share = {limit:.0%} would describe strangers; mostly the keys do not match.",
            f"compare sources.<name>.identity of {names} with that of {', '.join(masters)} (same number, same spelling?)\n"
            "or, if most buyers are strangers, raise ingest.max_orphan_share",
        )
    return found
