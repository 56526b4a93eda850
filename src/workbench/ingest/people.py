"""People under accounts (b2b): who works where, in which role; one person may act for several accounts."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from workbench.core.config import Config
from workbench.ingest.identity import link_records
from workbench.ingest.records import pseudonym
from workbench.ingest.survivorship import combine_consent, survive

KEYS = ("email", "phone")
GRAIN = ["person_id", "customer_id"]


def people_of_accounts(
    records: pd.DataFrame,
    identifiers: pd.DataFrame,
    identities: pd.DataFrame,
    attributes: Mapping[str, pd.DataFrame],
    config: Config,
    as_of: pd.Timestamp,
    key: bytes,
) -> pd.DataFrame:
    """Records of people -> the people table: person_id, customer_id (the account), records, attributes…, consent_*; sorted.

    Records of one person share an e-mail or phone; the account is that of each record. attributes: long frames `profile` and
    `consent` of people (see `collect_attributes`). Only records first seen before as_of; empty for b2c.
    """
    person_sources = [name for name, source in config.sources.items() if source.record_is == "person"]
    mine = records[records.source.isin(person_sources) & ~(records.first_seen_at >= as_of)]
    if config.company.kind != "b2b" or mine.empty:
        return pd.DataFrame(columns=[*GRAIN, "records"]).astype({"person_id": "str", "customer_id": "str", "records": int})
    theirs = identifiers[identifiers.source.isin(person_sources)]
    rules = config.identity.model_copy(update={"keys": KEYS, "one_per_customer": ()})
    trust = {name: source.trust for name, source in config.sources.items()}
    linked = link_records(mine, theirs, rules, as_of, trust, pseudonym(key, "people").encode()).identities
    both = linked.rename(columns={"customer_id": "person_id"})[["source", "record_id", "person_id"]]
    both["person_id"] = "p_" + both.person_id.str.removeprefix("c_")
    both = both.merge(identities[["source", "record_id", "customer_id"]], on=["source", "record_id"])
    people = both.groupby(GRAIN, as_index=False).agg(records=("record_id", "size"))
    for part, combine in (("profile", survive), ("consent", combine_consent)):
        people = people.merge(
            _wide(combine, attributes[part], both, mine, "consent_" if part == "consent" else ""), on=GRAIN, how="left"
        )
    consents = [c for c in people if c.startswith("consent_")]
    people[consents] = people[consents].fillna("unknown")
    return people.sort_values(GRAIN, ignore_index=True)


def _wide(combine, long: pd.DataFrame, both: pd.DataFrame, records: pd.DataFrame, prefix: str) -> pd.DataFrame:
    """Long attributes of records -> one row per person and account."""
    keyed = both.assign(customer_id=both.person_id + "|" + both.customer_id)
    golden = combine(long, keyed, records)
    wide = golden.pivot(index="customer_id", columns="attribute", values="value").add_prefix(prefix).reset_index()
    ends = wide.customer_id.str.partition("|") if len(wide) else pd.DataFrame(columns=[0, 1, 2], dtype="str")
    return wide.assign(person_id=ends[0], customer_id=ends[2]).rename_axis(columns=None)
