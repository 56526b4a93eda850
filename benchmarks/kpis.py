"""Print what the KPIs of notebook 05 cost: seconds, processor seconds and peak memory, on invented events of many customers."""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from workbench.core import engine
from workbench.core.config import Engine, KpiSettings
from workbench.kpis import arms, campaigns, customer_sums, design, experiments, growth, metrics, policy
from workbench.kpis.period import Period
from workbench.kpis.targets import Targets

PERIOD, SEGMENTS = Period(date(2024, 7, 1), 92, "America/New_York"), 24
BAR_SECONDS, BAR_GIB = 60, 6
KPI_STEPS = 4  # the first steps are the KPIs that the bar is about; experiments, campaigns and the next test come after
# Ten events per customer in the 200 days before as_of; two thirds are order lines. Sorted by customer, as ingest leaves them.
EVENTS = """
    SELECT 'c_' || lpad(to_hex(hash(i // 10 + 7)), 16, '0') AS customer_id,
        make_timestamptz(1702600000000000 + 60000000 * (hash(i // 2) % 288000)::BIGINT) AS occurred_at, 'pos' AS source, 'store' AS channel,
        CASE WHEN kind < 8 THEN 'order' ELSE {kinds}[1 + (hash(i + 5) % 6)::BIGINT] END AS event_type,
        CASE WHEN kind < 8 THEN 'o' || (i // 2) END AS order_id, NULL::VARCHAR AS item,
        CASE WHEN kind < 8 THEN 'CATEGORY ' || (hash(i) % 14) END AS category, NULL::DECIMAL(18,4) AS quantity,
        CASE WHEN kind < 8 THEN (1 + hash(i + 1) % 5000)::BIGINT / 100 END::DECIMAL(18,4) AS amount,
        CASE WHEN kind < 8 THEN (hash(i + 2) % 500)::BIGINT / 100 END::DECIMAL(18,4) AS discount,
        CASE WHEN kind < 8 THEN (hash(i + 3) % 3000)::BIGINT / 100 END::DECIMAL(18,4) AS cost,
        'k' || (hash(i + 6) % 9) AS campaign_id, NULL::VARCHAR AS topic, CASE WHEN kind >= 8 THEN (hash(i + 8) % 11)::DOUBLE END AS score,
        NULL::BOOLEAN AS own_brand, false AS machine, NULL::DOUBLE AS duration_hours
    FROM (SELECT i, (i % 10) * 12 // 10 AS kind FROM range({rows}) t(i))
"""
KINDS = ("campaign_sent", "campaign_sent", "coupon_redeemed", "page_view", "email_open", "survey")
# A fifth of the customers were assigned to an arm 60 days before as_of.
ASSIGNED = """
    SELECT 'c_' || lpad(to_hex(hash(i + 7)), 16, '0') AS customer_id, TIMESTAMPTZ '2024-05-02 05:00:00+00' AS occurred_at, 'test' AS source,
        'mail' AS channel, 'assignment' AS event_type, NULL::VARCHAR AS order_id, NULL::VARCHAR AS item, NULL::VARCHAR AS category,
        NULL::DECIMAL(18,4) AS quantity, NULL::DECIMAL(18,4) AS amount, NULL::DECIMAL(18,4) AS discount, NULL::DECIMAL(18,4) AS cost,
        'spring' AS campaign_id, CASE WHEN hash(i + 9) % 2 = 0 THEN 'control' ELSE 'mail' END AS topic, NULL::DOUBLE AS score,
        NULL::BOOLEAN AS own_brand, false AS machine, NULL::DOUBLE AS duration_hours
    FROM range({customers}) t(i) WHERE i % 5 = 0
"""


def invent(folder: Path, rows: int) -> None:
    """Events and segments of rows / 10 customers."""
    con = duckdb.connect(config={"threads": 2, "memory_limit": "4GB", "temp_directory": str(folder / "spill")})
    con.execute("SET TimeZone='UTC'")
    both = f"({EVENTS.format(kinds=list(KINDS), rows=rows)}) UNION ALL ({ASSIGNED.format(customers=rows // 10)})"
    con.execute(f"COPY (FROM ({both}) ORDER BY customer_id, occurred_at) TO '{folder / 'events.parquet'}'")
    ids = con.execute(f"SELECT DISTINCT customer_id FROM '{folder / 'events.parquet'}' ORDER BY 1").df().customer_id
    place = np.random.default_rng(7).integers(-1, SEGMENTS, len(ids))
    segments = pd.DataFrame({"customer_id": ids, "segment_id": place, "segment_name": [f"segment {p}" for p in place]})
    segments = segments.assign(macro_segment=(place // 6).astype("str"), map_x=place * 1.0, map_y=0.0)
    segments.to_parquet(folder / "segments.parquet")


def timed(rows: list[tuple[str, float, float]], name: str, work: Callable[[], object]) -> object:
    """Run a step, remember its seconds and processor seconds."""
    began, cpu = time.perf_counter(), time.process_time()
    made = work()
    rows.append((name, time.perf_counter() - began, time.process_time() - cpu))
    return made


def measure(folder: Path, settings: KpiSettings) -> list[tuple[str, float, float]]:
    """The steps of notebook 05 in its order."""
    rows: list[tuple[str, float, float]] = []
    con = engine.connect(Engine(), folder / "spill_ours")
    events, segments = engine.read_parquet(con, folder / "events.parquet"), pd.read_parquet(folder / "segments.parquet")
    predictions = pd.DataFrame({"customer_id": segments.customer_id, "future_spend": 20.0 + segments.segment_id})
    sums = timed(rows, "sums per customer", lambda: customer_sums.build_customer_sums(events, segments.customer_id, PERIOD))
    sums = customer_sums.with_expected_spend(sums, predictions)
    spend = timed(rows, "advertising cost", lambda: customer_sums.sum_ad_spend(events, PERIOD))
    kpis = timed(
        rows, "KPIs with intervals", lambda: metrics.estimate_kpis(sums, segments, Targets(), settings, PERIOD.days, spend)
    )
    assert kpis.value.notna().any()
    timed(rows, "what growth is made of", lambda: growth.split_growth(sums, segments))
    answers = timed(rows, "campaigns: who answered", lambda: campaigns.read_answers(events, PERIOD))
    timed(rows, "campaigns: responses", lambda: campaigns.estimate_responses(answers, segments, settings))
    assigned = timed(rows, "experiments: arms", lambda: arms.read_assignments(events, settings.experiment_days, PERIOD.end))
    checks = timed(rows, "experiments: sample ratio", lambda: experiments.check_experiments(assigned, segments, settings))
    # As if the segments had been found before the assignment, so that everything is computed.
    before = assigned.assigned_at.min()
    timed(rows, "experiments: effects", lambda: experiments.estimate_experiments(assigned, checks, segments, settings, before))
    timed(rows, "experiments: policies", lambda: policy.estimate_policies(assigned, checks, segments, settings, before))
    history = timed(rows, "next test: history", lambda: design.read_history(events, segments.customer_id, PERIOD))
    timed(rows, "next test: design", lambda: design.design_experiment(history, segments, settings))
    return rows


def main() -> None:
    """Invent in a process of its own, so that its memory does not count; compute, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if (child := os.fork()) == 0:
            invent(folder, options.rows)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        rows = measure(folder, KpiSettings())
    print(f"{options.rows:,} events, {options.rows // 10:,} customers, {SEGMENTS + 1} segments\n\n| step | seconds | processor seconds |\n|---|---|---|")  # fmt: skip
    print("\n".join(f"| {name} | {wall:.1f} | {cpu:.1f} |" for name, wall, cpu in rows))
    for name, some in (("KPIs", rows[:KPI_STEPS]), ("all of notebook 05", rows)):
        print(f"| {name} | {sum(row[1] for row in some):.1f} | {sum(row[2] for row in some):.1f} |")
    wall, peak = sum(row[1] for row in rows[:KPI_STEPS]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\npeak memory {peak:.2f} GiB (engine limit 4 GB)")
    missed = [word for word, high in ((f"{BAR_SECONDS} seconds", wall > BAR_SECONDS), (f"{BAR_GIB} GiB", peak > BAR_GIB)) if high]
    print(f"bar: KPIs in {BAR_SECONDS} seconds and {BAR_GIB} GiB: {'missed: ' + ' and '.join(missed) if missed else 'kept'}")


if __name__ == "__main__":
    main()
