"""Invent person records of several systems with known truth: names as common as in the United States, slips, moves, gaps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

SYSTEMS = {"crm": 0.4, "shop": 0.35, "loyalty": 0.25}
LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz"), object)


def write_people(folder: Path, records: int, seed: int = 7) -> pd.DataFrame:
    """Write `records` person records of three systems as Parquet -> truth: source, record_id, person.

    About 1.7 records per person. Of the records, 12 % have a slip in a name, 6 % another address, 25 % no e-mail, 30 % no phone,
    15 % no birth date; one e-mail or phone in ten is an earlier one.
    """
    rng = np.random.default_rng(seed)
    people = _people(rng, int(records / 1.7))
    person = np.sort(rng.integers(0, len(people), records))
    rows = people.iloc[person].reset_index(drop=True)
    rows["given_name"] = _slip(rng, rows.given_name, 0.06)
    rows["family_name"] = _slip(rng, rows.family_name, 0.06)
    moved = rng.random(records) < 0.06
    elsewhere = people.iloc[rng.integers(0, len(people), records)].reset_index(drop=True)
    for column in ("street", "postcode", "city"):
        rows[column] = rows[column].where(~moved, elsewhere[column])
    for column, gone in (("email", 0.25), ("phone", 0.30), ("birth_date", 0.15)):
        rows[column] = rows[column].mask(rng.random(records) < gone)
    old = rng.random(records) < 0.10
    rows["email"] = rows.email.where(~old | rows.email.isna(), "old." + rows.email.astype("str"))
    rows["phone"] = rows.phone.where(rng.random(records) > 0.10, rows.phone.str[::-1])
    rows["person"], rows["source"] = person, rng.choice(list(SYSTEMS), records, p=list(SYSTEMS.values()))
    rows["record_id"] = rng.permutation(records).astype(str)
    folder.mkdir(parents=True, exist_ok=True)
    for system in SYSTEMS:
        mine = rows[rows.source == system].sort_values("record_id", ignore_index=True)
        mine.drop(columns=["person", "source"]).to_parquet(folder / f"{system}.parquet", index=False)
    return rows[["source", "record_id", "person"]]


def _people(rng: np.random.Generator, count: int) -> pd.DataFrame:
    from faker.providers.person.en_US import Provider

    given, family = (_weighted(rng, names, count) for names in (Provider.first_names, Provider.last_names))
    number = np.arange(count).astype(str).astype(object)
    place = rng.integers(0, 8000, count)
    street = rng.integers(0, 40, count)
    day = np.datetime64("1940-01-01") + rng.integers(0, 24_000, count)
    return pd.DataFrame(
        {
            "given_name": given,
            "family_name": family,
            "birth_date": np.datetime_as_string(day),
            "email": pd.Series(given).str.lower() + "." + pd.Series(family).str.lower() + number + "@example.com",
            "phone": "+1" + pd.Series(2_012_000_000 + rng.permutation(6_000_000_000 // 7919)[:count] * 7919).astype(str)
            if count < 700_000
            else "+1" + pd.Series(2_012_000_000 + np.arange(count) * 7919).astype(str),
            "street": pd.Series(rng.integers(1, 400, count)).astype(str) + " " + pd.Series(street).map(lambda s: f"{LETTERS[s % 26] * 3}{LETTERS[s // 26]}son street"),
            "postcode": pd.Series(10_000 + place).astype(str),
            "city": "town" + pd.Series(place // 8).astype(str),
        }
    ).astype("str")  # fmt: skip


def _weighted(rng: np.random.Generator, weights: dict[str, float], count: int) -> np.ndarray:
    chances = np.array(list(weights.values()))
    return rng.choice(np.array(list(weights), object), count, p=chances / chances.sum())


def _slip(rng: np.random.Generator, names: pd.Series, share: float) -> pd.Series:
    """Swap two letters of some names."""
    at = np.flatnonzero(rng.random(len(names)) < share)
    plain = names.to_numpy(object).copy()
    for i in at:
        name = plain[i]
        k = 1 + int(i) % max(len(name) - 2, 1)
        plain[i] = name[:k] + name[k + 1 : k + 2] + name[k : k + 1] + name[k + 2 :]
    return pd.Series(plain, dtype="str")
