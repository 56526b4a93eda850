"""BG/NBD and Gamma-Gamma: published estimates, recovered parameters, honest intervals, and a choice made out of time."""

import datetime as dt
import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from feature_events import AS_OF, ZONE, engine, event, order, table
from scipy import special, stats

from workbench.core.engine import as_table, fetch
from workbench.core.errors import InputError
from workbench.features import clv
from workbench.features.window import Window

LIFETIMES = importlib.util.find_spec("lifetimes")
with_cdnow = pytest.mark.skipif(LIFETIMES is None, reason="CDNOW comes with the optional package lifetimes")
TRUE = {"r": 0.8, "alpha": 6.0, "a": 0.9, "b": 3.0}


def cdnow(name):
    return Path(next(iter(LIFETIMES.submodule_search_locations))) / "datasets" / name


def simulate(n, weeks, seed, r=0.8, alpha=6.0, a=0.9, b=3.0, oldest=52):
    """A BG/NBD population -> histories, orders of the next `weeks`, whether alive."""
    rng = np.random.default_rng(seed)
    rate, leave, age = rng.gamma(r, 1 / alpha, n), rng.beta(a, b, n), rng.uniform(1, oldest, n)
    last_order = rng.geometric(np.maximum(leave, 1e-12))  # the order after which they leave
    rows = []
    for k in range(n):
        times = np.sort(rng.uniform(0, age[k] + weeks, rng.poisson(rate[k] * (age[k] + weeks))))[: last_order[k]]
        known = times[times < age[k]]
        rows.append((len(known), known[-1] if len(known) else 0.0, age[k], len(times) - len(known), len(known) < last_order[k]))
    frame = pd.DataFrame(rows, columns=["frequency", "recency", "age", "orders", "alive"])
    frame.insert(0, "customer_id", [f"c{k:06d}" for k in range(n)])
    return frame[["customer_id", "frequency", "recency", "age"]].assign(mean_value=np.nan), frame.orders, frame.alive


@pytest.fixture(scope="module")
def population():
    return simulate(6000, 26, seed=1)


@pytest.fixture(scope="module")
def model(population):
    return clv.fit_orders(population[0])


# -- published figures -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample():
    frame = pd.read_csv(cdnow("cdnow_customers_summary_with_transactions.csv"))
    return frame.set_axis(["customer_id", "frequency", "recency", "age", "mean_value"], axis=1)


@with_cdnow
def test_bg_nbd_gives_the_published_estimates_of_cdnow(sample):
    fitted = clv.fit_orders(sample)
    assert (fitted.r, fitted.alpha, fitted.a, fitted.b) == pytest.approx((0.243, 4.414, 0.793, 2.426), abs=5e-4)
    assert fitted.log_likelihood == pytest.approx(-9582.4, abs=0.05)
    # The paper's own example: two repeat orders, the last in week 30.43 of 38.86, are followed by 1.226 in 39 weeks.
    assert fitted.expected(sample.head(1), 39)[0] == pytest.approx(1.226, abs=5e-4)


@with_cdnow
def test_gamma_gamma_gives_the_published_estimates_of_cdnow(sample):
    assert (sample.frequency > 0).sum() == 946
    fitted = clv.fit_values(sample)
    assert (fitted.p, fitted.q, fitted.v) == pytest.approx((6.25, 3.74, 15.44), abs=0.01)
    assert fitted.mean == pytest.approx(35.17, abs=0.02)


def as_events(lines):
    """Lines of CDNOW (customer, day, amount; texts) -> events."""
    moments = pa.array(pd.to_datetime(lines.day, format="%Y%m%d").dt.tz_localize("UTC"))
    amounts = pa.array(lines.amount).cast(pa.decimal128(18, 4))
    columns = {"customer_id": lines.customer, "occurred_at": moments, "event_type": ["order"] * len(lines), "amount": amounts}
    return as_table(engine(), pa.table(columns), "cdnow")


@with_cdnow
def test_histories_of_cdnow_equal_the_published_ones(sample):
    names = ["master_id", "customer", "day", "discs", "amount"]
    lines = pd.read_csv(cdnow("CDNOW_sample.txt"), sep=r"\s+", names=names, dtype=str)
    built = fetch(clv.order_history(as_events(lines), dt.date(1997, 10, 1), "UTC").order_by("customer_id"))
    for name in ("frequency", "recency", "age"):
        assert built[name].to_numpy() == pytest.approx(sample[name].to_numpy(), abs=0.006), name
    assert built.mean_value.fillna(0).to_numpy() == pytest.approx(sample.mean_value.to_numpy(), abs=0.006)
    assert clv.fit_orders(built).r == pytest.approx(0.243, abs=5e-4)


@with_cdnow
def test_cdnow_holdout_of_39_weeks():
    names = ["customer", "day", "discs", "amount"]
    lines = pd.read_csv(cdnow("CDNOW_master.txt"), sep=r"\s+", skiprows=1, names=names, dtype=str)
    events = as_events(lines)
    history = fetch(clv.order_history(events, dt.date(1997, 10, 1), "UTC"))
    horizon = Window(dt.date(1998, 7, 1), 273, "UTC")
    actual = fetch(clv.purchase_days(events, horizon)).set_index("customer_id").orders.reindex(history.customer_id).fillna(0)
    expected = clv.fit_orders(history).expected(history, 39)
    assert len(history) == 23_570
    assert abs(expected - actual.to_numpy()).mean() <= 0.82
    assert abs(expected.sum() / actual.sum() - 1) <= 0.15


# -- the model ---------------------------------------------------------------------------------------------------------


def test_parameters_are_recovered(model):
    errors = np.log([getattr(model, name) / value for name, value in TRUE.items()])
    assert (abs(errors) < 3 * np.sqrt(np.diag(model.covariance))).all()
    assert (abs(errors) < 0.4).all()
    assert model.at_bound == ()


def test_expectation_equals_the_papers_formula(model):
    history = pd.DataFrame({"frequency": [0, 1, 2, 9], "recency": [0, 0.5, 20, 38], "age": [10, 40, 21, 39.0]})
    r, alpha, a, b = model.r, model.alpha, model.a, model.b
    x, last, age = history.to_numpy(float).T
    for weeks in (1, 26, 104):
        top = 1 - ((alpha + age) / (alpha + age + weeks)) ** (r + x) * special.hyp2f1(
            r + x, b + x, a + b + x - 1, weeks / (alpha + age + weeks)
        )
        bottom = 1 + (x > 0) * a / (b + x - 1) * ((alpha + age) / (alpha + last)) ** (r + x)
        assert model.expected(history, weeks) == pytest.approx((a + b + x - 1) / (a - 1) * top / bottom, rel=1e-9)


def test_expectation_of_frequent_buyers_near_a_of_one_stays_sound():
    model = clv.OrderModel(0.5, 2.0, 1.0, 5.0, np.eye(4) / 100, 0.0)
    history = pd.DataFrame({"frequency": [0, 300, 3000], "recency": [0, 99, 99.0], "age": [100, 100, 100.0]})
    expected = model.expected(history, 50)
    by_count = model.counts(history, 50, 4000)[:, 1:].sum(axis=1)  # a mean is the sum of P(at least y)
    assert expected == pytest.approx(by_count, rel=1e-6)
    assert expected[2] < 1500
    assert model.expected(history, 1e-6) == pytest.approx([0, 0, 0], abs=1e-4)


def test_without_a_repeat_nobody_has_left(model):
    history, _, _ = simulate(200, 1, seed=3)
    alive = model.p_alive(history)
    assert (alive[history.frequency == 0] == 1).all()
    assert (alive[history.frequency > 0] < 1).all()


def test_chance_of_being_alive_is_calibrated(model, population):
    history, _, alive = population
    table = clv.calibration(model.p_alive(history), alive)
    assert abs(table.predicted - table.actual).max() < 0.06
    assert abs(model.p_alive(history).mean() - alive.mean()) < 0.02


def test_predictive_distribution_holds_on_simulated_customers(model, population):
    history, orders, _ = population
    tails = model.counts(history, 26, 200)
    at_least, more = (tails[np.arange(len(orders)), orders + k] for k in (0, 1))
    place = 1 - at_least + np.random.default_rng(0).uniform(size=len(orders)) * (at_least - more)
    assert stats.kstest(place, "uniform").pvalue > 0.01


@pytest.mark.parametrize("confidence", [0.5, 0.9])
def test_order_intervals_cover_at_their_level(confidence):
    # Fitted on few customers, judged on others: the parameters' uncertainty counts too. Counts being whole, more is covered.
    fitted = clv.fit_orders(simulate(400, 26, seed=5)[0])
    history, orders, _ = simulate(4000, 26, seed=6)
    frame = fitted.predict(history, 26, confidence)
    covered = (orders >= frame.orders_low) & (orders <= frame.orders_high)
    often = history.frequency >= 5
    assert covered.mean() >= confidence - 0.01
    assert confidence - 0.06 <= covered[often].mean() <= confidence + 0.16
    assert (frame.expected_orders_low <= frame.expected_orders).all()
    assert (frame.expected_orders <= frame.expected_orders_high).all()
    assert frame.p_alive.between(frame.p_alive_low - 1e-12, frame.p_alive_high + 1e-12).mean() > 0.99


def test_expectation_intervals_cover_the_true_expectation():
    # Over populations: the interval of what is expected is about parameters, so the true model's value is what it covers.
    truth, inside = clv.OrderModel(*TRUE.values(), np.eye(4), 0.0), []
    customer = pd.DataFrame({"customer_id": ["a", "b"], "frequency": [0, 4], "recency": [0, 30.0], "age": [20, 40.0]})
    for seed in range(12):
        frame = clv.fit_orders(simulate(400, 1, seed=100 + seed)[0]).predict(customer, 26, 0.9)
        true = truth.expected(customer, 26)
        inside.append((frame.expected_orders_low < true) & (true < frame.expected_orders_high))
    assert np.mean(inside) >= 0.75


def test_shuffling_customers_changes_nothing(population):
    history = population[0].head(1500)
    shuffled = history.sample(frac=1, random_state=1)
    first, second = clv.fit_orders(history), clv.fit_orders(shuffled)
    assert (first.r, first.alpha, first.a, first.b) == (second.r, second.alpha, second.a, second.b)
    left, right = first.predict(history, 26), second.predict(shuffled, 26)
    pd.testing.assert_frame_equal(left, right.sort_values("customer_id", ignore_index=True), check_exact=True)


def test_too_few_repeat_buyers_are_a_reason_not_a_number():
    history = pd.DataFrame({"customer_id": range(100), "frequency": [1.0] * 20 + [0.0] * 80, "recency": 0.5, "age": 9.0})
    with pytest.raises(InputError, match="Only 20 of 100"):
        clv.fit_orders(history.assign(recency=history.frequency / 2))
    with pytest.raises(InputError, match="too few"):
        clv.fit_values(history.assign(mean_value=5.0))
    with pytest.raises(InputError, match="recency above the age"):
        clv.fit_orders(history.assign(frequency=1.0, recency=10.0))


def test_where_nobody_leaves_the_model_still_predicts():
    rng = np.random.default_rng(0)
    rate, age = rng.gamma(3, 0.1, 800), rng.uniform(20, 52, 800)
    count = rng.poisson(rate * age)
    last = np.where(count > 0, age * rng.uniform(size=800) ** (1 / np.maximum(count, 1)), 0)
    history = pd.DataFrame({"customer_id": np.arange(800), "frequency": count, "recency": last, "age": age})
    frame = clv.fit_orders(history).predict(history, 26)
    assert np.isfinite(frame.to_numpy()).all()
    assert frame.expected_orders.mean() == pytest.approx((rate * 26).mean(), rel=0.1)


def test_values_are_shrunk_to_the_mean_and_intervals_cover():
    rng = np.random.default_rng(2)
    x = rng.integers(0, 8, 4000)
    own = 6.0 / rng.gamma(4.0, 1 / 15.0, 4000)
    z = rng.gamma(6.0 * np.maximum(x, 1)) * own / (6.0 * np.maximum(x, 1))
    history = pd.DataFrame({"customer_id": np.arange(4000), "frequency": x, "mean_value": np.where(x > 0, z, np.nan)})
    fitted = clv.fit_values(history)
    assert (fitted.p, fitted.q, fitted.v) == pytest.approx((6, 4, 15), rel=0.15)
    frame = fitted.predict(history, 0.9)
    assert own.mean() == pytest.approx(fitted.mean, rel=0.05)
    assert (frame.order_value[x == 0] == fitted.mean).all()
    assert ((own >= frame.order_value_low) & (own <= frame.order_value_high)).mean() == pytest.approx(0.9, abs=0.02)


def test_a_tail_without_a_mean_gives_no_mean():
    fitted = clv.ValueModel(p=2.0, q=0.8, v=10.0, log_likelihood=0.0)
    history = pd.DataFrame({"customer_id": list("ab"), "frequency": [0, 3], "mean_value": [np.nan, 20.0]})
    assert np.isnan(fitted.mean)
    expected = fitted.expected(history)
    assert np.isnan(expected[0])
    assert expected[1] == pytest.approx(2 * (10 + 60) / (6 + 0.8 - 1))


# -- histories from events ---------------------------------------------------------------------------------------------


def plain_history(rows):
    """The same by pandas."""
    frame = pd.DataFrame([r for r in rows if r["customer_id"] and r["event_type"] == "order"])
    frame["day"] = frame.occurred_at.dt.tz_convert(ZONE).dt.date
    frame = frame[frame.day < AS_OF].assign(amount=lambda f: f.amount.astype(float))
    found = {}
    for customer, mine in frame.groupby("customer_id"):
        days = mine.groupby("day").amount.sum()
        ago = [(AS_OF - day).days for day in days.index]
        mean = days.iloc[1:].mean()
        value = mean if len(days) > 1 and mean > 0 else np.nan
        found[customer] = (len(days) - 1.0, (max(ago) - min(ago)) / 7, (max(ago) - 1) / 7, value)
    return pd.DataFrame.from_dict(found, orient="index", columns=clv.HISTORY).rename_axis("customer_id").reset_index()


def random_rows(seed):
    rng, rows = np.random.default_rng(seed), []
    end = Window(AS_OF, 1, ZONE).end
    for k in range(250):
        moment = end + dt.timedelta(minutes=int(rng.integers(-60 * 1440, 20 * 1440)))
        customer, amount = str(rng.choice(list("abcdefghij"))), round(float(rng.uniform(-20, 60)), 2)
        kind = "return" if rng.random() < 0.1 else "order"
        rows.append(event(customer, moment, kind, order_id=f"o{k // 2}", amount=amount))
    rows += [event(None, end - dt.timedelta(days=2), "order", amount=5), event("z", end, "order", amount=5)]
    return rows + [order("y", "2024-03-31T21:59", "y1", 10), order("y", "2024-03-31T22:00", "y2", 7)]


@pytest.mark.parametrize("seed", range(3))
def test_histories_equal_plain_pandas_and_never_see_the_future(seed):
    rows = random_rows(seed)
    built = fetch(clv.order_history(table(rows), AS_OF, ZONE).order_by("customer_id"))
    pd.testing.assert_frame_equal(built, plain_history(rows), rtol=1e-12)
    past = [r for r in rows if r["occurred_at"] < Window(AS_OF, 1, ZONE).end]
    known = fetch(clv.order_history(table(past[::-1]), AS_OF, ZONE).order_by("customer_id"))
    pd.testing.assert_frame_equal(built, known, check_exact=True)


def test_horizon_counts_days_with_a_purchase():
    rows = random_rows(0)
    counted = fetch(clv.purchase_days(table(rows), Window(AS_OF, 30, ZONE))).set_index("customer_id").orders
    assert counted["y"] == 2  # 23:59 and 00:00 of the next day in Berlin
    assert "z" not in counted


def test_no_events_no_histories():
    built = fetch(clv.order_history(table([]), AS_OF, ZONE))
    assert list(built) == ["customer_id", *clv.HISTORY]
    assert not len(built)


# -- calibration and the choice ----------------------------------------------------------------------------------------


def test_calibration_by_tenths():
    predicted = np.repeat(np.arange(10.0), 50)
    actual = predicted + np.tile([-0.5, 0.5], 250)
    frame = clv.calibration(predicted, actual)
    assert list(frame.customers) == [50] * 10
    assert frame.predicted.to_numpy() == pytest.approx(np.arange(10))
    assert (frame.ci_low <= frame.predicted).all()
    assert (frame.predicted <= frame.ci_high).all()
    mixed = np.random.default_rng(0).permutation(500)
    pd.testing.assert_frame_equal(frame, clv.calibration(predicted[mixed], actual[mixed]), check_exact=True)
    assert len(clv.calibration(np.zeros(50), np.arange(50))) == 1  # equal predictions cannot be told apart
    assert clv.calibration([], []).empty


def moments(n, seed, hint=False):
    """A BG/NBD population seen at three days, 13 weeks apart; with hint, a feature tells the next horizon's orders."""
    rng = np.random.default_rng(seed)
    rate, leave, born = rng.gamma(0.8, 1 / 6.0, n), rng.beta(0.9, 3.0, n), rng.uniform(0, 40, n)
    last_order = rng.geometric(np.maximum(leave, 1e-9))
    times = [born[k] + np.append(0, np.sort(rng.uniform(0, 100, rng.poisson(rate[k] * 100)))[: last_order[k]]) for k in range(n)]
    found = []
    for day in (79.0, 66.0, 53.0):
        rows, orders, told = [], [], []
        for k, mine in enumerate(times):
            known, after = mine[mine < day], ((mine >= day) & (mine < day + 13)).sum()
            rows.append((f"c{k:05d}", len(known) - 1.0, known[-1] - known[0], day - known[0], np.nan))
            orders.append((f"c{k:05d}", float(after)))
            told.append(after + rng.normal(0, 0.2) if hint else rng.normal())
        history = pd.DataFrame(rows, columns=["customer_id", *clv.HISTORY])
        features = history[["customer_id"]].assign(told=told)
        found.append(clv.Moment(history, features, pd.DataFrame(orders, columns=["customer_id", "orders"])))
    return [clv.Moment(found[0].history, found[0].features), *found[1:]], found[0].orders


def test_the_model_wins_where_it_is_true():
    known, after = moments(1500, seed=3)
    choice = clv.choose(*known, weeks=13, confidence=0.8)
    comparison = choice.comparison.set_index("method")
    assert choice.winner == clv.MODEL
    assert comparison.ci_low[clv.NAIVE] > 0
    assert comparison.difference.min() == 0
    assert abs(comparison.total_error[clv.MODEL]) < 0.1
    assert choice.predictions.expected_orders.sum() == pytest.approx(after.orders.sum(), rel=0.1)
    assert choice.calibration.customers.sum() == 1500
    mixed = [
        clv.Moment(m.history.sample(frac=1, random_state=4), m.features.sample(frac=1, random_state=5), m.orders) for m in known
    ]
    again = clv.choose(*mixed, weeks=13, confidence=0.8)
    pd.testing.assert_frame_equal(choice.predictions, again.predictions, check_exact=True)
    pd.testing.assert_frame_equal(choice.comparison, again.comparison, check_exact=True)


def test_the_challenger_wins_where_features_tell_more():
    known, after = moments(1000, seed=4, hint=True)
    choice = clv.choose(*known, weeks=13, confidence=0.8)
    assert choice.winner == clv.CHALLENGER
    assert choice.reason == "lowest mean absolute error"
    frame = choice.predictions
    assert abs(frame.expected_orders - after.orders).mean() < 0.5 * abs(after.orders.mean() - after.orders).mean()
    assert after.orders.between(frame.orders_low, frame.orders_high).mean() > 0.78
    assert frame.p_alive.between(0, 1).all()


def test_what_cannot_be_fitted_is_named_and_does_not_stop_the_rest():
    known, _ = moments(40, seed=5)
    once = [clv.Moment(m.history.assign(frequency=0.0, recency=0.0), m.features, m.orders) for m in known]
    choice = clv.choose(*once, weeks=13)
    reasons = choice.comparison.set_index("method").reason
    assert choice.winner == clv.NAIVE
    assert reasons[clv.MODEL].startswith("Only 0 of 40")
    assert "too few" in reasons[clv.CHALLENGER]
    assert choice.predictions.p_alive.isna().all()
    assert choice.predictions.orders_high.notna().all()
    nobody = clv.Moment(known[1].history.head(0), known[1].features, known[1].orders)
    days = round(known[0].history.age.max() * 7) + 1
    with pytest.raises(InputError, match=rf"one horizon \(91 days\) before as_of: the first order is {days} days old") as told:
        clv.choose(known[0], nobody, known[2], weeks=13)
    assert f"horizon_days to {days // 2} or less" in str(told.value)
