"""One sample -> what its columns mean: the kind of the system, who, when, what, how much. Every guess carries its reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from workbench.ingest.draft import columns as look
from workbench.ingest.draft import words
from workbench.ingest.draft.columns import Column
from workbench.ingest.draft.samples import Sample

PROFILE_VALUES = 40
EVENT_WORDS = 60
NO_ANSWER = ("-1", "-9", "-99", "88", "98", "99", "888", "998", "999", "9999")
EVENT_KINDS = ("pos", "email", "web", "mobile_app", "social", "tickets", "survey", "ads", "marketing_automation", "finance")
FIXED_TYPES = {"pos": "order", "social": "social", "tickets": "ticket", "survey": "survey", "ads": "ad_spend", "finance": "order", "web": "page_view", "mobile_app": "app_open", "email": "email_sent", "marketing_automation": "campaign_sent"}  # fmt: skip


@dataclass(frozen=True)
class Guess:
    """A value of the draft with its reason; `is_open`: nobody could tell from the data, a person has to look."""

    value: Any
    reason: str = ""
    is_open: bool = False


REFUSED = (
    "says who refused, and would be read as a consent: for a list of events declare "
    '{type: email_unsubscribe, at: TIME, where: {column: NAME, values: ["1"]}}, for a list of people export who agreed'
)


@dataclass
class SourceGuess:
    """The draft of one source.

    plain: the declaration as nested mappings and lists whose leaves are plain values or Guess. left_out: column -> what it looks
    like. refusals: columns that say who refused, which no setting of a draft may use. missing: what a full run would need of such a
    source. columns: what was seen of every column.
    """

    sample: Sample
    columns: dict[str, Column]
    plain: dict[str, Any] = field(default_factory=dict)
    claimed: set[str] = field(default_factory=set)
    refusals: set[str] = field(default_factory=set)
    missing: list[str] = field(default_factory=list)
    name: str = ""
    refusal: str = ""

    @property
    def left_out(self) -> dict[str, str]:
        """Columns that no setting uses -> what their values look like."""
        return {n: REFUSED if n in self.refusals else _looks(c) for n, c in self.columns.items() if n not in self.claimed}

    @property
    def kind(self) -> str:
        """The kind of the system."""
        return value_of(self.plain["kind"])

    def claim(self, column: Column | None) -> Column | None:
        """Mark a column as used."""
        if column:
            self.claimed.add(column.name)
        return column

    def free(self) -> list[Column]:
        """Columns with values that no setting uses yet."""
        return [c for c in self.columns.values() if c.name not in self.claimed | self.refusals and c.distinct]


def value_of(leaf: Any) -> Any:
    """A leaf of a draft -> its plain value."""
    return leaf.value if isinstance(leaf, Guess) else leaf


def plain_of(draft: Any) -> Any:
    """A draft -> the same without reasons."""
    draft = value_of(draft)
    if isinstance(draft, dict):
        return {k: plain_of(v) for k, v in draft.items()}
    return [plain_of(v) for v in draft] if isinstance(draft, (list, tuple)) else draft


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
        _note_shared_codes(guess, shared)
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


# -- one source --------------------------------------------------------------------------------------------------------


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
    identity = _identity(guess, is_b2b)
    at = _at(guess, kind)
    event_column = _event_column(guess, kind, at) if at else None
    amount = _amount(guess, kind)
    key = _key(guess, kind, bool(at))
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
        guess.plain["record_id"] = Guess(key.name, _key_reason(key), key.filled < 0.5)
        if is_event and (kind in ("tickets", "survey") or key.says("subscription|vertrag")) and key.is_unique:
            guess.plain["record_is"] = Guess("case", "one row per ticket or answer, many per customer")
        _number_of_key(guess, key, identity, is_b2b)
        of_the_key = {name for name, column in identity.items() if column.value == key.name}
        if (
            is_b2b
            and identity.keys() & {"email", "given_name"}
            and not of_the_key & {"account_number", "customer_number", "domain"}
            and not key.says("subscription|vertrag")
        ):
            guess.plain["record_is"] = Guess("person", "customers look like organisations, and these records are of people")
    _numbers(guess, amount if is_event else None)
    if not is_event:
        _created(guess, key)
    if identity:
        guess.plain["identity"] = identity
        birth = guess.columns[value_of(identity["birth_date"])] if "birth_date" in identity else None
        if birth and birth.time.pattern != "iso":
            guess.plain["birth_date_format"] = _format(birth, guess)
    consent = _consent(guess)
    if is_event:
        guess.plain["events"] = [_events(guess, kind, at, event_column, amount, key)]
    profile = _profile(guess, key, is_event)
    if profile:
        guess.plain["profile"] = profile
    if consent:
        guess.plain["consent"] = consent
    _what_is_missing(guess, kind, key, is_event, amount)
    guess.plain = in_order(guess.plain)


ORDER = ("kind", "note", "path", "database", "format", "csv", "sheet", "missing", "decimal", "currency", "record_id", "record_is", "duplicates",
         "created_at", "created_at_format", "birth_date_format", "yes_words", "no_words", "identity", "profile", "consent", "events", "costs", "lookup")  # fmt: skip


def in_order(plain: dict[str, Any]) -> dict[str, Any]:
    """The settings of a source in the order that readers expect."""
    return {k: plain[k] for k in ORDER if k in plain}


def _remark(plain: dict[str, Any], dotted: str, note: str) -> None:
    *above, last = dotted.split(".")
    for part in above:
        plain[part] = dict(plain[part])
        plain = plain[part]
    plain[last] = Guess(plain[last], note.removeprefix("CHECK "), note.startswith("CHECK "))


def _looks(column: Column) -> str:
    if not column.distinct:
        return "empty"
    if column.time and not column.time.is_weak:
        return "times"
    for kind in ("e-mail addresses", "long texts"):
        if column.is_mostly(kind, 0.5):
            return kind
    if column.distinct <= PROFILE_VALUES:
        return f"{column.distinct} different values"
    return "numbers" if column.number > 0.9 else "codes" if column.is_mostly("codes") else "texts"


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def _kind(guess: SourceGuess) -> tuple[str, str]:
    """The kind of the system: words of the file and its folder, and what only such a system has."""
    every = list(guess.columns.values())

    def has(pattern: str) -> bool:
        return any(c.says(pattern) and c.distinct for c in every)

    mails = sum(c.is_mostly("e-mail addresses", 0.6) for c in every)
    times = [c for c in every if c.time and not c.time.is_weak and not c.says(words.BIRTH)]
    money = [c for c in every if c.number > 0.9 and (c.has_cents or _amount_weight(c) >= 6) and not c.says(words.NO_AMOUNT)]
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
            f"{_percent(share)} of values lie between 0 and 1" if share > 0.9 else "is this a share of the price, from 0 to 1?",
            share <= 0.9,
        ),
    }
    guess.claimed |= {item.name, rates[0].name}
    guess.plain = in_order(guess.plain)
    return True


# -- who ---------------------------------------------------------------------------------------------------------------


def _identity(guess: SourceGuess, is_b2b: bool) -> dict[str, Guess]:
    """E-mail and phone from the values; names and addresses from name and values together."""
    found: dict[str, Guess] = {}

    def take(name: str, column: Column | None, reason: str) -> None:
        if column and name not in found:
            guess.claim(column)
            found[name] = Guess(column.name, reason)

    mails = sorted((c for c in guess.free() if c.is_mostly("e-mail addresses", 0.6)), key=lambda c: (-c.filled, c.name))
    take(
        "email",
        next(iter(mails), None),
        mails and f"{_percent(mails[0].shares['e-mail addresses'])} of values are e-mail addresses" or "",
    )
    phones = [c for c in guess.free() if not c.time or c.says(words.PHONE)]
    phones = [
        c
        for c in phones
        if c.is_mostly("phone numbers", 0.7) and (c.says(words.PHONE) or c.is_mostly("formatted phone numbers", 0.7))
    ]
    phones = sorted((c for c in phones if c.distinct > 2), key=lambda c: (not c.says(words.PHONE), -c.filled))
    take(
        "phone",
        next(iter(phones), None),
        phones and f"{_percent(phones[0].shares['phone numbers'])} of values look like phone numbers" or "",
    )
    birth = next((c for c in guess.free() if c.says(words.BIRTH) and c.time), None)
    take("birth_date", birth, birth and f"{_percent(birth.time.share)} of values are dates" or "")
    for name, (pattern, kind, least) in words.IDENTITY.items():
        if name in ("tax_id", "domain") and not is_b2b:
            continue
        if name in ("full_name", "organisation") and is_b2b:
            pattern = {
                "full_name": r"full name|contact ?name",
                "organisation": pattern + "|customer ?name|client ?name|kundenname",
            }[name]
        fitting = [
            c
            for c in guess.free()
            if c.says(pattern) and (not kind or c.is_mostly(kind, least)) and not c.is_mostly("yes or no", 0.9)
        ]
        if name in ("given_name", "family_name", "full_name", "street", "organisation"):
            fitting = [c for c in fitting if c.distinct > min(8, c.rows / 3) and not c.number > 0.9]
        if name == "full_name":
            fitting = [c for c in fitting if c.is_mostly("several words", 0.5)]
        # The shorter name is the column itself; "billing city" is another one.
        fitting.sort(key=lambda c: len(c.words))
        take(
            name,
            next(iter(fitting), None),
            fitting and (f"{_percent(fitting[0].shares[kind])} of values look like {kind}" if kind else "by its name") or "",
        )
    return found


def _number_of_key(guess: SourceGuess, key: Column, identity: dict[str, Guess], is_b2b: bool) -> None:
    """Numbers that other systems know too: the customer's, the card's, the account's."""
    taken = {value_of(g) for g in identity.values()}
    every = [key, *(c for c in guess.columns.values() if c is not key)]
    for name, pattern, more in (
        ("account_number", r"\baccount ?(id|no|nr|number|key)?$|kontonummer", is_b2b),
        ("loyalty_id", words.LOYALTY, True),
        (
            "customer_number",
            r"\b("
            + words.CUSTOMER
            + r")\b|^(kunden|customer|kaeufer|debitor)\w*"
            + ("" if is_b2b else r"|^(user|uid|member|client)( id| no| nr)?$"),
            True,
        ),
    ):
        for column in every:
            is_code = (
                (column.is_mostly("codes") or column.number > 0.9)
                and not column.is_mostly("e-mail addresses", 0.3)
                and not column.has_cents
            )
            fits = (
                more
                and column.says(pattern)
                and is_code
                and not column.says(words.NO_CUSTOMER_NUMBER)
                and not (column.time and not column.time.is_weak)
            )
            enough = column.distinct > min(20, max(column.rows / 20, 1)) or column is key
            if (
                fits
                and enough
                and name not in identity
                and column.name not in taken
                and (column.name not in guess.claimed or column is key)
            ):
                guess.claim(column)
                taken.add(column.name)
                reason = (
                    "by its name, and its values are codes"
                    if column is not key
                    else "the key is the number by which the customer is known"
                )
                identity[name] = Guess(column.name, reason)


def _key(guess: SourceGuess, kind: str, has_time: bool) -> Column | None:
    """The column that tells one record from another: the customer's number, a card, an address, a device."""
    weights = {}
    for column in guess.columns.values():
        is_mail = column.is_mostly("e-mail addresses", 0.6)
        is_code = (
            column.is_mostly("codes", 0.9) or column.is_mostly("single words", 0.95) or column.is_mostly("whole numbers", 0.95)
        ) and not column.has_cents
        if (
            not (is_mail or is_code)
            or column.distinct < 2
            or (column.time and not column.time.is_weak)
            or column.is_mostly("long texts", 0.2)
        ):
            continue
        weight = max((w for p, w in words.PEOPLE if column.says(p)), default=7.5 if is_mail else 0)
        if is_mail and weight:
            weight = 7.5
        if (
            column.says(r"type|typ\b|group|gruppe|segment|status|since|\bcount|anzahl|name$|credit|gift|country|city|channel")
            and not is_mail
        ):
            weight = 0
        if (
            (kind in ("tickets", "survey") or column.says("subscription|vertrag"))
            and column.is_unique
            and column.says(words.CASE)
        ):
            weight = 20
        if kind in ("crm", "loyalty", "enrichment"):
            weight += 6 * column.is_unique * column.says(words.NUMBER_WORD) * (weight > 0) - 6 * (column.distinct_share < 0.5)
            weight += 4 * (column.is_unique and column.says(r"^(id|key|nr|no)$"))
        if column.is_mostly("domains", 0.9) and column.says(words.IDENTITY["domain"][0]):
            weight = 0
        if kind == "enrichment" and column.is_unique and column.says(words.IDENTITY["domain"][0]):
            weight = 15
        weight -= (20 if kind in ("crm", "loyalty", "enrichment") else 8) * (1 - column.filled) if column.filled < 0.9 else 0
        if weight > 0:
            weights[column.name] = weight + 0.5 * column.says(words.NUMBER_WORD)
    if weights:
        return guess.columns[max(weights, key=lambda n: weights[n])]
    rest = [
        c
        for c in guess.free()
        if c.says(words.NUMBER_WORD) and (c.is_mostly("codes", 0.9) or c.number > 0.95) and c.filled > 0.95 and not c.has_cents
    ]
    if not has_time or kind in ("tickets", "survey", "crm", "loyalty"):
        return next((c for c in rest if c.is_unique), None)
    return None


def _key_reason(key: Column) -> str:
    if key.filled < 0.5:
        return f"only {_percent(key.filled)} of rows have a value: does another column say whom a row is about?"
    seen = (
        "each value once"
        if key.is_unique
        else f"{key.distinct:,} different values in {sum(key.counts.values()):,} rows looked at"
    )
    return f"says whom a row is about: {seen}"


def _note_shared_codes(guess: SourceGuess, others: list[SourceGuess]) -> None:
    """Say of a number whether another file has the same values: the strongest sign that both mean the same."""
    for name in ("customer_number", "loyalty_id", "account_number"):
        mine = guess.plain.get("identity", {}).get(name)
        if not mine:
            continue
        here = set(guess.columns[mine.value].counts)
        best, where = 0.0, ""
        for other in others:
            theirs = other.plain.get("identity", {}).get(name) if other is not guess else None
            if theirs:
                there = set(other.columns[theirs.value].counts)
                share = len(here & there) / max(min(len(here), len(there)), 1)
                best, where = max((best, where), (share, f"{other.name}.{theirs.value}"))
        if best > 0.05:
            guess.plain["identity"][name] = Guess(mine.value, f"{mine.reason}; the same values stand in {_clean(where)}")


def _clean(text: str) -> str:
    return " ".join(text.split())


# -- when and what -----------------------------------------------------------------------------------------------------


def _at(guess: SourceGuess, kind: str) -> Column | None:
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


def _format(column: Column, guess: SourceGuess) -> Guess:
    """The pattern of a column's times; where two readings fit every value, the likelier one, said to be open."""
    time = column.time
    if not time.rival:
        other = (
            {"%d": "a first part", "%m": "a second part"}.get(time.pattern[:2])
            if re.match(r"%[dm][./-]%[md]", time.pattern)
            else None
        )
        decided = f", and {other} above 12 decides it" if other and time.share >= 0.8 else ""
        return Guess(time.pattern, f"{_percent(time.share)} of values fit{decided}")
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


def _created(guess: SourceGuess, key: Column | None) -> None:
    times = [c for c in guess.free() if c.time and not c.time.is_weak and not c.says(words.BIRTH)]
    named = [c for c in times if c.says(words.CREATED)]
    chosen = next(iter(named), None) or (times[0] if len(times) == 1 and not times[0].says(words.NOT_AT) else None)
    if key and chosen:
        guess.claim(chosen)
        guess.plain["created_at"] = Guess(
            chosen.name, f"{_percent(chosen.time.share)} of values are times, and its name says the record's start"
        )
        if chosen.time.pattern != "iso":
            guess.plain["created_at_format"] = _format(chosen, guess)


def _event_column(guess: SourceGuess, kind: str, at: Column) -> Column | None:
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


def _amount_weight(column: Column) -> float:
    if column.says(words.NO_AMOUNT) and not column.says(r"\bnet\b|netto|betrag|amount|umsatz|revenue"):
        return 0.0
    weight = max((w for p, w in words.AMOUNT if column.says(p)), default=0)
    if weight and column.says(r"discount|rabatt|\btax|steuer|shipping|versand|\bcost|kosten"):
        return 0.0
    return weight - 3 * column.says(words.UNIT_PRICE) * (weight > 3)


def _amount(guess: SourceGuess, kind: str) -> Column | None:
    if kind in ("ads", "tickets", "survey", "social", "email"):
        return None
    numbers = [
        c for c in guess.free() if c.number > 0.93 and not c.is_mostly("yes or no", 0.99) and not (c.time and not c.time.is_weak)
    ]
    weights = {c.name: _amount_weight(c) + 0.5 * c.has_cents + bool(c.symbols) for c in numbers if _amount_weight(c) > 0}
    if not weights and kind in ("pos", "finance"):
        weights = {c.name: 0.5 for c in numbers if (c.has_cents or c.symbols) and not c.says(words.NO_AMOUNT)}
        if len(weights) > 1:
            weights = {}
    return guess.claim(guess.columns[max(weights, key=lambda n: weights[n])]) if weights else None


def _numbers(guess: SourceGuess, amount: Column | None) -> None:
    """The decimal mark, and the currency that symbols tell."""
    numbers = [c for c in guess.columns.values() if c.number > 0.9 and not c.time]
    mark, is_sure = look.decimal_mark([amount] if amount and amount.has_cents else numbers)
    if mark == ",":
        guess.plain["decimal"] = Guess(",", "most numbers are written so", not is_sure)
    if amount and amount.symbols:
        code = amount.symbols.most_common(1)[0][0]
        guess.plain["currency"] = Guess(code, "from the sign before or after the amounts")


def _events(
    guess: SourceGuess, kind: str, at: Column, event_column: Column | None, amount: Column | None, key: Column | None
) -> dict[str, Any]:
    """The one declaration of what happened in a source."""
    events: dict[str, Any] = {
        "type": _type(guess, kind, at, event_column),
        "at": Guess(at.name, f"{_percent(at.time.share)} of values are times", at.time.is_weak),
    }
    pattern = _format(at, guess)
    if pattern.value != "iso" or pattern.is_open:
        events["at_format"] = pattern

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
        take("order_id", order, f"codes, {_percent(order.distinct_share) if order else ''} of them different")
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
        weight = _amount_weight(amount)
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


def _consent(guess: SourceGuess) -> dict[str, Guess]:
    found: dict[str, Guess] = {}
    for column in guess.free():
        is_answer = column.is_mostly("yes or no", 0.5) and column.distinct <= 5 and not column.says("date|datum")
        channel = next((c for c, p in words.CONSENT_CHANNELS if column.says(p)), "marketing")
        if column.says(words.REFUSAL) and is_answer:
            guess.refusals.add(column.name)
            guess.missing.append(f'who refused ("{column.name}"): see the comment in the file')
            continue
        if column.says(words.CONSENT) and is_answer and channel not in found:
            guess.claim(column)
            share = sum(n for v, n in column.counts.items() if v.lower() in look.YES | look.NO) / sum(column.counts.values())
            found[channel] = Guess(column.name, f"{_percent(share)} of values say yes or no")
    return found


def _profile(guess: SourceGuess, key: Column | None, is_event: bool) -> dict[str, Guess]:
    """Attributes worth keeping: few different values, and (where a record has many rows) one per record."""
    found: dict[str, Guess] = {}
    if key is None:
        return found
    for column in guess.free():
        is_number = (
            not is_event
            and column.number > 0.95
            and column.distinct > 1
            and not column.says(words.NUMBER_WORD)
            and not column.is_unique
        )
        few = 1 < column.distinct <= min(PROFILE_VALUES, max(column.rows * 0.2, 12)) and column.distinct_share < 0.5
        if (
            not (few or is_number)
            or (column.time and not column.time.is_weak)
            or column.is_mostly("long texts", 0.2)
            or any(len(v) > 60 for v in column.counts)
        ):
            continue
        if column.says(r"descri|beschreib|comment|kommentar|\btext|notiz|notes") or (is_event and column.says(words.ITEM)):
            continue
        if is_event and not _is_constant(guess, key, column):
            continue
        slug = re.sub(r"^[^a-z]+", "", column.words.replace(" ", "_"))[:40]
        if slug and slug not in found:
            guess.claim(column)
            found[slug] = Guess(column.name, f"{column.distinct} different values" if few else "numbers")
    return found


def _is_constant(guess: SourceGuess, key: Column, column: Column) -> bool:
    seen: dict[str, set[str | None]] = {}
    rows: dict[str, int] = {}
    for owner, value in zip(guess.sample.columns[key.name], guess.sample.columns[column.name], strict=True):
        if owner:
            seen.setdefault(owner, set()).add(value)
            rows[owner] = rows.get(owner, 0) + 1
    several = [o for o, n in rows.items() if n > 1]
    return len(several) >= 20 and sum(len(seen[o]) == 1 for o in several) / len(several) > 0.98


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
