"""Chance that can be repeated: one random stream per source and period, and draws made from it.

A stream is keyed by seed, source and period, so what is drawn for one month never depends on a later one.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np

YEAR = 2017
MONTH_STARTS = np.arange(f"{YEAR}-01", f"{YEAR + 1}-02", dtype="datetime64[M]").astype("datetime64[s]")
SUMMER_TIME = (np.datetime64("2017-03-12T02:00:00"), np.datetime64("2017-11-05T02:00:00"))


def stream(seed: int, source: str, period: int = 0) -> np.random.Generator:
    """Open the random stream of one source and period (month, week, or 0 for what never changes)."""
    return np.random.default_rng(np.random.SeedSequence([seed, crc32(source.encode()), period]))


def hashed(seed: int, label: str, *keys: np.ndarray) -> np.ndarray:
    """Mix integer keys into 64 well-spread bits each (the splitmix64 finaliser), without any stream order."""
    start = ((seed << 32) ^ crc32(label.encode())) % 2**64
    mixed = np.full(len(keys[0]), start, dtype=np.uint64)
    for key in keys:
        mixed = mixed + np.uint64(0x9E3779B97F4A7C15) + np.asarray(key).astype(np.uint64)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed = mixed ^ (mixed >> np.uint64(31))
    return mixed


def hashed_share(seed: int, label: str, *keys: np.ndarray) -> np.ndarray:
    """Turn integer keys into numbers spread evenly over 0–1, the same number for the same key."""
    return (hashed(seed, label, *keys) >> np.uint64(11)) * 2.0**-53


def hex_codes(bits: np.ndarray) -> np.ndarray:
    """Write 64-bit integers as 16 hexadecimal characters."""
    return np.array([f"{number:016x}" for number in bits.tolist()], dtype=object)


def moments_in_month(rng: np.random.Generator, month: int, count: int) -> np.ndarray:
    """Draw `count` local times in month 0–11: any day, more often in the afternoon and the evening."""
    start, end = MONTH_STARTS[month], MONTH_STARTS[month + 1]
    days = rng.integers(0, int((end - start) / np.timedelta64(1, "D")), count)
    seconds = (rng.beta(3.0, 2.0, count) * 86_399).astype(np.int64)
    return start + (days * 86_400 + seconds).astype("timedelta64[s]")


def pick_by_row(rng: np.random.Generator, chances: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Draw one column index for each entry of `rows`, with the chances standing in that row (each row sums to 1)."""
    ceilings = np.cumsum(chances, axis=1)[rows]
    return (rng.random(len(rows))[:, None] > ceilings).sum(axis=1).clip(max=chances.shape[1] - 1)


def pick_word(draws: np.ndarray, words: dict[str, tuple[str, ...]], topics: np.ndarray) -> np.ndarray:
    """Choose for each topic one of its words, by draws from 0–1."""
    return np.array([words[t][int(u * len(words[t]))] for t, u in zip(topics, draws, strict=True)], dtype=object)


def local_to_utc(moments: np.ndarray) -> np.ndarray:
    """Shift local times of New York in 2017 to UTC (four hours in summer, five in winter)."""
    summer = (moments >= SUMMER_TIME[0]) & (moments < SUMMER_TIME[1])
    return moments + np.where(summer, 4, 5).astype("timedelta64[h]")


def iso_utc(moments: np.ndarray) -> np.ndarray:
    """Write UTC times as ISO 8601 text with seconds and Z."""
    return np.datetime_as_string(moments.astype("datetime64[s]"), timezone="UTC")


def iso_local(moments: np.ndarray) -> np.ndarray:
    """Write local times as ISO 8601 text with seconds and no zone."""
    return np.datetime_as_string(moments.astype("datetime64[s]"))
