"""When it happened and what: times, types of events, orders and their lines, judgements."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from workbench.ingest.draft import columns as look
from workbench.ingest.draft import words
from workbench.ingest.draft.columns import Column
from workbench.ingest.draft.guess import EVENT_WORDS, Guess, SourceGuess, percent, value_of

NO_ANSWER = ("-1", "-9", "-99", "88", "98", "99", "888", "998", "999", "9999")
FIXED_TYPES = {"pos": "order", "social": "social", "tickets": "ticket", "survey": "survey", "ads": "ad_spend", "finance": "order", "web": "page_view", "mobile_app": "app_open", "email": "email_sent", "marketing_automation": "campaign_sent"}  # fmt: skip


def find_time(guess: SourceGuess, kind: str) -> Column | None:
    """The column with the time of what happened."""
    weights = {}
    for column in guess.free():
        if column.time and not column.says(words.BIRTH):
            weight = (
                max((w for p, w in words.AT if column.says(p)), default=1.0) + column.time.share + 0.5 * column.time.has_clock
            )
            weight -= 7 * column.says(words.NOT_AT) + 4 * column.time.is_weak + 3 * (1 - column.filled)
            weights[column.name] = weight + 2 * (kind == "tickets" and column.says("opened|created|eingang"))
    if not weights:
        return None
    return guess.claim(guess.columns[max(weights, key=lambda n: weights[n])])


def time_format(column: Column, guess: SourceGuess) -> Guess:
    """The pattern of a column's times; where two readings fit every value, the likelier one, said to be open."""
    time = column.time
    if not time.rival:
        other = (
            {"%d": "a first part", "%m": "a second part"}.get(time.pattern[:2])
            if re.match(r"%[dm][./-]%[md]", time.pattern)
            else None
        )
        decided = f", and {other} above 12 decides it" if other and time.share >= 0.8 else ""
        return Guess(time.pattern, f"{percent(time.share)} of values fit{decided}")
    values = guess.sample.columns[column.name]
    best, is_clear = look.likelier(values, (time.pattern, time.rival))
    day_first, month_first = sorted((time.pattern, time.rival))
    if is_clear:
        return Guess(best, "day first or month first? rows stand in the order of time this way only", True)
    likely = day_first if "." in day_first or _is_continental(guess) else month_first
    return Guess(likely, "day first or month first? every value fits both", True)


def _is_continental(guess: SourceGuess) -> bool:
    mark, is_sure = look.decimal_mark(guess.columns.values())
    return (
        (is_sure and mark == ",")
        or guess.sample.settings.get("csv", {}).get("delimiter") == ";"
        or any("€" in "".join(c.symbols) or "EUR" in c.symbols for c in guess.columns.values())
    )


def find_created(guess: SourceGuess, key: Column | None) -> None:
    times = [c for c in guess.free() if c.time and not c.time.is_weak and not c.says(words.BIRTH)]
    named = [c for c in times if c.says(words.CREATED)]
    chosen = next(iter(named), None) or (times[0] if len(times) == 1 and not times[0].says(words.NOT_AT) else None)
    if key and chosen:
        guess.claim(chosen)
        guess.plain["created_at"] = Guess(
            chosen.name, f"{percent(chosen.time.share)} of values are times, and its name says the record's start"
        )
        if chosen.time.pattern != "iso":
            guess.plain["created_at_format"] = time_format(chosen, guess)


def find_event_column(guess: SourceGuess, kind: str, at: Column) -> Column | None:
    """The column with words for what happened: few different ones, and names or words that speak for it."""
    weights = {}
    for column in guess.free():
        few = 1 <= column.distinct <= EVENT_WORDS and column.filled > 0.98 and column.is_mostly("names", 0.0)
        if (
            not few
            or column.number > 0.5
            or column.is_mostly("e-mail addresses", 0.01)
            or any(len(v) > 40 for v in column.counts)
        ):
            continue
        known = sum(n for v, n in column.counts.items() if words.event_word(v, kind)[1]) / sum(column.counts.values())
        named = column.says(words.EVENT_COLUMN)
        if kind in ("tickets", "survey", "ads", "social"):
            continue
        least = 0.6 if kind in ("pos", "finance") else 0.3
        if known >= least and (named or known > 0.8):
            weights[column.name] = known + named
        elif kind in ("web", "mobile_app", "email", "marketing_automation") and column.says(
            r"event|activit|action|aktion|ereignis"
        ):
            weights[column.name] = 0.5
    if not weights:
        return None
    return guess.claim(guess.columns[max(weights, key=lambda n: weights[n])])


def amount_weight(column: Column) -> float:
    if column.says(words.NO_AMOUNT) and not column.says(r"\bnet\b|netto|betrag|amount|umsatz|revenue"):
        return 0.0
    weight = max((w for p, w in words.AMOUNT if column.says(p)), default=0)
    if weight and column.says(r"discount|rabatt|\btax|steuer|shipping|versand|\bcost|kosten"):
        return 0.0
    return weight - 3 * column.says(words.UNIT_PRICE) * (weight > 3)


def find_amount(guess: SourceGuess, kind: str) -> Column | None:
    if kind in ("ads", "tickets", "survey", "social", "email"):
        return None
    numbers = [
        c for c in guess.free() if c.number > 0.93 and not c.is_mostly("yes or no", 0.99) and not (c.time and not c.time.is_weak)
    ]
    weights = {c.name: amount_weight(c) + 0.5 * c.has_cents + bool(c.symbols) for c in numbers if amount_weight(c) > 0}
    if not weights and kind in ("pos", "finance"):
        weights = {c.name: 0.5 for c in numbers if (c.has_cents or c.symbols) and not c.says(words.NO_AMOUNT)}
        if len(weights) > 1:
            weights = {}
    return guess.claim(guess.columns[max(weights, key=lambda n: weights[n])]) if weights else None


def find_numbers(guess: SourceGuess, amount: Column | None) -> None:
    """The decimal mark, and the currency that symbols tell."""
    numbers = [c for c in guess.columns.values() if c.number > 0.9 and not c.time]
    mark, is_sure = look.decimal_mark([amount] if amount and amount.has_cents else numbers)
    if mark == ",":
        guess.plain["decimal"] = Guess(",", "most numbers are written so", not is_sure)
    if amount and amount.symbols:
        code = amount.symbols.most_common(1)[0][0]
        guess.plain["currency"] = Guess(code, "from the sign before or after the amounts")


def find_events(
    guess: SourceGuess, kind: str, at: Column, event_column: Column | None, amount: Column | None, key: Column | None
) -> dict[str, Any]:
    """The one declaration of what happened in a source."""
    events: dict[str, Any] = {
        "type": _type(guess, kind, at, event_column),
        **_at(guess, at, f"{percent(at.time.share)} of values are times", at.time.is_weak),
    }

    def take(setting: str, column: Column | None, reason: str, is_open: bool = False) -> Column | None:
        if column and guess.claim(column):
            events[setting] = Guess(column.name, reason, is_open)
        return column

    def first(pattern: str, fits: Callable[[Column], bool]) -> Column | None:
        return next((c for c in guess.free() if c.says(pattern) and fits(c)), None)

    if kind == "tickets":
        take(
            "ends_at",
            next((c for c in guess.free() if c.time and c.time.pattern == at.time.pattern and c.says(words.ENDS_AT)), None),
            "times, and its name says the end",
        )
    unique = first(words.EVENT_ID, lambda c: c.is_unique and c.filled > 0.99)
    take("event_id", unique, "each value once")
    channel = first(words.CHANNEL, lambda c: c.distinct <= 30 and c.number < 0.5)
    if channel and kind != "email":
        guess.claim(channel)
        events["channel"] = {"column": Guess(channel.name, f"{channel.distinct} different words")}
    if kind in ("pos", "finance", "web", "mobile_app", "crm", "loyalty", "marketing_automation"):
        _purchase(guess, kind, events, take, first, amount)
    if kind == "ads":
        take("cost", first(words.COST, lambda c: c.number > 0.9), "numbers, and its name says spend")
    take(
        "campaign_id",
        first(
            words.CAMPAIGN,
            lambda c: not c.says(r"type|typ\b") and not c.time and c.distinct <= 3000 and not c.is_mostly("yes or no", 0.99),
        ),
        "by its name",
    )
    take("topic", first(words.TOPIC, _is_few), "few different words")
    score = first(words.SCORE, lambda c: c.number > 0.9)
    if kind in ("tickets", "survey", "social") and score:
        take("score", score, "numbers, and its name says a judgement")
        if codes := _no_answers(score):
            guess.plain["missing"] = Guess(
                [*value_of(guess.plain.get("missing", [])), *codes], "stand for no answer in the score", True
            )
        if low_high := _score_range(score):
            events["score_range"] = Guess(list(low_high), "most values lie there")
    machine = first(words.MACHINE, lambda c: c.is_mostly("yes or no", 0.95))
    if machine:
        guess.claim(machine)
        truth = sorted(v for v in machine.counts if v.lower() in look.YES) or ["true"]
        events["machine"] = {"column": Guess(machine.name, "yes or no, and its name says a machine"), "values": truth}
    currency = next((c for c in guess.free() if c.is_mostly("currency codes", 0.95)), None)
    if amount and currency:
        take("currency", currency, "codes of currencies")
    return events


def find_answers(guess: SourceGuess, sent: Column) -> list[dict[str, Any]]:
    """What came of each mailing, where a row is a mailing and columns say when, or whether, it was opened, clicked, returned."""
    found = []
    for kind, pattern in words.ANSWERS.items():
        named = [c for c in guess.free() if c.says(pattern)]
        at = next((c for c in named if c.time and not c.time.is_weak), None)
        flag = next((c for c in named if c.is_mostly("yes or no", 0.99)), None)
        if guess.claim(at):
            where = {"column": Guess(at.name, "an empty cell says that it did not happen")}
            found.append({"type": kind, **_at(guess, at, "times, by its name"), "where": where})
        elif guess.claim(flag):
            truth = sorted(v for v in flag.counts if v.lower() in look.YES)
            where = {"column": Guess(flag.name, "yes or no, by its name"), "values": truth}
            then = _at(guess, sent, "nothing says when: taken for the time of sending")
            found.append({"type": kind, **then, "where": where})
    return found


def _at(guess: SourceGuess, column: Column, reason: str, is_open: bool = False) -> dict[str, Guess]:
    """The settings of an event's time: `at`, and `at_format` where it has to be said."""
    pattern = time_format(column, guess)
    told = {"at_format": pattern} if pattern.value != "iso" or pattern.is_open else {}
    return {"at": Guess(column.name, reason, is_open), **told}


def _purchase(
    guess: SourceGuess,
    kind: str,
    events: dict,
    take: Callable,
    first: Callable,
    amount: Column | None,
) -> None:
    """What was bought: order, item, category, how many, how much."""
    is_shop = amount is not None or kind in ("pos", "finance")
    if is_shop:
        order = first(
            words.ORDER_ID,
            lambda c: (
                _is_code(c)
                and c.distinct > 20 * (c.rows > 100)
                and not c.says(r"date|datum|type|typ\b|status|line|qty|count|total|amount")
            ),
        )
        take("order_id", order, f"codes, {percent(order.distinct_share) if order else ''} of them different")
    items = [
        c
        for c in guess.free()
        if c.says(words.ITEM) and not c.says(words.CATEGORY) and not c.has_cents and not c.time and not c.says(words.QUANTITY)
    ]
    if is_shop and items:
        best = max(items, key=lambda c: (c.says(words.NUMBER_WORD + r"|sku|ean|upc|stock code"), _is_code(c)))
        take("item", best, "by its name")
    groups = sorted(
        (c for c in guess.free() if c.says(words.CATEGORY) and _is_few(c) and not c.says(r"user|customer|kunden|\bage\b")),
        key=lambda c: (c.distinct, c.name),
    )
    for setting, column in zip(("category", "subcategory"), groups, strict=False):
        take(setting, column, f"{column.distinct} different words")
    if not is_shop:
        return
    take("quantity", first(words.QUANTITY, lambda c: c.number > 0.95), "numbers, by its name")
    if amount:
        weight = amount_weight(amount)
        is_unit = amount.says(words.UNIT_PRICE) or (weight <= 4 and "quantity" in events)
        reason = "is this the price of one piece? the money for the whole line is needed" if is_unit else "numbers, by its name"
        reason = "nothing in its name says that it is money" if weight == 0 else reason
        events["amount"] = Guess(amount.name, reason, is_unit or weight == 0)
    off = [
        c
        for c in guess.free()
        if c.says(words.DISCOUNT) and c.number > 0.95 and not c.says(r"\bid\b|code|nr|pct|percent|prozent|rate|upc")
    ]
    if off:
        for column in off:
            guess.claim(column)
        names = [c.name for c in off]
        events["discount"] = Guess(
            names[0] if len(names) == 1 else names, "numbers, by name" + ("; added up" if len(names) > 1 else "")
        )
    take("cost", first(words.COST, lambda c: c.number > 0.95 and not c.says("rate|ship|versand")), "numbers, by its name")
    brand = first(words.BRAND, lambda c: any(v.lower() in words.OWN_BRAND for v in c.counts))
    if brand:
        guess.claim(brand)
        events["own_brand"] = {
            "column": Guess(brand.name, "has a word for the company's own brand"),
            "values": sorted(v for v in brand.counts if v.lower() in words.OWN_BRAND),
        }


def _is_code(column: Column) -> bool:
    is_time = column.time and not column.time.is_weak
    return (
        (column.is_mostly("codes", 0.8) or column.number > 0.9 or column.is_mostly("single words", 0.95))
        and not column.has_cents
        and not is_time
    )


def _is_few(column: Column) -> bool:
    return (
        column.distinct <= 400 and column.distinct_share < 0.5 and column.number < 0.5 and not column.is_mostly("long texts", 0.2)
    )


def _type(guess: SourceGuess, kind: str, at: Column, column: Column | None) -> Any:
    if column is None:
        everything = f"{look.fold(guess.sample.label)} {' '.join(c.words for c in guess.columns.values())}"
        if re.search("opportunit", everything):
            return Guess(
                "opportunity_open", "rows are opportunities, and these are no orders yet: which column says won or lost?", True
            )
        if re.search(r"subscription|vertrag", everything) and at.says("start|beginn"):
            return Guess("subscription_started", "rows are contracts with a start; add subscription_ended where they end", True)
        fixed = FIXED_TYPES.get(kind, "order")
        return Guess(fixed, "every row is taken for one")
    found = {}
    # Where mails are delivered and opened, "sent" is a mail too.
    mails = {words.event_word(w, "")[0] for w in column.counts} & {"email_delivered", "email_open", "email_click", "email_bounce"}
    for word in sorted(column.counts, key=lambda w: (-column.counts[w], w)):
        ours, known = words.event_word(word, "email" if len(mails) > 1 else kind)
        found[word] = Guess(ours, "" if known else "a word of yours, kept as it is; delete the line to leave it out")
    return {"column": Guess(column.name, f"{column.distinct} different words"), "values": found}


def _no_answers(column: Column) -> list[str]:
    """Codes outside the scale that systems write where nobody answered."""
    scale = _score_range(column)
    return [v for v in sorted(column.counts) if scale and v in NO_ANSWER and not scale[0] <= float(v) <= scale[1]]


def _score_range(column: Column) -> tuple[float, float] | None:
    """The usual scale that holds nearly all values."""
    numbers = [(float(v.replace(",", ".")), n) for v, n in column.counts.items() if re.fullmatch(r"[+-]?\d+([.,]\d+)?", v)]
    total = sum(n for _, n in numbers)
    is_recommend = column.says(r"\bnps\b|recommend|empfehl")
    for low, high in ((0, 10),) if is_recommend else ((0, 1), (-1, 1), (1, 5), (0, 5), (1, 10), (0, 10), (0, 100)):
        if total and sum(n for v, n in numbers if low <= v <= high) / total > 0.95:
            return low, high
    return None
