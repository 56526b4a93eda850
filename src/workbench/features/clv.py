"""Expected orders, their value and the chance of being alive, where no contract says who left: BG/NBD and Gamma-Gamma.

BG/NBD: Fader, Hardie & Lee 2005, "Counting your customers the easy way", Marketing Science 24(2), 275-284. While alive a
customer orders at random at a rate of their own, lambda ~ Gamma(r, alpha) per week over customers; after every order they
leave for good with a chance of their own, p ~ Beta(a, b). Gamma-Gamma: Fader & Hardie 2013, "The Gamma-Gamma model of
monetary value". A model is used only where it beats gradient boosting and "as in the last horizon" out of time (`choose`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from scipy import optimize, special

from workbench.core.engine import local_time
from workbench.core.errors import InputError
from workbench.core.processor import on_one_thread
from workbench.core.stats import ratio_intervals
from workbench.features.window import Window, days_before

MIN_REPEAT_BUYERS = 30
MIN_CUSTOMERS = 50  # for the challenger to learn from
MODEL, CHALLENGER, NAIVE = "BG/NBD", "gradient boosting", "last horizon"
HISTORY = ["frequency", "recency", "age", "mean_value"]

_BOUND = 12.0  # logarithms of parameters are sought between -12 and 12
_WEAK_PRIOR = 1 / 9  # precision: where data say nothing, a logarithm is uncertain by 3, not by infinity
_NODES, _NODES_OF_DRAWS = 48, 16
_CHUNK = 2_000  # rows x draws then stay in the processor's cache


# -- histories ---------------------------------------------------------------------------------------------------------


def order_history(events: ir.Table, as_of: dt.date, zone: str) -> ir.Table:
    """Events -> one row per customer who bought before `as_of`, a local day of `zone`; all purchases of a local day are one.

    customer_id, frequency (days with a purchase after the first), recency (weeks from the first such day to the last), age
    (weeks from the first to the day before as_of, as in the published data: only so many days could bring a repeat),
    mean_value (money of the days counted by frequency per day, returns not deducted; missing where there is none or it is not
    positive). Events from as_of on are not read.
    """
    # Histories have no beginning: only the window's end is used.
    end = Window(as_of, 1, zone).end
    bought = events.filter(events.customer_id.notnull(), events.event_type == "order", events.occurred_at < end)
    bought = bought.mutate(days_ago=days_before(as_of, local_time(bought.occurred_at, zone)))
    days = bought.group_by("customer_id", "days_ago").agg(amount=bought.amount.sum())
    days = days.mutate(first=days.days_ago.max().over(ibis.window(group_by=days.customer_id)))
    again = days.days_ago < days.first
    per = days.group_by("customer_id").agg(
        frequency=again.cast("int64").sum().cast("float64"),
        first=days["first"].max().cast("float64"),
        last=days.days_ago.min().cast("float64"),
        money=days.amount.sum(where=again).cast("float64"),
        paid_days=days.amount.count(where=again).cast("float64"),
    )
    mean = per.money / per.paid_days.nullif(0)
    return per.select(
        "customer_id", "frequency",
        recency=(per["first"] - per["last"]) / 7, age=(per["first"] - 1) / 7, mean_value=ibis.cases((mean > 0, mean), else_=None),
    )  # fmt: skip


def purchase_days(events: ir.Table, horizon: Window) -> ir.Table:
    """Events -> customer_id, orders: local days with a purchase in the horizon; one row per customer who has any."""
    happened = horizon.events(events)
    bought = happened.filter(happened.event_type == "order")
    return bought.group_by("customer_id").agg(orders=bought.days_ago.nunique().cast("float64"))


# -- how often: BG/NBD -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OrderModel:
    """A fitted BG/NBD. Rates are per week.

    covariance: of the logarithms of r, alpha, a, b, shape (4, 4), under a weak prior. at_bound: parameters that the data do not
    settle, for example a and b where nobody seems to leave; predictions hold, the parameters alone say nothing.
    """

    r: float
    alpha: float
    a: float
    b: float
    covariance: np.ndarray
    log_likelihood: float
    at_bound: tuple[str, ...] = ()

    def expected(self, history: pd.DataFrame, weeks: float) -> np.ndarray:
        """Histories -> orders (purchase days) expected in the next `weeks`, shape (customers,); equation 10 of the paper."""
        rows, inverse = _distinct(history)
        return _expected(self._parameters(), rows, weeks, _NODES)[inverse]

    def p_alive(self, history: pd.DataFrame) -> np.ndarray:
        """Histories -> probability of not having left, shape (customers,); 1 without a repeat, for leaving follows an order."""
        rows, inverse = _distinct(history)
        return _alive(self._parameters(), rows)[inverse]

    def predict(
        self, history: pd.DataFrame, weeks: float, confidence: float = 0.95, draws: int = 100, seed: int = 7
    ) -> pd.DataFrame:
        """Histories -> frame in their order: customer_id and, for the next `weeks`, what is expected and how surely.

        expected_orders and p_alive with _low, _high: uncertainty of the parameters alone. orders_low, orders_high: where the
        count of orders itself falls with probability `confidence` or more; it starts at 0 where 0 is not unlikely.
        """
        rows, inverse = _distinct(history)
        sampled = self._draw(draws, seed)
        tail = (1 - confidence) / 2
        table = {"expected_orders": _expected(self._parameters(), rows, weeks, _NODES)}
        table["expected_orders_low"], table["expected_orders_high"] = _in_chunks(
            lambda part: np.quantile(
                [_expected(theta, part, weeks, _NODES_OF_DRAWS) for theta in sampled], [tail, 1 - tail], axis=0
            ),
            rows,
        )
        table["p_alive"] = _alive(self._parameters(), rows)
        table["p_alive_low"], table["p_alive_high"] = _in_chunks(
            lambda part: np.quantile([_alive(theta, part) for theta in sampled], [tail, 1 - tail], axis=0), rows
        )
        # Few customers are expected to order very often: chunks of like customers end their counting early.
        order = np.argsort(table["expected_orders"], kind="stable")
        bounds = np.empty((2, len(rows)))
        bounds[:, order] = _in_chunks(lambda part: _count_bounds(sampled, part, weeks, confidence), rows[order])
        table["orders_low"], table["orders_high"] = bounds
        frame = pd.DataFrame(table).iloc[inverse].reset_index(drop=True)
        frame.insert(0, "customer_id", history.customer_id.to_numpy())
        return frame

    def counts(self, history: pd.DataFrame, weeks: float, most: int) -> np.ndarray:
        """Histories -> P(at least y orders in the next `weeks`), shape (customers, most + 1) for y = 0 … most."""
        rows, inverse = _distinct(history)
        steps = _tails(self._parameters()[None], rows, weeks)
        tails = [np.ones(len(rows)), *(next(steps)[0] for _ in range(most))]
        return np.stack(tails, axis=1)[inverse]

    def _parameters(self) -> np.ndarray:
        return np.array([self.r, self.alpha, self.a, self.b])

    def _draw(self, draws: int, seed: int) -> np.ndarray:
        generator = np.random.default_rng(seed)
        logs = generator.multivariate_normal(np.log(self._parameters()), self.covariance, size=draws, method="eigh")
        return np.exp(np.clip(logs, -_BOUND, _BOUND))


def fit_orders(history: pd.DataFrame) -> OrderModel:
    """Histories (frequency, recency, age) -> BG/NBD by maximum likelihood, equation 6 of the paper, from several starts.

    Raises InputError, whose `what` is a reason fit to be shown, with under MIN_REPEAT_BUYERS repeat buyers or when no start
    converges.
    """
    repeat = int((history.frequency > 0).sum())
    if repeat < MIN_REPEAT_BUYERS:
        raise InputError(
            f"Only {repeat} of {len(history)} customers bought on more than one day before as_of.",
            why=f"Order rates and leaving cannot be told from fewer than {MIN_REPEAT_BUYERS} repeat buyers.",
            fix="Use a later as_of or a source with a longer history.",
        )
    rows, inverse = _distinct(history)
    weights = np.bincount(inverse, minlength=len(rows)).astype(float)
    evaluate = _order_likelihood(rows, weights)
    # The unit of time is set free by starting alpha at the mean time per order.
    pace = np.log(max(weights @ rows[:, 2], 1e-9) / (weights @ rows[:, 0]))
    starts = [(0.0, pace, 0.0, 0.0), (-1.0, pace - 1, -0.5, 1.0), (1.0, pace + 1, 0.0, 2.0), (0.0, pace, -3.0, 1.0)]
    logs, value = _maximise(evaluate, starts, len(history), "BG/NBD")
    covariance = _covariance(lambda theta: evaluate(theta)[1], logs)
    bound = tuple(n for n, at in zip(("r", "alpha", "a", "b"), abs(logs) > _BOUND - 1e-3, strict=True) if at)
    return OrderModel(*map(float, np.exp(logs)), covariance, value, bound)


def _distinct(history: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """-> distinct (frequency, recency, age), to the hundredth of a day, sorted, shape (rows, 3); each customer's row."""
    exact = history[["frequency", "recency", "age"]].to_numpy(float)
    if not np.isfinite(exact).all() or (exact < 0).any() or (exact[:, 1] > exact[:, 2] + 1e-6).any():
        raise InputError(
            "A purchase history has a missing or negative number, or a recency above the age.",
            why="Orders cannot come before the first one or after as_of.",
            fix="Build histories with order_history.",
        )
    if not len(exact):
        return np.empty((0, 3)), np.empty(0, int)
    rows, inverse = np.unique(np.rint(exact * [1, 700, 700]).astype("int64"), axis=0, return_inverse=True)
    return rows / [1, 700, 700], inverse.reshape(-1)


def _order_likelihood(rows: np.ndarray, weights: np.ndarray) -> Callable:
    """-> log parameters -> (log likelihood, its gradient by log parameters)."""
    x, recency, age = rows.T
    bought, at = np.unique(x, return_inverse=True)  # special functions depend on the frequency only

    def evaluate(logs: np.ndarray) -> tuple[float, np.ndarray]:
        r, alpha, a, b = np.exp(logs)
        again = x > 0
        to_age, to_last = np.log(alpha + age), np.log(alpha + recency)
        left = np.where(again, np.log(a) - np.log(np.where(again, b + x - 1, 1)) - (r + x) * to_last, -np.inf)
        stayed = -(r + x) * to_age
        gammas = special.gammaln(r + bought) - special.gammaln(r) + special.betaln(a, b + bought) - special.betaln(a, b)
        both = np.logaddexp(stayed, left)
        value = weights @ (gammas[at] + r * logs[1] + both)
        gone = np.exp(left - both)  # share of the likelihood that has left: the weight of its gradient
        by_r = (special.digamma(r + bought) - special.digamma(r))[at] + logs[1] - (1 - gone) * to_age - gone * to_last
        by_alpha = r / alpha - (r + x) * ((1 - gone) / (alpha + age) + gone / (alpha + recency))
        joint = special.digamma(a + b) - special.digamma(a + b + bought)
        by_a = joint[at] + gone / a
        by_b = (joint + special.digamma(b + bought) - special.digamma(b))[at] - gone / np.where(again, b + x - 1, 1)
        return value, np.exp(logs) * [weights @ g for g in (by_r, by_alpha, by_a, by_b)]

    return evaluate


def _maximise(evaluate: Callable, starts: Sequence, n: int, name: str) -> tuple[np.ndarray, float]:
    """The best of several starts -> log parameters, log likelihood. Raises InputError when none converges."""

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = evaluate(logs)
        return -value / n, -gradient / n

    bounds = [(-_BOUND, _BOUND)] * len(starts[0])
    options = {"ftol": 1e-14, "gtol": 1e-9, "maxiter": 1_000}
    with on_one_thread():  # threads that wait for each other over four numbers cost ten times the work
        tries = [
            optimize.minimize(loss, np.clip(s, -10, 10), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
            for s in starts
        ]
    best = min((t for t in tries if np.isfinite(t.fun)), key=lambda t: t.fun, default=None)
    inside = best is not None and abs(best.x) < _BOUND - 1e-3
    if best is None or abs(best.jac[inside]).max(initial=0) > 1e-4:
        raise InputError(
            f"The {name} model could not be fitted: no start converged.",
            why="Its numbers would be arbitrary.",
            fix="Check the histories for one customer who stands for many, such as a cash desk.",
        )
    return best.x, float(-best.fun * n)


def _covariance(gradient: Callable, logs: np.ndarray) -> np.ndarray:
    """Inverse of the observed information, by central differences of the gradient; flat directions get the weak prior's."""
    step = 1e-4
    hessian = np.array([(gradient(logs + step * e) - gradient(logs - step * e)) / (2 * step) for e in np.eye(len(logs))])
    values, vectors = np.linalg.eigh(-(hessian + hessian.T) / 2)
    return (vectors / (np.maximum(values, 0) + _WEAK_PRIOR)) @ vectors.T


def _alive(parameters: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """P(alive), shape (rows,): Fader, Hardie & Lee 2008, "Computing P(alive) using the BG/NBD model"."""
    r, alpha, a, b = parameters
    x, recency, age = rows.T
    again = x > 0
    odds_left = np.log(a) - np.log(np.where(again, b + x - 1, 1)) + (r + x) * np.log((alpha + age) / (alpha + recency))
    return np.where(again, special.expit(-odds_left), 1.0)


def _expected(parameters: np.ndarray, rows: np.ndarray, weeks: float, nodes: int) -> np.ndarray:
    """Orders expected in `weeks`, shape (rows,).

    Of a customer who is alive, lambda ~ Gamma(r + x, alpha + age) and p ~ Beta(a, b + x), and lambda integrates out to
    (1 - ((alpha + age) / (alpha + age + p weeks))^(r + x)) / p. The paper's 2F1 is this function's mean over p; Gauss-Jacobi
    quadrature gives it without the overflow and cancellation that 2F1 meets for frequent buyers and near a = 1.
    """
    r, alpha, a, b = parameters
    x, age = rows[:, 0], rows[:, 2]
    bought, at = np.unique(x, return_inverse=True)
    p, weight = _beta_nodes(a, b + bought, nodes)
    grown = np.log1p(p[at] * (weeks / (alpha + age))[:, None])
    alive = (weight[at] * (-np.expm1(-(r + x)[:, None] * grown) / p[at])).sum(axis=1)
    return alive * _alive(parameters, rows)


def _beta_nodes(a: float, b: np.ndarray, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss quadrature for the mean over Beta(a, b) -> points in (0, 1), weights that add up to 1; shapes (len(b), nodes).

    Golub & Welsch 1969, with the recurrence of Jacobi polynomials; sound for b in the thousands, where scipy's overflows.
    """
    alpha, beta = np.asarray(b, float)[:, None] - 1, a - 1
    k, s = np.arange(1, nodes), alpha + beta
    middle = np.concatenate([(beta - alpha) / (s + 2), (beta**2 - alpha**2) / ((2 * k + s) * (2 * k + s + 2))], axis=1)
    beside = np.empty((len(alpha), nodes - 1))
    beside[:, :1] = 4 * (1 + alpha) * (1 + beta) / ((2 + s) ** 2 * (3 + s))
    k = k[1:]
    beside[:, 1:] = 4 * k * (k + alpha) * (k + beta) * (k + s) / ((2 * k + s) ** 2 * (2 * k + s + 1) * (2 * k + s - 1))
    matrix = np.zeros((len(alpha), nodes, nodes))
    i = np.arange(nodes)
    matrix[:, i, i] = middle
    matrix[:, i[1:], i[:-1]] = np.sqrt(beside)
    points, vectors = np.linalg.eigh(matrix)
    return np.clip((1 + points) / 2, 1e-200, 1), vectors[:, 0, :] ** 2


def _tails(parameters: np.ndarray, rows: np.ndarray, weeks: float) -> Iterator[np.ndarray]:
    """P(at least y orders in `weeks`) for y = 1, 2, …, each of shape (parameter sets, rows).

    y orders happen to a customer who is alive, whose first y - 1 new ones were no farewell, and whose orders, a negative
    binomial once lambda is integrated out, come to y. Three independent things: their chances multiply.
    """
    r, alpha, a, b = parameters.T[:, :, None]
    x, age = rows[:, 0], rows[:, 2]
    n, stays = r + x, b + x
    spread = alpha + age + weeks
    share = np.log(weeks / spread)
    chance = n * np.log((alpha + age) / spread)  # log P(no order), and then of y orders
    alive = np.stack([_alive(theta, rows) for theta in parameters])
    reached, y = np.ones_like(n), 0
    while True:
        reached = np.maximum(reached - np.exp(chance), 0)
        yield alive * reached
        chance = chance + np.log((n + y) / (y + 1)) + share
        alive = alive * ((stays + y) / (a + stays + y))
        y += 1


def _count_bounds(sampled: np.ndarray, rows: np.ndarray, weeks: float, confidence: float) -> np.ndarray:
    """Bounds of the predictive distribution of the order count, the parameters' uncertainty included; shape (2, rows)."""
    miss = 1 - confidence
    low, high, allowed = np.zeros(len(rows)), np.zeros(len(rows)), None
    for tail in _tails(sampled, rows, weeks):
        tail = tail.mean(axis=0)
        if allowed is None:
            # Where the interval starts at 0 nothing can be missed below it, so all that may be missed lies above.
            allowed = np.where(tail < 1 - miss / 2, miss, miss / 2)
        low += tail >= 1 - miss / 2
        above = tail > allowed
        high += above
        if not above.any():
            return np.stack([low, high])
    raise AssertionError("tails have no end")


def _in_chunks(compute: Callable, rows: np.ndarray) -> np.ndarray:
    parts = [compute(rows[i : i + _CHUNK]) for i in range(0, len(rows), _CHUNK)]
    return np.concatenate(parts, axis=1) if parts else np.empty((2, 0))


# -- how much: Gamma-Gamma ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ValueModel:
    """A fitted Gamma-Gamma: values of a customer's orders are Gamma(p, nu), nu ~ Gamma(q, v) over customers; v in money."""

    p: float
    q: float
    v: float
    log_likelihood: float

    @property
    def mean(self) -> float:
        """The mean value of an order over all customers; missing where q <= 1, for then the fitted tail has no mean."""
        return self.p * self.v / (self.q - 1) if self.q > 1 else np.nan

    def expected(self, history: pd.DataFrame) -> np.ndarray:
        """Histories -> money expected per order, shape (customers,); equation 5 of the note.

        p (v + x z) / (p x + q - 1) for x orders of mean z; `mean` for customers without a repeat or value; missing where the
        denominator is not positive.
        """
        shape, scale = self._posterior(history)
        return np.where(shape > 1, self.p * scale / np.where(shape > 1, shape - 1, 1), np.nan)

    def predict(self, history: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
        """Histories -> customer_id, order_value (money per order) and the credible interval of the customer's own mean."""
        shape, scale = self._posterior(history)
        miss = (1 - confidence) / 2
        low, high = (self.p * scale / special.gammaincinv(shape, q) for q in (1 - miss, miss))
        return pd.DataFrame(
            {
                "customer_id": history.customer_id.to_numpy(),
                "order_value": self.expected(history),
                "order_value_low": low,
                "order_value_high": high,
            }
        )

    def _posterior(self, history: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """nu given the history is Gamma(shape, scale)."""
        z = history.mean_value.to_numpy(float)
        x = np.where(np.isfinite(z), history.frequency.to_numpy(float), 0.0)
        return self.p * x + self.q, self.v + x * np.nan_to_num(z)


def fit_values(history: pd.DataFrame) -> ValueModel:
    """Histories (frequency, mean_value) -> Gamma-Gamma by maximum likelihood over customers with a repeat of positive value.

    Raises InputError, whose `what` is a reason fit to be shown, with under MIN_REPEAT_BUYERS of them, when all values are the
    same, or when no start converges. The model takes value and frequency as unrelated.
    """
    known = history[(history.frequency > 0) & (history.mean_value > 0)]
    x, z = known[["frequency", "mean_value"]].sort_values(["frequency", "mean_value"]).to_numpy(float).T
    if len(x) < MIN_REPEAT_BUYERS or np.ptp(z) <= 1e-9 * z.max():
        reason = "all have the same order value" if len(x) >= MIN_REPEAT_BUYERS else "too few"
        raise InputError(
            f"Order values of {len(x)} repeat buyers cannot be fitted: {reason}.",
            why=f"How order values differ between customers needs {MIN_REPEAT_BUYERS} repeat buyers whose values differ.",
            fix="Use a later as_of or a source with a longer history, or everybody's average order value.",
        )
    unit = np.median(z)
    z = z / unit

    def evaluate(logs: np.ndarray) -> tuple[float, np.ndarray]:
        p, q, v = np.exp(logs)
        shape, total = p * x + q, np.log(x * z + v)
        value = (
            special.gammaln(shape) - special.gammaln(p * x) - special.gammaln(q) + q * logs[2] - np.log(z)
            + p * x * np.log(x * z) - shape * total
        )  # fmt: skip
        shared = special.digamma(shape)
        by_p = x * (shared - special.digamma(p * x) + np.log(x * z) - total)
        by_q = shared - special.digamma(q) + logs[2] - total
        by_v = q / v - shape / (x * z + v)
        return value.sum(), np.exp(logs) * [by_p.sum(), by_q.sum(), by_v.sum()]

    logs, value = _maximise(evaluate, [(1.0, 1.0, 0.0), (0.0, 0.5, 0.0), (2.0, 1.5, -1.0)], len(x), "Gamma-Gamma")
    p, q, v = np.exp(logs)
    return ValueModel(float(p), float(q), float(v * unit), float(value - len(x) * np.log(unit)))


# -- is it right: calibration, the challenger, the choice --------------------------------------------------------------


def calibration(
    predicted: np.ndarray, actual: np.ndarray, bins: int = 10, confidence: float = 0.95, bootstraps: int = 200, seed: int = 7
) -> pd.DataFrame:
    """What was predicted, what came -> frame by tenth of prediction: bin (from 0), customers, predicted, actual, ci_low, ci_high.

    predicted, actual: means. The interval is of the mean actual (bootstrap over customers). Equal predictions share a bin, so
    there may be fewer bins.
    """
    predicted, actual = np.asarray(predicted, float), np.asarray(actual, float)
    if not len(predicted):
        return pd.DataFrame(columns=["bin", "customers", "predicted", "actual", "ci_low", "ci_high"], dtype=float)
    order = np.lexsort((actual, predicted))  # the bootstrap then does not depend on the order of rows
    predicted, actual = predicted[order], actual[order]
    group = np.unique(_bin(_edges(predicted, bins), predicted), return_inverse=True)[1]
    low, high = ratio_intervals(actual, np.ones(len(actual)), group, group.max() + 1, bootstraps, confidence, seed)
    frame = pd.DataFrame({"bin": group, "predicted": predicted, "actual": actual}).groupby("bin", as_index=False)
    frame = frame.agg(customers=("actual", "size"), predicted=("predicted", "mean"), actual=("actual", "mean"))
    return frame.assign(ci_low=low, ci_high=high)


def _edges(predicted: np.ndarray, bins: int) -> np.ndarray:
    return np.unique(np.quantile(predicted, np.arange(1, bins) / bins))


def _bin(edges: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return np.searchsorted(edges, predicted, side="right")


def challenger(features: pd.DataFrame, orders: np.ndarray, today: pd.DataFrame, seed: int = 7) -> np.ndarray:
    """Features at an earlier day and the orders of the horizon after it -> orders expected after today's features.

    features, today: customer_id and numbers; columns that only one has are left out, missing values are fine. Histogram
    gradient boosting with Poisson loss. Raises InputError with fewer than MIN_CUSTOMERS rows or no order at all.
    """
    if len(features) < MIN_CUSTOMERS or not np.sum(orders) > 0:
        raise InputError(
            f"{len(features)} customers with {np.sum(orders):.0f} orders afterwards are too few to learn from.",
            why=f"Gradient boosting needs {MIN_CUSTOMERS} customers and at least one order.",
            fix="Use a later as_of or a source with a longer history.",
        )
    # A second of import that only this needs.
    from sklearn.ensemble import HistGradientBoostingRegressor

    # A column without two values teaches nothing, and without one it stops scikit-learn.
    columns = [c for c in features if c in today and c != "customer_id" and features[c].nunique() > 1]
    if not columns:
        return np.full(len(today), np.mean(orders))
    order = np.argsort(features.customer_id.to_numpy(), kind="stable")
    x, y = features[columns].to_numpy(float)[order], np.asarray(orders, float)[order]
    model = HistGradientBoostingRegressor(
        loss="poisson", learning_rate=0.05, max_iter=150, max_leaf_nodes=15, min_samples_leaf=20, l2_regularization=1.0,
        early_stopping=False, random_state=seed,
    )  # fmt: skip
    with on_one_thread():  # two threads would add gradients in another order
        return model.fit(x, y).predict(today[columns].to_numpy(float))


@dataclass(frozen=True)
class Moment:
    """What was known when a day began, and what the horizon after it brought.

    history: as `order_history` gives it. features: customer_id and numbers, known by then (only those columns is no fault).
    orders: customer_id, orders (`purchase_days`) of the horizon that begins then; None where that lies after as_of.
    """

    history: pd.DataFrame
    features: pd.DataFrame
    orders: pd.DataFrame | None = None

    def actual(self, customers: pd.Series) -> np.ndarray:
        """Orders of the horizon for each of the customers; 0 where there is none."""
        return self.orders.set_index("customer_id").orders.reindex(customers).fillna(0.0).to_numpy(float)

    def inputs(self) -> pd.DataFrame:
        """Histories and features side by side, one row per history."""
        new = [c for c in self.features if c == "customer_id" or c not in HISTORY]
        return self.history.merge(self.features[new], on="customer_id", how="left")


@dataclass(frozen=True)
class Choice:
    """Which way of predicting orders won out of time, and its predictions.

    comparison: method, mae (orders per customer), total_error (share), difference (of mae to the lowest), ci_low, ci_high (of
    the difference), reason (why a method could not run, else ""). calibration: of the winner in the judged horizon.
    predictions: columns as `OrderModel.predict` gives them, one row per history; what only the BG/NBD knows is missing where
    it could not be fitted. judged: customer_id, predicted, actual orders of the judged horizon.
    """

    winner: str
    reason: str
    comparison: pd.DataFrame
    calibration: pd.DataFrame
    predictions: pd.DataFrame
    judged: pd.DataFrame


def choose(
    now: Moment, earlier: Moment, earliest: Moment, weeks: float, confidence: float = 0.95, bootstraps: int = 500, seed: int = 7
) -> Choice:
    """Compare BG/NBD, gradient boosting and "as in the last horizon" out of time, and predict the next `weeks` by the winner.

    now, earlier, earliest: as_of, one horizon and two horizons before it; earlier and earliest have `orders`. Every method
    knows what was known at `earlier` and is judged on the horizon that ended at as_of: the lowest mean absolute error wins;
    among those whose error it does not surely undercut (paired bootstrap over customers), the best total. Raises InputError
    when `earlier` knows nobody.
    """
    if not len(earlier.history):
        reach = round(7 * now.history.age.max()) + 1 if len(now.history) else 0
        shorter = f"set features.horizon_days to {reach // 2} or less, " if reach >= 14 else ""
        raise InputError(
            f"No customer had bought one horizon ({7 * weeks:.0f} days) before as_of{f': the first order is {reach} days old' if reach else ''}.",
            why="Ways of predicting, and segments, could not be held against what then happened.",
            fix=f"{shorter}move as_of on, or add a source with a longer history",
        )
    now, earlier, earliest = (_sorted(m) for m in (now, earlier, earliest))
    actual = earlier.actual(earlier.history.customer_id)
    judged, faults = {}, {}
    for method in (MODEL, CHALLENGER, NAIVE):
        try:
            judged[method] = _predict(method, earlier, earliest, weeks, seed)
        except InputError as fault:
            faults[method] = fault.what
    comparison = _compare(judged, actual, confidence, bootstraps, seed)
    ranking, reason = _rank(comparison)
    for winner in ranking:
        try:
            predictions = _final(winner, now, earlier, (judged[winner], actual), weeks, confidence, seed)
            break
        except InputError as fault:
            faults[winner], reason = fault.what, "the better ones could not be fitted as of today"
    comparison["reason"] = [faults.get(method, "") for method in comparison.method]
    past = pd.DataFrame({"customer_id": earlier.history.customer_id, "predicted": judged[winner], "actual": actual})
    return Choice(winner, reason, comparison, calibration(judged[winner], actual, seed=seed), predictions, past)


def _sorted(moment: Moment) -> Moment:
    return Moment(moment.history.sort_values("customer_id", ignore_index=True), moment.features, moment.orders)


def _predict(method: str, at: Moment, before: Moment, weeks: float, seed: int) -> np.ndarray:
    if method == MODEL:
        return fit_orders(at.history).expected(at.history, weeks)
    if method == CHALLENGER:
        return challenger(before.inputs(), before.actual(before.history.customer_id), at.inputs(), seed)
    return before.actual(at.history.customer_id)


def _compare(judged: dict[str, np.ndarray], actual: np.ndarray, confidence: float, bootstraps: int, seed: int) -> pd.DataFrame:
    errors = {method: abs(predicted - actual) for method, predicted in judged.items()}
    best = min(errors, key=lambda method: errors[method].mean())
    generator = np.random.default_rng(seed)
    picks = [generator.integers(0, len(actual), len(actual)) for _ in range(bootstraps)]
    rows = []
    for method in (MODEL, CHALLENGER, NAIVE):
        if method not in judged:
            rows.append({"method": method})
            continue
        gap = errors[method] - errors[best]
        low, high = np.quantile([gap[p].mean() for p in picks], [0.5 - confidence / 2, 0.5 + confidence / 2])
        total = judged[method].sum() / actual.sum() - 1 if actual.sum() else np.nan
        figures = {"mae": errors[method].mean(), "total_error": total, "difference": gap.mean(), "ci_low": low, "ci_high": high}
        rows.append({"method": method, **figures})
    return pd.DataFrame(rows, columns=["method", "mae", "total_error", "difference", "ci_low", "ci_high"])


def _rank(comparison: pd.DataFrame) -> tuple[list[str], str]:
    """-> methods from best to worst, and why the first is the first."""
    ran = comparison.dropna(subset="mae").sort_values("mae", kind="stable")
    alike = ran[ran.ci_low <= 0]
    by_total = alike.iloc[np.argsort(abs(alike.total_error.to_numpy()), kind="stable")]
    ranking = [*by_total.method, *ran.method[ran.ci_low > 0]]
    if len(ran) == 1:
        return ranking, "the only one that could be fitted"
    if len(alike) == 1:
        return ranking, "lowest mean absolute error"
    return ranking, "best total among those whose mean absolute errors cannot be told apart"


def _final(
    method: str, now: Moment, earlier: Moment, past: tuple[np.ndarray, np.ndarray], weeks: float, confidence: float, seed: int
) -> pd.DataFrame:
    try:
        frame = fit_orders(now.history).predict(now.history, weeks, confidence, seed=seed)
    except InputError:
        if method == MODEL:
            raise
        empty = [f"{name}{side}" for name in ("expected_orders", "p_alive") for side in ("", "_low", "_high")]
        frame = now.history[["customer_id"]].assign(**dict.fromkeys([*empty, "orders_low", "orders_high"], np.nan))
    if method == MODEL:
        return frame
    predicted = _predict(method, now, earlier, weeks, seed)
    low, high = _past_interval(*past, predicted, confidence)
    return frame.assign(
        expected_orders=predicted, expected_orders_low=np.nan, expected_orders_high=np.nan, orders_low=low, orders_high=high
    )


def _past_interval(
    predicted: np.ndarray, actual: np.ndarray, today: np.ndarray, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """The counts that followed like predictions (same tenth) in the judged horizon; from 0 where 0 is not unlikely."""
    edges, miss = _edges(predicted, 10), 1 - confidence
    group, bounds = _bin(edges, predicted), np.zeros((2, len(edges) + 1))
    for g in range(len(edges) + 1):
        counts = actual[group == g] if (group == g).any() else actual
        from_zero = (counts == 0).mean() > miss / 2
        low = 0.0 if from_zero else np.quantile(counts, miss / 2, method="lower")
        bounds[:, g] = low, np.quantile(counts, 1 - (miss if from_zero else miss / 2), method="higher")
    return tuple(bounds[:, _bin(edges, today)])
