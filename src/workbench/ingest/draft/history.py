"""What only the whole file can tell, asked of the engine: rows, every word for what happened, the days, and what decides a date."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.core import engine
from workbench.core.config import ClusteringSettings, Source
from workbench.ingest.draft.columns import NO, YES
from workbench.ingest.draft.guess import EVENT_WORDS, Guess, SourceGuess, clean, in_order, plain_of, value_of
from workbench.ingest.draft.words import event_word
from workbench.ingest.sources import open_source
from workbench.ingest.standardize import consent_word
from workbench.ingest.values import matches

ORDERS_PER_WINDOW = 1.5  # customers who order more rarely need a longer window to show a habit
CONSENT_WORD = re.compile(r"[^\W\d_][\w '/-]{0,19}|-+|\?")  # short words, no numbers, no addresses
RARE = 1e-4  # days before which so small a share of the rows lies are strays: placeholders, tests, typing errors


@dataclass
class Facts:
    """Of one source: its rows, rows per day of what happened and of orders (UTC), customers and their days with an order."""

    rows: int = 0
    days: Counter = field(default_factory=Counter)
    order_days: Counter = field(default_factory=Counter)
    customers: int = 0
    customer_days: int = 0


def look_through(con: Any, guess: SourceGuess) -> Facts:
    """Read a drafted source as a run would -> Facts; corrects the draft by what it finds. Raises InputError as a run would."""
    opened = open_source(con, guess.name, Source(**plain_of(guess.plain)))
    facts = Facts(opened.rows)
    _decide_formats(guess, opened.table)
    for events in guess.plain.get("events", []):
        if isinstance(events["type"], dict):
            _all_words(guess, events["type"], opened.table)
        _days(con, guess, events, opened.table, facts)
    _consent_words(guess, opened.table)
    key = value_of(guess.plain.get("record_id"))
    if key and not guess.plain.get("events"):
        code = engine.parse_code(opened.table[key]).lower()
        counted = engine.fetch_row(opened.table.agg(rows=code.count(), distinct=code.nunique()))
        if counted["distinct"] < counted["rows"]:
            guess.plain["duplicates"] = Guess(
                "keep_latest", f"{counted['rows'] - counted['distinct']:,} rows repeat a {clean(key)[:60]}"
            )
    guess.plain = in_order(guess.plain)
    return facts


def _decide_formats(guess: SourceGuess, table: Any) -> None:
    """Where two readings of a date fitted the sample, let all rows decide."""
    places = [(events, "at", "at_format") for events in guess.plain.get("events", [])]
    places += [(guess.plain, "created_at", "created_at_format")] if "created_at_format" in guess.plain else []
    for plain, at, setting in places:
        pattern, column = plain.get(setting), guess.columns[value_of(plain[at])]
        if not pattern or not pattern.is_open or not column.time or not column.time.rival:
            continue
        patterns = (column.time.pattern, column.time.rival)
        try:
            moments = [engine.parse_moment(table[column.name], p, "UTC") for p in patterns]
            found = engine.fetch_row(table.agg(a=moments[0].count(), b=moments[1].count()))
        except Exception:  # noqa: BLE001  the guess from the sample stays, and stays open
            continue
        if found["a"] != found["b"]:
            first = patterns[found["a"] < found["b"]]
            which = "the first part" if first.startswith("%d") else "the second part"
            plain[setting] = Guess(first, f"{which} is above 12 in {abs(found['a'] - found['b']):,} rows, which decides it")


def _all_words(guess: SourceGuess, declared: dict[str, Any], table: Any) -> None:
    """Every word of the type column, also those that the sample did not hold; one that hardly occurs is listed too."""
    column = table[value_of(declared["column"])].cast("string").strip()
    counted = table.select(word=column).filter(column.notnull()).group_by("word").agg(n=lambda t: t.count())
    frame = engine.fetch(counted.order_by([counted.n.desc(), counted.word]).limit(EVENT_WORDS))
    for word in frame.word:
        if word and word not in declared["values"] and len(word) <= 40 and "@" not in word:
            ours, known = event_word(word, guess.kind)
            declared["values"][word] = Guess(
                ours, "" if known else "a word of yours, kept as it is; delete the line to leave it out"
            )


def _consent_words(guess: SourceGuess, table: Any) -> None:
    """Every word of the consent columns: for yes, for no, and those that say neither and have to be declared as nothing said."""
    found: set[str] = set()
    for column in guess.plain.get("consent", {}).values():
        words = table.select(word=table[value_of(column)].cast("string").strip()).distinct().limit(EVENT_WORDS)
        found |= {w for w in engine.fetch(words).word.dropna() if w and consent_word(w) == "unknown"}
    folded = {w.lower(): w for w in found}
    for setting, known in (("yes_words", YES), ("no_words", NO)):
        if mine := sorted(set(folded) & known):
            guess.plain[setting] = Guess(mine, "found in the consent columns")
    neither = [w for lower, w in sorted(folded.items()) if lower not in YES | NO and CONSENT_WORD.fullmatch(w)]
    if neither:
        given = value_of(guess.plain.get("missing", []))
        guess.plain["missing"] = Guess(
            [*given, *(w for w in neither if w not in given)], "say neither yes nor no in the consent columns", True
        )


def _days(con: Any, guess: SourceGuess, events: dict[str, Any], table: Any, facts: Facts) -> None:
    """Count rows per day; of orders also customers and their days."""
    import ibis

    if "where" in events:
        where = plain_of(events["where"])
        table = table.filter(matches(engine.trimmed(table[where["column"]]), where.get("values", ())))
    pattern = value_of(events.get("at_format", "iso"))
    if isinstance(events["type"], dict):
        orders = [w for w, ours in events["type"]["values"].items() if value_of(ours) == "order"]
        is_order = (
            table[value_of(events["type"]["column"])].cast("string").strip().isin(orders) if orders else ibis.literal(False)
        )
    else:
        is_order = ibis.literal(value_of(events["type"]) == "order")
    key = value_of(guess.plain.get("record_id"))
    has_orders = guess.kind in ("pos", "finance") or isinstance(events["type"], dict)
    who = table[key].cast("string") if key and has_orders else ibis.null("string")
    try:
        moment = engine.parse_moment(table[value_of(events["at"])], pattern, "UTC")
        rows = table.select(day=moment.date(), is_order=is_order, who=who)
        # Read once: a day of a customer is far fewer rows than their lines.
        grouped = engine.materialize(con, rows.group_by("day", "is_order", "who").agg(n=rows.count()), f"draft_{guess.name}")
        counted = engine.fetch(grouped.group_by("day", "is_order").agg(n=grouped.n.sum()))
        mine = grouped.filter(grouped.is_order, grouped.who.notnull(), grouped.day.notnull())
        facts_of_orders = engine.fetch_row(mine.agg(customers=mine.who.nunique(), days=mine.count()))
    except Exception:  # noqa: BLE001  a pattern that this engine does not read yet: the history is taken from other sources
        return
    unread = int(counted.n[counted.day.isna()].sum())
    if unread > 0.01 * facts.rows:
        share = 100 * unread / facts.rows
        events["at"] = Guess(value_of(events["at"]), f"{share:.0f} % of all rows have no time that can be read so", True)
    for day, orders, n in counted.dropna(subset=["day"]).itertuples(index=False):
        plain = dt.date(day.year, day.month, day.day)
        facts.days[plain] += int(n)
        if orders:
            facts.order_days[plain] += int(n)
    facts.customers = max(facts.customers, int(facts_of_orders["customers"]))
    facts.customer_days += int(facts_of_orders["days"])


# -- the plan of time --------------------------------------------------------------------------------------------------


def plan_time(facts: Iterable[Facts], today: dt.date) -> tuple[dict[str, Any], list[str]]:
    """Facts of all sources -> (as_of, data_until, features: of a draft, what a full run lacks).

    as_of leaves one horizon of outcomes; two windows (one horizon apart) have to fit before it.
    """
    every = list(facts)
    orders = sum((f.order_days for f in every), Counter())
    days = orders or sum((f.days for f in every), Counter())
    first, last = _range(days, today)
    if first is None or last is None:
        return {"as_of": Guess(today, "no times were found: the day of this draft", True)}, ["orders"]
    until = last + dt.timedelta(days=1)
    total = (until - first).days
    horizon = min(92, max(total // 4, 7))
    as_of = until - dt.timedelta(days=horizon)
    month = as_of.replace(day=1)
    if (month - first).days >= 14 + 2 * horizon and (month - first).days >= 0.9 * (as_of - first).days - 31 and total > 180:
        as_of = month
    room = (as_of - first).days - horizon
    window = max(min(182, room), 14)
    customers, active = max((f.customers for f in every), default=0), sum(f.customer_days for f in every)
    if customers and active / customers * window / max(total, 1) < ORDERS_PER_WINDOW:
        window = max(min(room, 730), window)
    what = "order" if orders else "event"
    plan = {
        "as_of": Guess(as_of, f"leaves {(until - as_of).days} days of outcomes before the last {what}"),
        "data_until": Guess(until, f"the day after the last {what}, {last}; the first is of {first}"),
        "features": {
            "window_days": Guess(
                window, f"two windows, one horizon apart, fit into the {(as_of - first).days} days before as_of"
            ),
            "horizon_days": Guess(horizon, "outcomes after as_of, and as many days earlier to learn from"),
        },
    }
    missing = [] if orders else ["orders"]
    if room < 14:
        plan["as_of"] = Guess(as_of, f"there are only {total} days of history: too few for two windows and a horizon", True)
        missing.append(f"history (only {total} days)")
    return plan, missing


def _range(days: Mapping[dt.date, int], today: dt.date) -> tuple[dt.date | None, dt.date | None]:
    """First and last day, without strays and without days that have not come yet."""
    known = sorted(day for day in days if dt.date(1990, 1, 1) < day <= today + dt.timedelta(days=1))
    total, ends = sum(days[d] for d in known), []
    for order in (known, known[::-1]):
        seen, end = 0, None
        for day in order:
            seen += days[day]
            end = day
            if seen >= RARE * total:
                break
        ends.append(end)
    return ends[0], ends[1]


def segments_for(customers: int) -> dict[str, Any]:
    """Settings of the clustering for few customers: the usual number of segments would be crumbs."""
    usual = ClusteringSettings()
    if not customers or customers >= 40 * usual.min_segments:
        return {}
    return {"min_segments": Guess(max(customers // 40, 2), f"there are only {customers:,} customers with orders")}
