"""E-mails, phones and names as destinations want them: dated profiles of normalisation, computed on the engine."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from workbench.core.engine import hashed

HASH = re.compile(r"[0-9a-f]{64}")
MAILBOX = r"^[\p{L}\p{N}][^@\s]*@[^@\s]+\.[^@\s]+$"  # begins with a letter or digit: no formula, and what platforms accept
PLACEHOLDERS = r"^(no-?reply|donotreply|test|none|unknown|na|n/a|anonymous)@"
NUMBER = r"^\+[1-9]\d{6,14}$"  # E.164, as notebook 01 writes it
GMAIL = ("gmail.com", "googlemail.com")
Rule = Callable[[ir.StringValue], ir.StringValue]


# -- e-mail ---------------------------------------------------------------------------------------------------------------


def bare_email(column: ir.StringValue) -> ir.StringValue:
    """Lower case, no blanks at all; missing unless it is an address of a person."""
    text = column.re_replace(r"[\s\x{00A0}\x{200B}]", "").lower()
    return ibis.cases((text.re_search(MAILBOX) & ~text.re_search(PLACEHOLDERS), text))


def gmail_email(column: ir.StringValue) -> ir.StringValue:
    """The same; at gmail.com and googlemail.com without dots and +suffix before the @."""
    text = bare_email(column)
    local, domain = text.split("@")[0], text.split("@")[1]
    short = local.re_replace(r"\+.*$", "").replace(".", "")
    return ibis.cases((domain.isin(GMAIL), short + "@" + domain), else_=text)


def unsuffixed_email(column: ir.StringValue) -> ir.StringValue:
    """The same without +suffix at any domain; dots stay."""
    return bare_email(column).re_replace(r"\+[^@]*@", "@")


def same_email(column: ir.StringValue) -> ir.StringValue:
    """One spelling for all that reach one mailbox: no +suffix, at Google no dots and one domain. For finding, never for sending."""
    text = unsuffixed_email(column)
    local, domain = text.split("@")[0], text.split("@")[1]
    return ibis.cases((domain.isin(GMAIL), local.replace(".", "") + "@gmail.com"), else_=text)


def same_email_of(text: str) -> str:
    """`same_email` for one line of a suppression list, however it was typed."""
    bare = re.sub(r"[\s\u00a0\u200b]", "", unicodedata.normalize("NFKC", text)).lower()
    local, _, domain = bare.partition("@")
    local = local.partition("+")[0] or local
    return f"{local.replace('.', '')}@gmail.com" if domain in GMAIL else f"{local}@{domain}"


# -- phone ----------------------------------------------------------------------------------------------------------------


def plus_phone(column: ir.StringValue) -> ir.StringValue:
    """E.164 with its plus; missing for anything else."""
    return ibis.cases((column.re_search(NUMBER), column))


def digits_phone(column: ir.StringValue) -> ir.StringValue:
    """Country code and number without plus or leading zeros."""
    return plus_phone(column).re_replace(r"^\+0*", "")


def full_number(raw: str, region: str) -> str | None:
    """A number as people type it -> E.164, read as one of `region` where it has no country code; None for what is no number."""
    import phonenumbers

    text = re.sub(r"^\s*00", "+", unicodedata.normalize("NFKC", raw))  # the world's most frequent way to dial a plus
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    sound = phonenumbers.is_possible_number(number)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) if sound else None


# -- names and places -----------------------------------------------------------------------------------------------------


def lower_name(column: ir.StringValue) -> ir.StringValue:
    """Lower case without prefix (Mrs.) and suffix (Jr.); blanks at the ends dropped."""
    return column.lower().re_replace(r"^(mr|mrs|ms|miss|dr|prof)\.? |,? (jr|sr|ii|iii|phd|md)\.?$", "").strip().nullif("")


def letters_name(column: ir.StringValue) -> ir.StringValue:
    """Lower case, letters and blanks only."""
    return lower_name(column).re_replace(r"[^\p{L}\s]", "").strip().nullif("")


def short_zip(column: ir.StringValue) -> ir.StringValue:
    """Lower case without blanks; of a US ZIP+4 the first five digits."""
    text = column.re_replace(r"\s", "").lower()
    return ibis.cases((text.re_search(r"^\d{5}-\d{4}$"), text.substr(0, 5)), else_=text).nullif("")


@dataclass(frozen=True)
class Profile:
    """One platform's normalisation as of a month: heading of the upload file -> (our column, rule, whether hashed)."""

    version: str
    source: str
    columns: dict[str, tuple[str, Rule, bool]]

    def apply(self, table: ir.Table, ready: tuple[str, ...] = ()) -> dict[str, ir.StringValue]:
        """Columns of the upload file; what the company does not know is left out. ready: our columns that are hashes already."""
        made = {}
        for heading, (column, rule, is_hashed) in self.columns.items():
            if column in table.columns:
                value = table[column].lower() if column in ready else rule(table[column])
                made[heading] = hashed(value) if is_hashed and column not in ready else value
        return made


def _email_and_phone(email: tuple[str, Rule], phone: tuple[str, Rule] | None) -> dict[str, tuple[str, Rule, bool]]:
    columns = {email[0]: ("email", email[1], True)}
    return columns | ({phone[0]: ("phone", phone[1], True)} if phone else {})


def plain_zip(column: ir.StringValue) -> ir.StringValue:
    """A postal code as it is, letters, digits, blanks and hyphens only: it goes unhashed."""
    return ibis.cases((column.re_search(r"^[0-9A-Za-z][0-9A-Za-z -]{1,11}$"), column))


def country_code(column: ir.StringValue) -> ir.StringValue:
    """Two capital letters; missing for anything else."""
    return ibis.cases((column.upper().re_search("^[A-Z]{2}$"), column.upper()))


PROFILES = {
    p.version: p
    for p in (
        Profile(
            "google@2026-04",
            "developers.google.com/data-manager: formatting of user data",
            _email_and_phone(("Email", gmail_email), ("Phone", plus_phone))
            | {
                "First Name": ("given_name", lower_name, True),
                "Last Name": ("family_name", lower_name, True),
                "Country": ("country", country_code, False),
                "Zip": ("postcode", plain_zip, False),
            },
        ),
        Profile(
            "meta@2025-08",
            "Meta Business Help: formatting of customer lists",
            _email_and_phone(("email", bare_email), ("phone", digits_phone))
            | {
                "fn": ("given_name", letters_name, True),
                "ln": ("family_name", letters_name, True),
                "zip": ("postcode", short_zip, True),
                "country": ("country", lambda c: country_code(c).lower(), True),
            },
        ),
        Profile(
            "tiktok@2025-08",
            "TikTok Ads help: supported ids and formats of a customer file",
            _email_and_phone(("Email_SHA256", unsuffixed_email), ("Phone_SHA256", digits_phone)),
        ),
        Profile(
            "tiktok@2025-06",
            "the same page two months earlier: phones with their plus",
            _email_and_phone(("Email_SHA256", unsuffixed_email), ("Phone_SHA256", plus_phone)),
        ),
        Profile(
            "linkedin@2025-08",
            "learn.microsoft.com/linkedin: matched audiences",
            _email_and_phone(("email", bare_email), None),
        ),
    )
}
