"""The goals: one optional number per KPI, in the KPI's unit."""

from __future__ import annotations

from typing import Any

from pydantic import Field, create_model

from workbench.core.config import Strict
from workbench.kpis.metrics import KPIS, Kpi


def _goal(kpi: Kpi) -> tuple[Any, Any]:
    # A goal of 60 for a share is a typing slip for 0.60, and would never be met.
    bounds = {"share": {"ge": 0, "le": 1}, "points": {"ge": -100, "le": 100}, "money": {"ge": 0}, "ratio": {"ge": 0}}.get(
        kpi.unit, {}
    )
    return float | None, Field(None, allow_inf_nan=False, description=f"{kpi.unit}: {kpi.definition}", **bounds)


Targets = create_model(
    "Targets",
    __base__=Strict,
    __doc__="KPI id -> goal; a KPI without one is shown without a verdict.",
    **{kpi.kpi: _goal(kpi) for kpi in KPIS},
)
