"""Rates, sums and decompositions against a plain pandas computation from the events, on 50 generated data sets."""

import datetime as dt
import functools

import numpy as np
import pandas as pd
import pytest
from kpi_company import EVENTS, PERIOD, SETTINGS, event, table_of

from workbench.core.contracts import check_frame
from workbench.core.event_types import ENGAGED, WEB_OR_APP
from workbench.kpis.customer_sums import ATTRIBUTION_DAYS, build_customer_sums, sum_ad_spend
from workbench.kpis.growth import PARTS, split_growth
from workbench.kpis.metrics import estimate_kpis
from workbench.kpis.targets import Targets

IDS = [f"c{i}" for i in range(14)]
# One customer of the hand-made company, so that no data set misses a source altogether.
ANCHOR = [e | {"customer_id": "c0" if e["customer_id"] else None} for e in EVENTS if e["customer_id"] in ("a", None)]
KINDS = {"order": 8, "return": 1, "campaign_sent": 2, "coupon_redeemed": 2, "email_open": 1, "page_view": 1, "survey": 1, "ticket": 1, "ad_spend": 1}  # fmt: skip
CLOSE = {"rtol": 1e-9, "atol": 1e-9}


def generated(seed, count=300):
    """Events in and around the two periods, at any minute, with missing values; and segments of the customers."""
    rng = np.random.default_rng(seed)
    names, weights = list(KINDS), np.array(list(KINDS.values())) / sum(KINDS.values())
    rows = []
    for kind in rng.choice(names, count, p=weights):
        is_line = kind in ("order", "return")
        amount = round(float(rng.gamma(1.5, 12)), 2)
        rows.append(
            event(
                None if kind == "ad_spend" else rng.choice(IDS), PERIOD.end - dt.timedelta(minutes=int(rng.integers(-2000, 70 * 24 * 60))), str(kind),
                order_id=str(rng.choice(["1", "2", "3", "4"])) if is_line and rng.random() < 0.8 else None, category=str(rng.choice(["X", "Y", "Z"])) if rng.random() < 0.8 else None,
                amount=(-amount if kind == "return" else amount) if is_line else None, discount=round(amount / 9, 2) if is_line and rng.random() < 0.5 else None,
                cost=round(amount / 2, 2) if is_line or kind == "ad_spend" else None, campaign_id=str(rng.choice(["k1", "k2"])), machine=bool(rng.random() < 0.05),
                score=float(rng.integers(0, 11)) if kind == "survey" else None,
            )
        )  # fmt: skip
    segments = pd.DataFrame({"customer_id": IDS, "segment_id": rng.integers(-1, 3, len(IDS))})
    return [*rows, *ANCHOR], segments.assign(segment_name=segments.segment_id.map(lambda s: f"segment {s}"))


def plain(rows, segments):
    """customer x columns, in pandas alone: what the KPIs add up."""
    t = pd.DataFrame(rows).astype({"amount": float, "discount": float, "cost": float})
    t = t[t.customer_id.notna() & ~t.machine & (t.occurred_at < PERIOD.end)]
    t["day"] = t.occurred_at.dt.tz_convert(PERIOD.zone).dt.normalize().dt.tz_localize(None)
    t["order"] = t.order_id.fillna(t.occurred_at.astype("str"))
    now, before = t[t.occurred_at >= PERIOD.start], t[(t.occurred_at < PERIOD.start) & (t.occurred_at >= PERIOD.before_start)]
    lines, lines_before = (part[part.event_type.isin(["order", "return"])] for part in (now, before))
    bought, bought_before = lines[lines.event_type == "order"], lines_before[lines_before.event_type == "order"]
    per = functools.partial(pd.DataFrame.groupby, by="customer_id")
    out = pd.DataFrame(index=pd.Index(segments.customer_id, name="customer_id"))
    out["orders"], out["orders_before"] = per(bought)["order"].nunique(), per(bought_before)["order"].nunique()
    out["gross"], out["gross_before"] = per(bought).amount.sum(), per(bought_before).amount.sum()
    out["revenue"], out["revenue_before"] = per(lines).amount.sum(), per(lines_before).amount.sum()
    out["repeat"] = per(bought).day.nunique() > 1
    out["margin"] = per(lines.assign(gain=lines.amount - lines.cost)).gain.sum()
    out["engaged"] = per(now[now.event_type.isin(ENGAGED)]).size() > 0
    out["visitor"] = per(now[now.event_type.isin(WEB_OR_APP)]).size() > 0
    out["is_new"] = per(t[t.event_type == "order"]).occurred_at.min() >= PERIOD.start
    old = set(zip(bought_before.customer_id, bought_before.category, strict=True))
    is_old = np.array([pair in old for pair in zip(bought.customer_id, bought.category, strict=True)])
    fresh = bought[bought.category.notna() & ~is_old]
    out["new_category"] = per(fresh).size() > 0
    sent = now[now.event_type == "campaign_sent"].groupby(["customer_id", "campaign_id"]).occurred_at.min()
    got = now[now.event_type == "coupon_redeemed"].groupby(["customer_id", "campaign_id"]).occurred_at.max()
    out["campaigns_sent"] = sent.groupby("customer_id").size()
    out["campaigns_responded"] = (got.reindex(sent.index) >= sent).groupby("customer_id").sum()
    redeemed = now.loc[now.event_type == "coupon_redeemed", ["customer_id", "day"]].drop_duplicates()
    pairs = bought.reset_index(names="line").merge(redeemed, on="customer_id", suffixes=("", "_redeemed"))
    follows = bought.loc[sorted(set(pairs.line[(pairs.day - pairs.day_redeemed).dt.days.between(0, ATTRIBUTION_DAYS - 1)]))]
    out["attributed_revenue"], out["attributed_discount"] = per(follows).amount.sum(), per(follows).discount.sum()
    answers = now[now.event_type == "survey"].sort_values(["occurred_at", "score"], ascending=[True, False])
    score = per(answers).score.last()
    out = out.astype("float64").fillna(0.0)
    out["promoter"], out["answered"] = 100.0 * ((score >= 9).astype(int) - (score <= 6)), score.notna() * 1.0
    out = out.fillna(0.0)
    out["active"], out["active_before"], out["member"] = (out.orders > 0) * 1.0, (out.orders_before > 0) * 1.0, 1.0
    return out


def rates(t):
    """KPI -> (numerator, denominator) per customer."""
    back = t.active_before
    return {
        "engagement_rate": (t.engaged, t.member), "conversion_rate": (t.visitor * t.active, t.visitor), "aov": (t.gross, t.orders),
        "repeat_rate": (t.repeat, t.active), "lapse_rate": (back * (1 - t.active), back), "retention_rate": (back * t.active, back),
        "penetration": (t.active, t.member), "response_rate": (t.campaigns_responded, t.campaigns_sent),
        "attributed_return": (t.attributed_revenue, t.attributed_discount), "revenue_growth": (t.revenue - t.revenue_before, t.revenue_before),
        "cross_sell_rate": (back * t.new_category, back), "profitability": (t.margin, t.member), "nps": (t.promoter, t.answered),
    }  # fmt: skip


@pytest.mark.parametrize("seed", [pytest.param(s, marks=[] if s < 8 else pytest.mark.slow) for s in range(50)])
def test_the_engine_agrees_with_pandas(seed):
    rows, segments = generated(seed)
    events = table_of(rows, seed)
    sums = build_customer_sums(events, segments.customer_id, PERIOD)
    spend = sum_ad_spend(events, PERIOD)
    found = estimate_kpis(sums, segments, Targets(), SETTINGS, PERIOD.days, spend).set_index(["kpi", "segment_id"])
    wanted = plain(rows, segments)
    place = segments.set_index("customer_id").segment_id
    for kpi, (above, below) in rates(wanted).items():
        parts = pd.DataFrame({"numerator": above, "denominator": below})
        sums_of = pd.concat([parts.groupby(place).sum(), parts.sum().to_frame(-2).T])
        one = found.loc[kpi].loc[sums_of.index]
        np.testing.assert_allclose(one[["numerator", "denominator"]], sums_of, err_msg=kpi, **CLOSE)
        known = sums_of.denominator > 0
        np.testing.assert_allclose(one.value[known], (sums_of.numerator / sums_of.denominator)[known], err_msg=kpi, **CLOSE)
        assert one.value[~known].isna().all(), kpi
    ads = pd.DataFrame([e for e in rows if e["event_type"] == "ad_spend" and PERIOD.start <= e["occurred_at"] < PERIOD.end])
    assert spend == pytest.approx(float(ads.cost.sum()), rel=1e-9)
    if wanted.is_new.sum():
        assert found.value["cac", -2] == pytest.approx(spend / wanted.is_new.sum(), rel=1e-9)
    _growth_reconciles(split_growth(sums, segments), wanted, place)


def _growth_reconciles(growth, wanted, place):
    """Parts add up to the change, segments to the total, and the change is that of the events."""
    check_frame("growth_parts", growth)
    growth = growth.set_index("segment_id")
    change = (wanted.revenue - wanted.revenue_before).groupby(place).sum()
    np.testing.assert_allclose(growth.change.loc[change.index], change, **CLOSE)
    np.testing.assert_allclose(growth[list(PARTS)].sum(axis=1), growth.change, **CLOSE)
    np.testing.assert_allclose(growth.drop(index=-2)[["revenue", "change", *PARTS]].sum(), growth.loc[-2, ["revenue", "change", *PARTS]].astype(float), **CLOSE)  # fmt: skip
    returns = (wanted.revenue - wanted.gross - wanted.revenue_before + wanted.gross_before).groupby(place).sum()
    np.testing.assert_allclose(growth.by_returns.loc[returns.index], returns, **CLOSE)


def test_growth_by_hand():
    sums = pd.DataFrame({"customer_id": ["a", "b", "c"], "orders": [4.0, 0, 0], "orders_before": [1.0, 1, 0], "gross": [80.0, 0, 0], "gross_before": [10.0, 10, 0], "revenue": [75.0, 0, 0], "revenue_before": [10.0, 10, 0], "active": [1.0, 0, 0], "active_before": [1.0, 1, 0]})  # fmt: skip
    segments = pd.DataFrame({"customer_id": ["a", "b", "c"], "segment_id": [0, 0, 1], "segment_name": ["x", "x", "y"]})
    growth = split_growth(sums, segments).set_index("segment_id")
    # Buyers 2 -> 1, orders each 1 -> 4, order value 10 -> 20: the mean over the six orders of change.
    assert growth.loc[0, list(PARTS)].tolist() == pytest.approx([-40.0, 65.0, 35.0, -5.0])
    assert growth.loc[0, "change"] == 55
    assert growth.loc[1, list(PARTS)].tolist() == [0, 0, 0, 0]
    assert split_growth(sums.drop(columns="orders_before"), segments).empty
