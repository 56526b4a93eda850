"""What customers say: social engagements, support tickets and the satisfaction survey."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.demo.behaviour import DEPARTMENTS, MONTHS, Past
from workbench.demo.chance import hashed, hashed_share, iso_local, moments_in_month, pick_by_row, pick_word, stream
from workbench.demo.people import write_phones

EXPORTED_AT = np.datetime64("2018-01-01T00:00:00")
NETWORKS = ("photogram", "chirper", "facepage")
KINDS, KIND_CHANCES = ("like", "comment", "share", "mention"), (0.62, 0.20, 0.11, 0.07)
HANDLE_WORDS = (
    ("green", "happy", "salty", "spicy", "quiet", "busy", "sunny", "lazy", "clever", "tiny", "brave", "fuzzy"),
    ("otter", "baker", "avocado", "runner", "gardener", "noodle", "pepper", "falcon", "teacup", "muffin", "panda"),
)
TICKET_TOPICS = (
    "out of stock", "coupon not accepted", "wrong price", "delivery late", "product quality", "app problem",
)  # fmt: skip
TICKET_TEXTS = {
    "out of stock": ("The item I came for was sold out again.", "Shelf was empty on Saturday, when will it be back?"),
    "coupon not accepted": ("The register refused my coupon.", "My coupon should still be valid but was not accepted."),
    "wrong price": ("I was charged more than the shelf label said.", "The discount is missing on my receipt."),
    "delivery late": ("My order arrived two hours late.", "The delivery window passed and nobody came."),
    "product quality": ("The fruit was spoiled after one day.", "The package was open when I came home."),
    "app problem": ("The app closes when I open my list.", "I cannot sign in to the app since the update."),
}
TICKET_CHANNELS, TICKET_CHANNEL_CHANCES = ("phone", "e-mail", "chat", "store"), (0.38, 0.31, 0.21, 0.10)
SURVEY_COLUMNS = [
    "response_id", "email", "submitted_at", "nps", "price_matters", "quality_matters", "convenience_matters",
    "new_things", "comment",
]  # fmt: skip
COMMENTS = {
    "promoter": ("Friendly staff and good prices.", "Love the fresh produce.", "My favourite store.", ""),
    "passive": ("Fine overall.", "Checkout takes a while.", "", ""),
    "detractor": ("Too expensive lately.", "Often out of what I need.", "Long lines every weekend.", ""),
}


def simulate_engagements(people: pd.DataFrame, traits: dict, pasts: list[Past], seed: int) -> pd.DataFrame:
    """Draw social engagements by time, local: about one household in six, more with the trait and recent shopping.

    -> handle, network, engaged_at, kind, topic (a department in lower case), sentiment (-1–1), profile_email (empty
    for 85 % of the profiles), household_id (truth).
    """
    ids = people["household_id"].to_numpy()
    uses = hashed_share(seed, "social uses", ids) < 0.17
    months = [_month_of_engagements(stream(seed, "social", m), m, uses, traits, pasts[m]) for m in range(MONTHS)]
    rows = pd.concat(months, ignore_index=True).sort_values(["at", "row"], kind="stable", ignore_index=True)
    row = rows["row"].to_numpy()
    public = hashed_share(seed, "social public", ids) < 0.15
    network = (hashed(seed, "social network", ids) % np.uint64(len(NETWORKS))).astype(int)
    rows["handle"] = _handles(people, seed)[row]
    rows["network"] = np.array(NETWORKS, object)[network[row]]
    rows["engaged_at"] = iso_local(rows["at"].to_numpy())
    rows["profile_email"] = people["email"].where(public, "").to_numpy(object)[row]
    rows["household_id"] = ids[row]
    columns = ["handle", "network", "engaged_at", "kind", "topic", "sentiment", "profile_email", "household_id"]
    return rows[columns]


def _month_of_engagements(rng, month: int, uses: np.ndarray, traits: dict, past: Past) -> pd.DataFrame:
    """Draw one month of social engagements."""
    rate = np.where(uses, 1.9 * np.exp(0.6 * traits["social"] - 0.2 + 0.3 * past.level), 0.0)
    row = np.repeat(np.arange(len(uses)), rng.poisson(rate))
    sentiment = np.tanh(0.25 + 0.4 * traits["satisfaction"][row] + 0.5 * rng.standard_normal(len(row)))
    topic = np.array([name.lower() for name in DEPARTMENTS], object)[pick_by_row(rng, past.departments, row)]
    kind = rng.choice(np.array(KINDS, object), len(row), p=KIND_CHANCES)
    at = moments_in_month(rng, month, len(row))
    return pd.DataFrame({"row": row, "at": at, "kind": kind, "topic": topic, "sentiment": sentiment.round(2)})


def _handles(people: pd.DataFrame, seed: int) -> np.ndarray:
    """Invent one unique handle per household, which says nothing about the name."""
    adjective, noun = HANDLE_WORDS
    bits = hashed(seed, "social handle", people["household_id"])
    first = np.array(adjective, object)[(bits % np.uint64(len(adjective))).astype(int)]
    second = np.array(noun, object)[((bits >> np.uint64(8)) % np.uint64(len(noun))).astype(int)]
    number = 1000 + stream(seed, "social handle").permutation(9000)[: len(people)]
    return first + "_" + second + number.astype(str).astype(object)


def simulate_tickets(people: pd.DataFrame, traits: dict, pasts: list[Past], seed: int) -> pd.DataFrame:
    """Draw support tickets by time, local; coupon users complain about coupons, frequent shoppers more often.

    -> ticket_id, requester_email, requester_phone, opened_at, closed_at (empty = still open at the year's end),
    channel, topic, csat (1–5 or empty; higher with the trait satisfaction and a quick answer), text,
    household_id (truth).
    """
    months = [_month_of_tickets(stream(seed, "tickets", m), m, people, traits, pasts[m]) for m in range(MONTHS)]
    tickets = pd.concat(months, ignore_index=True)
    tickets = tickets.sort_values(["opened_at", "household_id"], kind="stable", ignore_index=True)
    tickets.insert(0, "ticket_id", [f"T-{number:05d}" for number in range(1, len(tickets) + 1)])
    return tickets


def _month_of_tickets(rng, month: int, people: pd.DataFrame, traits: dict, past: Past) -> pd.DataFrame:
    """Draw one month of tickets."""
    rate = 0.1 * np.exp(0.6 * traits["complaints"] - 0.2 + 0.35 * past.level)
    row = np.repeat(np.arange(len(rate)), rng.poisson(rate))
    count = len(row)
    opened = moments_in_month(rng, month, count)
    hours = rng.lognormal(2.6, 1.1, count)
    closed = opened + (hours * 3600).astype("timedelta64[s]")
    still_open = (rng.random(count) < 0.04) | (closed >= EXPORTED_AT)
    topic = np.array(TICKET_TOPICS, object)[pick_by_row(rng, _topic_chances(past), row)]
    channel = rng.choice(np.array(TICKET_CHANNELS, object), count, p=TICKET_CHANNEL_CHANCES)
    mood = 3.6 + 0.7 * traits["satisfaction"][row] - 0.25 * np.log1p(hours / 12) + 0.8 * rng.standard_normal(count)
    rated = (rng.random(count) < 0.4) & ~still_open
    email, phone = _requester(rng, people, row, channel)
    return pd.DataFrame(
        {
            "requester_email": email,
            "requester_phone": phone,
            "opened_at": iso_local(opened),
            "closed_at": np.where(still_open, "", iso_local(closed)),
            "channel": channel,
            "topic": topic,
            "csat": pd.Series(np.clip(np.round(mood), 1, 5).astype(int).astype(str)).where(rated, ""),
            "text": pick_word(rng.random(count), TICKET_TEXTS, topic),
            "household_id": people["household_id"].to_numpy()[row],
        }
    )


def _topic_chances(past: Past) -> np.ndarray:
    """Give each household its chances of TICKET_TOPICS, from what it bought before."""
    still = np.ones(len(past.level))
    weights = [
        1.2 + 0.2 * past.level,
        0.3 + 12.0 * past.coupon_share,
        0.6 + 2.0 * past.discount_share,
        0.5 * still,
        0.4 + 2.5 * past.departments[:, 2:4].sum(axis=1),
        0.5 * still,
    ]
    chances = np.column_stack(weights)
    return chances / chances.sum(axis=1, keepdims=True)


def _requester(rng, people: pd.DataFrame, row: np.ndarray, channel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the identifiers that a channel leaves behind: callers a number, writers an address, visitors little."""
    outdated, also, known = rng.random((3, len(row)))
    email = np.where(outdated < 0.06, people["old_email"].to_numpy(object)[row], people["email"].to_numpy(object)[row])
    writes = np.isin(channel, ("e-mail", "chat")) | (also < 0.15)
    calls = (channel == "phone") | (also > 0.75)
    seen = (channel != "store") | (known < 0.6)
    phones = write_phones(rng, people["phone"].to_numpy(object)[row])
    return np.where(writes & seen, email, ""), np.where(calls & seen, phones, "")


def simulate_survey(people: pd.DataFrame, traits: dict, pasts: list[Past], seed: int) -> pd.DataFrame:
    """Draw survey responses by time, local. Response is biased on purpose: households that open mails and shop often
    answer more, so the plain mean of the answers flatters the grocer.

    -> SURVEY_COLUMNS (nps 0–10, the rest 1–5) + household_id (truth).
    """
    months = [_month_of_answers(stream(seed, "survey", m), m, people, traits, pasts[m]) for m in range(MONTHS)]
    answers = pd.concat(months, ignore_index=True)
    answers = answers.sort_values(["submitted_at", "household_id"], kind="stable", ignore_index=True)
    answers["response_id"] = [f"R-{number:04d}" for number in range(1, len(answers) + 1)]
    return answers[[*SURVEY_COLUMNS, "household_id"]]


def _month_of_answers(rng, month: int, people: pd.DataFrame, traits: dict, past: Past) -> pd.DataFrame:
    """Draw one month of survey responses."""
    keen = 0.0255 * np.exp(0.6 * traits["openness"] + 0.35 * past.level)
    row = np.flatnonzero(rng.random(len(people)) < keen)
    noise = rng.standard_normal((5, len(row)))
    liking = 7.3 + 1.7 * traits["satisfaction"][row] + 0.4 * past.level[row] + noise[0]
    nps = np.clip(np.round(liking), 0, 10).astype(int)
    mood = np.select([nps >= 9, nps >= 7], ["promoter", "passive"], "detractor")
    outdated = rng.random(len(row)) < 0.04
    emails = np.where(outdated, people["old_email"].to_numpy(object)[row], people["email"].to_numpy(object)[row])
    return pd.DataFrame(
        {
            "email": emails,
            "submitted_at": moments_in_month(rng, month, len(row)),
            "nps": nps,
            "price_matters": _scale(0.7 * traits["price"][row] + 6.0 * (past.discount_share[row] - 0.15), noise[1]),
            "quality_matters": _scale(-0.4 * traits["price"][row] - 3.0 * (past.private_share[row] - 0.25), noise[2]),
            "convenience_matters": _scale(0.4 * traits["web"][row] - 0.2 * past.level[row], noise[3]),
            "new_things": _scale(0.8 * traits["novelty"][row], noise[4]),
            "comment": pick_word(rng.random(len(row)), COMMENTS, mood),
            "household_id": people["household_id"].to_numpy()[row],
        }
    )


def _scale(leaning: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Answer on a scale of 1 to 5."""
    return np.clip(np.round(3.3 + leaning + 0.7 * noise), 1, 5).astype(int)
