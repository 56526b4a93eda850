"""One spelling per identifier, so that equal means equal; values that identify nobody become missing."""

from __future__ import annotations

import re
import unicodedata

import pandas as pd

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
PLACEHOLDER_DIGITS = re.compile(r"^(\d)\1{6,}$|^0*123456789?0?$")


def standardize_email(raw: str | None) -> str | None:
    """' Ann@Example.COM ' -> 'ann@example.com'; None for what is no address or a placeholder. Idempotent."""
    from email_validator import EmailNotValidError, validate_email

    text = unicodedata.normalize("NFKC", raw).strip().lower() if isinstance(raw, str) else ""
    if "@" not in text or text.partition("@")[0] in PLACEHOLDER_MAILBOXES:
        return None
    try:
        return validate_email(text, check_deliverability=False).normalized.lower()
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
    text = re.sub(r"\s+", "", unicodedata.normalize("NFKC", raw)).upper() if isinstance(raw, str) else ""
    return unicodedata.normalize("NFKC", text) or None


def standardize(kind: str, values: pd.Series, region: str) -> pd.Series:
    """Identifiers of one kind -> their standard spelling, missing where there is none; each distinct value is done once."""
    rules = {"email": standardize_email, "phone": lambda v: standardize_phone(v, region)}
    rule = rules.get(kind, standardize_code)
    distinct = {v: rule(v) for v in values.dropna().unique()}
    return values.map(distinct).astype("str")


def consent_word(raw: str | None) -> str:
    """yes / no / unknown; a word that is neither yes nor no counts as unknown, never as yes."""
    text = str(raw).strip().lower() if isinstance(raw, str) else ""
    if text in ("yes", "y", "true", "1", "granted", "opt-in", "opted in", "subscribed"):
        return "yes"
    if text in ("no", "n", "false", "0", "denied", "opt-out", "opted out", "unsubscribed"):
        return "no"
    return "unknown"
