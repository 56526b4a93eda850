"""The small demo company through the whole room, against the truth about who is who."""

import hashlib
import re
from types import SimpleNamespace

import pandas as pd
import pytest

from workbench.core import engine
from workbench.core.config import load_config
from workbench.core.contracts import check_expression, check_frame
from workbench.core.inputs import read_key
from workbench.ingest import audit, identity, likeness, quality, records, sources, survivorship
from workbench.ingest import events as happenings
from workbench.ingest.quarantine import set_aside
from workbench.ingest.settle import settle_records
from workbench.ingest.standardize import standardize_email, standardize_phone


@pytest.fixture(scope="module")
def company(con, small_demo):
    """What notebook 01 makes of the small demo company."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_HOME", str(small_demo))
        config = load_config("configs/grocer.yaml")
        key = read_key(config)
        opened = sources.read_sources(con, config)
    as_of = pd.Timestamp(config.as_of, tz=config.company.zone).tz_convert("UTC")
    settled = settle_records(opened, config)
    opened = settled.sources
    events = happenings.read_events(con, opened, config)
    aside = set_aside(opened, events, settled.aside)
    rows = quality.check_rejects(opened, aside, config.ingest.max_reject_share)
    people, identifiers = records.collect_records(opened, config, key)
    trust = {name: source.trust for name, source in config.sources.items()}
    facts = records.seen_before(records.collect_people(opened, identifiers, config, key), people, as_of)
    alike = likeness.compare_records(facts, config.identity, config.engine)
    linked = identity.link_records(
        people, identifiers, config.identity, as_of, trust, key, alike.pairs, None, records.counted_sources(config)
    )
    anonymous = identity.visitors(linked.identities, people, records.customer_sources(config), as_of)
    known, timely = linked.identities[~anonymous], people[~(people.first_seen_at >= as_of)]
    profile, consent, personal = (
        survivorship.collect_attributes(opened, config, key, part) for part in ("profile", "consent", "personal")
    )
    customers = survivorship.golden_records(
        known,
        people,
        survivorship.survive(profile, known, timely),
        survivorship.combine_consent(consent, known, timely, config.sources),
        "b2c",
    )
    tied = happenings.tie_to_customers(con, happenings.add_costs(con, events, opened), people, linked.identities)
    written = engine.materialize(con, tied, "demo_tied")
    is_known = pd.Series(~anonymous.to_numpy(), index=linked.identities.source)
    found = quality.quality_table(
        opened,
        rows,
        identifiers,
        is_known,
        happenings.latest_events(written),
        linked.refused,
        audit.completeness(opened),
        config.as_of,
    )
    return SimpleNamespace(
        config=config, key=key, opened=opened, rows=rows, people=people, identifiers=identifiers, linked=linked, known=known,
        customers=customers, events=written, quality=found, consent=consent, as_of=as_of, trust=trust, home=small_demo,
        private=survivorship.personal_data(survivorship.survive(personal, known, timely), "US"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def truth(company) -> pd.DataFrame:
    """source, record_id as the tables name it, customer_id, household (a household of its own for a visitor of nobody)."""
    told = pd.read_parquet(company.home / "data/demo/truth/truth.parquet").rename(columns={"record_id": "raw_id"})
    cards = told[told.source == "loyalty"]
    told = pd.concat([told, cards.assign(source="pos"), cards.assign(source="marketing")])
    told["household"] = (
        told.household_id.astype("Int64").astype("str").where(told.household_id.notna(), told.source + told.raw_id)
    )
    named = company.people.merge(told, on=["source", "raw_id"], how="left")
    return named.merge(company.linked.identities, on=["source", "record_id"])


def pairs(table: pd.DataFrame, by: list[str]) -> int:
    sizes = table.groupby(by).size()
    return int((sizes * (sizes - 1) // 2).sum())


def test_every_table_keeps_its_contract(company):
    check_frame("identities", company.linked.identities)
    check_frame("matches", company.linked.matches)
    check_frame("customers", company.customers)
    check_frame("quality", company.quality)
    check_expression("events", company.events)


def test_every_row_is_accepted_or_set_aside(company):
    assert (company.rows.rows == company.rows.accepted + company.rows.quarantined).all()
    assert set(company.rows.source) == set(company.config.sources)
    assert company.rows.quarantined.sum() == 0


def test_every_record_belongs_to_exactly_one_customer(company, truth):
    assert not company.linked.identities.duplicated(["source", "record_id"]).any()
    assert len(company.linked.identities) == len(company.people) == len(truth)
    assert truth.household.notna().all()
    assert set(company.known.customer_id) == set(company.customers.customer_id)


def test_linked_records_are_of_one_household_and_most_are_found(company, truth):
    right, made = pairs(truth, ["customer_id", "household"]), pairs(truth, ["customer_id"])
    carriers = company.identifiers[
        company.identifiers.value.notna() & (company.identifiers.seen_at.isna() | (company.identifiers.seen_at < company.as_of))
    ]
    reachable = truth.merge(carriers[["source", "record_id"]].drop_duplicates(), on=["source", "record_id"])
    recall = pairs(reachable, ["customer_id", "household"]) / pairs(reachable, ["household"])
    told = f"precision {right / made:.4f} of {made:,} pairs, recall {recall:.4f} among records with an identifier"
    told += f", {right / pairs(truth, ['household']):.4f} among all"
    assert right / made >= 0.99, told
    assert recall >= 0.8, told


def test_no_customer_holds_two_cards(company):
    cards = company.identifiers[company.identifiers.identifier == "loyalty_id"].dropna(subset=["value"])
    held = cards.merge(company.linked.identities, on=["source", "record_id"])
    assert held.groupby("customer_id").value.nunique().max() == 1


def test_a_no_of_any_record_is_the_customers_no(company):
    timely = company.people[~(company.people.first_seen_at >= company.as_of)][["source", "record_id"]]
    said = company.consent.merge(company.known, on=["source", "record_id"]).merge(timely, on=["source", "record_id"])
    refusing = said[said.value.str.lower() == "no"]
    for channel in ("email", "phone"):
        wanted = set(refusing.customer_id[refusing.attribute == channel])
        assert wanted
        assert set(company.customers.customer_id[company.customers[f"consent_{channel}"] == "no"]) == wanted


def test_nothing_personal_leaves_the_private_table(company):
    folder = company.home / "data/demo"
    raw = " ".join(p.read_text(encoding="cp1252") for p in folder.rglob("*.csv")) + (folder / "web/events.jsonl").read_text()
    raw += " ".join(pd.read_excel(folder / "survey/nps.xlsx", dtype=str).email.dropna())
    mails = {standardize_email(m) for m in re.findall(r"[\w.+-]+@[\w.-]+", raw)} - {None}
    known_phones = company.identifiers[company.identifiers.identifier == "phone"].raw
    phones = {standardize_phone(p, "US") for p in known_phones} - {None}
    assert min(len(mails), len(phones)) > 200
    handles = set(pd.read_csv(folder / "social/engagements.csv", dtype=str).handle)
    hashes = {h(m.encode()).hexdigest()[:16] for h in (hashlib.sha256, hashlib.sha1, hashlib.md5) for m in mails}
    tables = {
        "identities": company.linked.identities, "matches": company.linked.matches,
        "customers": company.customers, "quality": company.quality,
    }  # fmt: skip
    for name, table in tables.items():
        text = table.to_csv(index=False)
        assert "@" not in text, name
        assert not {n[-10:] for n in re.findall(r"\d{10,}", text)} & {p[-10:] for p in phones}, name
        assert not set(re.findall(r"[0-9a-f]{16}", text)) & hashes, name
        assert not set(re.split(r"[,\n]", text)) & handles, name
    columns = [c for c, kind in company.events.schema().items() if kind.is_string()]
    for column in columns:
        assert not company.events[column].contains("@").any().to_pyarrow().as_py(), column
    assert set(company.private.email.dropna()) <= mails


def test_another_key_gives_other_customer_numbers(company):
    mine, again = (
        identity.link_records(
            *records.collect_records(company.opened, company.config, key),
            company.config.identity,
            company.as_of,
            company.trust,
            key,
        )
        for key in (company.key, bytes(32))
    )
    assert again.identities.customer_id.nunique() == mine.identities.customer_id.nunique()
    assert not set(again.identities.customer_id) & set(mine.identities.customer_id)


def test_every_event_of_a_known_record_has_its_customer(company):
    shares = happenings.count_events(company.events, "UTC").set_index("event_type").with_customer
    assert shares["order"] == 1
    assert shares["ad_spend"] == 0
    spent = company.events.amount.sum().to_pyarrow().as_py()
    lines = pd.read_parquet(company.home / "data/demo/pos/order_lines.parquet")
    assert float(spent) == pytest.approx(lines.sales_value.sum(), abs=0.01)
    assert (company.events.event_type == "order").sum().to_pyarrow().as_py() == len(lines)
