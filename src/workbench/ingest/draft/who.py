"""Who a row is about and what it knows of them: the key, identities, consents, what stays the same of a customer."""

from __future__ import annotations

import re

from workbench.ingest.draft import columns as look
from workbench.ingest.draft import words
from workbench.ingest.draft.columns import Column
from workbench.ingest.draft.guess import PROFILE_VALUES, Guess, SourceGuess, clean, percent, value_of

ENOUGH = 0.99  # share of rows with a key: rows without one are set aside, and a run stops at more of them than one in a hundred


def find_identity(guess: SourceGuess, is_b2b: bool) -> dict[str, Guess]:
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
        mails and f"{percent(mails[0].shares['e-mail addresses'])} of values are e-mail addresses" or "",
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
        phones and f"{percent(phones[0].shares['phone numbers'])} of values look like phone numbers" or "",
    )
    birth = next((c for c in guess.free() if c.says(words.BIRTH) and c.time), None)
    take("birth_date", birth, birth and f"{percent(birth.time.share)} of values are dates" or "")
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
            fitting and (f"{percent(fitting[0].shares[kind])} of values look like {kind}" if kind else "by its name") or "",
        )
    return found


def find_number_of_key(guess: SourceGuess, key: Column, identity: dict[str, Guess], is_b2b: bool) -> None:
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


def find_key(guess: SourceGuess, kind: str, has_time: bool) -> Column | None:
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
        # A column that leaves gaps comes after one that is filled: it still links records, as an identity.
        return guess.columns[max(weights, key=lambda n: (guess.columns[n].filled >= ENOUGH, weights[n]))]
    rest = [
        c
        for c in guess.free()
        if c.says(words.NUMBER_WORD) and (c.is_mostly("codes", 0.9) or c.number > 0.95) and c.filled > 0.95 and not c.has_cents
    ]
    if not has_time or kind in ("tickets", "survey", "crm", "loyalty"):
        return next((c for c in rest if c.is_unique), None)
    return None


def key_reason(key: Column) -> str:
    if key.filled < ENOUGH:
        return f"only {percent(key.filled)} of rows have a value: does another column say whom a row is about?"
    seen = (
        "each value once"
        if key.is_unique
        else f"{key.distinct:,} different values in {sum(key.counts.values()):,} rows looked at"
    )
    return f"says whom a row is about: {seen}"


def note_shared_codes(guess: SourceGuess, others: list[SourceGuess]) -> None:
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
            guess.plain["identity"][name] = Guess(mine.value, f"{mine.reason}; the same values stand in {clean(where)}")


def find_consent(guess: SourceGuess) -> dict[str, Guess]:
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
            found[channel] = Guess(column.name, f"{percent(share)} of values say yes or no")
    return found


def find_profile(guess: SourceGuess, key: Column | None, is_event: bool) -> dict[str, Guess]:
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
