"""What a cell of a source means: a moment, an amount in the company's currency – or the reason why it is none."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import ibis
import ibis.expr.datatypes as types
import ibis.expr.types as ir

from workbench.core import engine
from workbench.core.config import Company, Config, Events, Source
from workbench.core.errors import InputError, ParameterError, did_you_mean

if TYPE_CHECKING:
    from workbench.ingest.sources import SourceTable

NO_RECORD = "no record number"
NO_TIME = "no time"
NOT_A_TIME = "not a time in the declared format"
NAIVE = "time without a time zone"
PLACEHOLDER = "placeholder date"
AFTER = "after data_until"
NOT_A_NUMBER = "not a number"
TWO_CURRENCIES = "another currency than its column says"
UNRATED = "currency without a rate"
OUTSIDE = "outside score_range"
ENDS_EARLY = "ends before it begins"
REPEAT = "repeat of an event"  # set apart, yet no fault

BEFORE_AFTER = (NO_RECORD, NOT_A_TIME, NAIVE, NO_TIME, PLACEHOLDER)  # reasons that say more than that a time lies ahead

DOLLARS = ("USD", "CAD", "AUD", "NZD", "SGD", "HKD", "TWD", "MXN", "BRL", "ARS", "CLP", "COP")
YENS = ("JPY", "CNY")
SYMBOLS = {"€": ("EUR",), "£": ("GBP",), "$": DOLLARS, "¥": YENS}
PATTERN = re.compile(r"(?:[^%]|%-?[dHIjmMSy]|%[aAbBcfgGnpuUVwWxXYzZ%])*", re.DOTALL)  # what the engine's strptime takes
LAST_DAY = dt.date(9999, 12, 30)
RATE = types.Decimal(18, 8)


def filled(column: ir.Column) -> ir.BooleanValue:
    """Whether a cell holds more than blanks."""
    return engine.trimmed(column) != "" if column.type().is_string() else column.notnull()


def matches(column: ir.Column, words: Collection[str]) -> ir.BooleanValue:
    """Whether a cell, `trimmed`, is one of the words that a declaration names; without words: whether it is filled."""
    return (column.cast("string").isin(list(words)) if words else filled(column)).fill_null(False)


def without_missing(table: ir.Table, source: Source) -> ir.Table:
    """Cells that are nothing but a declared word for "no value" become missing; no other word does."""
    if not source.missing:
        return table
    texts = [c for c in table.columns if not c.startswith(engine.OURS) and table[c].type().is_string()]
    words = [word.strip() for word in source.missing]
    return table.mutate(**{c: ibis.cases((table[c].strip().isin(words), ibis.null("string")), else_=table[c]) for c in texts})


def zone_of(declared: str, config: Config) -> str:
    """The zone of naive times: the declaration's, else the company's, else none."""
    try:
        return zoneinfo.ZoneInfo(declared).key if declared else config.company.timezone
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ParameterError(
            f'zone "{declared}" of an events declaration is no time zone.{did_you_mean(declared, zoneinfo.available_timezones())}',
            "Times would be up to a day off, so nothing was ingested.",
            "write an IANA name:\n  sources: {NAME: {events: [{zone: Europe/Berlin}]}}",
        ) from None


def check_pattern(setting: str, pattern: str) -> None:
    """Raise ParameterError for a strptime pattern with a part that the engine does not know."""
    if not PATTERN.fullmatch(pattern):
        raise ParameterError(
            f'{setting}: "{pattern}" has a part that no time is written with.',
            "No time could be read.",
            f"write it with %Y %m %d %H %M %S, for example {setting}: '%d.%m.%Y %H:%M'",
        )


def is_naive(column: ir.Column, pattern: str) -> bool:
    """Whether no value of the column can say its own time zone."""
    kind = column.type()
    if pattern.startswith("epoch_"):
        return False
    if kind.is_temporal():
        return getattr(kind, "timezone", None) is None
    return pattern in engine.NAIVE_FORMATS or (pattern != "iso" and "%z" not in pattern)


def naive_times(source: str, column: str, found: str) -> InputError:
    """The refusal of times that no zone was declared for; found: how many, and where the first are."""
    return InputError(
        f'source "{source}": column "{column}" has times without a time zone ({found}).',
        "They would be up to a day off, so nothing was ingested.",
        "set company.timezone (an IANA name):\n  company: {timezone: Europe/Berlin}",
    )


def placeholder(moment: ir.TimestampValue, zone: str) -> ir.BooleanValue:
    """Moments that forms and systems fill in for "unknown": 1900-01-01 and earlier, midnight of 1970-01-01, 9999-12-31."""
    midnights = {dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.datetime(1970, 1, 1, tzinfo=zoneinfo.ZoneInfo(zone or "UTC"))}
    return (
        (moment < _literal(dt.datetime(1900, 1, 2, 12, tzinfo=dt.UTC)))
        | moment.isin([_literal(m) for m in midnights])
        | (moment >= _literal(dt.datetime(9999, 12, 30, 10, tzinfo=dt.UTC)))
    )


def created_moment(opened: SourceTable, zone: str) -> ir.TimestampValue:
    """When a record was made (UTC), missing where the cell is empty or a placeholder."""
    moment = engine.parse_moment(opened.table[opened.source.created_at], opened.source.created_at_format, zone)
    return ibis.cases((~placeholder(moment, zone), moment))


def latest_moment(config: Config) -> dt.datetime:
    """The end of the day on which the exports were made: data_until, else as_of, in the company's zone."""
    return start_of(config, min(config.data_until or config.as_of, LAST_DAY - dt.timedelta(days=1)) + dt.timedelta(days=1))


def start_of(config: Config, day: dt.date) -> dt.datetime:
    """The moment a day begins in the company's zone."""
    day = min(max(day, dt.date(1, 1, 3)), LAST_DAY)  # so that its moment exists in every zone
    return dt.datetime.combine(day, dt.time(), zoneinfo.ZoneInfo(config.company.zone)).astimezone(dt.UTC)


def is_after(moment: ir.TimestampValue, limit: dt.datetime) -> ir.BooleanValue:
    """Whether a moment is at or after a limit."""
    return moment >= _literal(limit)


@dataclass(frozen=True)
class Currency:
    """Which currency the amounts of one declaration are in; column: where each row says its own."""

    own: str
    home: str
    rates: Mapping[str, float]
    column: str | None

    def code(self, table: ir.Table) -> ir.StringValue:
        """The currency that each row says its amounts are in, missing where it says none: `home`."""
        return self.of_mark(table[self.column].cast("string").strip().upper().nullif(""))

    def convert(self, amount: ir.DecimalValue, code: ir.StringValue | None) -> ir.DecimalValue:
        """Amounts in the company's currency, missing where there is no rate."""
        at_home = self._times(amount, self.home) if self._is_rated() else ibis.null(engine.MONEY)
        if code is None:
            return at_home
        others = [(code == c, self._times(amount, c)) for c in (self.own, *self.rates)]
        return ibis.cases((code.isnull(), at_home), *others, else_=ibis.null(engine.MONEY))

    def is_unrated(self, code: ir.StringValue) -> ir.BooleanValue:
        """Whether nothing says what one unit of the currency is worth."""
        unrated = code.notin([self.own, *self.rates])
        return unrated if self._is_rated() else code.isnull() | unrated

    def clashes(self, code: ir.StringValue, mark: ir.StringValue) -> ir.BooleanValue:
        """Whether the amount names another currency than the column."""
        code = code.fill_null(self.home)
        symbols = [(mark == symbol, code.isin(list(codes))) for symbol, codes in SYMBOLS.items()]
        return mark.notnull() & ~ibis.cases(*symbols, else_=mark == code)

    def _is_rated(self) -> bool:
        return self.home in (self.own, *self.rates)

    def of_mark(self, mark: ir.StringValue) -> ir.StringValue:
        """The code of a code or symbol."""
        known = {s: self.home if self.home in codes else codes[0] for s, codes in SYMBOLS.items()}
        return ibis.cases(*[(mark == s, ibis.literal(code)) for s, code in known.items()], else_=mark)

    def _times(self, amount: ir.DecimalValue, code: str) -> ir.DecimalValue:
        if code == self.own:
            return amount.cast(engine.MONEY)
        return (amount.cast(engine.MONEY) * ibis.literal(Decimal(str(self.rates[code]))).cast(RATE)).cast(engine.MONEY)


def currency_of(name: str, source: Source, declared: Events, company: Company) -> Currency:
    """The currency of a declaration's amounts; raises InputError where it is not the company's and has no rate."""
    home = source.currency or company.currency
    if home != company.currency and home not in company.currency_rates and not declared.currency:
        raise unrated(name, f"sources.{name}.currency", [home], company)
    return Currency(company.currency, home, dict(company.currency_rates), declared.currency)


def unrated(source: str, place: str, codes: list[str], company: Company) -> InputError:
    """The refusal of amounts in currencies that no rate was declared for."""
    others = dict.fromkeys(SYMBOLS.get(code, (code,))[0] for code in codes if code not in (company.currency, "another word"))
    others = [code for code in others if code != company.currency and code not in company.currency_rates]
    rates = ", ".join([*(f"{c}: {r:g}" for c, r in company.currency_rates.items()), *(f"{code}: 1.00" for code in others)])
    return InputError(
        f'source "{source}": {place} has amounts in {", ".join(codes)}; the company counts in {company.currency}.',
        "Amounts of different currencies are never added up, so nothing was ingested.",
        f"say what one unit is worth in {company.currency} (the true rate in place of 1.00):\n  company: {{currency_rates: {{{rates}}}}}\n"
        f"  or, if the company counts in another currency, set company.currency; if the export does, sources.{source}.currency",
    )


def _literal(moment: dt.datetime) -> ir.TimestampScalar:
    return ibis.literal(moment.astimezone(dt.UTC), engine.MOMENT)
