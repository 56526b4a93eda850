"""A stretch of time that ends at an as-of day, and the events in it. Everything that looks at time goes through here."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from dataclasses import dataclass, replace

import ibis.expr.types as ir

from workbench.core.engine import local_time

HALVES = ("odd", "even")


@dataclass(frozen=True)
class Window:
    """The `days` before `as_of` (first day included, as_of excluded), in an IANA zone; optionally only its odd or even weeks."""

    as_of: dt.date
    days: int
    zone: str
    half: str = ""

    @property
    def start(self) -> dt.datetime:
        """The moment the window begins."""
        return self.since(self.days)

    @property
    def end(self) -> dt.datetime:
        """The moment the window ends: as_of begins."""
        return self._midnight(self.as_of)

    def since(self, days: int) -> dt.datetime:
        """The moment at which the last `days` days before as_of begin."""
        return self._midnight(self.as_of - dt.timedelta(days=days))

    def earlier(self, days: int) -> Window:
        """The same window `days` days earlier."""
        return replace(self, as_of=self.as_of - dt.timedelta(days=days))

    def events(self, events: ir.Table) -> ir.Table:
        """Customers' events in the window, with `local` (naive time in the zone) and `days_ago` (1 = the day before as_of)."""
        chosen = events.filter(events.customer_id.notnull(), events.occurred_at >= self.start, events.occurred_at < self.end)
        if "local" not in chosen.columns:
            chosen = chosen.mutate(local=local_time(chosen.occurred_at, self.zone))
        chosen = chosen.mutate(days_ago=days_before(self.as_of, chosen.local))
        if not self.half:
            return chosen
        # Weeks counted back from as_of: both halves then hold one behaviour at one age, in disjoint events.
        return chosen.filter(self.in_half(chosen.days_ago))

    def in_half(self, days_ago: ir.IntegerValue) -> ir.BooleanValue:
        """Whether days (of an expression or a series) belong to the half's weeks."""
        return ((days_ago - 1) // 7) % 2 == HALVES.index(self.half)

    def _midnight(self, day: dt.date) -> dt.datetime:
        return dt.datetime.combine(day, dt.time(), zoneinfo.ZoneInfo(self.zone)).astimezone(dt.UTC)


def days_before(day: dt.date, local: ir.TimestampValue) -> ir.IntegerValue:
    """Whole days from the calendar day of `local` to `day`."""
    import ibis

    return ibis.date(day.year, day.month, day.day).delta(local.date(), unit="day").cast("int64")
