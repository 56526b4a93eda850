"""What predicts value, lapse and response: a calibrated model per target, judged out of time, told in the words of the catalog."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from workbench.core.errors import InputError
from workbench.core.processor import on_one_thread
from workbench.core.stats import learnable, ratio_intervals, wilson
from workbench.features.scorecard import rank_correlation

MIN_CUSTOMERS = 200
MIN_OF_EACH = 20  # customers with and without, for a yes/no target
MIN_KNOWN = 30  # values that a column needs to be learned from
FOLDS = 3
BINS = 10
ALIKE = 0.7  # mean |rank correlation| from which attributes are permuted together
REPEATS, JUDGED = 8, 1_000  # of the permutation importance, and customers drawn for each
TESTED = 25  # groups of attributes whose importance is looked at: those that go together with the target most
QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)
OUT_OF_TIME, OTHER_CUSTOMERS = "in a later period", "on other customers of the same period"
# target: column of outcomes, whether its opposite is meant, what is predicted
TARGETS = {
    "value": ("future_spend", False, "spending in the next period"),
    "orders": ("future_orders", False, "orders in the next period"),
    "lapse": ("future_active", True, "lapse: no order in the next period"),
    "response": ("future_redeemed", False, "response: an offer redeemed in the next period"),
}
# Shallow, a random half of the features per split: attributes that say the same share the work.
SHAPE = {
    "learning_rate": 0.1, "max_iter": 60, "max_leaf_nodes": 6, "min_samples_leaf": 30, "l2_regularization": 5.0,
    "max_features": 0.5, "early_stopping": False,
}  # fmt: skip

Predict = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Moment:
    """What was known when a day began, and what the horizon from then on brought.

    features: customer_id + a number per attribute, NaN = unknown. outcomes: customer_id + future_*.
    """

    features: pd.DataFrame
    outcomes: pd.DataFrame


@dataclass(frozen=True)
class Propensity:
    """What a target's model says of today's customers, how far that held, and what it rests on.

    said: the target in words. yes_no: whether a probability is predicted, else an amount in the outcome's unit.
    predictions: customer_id, predicted; one row per customer of today, sorted.
    judged: OUT_OF_TIME or OTHER_CUSTOMERS. learned_from, judged_on: customers. actual, predicted: mean over the judged ones.
    metrics: metric (AUC and Brier score, or Spearman and MAE), model, low, high, baseline, baseline_low, baseline_high, gain (how
    much better than the baseline, whichever way better is), gain_low, gain_high; 95 % bootstrap intervals over customers.
    baseline: the one attribute that the baseline knows. beats_baseline: whether gain_low of the first metric is above 0.
    reliability: predicted, actual, low, high, customers; a row per tenth of the judged customers by prediction.
    drivers: feature (the strongest of its group), also (the group's others, joined by blanks), importance (what the first metric
    loses without the group), low, high (95 %), effect (difference in prediction between customers at the 90th and at the 10th
    percentile of the group, all else as it is); by falling importance.
    dependence: feature, quantile, predicted (mean prediction with the whole group at that quantile).
    reason: why nothing was learned, else "". Then predictions are everybody's mean, and the frames are empty.
    """

    target: str
    said: str
    yes_no: bool
    predictions: pd.DataFrame
    judged: str
    learned_from: int
    judged_on: int
    actual: float
    predicted: float
    metrics: pd.DataFrame
    baseline: str
    beats_baseline: bool
    reliability: pd.DataFrame
    drivers: pd.DataFrame
    dependence: pd.DataFrame
    reason: str = ""


def learn(before: Moment | None, then: Moment, now: pd.DataFrame, target: str, seed: int) -> Propensity:
    """Features and outcomes two horizons and one horizon before as_of, today's features -> Propensity for the next horizon.

    Judged: learned at `before`, judged on what followed `then`. Where `before` is None or too small, on customers left out of the
    learning instead (OTHER_CUSTOMERS), which is easier and is said. Predictions: learned at `then`, applied to `now`. Both end
    at as_of: nothing later is read. target: a key of TARGETS, or a column of outcomes.

    Histogram gradient boosting: for yes/no targets with probabilities set right on predictions of folds left out (Platt 1999),
    for amounts with Poisson loss, or squared loss where some are negative. All columns of the features but customer_id that have
    enough values in each moment are used. The baseline is the best monotonous curve (isotonic regression) over one attribute:
    days since the last order for yes/no targets, else the one most correlated with the target, mostly its own past value.

    Raises InputError for a target that outcomes do not have.
    """
    then, now = _sorted(then), now.sort_values("customer_id", ignore_index=True)
    y = _target(then.outcomes, target)
    known = np.isfinite(y)
    customers, y = then.features[known], y[known]
    yes_no = _is_yes_no(y)
    columns = _columns([customers, now] + ([before.features] if before else []))
    reason = _too_little(y, yes_no, columns)
    if reason:
        return _nothing(target, yes_no, now, y, reason)
    x = _matrix(customers, columns)
    judged, judgements = _judgements(before, x, y, columns, target, yes_no, seed)
    actual = np.concatenate([j[3] for j in judgements])
    with on_one_thread():  # two threads would add gradients in another order
        predicted = np.concatenate([model(at) for model, _, at, _ in judgements])
        simple = np.concatenate([baseline(at) for _, baseline, at, _ in judgements])
        metrics = _metrics(actual, predicted, simple, yes_no, seed)
        final = _fit(x, y, yes_no, seed)
        predictions = pd.DataFrame({"customer_id": now.customer_id, "predicted": final(_matrix(now, columns))})
        groups = _groups(customers[columns], y)[:TESTED]
        importance = _importance(judgements, groups, yes_no, seed)
        dependence = _dependence(final, x, groups)
    drivers = _drivers(columns, groups, importance, dependence)
    curves = pd.DataFrame(
        [(columns[g[0]], q, p) for g, row in zip(groups, dependence, strict=True) for q, p in zip(QUANTILES, row, strict=True)],
        columns=["feature", "quantile", "predicted"],
    )
    return Propensity(
        target, _said(target), yes_no, predictions, judged, len(y), len(actual), float(actual.mean()), float(predicted.mean()),
        metrics, columns[_simplest(x, y, columns, yes_no)], bool(metrics.gain_low.iloc[0] > 0),
        _reliability(actual, predicted, yes_no, seed), drivers, curves,
    )  # fmt: skip


def table_of(propensities: list[Propensity]) -> pd.DataFrame:
    """Predictions of several targets -> customer_id, target, predicted; sorted."""
    parts = [p.predictions.assign(target=p.target) for p in propensities if not p.reason]
    whole = pd.concat(parts) if parts else pd.DataFrame({"customer_id": [], "target": [], "predicted": []})
    whole = whole.astype({"customer_id": "str", "target": "str", "predicted": "float64"})
    return whole[["customer_id", "target", "predicted"]].sort_values(["target", "customer_id"], ignore_index=True)


def redundancy(features: pd.DataFrame, catalog: pd.DataFrame, most: int = 25) -> pd.DataFrame:
    """Features and their catalog -> Spearman correlations of the `most` relevant ones, square, -1 to 1, like ones side by side.

    Order: leaves of average-linkage clustering of 1 - |correlation| (Bar-Joseph, Gifford & Jaakkola 2001). Attributes that do
    not vary are left out.
    """
    ranked = catalog.sort_values(["relevance", "feature"], ascending=[False, True], na_position="last").feature
    names = [n for n in ranked if n in features and features[n].nunique() > 1][:most]
    rho = np.nan_to_num(rank_correlation(features[names], features[names])[0])
    np.fill_diagonal(rho, 1.0)
    order = hierarchy.leaves_list(_tree(rho, optimal_ordering=True)) if len(names) > 2 else np.arange(len(names))
    return pd.DataFrame(rho, index=names, columns=names).iloc[order, order]


# -- inputs ------------------------------------------------------------------------------------------------------------


def _sorted(moment: Moment) -> Moment:
    both = moment.features.merge(moment.outcomes[["customer_id"]], on="customer_id").sort_values("customer_id", ignore_index=True)
    outcomes = both[["customer_id"]].merge(moment.outcomes, on="customer_id", how="left")
    return Moment(both, outcomes)


def _target(outcomes: pd.DataFrame, target: str) -> np.ndarray:
    column, opposite, _ = TARGETS.get(target, (target, False, ""))
    if column not in outcomes:
        raise InputError(
            f"Outcomes have no column {column}.",
            why=f"The target {target} cannot be learned without it.",
            fix=f"Take one of {', '.join(c for c in outcomes if c != 'customer_id')}.",
        )
    y = outcomes[column].to_numpy(float)
    return 1 - y if opposite else y


def _said(target: str) -> str:
    return TARGETS[target][2] if target in TARGETS else target.removeprefix("future_").replace("_", " ") + " in the next period"


def _is_yes_no(y: np.ndarray) -> bool:
    return set(np.unique(y)) <= {0.0, 1.0}


def _columns(frames: list[pd.DataFrame]) -> list[str]:
    """Attributes that all moments have, that differ and are known often enough to learn from in each."""
    shared = [c for c in frames[0] if c != "customer_id" and all(c in f for f in frames)]
    return [c for c in shared if all(f[c].notna().sum() >= MIN_KNOWN and f[c].nunique() > 1 for f in frames)]


def _matrix(frame: pd.DataFrame, columns: list[str]) -> np.ndarray:
    values = frame[columns].to_numpy(float, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def _too_little(y: np.ndarray, yes_no: bool, columns: list[str]) -> str:
    if len(y) < MIN_CUSTOMERS:
        return f"{len(y)} customers with a known outcome are too few to learn from; {MIN_CUSTOMERS} are needed"
    if yes_no and min((y == 1).sum(), (y == 0).sum()) < MIN_OF_EACH:
        return f"only {int(min((y == 1).sum(), (y == 0).sum()))} customers differ from all others; {MIN_OF_EACH} are needed"
    if np.ptp(y) == 0:
        return "the outcome is the same for everybody"
    return "" if columns else "no attribute is known for enough customers in every period"


def _nothing(target: str, yes_no: bool, now: pd.DataFrame, y: np.ndarray, reason: str) -> Propensity:
    mean = float(y.mean()) if len(y) else np.nan
    predictions = pd.DataFrame({"customer_id": now.customer_id, "predicted": mean})
    empty = {
        "metrics": [
            "metric",
            "model",
            "low",
            "high",
            "baseline",
            "baseline_low",
            "baseline_high",
            "gain",
            "gain_low",
            "gain_high",
        ],
        "reliability": ["predicted", "actual", "low", "high", "customers"],
        "drivers": ["feature", "also", "importance", "low", "high", "effect"],
        "dependence": ["feature", "quantile", "predicted"],
    }
    frames = {name: pd.DataFrame(columns=columns) for name, columns in empty.items()}
    fixed = {"judged": OTHER_CUSTOMERS, "learned_from": len(y), "judged_on": 0, "actual": mean, "predicted": mean, "baseline": ""}
    return Propensity(target, _said(target), yes_no, predictions, beats_baseline=False, reason=reason, **fixed, **frames)


# -- models ------------------------------------------------------------------------------------------------------------


def _judgements(
    before: Moment | None, x: np.ndarray, y: np.ndarray, columns: list[str], target: str, yes_no: bool, seed: int
) -> tuple[str, list[tuple[Predict, Predict, np.ndarray, np.ndarray]]]:
    """-> how it is judged, and (model, baseline, features, target) with models that have not seen these customers' outcomes."""
    from sklearn.model_selection import KFold, StratifiedKFold

    with on_one_thread():
        if before is not None:
            earlier = _sorted(before)
            past = _target(earlier.outcomes, target)
            known = np.isfinite(past)
            past, at = past[known], _matrix(earlier.features[known], columns)
            if _is_yes_no(past) == yes_no and not _too_little(past, yes_no, columns):
                return OUT_OF_TIME, [(_fit(at, past, yes_no, seed), _fit_simplest(at, past, columns, yes_no), x, y)]
        folds = (StratifiedKFold if yes_no else KFold)(FOLDS, shuffle=True, random_state=seed)
        return OTHER_CUSTOMERS, [
            (_fit(x[a], y[a], yes_no, seed), _fit_simplest(x[a], y[a], columns, yes_no), x[b], y[b]) for a, b in folds.split(x, y)
        ]


def _fit(x: np.ndarray, y: np.ndarray, yes_no: bool, seed: int) -> Predict:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.model_selection import StratifiedKFold

    x = learnable(x)
    if not yes_no:
        loss = "poisson" if (y >= 0).all() else "squared_error"
        return HistGradientBoostingRegressor(loss=loss, random_state=seed, **SHAPE).fit(x, y).predict
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    # ensemble=False: one model of all customers, its curve from predictions for customers it was not shown.
    model = CalibratedClassifierCV(
        HistGradientBoostingClassifier(random_state=seed, **SHAPE), method="sigmoid", cv=folds, ensemble=False
    ).fit(x, y)
    return lambda at: model.predict_proba(at)[:, 1]


def _simplest(x: np.ndarray, y: np.ndarray, columns: list[str], yes_no: bool) -> int:
    """The attribute that the baseline knows: its position in columns."""
    if yes_no and "recency_days" in columns:
        return columns.index("recency_days")
    return int(abs(_told(x, y)).argmax())


def _told(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman correlation of each column with the target; 0 where it does not vary."""
    rho, pairs = rank_correlation(pd.DataFrame(x), pd.DataFrame({"y": y}))
    return np.where(pairs[:, 0] >= MIN_KNOWN, np.nan_to_num(rho[:, 0]), 0.0)


def _fit_simplest(x: np.ndarray, y: np.ndarray, columns: list[str], yes_no: bool) -> Predict:
    from sklearn.isotonic import IsotonicRegression

    column = _simplest(x, y, columns, yes_no)
    known = np.isfinite(x[:, column])
    rising = bool(_told(x[:, [column]], y)[0] >= 0)
    curve = IsotonicRegression(increasing=rising, out_of_bounds="clip").fit(x[known, column], y[known])
    unknown = y[~known].mean() if (~known).any() else y.mean()

    def predict(at: np.ndarray) -> np.ndarray:
        there = np.isfinite(at[:, column])
        return np.where(there, curve.predict(np.where(there, at[:, column], x[known, column][0])), unknown)

    return predict


# -- how well ----------------------------------------------------------------------------------------------------------


def auc(y: np.ndarray, score: np.ndarray) -> float:
    """Yes/no and scores -> the chance that a yes scores higher than a no, ties counting half (Mann & Whitney 1947); NaN if all alike."""
    yes = y == 1
    n1, n0 = yes.sum(), (~yes).sum()
    return float((stats.rankdata(score)[yes].sum() - n1 * (n1 + 1) / 2) / (n1 * n0)) if n1 and n0 else np.nan


def _spearman(y: np.ndarray, score: np.ndarray) -> float:
    a, b = stats.rankdata(y), stats.rankdata(score)
    return float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) and np.ptp(b) else 0.0


def _squared(y: np.ndarray, predicted: np.ndarray) -> float:
    return float(((y - predicted) ** 2).mean())


def _absolute(y: np.ndarray, predicted: np.ndarray) -> float:
    return float(abs(y - predicted).mean())


def _metrics(
    y: np.ndarray, model: np.ndarray, baseline: np.ndarray, yes_no: bool, seed: int, bootstraps: int = 200
) -> pd.DataFrame:
    """Percentile bootstrap over customers (Efron 1979), the same draws for both, so that their difference is a paired one."""
    generator = np.random.default_rng(seed)
    picks = [np.arange(len(y)), *(generator.integers(0, len(y), len(y)) for _ in range(bootstraps))]
    scores = [("AUC", auc, 1), ("Brier score", _squared, -1)] if yes_no else [("Spearman", _spearman, 1), ("MAE", _absolute, -1)]
    rows = []
    for name, score, sign in scores:
        found = np.array([(score(y[p], model[p]), score(y[p], baseline[p])) for p in picks])
        row = {"metric": name}
        for column, values in (("model", found[:, 0]), ("baseline", found[:, 1]), ("gain", sign * (found[:, 0] - found[:, 1]))):
            prefix = "" if column == "model" else f"{column}_"
            low, high = np.nanquantile(values[1:], [0.025, 0.975])
            row |= {column: values[0], f"{prefix}low": low, f"{prefix}high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def _reliability(y: np.ndarray, predicted: np.ndarray, yes_no: bool, seed: int) -> pd.DataFrame:
    """Tenths by prediction; intervals: Wilson for yes/no, else bootstrap. Equal predictions fall into one bin."""
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, BINS + 1)[1:-1]))
    bins = np.unique(np.searchsorted(edges, predicted, side="left"), return_inverse=True)[1]
    n = np.bincount(bins)
    frame = pd.DataFrame({"predicted": np.bincount(bins, predicted) / n, "actual": np.bincount(bins, y) / n})
    if yes_no:
        low, high = wilson(np.bincount(bins, y), n)
    else:
        low, high = ratio_intervals(y, np.ones(len(y)), bins, len(n), 500, 0.95, seed)
    return frame.assign(low=low, high=high, customers=n)


# -- what it rests on --------------------------------------------------------------------------------------------------


def _tree(rho: np.ndarray, optimal_ordering: bool = False) -> np.ndarray:
    distance = np.clip(1 - abs(rho), 0, 1)
    np.fill_diagonal(distance, 0)
    return hierarchy.linkage(squareform((distance + distance.T) / 2, checks=False), "average", optimal_ordering=optimal_ordering)


def _groups(x: pd.DataFrame, y: np.ndarray) -> list[list[int]]:
    """Columns that say much the same, as positions; the one most correlated with the target leads its group, the strongest group first."""
    rho = np.nan_to_num(rank_correlation(x, x)[0])
    label = hierarchy.fcluster(_tree(rho), 1 - ALIKE, "distance") if x.shape[1] > 1 else np.array([1])
    told = abs(_told(_matrix(x, list(x)), y))
    found = [sorted(np.flatnonzero(label == g), key=lambda i: (-told[i], i)) for g in np.unique(label)]
    return sorted(found, key=lambda g: (-told[g[0]], g[0]))


def _importance(judgements: list, groups: list[list[int]], yes_no: bool, seed: int) -> np.ndarray:
    """What the first metric loses when a group's values are dealt to other customers, together; shape (REPEATS, groups).

    Permutation importance (Breiman 2001; Fisher, Rudin & Dominici 2019). Each repeat takes a bootstrap sample of the judged
    customers, so that the spread over repeats holds their chance as well as that of the permutation.
    """
    generator, score = np.random.default_rng(seed), auc if yes_no else _spearman
    lost = np.zeros((REPEATS, len(groups)))
    for repeat in range(REPEATS):
        for model, _, x, y in judgements:
            chosen = generator.integers(0, len(y), min(len(y), JUDGED // len(judgements)))
            dealt = generator.permutation(chosen)
            at, best = x[chosen], score(y[chosen], model(x[chosen]))
            for g, members in enumerate(groups):
                mixed = at.copy()
                mixed[:, members] = x[dealt][:, members]
                lost[repeat, g] += (best - score(y[chosen], model(mixed))) / len(judgements)
    return lost


def _dependence(model: Predict, x: np.ndarray, groups: list[list[int]]) -> np.ndarray:
    """Mean prediction with a whole group at a quantile, all else as it is; shape (groups, QUANTILES).

    Partial dependence (Friedman 2001) of a group: members that fall where the leader rises stand at the opposite quantile.
    """
    x = x[np.random.default_rng(0).permutation(len(x))[:1_000]]
    rho = np.nan_to_num(rank_correlation(pd.DataFrame(x), pd.DataFrame(x))[0])
    rows = []
    for members in groups:
        row = []
        for q in QUANTILES:
            moved = x.copy()
            for member in members:
                moved[:, member] = _level(x[:, member], q if rho[members[0], member] >= 0 else 1 - q)
            row.append(model(moved).mean())
        rows.append(row)
    return np.array(rows)


def _level(values: np.ndarray, quantile: float) -> float:
    """A quantile of known values; of the different ones where nearly all are the same, as counts of rare events are."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.nan
    low, high = np.quantile(known, [QUANTILES[0], QUANTILES[-1]])
    return float(np.quantile(known if high > low else np.unique(known), quantile))


def _drivers(columns: list[str], groups: list[list[int]], importance: np.ndarray, dependence: np.ndarray) -> pd.DataFrame:
    mean, spread = importance.mean(axis=0), importance.std(axis=0, ddof=1)
    half = stats.norm.ppf(0.975) * spread
    frame = pd.DataFrame(
        {
            "feature": [columns[g[0]] for g in groups],
            "also": [" ".join(columns[i] for i in g[1:]) for g in groups],
            "importance": mean, "low": mean - half, "high": mean + half,
            "effect": dependence[:, -1] - dependence[:, 0],
        }
    )  # fmt: skip
    return frame.sort_values(["importance", "feature"], ascending=[False, True], ignore_index=True)
