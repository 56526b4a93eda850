"""Source records: who is in each system, since when, with which identifiers."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

import ibis
import ibis.expr.types as ir
import pandas as pd

from workbench.core import engine
from workbench.core.config import IDENTIFIERS, PERSONAL, Config, Source
from workbench.ingest.convert import moment_of, picks_rows, table_with_events
from workbench.ingest.sources import PERSON_KINDS, SourceTable
from workbench.ingest.standardize import split_full_name, standardize
from workbench.ingest.values import created_moment

ACCOUNT_KINDS = ("crm", "finance", "loyalty", "pos", "marketing_automation")
NAMED_BY_PERSON = ("email", "phone", "handle")
CODES = ("customer_number", "loyalty_id", "account_number")
COMPARED = (
    "given_name",
    "family_name",
    "full_name",
    "birth_date",
    "street",
    "organisation",
)  # a record with any of them is compared
ADDRESS = ("house_number", "street", "address_line_2", "postcode", "city", "state", "country")
PERSON = ("given_name", "family_name", "full_name", "birth_date", "email", "phone", *ADDRESS)
ORGANISATION = ("organisation", "domain", "phone", *ADDRESS)
HOUSE_NUMBER = r"(?:^|\s)(\d+\w?)(?=\s|$)"


def pseudonym(key: bytes, text: str) -> str:
    """Keyed, stable, irreversible without the key: the first 16 hex digits of HMAC-SHA256."""
    return hmac.digest(key, text.encode(), "sha256").hex()[:16]


def record_column(source: Source) -> str | None:
    """The record column when it names a person (an e-mail as key): such a key never leaves private/ in the clear."""
    return next((k for k in NAMED_BY_PERSON if source.record_id and source.identity.get(k) == source.record_id), None)


def seen_at(opened: SourceTable, table: ir.Table, zone: str) -> ir.Value:
    """When a row (of its table with events) saw its record: created_at where declared, else the event's time, else always."""
    source = opened.source
    if source.created_at:
        return created_moment(opened, zone)
    moments = [table[moment_of(source, place)] for place, _ in enumerate(source.events)]
    return ibis.coalesce(*moments) if moments else ibis.null(engine.MOMENT)


def collect_records(
    sources: Mapping[str, SourceTable], config: Config, key: bytes, events: ir.Table | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sources -> (records, identifiers). events: converted already (see `read_events`), so that their times are not converted twice.

    records: source, record_id, raw_id, first_seen_at; one row per record, sorted.
    identifiers: source, record_id, identifier (email, phone, …), value (standard spelling), raw, seen_at; sorted.
    """
    records, identifiers = [], []
    for _, opened in sorted(sources.items()):
        if opened.source.record_id:
            frame = _rows_of(opened, config, events)
            frame["record_id"] = _ids(frame.raw_id, opened.source, key)
            mine = _first_seen(frame[["source", "record_id", "raw_id", "seen_at"]], ["record_id", "raw_id"])
            records.append(_in_order(mine, ["record_id"]))
            identifiers.append(_in_order(_identifiers_of(frame, config), ["record_id", "identifier", "value"]))
    everyone = pd.concat(records, ignore_index=True).rename(columns={"seen_at": "first_seen_at"})
    return everyone, pd.concat(identifiers, ignore_index=True)


def _in_order(frame: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """A source's rows sorted; one key alone sorts several times quicker, and mostly decides."""
    return frame.sort_values(by[:1] if frame[by[0]].is_unique else by, kind="stable")


def _rows_of(opened: SourceTable, config: Config, events: ir.Table | None) -> pd.DataFrame:
    """Distinct (record, identifiers) of a source with the first moment each was seen; grouped on the engine."""
    source = opened.source
    named = {kind: column for kind, column in source.identity.items() if kind in IDENTIFIERS}
    frame = None
    if events is not None and source.events and not source.created_at and set(named.values()) <= {source.record_id}:
        frame = _seen_in_events(opened, named, events)
    if frame is None:
        table = opened.table if source.created_at else table_with_events(opened, config)
        plain = _identifying(table, source.record_id, named, seen_at=seen_at(opened, table, config.company.zone))
        frame = engine.fetch(plain.group_by("raw_id", *named).agg(seen_at=plain.seen_at.min()))
    return frame.assign(source=opened.name)


def _identifying(table: ir.Table, record_id: str, named: Mapping[str, str], **more: ir.Value) -> ir.Table:
    chosen = {k: engine.parse_code(table[c]) if k in CODES else table[c].cast("string") for k, c in named.items()}
    plain = table.select(raw_id=engine.parse_code(table[record_id]), **chosen, **more)
    return plain.filter(plain.raw_id.notnull())


def _seen_in_events(opened: SourceTable, named: Mapping[str, str], events: ir.Table) -> pd.DataFrame | None:
    """The same where the record number is the only identifier; None where a record has no event with a time."""
    column = opened.source.record_id
    mine = events.filter(events.source == opened.name, events.raw_id.notnull())
    mine = mine.group_by("raw_id").agg(seen_at=mine.occurred_at.min())
    if set(named) <= set(CODES) and not all(picks_rows(declared) for declared in opened.source.events):
        frame = engine.fetch(mine)  # every row is an event, and a code is spelled as the record number is
        return None if frame.seen_at.isna().any() else frame.assign(**dict.fromkeys(named, frame.raw_id))
    numbers = opened.table.select(column).distinct()
    frame = engine.fetch(_identifying(numbers, column, named).distinct().left_join(mine, "raw_id").drop("raw_id_right"))
    return None if frame.seen_at.isna().any() else frame


def _ids(raw: pd.Series, source: Source, key: bytes) -> pd.Series:
    if not record_column(source):
        return raw
    return raw.map({value: pseudonym(key, f"record:{value.strip().lower()}") for value in raw.dropna().unique()})


def _identifiers_of(frame: pd.DataFrame, config: Config) -> pd.DataFrame:
    parts = []
    for kind in [c for c in frame.columns if c in IDENTIFIERS]:
        known = frame[["source", "record_id", "seen_at", kind]].dropna(subset=[kind]).rename(columns={kind: "raw"})
        parts.append(known.assign(identifier=kind, value=standardize(kind, known.raw, config.company.region)))
        if kind == "email" and config.company.kind == "b2b":  # who writes from an organisation's domain is of it
            parts.append(known.assign(identifier="domain", value=standardize("domain", known.raw, "")))
    columns = ["source", "record_id", "identifier", "value", "raw"]
    if not parts:
        return pd.DataFrame(columns=[*columns, "seen_at"])
    both = pd.concat(parts, ignore_index=True)
    both["value"] = both.value.mask((both.identifier == "domain") & both.value.isin(config.identity.free_mail))
    return _first_seen(both[[*columns, "seen_at"]], ["record_id", "identifier", "value", "raw"])


def _first_seen(frame: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """One row for each `by` of a source, with the first moment at which it was seen."""
    if frame[by[0]].is_unique or not frame.duplicated(by[:2]).any():  # mostly, and quick to see
        return frame
    return frame.groupby(["source", *by], dropna=False, as_index=False).seen_at.min()


def collect_people(sources: Mapping[str, SourceTable], identifiers: pd.DataFrame, config: Config, key: bytes) -> pd.DataFrame:
    """What records say of who somebody is, for comparing -> source, record_id + standard spellings of personal attributes.

    identifiers: as `collect_records` gives them; e-mail, phone and domain are taken from there.
    One row per record that has any of them; the first value in the alphabet where a record has several. Sorted. Personal: it
    is never written. house_number is taken from the street where it has no column of its own.
    """
    kinds = ORGANISATION if config.company.kind == "b2b" else PERSON
    parts = [_people_of(opened, config, key, kinds) for opened in sources.values() if _describes(opened.source, kinds)]
    if not parts:
        return pd.DataFrame(columns=["source", "record_id"], dtype="str")
    people = pd.concat(parts, ignore_index=True)
    for kind in [kind for kind in kinds if kind in IDENTIFIERS]:
        known = identifiers[identifiers.identifier == kind].dropna(subset=["value"]).sort_values(["source", "record_id", "value"])
        first = known.drop_duplicates(["source", "record_id"]).rename(columns={"value": kind})
        people = people.merge(first[["source", "record_id", kind]], on=["source", "record_id"], how="left")
    return people.sort_values(["source", "record_id"], ignore_index=True)


def customer_sources(config: Config) -> list[str]:
    """Sources that know customers: people who left their name or card (b2c), organisations (b2b); not cookies or devices."""
    if config.company.kind == "b2b":
        return [n for n, s in config.sources.items() if s.record_is == "customer" and s.kind in ACCOUNT_KINDS]
    return [n for n, s in config.sources.items() if s.kind in PERSON_KINDS]


def counted_sources(config: Config) -> list[str]:
    """Sources of which a record is one customer: not one ticket or answer, and not one of an account's many people."""
    return [n for n, s in config.sources.items() if s.record_is == "customer" and s.kind not in ("tickets", "survey")]


def seen_before(people: pd.DataFrame, records: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """The people whose records were first seen before as_of: later ones teach nothing about who is who."""
    timely = records[~(records.first_seen_at >= as_of)][["source", "record_id"]].drop_duplicates()
    return people.merge(timely, on=["source", "record_id"])


def _describes(source: Source, kinds: tuple[str, ...]) -> bool:
    of_a_customer = kinds == PERSON or source.record_is == "customer"
    return bool(source.record_id and of_a_customer and set(source.identity) & set(COMPARED) & set(kinds))


def _people_of(opened: SourceTable, config: Config, key: bytes, kinds: tuple[str, ...]) -> pd.DataFrame:
    source, table = opened.source, opened.table
    columns = {
        kind: table[column].cast("string") for kind, column in source.identity.items() if kind in kinds and kind in PERSONAL
    }
    frame = engine.fetch(table.select(raw_id=engine.parse_code(table[source.record_id]), **columns).distinct())
    frame = frame.dropna(subset=["raw_id"])
    if "full_name" in frame:
        frame = frame.assign(**split_full_name(frame.pop("full_name")))
    for kind in frame.columns.drop("raw_id"):
        frame[kind] = standardize(kind, frame[kind], config.company.region, source.birth_date_format)
    if "street" in frame and "house_number" not in frame:
        frame["house_number"] = frame.street.str.extract(HOUSE_NUMBER, expand=False)
        frame["street"] = frame.street.str.replace(HOUSE_NUMBER, " ", regex=True, n=1).str.strip().replace("", None)
    frame["record_id"] = _ids(frame.pop("raw_id"), source, key)
    frame = frame.dropna(subset=[c for c in frame.columns if c in COMPARED], how="all")
    if frame.record_id.duplicated().any():
        frame = frame.sort_values(list(frame.columns)).groupby("record_id", as_index=False).first()
    return frame.assign(source=opened.name)


def personal_columns(source: Source) -> dict[str, str]:
    """The declared personal data of a source: our name -> column."""
    return {k: c for k, c in source.identity.items() if k in PERSONAL or k in ("email", "phone")}
