"""Every KPI as a declaration, and one way to estimate them all: sums over sums, so segments add up to the total."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import stats

from workbench.core.config import KpiSettings, Strict
from workbench.core.stats import clustered_wilson, ratio_intervals, wilson

TOTAL, TOTAL_NAME = -2, "all customers"
NOT_COMPUTABLE = "not computable: "
FEWEST = 10
FEWEST_RESAMPLED = (
    20  # customers below which resampling covers skewed money less often than it says (tests/kpis/test_kpi_coverage.py)
)
FEWEST_BESIDE_ZERO = (
    5  # customers with anything in the numerator; one redeemer among hundreds is resampled into an upper bound that is hers
)
FEWEST_JUDGED = 30  # customers that a figure rests on; fewer decide no goal, whatever their interval
COST_COVERAGE = 0.99
PROMOTER, DETRACTOR = 9, 6


@dataclass(frozen=True)
class Kpi:
    """One KPI: sum(numerator) / sum(denominator) over the customers of a segment.

    unit: share, change, money, ratio, points. interval: wilson (counts), bootstrap (over customers), computed (a formula
    of its own). better: higher or lower. needs: columns of the customer sums. empty: why there is no value where the
    denominator is not positive. {days} in the texts is the length of the period.
    """

    kpi: str
    name: str
    unit: str
    definition: str
    numerator: str
    denominator: str
    interval: str
    better: str
    needs: tuple[str, ...]
    empty: str = "nobody in the segment"


@dataclass(frozen=True)
class Returns:
    """What experiments tell of campaigns (see `incremental_returns`).

    by_customer: customer_id, incremental_margin with its variance, and campaign_cost of treated customers, to be summed; None where there
    is nothing to sum, for the reason given. silent: segment -> why it has no return of its own, although its customers count in
    the total.
    """

    by_customer: pd.DataFrame | None = None
    reason: str = "no holdout group; attributed revenue is shown apart"
    silent: Mapping[int, str] = field(default_factory=dict)


KPIS = (
    Kpi("engagement_rate", "engaged customers", "share", "customers who opened or clicked e-mails, browsed the website, used the app or the product, came to webinars or engaged socially in the last {days} days, of all customers; a login alone and what machines did are not counted",
        "engaged", "member", "wilson", "higher", ("engaged",)),
    Kpi("conversion_rate", "visitors who ordered", "share", "users of website, app or product who ordered anywhere in the last {days} days, of all such users; the visit need not have led to the order",
        "visitor_bought", "visitor", "wilson", "higher", ("visitor", "orders"), "nobody used website, app or product"),
    Kpi("interest_rate", "visitors who looked at offers", "share", "users of website, app or product who searched, looked at an offer, made a list or filled a cart in the last {days} days, of all such users",
        "looked", "visitor", "wilson", "higher", ("looked", "visitor"), "nobody used website, app or product"),
    Kpi("cart_rate", "of these, who filled a cart", "share", "users who put something into a cart or went to the checkout in the last {days} days, of those who searched, looked at an offer, made a list or filled a cart",
        "carted", "looked", "wilson", "higher", ("carted", "looked"), "nobody searched or looked at offers"),
    Kpi("cart_order_rate", "of these, who ordered", "share", "users who filled a cart and ordered anywhere in the last {days} days, of those who filled a cart; the order need not be of that cart",
        "cart_bought", "carted", "wilson", "higher", ("carted", "orders"), "nobody filled a cart"),
    Kpi("aov", "average order value", "money", "money received for the orders of the last {days} days over their number; returns not deducted",
        "gross", "orders", "bootstrap", "higher", ("orders",), "no orders in the period"),
    Kpi("repeat_rate", "repeat customers", "share", "customers who ordered on two or more different days of the last {days}, of those who ordered",
        "repeat", "active", "wilson", "higher", ("orders",), "no orders in the period"),
    Kpi("clv", "expected spend per customer, next {days} days", "money", "predicted spend of the next {days} days per customer; the interval says who is in the segment, not how wrong the prediction may be, so it decides no goal",
        "expected_spend", "expected", "bootstrap", "higher", ("expected_spend",), "no prediction for these customers"),
    Kpi("lapse_rate", "lapsed customers", "share", "customers who ordered in the {days} days before but not in the last {days}, of those who ordered in the {days} days before, and a pause between orders is no farewell; customers with contracts instead: who had one running {days} days ago and have none now",
        "lapsed", "stood_before", "wilson", "lower", ("orders", "orders_before"), "nobody ordered in the period before"),
    Kpi("retention_rate", "retained customers", "share", "customers who ordered in the {days} days before and again in the last {days}, of those who ordered in the {days} days before; customers with contracts instead: who had one running then and have one now; lapsed and retained add up to 100 %",
        "retained", "stood_before", "wilson", "higher", ("orders", "orders_before"), "nobody ordered in the period before"),
    Kpi("penetration", "customers who ordered", "share", "customers who ordered in the last {days} days, of all customers; members of a segment ordered in the window of the features, so theirs is high by construction",
        "active", "member", "wilson", "higher", ("orders",)),
    Kpi("response_rate", "campaigns answered by a redemption", "share", "campaigns sent to a customer in the last {days} days whose offer the customer redeemed by the end of them, of all campaigns sent; late campaigns had less time",
        "campaigns_responded", "campaigns_sent", "computed", "higher", ("campaigns_sent", "campaigns_responded"), "no campaign was sent"),
    Kpi("campaign_roi", "incremental campaign return", "ratio", "additional margin that the campaigns of experiments caused over what they cost; needs a randomly chosen group that got no campaign",
        "incremental_margin", "campaign_cost", "computed", "higher", ("incremental_margin",), "nobody in the segment was in the treated arm of an experiment"),
    Kpi("attributed_return", "attributed revenue per unit of discount", "ratio", "revenue of the 14 days from a redemption on over the discount given on the same orders; attributed, not caused: much of it would have been bought anyway",
        "attributed_revenue", "attributed_discount", "bootstrap", "higher", ("attributed_discount",), "no discounted order followed a redemption"),
    Kpi("revenue_growth", "revenue growth", "change", "net revenue of the last {days} days less that of the {days} days before, over the latter; seasons are not removed",
        "revenue_change", "revenue_before", "bootstrap", "higher", ("orders", "orders_before"), "no revenue in the period before"),
    Kpi("cac", "acquisition cost", "money", "advertising cost of the last {days} days over customers whose first order in the data falls in them; the cost is spread over new customers evenly, so every segment shows the same figure",
        "ad_spend", "is_new", "computed", "lower", ("orders", "orders_before", "ad_spend"), "no new customers in the period"),
    Kpi("cross_sell_rate", "customers who bought a new category", "share", "customers who bought in the last {days} days a category that they had not bought in the {days} days before, of those who ordered in the {days} days before",
        "cross_sold", "active_before", "wilson", "higher", ("orders", "orders_before", "new_category"), "nobody ordered in the period before"),
    Kpi("profitability", "margin per customer", "money", "money received less cost of goods in the last {days} days, returns deducted, over all customers; published where at least 99 % of the lines have a cost",
        "margin", "member", "bootstrap", "higher", ("orders", "margin")),
    Kpi("contribution", "margin per customer after service", "money", "money received less cost of goods and of service contacts, at the stated cost of one, in the last {days} days, returns deducted, over all customers; published where at least 99 % of the lines have a cost",
        "contribution", "member", "bootstrap", "higher", ("orders", "margin", "tickets", "contribution")),
    Kpi("nps", "net promoter score", "points", "answers of 9 or 10 less answers of 0 to 6, in points per 100 answers; last answer per customer (of an account: of anybody there) in the last {days} days",
        "nps_points", "answered", "computed", "higher", ("score",), "no survey answers"),
)  # fmt: skip

PREDICTED = ("clv",)
WHY_MISSING = {
    "orders": "no orders in the period",
    "orders_before": "the orders do not reach back over the period before",
    "new_category": "the order lines carry no category",
    "margin": "no order line has a cost",
    "engaged": "no activity by e-mail, in website, app or product, or on social media in the period",
    "looked": "no searches, offers looked at, lists or carts in the period",
    "carted": "no carts are recorded in the period",
    "tickets": "no service contacts are recorded in the period",
    "contribution": "no cost of a service contact is stated (kpis.cost_per_ticket)",
    "visitor": "no activity in website, app or product in the period",
    "campaigns_sent": "no campaigns were sent in the period",
    "campaigns_responded": "no redemptions are recorded in the period",
    "attributed_discount": "no redemptions with discounted orders are recorded in the period",
    "score": "no survey answers in the period",
    "expected_spend": "no predicted spend was given",
    "ad_spend": "no advertising cost is recorded in the period",
    "incremental_margin": Returns().reason,
}


def estimate_kpis(
    sums: pd.DataFrame, segments: pd.DataFrame, targets: Strict, settings: KpiSettings, days: int, ad_spend: float | None = None,
    returns: Returns | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Customer sums + segments (customer_id, segment_id, segment_name) -> the `kpis` table, one row per segment and KPI.

    segment_id -2 is everybody, unassigned (-1) included. value, ci_low, ci_high, target: in the KPI's unit; numerator and
    denominator add up over segments. n: customers who contribute. Extra columns: segment_name, name, unit, definition,
    better, confidence and versus_total (above / below where the interval excludes the total's value, else alike; empty for predictions). days: length of the period; ad_spend: its advertising cost; returns: what experiments tell
    of campaigns (see `incremental_returns`).
    """
    table = _by_customer(sums, segments, ad_spend, settings.cost_per_ticket)
    returns = returns or Returns()
    if returns.by_customer is not None:
        table = table.merge(returns.by_customer, on="customer_id", how="left", validate="one_to_one")
    goals = targets.model_dump()
    frame = pd.concat([_estimate(kpi, table, goals[kpi.kpi], settings, days, returns) for kpi in KPIS])
    return frame.sort_values("segment_id", kind="stable", ignore_index=True)


def _by_customer(
    sums: pd.DataFrame, segments: pd.DataFrame, ad_spend: float | None, cost_per_ticket: float
) -> pd.DataFrame:  # fmt: skip
    """One row per customer of `segments`: the sums, and the columns that follow from them."""
    known = segments[["customer_id", "segment_id", "segment_name"]]
    table = known.merge(sums, on="customer_id", how="left", validate="one_to_one").sort_values("customer_id", ignore_index=True)
    derived = {
        "visitor_bought": (("visitor", "orders"), lambda t: t.visitor * t.active),
        "cart_bought": (("carted", "orders"), lambda t: t.carted * t.active),
        "stood_before": (("orders", "orders_before"), lambda t: _standing(t, "_before")),
        "lapsed": (("orders", "orders_before"), lambda t: t.stood_before * (1 - _standing(t))),
        "retained": (("orders", "orders_before"), lambda t: t.stood_before * _standing(t)),
        "revenue_change": (("orders", "orders_before"), lambda t: t.revenue - t.revenue_before),
        "cross_sold": (("orders_before", "new_category"), lambda t: t.active_before * t.new_category),
        "expected": (("expected_spend",), lambda t: t.expected_spend.notna().astype("float64")),
        "nps_points": (("score",), lambda t: 100.0 * ((t.score >= PROMOTER).astype("float64") - (t.score <= DETRACTOR))),
        "answered": (("score",), lambda t: t.score.notna().astype("float64")),
    }
    if cost_per_ticket:
        derived["contribution"] = (("margin", "tickets"), lambda t: t.margin - cost_per_ticket * t.tickets)
    table = table.assign(member=1.0, **{name: rule for name, (needs, rule) in derived.items() if set(needs) <= set(table)})
    return table if ad_spend is None or "is_new" not in table else table.assign(ad_spend=_spread(ad_spend, table.is_new))


def _standing(table: pd.DataFrame, when: str = "") -> pd.Series:
    """1 for who is a customer: by a running contract for those who ever had one, by orders of the period for all others."""
    ordered = table[f"active{when}"]
    return table[f"bound{when}"].fillna(ordered) if f"bound{when}" in table else ordered


def _spread(spend: float, is_new: pd.Series) -> pd.Series:
    """A total cost spread evenly over new customers; 0 for everybody where nobody is new."""
    return is_new * (spend / max(is_new.sum(), 1.0))


def _estimate(
    kpi: Kpi, table: pd.DataFrame, goal: float | None, settings: KpiSettings, days: int, returns: Returns
) -> pd.DataFrame:
    """One KPI for the total and every segment."""
    absent = next((column for column in kpi.needs if column not in table), None)
    cells = cells_of(table)
    if absent:
        reason = (WHY_MISSING | {"incremental_margin": returns.reason})[absent]
        cells = cells.assign(
            value=np.nan, ci_low=np.nan, ci_high=np.nan, n=0, numerator=np.nan, denominator=np.nan, reason=reason
        )
    else:
        cells = _values(kpi, cells, table)
        cells = _silenced(cells, returns.silent) if kpi.kpi == "campaign_roi" else cells
        cells = _bounds(kpi, cells, table, settings)
    cells["target"] = np.nan if goal is None else float(goal)
    cells["status"] = _status(cells, kpi)
    cells["versus_total"] = "" if kpi.kpi in PREDICTED else versus_total(cells)
    words = {
        "kpi": kpi.kpi,
        "name": kpi.name.format(days=days),
        "unit": kpi.unit,
        "definition": kpi.definition.format(days=days),
        "better": kpi.better,
    }
    cells = cells.assign(**words, confidence=settings.confidence)
    return cells[["segment_id", "kpi", "value", "ci_low", "ci_high", "n", "numerator", "denominator", "target", "status",
                  "segment_name", "name", "unit", "definition", "better", "confidence", "versus_total"]]  # fmt: skip


def cells_of(table: pd.DataFrame) -> pd.DataFrame:
    """The total, then the segments in order: segment_id, segment_name."""
    named = table[["segment_id", "segment_name"]].drop_duplicates("segment_id").sort_values("segment_id")
    total = pd.DataFrame({"segment_id": [TOTAL], "segment_name": pd.Series([TOTAL_NAME], dtype="str")})
    return pd.concat([total, named], ignore_index=True)


def total_and_parts(values: np.ndarray, segment: pd.Series, cells: pd.DataFrame) -> np.ndarray:
    """Sums of the values for the total and every segment of `cells`; the total is the sum of the segments' sums, to the last digit."""
    parts = pd.Series(values).groupby(segment.to_numpy()).sum()
    return np.concatenate([[parts.sum()], parts.reindex(cells.segment_id[1:]).to_numpy()])


def _values(kpi: Kpi, cells: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """cells + numerator, denominator, value, n and the reason where there is no value."""
    above, below = table[kpi.numerator].fillna(0.0), table[kpi.denominator].fillna(0.0)
    parts = pd.DataFrame(
        {"segment_id": table.segment_id, "numerator": above, "denominator": below, "n": (above != 0) | (below != 0)}
    )
    sums = parts.groupby("segment_id").sum()
    # The total is the sum of the segments' sums, so the two add up to the last digit.
    sums.loc[TOTAL] = sums.sum()
    cells = cells.join(sums, on="segment_id").astype({"n": "int64"})
    cells["value"] = cells.numerator / cells.denominator.where(cells.denominator > 0)
    cells["reason"] = np.where(cells.value.isna(), kpi.empty, "")
    return _covered(cells, table) if kpi.kpi in ("profitability", "contribution") else cells


def _silenced(cells: pd.DataFrame, silent: Mapping[int, str]) -> pd.DataFrame:
    """Take a return away where the segment cannot have one of its own; its customers stay in the total."""
    why = cells.segment_id.map(silent)
    cells = cells.assign(reason=cells.reason.where(why.isna(), why))
    cells.loc[why.notna(), ["numerator", "denominator", "value"]] = np.nan
    return cells


def _covered(cells: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Take the margin away where too few lines have a cost: a part of the margin would pass for the whole."""
    lines = table.groupby("segment_id")[["cost_lines", "lines"]].sum()
    lines.loc[TOTAL] = lines.sum()
    share = cells.segment_id.map((lines.cost_lines / lines.lines.where(lines.lines > 0)).fillna(1.0))
    thin = share < COST_COVERAGE
    reasons = share.map(lambda s: f"a cost is known for {s:.1%} of the lines, 99 % are needed")
    cells = cells.assign(reason=cells.reason.where(~thin, reasons))
    cells.loc[thin, ["numerator", "denominator", "value"]] = np.nan
    return cells


def _bounds(kpi: Kpi, cells: pd.DataFrame, table: pd.DataFrame, settings: KpiSettings) -> pd.DataFrame:
    """cells + ci_low, ci_high; missing where there is no value or nothing to judge its precision by."""
    match kpi.interval:
        case "wilson":
            low, high = wilson(cells.numerator, cells.denominator, settings.confidence)
        case "bootstrap":
            low, high = _bootstrap(kpi, cells, table, settings)
        case _:
            low, high = COMPUTED[kpi.kpi](cells, table, settings.confidence)
    known = cells.value.notna().to_numpy()
    return cells.assign(ci_low=np.where(known, low, np.nan), ci_high=np.where(known, high, np.nan))


def _bootstrap(kpi: Kpi, cells: pd.DataFrame, table: pd.DataFrame, settings: KpiSettings) -> tuple[np.ndarray, np.ndarray]:
    above, below = table[kpi.numerator].fillna(0.0).to_numpy(), table[kpi.denominator].fillna(0.0).to_numpy()
    return bootstrap_bounds(above, below, table.segment_id, cells, settings)


def bootstrap_bounds(
    above: np.ndarray, below: np.ndarray, segment: pd.Series, cells: pd.DataFrame, settings: KpiSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of sum(above) / sum(below) for the total and every segment of `cells` (with n), resampling customers."""
    groups = cells.segment_id[1:].searchsorted(segment)
    once = (settings.bootstraps, settings.confidence, settings.seed)
    total = ratio_intervals(above, below, np.zeros(len(above), int), 1, *once)
    each = ratio_intervals(above, below, groups, len(cells) - 1, *once)
    low, high = (np.concatenate(pair) for pair in zip(total, each, strict=True))
    # Resampling a handful of customers, or customers who are nearly all alike, pretends to a precision that is not there.
    others = total_and_parts((above != 0) * 1.0, segment, cells)
    blind = (cells.n.to_numpy() < FEWEST_RESAMPLED) | (others < FEWEST_BESIDE_ZERO) | (low == high)
    return np.where(blind, np.nan, low), np.where(blind, np.nan, high)


def _cac_interval(cells: pd.DataFrame, table: pd.DataFrame, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Cost over the exact Poisson bounds of the number of new customers (Garwood 1936); the same for every segment."""
    new, tail = cells.denominator.iloc[0], (1 - confidence) / 2
    fewest, most = stats.chi2.ppf(tail, 2 * new) / 2, stats.chi2.ppf(1 - tail, 2 * new + 2) / 2
    low, high = (cells.numerator.iloc[0] / bound if new > 0 else np.nan for bound in (most, fewest))
    return np.full(len(cells), low), np.full(len(cells), high)


def _nps_interval(cells: pd.DataFrame, table: pd.DataFrame, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Adjusted Wald interval with three added answers: 3/4 promoters, 3/4 detractors, 3/2 between (Rocks 2016)."""
    decided = (table.nps_points != 0).groupby(table.segment_id).sum()
    decided.loc[TOTAL] = decided.sum()
    n = cells.denominator + 3
    net, spread = cells.numerator / 100 / n, (cells.segment_id.map(decided) + 1.5) / n
    half = stats.norm.ppf(0.5 + confidence / 2) * np.sqrt((spread - net**2) / n)
    return (100 * (net - half)).clip(lower=-100).to_numpy(), (100 * (net + half)).clip(upper=100).to_numpy()


def _response_interval(cells: pd.DataFrame, table: pd.DataFrame, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval for campaigns that come in customers (`clustered_wilson`); missing where one customer alone got any."""
    answered, sent = table.campaigns_responded.fillna(0.0).to_numpy(), table.campaigns_sent.fillna(0.0).to_numpy()
    total = clustered_wilson(answered, sent, np.zeros(len(table), int), 1, confidence)
    each = clustered_wilson(answered, sent, cells.segment_id[1:].searchsorted(table.segment_id), len(cells) - 1, confidence)
    low, high = (np.concatenate(pair) for pair in zip(total, each, strict=True))
    return low, high


def _return_interval(cells: pd.DataFrame, table: pd.DataFrame, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Student's t interval of the margin caused, over the cost, by its variance over customers of both arms.

    Degrees of freedom after Welch (1947) and Satterthwaite (1946): the smaller arm decides.
    """
    sums = table[["incremental_variance", "incremental_loss"]].fillna(0.0).groupby(table.segment_id).sum()
    sums.loc[TOTAL] = sums.sum()
    variance, loss = (sums[c].reindex(cells.segment_id).to_numpy() for c in sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        half = stats.t.ppf(0.5 + confidence / 2, variance**2 / loss) * np.sqrt(variance) / cells.denominator
    return (cells.value - half).to_numpy(), (cells.value + half).to_numpy()


COMPUTED = {"campaign_roi": _return_interval, "cac": _cac_interval, "nps": _nps_interval, "response_rate": _response_interval}


def _status(cells: pd.DataFrame, kpi: Kpi) -> np.ndarray:
    """The verdict in words; undecided stay values without an interval, of fewer than 30 customers, and predictions: their interval is not
    that of their error."""
    good, bad = (cells.ci_low >= cells.target, cells.ci_high < cells.target)
    if kpi.better == "lower":
        good, bad = cells.ci_high <= cells.target, cells.ci_low > cells.target
    decides = (cells.n >= FEWEST_JUDGED) & (kpi.kpi not in PREDICTED)
    good, bad = good & decides, bad & decides
    unknown = cells.value.isna()
    cases = [unknown, cells.target.isna(), good, bad]
    words = [NOT_COMPUTABLE + cells.reason, "no target", "on target", "below target"]
    return pd.Series(np.select(cases, words, default="undecided"), dtype="str")


def versus_total(cells: pd.DataFrame) -> pd.Series:
    """above / below where a segment's interval excludes the total's value, alike where it does not; empty for the total."""
    total = cells.value.iloc[0]
    cases = [
        cells.segment_id == TOTAL,
        cells.ci_low > total,
        cells.ci_high < total,
        cells.ci_low.notna() & (cells.segment_id != TOTAL),
    ]
    return pd.Series(np.select(cases, ["", "above", "below", "alike"], default=""), dtype="str")
