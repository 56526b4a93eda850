"""Churn under contract: spells and curve by hand, no bias by censoring, a planted driver, the curve where ends are few."""

import numpy as np
import pandas as pd
import pytest
from feature_events import AS_OF, ZONE, event, table
from lifelines import KaplanMeierFitter

from workbench.core.engine import fetch
from workbench.core.errors import InputError
from workbench.core.stats import wilson
from workbench.features import survival
from workbench.features.survival import ENDED, STARTED

H = 90


def spells_of(rows):
    built = fetch(survival.contract_spells(table(rows), AS_OF, ZONE))
    return built.sort_values(["customer_id", "began"], ascending=[True, False], ignore_index=True)


# AS_OF is 2024-04-15; 1 April lies 14 days before it, 1 March 45, 1 January 105.
CONTRACTS = [
    event("running", "2024-01-01T08:00", STARTED, quantity=12),
    event("running", "2024-03-01T08:00", STARTED, quantity=3),  # more seats
    event("ended", "2024-01-01T08:00", STARTED),
    event("ended", "2024-03-01T08:00", STARTED),
    event("ended", "2024-03-31T08:00", ENDED),
    event("ended", "2024-03-31T08:00", ENDED),
    event("fewer", "2024-01-01T08:00", STARTED),
    event("fewer", "2024-01-01T08:00", STARTED),
    event("fewer", "2024-03-01T08:00", ENDED),
    event("renewed", "2024-01-01T08:00", STARTED),
    event("renewed", "2024-02-29T23:00", ENDED),  # 1 March, 00:00, in Berlin
    event("renewed", "2024-03-02T08:00", STARTED),  # the day after
    event("back", "2024-01-01T08:00", STARTED),
    event("back", "2024-02-29T08:00", ENDED),
    event("back", "2024-04-01T08:00", STARTED),
    event("before records", "2024-02-01T08:00", ENDED),
    event("before records", "2024-03-01T08:00", STARTED),
    event("never", "2024-02-01T08:00", ENDED),
    event("last minute", "2024-04-01T08:00", STARTED),
    event("last minute", "2024-04-14T21:59", ENDED),
    event("one day", "2024-04-01T08:00", STARTED),
    event("one day", "2024-04-01T09:00", ENDED),
    event("orders only", "2024-04-01T08:00", "order", amount=5),
    event(None, "2024-01-01T08:00", STARTED),
]
FUTURE = [
    event("running", "2024-04-14T22:00", ENDED),
    event("running", "2024-04-20T08:00", ENDED),
    event("new", "2024-04-14T22:00", STARTED),
]


def test_spells_by_hand():
    built = spells_of(CONTRACTS + FUTURE)
    expected = [
        ("back", 105, 60, True), ("back", 14, 14, False),
        ("before records", 45, 45, False),
        ("ended", 105, 91, True),
        ("fewer", 105, 105, False),
        ("last minute", 14, 14, True),
        ("one day", 14, 1, True),
        ("renewed", 105, 105, False),
        ("running", 105, 105, False),
    ]  # fmt: skip
    assert list(built.itertuples(index=False, name=None)) == expected


def test_nothing_from_as_of_on_is_seen_and_order_does_not_matter():
    pd.testing.assert_frame_equal(spells_of(CONTRACTS), spells_of((CONTRACTS + FUTURE)[::-1]), check_exact=True)


def test_no_contracts_no_spells():
    assert spells_of([CONTRACTS[-2]]).empty
    assert survival.survival_curve(spells_of([])).empty
    assert survival.records_begin(spells_of([])) is None
    with pytest.raises(InputError, match="No contract"):
        survival.churn_risk(spells_of([]), None, None, None, H)


def known_as_spells(days, ended, began=None):
    began = days if began is None else began
    names = [f"c{k:05d}" for k in range(len(days))]
    return pd.DataFrame({"customer_id": names, "began": began, "days": days, "ended": ended})


def test_curve_by_hand():
    # Freireich et al. 1963, weeks of remission under 6-MP, as every textbook has them: S(6) .857, S(10) .753, S(23) .448.
    days = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
    ended = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    curve = survival.survival_curve(known_as_spells(np.array(days), np.array(ended, bool))).set_index("days")
    by_hand = {0: 1.0, 6: 18 / 21, 7: 18 / 21 * 16 / 17, 10: 18 / 21 * 16 / 17 * 14 / 15, 23: 0.4482}
    for day, value in by_hand.items():
        assert curve.survival[day] == pytest.approx(value, abs=5e-5), day
    assert curve.at_risk[10] == 15
    assert curve.ends[6] == 3
    # Greenwood's error of log(-log S(6)).
    s, error = 18 / 21, np.sqrt(3 / (21 * 18)) / abs(np.log(18 / 21))
    assert curve.ci_low[6] == pytest.approx(s ** np.exp(1.95996 * error), abs=1e-4)
    assert curve.ci_high[6] == pytest.approx(s ** np.exp(-1.95996 * error), abs=1e-4)
    assert (curve.loc[0, ["ci_low", "ci_high"]] == 1).all()


@pytest.mark.parametrize("late", [False, True])
def test_curve_equals_that_of_lifelines(late):
    spells, _ = population(400, seed=8)
    since = 300 if late else None
    entry = np.maximum(spells.began - since, 0) if late else 0 * spells.days
    seen = spells.days > entry
    curve = survival.survival_curve(spells, since, 0.9).set_index("days")
    fitted = KaplanMeierFitter(alpha=0.1).fit(spells.days[seen], spells.ended[seen], entry=entry[seen])
    on = curve.index[(curve.ends > 0) & (curve.survival < 1)]
    assert curve.survival[on].to_numpy() == pytest.approx(fitted.survival_function_.iloc[:, 0][on].to_numpy(), rel=1e-9)
    bounds = fitted.confidence_interval_.loc[on].to_numpy()
    assert curve.loc[on, ["ci_low", "ci_high"]].to_numpy() == pytest.approx(bounds, rel=1e-9)


def test_spells_that_ran_before_ends_were_recorded_enter_late():
    # Three began 100 days ago, ends are known for 50 days: nobody is at risk in the first 50 days of those three.
    spells = known_as_spells(np.array([60, 100, 100, 20, 30]), np.array([1, 0, 0, 1, 0], bool), np.array([100, 100, 100, 40, 30]))
    curve = survival.survival_curve(spells, since_days=50).set_index("days")
    assert curve.at_risk[20] == 2
    assert curve.survival[20] == pytest.approx(1 / 2)
    assert curve.at_risk[60] == 3
    assert curve.survival[60] == pytest.approx(1 / 2 * 2 / 3)


def test_risk_by_the_curve_by_hand():
    # 40 spells: 10 end on day 50, 6 on day 100, the rest run on at day 200.
    days, ended = np.repeat([50, 100, 200], [10, 6, 24]), np.repeat([True, True, False], [10, 6, 24])
    curve = survival.survival_curve(known_as_spells(days, ended))
    risk, low, high = survival.curve_risk(curve, np.array([0, 60, 110, 900]), 90)
    assert risk == pytest.approx([1 - np.exp(-10 / 40), 1 - np.exp(-6 / 30), 0, 0])
    share = wilson((1 - np.exp([-10 / 40, -6 / 30, 0, 0])) * [40, 30, 24, 24], [40, 30, 24, 24])
    assert low == pytest.approx(share[0])
    assert high == pytest.approx(share[1])


def population(n, seed, effect=0.0, hazard=1 / 400):
    """Constant hazard, times exp(effect x): starts over 1000 days -> spells at as_of and x."""
    rng = np.random.default_rng(seed)
    x, began = rng.normal(size=n), rng.integers(1, 1000, n)
    life = np.ceil(rng.exponential(1 / (hazard * np.exp(effect * x)))).astype(int)
    spells = known_as_spells(np.minimum(life, began), life <= began, began)
    return spells, pd.DataFrame({"customer_id": spells.customer_id, "x": x, "noise": rng.normal(size=n), "constant": 1.0})


def test_censoring_leaves_no_bias():
    curves, naive = [], []
    for seed in range(20):
        spells, _ = population(800, seed)
        curve = survival.survival_curve(spells)
        curves.append(curve[curve.days <= 365].survival.iloc[-1])
        naive.append(1 - (spells.ended & (spells.days <= 365)).mean())
    true = np.exp(-365 / 400)
    assert np.mean(curves) == pytest.approx(true, abs=0.01)
    assert np.mean(naive) > true + 0.07  # running spells taken for stayers


def test_contracts_listed_only_while_they_run_leave_no_bias():
    spells, _ = population(20_000, seed=1)
    listed = spells[(spells.began - spells.days < 300) | ~spells.ended]  # set up 300 days ago
    true = np.exp(-365 / 400)
    late = survival.survival_curve(listed, survival.records_begin(listed))
    blind = survival.survival_curve(listed)
    at = [curve[curve.days <= 365].survival.iloc[-1] for curve in (late, blind)]
    assert at[0] == pytest.approx(true, abs=0.02)
    assert at[1] > true + 0.1


def test_under_contract_one_horizon_ago():
    spells = known_as_spells(
        np.array([200, 150, 40, 30, 110]), np.array([1, 0, 0, 1, 1], bool), np.array([250, 150, 40, 200, 200])
    )
    past = survival.under_contract(spells, H, H).set_index("customer_id")
    # c2 began later, c3 had ended before; c4 was free again exactly on that day.
    assert list(past.index) == ["c00000", "c00001"]
    assert list(past.tenure) == [160, 60]
    assert list(past.days) == [40, 90]
    assert list(past.ended) == [True, False]
    assert list(survival.under_contract(spells, 0, H).customer_id) == ["c00001", "c00002"]


@pytest.fixture(scope="module")
def planted():
    spells, features = population(6000, seed=3, effect=0.8)
    return spells, features, survival.churn_risk(spells, features, features, features, H)


def test_a_planted_driver_is_found(planted):
    churn = planted[2]
    assert churn.method == survival.MODEL
    assert churn.drivers.feature[0] == "x"
    assert churn.drivers.effect[0] == pytest.approx(0.8, abs=0.2)
    assert churn.drivers.ci_low[0] > 0
    noise = churn.drivers.set_index("feature").loc["noise"]
    assert noise.ci_low < 0 < noise.ci_high
    assert churn.concordance > 0.65


def test_risks_are_calibrated_and_intervals_hold_the_truth(planted):
    spells, features, churn = planted
    running = spells[~spells.ended]
    assert sorted(churn.risks.customer_id) == sorted(running.customer_id)
    x = features.set_index("customer_id").x[churn.risks.customer_id].to_numpy()
    true = 1 - np.exp(-H / 400 * np.exp(0.8 * x))
    assert churn.risks.churn_risk.mean() == pytest.approx(true.mean(), rel=0.15)
    assert ((churn.risks.ci_low <= true) & (true <= churn.risks.ci_high)).mean() > 0.8
    assert (churn.risks.ci_low <= churn.risks.churn_risk).all()
    assert (churn.risks.churn_risk <= churn.risks.ci_high).all()


def test_rows_in_another_order_and_unknown_customers(planted):
    spells, features, churn = planted
    mixed = [frame.sample(frac=1, random_state=k) for k, frame in enumerate([spells, features, features])]
    again = survival.churn_risk(*mixed, None, H)
    pd.testing.assert_frame_equal(churn.risks, again.risks, rtol=1e-6)
    assert np.isnan(again.concordance)
    unknown = survival.churn_risk(spells, features.head(0), features, None, H)
    assert unknown.risks.churn_risk.between(0.01, 0.5).all()


def test_with_few_ends_the_curve_speaks_for_all():
    spells, features = population(300, seed=5, hazard=1 / 8000)
    churn = survival.churn_risk(spells, features, features, features, H)
    assert churn.method == survival.CURVE
    assert churn.reason.startswith(f"Only {churn.ends} contracts ended")
    assert churn.drivers.empty
    assert np.isnan(churn.concordance)
    true = 1 - np.exp(-H / 8000)
    assert ((churn.risks.ci_low <= true) & (true <= churn.risks.ci_high)).mean() > 0.9
    assert churn.risks.churn_risk.mean() == pytest.approx(true, abs=0.01)


def test_without_any_end_the_upper_bound_still_says_what_is_possible():
    churn = survival.churn_risk(known_as_spells(np.full(50, 400), np.zeros(50, bool)), *[FRAME] * 2, None, H)
    assert (churn.risks.churn_risk == 0).all()
    assert (churn.risks.ci_high > 0.05).all()
    young = survival.churn_risk(known_as_spells(np.full(50, 30), np.zeros(50, bool)), *[FRAME] * 2, None, H)
    assert young.risks.churn_risk.isna().all()  # nobody has been seen for a whole horizon


FRAME = pd.DataFrame({"customer_id": ["c00000"], "x": [1.0]})
