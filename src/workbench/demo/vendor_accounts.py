"""The organisations and people around the vendor: invented names and identities, the truth that records then distort.

Domains end in .example, free mailboxes are at FREE_MAIL, telephone numbers are those that Germany keeps for films
(Bundesnetzagentur, 148/2021), tax numbers begin with a zero as no real one does: none can reach or name anybody.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.demo.chance import pick_by_row, stream
from workbench.demo.people import plain_letters
from workbench.demo.vendor_calendar import EXPORTED_AT, MONTHS, START
from workbench.demo.vendor_types import KINDS, NAMES, PROSPECT, of_kinds

FREE_MAIL = ("mail.example", "post.example", "inbox.example")
FILM_NUMBERS = ("30 23125", "69 90009", "40 66969", "221 4710", "89 99998")  # + three digits
STEMS = (
    ("Nor", "Val", "Ker", "Lum", "Tes", "Bra", "Ost", "Fen", "Hal", "Mir", "Sol", "Quen", "Tar", "Ver", "Zel", "Gü",
     "Rö", "Kä"),
    ("da", "li", "vo", "mar", "ne", "ro", "ti", "ba", "sche", "gu", "wi", "pe"),
    ("lund", "wick", "berg", "dorf", "tal", "nova", "sen", "mond", "hof", "rath", "kamp", "stedt", "brück", "lohe", "au"),
)  # fmt: skip
SECTORS = {  # industries: what they add to the name; legal forms
    "industry": (
        {"mechanical engineering": "Maschinenbau", "chemicals": "Chemie", "automotive": "Fahrzeugtechnik",
         "furniture": "Möbelwerke"},
        ("GmbH", "AG", "GmbH & Co. KG"),
    ),
    "digital": (
        {"software": "Software", "online retail": "Onlinehandel", "media": "Medien", "logistics technology": "Logistiktechnik"},
        ("GmbH", "UG (haftungsbeschränkt)", "AG"),
    ),
    "trade": (
        {"wholesale": "Großhandel", "construction": "Bau", "events": "Veranstaltungstechnik", "logistics": "Logistik"},
        ("GmbH", "GmbH & Co. KG", "KG"),
    ),
    "public": (
        {"municipality": "Stadtverwaltung", "district": "Landkreis", "utility": "Stadtwerke", "health": "Klinikum"},
        ("", "", "AöR"),
    ),
    "crafts": (
        {"crafts": "Haustechnik", "consulting": "Beratung", "retail": "Bürobedarf", "dentistry": "Zahntechnik"},
        ("e.K.", "GmbH", "UG (haftungsbeschränkt)"),
    ),
    "education": (
        {"secondary school": "Gymnasium", "vocational school": "Berufsschule", "university": "Hochschule", "academy": "Akademie"},
        ("", "", "gGmbH"),
    ),
    "finance": (
        {"insurance": "Versicherung", "banking": "Bank", "tax advice": "Steuerberatung", "asset management": "Vermögen"},
        ("AG", "eG", "GmbH"),
    ),
}  # fmt: skip
LED_BY_ACTIVITY = ("public", "education")  # "Gymnasium Norlund", but "Norlund Maschinenbau"
COUNTRIES = {"DE": 0.72, "AT": 0.12, "CH": 0.10, "NL": 0.06}
TAX_FORMS = {"DE": "DE0{:08d}", "AT": "ATU0{:07d}", "CH": "CHE-0{0:08d}", "NL": "NL0{:08d}B01"}
PLACES = {
    "DE": (
        ("10115", "Berlin"), ("20095", "Hamburg"), ("80331", "München"), ("50667", "Köln"), ("60311", "Frankfurt am Main"),
        ("70173", "Stuttgart"), ("40213", "Düsseldorf"), ("04109", "Leipzig"), ("90402", "Nürnberg"),
        ("01067", "Dresden"), ("30159", "Hannover"), ("28195", "Bremen"),
    ),
    "AT": (("1010", "Wien"), ("8010", "Graz"), ("4020", "Linz"), ("5020", "Salzburg")),
    "CH": (("8001", "Zürich"), ("3011", "Bern"), ("4051", "Basel"), ("9000", "St. Gallen")),
    "NL": (("1012 AB", "Amsterdam"), ("3011 CD", "Rotterdam"), ("3511 EF", "Utrecht")),
}  # fmt: skip
REVENUE_BANDS = ((15, "under 2 million"), (60, "2 to 10 million"), (250, "10 to 50 million"), (1000, "50 to 250 million"))
LARGEST_BAND = "over 250 million"
ROLES = ("decision maker", "champion", "user", "finance", "it", "gatekeeper")
ROLE_CHANCES = {  # of the people after the first, who decides
    "large": (0.18, 0.16, 0.28, 0.12, 0.18, 0.08),
    "small": (0.15, 0.25, 0.45, 0.10, 0.05, 0.0),
}
SENIORITY = {
    "decision maker": ("executive", "director"), "champion": ("manager", "senior"), "user": ("staff", "senior"),
    "finance": ("manager", "director"), "it": ("senior", "manager"), "gatekeeper": ("staff", "staff"),
}  # fmt: skip
TITLES = {
    "decision maker": {"executive": "Geschäftsführung", "director": "Bereichsleitung"},
    "champion": {"manager": "Teamleitung Planung", "senior": "Projektleitung"},
    "user": {"staff": "Sachbearbeitung", "senior": "Fachreferat"},
    "finance": {"manager": "Leitung Rechnungswesen", "director": "Kaufmännische Leitung"},
    "it": {"senior": "Systemadministration", "manager": "IT-Leitung"},
    "gatekeeper": {"staff": "Einkauf und Assistenz"},
}
SISTERS, MOVERS, FREE_MAILERS, UNKNOWN_TO_CRM = 0.015, 0.01, 0.08, 0.28
TRAITS = ("health", "openness", "usage", "demand", "complaints", "growth", "thrift")


def build_organisations(count: int, seed: int) -> pd.DataFrame:
    """Invent the organisations.

    -> account (O-00001), kind (position in NAMES), type, name, legal_form, domain, tax_number, customer_number, industry,
    employees, revenue_band, country, postcode, city, started (first contract, NaT for prospects), created (first known,
    before it), sister (row of the organisation whose domain it shares, or -1), one trait per TRAITS (standard
    normal), onset (month of the simulation in which a decline sets in).
    """
    rng = stream(seed, "organisations")
    table = pd.DataFrame({"account": [f"O-{n:05d}" for n in range(1, count + 1)], "kind": _deal_kinds(rng, count)})
    table["type"] = np.array(NAMES, object)[table["kind"]]
    table = table.join(_describe(rng, table["kind"].to_numpy()))
    table = table.join(_locate(rng, count))
    table["customer_number"] = [f"D{n}" for n in 200_000 + rng.choice(20 * count, count, replace=False)]
    table["started"], table["created"] = _draw_starts(rng, table["kind"].to_numpy())
    for trait in TRAITS:
        table[trait] = rng.standard_normal(count)
    table["onset"] = rng.integers(0, MONTHS - 1, count)
    return _make_sisters(rng, table)


def _deal_kinds(rng: np.random.Generator, count: int) -> np.ndarray:
    """Deal the planted kinds by their shares, in random order; rounding goes to the first."""
    quotas = [round(kind.share * count) for kind in KINDS.values()]
    quotas[0] = max(0, count - sum(quotas[1:]))
    return rng.permutation(np.repeat(np.arange(len(quotas)), quotas)[:count])


def _describe(rng: np.random.Generator, kinds: np.ndarray) -> pd.DataFrame:
    """Draw industry, size, legal form and a name with a stem of its own."""
    stems = [a + b + c for a in STEMS[0] for b in STEMS[1] for c in STEMS[2]]
    order = rng.permutation(len(stems))
    rows = []
    for n, kind in enumerate(kinds):
        sector = KINDS[NAMES[kind]].sector
        activities, forms = SECTORS[sector]
        industry = list(activities)[rng.integers(len(activities))]
        form = forms[rng.integers(len(forms))]
        stem = stems[order[n % len(stems)]] + (f" {n // len(stems) + 1}" if n >= len(stems) else "")
        words = (activities[industry], stem) if sector in LED_BY_ACTIVITY else (stem, activities[industry])
        rows.append((industry, " ".join(words), form, plain_letters(words[0]) + "-" + plain_letters(words[1])))
    table = pd.DataFrame(rows, columns=["industry", "short_name", "legal_form", "domain"])
    again = table.groupby("domain").cumcount().to_numpy()
    table["domain"] = table["domain"] + np.where(again > 0, again.astype(str).astype(object), "") + ".example"
    table["name"] = (table["short_name"] + " " + table["legal_form"]).str.strip()
    table["employees"] = np.maximum(2, of_kinds("employees", kinds) * rng.lognormal(0, 0.5, len(kinds))).astype(int)
    limits = np.array([limit for limit, _ in REVENUE_BANDS])
    names = np.array([name for _, name in REVENUE_BANDS] + [LARGEST_BAND], object)
    table["revenue_band"] = names[np.searchsorted(limits, table["employees"] * rng.lognormal(0, 0.2, len(kinds)))]
    return table


def _locate(rng: np.random.Generator, count: int) -> pd.DataFrame:
    """Draw country, town and a tax number in the country's form."""
    country = rng.choice(np.array(list(COUNTRIES), object), count, p=list(COUNTRIES.values()))
    place = [PLACES[c][int(u * len(PLACES[c]))] for c, u in zip(country, rng.random(count), strict=True)]
    number = rng.choice(9_000_000, count, replace=False) + 1_000_000
    taxes = [TAX_FORMS[c].format(n) for c, n in zip(country, number, strict=True)]
    towns = {"postcode": [p for p, _ in place], "city": [c for _, c in place]}
    return pd.DataFrame({"country": country, **towns, "tax_number": taxes})


def _draw_starts(rng: np.random.Generator, kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draw the first day of the first contract (none for prospects) and the day the vendor first heard of it."""
    count, span = len(kinds), int((EXPORTED_AT - START) / np.timedelta64(1, "D"))
    begun = START.astype("datetime64[D]")
    early, late = begun - rng.integers(10, 1500, count), begun + rng.integers(5, span - 5, count)
    started = np.where(rng.random(count) < of_kinds("joins", kinds), late, early)
    created = started - rng.integers(5, 120, count)
    return np.where(kinds == PROSPECT, np.datetime64("NaT"), started), created


def _make_sisters(rng: np.random.Generator, table: pd.DataFrame) -> pd.DataFrame:
    """Let a few organisations be sisters of others: the same stem and domain, another name, tax number and town."""
    pairs = max(1, round(SISTERS * len(table)))
    companies = np.flatnonzero(~table["kind"].map(lambda k: KINDS[NAMES[k]].sector in LED_BY_ACTIVITY))
    chosen = rng.permutation(companies)[: 2 * pairs]
    younger, elder = chosen[:pairs], chosen[pairs:]
    table["sister"] = -1
    table.loc[younger, "sister"] = elder
    table.loc[younger, "domain"] = table["domain"].to_numpy()[elder]
    stems = table["short_name"].to_numpy()[elder]
    names = [f"{stem.partition(' ')[0]} Service" for stem in stems]
    table.loc[younger, "short_name"] = names
    table.loc[younger, "name"] = [f"{name} GmbH" for name in names]
    table.loc[younger, "legal_form"] = "GmbH"
    return table


def build_people(organisations: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Invent the people of every organisation, in blocks; the first of each decides and has always been there.

    -> person (P-00001; the same for somebody who moved to another organisation), row (position of the organisation),
    account, first_name, last_name, email, own_mail (at the organisation's domain), phone, role (ROLES), seniority,
    job_title, since (NaT: always), until (NaT: still there), user (works with the product), in_crm.
    """
    rng = stream(seed, "people of accounts")
    kinds = organisations["kind"].to_numpy()
    mean = of_kinds("people", kinds) * (organisations["employees"] / of_kinds("employees", kinds)).to_numpy() ** 0.4
    row = np.repeat(np.arange(len(kinds)), 1 + rng.poisson(mean - 0.6))
    first_of_all = np.append(True, row[1:] != row[:-1])
    people = pd.DataFrame({"row": row, "account": organisations["account"].to_numpy()[row]})
    people["first_name"], people["last_name"] = _draw_names(rng, len(row))
    people["role"] = _draw_roles(rng, organisations["employees"].to_numpy()[row] > 150, first_of_all)
    people["seniority"] = [SENIORITY[role][int(u < 0.5)] for role, u in zip(people["role"], rng.random(len(row)), strict=True)]
    people["job_title"] = [TITLES[role][rank] for role, rank in zip(people["role"], people["seniority"], strict=True)]
    late = START.astype("datetime64[D]") + rng.integers(0, MONTHS * 30, len(row))
    people["since"] = np.where(~first_of_all & (rng.random(len(row)) < 0.25), late, np.datetime64("NaT"))
    people["until"] = np.full(len(row), np.datetime64("NaT", "D"))
    likely = people["role"].map(
        {"user": 0.95, "champion": 0.85, "it": 0.7, "decision maker": 0.35, "finance": 0.3, "gatekeeper": 0.1}
    )
    people["user"] = first_of_all | (rng.random(len(row)) < likely)
    people["in_crm"] = first_of_all | (rng.random(len(row)) >= UNKNOWN_TO_CRM)
    people["person"] = [f"P-{n:05d}" for n in range(1, len(row) + 1)]
    people = _move_some(rng, people, first_of_all)
    people["email"], people["own_mail"] = _draw_emails(rng, people, organisations["domain"].to_numpy(object))
    people["phone"] = _draw_phones(rng, len(people))
    return people


def _draw_names(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw German first and last names."""
    from faker.providers.person.de_DE import Provider

    names = (Provider.first_names, Provider.last_names)
    first, last = (np.array(sorted(set(every)), object)[rng.integers(0, len(set(every)), count)] for every in names)
    return first, last


def _draw_roles(rng: np.random.Generator, large: np.ndarray, first_of_all: np.ndarray) -> np.ndarray:
    """Draw roles in the buying committee."""
    chances = np.array([ROLE_CHANCES["small"], ROLE_CHANCES["large"]])
    roles = np.array(ROLES, object)[pick_by_row(rng, chances, large.astype(int))]
    return np.where(first_of_all, "decision maker", roles)


def _move_some(rng: np.random.Generator, people: pd.DataFrame, first_of_all: np.ndarray) -> pd.DataFrame:
    """Let a few people change to another organisation, where their former colleagues' successors are told by name only."""
    movable = np.flatnonzero(~first_of_all & people["since"].isna().to_numpy())
    hosts = np.flatnonzero(~first_of_all & people["since"].notna().to_numpy())
    count = min(max(1, round(MOVERS * len(people))), len(movable), len(hosts))
    leaving, arriving = rng.permutation(movable)[:count], rng.permutation(hosts)[:count]
    apart = people["row"].to_numpy()[leaving] != people["row"].to_numpy()[arriving]
    leaving, arriving = leaving[apart], arriving[apart]
    people.loc[leaving, "until"] = people["since"].to_numpy()[arriving]
    for column in ("person", "first_name", "last_name"):
        people.loc[arriving, column] = people[column].to_numpy(object)[leaving]
    return people


def _draw_emails(rng: np.random.Generator, people: pd.DataFrame, domains: np.ndarray) -> tuple[pd.Series, np.ndarray]:
    """Derive an address from each name, unique over all of them, some of them at free mailboxes."""
    first, last = people["first_name"].map(plain_letters), people["last_name"].map(plain_letters)
    short = rng.random(len(people)) < 0.25
    local = (first.str[0] + "." + last).where(short, first + "." + last)
    own = rng.random(len(people)) >= FREE_MAILERS
    free = np.array(FREE_MAIL, object)[rng.integers(0, len(FREE_MAIL), len(people))]
    domain = pd.Series(np.where(own, domains[people["row"]], free), index=people.index)
    again = (local + "@" + domain).groupby((local + "@" + domain).to_numpy()).cumcount()
    return local + np.where(again > 0, (again + 1).astype(str), "") + "@" + domain, own


def _draw_phones(rng: np.random.Generator, count: int) -> np.ndarray:
    """Deal film numbers (national, without the leading 0); a number comes again only after all 5,000 are dealt."""
    every = np.array([f"{area} {n:03d}" for area in FILM_NUMBERS for n in range(1000)], object)
    return np.resize(rng.permutation(every), count)


def write_phones(rng: np.random.Generator, numbers: np.ndarray) -> np.ndarray:
    """Write national numbers the way people do: 030 23125 017, +49 (30) 23125-017, 0049…; '' stays ''."""
    styles = ("0{} {}{}", "+49 ({}) {}-{}", "0{}/{} {}", "0049{}{}{}", "+49 {} {}{}")
    style = rng.integers(0, len(styles), len(numbers))
    return np.array([styles[s].format(*n.split(" ")) if n else "" for s, n in zip(style, numbers, strict=True)], dtype=object)
