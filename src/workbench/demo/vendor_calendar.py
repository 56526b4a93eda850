"""The vendor's time: 21 months from July 2023, working days, and clock times of Berlin."""

from __future__ import annotations

import numpy as np

MONTH_STARTS = np.arange("2023-07", "2025-05", dtype="datetime64[M]").astype("datetime64[s]")
MONTHS = len(MONTH_STARTS) - 1
START, EXPORTED_AT = MONTH_STARTS[0], MONTH_STARTS[-1]
DAY = np.timedelta64(1, "D")
SUMMERS = (  # Berlin is two hours before UTC between these local times, else one
    ("2023-03-26T03:00:00", "2023-10-29T03:00:00"),
    ("2024-03-31T03:00:00", "2024-10-27T03:00:00"),
    ("2025-03-30T03:00:00", "2025-10-26T03:00:00"),
)


def calendar_month(month: int) -> int:
    """Month of the simulation, 0 or more -> month of the year, 0 = January."""
    return int(MONTH_STARTS[month].astype("datetime64[M]").astype(int) % 12)


def days_in(month: int) -> int:
    """Count the days of a month of the simulation."""
    return int((MONTH_STARTS[month + 1] - MONTH_STARTS[month]) / DAY)


def office_moments(rng: np.random.Generator, month: int, count: int, weekend: np.ndarray | float = 0.03) -> np.ndarray:
    """Draw `count` local times in a month: working days and hours, but for the share `weekend` on any day up to midnight."""
    days = MONTH_STARTS[month].astype("datetime64[D]") + np.arange(days_in(month))
    working = days[np.is_busday(days)]
    draws = rng.random((3, count))
    free = draws[0] < weekend
    day = np.where(free, days[(draws[1] * len(days)).astype(int)], working[(draws[1] * len(working)).astype(int)])
    clock = rng.beta(2.2, 2.4, count)
    seconds = np.where(free, 28_800 + clock * 54_000, 27_000 + clock * 39_600).astype(np.int64)
    return day.astype("datetime64[s]") + seconds.astype("timedelta64[s]")


def working_mornings(rng: np.random.Generator, month: int, count: int) -> np.ndarray:
    """Draw the local times of the month's billing run: its first working day, between five and half past six."""
    first = np.busday_offset(MONTH_STARTS[month].astype("datetime64[D]"), 0, roll="forward")
    return first.astype("datetime64[s]") + rng.integers(18_000, 23_400, count).astype("timedelta64[s]")


def berlin_to_utc(moments: np.ndarray) -> np.ndarray:
    """Shift local times of Berlin, 2023 to 2025, to UTC."""
    summer = np.zeros(len(moments), bool)
    for start, end in SUMMERS:
        summer |= (moments >= np.datetime64(start)) & (moments < np.datetime64(end))
    return moments - np.where(summer, 2, 1).astype("timedelta64[h]")


def german_dates(moments: np.ndarray) -> np.ndarray:
    """Write days as 31.12.2024; missing days as ''."""
    texts = np.datetime_as_string(np.asarray(moments).astype("datetime64[D]"))
    return np.array(["" if t == "NaT" else f"{t[8:]}.{t[5:7]}.{t[:4]}" for t in texts], dtype=object)
