"""A finished run of 600 invented customers whose consents, addresses, segments and stages are known one by one."""

from __future__ import annotations

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa

from workbench.core import engine
from workbench.core.config import Config
from workbench.core.rundir import Run
from workbench.personas.audience import Activation

KEY = "ab" * 32
COUNT = 600
NAMES = {0: "Weekend wine buyers", 1: "=cmd|' /C calc'!A0", 2: "../../etc/passwd", 3: "Steady shoppers", -1: "unassigned"}
VERDICTS = {0: "pass", 1: "watch", 2: "pass", 3: "fail"}
STAGES = ("onboarding", "growth", "retention", "winback")


def rules(**changes) -> Activation:
    """Rules under which every channel is open to those who said yes to e-mail."""
    consent = {c: ["email"] for c in ("email", "google", "meta", "tiktok", "linkedin")}
    consent |= {c: ["any"] for c in ("crm", "web", "in_app", "service", "csv", "parquet", "sql", "json")}
    return Activation(**({"suppression": "none", "consent": consent, "min_audience": 20, "max_touches_per_week": 9} | changes))


def customers() -> pd.DataFrame:
    """Every fifth said no, every fifth nothing; ids c_0000000000000000 and on."""
    number = np.arange(COUNT)
    return pd.DataFrame(
        {
            "customer_id": [f"c_{i:016x}" for i in number],
            "kind": "b2c",
            "first_seen_at": pd.Timestamp("2023-01-01", tz="UTC").as_unit("us"),
            "consent_email": np.array(["yes", "yes", "no", "unknown", "yes"])[number % 5],
            "consent_phone": np.array(["yes", "no", "no", "unknown", "unknown"])[number % 5],
        }
    )


def persons(known: pd.DataFrame) -> pd.DataFrame:
    number = np.arange(len(known))
    return pd.DataFrame(
        {
            "customer_id": known.customer_id,
            "email": [f"person{i}@example.com" for i in number],
            "phone": [f"+1212555{i:04d}" for i in number],
            "given_name": [f"Canary{i}" for i in number],
            "family_name": [f"Plantedname{i}" for i in number],
            "postcode": "10001",
        }
    )


def write_run(home, run_id="base", known=None, people=None, labels=None, until=None, **more) -> Run:
    """A finished run in home/runs; until: the day its data go to; more: further tables, or other versions of those here."""
    (home / "data").mkdir(exist_ok=True)
    (home / "data" / "pseudonym.key").write_text(KEY)
    source = {"kind": "web", "path": "x.csv", "record_id": "cookie", "consent": {"email": "e", "phone": "p"}}
    app = {"kind": "mobile_app", "path": "y.csv", "record_id": "device"}
    config = Config(as_of="2024-01-01", data_until=until, sources={"web": source, "app": app}, company={"timezone": "UTC"})
    known = customers() if known is None else known
    people = persons(known) if people is None else people
    number = np.arange(len(known))
    labels = pd.Series(number // 5 % 5 - 1, index=known.customer_id) if labels is None else labels
    run = Run.create(home / "runs" / run_id, config)
    tables = _tables(known, people, labels) | more
    for stage, names in STAGE_TABLES.items():
        run.begin(stage)
        for name in names:
            if name == "events":
                run.write_events(name, _as_events(run, tables[name]))
            elif tables.get(name) is not None:
                run.write(name, tables[name])
        run.complete()
    run.update(state="finished")
    return Run.open(run.path)


STAGE_TABLES = {
    "ingest": ("identities", "customers", "private/persons", "private/addresses", "events"),
    "features": ("features",),
    "clustering": ("rules",),
    "personas": ("segments", "segment_quality", "personas", "playbook", "journey", "function_playbook"),
    "kpis": (),
}


def _tables(known: pd.DataFrame, people: pd.DataFrame, labels: pd.Series) -> dict[str, pd.DataFrame]:
    ids, number = known.customer_id, np.arange(len(known))
    segments = pd.DataFrame(
        {
            "customer_id": ids, "segment_id": labels.to_numpy("int64"), "segment_name": labels.map(NAMES).to_numpy(), "macro_segment": "Everybody",
            "strength": 0.5, "assigned": "core", "map_x": 0.0, "map_y": 0.0,
        }
    ).astype({"segment_name": "str"})  # fmt: skip
    quality = pd.DataFrame({"segment_id": list(VERDICTS), "segment_name": [NAMES[i] for i in VERDICTS], "size": 100, "share": 0.2, "revenue_share": 0.2, "persistence": 0.1, "stability": 0.8, "stability_low": 0.7, "stability_high": 0.9, "found_anew": 0.6, "verdict": list(VERDICTS.values())})  # fmt: skip
    personas = pd.DataFrame({"segment_id": list(VERDICTS), "segment_name": [NAMES[i] for i in VERDICTS], "tagline": "They buy wine.", "story": "100 customers."})  # fmt: skip
    cells = [(i, stage, 10, "write to them", "e-mail", "=1+1", "hello", "an order", "repeat_rate", "more") for i in VERDICTS for stage in ("acquisition", *STAGES)]  # fmt: skip
    playbook = pd.DataFrame(cells, columns=["segment_id", "stage", "customers", "treatment", "channel", "offer", "message", "trigger", "kpi", "goal"])  # fmt: skip
    inside = labels.to_numpy() >= 0
    journey = pd.DataFrame({"customer_id": ids[inside], "stage": np.array(STAGES)[number % 4][inside], "vip": False, "vip_in_segment": False, "vetoed": False})  # fmt: skip
    identities = pd.DataFrame({"source": np.where(number % 2 == 0, "web", "app"), "record_id": [f"cookie{i}" for i in number], "customer_id": ids, "match_probability": 1.0})  # fmt: skip
    return {
        "customers": known, "identities": identities, "private/persons": people, "features": pd.DataFrame({"customer_id": ids, "net_revenue": 10.0}),
        "segments": segments, "segment_quality": quality, "personas": personas, "playbook": playbook, "journey": journey, "events": _events(ids),
    }  # fmt: skip


def _events(ids: pd.Series) -> pd.DataFrame:
    """One e-mail in December to each of the first hundred, so that events are there; the last customer unsubscribed."""
    last = ids.iloc[-1]
    rows = [(c, "2023-12-20", "email_sent") for c in ids.head(100)] + [(last, "2023-12-21", "email_unsubscribe")]
    frame = pd.DataFrame(rows, columns=["customer_id", "occurred_at", "event_type"])
    return frame.assign(occurred_at=pd.to_datetime(frame.occurred_at, utc=True), source="email", channel="email")


def _as_events(run: Run, frame: pd.DataFrame) -> ibis.Table:
    """The columns that the contract promises."""
    empty = {c: ibis.null("string") for c in ("order_id", "item", "category", "campaign_id")}
    empty |= {c: ibis.null(engine.MONEY) for c in ("quantity", "amount", "discount", "cost")} | {
        "customer_number": ibis.null("int64")
    }
    table = engine.as_table(run.engine, pa.Table.from_pandas(frame, preserve_index=False), "raw_events")
    return table.mutate(occurred_at=table.occurred_at.cast(engine.MOMENT), **empty)
