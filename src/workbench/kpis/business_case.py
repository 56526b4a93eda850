"""What acting may be worth: gains under stated assumptions, drawn many times; never a result, until an experiment measures it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator
from scipy import stats

from workbench.core.config import Count, KpiSettings, Strict, read_yaml_model
from workbench.core.contracts import JOURNEY
from workbench.kpis.metrics import COST_COVERAGE

FEASIBLE = {"pass": 1.0, "watch": 0.5, "fail": 0.0}  # a segment that fails is not to be acted on alone
LOW, HIGH = 0.05, 0.95
WORKS, ERROR = "chance that it works", "what is expected over what is predicted"
UNDECIDED = "not distinguishable from zero"
DAYS_PER_MONTH = 365.25 / 12
Values = Mapping[str, "np.ndarray | float"]


class Prior(Strict):
    """An assumption: a PERT distribution (Malcolm et al. 1959) between low and high around mode, and who says so."""

    low: float
    mode: float
    high: float
    source: str = Field(min_length=3, description="who says so; a published figure is a prior, never a result")

    @model_validator(mode="after")
    def _ordered(self) -> Prior:
        if not self.low <= self.mode <= self.high:
            raise ValueError(f"low {self.low:g}, mode {self.mode:g} and high {self.high:g} are not in order")
        return self

    @property
    def mean(self) -> float:
        """Expected value: (low + 4 mode + high) / 6."""
        return (self.low + 4 * self.mode + self.high) / 6

    def quantile(self, share: np.ndarray) -> np.ndarray:
        """The values that the given shares of draws stay below."""
        width = self.high - self.low
        if width == 0:
            return np.full(np.shape(share), self.low)
        a = 1 + 4 * (self.mode - self.low) / width
        return self.low + width * stats.beta.ppf(share, a, 6 - a)


class Lever(Strict):
    """What acting at one stage of the journey is assumed to bring and to cost, per customer addressed (whether they notice or not)."""

    base: Literal["expected", "lost"]
    uplift: Prior
    contact_cost: Prior
    offer_cost: Prior
    contacts: float = Field(ge=0, description="per customer and horizon")
    hours: float = Field(ge=0, description="of work to set up, per segment")


class Limits(Strict):
    """What there is to spend."""

    horizons: Count = Field(ge=1)
    budget: float = Field(ge=0)
    hour_cost: float = Field(ge=0)
    capacity_hours: float = Field(ge=0)
    max_share: float = Field(gt=0, le=1)
    max_contacts_per_week: float = Field(ge=0)


class Assumptions(Strict):
    """configs/business_case.yaml; a stage without a lever is not valued."""

    works: Prior
    margin_rate: Prior
    base_error: Prior
    free_offers: tuple[str, ...] = ("none",)
    levers: Mapping[Literal[JOURNEY], Lever]
    limits: Limits


def read_assumptions(path: str) -> Assumptions:
    """A YAML file -> Assumptions; raises ParameterError naming every fault."""
    return read_yaml_model(Assumptions, path)


def list_assumptions(assumptions: Assumptions) -> pd.DataFrame:
    """-> assumption, low, mode, high, source: every uncertain figure that the case rests on, then what is given (low = mode = high)."""
    rows = [(name, prior.low, prior.mode, prior.high, prior.source) for name, prior in _priors(assumptions).items()]
    given = {
        "price of an hour of work": assumptions.limits.hour_cost,
        "horizons that an action lasts": assumptions.limits.horizons,
    }
    for stage, lever in assumptions.levers.items():
        given |= {
            f"{stage}: hours to set up, per segment": lever.hours,
            f"{stage}: contacts per customer and horizon": lever.contacts,
        }
    rows += [(name, value, value, value, "given in the file") for name, value in given.items()]
    return pd.DataFrame(rows, columns=["assumption", "low", "mode", "high", "source"])


# -- what there is to gain on -----------------------------------------------------------------------------------------------


def build_cells(
    people: pd.DataFrame, playbook: pd.DataFrame, quality: pd.DataFrame, assumptions: Assumptions, days: int
) -> pd.DataFrame:
    """People (see `describe_people`) + the matrix -> a row per segment and stage with a lever and customers to reach, not vetoed.

    Columns: segment_id, scenario (the stage), segment_name, treatment, channel, customers, addressable (share with a consent), spend
    and base (expected money of one horizon, of all members: what they spend, and what uplift is a share of), rate (margin over
    revenue; missing where no costs are known), spread (standard deviation of a member's spend that the period before does not explain; of those lost, that of the segment's others), offered
    (0 where the offer is free), hours, contacts, contacts_over_cap (members whom this would contact too often), verdict.
    """
    usual = people[people.stage != "winback"].groupby("segment_id").agg(spend=("spend", "mean"), residual=("residual", "std"))
    lost = (people.segment_id.map(usual.spend).fillna(people.spend.mean()) - people.spend).clip(lower=0)
    weekly = people.stage.map({s: lever.contacts * 7 / days for s, lever in assumptions.levers.items()})
    over = people.running + weekly > assumptions.limits.max_contacts_per_week
    people = people.assign(lost=lost, over=over & (weekly > 0))
    cells = people.groupby(["segment_id", "stage"]).agg(
        customers=("spend", "size"), addressable=("addressable", "mean"), spend=("spend", "sum"), lost=("lost", "sum"),
        spread=("residual", "std"), contacts_over_cap=("over", "sum"), lapsing=("lapsing", lambda v: v.sum(min_count=1)),
    )  # fmt: skip
    plan = playbook[playbook.stage.isin(assumptions.levers) & ~playbook.vetoed & (playbook.segment_id >= 0)]
    told = plan[["segment_id", "stage", "treatment", "channel", "offer"]].set_index(["segment_id", "stage"])
    cells = cells[cells.addressable > 0].join(told, how="inner").reset_index().rename(columns={"stage": "scenario"})
    known = quality.set_index("segment_id")[["segment_name", "verdict"]].rename(columns={"verdict": "stability_verdict"})
    cells = cells.join(known, on="segment_id").join(_margin_rates(people), on="segment_id")
    levers = [assumptions.levers[s] for s in cells.scenario]
    is_lost = np.array([lever.base == "lost" for lever in levers], bool)
    cells["base"] = np.where(is_lost, cells.lost, cells.spend)
    # Who has stopped ordering hardly varies; who comes back varies as the others of the segment do.
    others = cells.segment_id.map(usual.residual).fillna(people.residual.std())
    cells["spread"] = cells.spread.where(~is_lost, others).fillna(others)
    cells["hours"], cells["contacts"] = [lever.hours for lever in levers], [lever.contacts for lever in levers]
    cells["offered"] = (~cells.offer.isin(assumptions.free_offers)).astype(float)
    return cells.drop(columns=["lost"])


def describe_people(
    sums: pd.DataFrame, segments: pd.DataFrame, journey: pd.DataFrame, customers: pd.DataFrame, running: pd.DataFrame,
    lapse: pd.DataFrame,
) -> pd.DataFrame:  # fmt: skip
    """-> a row per customer with a stage: segment_id, stage, spend, residual, addressable, running, lapsing, and the margin's sums.

    spend: expected in the next horizon, or what was spent in the last where nothing is predicted; residual: spend of the period
    less what that of the period before explains; addressable: 1 where any consent is a yes, or where none is recorded at all;
    running: contacts per week that reach them already; lapse: customer_id, predicted (chance of ordering nothing), times what was spent in the last = lapsing.
    """
    people = journey[["customer_id", "stage"]].merge(segments[["customer_id", "segment_id"]], on="customer_id")
    people = people.merge(sums, on="customer_id", how="left")
    spent = people["revenue"] if "revenue" in people else pd.Series(0.0, index=people.index)
    people["spend"] = people["expected_spend"].fillna(0.0) if "expected_spend" in people else spent
    people["residual"] = _unexplained(spent, people.get("revenue_before"))
    people["addressable"] = people.customer_id.map(_addressable(customers)).fillna(0.0)
    people["running"] = people.customer_id.map(running.set_index("customer_id").running).fillna(0.0)
    people["lapsing"] = spent.fillna(0.0) * people.customer_id.map(lapse.set_index("customer_id").predicted)
    return people


def _unexplained(spent: pd.Series, before: pd.Series | None) -> pd.Series:
    """What is left of the spend after a straight line on the period before (CUPED; Deng et al. 2013)."""
    if before is None or before.std() == 0:
        return spent
    return spent - spent.cov(before) / before.var() * (before - before.mean())


def _addressable(customers: pd.DataFrame) -> pd.Series:
    consents = customers.set_index("customer_id").filter(regex="^consent_")
    return (consents == "yes").any(axis=1).astype(float) if len(consents.columns) else pd.Series(1.0, index=consents.index)


def _margin_rates(people: pd.DataFrame) -> pd.Series:
    """Margin over revenue per segment; missing where costs are not known for nearly all lines, or nothing was sold."""
    if not {"margin", "lines", "cost_lines", "revenue"} <= set(people):
        return pd.Series(np.nan, index=people.segment_id.unique(), name="rate")
    sums = people.groupby("segment_id")[["margin", "lines", "cost_lines", "revenue"]].sum()
    covered = (sums.cost_lines >= COST_COVERAGE * sums.lines) & (sums.revenue > 0)
    return (sums.margin / sums.revenue).where(covered).rename("rate")


# -- gains and costs --------------------------------------------------------------------------------------------------------


def _priors(assumptions: Assumptions) -> dict[str, Prior]:
    """Every assumption that is uncertain, by its name in words."""
    found = {WORKS: assumptions.works, "margin rate": assumptions.margin_rate, ERROR: assumptions.base_error}
    for stage, lever in assumptions.levers.items():
        found |= {f"{stage}: {name.replace('_', ' ')}": getattr(lever, name) for name in ("uplift", "contact_cost", "offer_cost")}
    return found


def expected_values(assumptions: Assumptions) -> dict[str, float]:
    """Every assumption at its mean, whether a stage's treatment works as its chance."""
    means = {name: prior.mean for name, prior in _priors(assumptions).items()}
    return means | {f"{stage}: works": means[WORKS] for stage in assumptions.levers}


def draw_values(assumptions: Assumptions, draws: int, seed: int) -> dict[str, np.ndarray]:
    """Every assumption drawn many times; whether a stage's treatment works is 0 or 1, and the same for all segments."""
    generator = np.random.default_rng(seed)
    drawn = {name: prior.quantile(generator.random(draws)) for name, prior in _priors(assumptions).items()}
    return drawn | {f"{stage}: works": (generator.random(draws) < drawn[WORKS]) * 1.0 for stage in assumptions.levers}


def value_cell(cell: pd.Series, values: Values, limits: Limits) -> tuple[np.ndarray | float, np.ndarray | float]:
    """One cell under given assumptions (numbers, or draws of them) -> (additional margin, cost) in money over all horizons.

    margin = base x base error x margin rate x addressable x uplift, where the treatment works; cost = contacts + offers that those
    addressed take + hours of work.
    """
    told = {name: values[f"{cell.scenario}: {name}"] for name in ("uplift", "contact cost", "offer cost", "works")}
    rate = values["margin rate"] if pd.isna(cell.rate) else cell.rate
    base, spend = (limits.horizons * cell.addressable * money * values[ERROR] for money in (cell.base, cell.spend))
    gain = base * rate * told["uplift"] * told["works"]
    contacts = limits.horizons * cell.customers * cell.addressable * cell.contacts * told["contact cost"]
    offers = cell.offered * spend * told["offer cost"]
    return gain, contacts + offers + cell.hours * limits.hour_cost


def estimate_case(cells: pd.DataFrame, assumptions: Assumptions, settings: KpiSettings, days: int) -> pd.DataFrame:
    """Cells -> business_case: what acting on each may bring over all horizons, and what of it to do first.

    gain_low, gain_mid, gain_high: additional margin (bounds at the level `confidence`, and its expectation), cost not deducted; value,
    value_low, value_high: less cost; pays: chance that it is above 0; break_even: uplift of those addressed from which it pays, at
    expected cost; verdict: pays, loses, or not distinguishable from zero; lost_per_month: expected value that waiting a month gives up.
    reachable: customers that treatment may reach. best: place among the three next actions, else 0; months: that all horizons last. Further the columns of `pick_pilots` and `allocate_budget`.
    """
    drawn, expected = draw_values(assumptions, settings.draws, settings.seed), expected_values(assumptions)
    rows = [_estimate(cell, drawn, expected, assumptions, settings.confidence, days) for _, cell in cells.iterrows()]
    columns = ["assumption", "gain_low", "gain_mid", "gain_high", "cost", "payback_months", "value", "value_low", "value_high", "pays",
               "break_even", "verdict", "lost_per_month"]  # fmt: skip
    types = {c: "str" if c in ("assumption", "verdict") else "float64" for c in columns}
    case = cells.join(pd.DataFrame(rows, index=cells.index, columns=columns).astype(types))
    case = case.assign(reachable=case.customers * case.addressable).join(pick_pilots(case, assumptions))
    case = case.join(allocate_budget(case, assumptions.limits)).sort_values("rank", kind="stable", ignore_index=True)
    months = assumptions.limits.horizons * days / DAYS_PER_MONTH
    return case.assign(best=_place_best(case), months=months, confidence=settings.confidence)


def _estimate(cell: pd.Series, drawn: Values, expected: Values, assumptions: Assumptions, confidence: float, days: int) -> tuple:
    limits, lever, tails = assumptions.limits, assumptions.levers[cell.scenario], [0.5 - confidence / 2, 0.5 + confidence / 2]
    gains, costs = value_cell(cell, drawn, limits)
    gain, cost = value_cell(cell, expected, limits)
    low, high = np.quantile(gains - costs, tails)
    months = limits.horizons * days / DAYS_PER_MONTH
    unit, _ = value_cell(cell, {**expected, f"{cell.scenario}: uplift": 1.0, f"{cell.scenario}: works": 1.0}, limits)
    verdict = "pays" if low > 0 else "loses" if high < 0 else UNDECIDED
    told = f"uplift {lever.uplift.low:.0%} to {lever.uplift.high:.0%} ({lever.uplift.source}); works with a chance of {assumptions.works.low:.0%} to {assumptions.works.high:.0%}"  # fmt: skip
    return (
        told, *np.quantile(gains, tails[:1]), gain, *np.quantile(gains, tails[1:]), cost, cost / gain * months if gain > 0 else np.nan,
        gain - cost, low, high, float((gains > costs).mean()), cost / unit if unit > 0 else np.nan, verdict, max(gain - cost, 0.0) / months,
    )  # fmt: skip


def pick_pilots(case: pd.DataFrame, assumptions: Assumptions) -> pd.DataFrame:
    """case -> power, detectable_uplift, feasibility, pilot_score, by the case's index.

    A pilot treats half of the addressable for one horizon. power: chance to see the lever's most likely uplift at 5 % (two-sided
    z test of means, normal approximation; Cohen 1988); detectable_uplift: what is seen with 80 %. feasibility: addressable share x
    verdict of the segment (pass 1, watch 1/2, fail 0). pilot_score = upside if it works x feasibility x power.
    """
    parts = _pilot_parts(case, assumptions)
    power, detectable = _seen(parts.uplift, parts.base / parts.addressed, np.sqrt(parts.variance) / parts.addressed)
    feasibility = case.addressable * case.stability_verdict.map(FEASIBLE).astype(float)
    score = (case.gain_high - case.cost).clip(lower=0) * feasibility * power
    return pd.DataFrame({"power": power, "detectable_uplift": detectable, "feasibility": feasibility, "pilot_score": score})


def pool_pilots(case: pd.DataFrame, assumptions: Assumptions) -> pd.DataFrame:
    """business_case -> pilots over all segments that get the same treatment: scenario, treatment, segments, addressed, power, detectable_uplift.

    Stratified: customers are compared within their segment. What one segment is too small to show, all together may; the highest
    power first. Segments that fail take part, as nothing is claimed of them alone.
    """
    parts = _pilot_parts(case, assumptions).assign(scenario=case.scenario, treatment=case.treatment)
    pooled = parts.groupby(["scenario", "treatment"]).agg(
        segments=("base", "size"), addressed=("addressed", "sum"), base=("base", "sum"), variance=("variance", "sum"), uplift=("uplift", "first")
    )  # fmt: skip
    power, detectable = _seen(pooled.uplift, pooled.base / pooled.addressed, np.sqrt(pooled.variance) / pooled.addressed)
    pooled = pooled.assign(power=power, detectable_uplift=detectable).drop(columns=["base", "variance"])
    return pooled.sort_values("power", ascending=False, kind="stable").reset_index()


def _pilot_parts(case: pd.DataFrame, assumptions: Assumptions) -> pd.DataFrame:
    """addressed (customers), base (of them), variance of the sum of what half of them spends more; they add up over segments."""
    uplift = case.scenario.map({stage: lever.uplift.mode for stage, lever in assumptions.levers.items()}).astype(float)
    addressed = (case.customers * case.addressable).where(lambda n: n > 0)
    variance = 4 * case.spread**2 * addressed
    return pd.DataFrame({"uplift": uplift, "addressed": addressed, "base": case.base * case.addressable, "variance": variance})


def _seen(uplift: pd.Series, per_uplift: pd.Series, error: pd.Series) -> tuple[pd.Series, pd.Series]:
    """An uplift, what a uplift of 1 moves the mean by, and its standard error -> power, uplift detectable with 80 %."""
    at, strength = stats.norm.ppf(0.975), per_uplift / error.where(error > 0)
    power = stats.norm.cdf(uplift * strength - at) + stats.norm.cdf(-uplift * strength - at)
    detectable = (at + stats.norm.ppf(0.8)) / strength.where(strength > 0)
    return pd.Series(np.nan_to_num(power), index=uplift.index), detectable


def allocate_budget(case: pd.DataFrame, limits: Limits) -> pd.DataFrame:
    """case -> marginal_return, rank, chosen, reason, by the case's index: actions in the order of what one more unit of money brings.

    Taken while money, hours and the segment's share of the budget last, value is expected and the segment has passed its test.
    """
    order = case.assign(marginal_return=case.value / case.cost.where(case.cost > 0))
    order = order.sort_values(["marginal_return", "value"], ascending=False, kind="stable")
    money, hours, spent, rows = limits.budget, limits.capacity_hours, {}, []
    for rank, cell in enumerate(order.itertuples(), 1):
        used = spent.get(cell.segment_id, 0.0)
        reason = _why_not(cell, money, hours, limits.max_share * limits.budget - used, limits)
        if not reason:
            money, hours, spent[cell.segment_id] = money - cell.cost, hours - cell.hours, used + cell.cost
        rows.append((cell.marginal_return, rank, not reason, reason or "within all limits"))
    frame = pd.DataFrame(rows, index=order.index, columns=["marginal_return", "rank", "chosen", "reason"])
    return frame.astype({"chosen": bool, "reason": "str"})


def _why_not(cell: tuple, money: float, hours: float, of_segment: float, limits: Limits) -> str:
    """The first limit that an action breaks; empty where it breaks none."""
    reasons = (
        (cell.value <= 0, "costs more than it is expected to bring"),
        (FEASIBLE[cell.stability_verdict] == 0, "the segment does not survive resampling"),
        (FEASIBLE[cell.stability_verdict] < 1, "the segment has not passed: no budget of its own"),
        (cell.hours > hours, "no hours of work left"),
        (cell.cost > money, "no budget left"),
        (cell.cost > of_segment, f"the segment would get more than {limits.max_share:.0%} of the budget"),
    )
    return next((reason for broken, reason in reasons if broken), "")


def _place_best(case: pd.DataFrame, count: int = 3) -> pd.Series:
    """Place (1, 2, 3; else 0) among the next actions: of most expected value, within all limits; where none is, whatever the limits.

    Left out are segments that do not survive resampling and what costs more than it is expected to bring, so there may be fewer
    than three. An action beyond the limits keeps its `reason`.
    """
    sound = case[(case.stability_verdict.map(FEASIBLE) > 0) & (case.value > 0)]
    sound = sound[sound.chosen] if sound.chosen.any() else sound
    order = sound.sort_values("value", ascending=False, kind="stable").head(count).index
    return pd.Series(range(1, len(order) + 1), index=order, dtype="int64").reindex(case.index, fill_value=0)


def estimate_sensitivity(case: pd.DataFrame, assumptions: Assumptions) -> pd.DataFrame:
    """The best three actions together -> sensitivity (tornado): one assumption at a time at its 5th and 95th percentile, the rest expected.

    Columns: assumption, low, high, value_low, value_high (expected value of the three then), value (all expected), source; the widest
    first. Assumptions that move nothing are left out.
    """
    actions, expected = case[case.best > 0], expected_values(assumptions)
    rows = [
        (name, *_swing(actions, name, prior, expected, assumptions), prior.source) for name, prior in _priors(assumptions).items()
    ]
    columns = ["assumption", "low", "high", "value_low", "value_high", "source"]
    frame = pd.DataFrame(rows, columns=columns).assign(value=_total(actions, expected, assumptions.limits))
    frame = frame.assign(width=(frame.value_high - frame.value_low).abs())
    moved = frame[frame.width > 1e-9].sort_values("width", ascending=False, kind="stable", ignore_index=True)
    return moved.drop(columns="width").astype({"assumption": "str", "source": "str"})


def _swing(actions: pd.DataFrame, name: str, prior: Prior, expected: Values, assumptions: Assumptions) -> tuple[float, ...]:
    ends = prior.quantile(np.array([LOW, HIGH]))
    totals = []
    for end in ends:
        changed = {**expected, name: end}
        if name == WORKS:
            changed |= {f"{stage}: works": end for stage in assumptions.levers}
        totals.append(_total(actions, changed, assumptions.limits))
    return (*ends, *totals)


def _total(actions: pd.DataFrame, values: Values, limits: Limits) -> float:
    pairs = [value_cell(cell, values, limits) for _, cell in actions.iterrows()]
    return float(sum(gain - cost for gain, cost in pairs))


def total_of_best(case: pd.DataFrame, assumptions: Assumptions, settings: KpiSettings) -> dict[str, float]:
    """The best three actions together, drawn together -> value, low, high, pays (chance that it is above 0)."""
    drawn, actions = draw_values(assumptions, settings.draws, settings.seed), case[case.best > 0]
    pairs = [value_cell(cell, drawn, assumptions.limits) for _, cell in actions.iterrows()]
    net = sum((gain - cost for gain, cost in pairs), np.zeros(settings.draws))
    low, high = np.quantile(net, [0.5 - settings.confidence / 2, 0.5 + settings.confidence / 2])
    return {"value": float(actions.value.sum()), "low": float(low), "high": float(high), "pays": float((net > 0).mean())}


def sum_workload(case: pd.DataFrame, limits: Limits) -> pd.DataFrame:
    """business_case -> per channel: actions and hours, of all cells and of the chosen; the last row holds the sums against capacity."""
    table = case.assign(taken=case.hours * case.chosen).groupby("channel").agg(
        actions=("hours", "size"), hours=("hours", "sum"), chosen=("chosen", "sum"), hours_chosen=("taken", "sum"), over_cap=("contacts_over_cap", "sum")
    )  # fmt: skip
    table = table.sort_values("hours", ascending=False).reset_index()
    everything = table.drop(columns="channel").sum().to_dict() | {"channel": "all channels"}
    return pd.concat([table, pd.DataFrame([everything])], ignore_index=True).assign(capacity=limits.capacity_hours)
