"""The company as a whole: its people, its systems, the files they export, and the truth about who is who."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.demo import browsing, files, money, newsletter, people, records, voice
from workbench.demo.behaviour import MONTHS, Past, draw_traits, monthly_sums, past_of, stranger_past
from workbench.demo.chance import hashed_share
from workbench.demo.real import Grocer, campaign_activities, order_lines

WEB_USERS, APP_USERS, STRANGERS = 0.58, 0.29, 0.34  # per household of the roster; strangers come on top
WEB_VISITS, APP_VISITS, STRANGER_VISITS = 1.9, 2.8, 0.28  # mean sessions a month


@dataclass(frozen=True)
class World:
    """What every simulation starts from: people and traits (no purchase in them), one view of the past per month."""

    people: pd.DataFrame
    traits: dict[str, np.ndarray]
    pasts: list[Past]
    seed: int


def write_company(folder: Path, grocer: Grocer, seed: int) -> list[Path]:
    """Simulate every system around the grocer's purchases, write the files into `folder` and return their paths."""
    paths = write_real_files(folder, grocer)
    world = build_world(grocer, seed)
    systems = {
        "loyalty": write_loyalty(folder, grocer, world),
        **write_contacts_and_emails(folder, world),
        "web": write_web(folder, world),
        "app": write_app(folder, world),
        **write_voices(folder, world),
    }
    paths += [path for path, _ in systems.values()]
    paths += write_finance(folder, grocer, seed)
    truth = build_truth({source: known for source, (_, known) in systems.items()})
    paths.append(files.write_parquet(folder / "truth/truth.parquet", truth))
    # A demonstration key, public on purpose: it makes the demo's pseudonyms the same for everybody.
    paths.append(files.write_secret(folder / "pseudonym.key", sha256(f"workbench demo {seed}".encode()).hexdigest()))
    return paths


def build_world(grocer: Grocer, seed: int) -> World:
    """Invent the people and look back from each month of the year."""
    sums = monthly_sums(grocer)
    return World(
        people=people.build_people(grocer.households, grocer.demographics, seed),
        traits=draw_traits(len(grocer.households), seed),
        pasts=[past_of(sums, month) for month in range(MONTHS)],
        seed=seed,
    )


def write_real_files(folder: Path, grocer: Grocer) -> list[Path]:
    """Write purchases and campaign activities, both real."""
    return [
        files.write_parquet(folder / "pos/order_lines.parquet", order_lines(grocer)),
        files.write_csv(folder / "marketing/activities.csv", campaign_activities(grocer), separator=";"),
    ]


def write_loyalty(folder: Path, grocer: Grocer, world: World) -> tuple[Path, pd.DataFrame]:
    """Write the loyalty members -> path, truth."""
    members = records.build_members(world.people, grocer, world.seed)
    path = files.write_csv(folder / "loyalty/members.csv", members)
    return path, known_as(members["card_number"], world.people["household_id"])


def write_contacts_and_emails(folder: Path, world: World) -> dict[str, tuple[Path, pd.DataFrame]]:
    """Write the CRM and the e-mail service, which takes its subscribers from the CRM -> source: path, truth."""
    contacts = records.build_contacts(world.people, world.seed)
    subscribers = newsletter.build_subscribers(world.people, contacts, world.seed)
    mails = newsletter.simulate_newsletter(subscribers, world.traits["openness"], world.pasts, world.seed)
    contact_path = files.write_csv(folder / "crm/contacts.csv", contacts.drop(columns="household_id"), encoding="cp1252")
    mail_path = files.write_csv(folder / "email/activity.csv", mails.drop(columns="household_id"))
    return {
        "crm": (contact_path, known_as(contacts["contact_id"], contacts["household_id"])),
        "email": (mail_path, known_as(mails["subscriber_email"], mails["household_id"])),
    }


def write_web(folder: Path, world: World) -> tuple[Path, pd.DataFrame]:
    """Write the web shop's events, of households and of visitors who are nobody's -> path, truth."""
    ids = world.people["household_id"].to_numpy()
    uses = hashed_share(world.seed, "web uses", ids) < WEB_USERS
    outdated = hashed_share(world.seed, "web outdated", ids) < 0.06
    emails = world.people["old_email"].where(outdated, world.people["email"]).to_numpy(object)
    rates = [browsing.visit_rates(WEB_VISITS, world.traits["web"], uses, past) for past in world.pasts]
    visits = browsing.simulate_visits(browsing.WEB, "web", rates, world.pasts, world.seed)
    own = browsing.web_records(visits, "web", emails, world.seed)
    own["household_id"] = pd.Series(ids[own["visitor"]], dtype="Int64")
    every = pd.concat([own, stranger_records(world)]).sort_values(["at", "record_id"], kind="stable")
    path = files.write_lines(folder / "web/events.jsonl", every["line"])
    return path, known_as(every["record_id"], every["household_id"])


def stranger_records(world: World) -> pd.DataFrame:
    """Simulate anonymous visitors who belong to no household and never log in -> like `browsing.web_records`."""
    count = round(STRANGERS * len(world.people))
    rates, pasts = [np.full(count, STRANGER_VISITS)] * MONTHS, [stranger_past(count)] * MONTHS
    visits = browsing.simulate_visits(browsing.STRANGER, "stranger", rates, pasts, world.seed)
    lines = browsing.web_records(visits, "stranger", np.full(count, "", object), world.seed)
    return lines.assign(household_id=pd.Series(pd.NA, index=lines.index, dtype="Int64"))


def write_app(folder: Path, world: World) -> tuple[Path, pd.DataFrame]:
    """Write the app's events -> path, truth."""
    ids = world.people["household_id"].to_numpy()
    uses = hashed_share(world.seed, "app uses", ids) < APP_USERS
    rates = [browsing.visit_rates(APP_VISITS, world.traits["app"], uses, past) for past in world.pasts]
    visits = browsing.simulate_visits(browsing.APP, "app", rates, world.pasts, world.seed)
    lines = browsing.app_records(visits, "app", world.people["card_number"].to_numpy(object), world.seed)
    path = files.write_lines(folder / "app/events.jsonl", lines["line"])
    return path, known_as(lines["record_id"], pd.Series(ids[lines["visitor"]]))


def write_voices(folder: Path, world: World) -> dict[str, tuple[Path, pd.DataFrame]]:
    """Write social engagements, tickets and the survey -> source: path, truth."""
    start = (world.people, world.traits, world.pasts, world.seed)
    social, tickets = voice.simulate_engagements(*start), voice.simulate_tickets(*start)
    survey = voice.simulate_survey(*start)

    def said(table: pd.DataFrame) -> pd.DataFrame:
        return table.drop(columns="household_id")

    return {
        "social": (
            files.write_csv(folder / "social/engagements.csv", said(social)),
            known_as(social["handle"], social["household_id"]),
        ),
        "tickets": (
            files.write_csv(folder / "tickets/tickets.csv", said(tickets)),
            known_as(tickets["ticket_id"], tickets["household_id"]),
        ),
        "survey": (
            files.write_excel(folder / "survey/nps.xlsx", said(survey), sheet="responses"),
            known_as(survey["response_id"], survey["household_id"]),
        ),
    }


def write_finance(folder: Path, grocer: Grocer, seed: int) -> list[Path]:
    """Write advertising spend and product costs."""
    return [
        files.write_csv(folder / "ads/spend.csv", money.simulate_ad_spend(seed), separator=";"),
        files.write_csv(folder / "finance/product_costs.csv", money.product_costs(grocer, seed)),
    ]


def known_as(record_ids: pd.Series, household_ids: pd.Series) -> pd.DataFrame:
    """Say whose each record is: one row per record_id (text), household_id empty for visitors of nobody."""
    pairs = {"record_id": record_ids.to_numpy(object), "household_id": pd.array(household_ids, dtype="Int64")}
    return pd.DataFrame(pairs).drop_duplicates("record_id")


def build_truth(known: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Stack the truth of all systems: source, record_id, household_id, sorted."""
    stacked = pd.concat([table.assign(source=source) for source, table in known.items()], ignore_index=True)
    stacked = stacked.sort_values(["source", "record_id"], ignore_index=True)
    return stacked[["source", "record_id", "household_id"]]
