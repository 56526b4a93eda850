"""What happens in the product: telemetry of logins, features, exports and calls, told by user."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from workbench.demo.chance import hashed, hashed_share, hex_codes, pick_by_row, stream
from workbench.demo.vendor_calendar import berlin_to_utc, office_moments
from workbench.demo.vendor_life import Life
from workbench.demo.vendor_records import pick_people
from workbench.demo.vendor_types import ACTIONS, MODULES, of_kinds, weights_of

NO_EMAIL, NO_DOMAIN, SENT_TWICE, CAPITALS = 0.04, 0.03, 0.005, 0.03


def simulate_usage(
    organisations: pd.DataFrame, people: pd.DataFrame, life: Life, until: np.datetime64, seed: int
) -> pd.DataFrame:
    """Spread the monthly use over people and working hours -> line (JSON), record_id (user.id), whom, at; by time.

    A line: id, event (ACTIONS), time (epoch ms), user {id, email, account_domain}, feature {module}, count. 4 % of the users
    send no e-mail, 3 % no domain (never neither); one event in 200 is sent twice under the same id.
    """
    months = [_month_of_use(stream(seed, "usage", m), m, organisations, people, life) for m in range(len(life.use))]
    events = pd.concat(months, ignore_index=True)
    events = events[events["at"] < until].sort_values(["at", "whom"], kind="stable", ignore_index=True)
    users = _users(organisations, people, seed)
    events["record_id"] = np.array([user["id"] for user in users], object)[events["whom"]]
    events["line"] = _lines(events, users, seed)
    twice = hashed_share(seed, "sent twice", np.arange(len(events))) < SENT_TWICE
    return events.loc[np.repeat(events.index, 1 + twice)].reset_index(drop=True)


def _month_of_use(rng, month: int, organisations: pd.DataFrame, people: pd.DataFrame, life: Life) -> pd.DataFrame:
    """Draw one month's events: whom, at, action, module, count; within the contract only."""
    kinds = organisations["kind"].to_numpy()
    row = np.repeat(np.arange(len(kinds)), life.use[month])
    at = office_moments(rng, month, len(row), of_kinds("weekend", kinds)[row])
    action = pick_by_row(rng, weights_of("actions", kinds), row)
    module = pick_by_row(rng, weights_of("modules", kinds), row)
    whom = pick_people(rng, people, row, at, users=True)
    calls = np.where(action == ACTIONS.index("api_call"), 1 + rng.poisson(40, len(row)), 1)
    inside = (at >= life.begins[row]) & ~(at >= life.ends[row])
    events = pd.DataFrame({"whom": whom, "at": at, "action": action, "module": module, "count": calls})
    return events[inside].sort_values(["at", "whom"], kind="stable")


def _users(organisations: pd.DataFrame, people: pd.DataFrame, seed: int) -> list[dict]:
    """Say how each person's account stands in the telemetry: id, and e-mail or domain or both."""
    whom = np.arange(len(people))
    ids = ["u-" + code[:12] for code in hex_codes(hashed(seed, "user id", whom))]
    draws, domains = hashed_share(seed, "user fields", whom), organisations["domain"].to_numpy(object)[people["row"]]
    emails = people["email"].mask(hashed_share(seed, "user capitals", whom) < CAPITALS, people["email"].str.upper())
    users = []
    for n, (name, email, domain) in enumerate(zip(ids, emails, domains, strict=True)):
        user = {"id": name, "email": email, "account_domain": domain}
        user.pop("email" if draws[n] < NO_EMAIL else "account_domain" if draws[n] > 1 - NO_DOMAIN else "", None)
        users.append(user)
    return users


def _lines(events: pd.DataFrame, users: list[dict], seed: int) -> list[str]:
    """Write the events as JSON lines."""
    told = [json.dumps(user) for user in users]
    ids = hex_codes(hashed(seed, "event id", events.index.to_numpy()))
    milliseconds = berlin_to_utc(events["at"].to_numpy("datetime64[s]")).astype(np.int64) * 1000
    columns = (ids, milliseconds, events["whom"], events["action"], events["module"], events["count"])
    return [
        f'{{"id": "{code}", "event": "{ACTIONS[action]}", "time": {time}, "user": {told[whom]}, '
        f'"feature": {{"module": "{MODULES[module]}"}}, "count": {count}}}'
        for code, time, whom, action, module, count in zip(*columns, strict=True)
    ]
