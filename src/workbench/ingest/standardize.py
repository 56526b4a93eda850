"""One spelling per identifier, so that equal means equal; values that identify nobody become missing."""

from __future__ import annotations

import datetime as dt
import functools
import re
import unicodedata
from collections.abc import Callable

import pandas as pd

from workbench.core.config import PERSONAL

PLACEHOLDER_MAILBOXES = {
    "noreply",
    "no-reply",
    "donotreply",
    "test",
    "none",
    "unknown",
    "na",
    "nomail",
    "noemail",
    "info",
    "anonymous",
}
FREE_MAIL = {
    "gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "msn.com", "yahoo.com", "yahoo.co.uk", "icloud.com",
    "me.com", "aol.com", "gmx.de", "gmx.net", "gmx.com", "web.de", "t-online.de", "freenet.de", "mail.com", "mail.ru", "yandex.ru",
    "proton.me", "protonmail.com", "orange.fr", "free.fr", "laposte.net", "libero.it", "qq.com", "163.com", "126.com", "naver.com",
}  # fmt: skip
LEGAL_FORMS = {
    "inc", "incorporated", "corp", "corporation", "co", "company", "llc", "llp", "lp", "ltd", "limited", "plc", "gmbh", "mbh", "ag",
    "kg", "kgaa", "ohg", "gbr", "ug", "ev", "eg", "se", "sa", "sas", "sarl", "srl", "spa", "bv", "nv", "ab", "as", "aps", "oy", "oyj",
    "pty", "pte", "the", "and", "und", "cie",
}  # fmt: skip
LETTERS = str.maketrans(
    {"ß": "ss", "ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe", "ı": "i", "’": None, "'": None, "`": None}
)
NO_NAMES = {"", "unknown", "n a", "anonymous"}  # people are called Null and None, so those words are names
PLACEHOLDER_DAYS = {(1970, 1, 1)}  # day 0 of many systems; what lies before 1901 counts as a placeholder too
PLAIN_LOCAL = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*")  # RFC 5322 dot-atom
PLACEHOLDER_DIGITS = re.compile(r"^(\d)\1{6,}$|^0*123456789?0?$")


def standardize_email(raw: str | None) -> str | None:
    """' Ann@Example.COM ' -> 'ann@example.com'; None for what is no address or a placeholder. Idempotent."""
    text = unicodedata.normalize("NFKC", raw).strip().lower() if isinstance(raw, str) else ""
    local, at, domain = text.partition("@")
    if not at or local in PLACEHOLDER_MAILBOXES:
        return None
    if not (PLAIN_LOCAL.fullmatch(local) and len(local) <= 64 and len(text) <= 254):
        return _validated(text)
    # Domains repeat, so only they are worth asking the library about.
    sound = _validated(f"a@{domain}")
    return sound and f"{local}{sound[1:]}"


@functools.lru_cache(100_000)
def _validated(address: str) -> str | None:
    from email_validator import EmailNotValidError, validate_email

    try:
        return validate_email(address, check_deliverability=False).normalized.lower()
    except EmailNotValidError:
        return None


def standardize_phone(raw: str | None, region: str) -> str | None:
    """'(212) 555-0123' in US -> '+12125550123' (E.164); None for what is no number or a placeholder. Idempotent."""
    import phonenumbers

    if not isinstance(raw, str):
        return None
    try:
        number = phonenumbers.parse(unicodedata.normalize("NFKC", raw), region)
    except phonenumbers.NumberParseException:
        return None
    possible = phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE
    if not possible or PLACEHOLDER_DIGITS.match(phonenumbers.national_significant_number(number)):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def standardize_code(raw: str | None) -> str | None:
    """A customer or card number: trimmed, inner spaces dropped, upper case; leading zeros stay."""
    if not isinstance(raw, str):
        return None
    if raw.isascii():  # most are, and nothing of them has another form
        return "".join(raw.split()).upper() or None
    return unicodedata.normalize("NFKC", re.sub(r"\s+", "", unicodedata.normalize("NFKC", raw)).upper()) or None


def standardize_name(raw: str | None) -> str | None:
    """' Müller-Lüdenscheidt ' -> 'muller ludenscheidt': letters and digits only, accents dropped, for comparing. Idempotent."""
    if not isinstance(raw, str):
        return None
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", raw).casefold().translate(LETTERS))
    kept = "".join(c if c.isalnum() else " " for c in folded if not unicodedata.combining(c))
    words = unicodedata.normalize("NFC", " ".join(kept.split()))
    return None if words in NO_NAMES else words


def standardize_organisation(raw: str | None) -> str | None:
    """'ACME Software GmbH & Co. KG' -> 'acme software': the name without its legal form. Idempotent."""
    words = (standardize_name(raw) or "").split()
    bare = [word for word in words if word not in LEGAL_FORMS]
    return " ".join(bare or words) or None


def standardize_birth_date(raw: str | None, pattern: str = "iso") -> str | None:
    """'31.12.1980' by '%d.%m.%Y' -> '1980-12-31'; None for what is no date, or one that forms fill in when they have to."""
    text = raw.strip()[:10] if isinstance(raw, str) and pattern == "iso" else raw.strip() if isinstance(raw, str) else ""
    try:
        day = dt.date.fromisoformat(text) if pattern == "iso" else dt.datetime.strptime(text, pattern).date()
    except ValueError:
        return None
    return None if (day.year < 1901 or day.year > 2100 or (day.year, day.month, day.day) in PLACEHOLDER_DAYS) else day.isoformat()


def standardize_domain(raw: str | None) -> str | None:
    """'https://www.Acme.example/home', 'ann@acme.example' -> 'acme.example'; None where anybody can have a mailbox."""
    if not isinstance(raw, str):
        return None
    text = unicodedata.normalize("NFKC", raw).strip().lower()
    text = text.rpartition("@")[2].partition("://")[2] or text.rpartition("@")[2]
    text = text.partition("/")[0].partition(":")[0].removeprefix("www.").strip(".")
    return text if re.fullmatch(r"[^\W_]([\w-]*[^\W_])?(\.[^\W_]([\w-]*[^\W_])?)+", text) and text not in FREE_MAIL else None


def split_full_name(raw: pd.Series) -> pd.DataFrame:
    """'Müller, Ann' or 'Ann B. Müller' -> given_name 'Ann', family_name 'Müller'; one word is a family name."""
    text = raw.astype("str").str.strip()
    comma = text.str.contains(",", na=False)
    last, first = text.str.partition(",")[0], text.str.partition(",")[2]
    words = text.str.split()
    given = first.where(comma, words.str[0].where(words.str.len() > 1))
    return pd.DataFrame({"given_name": given.str.strip(), "family_name": last.where(comma, words.str[-1]).str.strip()})


def standardize(kind: str, values: pd.Series, region: str, pattern: str = "iso") -> pd.Series:
    """Values of one kind -> their standard spelling, missing where there is none; each distinct value is done once.

    kind: an identifier or a personal attribute (names, addresses, birth_date, organisation); pattern: of birth dates.
    """
    rules = {
        "email": standardize_email,
        "phone": lambda v: standardize_phone(v, region),
        "birth_date": lambda v: standardize_birth_date(v, pattern),
        "organisation": standardize_organisation,
        "domain": standardize_domain,
    }
    if rule := rules.get(kind) or (standardize_name if kind in PERSONAL else None):
        return _by_rule(values, rule)
    plain = values.str.fullmatch("[!-~]+", na=False)  # of codes most are, and only their case can differ
    return values.str.upper().where(plain, _by_rule(values[~plain], standardize_code)).astype("str")


def _by_rule(values: pd.Series, rule: Callable[[str], str | None]) -> pd.Series:
    distinct = {v: rule(v) for v in values.dropna().unique().tolist()}
    return values.map(distinct).astype("str")


YES = ("yes", "y", "true", "1", "1.0", "granted", "opt-in", "opted in", "subscribed")
NO = ("no", "n", "false", "0", "0.0", "denied", "opt-out", "opted out", "unsubscribed")


def consent_word(raw: str | None, yes_words: tuple[str, ...] = (), no_words: tuple[str, ...] = ()) -> str:
    """yes / no / unknown; a word that is neither yes nor no counts as unknown, never as yes; case does not matter.

    yes_words, no_words: further words; a declared word has the last say, and no wins over yes.
    """
    text = unicodedata.normalize("NFKC", raw).strip().casefold() if isinstance(raw, str) else ""
    declared_yes, declared_no = ({w.strip().casefold() for w in words} for words in (yes_words, no_words))
    if text in declared_no or (text in NO and text not in declared_yes):
        return "no"
    return "yes" if text in declared_yes or text in YES else "unknown"
