"""The software vendor as a whole: its accounts, the systems' exports, and the truth about who and what they are."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.demo import files, vendor_finance, vendor_marketing, vendor_records, vendor_usage, vendor_voice
from workbench.demo.vendor_accounts import build_organisations, build_people
from workbench.demo.vendor_calendar import MONTH_STARTS, MONTHS
from workbench.demo.vendor_life import Life, simulate_life, take_offers


@dataclass(frozen=True)
class Vendor:
    """What every export is made from: the organisations and people, their life, and the moment of the export."""

    organisations: pd.DataFrame
    people: pd.DataFrame
    life: Life
    accounts: pd.DataFrame
    contacts: pd.DataFrame
    until: np.datetime64
    seed: int


def write_vendor(folder: Path, accounts: int, seed: int, months: int = MONTHS) -> list[Path]:
    """Simulate `months` months of the vendor, write every system's export into `folder` and return the paths."""
    vendor = build_world(accounts, seed, months)
    systems = {**write_crm(folder, vendor), **write_sales(folder, vendor), **write_actions(folder, vendor)}
    paths = [path for path, _ in systems.values()]
    paths.append(files.write_csv(folder / "ads/spend.csv", vendor_marketing.simulate_ad_spend(months, seed), separator=";"))
    truth = build_truth(vendor, {source: known for source, (_, known) in systems.items()})
    paths.append(files.write_parquet(folder / "truth/truth.parquet", truth))
    # A demonstration key, public on purpose: it makes the demo's pseudonyms the same for everybody.
    key = sha256(f"workbench demo vendor {seed}".encode()).hexdigest()
    return [*paths, files.write_secret(folder / "pseudonym.key", key)]


def build_world(accounts: int, seed: int, months: int) -> Vendor:
    """Invent the accounts and live through the months."""
    organisations = build_organisations(accounts, seed)
    people, until = build_people(organisations, seed), MONTH_STARTS[months]
    entries = vendor_records.build_crm_accounts(organisations, seed)
    contacts = vendor_records.build_contacts(people, entries, seed)
    return Vendor(organisations, people, simulate_life(organisations, months, seed), entries, contacts, until, seed)


def write_crm(folder: Path, vendor: Vendor) -> dict[str, tuple[Path, pd.DataFrame]]:
    """Write accounts, contacts, opportunities and the information service's list -> source: path, truth."""
    accounts = vendor.accounts[vendor.accounts["at"] < vendor.until]
    contacts = vendor.contacts[vendor.contacts["at"] < vendor.until]
    chances = vendor_records.build_opportunities(vendor.life.stacked("opportunities"), vendor.accounts, vendor.until, vendor.seed)
    facts = vendor_records.build_firmographics(vendor.organisations, vendor.seed)
    german = {"separator": ";", "encoding": "cp1252"}
    tables = {
        "accounts": accounts[vendor_records.ACCOUNT_COLUMNS],
        "contacts": contacts[vendor_records.CONTACT_COLUMNS],
        "opportunities": chances.drop(columns="row"),
    }
    paths = {name: files.write_csv(folder / f"crm/{name}.csv", table, **german) for name, table in tables.items()}
    return {
        "accounts": (paths["accounts"], known_as(accounts["account_id"], accounts["row"])),
        "contacts": (paths["contacts"], known_as(contacts["contact_id"], contacts["row"], contacts["person"])),
        "opportunities": (paths["opportunities"], known_as(chances["account_id"], chances["row"])),
        "firmographics": (
            files.write_csv(folder / "enrichment/firmographics.csv", facts.drop(columns="row")),
            known_as(facts["domain"], facts["row"]),
        ),
    }


def write_sales(folder: Path, vendor: Vendor) -> dict[str, tuple[Path, pd.DataFrame]]:
    """Write marketing, invoices and subscriptions -> source: path, truth."""
    people, life, seed = vendor.people, vendor.life, vendor.seed
    subscribers = vendor_marketing.build_subscribers(vendor.contacts, people)
    activities, offers = vendor_marketing.simulate_marketing(subscribers, vendor.organisations, life, seed)
    taken = take_offers(life, vendor.organisations, offers, seed)
    redeemed = vendor_marketing.redemptions(offers, taken, subscribers)
    activities = pd.concat([activities, redeemed]).sort_values("at", kind="stable", ignore_index=True)
    activities = activities[activities["at"] < vendor.until]
    lines = pd.concat([life.stacked("lines"), taken], ignore_index=True)
    invoices = vendor_finance.build_invoices(lines, vendor.organisations, vendor.until, seed)
    contracts = vendor_finance.build_subscriptions(life, vendor.organisations, vendor.until, seed)
    return {
        "marketing": (
            files.write_csv(folder / "marketing/activities.csv", activities[vendor_marketing.COLUMNS]),
            known_people(activities["contact_email"], activities["whom"], people),
        ),
        "invoices": (
            vendor_finance.write_invoices(folder / "finance/invoices.db", invoices),
            known_as(invoices["customer_number"], invoices["row"]),
        ),
        "subscriptions": (
            files.write_parquet(folder / "finance/subscriptions.parquet", contracts.drop(columns="row")),
            known_as(contracts["subscription_id"], contracts["row"]),
        ),
    }


def write_actions(folder: Path, vendor: Vendor) -> dict[str, tuple[Path, pd.DataFrame]]:
    """Write telemetry, tickets and survey -> source: path, truth."""
    people, world = vendor.people, (vendor.organisations, vendor.people)
    usage = vendor_usage.simulate_usage(*world, vendor.life, vendor.until, vendor.seed)
    tickets = vendor_voice.simulate_tickets(*world, vendor.life, vendor.until, vendor.seed)
    survey = vendor_voice.simulate_survey(*world, vendor.contacts, vendor.life, vendor.until, vendor.seed)
    hidden = ["whom", "row"]
    return {
        "usage": (
            files.write_lines(folder / "usage/events.jsonl", usage["line"]),
            known_people(usage["record_id"], usage["whom"], people),
        ),
        "tickets": (
            files.write_csv(folder / "tickets/tickets.csv", tickets.drop(columns=hidden)),
            known_people(tickets["ticket_id"], tickets["whom"], people),
        ),
        "survey": (
            files.write_excel(folder / "survey/nps.xlsx", survey.drop(columns=hidden), sheet="responses"),
            known_people(survey["response_id"], survey["whom"], people),
        ),
    }


def known_as(record_ids: pd.Series, rows: pd.Series, persons: pd.Series | None = None) -> pd.DataFrame:
    """Say whose each record is -> record_id, row (position of the organisation), person (missing where none is meant)."""
    whose = persons.to_numpy(object) if persons is not None else None
    table = pd.DataFrame({"record_id": record_ids.to_numpy(object), "row": rows.to_numpy(), "person": whose})
    return table.drop_duplicates("record_id")


def known_people(record_ids: pd.Series, whom: pd.Series, people: pd.DataFrame) -> pd.DataFrame:
    """Say which person, and with it which organisation, each record is; whom: positions in people."""
    persons = people.iloc[whom.to_numpy(int)]
    return known_as(record_ids, persons["row"], persons["person"])


def build_truth(vendor: Vendor, known: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Stack the truth of all systems: source, record_id, account, type, person (missing for organisations); sorted."""
    stacked = pd.concat([table.assign(source=source) for source, table in known.items()], ignore_index=True)
    whose = vendor.organisations.iloc[stacked["row"].to_numpy(int)].reset_index(drop=True)
    stacked = stacked.assign(account=whose["account"], type=whose["type"])
    stacked = stacked.sort_values(["source", "record_id"], ignore_index=True)
    return stacked[["source", "record_id", "account", "type", "person"]]
