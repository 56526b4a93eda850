"""Golden records: per attribute the most trusted, then most recent value; consent is combined so that a "no" anywhere wins."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from workbench.core.config import Config, Source
from workbench.core.engine import fetch, parse_code
from workbench.core.errors import ParameterError, did_you_mean
from workbench.ingest.records import _ids, personal_columns
from workbench.ingest.sources import SourceTable
from workbench.ingest.standardize import consent_word, standardize


def collect_attributes(
    sources: Mapping[str, SourceTable], config: Config, key: bytes, part: str, of: str = "customer"
) -> pd.DataFrame:
    """Declared columns of one part (profile, consent, personal) -> long frame: source, record_id, attribute, value, trust.

    of: `customer`, or `person` for what sources say of the people of accounts (b2b), which is not the account's.

    Empty cells are left out; one row per record and attribute (the last in the file's own order of values).
    """
    pieces = []
    for opened in sources.values():
        source = opened.source
        columns = personal_columns(source) if part == "personal" else getattr(source, part)
        other = config.company.kind == "b2b" and (source.record_is == "person") != (of == "person")
        if (
            not (columns and source.record_id)
            or other
            or (part == "personal" and source.kind in ("pos", "web", "mobile_app", "tickets", "survey", "social"))
        ):
            continue
        picked = {name: opened.table[column].cast("string").strip().nullif("") for name, column in columns.items()}
        frame = fetch(opened.table.select(raw_id=parse_code(opened.table[source.record_id]), **picked).distinct())
        frame["record_id"] = _ids(frame.raw_id, source, key)
        long = frame.drop(columns="raw_id").melt("record_id", var_name="attribute", value_name="value").dropna(subset=["value"])
        pieces.append(long.assign(source=opened.name, trust=source.trust))
    columns = ["source", "record_id", "attribute", "value", "trust"]
    return pd.concat(pieces, ignore_index=True)[columns] if pieces else pd.DataFrame(columns=columns).astype({"trust": int})


def survive(attributes: pd.DataFrame, identities: pd.DataFrame, records: pd.DataFrame) -> pd.DataFrame:
    """Long attributes -> golden values: customer_id, attribute, value, source; one row per customer and attribute.

    records: those that count, that is, first seen before as_of. The winner has the highest trust, then the latest record, then
    the record that says most, then the first value in the alphabet.
    """
    said = attributes.groupby(["source", "record_id"]).attribute.transform("size")
    joined = attributes.assign(said=said).merge(identities[["source", "record_id", "customer_id"]], on=["source", "record_id"])
    joined = joined.merge(records[["source", "record_id", "first_seen_at"]], on=["source", "record_id"])
    order = ["customer_id", "attribute", "trust", "first_seen_at", "said", "value", "source"]
    ranked = joined.sort_values(order, ascending=[True, True, False, False, False, True, True])
    return ranked.drop_duplicates(["customer_id", "attribute"])[["customer_id", "attribute", "value", "source"]].reset_index(
        drop=True
    )


def combine_consent(
    attributes: pd.DataFrame, identities: pd.DataFrame, records: pd.DataFrame, sources: Mapping[str, Source] | None = None
) -> pd.DataFrame:
    """Long consent -> customer_id, attribute, value: no if any record says no, yes if one says yes and none no, else unknown.

    records: those that count, that is, first seen before as_of. sources: their declarations, for further words of yes and no.
    """
    joined = attributes.merge(identities[["source", "record_id", "customer_id"]], on=["source", "record_id"])
    joined = joined.merge(records[["source", "record_id"]], on=["source", "record_id"])
    known = {
        (name, word): _consent_rank(word, (sources or {}).get(name))
        for name, word in joined[["source", "value"]].drop_duplicates().itertuples(index=False)
    }
    joined["rank"] = [known[pair] for pair in zip(joined.source, joined.value, strict=True)]
    strongest = joined.astype({"rank": int}).groupby(["customer_id", "attribute"], as_index=False)["rank"].max()
    return strongest.assign(value=strongest["rank"].map({0: "unknown", 1: "yes", 2: "no"}))[["customer_id", "attribute", "value"]]


def _consent_rank(word: str, source: Source | None) -> int:
    words = (source.yes_words, source.no_words) if source else ()
    return ("unknown", "yes", "no").index(consent_word(word, *words))


def look_up(sources: Mapping[str, SourceTable], known: pd.DataFrame) -> pd.DataFrame:
    """External facts by attribute -> golden values: customer_id, attribute, value, source; one row per customer and fact.

    known: golden values, profile and personal. A key that stands twice in the external table gives its first row in the
    alphabet, so that no customer is doubled.
    """
    found = []
    for opened in sources.values():
        lookup = opened.source.lookup
        if not lookup:
            continue
        attributes = sorted(known.attribute.unique())
        if lookup.by not in attributes:
            raise ParameterError(
                f'sources.{opened.name}.lookup.by: customers have no attribute "{lookup.by}".{did_you_mean(lookup.by, attributes)}',
                "Nothing would be joined.",
                "name an attribute under profile or identity (postcode, city) of a source that knows customers",
            )
        picked = {name: opened.table[column].cast("string").strip().nullif("") for name, column in opened.source.profile.items()}
        facts = fetch(opened.table.select(by=opened.table[lookup.column].cast("string").strip(), **picked).distinct())
        facts = facts.sort_values(list(facts.columns)).drop_duplicates("by")
        mine = known[known.attribute == lookup.by][["customer_id", "value"]].rename(columns={"value": "by"})
        joined = mine.merge(facts, on="by").drop(columns="by")
        found.append(joined.melt("customer_id", var_name="attribute", value_name="value").dropna().assign(source=opened.name))
    columns = ["customer_id", "attribute", "value", "source"]
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns, dtype="str")


def golden_records(
    identities: pd.DataFrame, records: pd.DataFrame, profile: pd.DataFrame, consent: pd.DataFrame, kind: str
) -> pd.DataFrame:
    """Known people -> customers: customer_id, kind, first_seen_at, attributes, consent_*; sorted by customer_id."""
    seen = identities.merge(records[["source", "record_id", "first_seen_at"]], on=["source", "record_id"], how="left")
    customers = seen.groupby("customer_id", as_index=False).first_seen_at.min().assign(kind=kind)
    wide = profile.pivot(index="customer_id", columns="attribute", values="value").reset_index() if len(profile) else None
    if wide is not None:
        customers = customers.merge(wide, on="customer_id", how="left")
    if len(consent):
        given = consent.pivot(index="customer_id", columns="attribute", values="value").add_prefix("consent_").reset_index()
        customers = customers.merge(given, on="customer_id", how="left")
        columns = [c for c in given.columns if c != "customer_id"]
        customers[columns] = customers[columns].fillna("unknown")
    lead = ["customer_id", "kind", "first_seen_at"]
    return customers[[*lead, *sorted(c for c in customers.columns if c not in lead)]].sort_values(
        "customer_id", ignore_index=True
    )


def personal_data(golden: pd.DataFrame, region: str) -> pd.DataFrame:
    """Golden personal values -> private table: customer_id, email and phone in standard spelling, names, address; sorted."""
    wide = golden.pivot(index="customer_id", columns="attribute", values="value").reset_index()
    for kind in ("email", "phone"):
        if kind in wide:
            wide[kind] = standardize(kind, wide[kind], region)
    return wide.sort_values("customer_id", ignore_index=True)


def every_address(identifiers: pd.DataFrame, identities: pd.DataFrame) -> pd.DataFrame:
    """Every e-mail address and phone number that any record holds of a customer -> customer_id, email, phone: one of them per row.

    For private/ alone: who asks not to be written to may name an address that did not survive into `personal_data`.
    """
    known = identifiers[identifiers.identifier.isin(["email", "phone"])].dropna(subset=["value"])
    known = known.merge(identities[["source", "record_id", "customer_id"]], on=["source", "record_id"])
    known = known[["customer_id", "identifier", "value"]].drop_duplicates().sort_values(["customer_id", "identifier", "value"])
    told = {kind: known.value.where(known.identifier == kind) for kind in ("email", "phone")}
    return pd.DataFrame({"customer_id": known.customer_id} | told).astype("str").reset_index(drop=True)
