"""The people behind the households: invented names, addresses and identities, the truth that records then distort.

Nothing here looks at a purchase. The only real thing used is the age band of the demographics table. Every e-mail
address is at example.com, .org or .net and every telephone number is a 555-01XX number, so none can reach anybody.
"""

from __future__ import annotations

import unicodedata

import numpy as np
import pandas as pd

from workbench.demo.chance import YEAR, stream
from workbench.demo.real import card_numbers

DOMAINS = ("example.com", "example.org", "example.net")
AREA_CODES = (
    201, 202, 203, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219, 224, 225, 228, 229, 231, 234,
    239, 240, 248, 251, 252, 253, 254, 256, 260, 262, 267, 269, 270, 276, 281, 301, 302, 303, 304, 305, 307, 308, 309,
    310, 312, 313, 314, 315, 316, 317, 318,
)  # fmt: skip
CITIES = (
    ("Ashford", "45011"), ("Brookhaven", "45013"), ("Cedar Falls", "45014"), ("Dunmore", "45030"), ("Easton", "45036"),
    ("Fairmont", "45039"), ("Glenwood", "45040"), ("Harlan", "45044"), ("Irvington", "45050"), ("Juniper", "45052"),
    ("Kingsport", "45056"), ("Lakeview", "45065"), ("Maple Grove", "45069"), ("Norwood", "45212"), ("Oakdale", "45215"),
    ("Pinehurst", "45231"), ("Quincy", "45236"), ("Riverton", "45240"), ("Springdale", "45246"), ("Thornton", "45255"),
)  # fmt: skip
STREETS = (
    "Maple", "Oak", "Cedar", "Pine", "Elm", "Walnut", "Chestnut", "Highland", "Mill", "Church", "Park", "Lake", "River",
    "Spring", "Hickory", "Sycamore", "Jefferson", "Lincoln", "Franklin", "Adams", "Orchard", "Meadow", "Ridge", "Dale",
)  # fmt: skip
STREET_KINDS = ("Street", "Avenue", "Road", "Lane", "Drive", "Court")
ACCENTED_FIRST = ("José", "Zoë", "Renée", "André", "Chloë", "Noël", "Françoise", "Jürgen", "Begoña", "Søren")
ACCENTED_LAST = ("Müller", "O’Brien", "García", "Nuñez", "Lefèvre", "Gonçalves", "D’Angelo", "Björk", "Peña", "Weiß")
AGE_BANDS = {
    "19-24": (19, 24), "25-34": (25, 34), "35-44": (35, 44), "45-54": (45, 54), "55-64": (55, 64), "65+": (65, 88),
}  # fmt: skip
ANY_AGE = (20, 82)
RELATIVES = 0.01  # share of the households that share an e-mail address with another household


def build_people(households: np.ndarray, demographics: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Invent one main person per household.

    household ids, demographics(household_id, age) -> household_id, card_number, first_name, partner_name, last_name,
    email, old_email, phone, old_phone (ten digits), birth_date (within the real age band where one is known),
    street, postcode, city, relative (position of the household that it shares an e-mail with, or -1).
    """
    rng = stream(seed, "people")
    count = len(households)
    relative = draw_relatives(rng, count)
    people = pd.DataFrame({"household_id": households, "card_number": card_numbers(households)})
    people["first_name"], people["last_name"] = draw_names(rng, count)
    people["partner_name"] = draw_names(rng, count)[0]
    last = people["last_name"].to_numpy(object)
    people["last_name"] = np.where(relative >= 0, last[relative], last)
    people["email"], people["old_email"] = draw_emails(rng, people)
    people["phone"], people["old_phone"] = draw_phones(rng, count)
    people["birth_date"] = draw_birth_dates(rng, households, demographics)
    people["street"], people["postcode"], people["city"] = draw_addresses(rng, count)
    people["relative"] = relative
    return people


def draw_relatives(rng: np.random.Generator, count: int) -> np.ndarray:
    """Pair a few households: position of the elder relative, or -1 for almost everybody; no chains."""
    pairs = min(max(1, round(RELATIVES * count)), count // 2)
    chosen = rng.permutation(count)[: 2 * pairs]
    relative = np.full(count, -1)
    relative[chosen[:pairs]] = chosen[pairs:]
    return relative


def draw_names(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw first and last names as common as in the United States, about one in twenty-five with an accent."""
    from faker.providers.person.en_US import Provider

    first = _weighted(rng, Provider.first_names, count)
    last = _weighted(rng, Provider.last_names, count)
    first = np.where(rng.random(count) < 0.04, rng.choice(np.array(ACCENTED_FIRST, object), count), first)
    return first, np.where(rng.random(count) < 0.04, rng.choice(np.array(ACCENTED_LAST, object), count), last)


def _weighted(rng: np.random.Generator, weights: dict[str, float], count: int) -> np.ndarray:
    """Draw keys by their weights."""
    chances = np.array(list(weights.values()))
    return rng.choice(np.array(list(weights), object), count, p=chances / chances.sum())


def plain_letters(name: str) -> str:
    """Reduce a name to lower-case a–z: 'O’Brien' -> 'obrien', 'Müller' -> 'muller'."""
    bare = unicodedata.normalize("NFKD", name.replace("ß", "ss").replace("ø", "o"))
    return "".join(letter for letter in bare.lower() if "a" <= letter <= "z")


def draw_emails(rng: np.random.Generator, people: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Derive a current and an earlier e-mail address from each name, unique over all of them."""
    first = people["first_name"].map(plain_letters)
    last = people["last_name"].map(plain_letters)
    style = rng.integers(0, 3, (2, len(people)))
    domain = rng.integers(0, len(DOMAINS), (2, len(people)))
    number = pd.Series(rng.integers(10, 99, len(people)).astype(str))
    styles = [first + "." + last, first.str[0] + last + number, first + number]
    local = pd.concat([pd.Series(np.choose(pick, [s.to_numpy(object) for s in styles])) for pick in style])
    repeat = local.groupby(local.to_numpy()).cumcount().to_numpy()
    local = local.to_numpy(object) + np.where(repeat > 0, "." + (repeat + 1).astype(str).astype(object), "")
    emails = local + "@" + np.array(DOMAINS, object)[domain.ravel()]
    return pd.Series(emails[: len(people)]), pd.Series(emails[len(people) :])


def draw_phones(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a current and an earlier fictitious number (ten digits, NPA-555-01XX); no number is given twice."""
    every = (np.array(AREA_CODES)[:, None] * 10_000_000 + 5_550_100 + np.arange(100)).ravel()
    dealt = rng.permutation(every)[: 2 * count].astype(str).astype(object)
    return dealt[:count], dealt[count:]


def draw_birth_dates(rng: np.random.Generator, households: np.ndarray, demographics: pd.DataFrame) -> np.ndarray:
    """Draw ISO birth dates: the age in 2017 lies in the household's real age band, or is any adult age."""
    bands = demographics.set_index("household_id")["age"].reindex(households)
    limits = np.array([AGE_BANDS.get(band, ANY_AGE) for band in bands])
    age = rng.integers(limits[:, 0], limits[:, 1] + 1)
    day = np.datetime64("2017-01-01") + rng.integers(0, 365, len(households))
    return np.array([f"{YEAR - a}-{str(d)[5:]}" for a, d in zip(age, day, strict=True)], dtype=object)


def draw_addresses(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw street with house number, postcode and city."""
    number = rng.integers(1, 2400, count)
    street = rng.choice(np.array(STREETS, object), count)
    kind = rng.choice(np.array(STREET_KINDS, object), count)
    place = rng.integers(0, len(CITIES), count)
    lines = np.array([f"{n} {s} {k}" for n, s, k in zip(number, street, kind, strict=True)], dtype=object)
    cities, postcodes = np.array(CITIES, object).T
    return lines, postcodes[place], cities[place]


def write_phones(rng: np.random.Generator, digits: np.ndarray) -> np.ndarray:
    """Write ten-digit numbers the way people do: brackets, dots, dashes, a country code; '' stays ''."""
    styles = ("({}) {}-{}", "+1 {} {} {}", "{}.{}.{}", "{}-{}-{}", "1{}{}{}", "{}{}{}")
    style = rng.integers(0, len(styles), len(digits))
    return np.array(
        [styles[s].format(d[:3], d[3:6], d[6:]) if d else "" for s, d in zip(style, digits, strict=True)], dtype=object
    )
