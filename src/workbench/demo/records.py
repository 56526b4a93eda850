"""How the people stand in the loyalty and CRM systems: with gaps, copies, typos and shared addresses."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.demo.chance import stream
from workbench.demo.people import draw_addresses, write_phones
from workbench.demo.real import Grocer

DEMOGRAPHIC_COLUMNS = [
    "age", "income", "home_ownership", "marital_status", "household_size", "household_comp", "kids_count",
]  # fmt: skip
CONTACT_COLUMNS = [
    "contact_id", "first_name", "last_name", "email", "mobile", "birth_date", "street", "postcode", "city",
    "created_at", "loyalty_card", "newsletter_opt_in", "phone_opt_in",
]  # fmt: skip
PLACEHOLDERS = ("noreply@example.com", "test@test.com")
IN_CRM, TWICE, PLACEHOLDER, NO_IDENTIFIER = 0.92, 0.06, 0.005, 0.004


def build_members(people: pd.DataFrame, grocer: Grocer, seed: int) -> pd.DataFrame:
    """List the loyalty members: invented identity, real demographics (empty where the real table has no row).

    people -> card_number, enrolled_on (2015–2016), first_name, last_name, email (15 % empty), phone (20 % empty),
    and DEMOGRAPHIC_COLUMNS. About 6 % enrolled under the partner's name, 5 % with an e-mail address used no longer.
    """
    rng = stream(seed, "loyalty")
    count = len(people)
    partner, outdated, no_email, no_phone = rng.random((4, count)) < np.array([[0.06], [0.05], [0.15], [0.20]])
    enrolled = np.datetime64("2015-01-01") + rng.integers(0, 731, count)
    members = pd.DataFrame({"card_number": people["card_number"], "enrolled_on": np.datetime_as_string(enrolled)})
    members["first_name"] = people["partner_name"].where(partner, people["first_name"])
    members["last_name"] = people["last_name"]
    members["email"] = people["old_email"].where(outdated, people["email"]).mask(no_email, "")
    members["phone"] = write_phones(rng, people["phone"].mask(no_phone, "").to_numpy(object))
    real = grocer.demographics.set_index("household_id").reindex(people["household_id"])
    return members.join(real[DEMOGRAPHIC_COLUMNS].reset_index(drop=True))


def build_contacts(people: pd.DataFrame, seed: int) -> pd.DataFrame:
    """List the CRM contacts with all their defects, by contact_id: people -> CONTACT_COLUMNS + household_id (truth).

    92 % of the households have a contact and 6 % of those a second one. About 1 % share a relative's e-mail address,
    0.5 % carry a placeholder, a few have no identifier at all, one in ten lacks each consent.
    """
    rng = stream(seed, "crm")
    contacts = _first_contacts(rng, people)
    contacts = pd.concat([contacts, _second_contacts(rng, contacts)], ignore_index=True)
    contacts["email"] = _careless(rng, contacts["email"])
    contacts["mobile"] = write_phones(rng, contacts["mobile"].to_numpy(object))
    contacts = _spoil_some(rng, contacts)
    numbers = rng.choice(4 * len(contacts), len(contacts), replace=False) + 100_000
    contacts["contact_id"] = [f"C-{number}" for number in numbers]
    return contacts.sort_values("contact_id", ignore_index=True)[[*CONTACT_COLUMNS, "household_id"]]


def _first_contacts(rng: np.random.Generator, people: pd.DataFrame) -> pd.DataFrame:
    """Enter 92 % of the households: gaps and outdated addresses, still no noise."""
    count = len(people)
    share = np.array([[IN_CRM], [0.06], [0.05], [0.12], [0.05], [0.15], [0.60]])
    entered, outdated, no_email, no_mobile, old_phone, no_birth, has_card = rng.random((7, count)) < share
    elder = people["email"].to_numpy(object)[people["relative"]]
    shares_email = (people["relative"] >= 0).to_numpy()
    own = people["old_email"].where(outdated, people["email"]).mask(no_email, "")
    is_elder = np.isin(np.arange(count), people["relative"])
    contacts = people[["household_id", "first_name", "last_name", "street", "postcode", "city"]].copy()
    contacts["email"] = np.where(shares_email, elder, np.where(is_elder, people["email"], own))
    contacts["mobile"] = people["old_phone"].where(old_phone, people["phone"]).mask(no_mobile, "")
    contacts["birth_date"] = people["birth_date"].mask(no_birth, "")
    contacts["loyalty_card"] = people["card_number"].where(has_card, "")
    contacts["created_at"] = _created(rng, count, late=0.10)
    contacts["newsletter_opt_in"] = rng.choice(["yes", "no", ""], count, p=[0.62, 0.28, 0.10])
    contacts["phone_opt_in"] = rng.choice(["yes", "no", ""], count, p=[0.30, 0.60, 0.10])
    contacts["family"] = shares_email | is_elder
    return contacts[entered | contacts["family"]].reset_index(drop=True)


def _created(rng: np.random.Generator, count: int, late: float) -> np.ndarray:
    """Draw creation dates in 2013–2016, the share `late` of them in 2017."""
    early = np.datetime64("2013-01-01") + rng.integers(0, 1461, count)
    in_2017 = np.datetime64("2017-01-01") + rng.integers(0, 365, count)
    return np.datetime_as_string(np.where(rng.random(count) < late, in_2017, early)).astype(object)


def _second_contacts(rng: np.random.Generator, contacts: pd.DataFrame) -> pd.DataFrame:
    """Enter some people again: with a typo in the name, after a move, or written differently; consent may differ."""
    again = contacts[rng.random(len(contacts)) < TWICE].copy()
    count = len(again)
    reason = rng.integers(0, 3, count)
    street, postcode, city = draw_addresses(rng, count)
    again["last_name"] = again["last_name"].where(reason != 0, [_typo(rng, name) for name in again["last_name"]])
    for column, moved in zip(("street", "postcode", "city"), (street, postcode, city), strict=True):
        again[column] = again[column].where(reason != 1, moved)
    again["loyalty_card"] = again["loyalty_card"].mask(rng.random(count) < 0.5, "")
    again["mobile"] = again["mobile"].mask((reason == 1) & (rng.random(count) < 0.4), "")
    again["email"] = again["email"].mask((reason == 0) & (rng.random(count) < 0.3), "")
    again["created_at"] = _created(rng, count, late=0.5)
    asked_anew = rng.random(count) < 0.25
    again["newsletter_opt_in"] = again["newsletter_opt_in"].mask(asked_anew, rng.choice(["yes", "no"], count))
    return again


def _typo(rng: np.random.Generator, name: str) -> str:
    """Swap two neighbouring letters after the first one, or drop one."""
    at = int(rng.integers(1, max(2, len(name) - 1)))
    swapped = name[:at] + name[at + 1 : at + 2] + name[at : at + 1] + name[at + 2 :]
    return swapped if rng.random() < 0.6 and swapped != name else name[:at] + name[at + 1 :]


def _careless(rng: np.random.Generator, emails: pd.Series) -> pd.Series:
    """Write one address in ten in capitals, with a capital first, or with spaces around it."""
    draw = pd.Series(rng.random(len(emails)), index=emails.index)
    draw = draw.mask(emails.eq(""), 1.0)
    emails = emails.mask(draw < 0.03, emails.str.upper()).mask(draw.between(0.03, 0.06), emails.str.capitalize())
    return emails.mask(draw.between(0.06, 0.08), " " + emails).mask(draw.between(0.08, 0.10), emails + " ")


def _spoil_some(rng: np.random.Generator, contacts: pd.DataFrame) -> pd.DataFrame:
    """Put placeholders into some e-mail fields (two or more), empty every identifier of some contacts (one or more)."""
    candidates = rng.permutation(np.flatnonzero(~contacts["family"]))
    placeholders = max(2, round(PLACEHOLDER * len(contacts)))
    nameless = max(1, round(NO_IDENTIFIER * len(contacts)))
    fake, empty = candidates[:placeholders], candidates[placeholders : placeholders + nameless]
    contacts = contacts.copy()
    contacts.loc[fake, "email"] = np.resize(np.array(PLACEHOLDERS, object), len(fake))
    contacts.loc[empty, ["email", "mobile", "loyalty_card"]] = ""
    return contacts
