"""The e-mail service: a weekly newsletter, and what its readers did with it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.demo.behaviour import TOPICS, Past
from workbench.demo.chance import hashed_share, iso_utc, stream
from workbench.demo.records import PLACEHOLDERS

MAILING_DAYS = np.arange("2017-01-03", "2018-01-01", 7, dtype="datetime64[D]")  # 52 Tuesdays
SEND_TIME = np.timedelta64(14, "h")  # UTC
THEMES = (1, 2, 3, 4, 5)  # positions in TOPICS; every other week brings the weekly offers instead
EVENTS = ("sent", "delivered", "bounce", "open", "click", "unsubscribe")
EVENT_COLUMNS = ["subscriber_email", "event", "mailing_id", "topic", "occurred_at", "machine_open"]


def build_subscribers(people: pd.DataFrame, contacts: pd.DataFrame, seed: int) -> pd.DataFrame:
    """List who receives the newsletter: an e-mail address of their own, a contact with consent and none that refuses.

    people, contacts(household_id, email, newsletter_opt_in, created_at) -> row (position in people), household_id,
    since (first mailing comes after this date), subscriber_email (one in twenty an address used no longer), outdated,
    machine (its mail program opens everything).
    """
    usable = contacts["email"].ne("") & ~contacts["email"].isin(PLACEHOLDERS)
    willing = contacts[usable & contacts["newsletter_opt_in"].eq("yes")]
    refused = contacts.loc[contacts["newsletter_opt_in"].eq("no"), "household_id"]
    since = willing[~willing["household_id"].isin(refused)].groupby("household_id")["created_at"].min()
    own = people["household_id"].isin(since.index) & people["relative"].lt(0)
    subscribers = people[own].reset_index(names="row")[["row", "household_id", "email", "old_email"]]
    subscribers["since"] = subscribers["household_id"].map(since).to_numpy("datetime64[D]")
    outdated = hashed_share(seed, "email outdated", subscribers["household_id"]) < 0.05
    subscribers["subscriber_email"] = subscribers["old_email"].where(outdated, subscribers["email"])
    subscribers["outdated"] = outdated
    subscribers["machine"] = hashed_share(seed, "email machine", subscribers["household_id"]) < 0.15
    return subscribers.drop(columns=["email", "old_email"])


def mailing_topic(week: int) -> int:
    """Give the topic (position in TOPICS) of mailing 0–51."""
    return 0 if week % 2 == 0 else THEMES[(week // 2) % len(THEMES)]


def simulate_newsletter(subscribers: pd.DataFrame, openness: np.ndarray, pasts: list[Past], seed: int) -> pd.DataFrame:
    """Send 52 mailings and record what happened -> EVENT_COLUMNS + household_id (truth), by time (UTC).

    Opening follows the trait `openness`, the shopping of earlier months and how well the topic fits what was bought.
    A mailing is opened at most once; after unsubscribing nothing more is sent. machine_open marks opens by software.
    """
    gone = np.zeros(len(subscribers), bool)
    since = subscribers["since"].to_numpy("datetime64[D]")
    weeks = []
    for week, day in enumerate(MAILING_DAYS):
        past = pasts[day.astype("datetime64[M]").astype(int) % 12]
        active = ~gone & (since < day)
        did = _reactions(stream(seed, "email", week), subscribers, openness, past, mailing_topic(week), active)
        weeks.append(_mailing_events(did, week, day))
        gone |= did["unsubscribe"][0]
    events = pd.concat(weeks, ignore_index=True)
    events = events.sort_values(["at", "reader", "step"], kind="stable", ignore_index=True)
    return _spell_out(events, subscribers)


def _reactions(rng, subscribers, openness, past, topic, active) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Draw for one mailing, per event, who did it and how many seconds after sending; every draw covers everybody."""
    row = subscribers["row"].to_numpy()
    chance = rng.random((5, len(row)))
    fit = past.topic_fit[row, topic]
    keenness = -1.2 + 1.1 * openness[row] + 0.35 * past.level[row] + 1.1 * fit
    delivered = active & (chance[0] > np.where(subscribers["outdated"], 0.10, 0.004))
    reads = delivered & (chance[1] < 1 / (1 + np.exp(-keenness)))
    machine = delivered & subscribers["machine"].to_numpy() & ~reads & (chance[2] < 0.9)
    clicks = reads & (chance[3] < 1 / (1 + np.exp(2.0 - 0.4 * openness[row] - 1.2 * fit)))
    leaves = reads & (chance[4] < 0.007 * np.exp(-0.6 * openness[row] - 0.8 * fit))

    delay = rng.integers(5, 240, len(row))
    read_after = delay + np.clip(rng.lognormal(9.2, 1.5, len(row)), 20, 400_000).astype(np.int64)
    opened_after = np.where(machine, delay + rng.integers(1, 90, len(row)), read_after)
    return {
        "sent": (active, np.zeros(len(row), np.int64)),
        "delivered": (delivered, delay),
        "bounce": (active & ~delivered, delay),
        "open": (reads | machine, opened_after),
        "click": (clicks, read_after + rng.integers(4, 300, len(row))),
        "unsubscribe": (leaves, read_after + rng.integers(10, 900, len(row))),
        "machine_open": (machine, delay),
    }


def _mailing_events(did: dict, week: int, day: np.datetime64) -> pd.DataFrame:
    """Turn one mailing's reactions into rows: reader (position among the subscribers), step (in EVENTS), week, at."""
    step, reader = np.nonzero(np.stack([did[event][0] for event in EVENTS]))
    seconds = np.stack([did[event][1] for event in EVENTS])[step, reader]
    at = (day + SEND_TIME).astype("datetime64[s]") + seconds.astype("timedelta64[s]")
    machine = did["machine_open"][0][reader] & (step == EVENTS.index("open"))
    return pd.DataFrame({"reader": reader, "step": step, "week": week, "at": at, "machine_open": machine})


def _spell_out(events: pd.DataFrame, subscribers: pd.DataFrame) -> pd.DataFrame:
    """Replace positions by what the service exports: EVENT_COLUMNS + household_id (truth)."""
    whose = subscribers.iloc[events["reader"].to_numpy()]
    week = events["week"].to_numpy()
    columns = {
        "subscriber_email": whose["subscriber_email"].to_numpy(object),
        "event": np.array(EVENTS, object)[events["step"]],
        "mailing_id": np.array([f"N2017-{number + 1:02d}" for number in range(len(MAILING_DAYS))], object)[week],
        "topic": np.array([TOPICS[mailing_topic(number)] for number in range(len(MAILING_DAYS))], object)[week],
        "occurred_at": iso_utc(events["at"].to_numpy()),
        "machine_open": np.where(events["machine_open"], "true", "false"),
        "household_id": whose["household_id"].to_numpy(),
    }
    return pd.DataFrame(columns)[[*EVENT_COLUMNS, "household_id"]]
