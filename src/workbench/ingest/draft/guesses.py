"""Samples -> what their columns mean, source by source: kind, who, when, what, how much. Every guess carries its reason."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from workbench.ingest.draft import columns as look
from workbench.ingest.draft import happened, who, words
from workbench.ingest.draft.columns import Column
from workbench.ingest.draft.guess import EVENT_WORDS, Guess, SourceGuess, in_order, percent, value_of
from workbench.ingest.draft.samples import Sample

EVENT_KINDS = ("pos", "email", "web", "mobile_app", "social", "tickets", "survey", "ads", "marketing_automation", "finance")


def guess_sources(samples: Iterable[Sample]) -> list[SourceGuess]:
    """Samples -> their drafts, named apart; what shares its codes with another file is known from it."""
    found = [SourceGuess(s, {n: look.look_at(n, v, n in s.typed) for n, v in s.columns.items()}) for s in samples]
    taken: set[str] = set()
    is_b2b = any(c.says(words.IDENTITY["tax_id"][0]) for g in found for c in g.columns.values()) or any(
        any(c.says(r"^account ?(id|no|nr|number)$") for c in g.columns.values())
        and any(c.says(r"industr|branche|employees|mitarbeiter|^account name|^domain$") for c in g.columns.values())
        for g in found
    )
    for guess in found:
        guess.name = _source_name(guess, taken)
        taken.add(guess.name)
        _fill(guess, is_b2b)
    shared = [g for g in found if not g.refusal]
    for guess in shared:
        who.note_shared_codes(guess, shared)
    _lookups(shared)
    return found


def _source_name(guess: SourceGuess, taken: set[str]) -> str:
    label = look.fold(guess.sample.label).replace(" ", "_") or "source"
    folder = look.fold(guess.sample.folder).replace(" ", "_")
    kind_words = "|".join(words.KINDS.values())
    # events.csv in web/ and in app/: the folder tells them apart.
    name = folder if re.search(kind_words, folder.replace("_", " ")) and folder not in taken else label
    name = re.sub(r"^[^a-z]+", "", name)[:34] or "source"
    number = next(n for n in range(1, 10_000) if (name if n == 1 else f"{name}_{n}") not in taken)
    return name if number == 1 else f"{name}_{number}"


def _fill(guess: SourceGuess, is_b2b: bool) -> None:
    """Guess everything of one source, the surest first: what is claimed is no longer free for weaker guesses."""
    kind, reason = _kind(guess)
    guess.plain = {"kind": Guess(kind, reason), **guess.sample.settings}
    for dotted, note in guess.sample.notes.items():
        _remark(guess.plain, dotted, note)
    if _costs(guess):
        return
    empty = sorted({w for c in guess.columns.values() for w in c.empty_words})
    if empty:
        guess.plain["missing"] = Guess(empty, "stand for no value in columns of numbers or times")
    identity = who.find_identity(guess, is_b2b)
    at = happened.find_time(guess, kind)
    event_column = happened.find_event_column(guess, kind, at) if at else None
    amount = happened.find_amount(guess, kind)
    key = who.find_key(guess, kind, bool(at))
    is_list = (
        kind in ("crm", "loyalty", "enrichment")
        and bool(key)
        and key.distinct_share > 0.7
        and not (amount and at and not identity)
    )
    is_event = at is not None and not is_list and (kind in EVENT_KINDS or amount is not None or not (key and key.is_unique))
    if is_event and kind in ("crm", "loyalty", "enrichment"):
        kind = "pos" if amount else "marketing_automation" if event_column else kind
        guess.plain["kind"] = Guess(kind, "rows have times and repeat their keys, so they tell what happened")
    if not is_event:
        for column in (at, event_column, amount):
            guess.claimed.discard(column.name) if column else None
    if key and kind != "ads":
        guess.claim(key)
        guess.plain["record_id"] = Guess(key.name, who.key_reason(key), key.filled < who.ENOUGH)
        if is_event and (kind in ("tickets", "survey") or key.says("subscription|vertrag")) and key.is_unique:
            guess.plain["record_is"] = Guess("case", "one row per ticket or answer, many per customer")
        who.find_number_of_key(guess, key, identity, is_b2b)
        of_the_key = {name for name, column in identity.items() if column.value == key.name}
        if (
            is_b2b
            and identity.keys() & {"email", "given_name"}
            and not of_the_key & {"account_number", "customer_number", "domain"}
            and not key.says("subscription|vertrag")
        ):
            guess.plain["record_is"] = Guess("person", "customers look like organisations, and these records are of people")
    happened.find_numbers(guess, amount if is_event else None)
    if not is_event:
        happened.find_created(guess, key)
    if identity:
        guess.plain["identity"] = identity
        birth = guess.columns[value_of(identity["birth_date"])] if "birth_date" in identity else None
        if birth and birth.time.pattern != "iso":
            guess.plain["birth_date_format"] = happened.time_format(birth, guess)
    answers = happened.find_answers(guess, at) if is_event and kind == "email" and not event_column else []
    consent = who.find_consent(guess)
    if is_event:
        events = happened.find_events(guess, kind, at, event_column, amount, key)
        about = {name: events[name] for name in ("campaign_id", "topic", "machine") if name in events}
        if answers and not any(answer["type"] == "email_bounce" for answer in answers):
            events["type"] = Guess("email_delivered", "every row is taken for one: nothing says that a mailing came back")
        guess.plain["events"] = [events, *(answer | about for answer in answers)]
    profile = who.find_profile(guess, key, is_event)
    if profile:
        guess.plain["profile"] = profile
    if consent:
        guess.plain["consent"] = consent
    _what_is_missing(guess, kind, key, is_event, amount)
    guess.plain = in_order(guess.plain)


def _remark(plain: dict[str, Any], dotted: str, note: str) -> None:
    *above, last = dotted.split(".")
    for part in above:
        plain[part] = dict(plain[part])
        plain = plain[part]
    plain[last] = Guess(plain[last], note.removeprefix("CHECK "), note.startswith("CHECK "))


def _kind(guess: SourceGuess) -> tuple[str, str]:
    """The kind of the system: words of the file and its folder, and what only such a system has."""
    every = list(guess.columns.values())

    def has(pattern: str) -> bool:
        return any(c.says(pattern) and c.distinct for c in every)

    mails = sum(c.is_mostly("e-mail addresses", 0.6) for c in every)
    times = [c for c in every if c.time and not c.time.is_weak and not c.says(words.BIRTH)]
    money = [
        c for c in every if c.number > 0.9 and (c.has_cents or happened.amount_weight(c) >= 6) and not c.says(words.NO_AMOUNT)
    ]
    mail_words = {"email_open", "email_click", "email_bounce", "email_delivered"}
    ours = {
        words.event_word(w, "")[0] for c in every if c.distinct <= EVENT_WORDS and c.says(words.EVENT_COLUMN) for w in c.counts
    }
    scores = dict.fromkeys(words.KINDS, 0.0)
    for kind, pattern in words.KINDS.items():
        # The file's own name says more than its folder's.
        scores[kind] += 3 * bool(re.search(pattern, look.fold(guess.sample.label)))
        scores[kind] += 2.5 * bool(re.search(pattern, look.fold(guess.sample.folder)))
    orders = bool(money and times) and not has(r"impression|clicks?\b|\bcsat\b|\bnps\b")
    scores["pos"] += 3 * orders + 2 * (has(words.ORDER_ID) and bool(money)) + (has(words.ITEM) and orders)
    scores["email"] += 4 * (len(ours & mail_words) > 1) + (has(r"mailing|newsletter") and bool(times))
    scores["web"] += (
        3 * has(r"anonymous|visitor|cookie|besucher")
        + 2 * has(r"\bpage\b|\burl\b|referr|\bpath\b|utm")
        + (len(ours & {"page_view", "search", "add_to_cart"}) > 1)
    )
    scores["mobile_app"] += 3 * has(r"device|geraet|app version|\bos\b") + (
        len(ours & {"app_open", "offer_view", "list_add"}) > 1
    )
    scores["social"] += 3 * has(r"handle|screen name|likes|follower|network")
    scores["tickets"] += (
        3 * has(r"ticket|\bcase (id|no|nr|number)|vorgang")
        + 2 * (has(r"opened|geoeffnet|created") and has(r"closed|geschlossen|resolved"))
        + has("csat")
    )
    scores["survey"] += 4 * has(r"\bnps\b|recommend|empfehl") + 2 * has(r"response|respondent|antwort")
    scores["ads"] += 5 * (has(r"impression|impr\b|einblendung") and has(r"spend|cost|kosten|clicks?\b"))
    scores["finance"] += 5 * (has(words.ITEM) and has(words.COST) and not times) + 2 * has(r"invoice|rechnung")
    scores["loyalty"] += 3 * (has(words.LOYALTY) and not times[1:] and not money and has(r"name|point|punkte|tier|stufe")) + has(
        r"enrol|tier\b|punkte|points"
    )
    scores["crm"] += (
        3 * (has(r"name|vorname") and mails > 0)
        + has(words.CONSENT)
        + has(r"\bcontact|kontakt")
        + 2 * (not times or not money) * has(words.CUSTOMER)
    )
    scores["marketing_automation"] += (
        2 * (has(words.CAMPAIGN) and bool(times)) + (len(ours & {"campaign_sent", "coupon_redeemed"}) > 1) * 2
    )
    scores["enrichment"] += 2 * (not times and not mails and has(r"postcode|zip|plz|domain") and not has(r"name$|street|strasse"))
    best = max(scores, key=lambda k: scores[k])
    second = sorted(scores.values())[-2]
    if scores[best] == 0:
        return ("pos" if money and times else "web" if times else "crm"), "nothing in names tells it"
    return best, "from the names of the file and its columns" + ("" if scores[best] - second >= 2 else "; others are near")


def _costs(guess: SourceGuess) -> bool:
    """A list of items with the share of their price that they cost."""
    if guess.kind != "finance" or any(c.time and not c.time.is_weak for c in guess.columns.values()):
        return False
    item = next((c for c in guess.columns.values() if c.says(words.ITEM) and c.distinct_share > 0.5), None)
    rates = [
        c for c in guess.columns.values() if c is not item and c.number > 0.95 and c.says(words.COST + r"|rate|satz|quote|anteil")
    ]
    if not item or not rates:
        return False
    mark, _ = look.decimal_mark(rates)
    numbers = [float(v.replace(",", ".")) for v in rates[0].counts if re.fullmatch(r"\d*[.,]?\d+", v)]
    share = sum(0 <= n <= 1 for n in numbers) / max(len(numbers), 1)
    guess.plain["decimal"] = Guess(mark, "most numbers are written so")
    if mark == ".":
        guess.plain.pop("decimal")
    guess.plain["costs"] = {
        "item": Guess(item.name, "names the item, once each"),
        "rate": Guess(
            rates[0].name,
            f"{percent(share)} of values lie between 0 and 1" if share > 0.9 else "is this a share of the price, from 0 to 1?",
            share <= 0.9,
        ),
    }
    guess.claimed |= {item.name, rates[0].name}
    guess.plain = in_order(guess.plain)
    return True


def _what_is_missing(guess: SourceGuess, kind: str, key: Column | None, is_event: bool, amount: Column | None) -> None:
    has_identity = bool(guess.plain.get("identity"))
    if not is_event and not guess.plain.get("lookup") and not has_identity:
        guess.refusal = "nothing in it says who, what or when"
    only_key = has_identity and key is not None and {value_of(g) for g in guess.plain["identity"].values()} == {key.name}
    if (
        not is_event
        and only_key
        and not key.is_unique
        and "created_at" not in guess.plain
        and len(guess.plain.get("profile", {})) < 2
    ):
        guess.refusal = "its key repeats, and nothing else in it says who, what or when"
    if not is_event and key is None and not guess.plain.get("lookup"):
        guess.refusal = guess.refusal or "no column tells one record from another"
    if is_event and key is None and kind != "ads":
        guess.missing.append("who (record_id)")
    if kind in ("pos", "finance") and is_event and amount is None:
        guess.missing.append("amount")
    if kind in EVENT_KINDS and not is_event:
        guess.missing.append("time")


def _lookups(found: list[SourceGuess]) -> None:
    """Facts by postcode or city, where another source knows these of customers."""
    for guess in found:
        if guess.kind != "enrichment" or guess.plain.get("events"):
            continue
        for by in ("postcode", "city"):
            column = guess.plain.get("identity", {}).get(by)
            elsewhere = any(by in other.plain.get("identity", {}) for other in found if other is not guess)
            if column and elsewhere and guess.columns[column.value].is_unique:
                guess.plain = {
                    k: v for k, v in guess.plain.items() if k not in ("record_id", "identity", "created_at", "created_at_format")
                }
                guess.plain["lookup"] = {
                    "by": by,
                    "column": Guess(column.value, "each value once, and another source knows it of customers"),
                }
                guess.plain = in_order(guess.plain)
                break
