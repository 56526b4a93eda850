"""How organisations and people stand in the vendor's systems: twice, abbreviated, with gaps; and what others know of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.demo.chance import stream
from workbench.demo.vendor_accounts import write_phones
from workbench.demo.vendor_calendar import EXPORTED_AT, START, german_dates
from workbench.demo.vendor_types import PRODUCTS, TECHNOLOGIES, of_kinds

# Shares of records: in the CRM at all; entered twice; gaps and careless spellings.
IN_CRM, TWICE, NO_TAX, NO_DOMAIN, WITH_NUMBER, WEB_ADDRESS = 0.97, 0.07, 0.20, 0.10, 0.55, 0.12
PERSON_TWICE, NO_EMAIL, NO_PHONE, CONSULTANTS = 0.05, 0.05, 0.30, 0.004
COVERED = 0.82  # of domains by the enrichment service
OWNERS = ("Team Nord", "Team Süd", "Team West", "Key Account", "Inside Sales")
FORM_SPELLINGS = {
    "GmbH": ("Gesellschaft mbH", "G.m.b.H.", "Ges. m. b. H.", ""), "GmbH & Co. KG": ("GmbH u. Co. KG", "GmbH & Co KG", "KG"),
    "AG": ("Aktiengesellschaft", ""), "KG": ("Kommanditgesellschaft", ""),
    "UG (haftungsbeschränkt)": ("UG", "UG haftungsbeschr."),
    "e.K.": ("eK", ""), "eG": ("e.G.", ""), "gGmbH": ("gemeinnützige GmbH", ""), "AöR": ("A.ö.R.", ""), "": ("",),
}  # fmt: skip
ABBREVIATIONS = {
    "Maschinenbau": "Masch.bau", "Fahrzeugtechnik": "Fahrzeugtechn.", "Veranstaltungstechnik": "Veranst.-Technik",
    "Stadtverwaltung": "Stadtverw.", "Landkreis": "LK", "Gymnasium": "Gym.", "Berufsschule": "BS", "Hochschule": "HS",
    "Versicherung": "Vers.", "Steuerberatung": "StB", "Großhandel": "Grosshandel", "Logistiktechnik": "Logistiktechn.",
}  # fmt: skip
ACCOUNT_COLUMNS = [
    "account_id", "account_name", "domain", "tax_number", "customer_number", "industry", "employees", "revenue_band", "country",
    "postcode", "city", "created", "owner",
]  # fmt: skip
CONTACT_COLUMNS = [
    "contact_id", "account_id", "first_name", "last_name", "email", "phone", "job_title", "buying_role", "seniority",
    "newsletter", "phone_consent", "created",
]  # fmt: skip


def build_crm_accounts(organisations: pd.DataFrame, seed: int) -> pd.DataFrame:
    """List the CRM's accounts: ACCOUNT_COLUMNS + row, at (created, for cutting), again (entered a second time); by account_id.

    97 % of the organisations are there, 7 % of them twice: the second time under another legal form, an abbreviation or a
    typo, without tax and customer number and often without domain.
    """
    rng = stream(seed, "crm accounts")
    known = np.flatnonzero((rng.random(len(organisations)) < IN_CRM) | organisations["started"].isna())
    first = _entered(rng, organisations, known, organisations["name"].to_numpy(object)[known])
    twice = known[rng.random(len(known)) < TWICE]
    again = _entered(
        rng, organisations, twice, [_misspelt(rng, *organisations.loc[n, ["short_name", "legal_form"]]) for n in twice]
    )
    again[["tax_number", "customer_number"]] = ""
    again["domain"] = again["domain"].mask(rng.random(len(again)) < 0.4, "")
    span = int((EXPORTED_AT - START) / np.timedelta64(1, "D"))
    later = (START + rng.integers(0, span, len(again)).astype("timedelta64[D]")).astype("datetime64[s]")
    again["at"] = np.maximum(later, again["at"].to_numpy("datetime64[s]") + np.timedelta64(86_400, "s"))
    both = pd.concat([first.assign(again=False), again.assign(again=True)], ignore_index=True)
    both["account_id"] = [f"A-{n}" for n in rng.choice(9 * len(both), len(both), replace=False) + 10_000]
    both["created"] = german_dates(both["at"].to_numpy())
    return both.sort_values("account_id", ignore_index=True)[[*ACCOUNT_COLUMNS, "row", "at", "again"]]


def _entered(rng: np.random.Generator, organisations: pd.DataFrame, rows: np.ndarray, names) -> pd.DataFrame:
    """Enter organisations into the CRM with the usual gaps."""
    known, count = organisations.iloc[rows].reset_index(drop=True), len(rows)
    gap = rng.random((6, count))
    table = known[["industry", "revenue_band", "country", "postcode", "city"]].copy()
    table["account_name"] = np.array(names, object)
    table["domain"] = _web_addresses(known["domain"], gap[1]).mask(gap[0] < NO_DOMAIN, "")
    table["tax_number"] = _careless_numbers(known["tax_number"], gap[3]).mask(gap[2] < NO_TAX, "")
    customer = known["started"].notna() & (gap[4] < WITH_NUMBER)
    table["customer_number"] = known["customer_number"].where(customer, "")
    table["employees"] = known["employees"].astype(str).mask(gap[5] < 0.12, "")
    table["owner"] = rng.choice(np.array(OWNERS, object), count)
    return table.assign(row=rows, at=known["created"].to_numpy("datetime64[s]"))


def _web_addresses(domains: pd.Series, draws: np.ndarray) -> pd.Series:
    """Write some domains as the address of the web site."""
    full = "https://www." + domains + "/"
    return domains.mask(draws < WEB_ADDRESS, "www." + domains).mask(draws < WEB_ADDRESS / 3, full)


def _careless_numbers(numbers: pd.Series, draws: np.ndarray) -> pd.Series:
    """Write some tax numbers with spaces, some in lower case."""
    spaced = numbers.str[:2] + " " + numbers.str[2:5] + " " + numbers.str[5:8] + " " + numbers.str[8:]
    return numbers.mask(draws < 0.15, spaced).mask(draws > 0.95, numbers.str.lower())


def _misspelt(rng: np.random.Generator, short_name: str, legal_form: str) -> str:
    """Write an organisation's name as somebody else would: another legal form, and an abbreviation or a typo."""
    forms = FORM_SPELLINGS[legal_form]
    words = [ABBREVIATIONS.get(word, word) if rng.random() < 0.5 else word for word in short_name.split(" ")]
    if rng.random() < 0.4:
        longest = max(range(len(words)), key=lambda n: len(words[n]))
        at = int(rng.integers(1, len(words[longest]) - 1))
        words[longest] = words[longest][:at] + words[longest][at + 1 :]
    name = " ".join([*words, forms[int(rng.integers(len(forms)))]]).strip()
    return name.upper() if rng.random() < 0.15 else name


def build_contacts(people: pd.DataFrame, accounts: pd.DataFrame, seed: int) -> pd.DataFrame:
    """List the CRM's contacts: CONTACT_COLUMNS + person, row, whom (position in people), at; by contact_id.

    5 % of the people stand there twice, the second time with a free mailbox, a phone number only or a typo; a few advise two
    accounts under one address; people of an account that is entered twice hang on either entry.
    """
    rng = stream(seed, "crm contacts")
    entries = accounts.groupby("row")["account_id"].agg(list)
    started = accounts.groupby("row")["at"].min()
    known = np.flatnonzero(people["in_crm"] & people["row"].isin(entries.index))
    first = _contacts_of(rng, people, known, entries, started)
    again = first[rng.random(len(first)) < PERSON_TWICE].reset_index(drop=True)
    again = _entered_again(rng, again, people)
    both = pd.concat([first, again, _consultants(rng, first, entries, started)], ignore_index=True)
    both = both[both["at"] < EXPORTED_AT].reset_index(drop=True)
    both["contact_id"] = [f"K-{n}" for n in rng.choice(9 * len(both), len(both), replace=False) + 100_000]
    both["phone"] = write_phones(rng, both["phone"].to_numpy(object))
    both["created"] = german_dates(both["at"].to_numpy())
    return both.sort_values("contact_id", ignore_index=True)[[*CONTACT_COLUMNS, "person", "row", "whom", "at"]]


def _contacts_of(rng, people: pd.DataFrame, known: np.ndarray, entries: pd.Series, started: pd.Series) -> pd.DataFrame:
    """Enter people with the usual gaps, after their account and after they have come to it."""
    table, count = people.iloc[known].reset_index(drop=True), len(known)
    draws = rng.random((5, count))
    table["whom"] = known
    table["account_id"] = [entries[r][int(u * len(entries[r]))] for r, u in zip(table["row"], draws[0], strict=True)]
    table["email"] = _careless_emails(table["email"], draws[2]).mask(draws[1] < NO_EMAIL, "")
    table["phone"] = table["phone"].mask(draws[3] < NO_PHONE, "")
    table["buying_role"] = table["role"].mask(draws[4] < 0.15, "")
    table["newsletter"] = rng.choice(["ja", "nein", ""], count, p=[0.62, 0.26, 0.12])
    table["phone_consent"] = rng.choice(["ja", "nein", ""], count, p=[0.35, 0.45, 0.20])
    base = np.maximum(
        table["row"].map(started).to_numpy("datetime64[s]"), table["since"].fillna(pd.Timestamp(0)).to_numpy("datetime64[s]")
    )
    table["at"] = base + rng.integers(0, 90 * 86_400, count).astype("timedelta64[s]")
    return table


def _careless_emails(emails: pd.Series, draws: np.ndarray) -> pd.Series:
    """Write one address in twelve with capitals or a space."""
    return (
        emails.mask(draws < 0.03, emails.str.upper())
        .mask((draws > 0.03) & (draws < 0.05), emails + " ")
        .mask(draws > 0.97, emails.str.title())
    )


def _entered_again(rng: np.random.Generator, again: pd.DataFrame, people: pd.DataFrame) -> pd.DataFrame:
    """Spoil second entries: a typo in the name, no address, or no phone; consent may differ."""
    reason, count = rng.integers(0, 3, len(again)), len(again)
    again = again.copy()
    names = again["last_name"]
    again["last_name"] = names.where(reason != 0, names.str[:2] + names.str[3:])
    again["email"] = again["email"].mask(reason == 1, "")
    again["phone"] = (
        again["phone"]
        .mask(reason == 2, "")
        .mask((reason == 1) & again["phone"].eq(""), people["phone"].to_numpy(object)[again["whom"]])
    )
    again["newsletter"] = again["newsletter"].mask(rng.random(count) < 0.2, "nein")
    again["at"] = again["at"].to_numpy("datetime64[s]") + rng.integers(86_400, 400 * 86_400, count).astype("timedelta64[s]")
    return again


def _consultants(rng: np.random.Generator, first: pd.DataFrame, entries: pd.Series, started: pd.Series) -> pd.DataFrame:
    """Let a few people also be contacts of a second account."""
    count = max(1, round(CONSULTANTS * len(first)))
    chosen = first[first["email"].ne("")].iloc[rng.permutation(int(first["email"].ne("").sum()))[:count]].copy()
    hosts = entries.index.to_numpy()[rng.integers(0, len(entries), count)]
    chosen["row"] = hosts
    chosen["account_id"] = [entries[row][0] for row in hosts]
    chosen["buying_role"], chosen["job_title"] = "gatekeeper", "Externe Beratung"
    since = np.maximum(chosen["at"].to_numpy("datetime64[s]"), started[hosts].to_numpy("datetime64[s]"))
    chosen["at"] = since + np.timedelta64(30 * 86_400, "s")
    return chosen


def build_opportunities(opportunities: pd.DataFrame, accounts: pd.DataFrame, until: np.datetime64, seed: int) -> pd.DataFrame:
    """Write the CRM's opportunities, by time of creation: what is decided after `until` is still open.

    -> opportunity_id, account_id, stage (Won, Lost, Open), amount (EUR, '1234,50'), created, closed (dd.mm.yyyy, '' while
    open), product, family, quantity, challenge, loss_reason, row.
    """
    table = opportunities[opportunities["created"] < until]
    table = table[table["row"].isin(accounts["row"])].sort_values(["created", "row", "product"], ignore_index=True)
    open_yet = ~(table["closed"] < until)
    entries = accounts.groupby("row")["account_id"].agg(list)
    sides = stream(seed, "crm opportunities").random(len(table))
    return pd.DataFrame(
        {
            "opportunity_id": [f"OPP-{n:05d}" for n in range(1, len(table) + 1)],
            "account_id": [entries[r][int(u * len(entries[r]))] for r, u in zip(table["row"], sides, strict=True)],
            "stage": table["stage"].str.title().mask(open_yet, "Open"),
            "amount": [f"{amount:.2f}".replace(".", ",") for amount in table["amount"]],
            "created": german_dates(table["created"].to_numpy()),
            "closed": german_dates(table["closed"].mask(open_yet).to_numpy()),
            "product": table["product"],
            "family": [PRODUCTS[code][1] for code in table["product"]],
            "quantity": table["quantity"],
            "challenge": table["challenge"],
            "loss_reason": table["reason"].mask(open_yet, ""),
            "row": table["row"],
        }
    )


def build_firmographics(organisations: pd.DataFrame, seed: int) -> pd.DataFrame:
    """List what an information service knew on 1 December 2024 of four domains in five.

    -> domain, headcount_year_ago, headcount_now, open_positions, hiring (yes, no, n/a), technologies ('erp|e-commerce'),
    growth_plans, collected_on, row. Sisters share one line: the elder's.
    """
    rng = stream(seed, "firmographics")
    count, kinds = len(organisations), organisations["kind"].to_numpy()
    growth = of_kinds("headcount", kinds) + 0.10 * rng.standard_normal(count) + 0.05 * organisations["growth"].to_numpy()
    now = np.maximum(2, (organisations["employees"] * rng.lognormal(0, 0.05, count)).round()).astype(int)
    positions = rng.poisson(np.clip(now * np.maximum(growth, 0.01) * 0.4, 0, 200))
    table = pd.DataFrame(
        {
            "domain": organisations["domain"],
            "headcount_year_ago": np.maximum(1, (now / (1 + np.maximum(growth, -0.6))).round()).astype(int),
            "headcount_now": now,
            "open_positions": positions,
            "hiring": np.where(rng.random(count) < 0.15, "n/a", np.where(positions > 0, "yes", "no")),
            "technologies": _technologies(rng, organisations),
            "growth_plans": np.select([growth > 0.25, growth > 0.03, growth > -0.05], ["expand", "grow", "hold"], "cut back"),
            "collected_on": "2024-12-01",
            "row": np.arange(count),
        }
    )
    covered = (
        (rng.random(count) < COVERED) & organisations["sister"].lt(0) & (organisations["created"] < pd.Timestamp("2024-12-01"))
    )
    return table[covered].sort_values("domain", ignore_index=True)


def _technologies(rng: np.random.Generator, organisations: pd.DataFrame) -> np.ndarray:
    """Draw the technologies an organisation uses: by size, and by what its kind is about."""
    plain = np.array([0.5, 0.4, 0.2, 0.25, 0.3, 0.15, 0.3, 0.06, 0.05])
    by_type = {
        "steady enterprise": (0, 0.5, 0.5, 0.6, 0.3, 0, 0, 0.3, 0.1),
        "growing start-up": (0.5, -0.3, 0.3, 0.2, 0.1, 0.3, 0.4, 0, 0),
        "training-minded school": (0, -0.3, 0, 0.1, 0, 0, 0.2, 0, 0.8),
        "service-heavy public body": (-0.4, 0.3, 0, 0, 0.2, 0, 0, 0.4, 0),
        "strained manufacturer": (-0.3, 0.5, 0, 0, 0, 0, 0, 0.3, 0), "add-on collector": (0, 0.2, 0.6, 0.4, 0, 0, 0, 0.1, 0),
        "bargain-hunting small firm": (0, -0.3, -0.2, -0.2, -0.2, 0.2, 0, 0, 0),
    }  # fmt: skip
    shift = np.array([by_type.get(name, (0,) * 9) for name in organisations["type"]])
    uses = rng.random(shift.shape) < np.clip(plain + shift, 0.02, 0.95)
    return np.array(["|".join(np.array(TECHNOLOGIES, object)[row]) for row in uses], object)


def pick_people(rng: np.random.Generator, people: pd.DataFrame, row: np.ndarray, at: np.ndarray, users: bool) -> np.ndarray:
    """Choose who of each organisation acts at each moment -> positions in people; the first person stands in for the absent.

    users: only people who work with the product. The earlier somebody stands in the list, the more active.
    """
    able = people[people["user"]] if users else people
    blocks = able.groupby("row", sort=True).indices
    width = max(len(block) for block in blocks.values())
    table = np.zeros((people["row"].max() + 1, width), int)
    sizes = np.ones(len(table), int)
    for number, block in blocks.items():
        table[number, : len(block)], sizes[number] = able.index.to_numpy()[block], len(block)
    chosen = table[row, (sizes[row] * rng.random(len(row)) ** 1.6).astype(int)]
    since, until = (people[c].to_numpy("datetime64[s]")[chosen] for c in ("since", "until"))
    absent = (at < since) | (at >= until)
    return np.where(absent, table[row, 0], chosen)
