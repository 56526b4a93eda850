"""Source records: who is in each system, since when, with which identifiers."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

import ibis
import ibis.expr.types as ir
import pandas as pd

from workbench.core import engine
from workbench.core.config import IDENTIFIERS, PERSONAL, Config, Source
from workbench.ingest.sources import SourceTable
from workbench.ingest.standardize import standardize

NAMED_BY_PERSON = ("email", "phone", "handle")


def pseudonym(key: bytes, text: str) -> str:
    """Keyed, stable, irreversible without the key: the first 16 hex digits of HMAC-SHA256."""
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:16]


def record_column(source: Source) -> str | None:
    """The record column when it names a person (an e-mail as key): such a key never leaves private/ in the clear."""
    return next((k for k in NAMED_BY_PERSON if source.record_id and source.identity.get(k) == source.record_id), None)


def seen_at(opened: SourceTable, zone: str) -> ir.Value:
    """When the row saw its record: created_at where declared, else the event's time, else always."""
    source, table = opened.source, opened.table
    if source.created_at:
        return engine.parse_moment(table[source.created_at], "iso", zone)
    moments = [engine.parse_moment(table[e.at], e.at_format, e.zone or zone) for e in source.events]
    return ibis.coalesce(*moments) if moments else ibis.null(engine.MOMENT)


def collect_records(sources: Mapping[str, SourceTable], config: Config, key: bytes) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sources -> (records, identifiers).

    records: source, record_id, raw_id, first_seen_at; one row per record, sorted.
    identifiers: source, record_id, identifier (email, phone, …), value (standard spelling), raw, seen_at; sorted.
    """
    records, identifiers = [], []
    for opened in sources.values():
        if opened.source.record_id:
            frame = _rows_of(opened, config)
            frame["record_id"] = _ids(frame.raw_id, opened.source, key)
            records.append(frame.groupby(["source", "record_id", "raw_id"], as_index=False).seen_at.min())
            identifiers.append(_identifiers_of(frame, config))
    everyone = pd.concat(records, ignore_index=True).rename(columns={"seen_at": "first_seen_at"})
    known = pd.concat(identifiers, ignore_index=True)
    return everyone.sort_values(["source", "record_id"], ignore_index=True), known.sort_values(
        ["source", "record_id", "identifier", "value"], ignore_index=True
    )


def _rows_of(opened: SourceTable, config: Config) -> pd.DataFrame:
    """Distinct (record, identifiers) of a source with the first moment each was seen; grouped on the engine."""
    table, source = opened.table, opened.source
    chosen = {kind: table[column].cast("string") for kind, column in source.identity.items() if kind in IDENTIFIERS}
    raw_id = table[source.record_id].cast("string").strip()
    plain = table.select(raw_id=raw_id.nullif(""), seen_at=seen_at(opened, config.company.zone), **chosen)
    plain = plain.filter(plain.raw_id.notnull())
    frame = engine.fetch(plain.group_by("raw_id", *chosen).agg(seen_at=plain.seen_at.min()))
    return frame.assign(source=opened.name)


def _ids(raw: pd.Series, source: Source, key: bytes) -> pd.Series:
    if not record_column(source):
        return raw
    return raw.map({value: pseudonym(key, f"record:{value.strip().lower()}") for value in raw.unique()})


def _identifiers_of(frame: pd.DataFrame, config: Config) -> pd.DataFrame:
    parts = []
    for kind in [c for c in frame.columns if c in IDENTIFIERS]:
        known = frame[["source", "record_id", "seen_at", kind]].dropna(subset=[kind]).rename(columns={kind: "raw"})
        known = known.assign(identifier=kind, value=standardize(kind, known.raw, config.company.region))
        parts.append(
            known.groupby(["source", "record_id", "identifier", "value", "raw"], dropna=False, as_index=False).seen_at.min()
        )
    columns = ["source", "record_id", "identifier", "value", "raw", "seen_at"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def personal_columns(source: Source) -> dict[str, str]:
    """The declared personal data of a source: our name -> column."""
    return {k: c for k, c in source.identity.items() if k in PERSONAL or k in ("email", "phone")}
