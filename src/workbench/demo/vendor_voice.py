"""What the accounts say: support tickets and the quarterly satisfaction survey."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.demo.chance import iso_local, pick_by_row, stream
from workbench.demo.vendor_accounts import write_phones
from workbench.demo.vendor_calendar import office_moments
from workbench.demo.vendor_life import Life
from workbench.demo.vendor_records import pick_people
from workbench.demo.vendor_types import TICKET_TOPICS, of_kinds, weights_of

PRIORITIES = ("low", "normal", "high", "urgent")
CHANNELS, CHANNEL_CHANCES = ("e-mail", "portal", "phone"), (0.5, 0.3, 0.2)
NO_ADDRESS, RATED, NOT_A_SCORE, NEVER_CLOSED = 0.03, 0.45, 0.02, 0.02
REASONS = {"promoter": "does what we need", "passive": "fine, some wishes open", "detractor": "too many faults"}


def simulate_tickets(
    organisations: pd.DataFrame, people: pd.DataFrame, life: Life, until: np.datetime64, seed: int
) -> pd.DataFrame:
    """Tell the tickets drawn in `life`, by time of opening (local).

    -> ticket_id, requester_email, requester_phone, opened, closed ('' = open when exported), channel, topic, priority, csat (1-5
    or ''; higher in a good mood and after a quick answer), whom, row. Every ticket has an address or a phone number.
    """
    months = [_month_of_tickets(stream(seed, "tickets", m), m, organisations, people, life) for m in range(len(life.tickets))]
    tickets = pd.concat(months, ignore_index=True)
    tickets = tickets[tickets["opened"] < until].sort_values(["opened", "whom"], kind="stable", ignore_index=True)
    still_open = (tickets["closed"] >= until) | tickets["forgotten"]
    tickets["opened"], closed = (
        iso_local(tickets["opened"].to_numpy("datetime64[s]")),
        tickets["closed"].to_numpy("datetime64[s]"),
    )
    tickets["closed"] = np.where(still_open, "", iso_local(closed))
    tickets["csat"] = tickets["csat"].mask(still_open, "")
    tickets.insert(0, "ticket_id", [f"T-{number:05d}" for number in range(1, len(tickets) + 1)])
    return tickets.drop(columns="forgotten")


def _month_of_tickets(rng, month: int, organisations: pd.DataFrame, people: pd.DataFrame, life: Life) -> pd.DataFrame:
    """Draw one month's tickets."""
    kinds, health = organisations["kind"].to_numpy(), life.health[month]
    row = np.repeat(np.arange(len(kinds)), life.tickets[month])
    opened = office_moments(rng, month, len(row))
    whom, draws = pick_people(rng, people, row, opened, users=True), rng.random((4, len(row)))
    priority = np.clip((draws[0] * 3 - 0.6 * health[row]).round(), 0, 3).astype(int)
    hours = rng.lognormal(3.0, 1.0, len(row)) / (1 + 0.6 * priority)
    mood = 3.7 + 0.7 * health[row] - 0.3 * np.log1p(hours / 12) + 0.7 * rng.standard_normal(len(row))
    channel = rng.choice(np.array(CHANNELS, object), len(row), p=CHANNEL_CHANCES)
    calls = (channel == "phone") | (draws[1] < NO_ADDRESS)
    phones = write_phones(rng, people["phone"].to_numpy(object)[whom])
    tickets = pd.DataFrame(
        {
            "requester_email": np.where(calls & (draws[1] < 0.4), "", people["email"].to_numpy(object)[whom]),
            "requester_phone": np.where(calls | (draws[2] < 0.15), phones, ""),
            "opened": opened,
            "closed": opened + (hours * 3600).astype(np.int64).astype("timedelta64[s]"),
            "channel": channel,
            "topic": np.array(TICKET_TOPICS, object)[pick_by_row(rng, weights_of("problems", kinds), row)],
            "priority": np.array(PRIORITIES, object)[priority],
            "csat": pd.Series(np.clip(mood.round(), 1, 5).astype(int).astype(str), dtype=object).where(draws[3] < RATED, ""),
            "whom": whom,
            "row": row,
            "forgotten": draws[3] > 1 - NEVER_CLOSED,
        }
    )
    return tickets[(opened >= life.begins[row]) & ~(opened >= life.ends[row])].reset_index(drop=True)


def simulate_survey(
    organisations: pd.DataFrame, people: pd.DataFrame, contacts: pd.DataFrame, life: Life, until: np.datetime64, seed: int
) -> pd.DataFrame:
    """Ask every contact of a running account once a quarter, and note who answers, by time (local).

    -> response_id, contact_email, submitted_at, nps (0-10; 99 = would not say), reason, whom, row. The content answer more.
    """
    asked = contacts.assign(email=contacts["email"].str.strip().str.lower()).query("email != ''").drop_duplicates("email")
    rounds = [m for m in range(len(life.health)) if m % 3 == 2]
    answers = [_round_of_answers(stream(seed, "survey", m), m, organisations, asked, life) for m in rounds]
    table = pd.concat(answers, ignore_index=True)
    table = table[table["submitted_at"] < until].sort_values(["submitted_at", "whom"], kind="stable", ignore_index=True)
    table.insert(0, "response_id", [f"R-{number:04d}" for number in range(1, len(table) + 1)])
    return table


def _round_of_answers(rng, month: int, organisations: pd.DataFrame, asked: pd.DataFrame, life: Life) -> pd.DataFrame:
    """Draw one round of answers."""
    row, count = asked["row"].to_numpy(), len(asked)
    at, draws = office_moments(rng, month, count), rng.random((2, count))
    health = life.health[month][row]
    openness = of_kinds("openness", organisations["kind"].to_numpy()[row])
    there = (at >= life.begins[row]) & ~(at >= life.ends[row]) & (at > asked["at"].to_numpy("datetime64[s]"))
    answers = there & (draws[0] < 0.10 * np.exp(0.4 * openness + 0.3 * health))
    liking = 7.0 + 2.2 * health + 0.8 * rng.standard_normal(count)
    score = np.clip(liking.round(), 0, 10).astype(int)
    mood = np.select([score >= 9, score >= 7], ["promoter", "passive"], "detractor")
    columns = {
        "contact_email": asked["email"],
        "submitted_at": at,
        "nps": np.where(draws[1] < NOT_A_SCORE, 99, score),
        "reason": [REASONS[name] for name in mood],
        "whom": asked["whom"],
        "row": row,
    }
    return pd.DataFrame(columns)[answers]
