"""The written contract of every promised table: columns, types, missing values, ranges. Extra columns are allowed."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from dataclasses import dataclass
from typing import Any

import pandas as pd

from workbench.core.errors import ContractBroken

PRIVATE = "private"


@dataclass(frozen=True)
class Column:
    """One promised column: kind is text, whole, number, yes_no or moment."""

    kind: str
    missing: bool = False
    low: float | None = None
    high: float | None = None
    among: tuple[str, ...] | None = None


TEXT, NUMBER, WHOLE, YES_NO, MOMENT = Column("text"), Column("number"), Column("whole"), Column("yes_no"), Column("moment")
TEXT_OR_NOT, NUMBER_OR_NOT = Column("text", missing=True), Column("number", missing=True)
COUNT, SHARE = Column("whole", low=0), Column("number", low=0, high=1)
SHARE_OR_NOT = Column("number", missing=True, low=0, high=1)
SEGMENT, MONEY = Column("whole", low=-1), Column("money", missing=True)
INTERVAL = {"value": NUMBER_OR_NOT, "ci_low": NUMBER_OR_NOT, "ci_high": NUMBER_OR_NOT}
JOURNEY = ("acquisition", "onboarding", "growth", "retention", "winback")


@dataclass(frozen=True)
class Contract:
    """A table's grain (the columns that are unique together) and its promised columns."""

    grain: tuple[str, ...]
    columns: dict[str, Column]
    may_be_empty: bool = False


CONTRACTS: dict[str, Contract] = {
    "identities": Contract(
        ("source", "record_id"), {"source": TEXT, "record_id": TEXT, "customer_id": TEXT, "match_probability": SHARE}
    ),
    "matches": Contract(
        ("source_l", "record_id_l", "source_r", "record_id_r"),
        {
            "source_l": TEXT,
            "record_id_l": TEXT,
            "source_r": TEXT,
            "record_id_r": TEXT,
            "match_weight": NUMBER,
            "match_probability": SHARE,
            "rule": TEXT,
        },
        may_be_empty=True,
    ),  # fmt: skip
    "customers": Contract(
        ("customer_id",),
        {"customer_id": TEXT, "kind": Column("text", among=("b2c", "b2b")), "first_seen_at": Column("moment", missing=True)},
    ),
    "events": Contract(
        (),
        {
            "customer_id": TEXT_OR_NOT,
            "customer_number": Column("whole", missing=True),
            "occurred_at": MOMENT,
            "source": TEXT,
            "channel": TEXT,
            "event_type": TEXT,
            "order_id": TEXT_OR_NOT,
            "item": TEXT_OR_NOT,
            "category": TEXT_OR_NOT,
            "quantity": MONEY,
            "amount": MONEY,
            "discount": MONEY,
            "cost": MONEY,
            "campaign_id": TEXT_OR_NOT,
        },
    ),  # fmt: skip
    "quality": Contract(
        ("source", "check"),
        {
            "source": TEXT,
            "check": TEXT,
            "rows": COUNT,
            "share": SHARE,
            "severity": Column("text", among=("info", "warn", "error")),
            "example": TEXT_OR_NOT,
        },
    ),  # fmt: skip
    "cleaning_log": Contract(
        (), {"source": TEXT, "rule": TEXT, "rows": COUNT, "before": TEXT_OR_NOT, "after": TEXT_OR_NOT}, may_be_empty=True
    ),
    "readiness": Contract(("capability",), {"capability": TEXT, "kind": TEXT, "ready": YES_NO, "missing": TEXT, "unlock": TEXT}),
    "link_review": Contract(
        (),
        {
            "source_l": TEXT,
            "record_id_l": TEXT,
            "source_r": TEXT,
            "record_id_r": TEXT,
            "rule": TEXT,
            "match_weight": NUMBER,
            "match_probability": SHARE,
            "reason": TEXT,
        },
        may_be_empty=True,
    ),
    "identity_changes": Contract(
        ("customer_id", "former_id"),
        {"change": Column("text", among=("merged", "split")), "customer_id": TEXT, "former_id": TEXT, "records": COUNT},
        may_be_empty=True,
    ),
    "people": Contract(
        ("person_id", "customer_id"), {"person_id": TEXT, "customer_id": TEXT, "records": COUNT}, may_be_empty=True
    ),
    "features": Contract(("customer_id",), {"customer_id": TEXT}),
    "feature_catalog": Contract(
        ("feature",),
        {
            "feature": TEXT,
            "family": TEXT,
            "unit": TEXT,
            "definition": TEXT,
            "coverage": SHARE,
            "relevance": SHARE_OR_NOT,
            "relevance_q": SHARE_OR_NOT,
            "stability": NUMBER_OR_NOT,
            "retest": NUMBER_OR_NOT,
            "actionable": YES_NO,
            "used": YES_NO,
            "told": YES_NO,
            "weight": SHARE,
            "reason": TEXT,
        },
    ),  # fmt: skip
    "expectations": Contract(
        ("customer_id",),
        {
            "customer_id": TEXT,
            "expected_orders": NUMBER,
            "orders_low": NUMBER_OR_NOT,
            "orders_high": NUMBER_OR_NOT,
            "p_alive": SHARE_OR_NOT,
            "order_value": NUMBER_OR_NOT,
            "expected_value": NUMBER_OR_NOT,
            "method": TEXT,
        },
    ),
    "propensities": Contract(
        ("customer_id", "target"), {"customer_id": TEXT, "target": TEXT, "predicted": NUMBER}, may_be_empty=True
    ),
    "declines": Contract(
        ("customer_id",),
        {"customer_id": TEXT, "decline": NUMBER_OR_NOT, "declining": YES_NO, "weeks_since": NUMBER_OR_NOT},
        may_be_empty=True,
    ),
    "churn_risks": Contract(("customer_id",), {"customer_id": TEXT, "churn_risk": SHARE, "ci_low": SHARE, "ci_high": SHARE}),
    "proxies": Contract(
        ("attribute",),
        {"attribute": TEXT, "group": TEXT, "customers": COUNT, "auc": SHARE, "ci_low": SHARE, "ci_high": SHARE},
        may_be_empty=True,
    ),
    "private/texts": Contract(
        (),
        {"source": TEXT, "row": COUNT, "customer_id": TEXT, "occurred_at": MOMENT, "event_type": TEXT, "text": TEXT},
        may_be_empty=True,
    ),
    "private/addresses": Contract((), {"customer_id": TEXT, "email": TEXT_OR_NOT, "phone": TEXT_OR_NOT}, may_be_empty=True),
    "outcomes": Contract(("customer_id",), {"customer_id": TEXT}),
    "counted_shares": Contract(("customer_id",), {"customer_id": TEXT}),
    "later_features": Contract(("customer_id",), {"customer_id": TEXT}, may_be_empty=True),
    "segments": Contract(
        ("customer_id",),
        {
            "customer_id": TEXT,
            "segment_id": SEGMENT,
            "segment_name": TEXT,
            "macro_segment": TEXT,
            "strength": SHARE,
            "assigned": Column("text", among=("core", "soft", "unassigned")),
            "map_x": NUMBER_OR_NOT,
            "map_y": NUMBER_OR_NOT,
        },
    ),  # fmt: skip
    "segment_quality": Contract(
        ("segment_id",),
        {
            "segment_id": SEGMENT,
            "segment_name": TEXT,
            "size": COUNT,
            "share": SHARE,
            "revenue_share": NUMBER_OR_NOT,
            "persistence": NUMBER_OR_NOT,
            "stability": SHARE_OR_NOT,
            "stability_low": SHARE_OR_NOT,
            "stability_high": SHARE_OR_NOT,
            "found_anew": SHARE_OR_NOT,
            "verdict": Column("text", among=("pass", "watch", "fail")),
        },
    ),  # fmt: skip
    "scoreboard": Contract(
        ("method", "outcome"),
        {
            "method": TEXT,
            "n_segments": COUNT,
            "outcome": TEXT,
            "r2_adjusted": NUMBER_OR_NOT,
            "r2_low": NUMBER_OR_NOT,
            "r2_high": NUMBER_OR_NOT,
            "lead_low": NUMBER_OR_NOT,
            "lead_high": NUMBER_OR_NOT,
            "ceiling": NUMBER_OR_NOT,
            "replication_ami": NUMBER_OR_NOT,
            "seconds": NUMBER_OR_NOT,
            "judged": Column("text", among=("after as_of", "one horizon earlier", "not yet")),
        },
    ),  # fmt: skip
    "counts": Contract(
        ("n_segments",),
        {
            "n_segments": COUNT,
            "n_repaired": COUNT,
            "knowledge": SHARE_OR_NOT,
            "survives": SHARE_OR_NOT,
            "surviving": SHARE_OR_NOT,
            "chosen": YES_NO,
            "as_before": YES_NO,
        },
    ),
    "rules": Contract(
        ("segment_id",),
        {
            "segment_id": SEGMENT,
            "rule": TEXT,
            "sql": TEXT,
            "conditions": TEXT,
            "customers": COUNT,
            "precision": SHARE,
            "recall": SHARE,
            "unseen_precision": SHARE,
            "unseen_recall": SHARE,
        },
    ),
    "lineage": Contract(
        ("segment_id", "previous_id"),
        {
            "segment_id": SEGMENT,
            "previous_id": SEGMENT,
            "previous_name": TEXT,
            "change": Column("text", among=("continued", "split", "merged", "born", "gone")),
            "shared": COUNT,
            "jaccard": SHARE,
        },
    ),
    "registry": Contract(
        ("key",),
        {
            "key": TEXT,
            "segment_id": SEGMENT,
            "state": Column("text", among=("proposed", "pilot", "active", "watch", "sunset")),
            "verdict": TEXT,
            "since": TEXT,
            "last_passed": TEXT,
            "expires": TEXT,
            "evidence": TEXT,
        },
    ),
    "headroom": Contract(
        ("segment_id",),
        {
            "segment_id": SEGMENT,
            "customers": COUNT,
            "frontier": NUMBER_OR_NOT,
            "below": COUNT,
            "gap": NUMBER,
            "lasting": SHARE,
            "headroom": NUMBER,
            "headroom_low": NUMBER,
            "headroom_high": NUMBER,
        },
    ),
    "white_space": Contract(
        ("segment_id", "feature"),
        {
            "segment_id": SEGMENT,
            "feature": TEXT,
            "bought_by": SHARE,
            "without": COUNT,
            "usual": NUMBER,
            "at_stake": NUMBER,
            "at_stake_low": NUMBER,
            "at_stake_high": NUMBER,
        },
        may_be_empty=True,
    ),
    "history": Contract(("customer_id", "since"), {"customer_id": TEXT, "since": TEXT, "key": Column("text")}),
    "lookalikes": Contract(
        ("customer_id", "like_segment"),
        {"customer_id": TEXT, "segment_id": SEGMENT, "like_segment": SEGMENT, "distance": SHARE},
        may_be_empty=True,
    ),
    "personas": Contract(("segment_id",), {"segment_id": SEGMENT, "segment_name": TEXT, "tagline": TEXT, "story": TEXT}),
    "drivers": Contract(
        ("segment_id", "claim"),
        {
            "segment_id": SEGMENT,
            "claim": TEXT,
            "feature": TEXT,
            "value": NUMBER,
            "base": NUMBER,
            "index": NUMBER_OR_NOT,
            "effect_size": NUMBER,
            "ci_low": NUMBER,
            "ci_high": NUMBER,
            "n": COUNT,
        },
        may_be_empty=True,
    ),  # fmt: skip
    "playbook": Contract(
        ("segment_id", "stage"),
        {
            "segment_id": SEGMENT,
            "stage": Column("text", among=JOURNEY),
            "customers": COUNT,
            "treatment": TEXT,
            "channel": TEXT,
            "offer": TEXT,
            "message": TEXT,
            "trigger": TEXT,
            "kpi": TEXT,
            "goal": TEXT,
        },
    ),  # fmt: skip
    "journey": Contract(
        ("customer_id",),
        {"customer_id": TEXT, "stage": Column("text", among=JOURNEY), "vip": YES_NO, "vip_in_segment": YES_NO, "vetoed": YES_NO},
    ),
    "persona_gaps": Contract(("segment_id", "unknown"), {"segment_id": SEGMENT, "unknown": TEXT, "known": SHARE}),
    "quotes": Contract(
        ("segment_id",),
        {
            "segment_id": SEGMENT,
            "topic": TEXT,
            "customers": COUNT,
            "n": COUNT,
            "share": SHARE,
            "ci_low": SHARE,
            "ci_high": SHARE,
            "base": SHARE,
            "quote": TEXT,
            "source": TEXT,
            "row": COUNT,
        },
        may_be_empty=True,
    ),
    "archetypes": Contract(
        ("segment_id",),
        {"segment_id": SEGMENT, "archetype": TEXT, "price_tier": Column("text", among=("value", "standard", "premium"))},
    ),
    "function_playbook": Contract(
        ("function", "segment_id", "what"),
        {
            "function": Column("text", among=("marketing", "sales", "service", "product")),
            "segment_id": SEGMENT,
            "what": TEXT,
            "text": TEXT,
        },
    ),
    "next_products": Contract(
        ("segment_id", "product"),
        {
            "segment_id": SEGMENT,
            "product": TEXT,
            "kind_of": TEXT,
            "rank": COUNT,
            "bought_by": SHARE,
            "ci_low": SHARE,
            "ci_high": SHARE,
            "base": SHARE,
            "index": NUMBER,
            "q_value": SHARE,
        },
        may_be_empty=True,
    ),
    "recommendations": Contract(
        ("customer_id", "rank"),
        {"customer_id": TEXT, "rank": COUNT, "product": TEXT, "kind_of": TEXT},
        may_be_empty=True,
    ),
    "product_hits": Contract(
        ("segment_id",),
        {
            "segment_id": Column("whole", low=-2),
            "hit_rate": SHARE,
            "popularity": SHARE,
            "difference": NUMBER,
            "ci_low": NUMBER_OR_NOT,
            "ci_high": NUMBER_OR_NOT,
            "n": COUNT,
            "verdict": TEXT,
            "pooled": NUMBER_OR_NOT,
            "pooled_low": NUMBER_OR_NOT,
            "pooled_high": NUMBER_OR_NOT,
        },
        may_be_empty=True,
    ),
    "kpis": Contract(
        ("segment_id", "kpi"),
        {
            "segment_id": Column("whole", low=-2),
            "kpi": TEXT,
            **INTERVAL,
            "n": COUNT,
            "numerator": NUMBER_OR_NOT,
            "denominator": NUMBER_OR_NOT,
            "target": NUMBER_OR_NOT,
            "status": TEXT,
        },
    ),  # fmt: skip
    "retention_curves": Contract(
        ("curve", "segment_id", "days"),
        {
            "curve": Column("text", among=("staying", "coming back")),
            "segment_id": Column("whole", low=-2),
            "days": COUNT,
            "value": SHARE,
            "ci_low": SHARE_OR_NOT,
            "ci_high": SHARE_OR_NOT,
            "at_risk": COUNT,
        },
        may_be_empty=True,
    ),
    "cohorts": Contract(
        ("cohort", "months"),
        {
            "cohort": TEXT,
            "months": COUNT,
            "customers": COUNT,
            "active": COUNT,
            "value": SHARE,
            "ci_low": SHARE,
            "ci_high": SHARE,
        },
        may_be_empty=True,
    ),
    "growth_parts": Contract(
        ("segment_id",),
        {
            "segment_id": Column("whole", low=-2),
            "revenue_before": NUMBER,
            "revenue": NUMBER,
            "change": NUMBER,
            "by_buyers": NUMBER,
            "by_orders": NUMBER,
            "by_order_value": NUMBER,
            "by_returns": NUMBER,
        },
        may_be_empty=True,
    ),
    "experiments": Contract(
        ("experiment", "outcome", "arm", "segment_id"),
        {
            "experiment": TEXT,
            "outcome": TEXT,
            "arm": TEXT,
            "segment_id": Column("whole", low=-2),
            "n_arm": COUNT,
            "n_control": COUNT,
            "arm_mean": NUMBER_OR_NOT,
            "control_mean": NUMBER_OR_NOT,
            "effect": NUMBER_OR_NOT,
            "ci_low": NUMBER_OR_NOT,
            "ci_high": NUMBER_OR_NOT,
            "p_value": SHARE_OR_NOT,
            "q_value": SHARE_OR_NOT,
            "interaction_p": SHARE_OR_NOT,
            "pooled": NUMBER_OR_NOT,
            "pooled_low": NUMBER_OR_NOT,
            "pooled_high": NUMBER_OR_NOT,
            "power": SHARE_OR_NOT,
            "detectable": NUMBER_OR_NOT,
            "verdict": Column("text", among=("better", "worse", "not enough evidence", "described only", "not computable")),
            "reason": TEXT,
        },
        may_be_empty=True,
    ),
    "experiment_checks": Contract(
        ("experiment",),
        {
            "experiment": TEXT,
            "assigned": COUNT,
            "both_arms": COUNT,
            "incomplete": COUNT,
            "unknown": COUNT,
            "used": COUNT,
            "arms": TEXT,
            "planned": TEXT,
            "ratio_p": SHARE_OR_NOT,
            "reason": TEXT,
        },
        may_be_empty=True,
    ),
    "policy_values": Contract(
        ("experiment", "policy", "against"),
        {
            "experiment": TEXT,
            "policy": TEXT,
            "against": TEXT,
            "outcome": TEXT,
            **INTERVAL,
            "n": COUNT,
            "treated_share": SHARE_OR_NOT,
            "reason": TEXT,
        },
        may_be_empty=True,
    ),
    "experiment_design": Contract(
        ("outcome", "segment_id"),
        {
            "outcome": TEXT,
            "segment_id": SEGMENT,
            "customers": COUNT,
            "baseline": NUMBER_OR_NOT,
            "wanted": NUMBER_OR_NOT,
            "weeks": COUNT,
            "per_arm": NUMBER_OR_NOT,
            "detectable": NUMBER_OR_NOT,
            "together": TEXT,
            "verdict": Column("text", among=("testable alone", "testable together", "not testable")),
            "reason": TEXT,
        },
        may_be_empty=True,
    ),
    "campaign_responses": Contract(
        ("campaign_id", "segment_id", "kpi"),
        {
            "campaign_id": TEXT,
            "segment_id": Column("whole", low=-2),
            "kpi": Column("text", among=("response", "redemption")),
            **INTERVAL,
            "n": COUNT,
            "numerator": NUMBER,
            "denominator": NUMBER,
            "shrunk": SHARE_OR_NOT,
        },
        may_be_empty=True,
    ),
    "content": Contract(
        ("theme", "segment_id"),
        {
            "theme": TEXT,
            "segment_id": Column("whole", low=-2),
            **INTERVAL,
            "n": COUNT,
            "numerator": NUMBER,
            "denominator": NUMBER,
            "q_value": SHARE_OR_NOT,
            "versus_others": Column("text", among=("", "above", "below", "alike")),
        },
        may_be_empty=True,
    ),
    "migration": Contract(
        ("from_segment", "to_segment"),
        {
            "from_segment": SEGMENT,
            "to_segment": SEGMENT,
            "customers": COUNT,
            "share": SHARE,
            "placebo_share": SHARE_OR_NOT,
            "net_share": NUMBER_OR_NOT,
        },
        may_be_empty=True,
    ),  # fmt: skip
    "forecast": Contract(
        ("segment_id",),
        {
            "segment_id": SEGMENT,
            "customers": COUNT,
            "expected": NUMBER,
            "expected_low": NUMBER,
            "expected_high": NUMBER,
            "change": NUMBER,
        },
        may_be_empty=True,
    ),
    "drift": Contract(
        ("feature",),
        {
            "feature": TEXT,
            "noun": TEXT,
            "psi": Column("number", low=0),
            "chance": Column("number", low=0),
            "weight": SHARE,
            "drift": Column("text", among=("stable", "moderate", "large")),
        },
        may_be_empty=True,
    ),
    "kpi_changes": Contract(
        ("kpi", "segment_id", "previous_id"),
        {
            "kpi": TEXT,
            "segment_id": Column("whole", low=-2),
            "previous_id": Column("whole", low=-2),
            "segment_name": TEXT,
            "value_before": NUMBER_OR_NOT,
            "value_now": NUMBER_OR_NOT,
            "mix": NUMBER,
            "rate": NUMBER,
            "change": NUMBER,
            "ci_low": NUMBER_OR_NOT,
            "ci_high": NUMBER_OR_NOT,
        },
        may_be_empty=True,
    ),
    "advice": Contract(
        (),
        {
            "segment_id": SEGMENT,
            "segment_name": TEXT,
            "state": TEXT,
            "advice": Column("text", among=("sunset", "retest", "develop", "keep")),
            "why": TEXT,
        },
    ),
    "pilots": Contract(
        ("scenario", "treatment"),
        {
            "scenario": TEXT,
            "treatment": TEXT,
            "segments": COUNT,
            "addressed": NUMBER,
            "power": SHARE,
            "detectable_uplift": NUMBER_OR_NOT,
        },
        may_be_empty=True,
    ),
    "workload": Contract(
        ("channel",),
        {"channel": TEXT, "hours": NUMBER, "hours_chosen": NUMBER, "over_cap": NUMBER, "capacity": NUMBER},
    ),
    "business_case": Contract(
        ("segment_id", "scenario"),
        {
            "segment_id": SEGMENT,
            "scenario": TEXT,
            "assumption": TEXT,
            "gain_low": NUMBER,
            "gain_mid": NUMBER,
            "gain_high": NUMBER,
            "cost": NUMBER_OR_NOT,
            "payback_months": NUMBER_OR_NOT,
            "value": NUMBER,
            "value_low": NUMBER,
            "value_high": NUMBER,
            "pays": SHARE,
            "break_even": NUMBER_OR_NOT,
            "verdict": TEXT,
            "power": SHARE,
            "detectable_uplift": NUMBER_OR_NOT,
            "chosen": YES_NO,
            "reason": TEXT,
            "best": COUNT,
        },
        may_be_empty=True,
    ),  # fmt: skip
    "sensitivity": Contract(
        ("assumption",),
        {
            "assumption": TEXT,
            "low": NUMBER,
            "high": NUMBER,
            "value_low": NUMBER,
            "value_high": NUMBER,
            "source": TEXT,
        },
        may_be_empty=True,
    ),
}


def check_frame(name: str, frame: pd.DataFrame) -> None:
    """Raise ContractBroken, naming every fault, unless the frame keeps the contract of `name` (tables without one pass)."""
    if name not in CONTRACTS:
        return
    pa = _pandera("pandas")
    contract = CONTRACTS[name]
    columns = {
        c: pa.Column(_pandas_type(spec), nullable=spec.missing, checks=_checks(pa, spec)) for c, spec in contract.columns.items()
    }
    schema = pa.DataFrameSchema(columns, unique=list(contract.grain) or None)
    try:
        schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as fault:
        raise _broken(name, fault) from None
    _check_not_empty(name, contract, len(frame))


def check_expression(name: str, table: Any) -> None:
    """The same for an event-sized table that stays on the engine."""
    import ibis.expr.datatypes as dt

    from workbench.core import engine

    types = {
        "text": dt.string,
        "money": engine.MONEY,
        "moment": dt.Timestamp("UTC", 6),
        "number": dt.float64,
        "whole": dt.int64,
        "yes_no": dt.boolean,
    }
    pa = _pandera("ibis")
    contract = CONTRACTS[name]
    _check_not_empty(name, contract, engine.count_rows(table))
    columns = {c: pa.Column(types[spec.kind], nullable=spec.missing) for c, spec in contract.columns.items()}
    try:
        pa.DataFrameSchema(columns).validate(table, lazy=True)
    except pa.errors.SchemaErrors as fault:
        raise _broken(name, fault) from None


@functools.cache
def _pandera(kind: str) -> Any:
    """pandera.pandas or pandera.ibis, kept from Spark's pandas: pandera loads it where it can, and then it warns and patches ours."""
    sys.modules.setdefault("pyspark.pandas", None)
    address = os.environ.get("SPARK_LOCAL_IP")
    module = importlib.import_module(f"pandera.{kind}")
    if address is None:
        # Set by pandera; no other machine could reach us then.
        os.environ.pop("SPARK_LOCAL_IP", None)
    return module


def _pandas_type(spec: Column) -> Any:
    kinds = {"text": str, "whole": int, "number": float, "yes_no": bool, "moment": "datetime64[us, UTC]"}
    return kinds[spec.kind]


def as_promised(name: str, rows: Any, columns: Any = None) -> pd.DataFrame:
    """Rows (a frame or a list of dicts, possibly none) -> a frame whose promised columns have their types; `columns`: all, in order."""
    frame = pd.DataFrame(rows, columns=columns)
    return frame.astype({c: _pandas_type(spec) for c, spec in CONTRACTS[name].columns.items()})


def _checks(pa: Any, spec: Column) -> list[Any]:
    checks = []
    if spec.low is not None:
        checks.append(pa.Check.ge(spec.low))
    if spec.high is not None:
        checks.append(pa.Check.le(spec.high))
    if spec.among is not None:
        checks.append(pa.Check.isin(spec.among))
    return checks


def _broken(name: str, fault: Any) -> ContractBroken:
    # A column that is not there stands among the cases, not among the columns.
    cases = fault.failure_cases
    column = cases.column.where(cases.column.notna(), cases.failure_case.astype(str))
    cases = cases.assign(column=column)[["column", "check"]].astype(str).value_counts().reset_index()
    lines = [f'column "{c}": {check} fails in {n} place(s)' for c, check, n in cases.itertuples(index=False)]
    return ContractBroken(
        "\n".join([f'Table "{name}" breaks its contract:', *lines]),
        "Later stages rely on it, so nothing was written.",
        "report this with run.json; it is a fault of the workbench, not of your data",
    )


def _check_not_empty(name: str, contract: Contract, rows: int) -> None:
    if rows == 0 and not contract.may_be_empty:
        raise ContractBroken(
            f'Table "{name}" has no rows.', "Later stages rely on it.", "see the quality table for what was read"
        )
