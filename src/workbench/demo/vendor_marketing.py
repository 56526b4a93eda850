"""The vendor's marketing automation: newsletters, offers and webinars, and what the contacts did with them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.demo.chance import hashed_share, iso_local, stream
from workbench.demo.money import decimal_comma
from workbench.demo.vendor_calendar import DAY, MONTH_STARTS, days_in
from workbench.demo.vendor_life import Life, offer_of
from workbench.demo.vendor_types import THEMES, of_kinds, weights_of

STEPS = (
    "sent",
    "delivered",
    "bounced",
    "opened",
    "clicked",
    "unsubscribed",
    "offer sent",
    "webinar registered",
    "webinar attended",
)
SCANNERS = 0.12  # of subscribers: their mail server opens everything
PLATFORMS = {"search": ("brand", 45.0, 2.4), "business network": ("decision makers", 80.0, 6.5)}  # campaign; EUR a day, a click
COLUMNS = ["contact_email", "activity", "campaign_id", "topic", "occurred_at", "scanner"]


def build_subscribers(contacts: pd.DataFrame, people: pd.DataFrame) -> pd.DataFrame:
    """List who may be written to: an address with a yes and no refusal under it -> email, whom, row, at (from when on), until."""
    table = contacts.assign(email=contacts["email"].str.strip().str.lower()).sort_values(["at", "contact_id"])
    table = table[table["email"].ne("")]
    refused = table.loc[table["newsletter"].eq("nein"), "email"]
    table = table[table["newsletter"].eq("ja") & ~table["email"].isin(refused)].drop_duplicates("email")
    table["until"] = people["until"].to_numpy()[table["whom"]]
    return table[["email", "whom", "row", "at", "until"]].sort_values("whom", ignore_index=True)


def simulate_marketing(
    subscribers: pd.DataFrame, organisations: pd.DataFrame, life: Life, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run the months of `life` -> (activities, offers sent).

    activities: COLUMNS + whom, at, by time (local). offers: row, month, at, campaign, email. Opening follows openness, theme and
    the account's mood at the month's start; after unsubscribing nothing more is sent; who has left the organisation bounces.
    """
    gone, months, offers = np.zeros(len(subscribers), bool), [], []
    for month in range(len(life.health)):
        parts = _mail(stream(seed, "mailing", month), subscribers, organisations, life.health[month], gone, month)
        gone |= np.isin(np.arange(len(gone)), parts["unsubscribed"][0])
        offers.append(_offers(stream(seed, "offers", month), subscribers, life, gone, month))
        parts["offer sent"] = (offers[-1]["subscriber"].to_numpy(), offers[-1]["at"].to_numpy())
        parts |= _webinar(stream(seed, "webinar", month), subscribers, organisations, life.health[month], gone, month)
        months.append(_rows(parts, month))
    table = pd.concat(months, ignore_index=True).sort_values(["at", "subscriber", "step"], kind="stable", ignore_index=True)
    return _spell_out(table, subscribers), pd.concat(offers, ignore_index=True)


def theme_of(month: int) -> int:
    """Give the theme (position in THEMES) of a month's newsletter and webinar."""
    return (0, 4, 2, 1, 3)[month % 5]


def _moment(month: int, days: int, hours: int) -> np.datetime64:
    """The first Tuesday on or after day 1 + `days`, at the hour."""
    first = np.busday_offset((MONTH_STARTS[month] + days * DAY).astype("datetime64[D]"), 0, roll="forward", weekmask="Tue")
    return first.astype("datetime64[s]") + np.timedelta64(hours, "h")


def _mail(rng, subscribers, organisations, health, gone, month) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Draw one newsletter: activity -> (positions of subscribers, local times)."""
    sent_at, row, count = _moment(month, 6, 9), subscribers["row"].to_numpy(), len(subscribers)
    chance, kinds = rng.random((5, count)), organisations["kind"].to_numpy()[row]
    openness = of_kinds("openness", kinds) + 0.5 * organisations["openness"].to_numpy()[row]
    fit = 3.0 * (weights_of("themes", kinds)[:, theme_of(month)] - 1 / len(THEMES))
    active = ~gone & (subscribers["at"].to_numpy("datetime64[s]") < sent_at)
    left = sent_at >= subscribers["until"].to_numpy("datetime64[s]")
    delivered = active & (chance[0] > np.where(left, 0.97, 0.006))
    opens = delivered & (chance[1] < 1 / (1 + np.exp(1.0 - 0.9 * openness - fit - 0.4 * health[row])))
    scanned = delivered & ~opens & (hashed_share(0, "scanner", subscribers["whom"]) < SCANNERS) & (chance[2] < 0.9)
    clicks = opens & (chance[3] < 1 / (1 + np.exp(1.8 - 0.5 * openness - fit)))
    leaves = opens & (chance[4] < 0.006 * np.exp(-0.6 * openness - fit))
    delay = np.clip(rng.lognormal(9.4, 1.4, count), 60, 400_000).astype(np.int64)
    at = {"sent": 0 * delay, "delivered": delay % 240 + 5, "bounced": delay % 240 + 5, "opened": delay + 300}
    at |= {"clicked": delay + 300 + delay % 200, "unsubscribed": delay + 320 + delay % 600, "scanned": delay % 240 + 20}
    did = {"sent": active, "delivered": delivered, "bounced": active & ~delivered, "opened": opens, "scanned": scanned}
    did |= {"clicked": clicks, "unsubscribed": leaves}
    return {step: (np.flatnonzero(yes), sent_at + at[step][yes].astype("timedelta64[s]")) for step, yes in did.items()}


def _offers(rng, subscribers, life: Life, gone, month) -> pd.DataFrame:
    """Send the month's offer to one subscriber of every running account -> subscriber, row, month, at, campaign, email."""
    sent_at, row = _moment(month, 13, 10), subscribers["row"].to_numpy()
    runs = (life.begins[row] < sent_at) & ~(life.ends[row] < sent_at)
    here = (
        ~gone
        & (subscribers["at"].to_numpy("datetime64[s]") < sent_at)
        & ~(sent_at >= subscribers["until"].to_numpy("datetime64[s]"))
    )
    able = subscribers[runs & here & (offer_of(month) is not None)].drop_duplicates("row")
    at = np.full(len(able), sent_at) + rng.integers(0, 1800, len(able)).astype("timedelta64[s]")
    columns = {"subscriber": able.index, "row": able["row"], "month": month, "at": at, "campaign": _campaign("OFF", month)}
    return pd.DataFrame({**columns, "email": able["email"]}).reset_index(drop=True)


def _webinar(rng, subscribers, organisations, health, gone, month) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Draw who registers for the month's webinar, and who comes."""
    held_at, row = _moment(month, 20, 14), subscribers["row"].to_numpy()
    kinds, chance = organisations["kind"].to_numpy()[row], rng.random((2, len(row)))
    wish = weights_of("themes", kinds)[:, theme_of(month)] * np.exp(0.4 * health[row] + 0.4 * of_kinds("openness", kinds))
    here = ~gone & (subscribers["at"].to_numpy("datetime64[s]") < held_at - 10 * DAY)
    registers = here & (chance[0] < 0.12 * wish)
    comes = np.flatnonzero(registers & (chance[1] < 0.6))
    before = rng.integers(3_600, 6 * 86_400, len(row))
    booked = np.flatnonzero(registers)
    return {
        "webinar registered": (booked, held_at - before[booked].astype("timedelta64[s]")),
        "webinar attended": (comes, held_at + (before[comes] % 600).astype("timedelta64[s]")),
    }


def _campaign(kind: str, month: int) -> str:
    return f"{kind}-{str(MONTH_STARTS[month])[:7]}"


def _rows(parts: dict[str, tuple[np.ndarray, np.ndarray]], month: int) -> pd.DataFrame:
    """One month's activities -> subscriber, at, step, month, scanner."""
    frames = []
    for name, (who, at) in parts.items():
        step = STEPS.index("opened" if name == "scanned" else name)
        frames.append(pd.DataFrame({"subscriber": who, "at": at, "step": step, "month": month, "scanner": name == "scanned"}))
    return pd.concat([frame for frame in frames if len(frame)], ignore_index=True)


def _spell_out(table: pd.DataFrame, subscribers: pd.DataFrame) -> pd.DataFrame:
    """Replace positions by what the system exports."""
    kinds = np.select([table["step"] < 6, table["step"] == 6], ["NL", "OFF"], "WEB")
    topics = {month: THEMES[theme_of(month)] for month in table["month"].unique()}
    subscriber = table["subscriber"].to_numpy()
    columns = {
        "contact_email": subscribers["email"].to_numpy(object)[subscriber],
        "activity": np.array(STEPS, object)[table["step"]],
        "campaign_id": [_campaign(kind, month) for kind, month in zip(kinds, table["month"], strict=True)],
        "topic": table["month"].map(topics).mask(table["step"] == 6, "savings"),
        "occurred_at": iso_local(table["at"].to_numpy("datetime64[s]")),
        "scanner": np.where(table["scanner"], "true", "false"),
        "whom": subscribers["whom"].to_numpy()[subscriber],
        "at": table["at"].to_numpy("datetime64[s]"),
    }
    return pd.DataFrame(columns)


def redemptions(offers: pd.DataFrame, taken: pd.DataFrame, subscribers: pd.DataFrame) -> pd.DataFrame:
    """Note the offers taken: offers (row, campaign, email, subscriber) + lines with a campaign -> rows like activities."""
    found = taken.merge(offers[["row", "campaign", "email", "subscriber"]], on=["row", "campaign"])
    return pd.DataFrame(
        {
            "contact_email": found["email"],
            "activity": "offer redeemed",
            "campaign_id": found["campaign"],
            "topic": "savings",
            "occurred_at": iso_local(found["at"].to_numpy("datetime64[s]")),
            "scanner": "false",
            "whom": subscribers["whom"].to_numpy()[found["subscriber"]],
            "at": found["at"].to_numpy("datetime64[s]"),
        }
    )


def simulate_ad_spend(months: int, seed: int) -> pd.DataFrame:
    """Draw advertising on working days: day, platform, campaign, clicks, spend (EUR, text as '1.234,50')."""
    frames = []
    for month in range(months):
        rng = stream(seed, "ads", month)
        days = MONTH_STARTS[month].astype("datetime64[D]") + np.arange(days_in(month))
        for platform, (campaign, budget, click) in PLATFORMS.items():
            open_days = days[np.is_busday(days)]
            spend = budget * rng.lognormal(-0.03, 0.25, len(open_days))
            told = {"day": np.datetime_as_string(open_days), "platform": platform, "campaign": campaign}
            told |= {"clicks": rng.poisson(spend / click), "spend": [decimal_comma(amount) for amount in spend]}
            frames.append(pd.DataFrame(told))
    return pd.concat(frames).sort_values(["day", "platform"], kind="stable", ignore_index=True)
