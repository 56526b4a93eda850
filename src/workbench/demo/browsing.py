"""Visits to the web shop and the app: sessions of cookies and devices, few of which say whose they are."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from workbench.demo.behaviour import DEPARTMENTS, MONTHS, Past
from workbench.demo.chance import (
    hashed,
    hashed_share,
    hex_codes,
    iso_utc,
    local_to_utc,
    moments_in_month,
    pick_by_row,
    pick_word,
    stream,
)

QUERIES = {
    "GROCERY": ("pasta sauce", "coffee beans", "cereal", "olive oil"),
    "DRUG GM": ("shampoo", "batteries", "vitamins", "diapers"),
    "PRODUCE": ("avocado", "salad", "strawberries", "bananas"),
    "MEAT": ("ground beef", "pork chops", "chicken breast"),
    "MEAT-PCKGD": ("bacon", "hot dogs", "lunch meat"),
    "DELI": ("cheese", "ham", "party tray"),
    "PASTRY": ("birthday cake", "bagels", "donuts"),
    "NUTRITION": ("organic milk", "gluten free", "tofu"),
    "SEAFOOD": ("salmon", "shrimp"),
    "FLORAL": ("roses", "bouquet"),
    "COSMETICS": ("lipstick", "face cream"),
    "SPIRITS": ("red wine", "gin"),
}


@dataclass(frozen=True)
class Channel:
    """How a channel is used.

    opening: first event of a session; kinds / chances: its further events, how likely; length: their mean number;
    devices: how a visit falls on the visitor's devices; renewal: chance per month that a device gets a new id;
    signs_in: share of the ids that ever say who they are; again: chance that a later session says so too.
    """

    opening: str
    kinds: tuple[str, ...]
    chances: tuple[float, ...]
    length: float
    devices: tuple[float, ...]
    renewal: float
    signs_in: float
    again: float


WEB = Channel(
    opening="page_view",
    kinds=("page_view", "search", "add_to_cart", "checkout"),
    chances=(0.73, 0.14, 0.11, 0.02),
    length=4.0,
    devices=(0.68, 0.24, 0.08),
    renewal=0.10,
    signs_in=0.65,
    again=0.25,
)
APP = Channel(
    opening="app_open",
    kinds=("offer_view", "list_add", "store_locator"),
    chances=(0.61, 0.34, 0.05),
    length=3.0,
    devices=(0.94, 0.06),
    renewal=0.02,
    signs_in=0.80,
    again=0.15,
)
STRANGER = replace(WEB, devices=(1.0,), renewal=0.0, signs_in=0.0)


def visit_rates(base: float, trait: np.ndarray, uses: np.ndarray, past: Past) -> np.ndarray:
    """Expect this many sessions in a month: about `base` for users, more with the trait and with recent shopping."""
    return np.where(uses, base * np.exp(0.7 * trait - 0.25 + 0.4 * past.level), 0.0)


def simulate_visits(channel: Channel, label: str, rates: list[np.ndarray], pasts: list[Past], seed: int) -> pd.DataFrame:
    """Draw all events of a channel, by time -> visitor (position), key (cookie or device), session, kind, category, at.

    `at` is local time. `rates` and `pasts` hold one entry per month; a month uses only its own entry and stream.
    """
    renewed = np.zeros((len(rates[0]), len(channel.devices)), np.int64)
    months = []
    for month in range(MONTHS):
        rng = stream(seed, label, month)
        renewed += rng.random(renewed.shape) < channel.renewal
        months.append(_month_of_visits(rng, channel, month, rates[month], pasts[month], renewed))
    events = pd.concat(months, ignore_index=True)
    sign_ins = _sign_ins(channel, label, events, seed)
    events = pd.concat([events, sign_ins], ignore_index=True)
    return events.sort_values(["at", "visitor", "session"], kind="stable", ignore_index=True)


def _month_of_visits(
    rng: np.random.Generator, channel: Channel, month: int, rate: np.ndarray, past: Past, renewed: np.ndarray
) -> pd.DataFrame:
    """Draw one month: how many sessions, when, on which device, and the events inside each."""
    visitor = np.repeat(np.arange(len(rate)), rng.poisson(rate))
    start = moments_in_month(rng, month, len(visitor))
    device = rng.choice(len(channel.devices), len(visitor), p=channel.devices)
    key = (visitor * len(channel.devices) + device) * (MONTHS + 1) + renewed[visitor, device]
    session = np.repeat(np.arange(len(visitor)), 1 + rng.geometric(1 / channel.length, len(visitor)))
    first = np.diff(session, prepend=-1) > 0
    kind = np.where(first, channel.opening, rng.choice(channel.kinds, len(session), p=channel.chances))
    elapsed = np.cumsum(np.where(first, 0, rng.integers(4, 120, len(session))))
    elapsed = elapsed - elapsed[first][session]
    return pd.DataFrame(
        {
            "visitor": visitor[session],
            "key": key[session],
            "session": session * MONTHS + month,
            "first": first,
            "kind": pd.Series(kind, dtype=object),
            "category": np.array(DEPARTMENTS, object)[pick_by_row(rng, past.departments, visitor[session])],
            "at": start[session] + elapsed.astype("timedelta64[s]"),
        }
    )


def _sign_ins(channel: Channel, label: str, events: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Add a sign-in two seconds after the start of a known id's first session, and of some later ones.

    Whether an id ever signs in is fixed by the id itself, so it knows nothing about the visits.
    """
    starts = events[events["first"]].sort_values(["at", "visitor", "session"], kind="stable")
    ever = hashed_share(seed, f"{label} signs in", starts["key"]) < channel.signs_in
    again = hashed_share(seed, f"{label} again", starts["session"], starts["visitor"]) < channel.again
    chosen = starts[ever & (again | ~starts["key"].duplicated())]
    return chosen.assign(kind="sign_in", first=False, at=chosen["at"] + np.timedelta64(2, "s"))


def visit_ids(label: str, events: pd.DataFrame, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Name cookies (or devices) and sessions: 16 hexadecimal characters each, from which nobody reads the visitor."""
    ids = hex_codes(hashed(seed, f"{label} id", events["key"]))
    return ids, hex_codes(hashed(seed, f"{label} session", events["session"], events["visitor"]))


def web_records(events: pd.DataFrame, label: str, emails: np.ndarray, seed: int) -> pd.DataFrame:
    """Write web events as JSON lines: events, e-mail per visitor -> at, line, record_id (anonymous_id), visitor."""
    ids, sessions = visit_ids(label, events, seed)
    draws = hashed_share(seed, f"{label} query", events["session"], events["visitor"], events["at"])
    queries = pick_word(draws, QUERIES, events["category"])
    stamps = iso_utc(local_to_utc(events["at"].to_numpy()))
    kinds, categories = events["kind"].tolist(), events["category"].tolist()
    who = emails[events["visitor"]].tolist()
    lines = [_web_line(*parts) for parts in zip(ids, sessions, stamps.tolist(), kinds, categories, queries, who, strict=True)]
    return pd.DataFrame({"at": events["at"], "line": lines, "record_id": ids, "visitor": events["visitor"]})


def _web_line(anonymous_id, session_id, timestamp, kind, category, query, email) -> str:
    """Write one web event; only a search has a query, only a login a user."""
    event = "login" if kind == "sign_in" else kind
    record = {"anonymous_id": anonymous_id, "session_id": session_id, "timestamp": timestamp, "event": event}
    if event in ("login", "checkout"):
        record["page"] = {"path": f"/{event}"}
    else:
        record["page"] = {"path": f"/c/{category.lower().replace(' ', '-')}", "category": category}
    if event == "search":
        record["search"] = {"query": query}
    if event == "login":
        record["user"] = {"email": email}
    return json.dumps(record)


def app_records(events: pd.DataFrame, label: str, cards: np.ndarray, seed: int) -> pd.DataFrame:
    """Write app events as JSON lines: events, card number per visitor -> at, line, record_id (device_id), visitor."""
    ids, _ = visit_ids(label, events, seed)
    milliseconds = local_to_utc(events["at"].to_numpy()).astype("datetime64[ms]").astype(np.int64)
    milliseconds += (hashed(seed, "app ms", milliseconds, events["visitor"]) % np.uint64(1000)).astype(np.int64)
    who = cards[events["visitor"]].tolist()
    parts = zip(ids, milliseconds.tolist(), events["kind"], events["category"], who, strict=True)
    lines = [_app_line(*part) for part in parts]
    return pd.DataFrame({"at": events["at"], "line": lines, "record_id": ids, "visitor": events["visitor"]})


def _app_line(device_id, milliseconds, name, category, card) -> str:
    """Write one app event; only offers and list entries have a category, only a sign-in a user."""
    record = {"device_id": device_id, "event_time_ms": milliseconds, "name": name, "props": {}}
    if name in ("offer_view", "list_add"):
        record["props"] = {"category": category}
    if name == "sign_in":
        record["user"] = {"loyalty_card": card}
    return json.dumps(record)
