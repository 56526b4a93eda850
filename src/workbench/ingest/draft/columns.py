"""What the values of one column look like: shares of e-mails, phones, times, numbers, codes, words. No value leaves this module."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

DISTINCT = 1200  # so many different values are looked at
CURRENCIES = frozenset(
    [
        "USD",
        "EUR",
        "GBP",
        "CHF",
        "JPY",
        "CNY",
        "INR",
        "AUD",
        "CAD",
        "NZD",
        "SEK",
        "NOK",
        "DKK",
        "PLN",
        "CZK",
        "HUF",
        "RON",
        "BGN",
        "TRY",
        "BRL",
        "MXN",
        "ZAR",
        "SGD",
        "HKD",
        "KRW",
        "ILS",
        "AED",
        "SAR",
        "THB",
    ]
)
SYMBOLS = {"€": "EUR", "$": "USD", "£": "GBP", "¥": "JPY", "₹": "INR", "zł": "PLN"}
NO_VALUE = frozenset(
    {
        "n/a",
        "#n/a",
        "na",
        "null",
        "none",
        "nan",
        "nil",
        "-",
        "--",
        "?",
        "k.a.",
        "k. a.",
        "keine angabe",
        "unknown",
        "unbekannt",
        "missing",
        "leer",
    }
)
YES = frozenset(
    [
        "yes",
        "y",
        "true",
        "1",
        "t",
        "on",
        "ja",
        "j",
        "oui",
        "si",
        "sí",
        "sim",
        "ano",
        "tak",
        "granted",
        "opt-in",
        "subscribed",
        "active",
        "aktiv",
    ]
)
NO = frozenset(
    [
        "no",
        "n",
        "false",
        "0",
        "f",
        "off",
        "nein",
        "non",
        "não",
        "ne",
        "nie",
        "denied",
        "opt-out",
        "unsubscribed",
        "inactive",
        "inaktiv",
    ]
)
EARLIEST, LATEST = dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1)
NUMBER_DOT = re.compile(r"[+-]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?([eE][+-]?\d+)?")
NUMBER_COMMA = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?")
MONEY_SIGN = re.compile(r"^\s*([+-]?)\s*(?:[€$£¥₹]|zł|[A-Z]{3}\b)?\s*([+-]?[\d.,]*\d)\s*(?:[€$£¥₹]|zł|\b[A-Z]{3})?\s*$")
KINDS: dict[str, Callable[[str], object]] = {
    "e-mail addresses": re.compile(r"[^@\s,;]+@[^@\s,;]+\.[^@\s,;.]{2,}").fullmatch,
    "phone numbers": lambda v: re.fullmatch(r"\+?[\d\s()./x-]{7,24}", v) and 7 <= sum(map(str.isdigit, v)) <= 17 and not re.fullmatch(r"\d+\.\d+", v),
    "formatted phone numbers": lambda v: re.fullmatch(r"(\+[1-9]|\(\d|0\d{2,5}[ /-]|\d{3}[ -]\d{3}[ -])[\d\s()./x-]{6,21}", v) and 7 <= sum(map(str.isdigit, v)) <= 17,
    "domains": re.compile(r"(https?://)?(www\.)?[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}/?", re.IGNORECASE).fullmatch,
    "paths": re.compile(r"(https?:/)?/\S*").fullmatch,
    "whole numbers": re.compile(r"[+-]?\d+").fullmatch,
    "codes": lambda v: re.fullmatch(r"[\w#./:|{}+-]{1,64}", v) and not re.fullmatch(r"[^\W\d_]+", v),
    "single words": re.compile(r"[\w./&+-]+").fullmatch,
    "names": lambda v: re.fullmatch(r"[^\W\d_]([^\W\d_]|[ .'’´`-])*", v) and len(v) < 60,
    "several words": lambda v: " " in v,
    "long texts": lambda v: v.count(" ") >= 4 and len(v) > 30,
    "currency codes": CURRENCIES.__contains__,
    "yes or no": lambda v: v.lower() in YES or v.lower() in NO,
    "streets": lambda v: re.search(r"[^\W\d_]{3}", v) and re.search(r"\d", v) and " " in v,
}  # fmt: skip


@dataclass(frozen=True)
class Time:
    """How a column writes its times: the pattern, the share that fits, a second pattern that fits as well, what zones were seen."""

    pattern: str
    share: float
    rival: str = ""
    offsets: frozenset[str] = frozenset()
    is_naive: bool = True
    has_clock: bool = False
    earliest: dt.datetime = EARLIEST
    is_weak: bool = False  # numbers that may just as well be something else


@dataclass(frozen=True)
class Column:
    """One column: its name folded to words, and what its values are made of. counts: value -> how often, of the sample."""

    name: str
    words: str
    filled: float
    rows: int
    distinct: int
    counts: Counter = field(repr=False)
    shares: dict[str, float]
    time: Time | None
    dot: float  # share of numbers with a decimal point, if it is one
    comma: float
    has_cents: bool
    symbols: Counter = field(repr=False, default_factory=Counter)
    empty_words: tuple[str, ...] = ()

    @property
    def number(self) -> float:
        """The share of numbers, whatever the decimal mark."""
        return max(self.dot, self.comma)

    @property
    def distinct_share(self) -> float:
        """Different values over filled ones."""
        return self.distinct / max(sum(self.counts.values()), 1)

    @property
    def is_unique(self) -> bool:
        """Whether no value of the sample stands twice."""
        return self.distinct > 1 and self.distinct_share > 0.999

    def is_mostly(self, kind: str, least: float = 0.85) -> bool:
        """Whether so many of the different values are of a kind."""
        return self.shares.get(kind, 0.0) >= least

    def says(self, pattern: str) -> bool:
        """Whether the name's words hold a regular expression."""
        return re.search(pattern, self.words) is not None


def fold(name: str) -> str:
    """'Bestell-Nr.', 'orderNo', 'Order #' -> 'bestell nr', 'order no', 'order nr': words to search names in."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name).lower()
    for letter, plain in {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "é": "e", "#": " nr ", "№": " nr "}.items():
        text = text.replace(letter, plain)
    return " ".join(re.sub(r"[^a-z0-9]+", " ", text).split())


def look_at(name: str, values: Iterable[str | None], is_time: bool = False) -> Column:
    """A column of a sample -> Column; is_time: the file itself stores times."""
    every = list(values)
    counts = Counter(v for v in every if v)
    empty = tuple(v for v in counts if v.lower() in NO_VALUE)
    seen = [v for v, _ in counts.most_common(DISTINCT) if v not in empty] or list(counts)[:DISTINCT]
    share = {kind: _share(test, seen) for kind, test in KINDS.items()}
    plain, symbols = [], Counter()
    for value in seen:
        money = MONEY_SIGN.match(value)
        plain.append("".join(money.groups()) if money else value)
        symbols.update({code: counts[value] for sign, code in SYMBOLS.items() if sign in value and money})
    dot, comma = _share(NUMBER_DOT.fullmatch, plain), _share(NUMBER_COMMA.fullmatch, plain)
    cents = _share(re.compile(r".*\d[.,]\d{1,2}").fullmatch, plain)
    words = fold(name)
    time = Time("iso", 1.0, is_naive=not any(re.search(r"[+-]\d\d:\d\d$", v) for v in seen), offsets=_offsets(seen),
                has_clock=any(":" in v for v in seen), earliest=_earliest(seen)) if is_time and seen else _time(seen, words)  # fmt: skip
    return Column(
        name, words, len(every) and sum(counts.values()) / len(every), len(every), len(counts), counts, share, time, dot, comma,
        cents > 0.3, symbols, empty if max(dot, comma, time.share if time else 0) > 0.8 and len(empty) < len(counts) else (),
    )  # fmt: skip


def _share(test: Callable[[str], object], values: list[str]) -> float:
    return sum(bool(test(v)) for v in values) / len(values) if values else 0.0


def decimal_mark(columns: Iterable[Column]) -> tuple[str, bool]:
    """Columns of numbers -> (their decimal mark, whether any value decides it)."""
    dots = sum(c.dot * c.distinct for c in columns if c.has_cents and c.dot > c.comma)
    commas = sum(c.comma * c.distinct for c in columns if c.has_cents and c.comma > c.dot)
    return ("," if commas > dots else "."), dots != commas


# -- times -------------------------------------------------------------------------------------------------------------

ISO = re.compile(r"(\d{4}-\d\d-\d\d)([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?)?\s?(Z|z|UTC|[+-]\d\d(:?\d\d)?)?")
PARTS = re.compile(r"(\d{1,4})([./-])(\d{1,2})\2(\d{2,4})(T|,? )?(\d{1,2}:\d\d(:\d\d)?)?( ?[AaPp][Mm])?")
MONTHS = (
    (re.compile(r"\d{1,2}([ -])[A-Za-z]{3}\1\d{4}"), "%d{}%b{}%Y"), (re.compile(r"\d{1,2}([ -])[A-Za-z]{3}\1\d{2}"), "%d{}%b{}%y"),
    (re.compile(r"\d{1,2}([ ])[A-Za-z]{4,9}\1\d{4}"), "%d{}%B{}%Y"), (re.compile(r"[A-Za-z]{3} \d{1,2}, \d{4}"), "%b %d, %Y"),
    (re.compile(r"[A-Za-z]{4,9} \d{1,2}, \d{4}"), "%B %d, %Y"),
)  # fmt: skip
TIME_WORDS = (
    r"\b(ts|time\w*|date\w*|day|at|on|when|moment|epoch|tag|am|seit)\b|datum|zeit|tag$|date$|time$|stamp|created|occurred"
)


def _time(values: list[str], words: str) -> Time | None:
    """Values -> how they write times, or None where fewer than four in five are any."""
    if not values:
        return None
    found = [t for t in (_iso(values), _parts(values), _month_names(values), _compact(values, words), _epoch(values, words)) if t]
    best = max(found, key=lambda t: t.share, default=None)
    return best if best and best.share >= 0.8 else None


def _iso(values: list[str]) -> Time | None:
    matches = [m for v in values if (m := ISO.fullmatch(v)) and reads(m[1], "%Y-%m-%d")]
    zones = frozenset(_offset(m[5]) for m in matches if m[5])
    clock = any(m[2] for m in matches)
    earliest = min((dt.datetime.fromisoformat(m[1]) for m in matches), default=EARLIEST)
    return Time("iso", len(matches) / len(values), "", zones, sum(bool(m[5]) for m in matches) < len(matches), clock, earliest)


def _offset(text: str) -> str:
    return "Z" if text.upper() in ("Z", "UTC") else f"{text[:3]}:{text[-2:] if len(text) > 3 else '00'}"


def _offsets(values: list[str]) -> frozenset[str]:
    return frozenset(_offset(m[5]) for v in values if (m := ISO.fullmatch(v)) and m[5])


def _earliest(values: list[str]) -> dt.datetime:
    return min(
        (dt.datetime.fromisoformat(m[1]) for v in values if (m := ISO.fullmatch(v)) and reads(m[1], "%Y-%m-%d")), default=EARLIEST
    )


def _parts(values: list[str]) -> Time | None:
    """3.4.2024, 03/04/24 5:06 PM, 2024/4/3 …: every order of the parts is tried on all values."""
    first = next((m for v in values if (m := PARTS.fullmatch(v))), None)
    if not first:
        return None
    sep, year = first[2], "%y" if len(first[4]) == 2 else "%Y"
    fronts = [f"%Y{sep}%m{sep}%d"] if len(first[1]) == 4 else [f"%d{sep}%m{sep}{year}", f"%m{sep}%d{sep}{year}"]
    clock = ("%I" if first[8] else "%H") + ":%M" + (":%S" if first[7] else "") if first[6] else ""
    half = (" %p" if first[8].startswith(" ") else "%p") if first[8] else ""
    tail = f"{first[5] or ''}{clock}{half}" if clock else ""
    shares = {f + tail: sum(reads(v, f + tail) is not None for v in values) / len(values) for f in fronts}
    best = max(shares, key=lambda p: shares[p])
    rivals = [p for p in shares if p != best and shares[p] >= shares[best]]
    return Time(best, shares[best], rivals[0] if rivals else "", has_clock=bool(clock), earliest=_first_day(values, best))


def _month_names(values: list[str]) -> Time | None:
    for shape, pattern in MONTHS:
        if match := next((m for v in values if (m := shape.fullmatch(v))), None):
            full = pattern.format(match[1], match[1]) if shape.groups else pattern
            return Time(full, sum(reads(v, full) is not None for v in values) / len(values), earliest=_first_day(values, full))
    return None


def _compact(values: list[str], words: str) -> Time | None:
    """20240403 and 20240403170000: only in a range that customers live in, or under a name that says it."""
    for shape, pattern in ((r"\d{8}", "%Y%m%d"), (r"\d{14}", "%Y%m%d%H%M%S")):
        fitting = [v for v in values if re.fullmatch(shape, v) and (day := reads(v, pattern)) and 1900 < day.year < 2050]
        if len(fitting) >= 0.8 * len(values) and (len(fitting) > 3 or re.search(TIME_WORDS, words)):
            return Time(pattern, len(fitting) / len(values), has_clock="%H" in pattern, earliest=_first_day(fitting, pattern))
    return None


def _epoch(values: list[str], words: str) -> Time | None:
    named = bool(re.search(TIME_WORDS, words))
    for digits, unit, pattern in ((10, 1, "epoch_s"), (13, 1e3, "epoch_ms"), (16, 1e6, "epoch_us")):
        fitting = [int(v) for v in values if re.fullmatch(rf"\d{{{digits}}}", v) and 946_684_800 < int(v) / unit < 2_208_988_800]
        if len(fitting) >= 0.8 * len(values) and (named or digits > 10):
            first = dt.datetime.fromtimestamp(min(fitting) / unit, dt.UTC).replace(tzinfo=None)
            return Time(pattern, len(fitting) / len(values), "", frozenset("Z"), False, True, first, not named)
    serial = [float(v) for v in values if re.fullmatch(r"\d{5}(\.\d+)?", v) and 29_221 < float(v) < 55_153]
    if len(serial) >= 0.95 * len(values) and re.search(r"date|datum|time|zeit|tag\b|day", words):
        first = dt.datetime(1899, 12, 30) + dt.timedelta(days=min(serial))
        return Time("excel_serial", len(serial) / len(values), has_clock=any(v % 1 for v in serial), earliest=first)
    return None


def reads(text: str, pattern: str) -> dt.datetime | None:
    """Text by a strptime pattern, None where it does not fit or is no time that customers live in."""
    try:
        found = dt.datetime.strptime(text, pattern)
    except ValueError:
        return None
    return found if EARLIEST <= found < LATEST else None


def _first_day(values: list[str], pattern: str) -> dt.datetime:
    return min((day for v in values if (day := reads(v, pattern))), default=EARLIEST)


def likelier(values: Iterable[str | None], patterns: tuple[str, str]) -> tuple[str, bool]:
    """Two readings of all values -> (the one under which rows stand in the order of time more often, whether that is clear)."""
    steps = {}
    for pattern in patterns:
        days = [day for v in values if v and (day := reads(v, pattern))]
        ahead = sum(b > a for a, b in zip(days, days[1:], strict=False))
        back = sum(b < a for a, b in zip(days, days[1:], strict=False))
        steps[pattern] = ahead / max(ahead + back, 1)
    best = max(patterns, key=lambda p: steps[p])
    return best, steps[best] > 0.95 and steps[best] - min(steps.values()) > 0.2
