"""The personalization matrix: every segment at every stage of the journey, from rules that a marketer edits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from workbench.core.config import Config, Strict, read_yaml_model
from workbench.core.contracts import JOURNEY
from workbench.core.subscriptions import count_contracts

if TYPE_CHECKING:
    import ibis.expr.types as ir


class StagePlan(Strict):
    """What a stage of the journey is for."""

    goal: str = Field(min_length=3)
    kpi: str
    trigger: str = Field(min_length=3)


class Rule(Strict):
    """One treatment and the traits (feature: high or low) that call for it; without traits it is for everybody."""

    stage: Literal[JOURNEY]
    when: Mapping[str, Literal["high", "low"]] = {}
    treatment: str = Field(min_length=3)
    channel: str = Field(min_length=2)
    offer: str = Field(min_length=2)
    message: str = Field(min_length=2)


class Playbook(Strict):
    """Levers, stages and rules; every stage needs a rule for everybody, so that no cell stays empty."""

    levers: Mapping[str, str] = Field(description="what the company can change: price, offer, channel, … -> how")
    stages: Mapping[Literal[JOURNEY], StagePlan]
    rules: tuple[Rule, ...]

    @model_validator(mode="after")
    def _no_empty_cell(self) -> Playbook:
        for stage in JOURNEY:
            if stage not in self.stages:
                raise ValueError(f'stage "{stage}" is not described under stages')
            if not any(rule.stage == stage and not rule.when for rule in self.rules):
                raise ValueError(f'stage "{stage}" has no rule without `when`, so some segments would get no treatment')
        return self


def read_playbook(path: str) -> Playbook:
    """A YAML file -> Playbook; raises ParameterError naming every fault."""
    return read_yaml_model(Playbook, path)


def traits_not_here(playbook: Playbook, catalog: pd.DataFrame) -> list[str]:
    """Features that rules ask for and this run does not have (misspelt, or without a source): those rules can never apply."""
    return sorted({name for rule in playbook.rules for name in rule.when} - set(catalog.feature))


def stages_today(features: pd.DataFrame, customers: pd.DataFrame, events: ir.Table, config: Config) -> pd.Series:
    """`journey_stages` when the configuration's as-of day begins, with the contracts that the events tell."""
    as_of, days = pd.Timestamp(config.as_of, tz=config.company.zone), config.features.horizon_days
    return journey_stages(features, customers, as_of, days, count_contracts(events, as_of, days))


def journey_stages(
    features: pd.DataFrame, customers: pd.DataFrame, as_of: pd.Timestamp, horizon_days: int, contracts: pd.DataFrame | None = None
) -> pd.Series:
    """Today's stage of each segmented customer, by the first rule that fits; index: customer_id.

    winback: no order for more than twice their usual gap (at least 14 days); onboarding: first seen within the horizon before
    as_of or one order only; retention: no order for more than one and a half usual gaps; growth: the rest. Acquisition holds no
    customers. Of customers with contracts (see `count_contracts`) these tell instead of orders: winback: none runs any more;
    onboarding: none ran one horizon ago; growth: more run than one horizon ago; retention: the rest.
    """
    usual = features.gap_days_mean.fillna(28.0).clip(lower=14.0)
    since = (as_of - customers.set_index("customer_id").first_seen_at.reindex(features.index)).dt.days
    bound, ended, fresh, grown = _by_contract(contracts, features.index)
    stage = np.select(
        [
            np.where(bound, ended, features.recency_days > 2 * usual),
            (since < horizon_days) | np.where(bound, fresh, features.order_count < 2),
            np.where(bound, ~grown, features.recency_days > 1.5 * usual),
        ],
        ["winback", "onboarding", "retention"],
        "growth",
    )
    return pd.Series(stage, index=features.index).astype("str")


def _by_contract(contracts: pd.DataFrame | None, index: pd.Index) -> tuple[np.ndarray, ...]:
    """Flags per customer: has or had a contract; all have ended; none ran one horizon ago; more run than then."""
    if contracts is None:
        return tuple(np.zeros(len(index), bool) for _ in range(4))
    now, then = contracts.running.reindex(index), contracts.running_before.reindex(index)
    return tuple(flag.to_numpy() for flag in (now.notna(), now <= 0, then <= 0, now > then))


def build_matrix(
    playbook: Playbook, personas: pd.DataFrame, compared: pd.DataFrame, labels: pd.Series, stages: pd.Series
) -> pd.DataFrame:
    """-> playbook table: a row per segment x stage, none empty; customers: members that stand at the stage today.

    A segment has a trait when its interval lies beyond 0.2 standard deviations on that side.
    """
    traits = {
        segment: {r.feature: "high" for r in mine.itertuples() if r.ci_low > 0.2}
        | {r.feature: "low" for r in mine.itertuples() if r.ci_high < -0.2}
        for segment, mine in compared.groupby("segment_id")
    }
    standing = pd.crosstab(labels, stages)
    rows = []
    for persona in personas.itertuples(index=False):
        for stage in JOURNEY:
            rule = next(
                r for r in playbook.rules if r.stage == stage and r.when.items() <= traits.get(persona.segment_id, {}).items()
            )
            plan = playbook.stages[stage]
            count = int(standing.get(stage, pd.Series(dtype=int)).get(persona.segment_id, 0))
            rows.append(
                (
                    persona.segment_id,
                    stage,
                    count,
                    rule.treatment,
                    rule.channel,
                    rule.offer,
                    rule.message,
                    plan.trigger,
                    plan.kpi,
                    plan.goal,
                )
            )
    columns = ["segment_id", "stage", "customers", "treatment", "channel", "offer", "message", "trigger", "kpi", "goal"]
    return pd.DataFrame(rows, columns=columns)


VIP_SHARE = 0.05


def customer_journey(stages: pd.Series, labels: pd.Series, features: pd.DataFrame, plan: pd.DataFrame) -> pd.DataFrame:
    """Who stands where -> table journey: customer_id, stage, vip, vip_in_segment, vetoed; a row per segmented customer.

    vip: among the top 5 % of all by net revenue; vip_in_segment: among the top 5 % of the own segment; vetoed: the customer's
    cell of the matrix was vetoed. All three series share the customer index.
    """
    spent = features.net_revenue.fillna(0)
    vetoed = plan[plan.vetoed][["segment_id", "stage"]].itertuples(index=False, name=None) if "vetoed" in plan else ()
    cells = set(vetoed)
    return pd.DataFrame(
        {
            "customer_id": stages.index,
            "stage": stages.to_numpy(),
            "vip": (spent.rank(pct=True, method="min") > 1 - VIP_SHARE).to_numpy(),
            "vip_in_segment": (spent.groupby(labels).rank(pct=True, method="min") > 1 - VIP_SHARE).to_numpy(),
            "vetoed": [cell in cells for cell in zip(labels, stages, strict=True)],
        }
    ).astype({"customer_id": "str", "stage": "str", "vetoed": bool})
