"""The period that KPIs look at, and the equal one before it."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from dataclasses import dataclass


@dataclass(frozen=True)
class Period:
    """The `days` before `as_of` (first day included, as_of excluded) in an IANA zone; the period before ends where it starts."""

    as_of: dt.date
    days: int
    zone: str

    @property
    def end(self) -> dt.datetime:
        """The moment as_of begins; nothing from then on is read."""
        return self._midnight(0)

    @property
    def start(self) -> dt.datetime:
        """The moment the period begins and the one before it ends."""
        return self._midnight(self.days)

    @property
    def before_start(self) -> dt.datetime:
        """The moment the period before begins."""
        return self._midnight(2 * self.days)

    @property
    def covered_from(self) -> dt.datetime:
        """The latest first order with which the period before still counts as covered: a tenth of it may be empty."""
        return self._midnight(2 * self.days - self.days // 10)

    def _midnight(self, days_ago: int) -> dt.datetime:
        day = self.as_of - dt.timedelta(days=days_ago)
        return dt.datetime.combine(day, dt.time(), zoneinfo.ZoneInfo(self.zone)).astimezone(dt.UTC)
