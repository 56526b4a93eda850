"""Print how long it takes to export every channel for a million invented customers, and the most memory that it held."""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.core.config import Config
from workbench.core.rundir import Run
from workbench.personas.activation import export_channels
from workbench.personas.audience import CHANNELS, Activation

SEGMENTS = 24
STAGES = ("acquisition", "onboarding", "growth", "retention", "winback")
SENT = """
    SELECT 'c_' || lpad(to_hex(i), 16, '0') AS customer_id, TIMESTAMPTZ '2023-12-20 10:00:00Z' AS occurred_at, 'email' AS source, 'email' AS channel,
        'email_sent' AS event_type, NULL::VARCHAR AS order_id, NULL::VARCHAR AS item, NULL::VARCHAR AS category, NULL::DECIMAL(18,4) AS quantity,
        NULL::DECIMAL(18,4) AS amount, NULL::DECIMAL(18,4) AS discount, NULL::DECIMAL(18,4) AS cost, NULL::VARCHAR AS campaign_id, NULL::BIGINT AS customer_number
    FROM range({count}) t(i), range(3)
"""


def invent(folder: Path, count: int) -> Run:
    """A finished run of `count` customers with addresses, consents, devices, segments, stages and three e-mails each."""
    (folder / "key").write_text("ab" * 32)
    sources = {
        "web": {"kind": "web", "path": "x", "record_id": "c", "consent": {"email": "e", "phone": "p"}},
        "app": {"kind": "mobile_app", "path": "x", "record_id": "c"},
    }
    run = Run.create(folder / "run", Config(as_of="2024-01-01", sources=sources, identity={"key_file": str(folder / "key")}))
    number, rng = np.arange(count), np.random.default_rng(7)
    ids = pd.Series([f"c_{i:016x}" for i in number])
    words = np.array(["yes", "yes", "yes", "no", "unknown"])
    customers = pd.DataFrame({"customer_id": ids, "kind": "b2c", "first_seen_at": pd.Timestamp("2023-01-01", tz="UTC").as_unit("us"), "consent_email": words[rng.integers(0, 5, count)], "consent_phone": words[rng.integers(0, 5, count)]})  # fmt: skip
    persons = pd.DataFrame({"customer_id": ids, "email": [f"person.{i}@example.com" for i in number], "phone": [f"+1{2_000_000_000 + i}" for i in number], "given_name": "Ann", "family_name": [f"Name{i % 9999}" for i in number], "postcode": "10001", "city": "Somewhere", "street": "1 Main Street"})  # fmt: skip
    segment = rng.integers(0, SEGMENTS, count)
    names = np.array([f"Segment of kind {chr(97 + i)}" for i in range(SEGMENTS)])
    segments = pd.DataFrame({"customer_id": ids, "segment_id": segment, "segment_name": names[segment], "macro_segment": "Everybody", "strength": 0.5, "assigned": "core", "map_x": 0.0, "map_y": 0.0})  # fmt: skip
    quality = pd.DataFrame({"segment_id": range(SEGMENTS), "segment_name": names, "size": count // SEGMENTS, "share": 1 / SEGMENTS, "revenue_share": 1 / SEGMENTS, "persistence": 0.1, "stability": 0.8, "stability_low": 0.7, "stability_high": 0.9, "found_anew": 0.6, "verdict": "pass"})  # fmt: skip
    personas = quality[["segment_id", "segment_name"]].assign(tagline="They buy.", story="They buy.")
    cells = [(i, s, 1, "write", "e-mail", "none", "hello", "an order", "repeat_rate", "more") for i in range(SEGMENTS) for s in STAGES]  # fmt: skip
    playbook = pd.DataFrame(cells, columns=["segment_id", "stage", "customers", "treatment", "channel", "offer", "message", "trigger", "kpi", "goal"])  # fmt: skip
    journey = pd.DataFrame({"customer_id": ids, "stage": np.array(STAGES)[1 + rng.integers(0, 4, count)], "vip": False, "vip_in_segment": False, "vetoed": False})  # fmt: skip
    identities = pd.DataFrame({"source": np.where(number % 2 == 0, "web", "app"), "record_id": [f"d{i}" for i in number], "customer_id": ids, "match_probability": 1.0})  # fmt: skip
    features = pd.DataFrame({"customer_id": ids, "net_revenue": rng.gamma(2, 100, count), "order_count": 3.0})
    tables = {"customers": customers, "private/persons": persons, "identities": identities, "features": features, "segments": segments, "segment_quality": quality, "personas": personas, "playbook": playbook, "journey": journey}  # fmt: skip
    for stage in ("ingest", "features", "clustering", "personas", "kpis"):
        run.begin(stage)
        if stage == "ingest":
            run.write_events("events", run.engine.sql(SENT.format(count=count)))
            for name, table in tables.items():
                run.write(name, table)
        run.complete()
    run.update(state="finished")
    return run


def main() -> None:
    """Invent in a process of its own, so that its memory does not count; export, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if (child := os.fork()) == 0:
            invent(folder, options.customers)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        consent = {c: ["email"] for c in CHANNELS}
        rules = Activation(suppression=str(folder / "never.csv"), consent=consent, max_touches_per_week=9)
        (folder / "never.csv").write_text("\n".join(f"person.{i}@example.com" for i in range(0, options.customers, 100)))
        began, rows = time.perf_counter(), []
        for channel in CHANNELS:
            started = time.perf_counter()
            done, empty = export_channels(Run.open(folder / "run"), [channel], folder / "audiences", rules)
            rows.append((channel, time.perf_counter() - started, done[0].account.customers.iloc[-1] if done else 0))
        apart = time.perf_counter() - began
        began = time.perf_counter()
        done, _ = export_channels(Run.open(folder / "run"), list(CHANNELS), folder / "together", rules)
        print(f"{options.customers:,} customers\n\n| channel | seconds | exported |\n|---|---|---|")
        print("\n".join(f"| {c} | {s:.1f} | {n:,} |" for c, s, n in rows))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        together = time.perf_counter() - began
        print(f"\none after the other {apart:.0f} s, together (--channel all) {together:.0f} s, {len(done)} channels; peak memory {peak:.2f} GiB (engine limit 4 GB)")  # fmt: skip


if __name__ == "__main__":
    main()
