"""Print how long events take to ingest, beside the time DuckDB needs to copy the same files to Parquet with explicit types."""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb

from workbench.core import engine
from workbench.core.config import Config
from workbench.ingest import events as happenings
from workbench.ingest import identity, quality, quarantine, records, settle, sources

TYPES = {
    "line_id": "BIGINT", "customer": "VARCHAR", "ordered_at": "TIMESTAMP", "order_no": "VARCHAR", "item": "VARCHAR",
    "category": "VARCHAR", "quantity": "INTEGER", "amount": "DECIMAL(18,4)", "discount": "DECIMAL(18,4)", "campaign": "VARCHAR",
}  # fmt: skip
ROWS = """
    SELECT i AS line_id, 'c' || (hash(i // 7) % {customers}) AS customer,
        strftime(TIMESTAMP '2023-01-01' + INTERVAL 1 MINUTE * (hash(i // 7) % 1000000), '%Y-%m-%d %H:%M:%S') AS ordered_at,
        'o' || (i // 7) AS order_no, 'item ' || (hash(i) % 20000) AS item, 'category ' || (hash(i) % 40) AS category,
        1 + hash(i) % 3 AS quantity, (hash(i) % 10000) / 100 AS amount, (hash(i + 1) % 300) / 100 AS discount,
        CASE WHEN hash(i) % 10 = 0 THEN 'spring' ELSE '' END AS campaign
    FROM range({rows}) t(i)
"""


def write_files(folder: Path, rows: int, files: int) -> None:
    """Write order lines as CSV files of equal size."""
    con = duckdb.connect()
    for number in range(files):
        first, last = rows * number // files, rows * (number + 1) // files
        query = ROWS.format(rows=rows, customers=max(rows // 100, 10))
        con.execute(
            f"COPY (FROM ({query}) WHERE line_id >= {first} AND line_id < {last}) TO '{folder}/orders_{number:02d}.csv' (HEADER)"
        )


def copy_with_types(folder: Path) -> tuple[float, float]:
    """Seconds on the clock and of the processors that DuckDB needs to copy the same files to Parquet with explicit types."""
    con = duckdb.connect(config={"threads": 2, "memory_limit": "2GB", "temp_directory": str(folder / "spill")})
    columns = "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in TYPES.items()) + "}"
    started, used = time.perf_counter(), cpu()
    con.execute(
        f"COPY (FROM read_csv('{folder}/orders_*.csv', header=true, auto_detect=false, columns={columns})) TO '{folder}/typed.parquet'"
    )
    return time.perf_counter() - started, cpu() - used


def cpu() -> float:
    """Seconds of processor time so far: what the machine's other work does not stretch."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def configuration(folder: Path) -> Config:
    """One source of order lines, read without anything remembered."""
    plain = {
        "as_of": "2024-06-01",
        "data_until": "2025-12-31",
        "company": {"timezone": "UTC"},
        "identity": {"probabilistic": "false"},
        "ingest": {"store": str(folder / "store")},
        "sources": {
            "orders": {
                "kind": "pos", "path": f"{folder}/orders_*.csv", "record_id": "customer", "identity": {"customer_number": "customer"},
                "events": [
                    {"type": "order", "at": "ordered_at", "order_id": "order_no", "item": "item", "category": "category",
                     "quantity": "quantity", "amount": "amount", "discount": "discount", "campaign_id": "campaign"},
                ],
            }
        },
    }  # fmt: skip
    return Config.model_validate(plain)


def ingest(config: Config, folder: Path, rows: int) -> dict[str, float]:
    """Processor seconds of notebook 01's steps for the events: read, settle, convert, check, link, tie to customers and write."""
    import pandas as pd

    seconds, started = {}, cpu()

    def lap(step: str) -> None:
        nonlocal started
        seconds[step], started = cpu() - started, cpu()

    con = engine.connect(config.engine, folder / "spill")
    opened = sources.read_sources(con, config)
    lap("read")
    settled = settle.settle_records(opened, config)
    lap("settle")
    events = happenings.read_events(con, settled.sources, config)
    lap("convert")
    aside = quarantine.set_aside(settled.sources, events, settled.aside)
    quality.check_rejects(opened, aside, 0.01)
    lap("check")
    everyone, identifiers = records.collect_records(settled.sources, config, bytes(32), events)
    as_of = pd.Timestamp(config.as_of, tz="UTC")
    linked = identity.link_records(everyone, identifiers, config.identity, as_of, {}, bytes(32))
    lap("link")
    tied = happenings.tie_to_customers(con, events, everyone, linked.identities)
    engine.write_parquet(con, tied, folder / "events.parquet")
    lap("write")
    written = engine.count_rows(engine.read_parquet(con, folder / "events.parquet"))
    assert written == rows, f"{written:,} of {rows:,} rows"
    con.disconnect()
    return seconds


def read_again(config: Config, folder: Path) -> float:
    """Processor seconds of reading the same files in a later run."""
    con, started = engine.connect(config.engine, folder / "spill"), cpu()
    sources.read_sources(con, config)
    return cpu() - started


@dataclass(frozen=True)
class Measured:
    """One reading of the files beside a typed copy right before and after it; ratios: by the clock, in processor time."""

    seconds: float
    copies: tuple[float, float]
    ratios: tuple[float, float]
    used: float
    steps: dict[str, float]
    again: float

    def __str__(self) -> str:
        steps = ", ".join(f"{step} {s:.1f}" for step, s in self.steps.items())
        return (
            f"  ingest {self.seconds:.1f} s, typed copy {self.copies[0]:.1f} and {self.copies[1]:.1f} s: ratio {self.ratios[0]:.2f} by the clock, "
            f"{self.ratios[1]:.2f} in processor time ({self.used:.0f} s: {steps}; reading again in a later run {self.again:.1f})"
        )


def measure(folder: Path, rows: int) -> Measured:
    """Ingest the files as a first run does, between two typed copies: the machine may be noisy."""
    shutil.rmtree(folder / "store", ignore_errors=True)
    first = copy_with_types(folder)
    config, started, used = configuration(folder), time.perf_counter(), cpu()
    steps = ingest(config, folder, rows)
    whole, used = time.perf_counter() - started, cpu() - used
    again = read_again(config, folder)
    second = copy_with_types(folder)
    ratios = (2 * whole / (first[0] + second[0]), 2 * used / (first[1] + second[1]))
    return Measured(whole, (first[0], second[0]), ratios, used, steps, again)


def main() -> None:
    """Print the ratios of several readings and their median, from files of our own making."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder, options.rows, 4)
        size = sum(p.stat().st_size for p in folder.glob("*.csv")) / 2**30
        print(f"{options.rows:,} order lines, {size:.2f} GiB of CSV, {options.times} times:")
        for _ in range(options.times):
            found.append(measure(folder, options.rows))
            print(found[-1], flush=True)
    clock, processor = (statistics.median(each) for each in zip(*(one.ratios for one in found), strict=True))
    print(f"  median ratio {clock:.2f} by the clock, {processor:.2f} in processor time")
    print(f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")


if __name__ == "__main__":
    main()
