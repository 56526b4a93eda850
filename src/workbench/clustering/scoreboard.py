"""The scoreboard: what each way of segmenting knows of the future, out of time, and whether it finds the same twice."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from workbench.clustering import baselines
from workbench.clustering.knowledge import mean_r2
from workbench.clustering.predictor import Each
from workbench.clustering.segmenter import Segmenter, draw_rows
from workbench.core.config import ClusteringSettings
from workbench.core.errors import InputError, QualityGate
from workbench.core.stats import adjusted_r2, adjusted_r2_resampled

OURS, MACRO, RFM, RFM_EQUAL, KMEANS, MIXTURE, PLAIN, PLAIN_CHOSEN, KMEANS_AWARE = (
    "this segmentation", "its macro-segments", "RFM grid", "RFM grid of equal size", "k-means on scaled features", "Gaussian mixture on scaled features",
    "plain UMAP + HDBSCAN", "UMAP + HDBSCAN on features in use", "k-means on the same representation",
)  # fmt: skip
MEAN = "mean of outcomes"
SEEDS = 3
NULLS = 20  # permutations that say what agreement chance gives
RESAMPLES = 200  # of customers, for the standard errors of adjusted R²
AFTER, BEFORE, NEVER = "after as_of", "one horizon earlier", "not yet"  # where `score_methods` judges


@dataclass(frozen=True, eq=False)
class Slice:
    """One set of events seen as today's features, and as features and outcomes one horizon earlier; indexed by customer.

    name: full, odd or even (or see `as_it_was`). everything and earlier_everything: today's features and the earlier ones with those that the
    scorecard left out; None where it left out none.
    """

    name: str
    today: pd.DataFrame
    earlier: pd.DataFrame
    earlier_outcomes: pd.DataFrame
    everything: pd.DataFrame | None = None
    earlier_everything: pd.DataFrame | None = None

    @property
    def every(self) -> pd.DataFrame:
        """Today's features, with those that the scorecard left out."""
        return self.today if self.everything is None else self.everything

    def of(self, customers: pd.Index) -> Slice:
        """The same slice with these customers alone (its earlier window stays whole)."""
        kept = self.today.index.isin(customers)
        everything = None if self.everything is None else self.everything[kept]
        return dataclasses.replace(self, today=self.today[kept], everything=everything)

    def among(self, customers: pd.Index) -> Slice:
        """What would be known if there were only these customers."""
        was = self.earlier.index.isin(customers)
        everything = None if self.earlier_everything is None else self.earlier_everything[was]
        earlier = {"earlier": self.earlier[was], "earlier_outcomes": self.earlier_outcomes[was], "earlier_everything": everything}
        return dataclasses.replace(self.of(customers), **earlier)

    def as_it_was(self) -> Slice:
        """Its earlier window in the place of today."""
        return dataclasses.replace(self, name=BEFORE, today=self.earlier, everything=self.earlier_everything)


class Timer:
    """Wall-clock seconds since it was made."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    def seconds(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self._started


@dataclass(frozen=True)
class Method:
    """A way of segmenting: a slice and a seed -> one label per customer; averaged over `seeds` fits where chance or choice enters."""

    fit: Callable[[Slice, int], np.ndarray]
    seeds: int = 1


def fit_slice(
    part: Slice, settings: ClusteringSettings, relevance: pd.Series, each: Each = map, k: int | None = None, last: pd.DataFrame | None = None
) -> Segmenter:  # fmt: skip
    """A segmenter on a slice; each, last: see `Segmenter.fit`; k: exactly so many segments, where its fits give enough to choose from."""
    band = {} if k is None else {"min_segments": k, "max_segments": k}
    segmenter = Segmenter.of(settings.model_copy(update=band))
    return segmenter.fit(
        part.today, earlier=part.earlier, outcomes=part.earlier_outcomes, relevance=relevance, each=each, last=last
    )


def fit_halves(
    slices: Mapping[str, Slice], settings: ClusteringSettings, relevance: pd.Series, k: int, each: Each = map
) -> dict[str, Segmenter]:  # fmt: skip
    """Segmenters of as many segments on odd and on even weeks alone; none where half of the events gives no segments."""
    try:
        return {half: fit_slice(slices[half], settings, relevance, each, k) for half in ("odd", "even")}
    except (QualityGate, InputError):  # too alike, too scattered or too few
        return {}


def methods(settings: ClusteringSettings, slices: Mapping[str, Slice], fitted: Mapping[str, Segmenter]) -> dict[str, Method]:
    """Every method as a function of a slice and a seed; all are given the same customers and as many segments as were published.

    fitted: this segmentation on the slices "full" and, where they gave segments, "odd" and "even". A method may be asked for a
    slice, for some customers of one (`Slice.of`), or for the full one as it was one horizon earlier.
    """
    k = fitted["full"].n_segments_
    grids = baselines.even_grids(k)

    def segmenter(part: Slice) -> Segmenter:
        name = "full" if part.name == BEFORE else part.name
        if name not in fitted:
            raise QualityGate("This part of the events gives no segments.")
        return fitted[name]

    def coordinates(part: Slice) -> np.ndarray:
        if part.name == BEFORE:
            return segmenter(part).look_back().loc[part.today.index].to_numpy()
        return segmenter(part).transform(part.today)

    def ours(part: Slice) -> np.ndarray:
        if part.name == BEFORE:
            return segmenter(part).place_coordinates(coordinates(part))[0]
        return segmenter(part).labels_[slices[part.name].today.index.get_indexer(part.today.index)]

    found = {
        OURS: Method(lambda part, _: ours(part)),
        MACRO: Method(lambda part, _: segmenter(part).macro_[ours(part)]),
        RFM: Method(lambda part, _: baselines.rfm_grid(part.every)),
        RFM_EQUAL: Method(lambda part, seed: baselines.rfm_grid(part.every, grids[seed % len(grids)]), len(grids)),
        KMEANS: Method(lambda part, seed: baselines.kmeans(baselines.scaled(part.today), k, seed), SEEDS),
        MIXTURE: Method(lambda part, seed: baselines.gaussian_mixture(baselines.scaled(part.today), k, seed), SEEDS),
        PLAIN: Method(lambda part, seed: baselines.plain_umap_hdbscan(part.every, settings, seed), SEEDS),
        PLAIN_CHOSEN: Method(lambda part, seed: baselines.plain_umap_hdbscan(part.today, settings, seed), SEEDS),
        KMEANS_AWARE: Method(lambda part, seed: baselines.kmeans(coordinates(part), k, seed)),
    }
    if slices["full"].everything is None:
        del found[PLAIN_CHOSEN]
    return found


def replication(method: Method, odd: Slice, even: Slice, seed: int) -> dict[str, float]:
    """The method on odd and on even weeks -> replication_ami, replication_ari (Vinh et al. 2010; Hubert & Arabie 1985), replication_null.

    Over customers in both, mean over the method's fits. The null is the 95th percentile of the AMI when one labelling is permuted.
    NaN where the method finds no segments on half of the events, or fewer than two customers are in both halves.
    """
    both = odd.today.index.intersection(even.today.index)
    unknown = dict.fromkeys(("replication_ami", "replication_ari", "replication_null"), np.nan)
    if len(both) < 2:
        return unknown
    try:
        fits = [[pd.Series(method.fit(part, seed + i), part.today.index) for part in (odd, even)] for i in range(method.seeds)]
    except QualityGate:
        return unknown
    pairs = [(first[both].to_numpy(), second[both].to_numpy()) for first, second in fits]
    generator = np.random.default_rng(seed)
    a, b = pairs[0]
    chance = [adjusted_mutual_info_score(a, generator.permutation(b)) for _ in range(NULLS)]
    return {
        "replication_ami": float(np.mean([adjusted_mutual_info_score(*pair) for pair in pairs])),
        "replication_ari": float(np.mean([adjusted_rand_score(*pair) for pair in pairs])),
        "replication_null": float(np.quantile(chance, 0.95)),
    }


COLUMNS = {
    "method": "str", "n_segments": int, "outcome": "str", "r2_adjusted": float, "r2_low": float, "r2_high": float, "lead_low": float,
    "lead_high": float, "ceiling": float, "replication_ami": float, "replication_ari": float, "replication_null": float, "seconds": float,
    "judged": "str",
}  # fmt: skip


def score_methods(
    settings: ClusteringSettings, slices: Mapping[str, Slice], fitted: Mapping[str, Segmenter], seconds: float,
    outcomes: pd.DataFrame | None, ceiling: Mapping[str, float],
) -> pd.DataFrame:  # fmt: skip
    """-> scoreboard: a row per method x outcome, and the mean of the outcomes that can be predicted (see `COLUMNS`).

    slices: "full", "odd" and "even"; fitted: see `methods`. seconds: what finding the published segments took. outcomes: what happened after as_of
    with those of the full slice to judge by (see `draw_judges`); ceiling: see `prediction_ceiling`, what a perfect split of the same knowledge
    could explain. r2_low to r2_high is
    the 95 % interval of r2_adjusted, lead_low to lead_high that of this segmentation's minus the method's, both from the normal
    approximation with the standard error over resampled customers (Efron & Tibshirani 1993), the same resamples for all methods.

    judged: without outcomes (None) methods are judged by those of the earlier window instead, this segmentation by models that never saw
    the customer (`Segmenter.look_back`); its number of segments was chosen there. Of four companies where both could be had, it led
    the RFM grid by 1.60, 2.01, 2.24 and 2.21 times there and by 1.74, 1.89, 1.99 and 2.47 times after as_of.
    Without a history either, nothing is known of outcomes: the mean alone, without figures but those of replication.
    """
    full, judged_at = slices["full"], AFTER
    if outcomes is None:
        full, outcomes, ceiling = _one_horizon_earlier(full, fitted["full"])
        judged_at = BEFORE if len(outcomes.columns) else NEVER
    outcomes = outcomes.astype(float)  # yes and no are 1 and 0
    judged = _judged(outcomes, ceiling)
    part = full.of(outcomes.index)
    drawn = slices["full"].today.index
    drawn = drawn[draw_rows(len(drawn), settings.sample_limit, settings.seed + 2)]
    odd, even = (slices[half].of(drawn) for half in ("odd", "even"))
    happened = outcomes.loc[part.today.index]
    weights = np.random.default_rng(settings.seed).poisson(1.0, (RESAMPLES, len(happened))).astype(np.float32)
    rows, ours = [], None
    for name, method in methods(settings, slices, fitted).items():
        timer = Timer()
        fits = [method.fit(part, settings.seed + i) for i in range(method.seeds)]
        took = seconds if name in (OURS, MACRO) else timer.seconds() / method.seeds
        again = replication(method, odd, even, settings.seed)
        scores = {o: float(np.mean([adjusted_r2(happened[o].to_numpy(), labels) for labels in fits])) for o in happened}
        scores[MEAN] = float(pd.Series([scores[o] for o in judged]).mean())
        drawn_r2 = np.mean([adjusted_r2_resampled(happened.to_numpy(), labels, weights) for labels in fits], axis=0)
        resampled = pd.DataFrame(drawn_r2, columns=happened.columns)
        resampled[MEAN] = resampled[[o for o in judged if np.isfinite(scores[o])]].mean(axis=1)
        ours = resampled if name == OURS else ours
        groups = round(np.mean([len(np.unique(labels)) for labels in fits]))
        halves = 1.96 * resampled.std(), 1.96 * (ours - resampled).std()
        rows += [
            {"method": name, "n_segments": groups, "outcome": o, "r2_adjusted": r2, "half": half, "lead_half": lead_half, **again, "seconds": took}
            for (o, r2), half, lead_half in zip(scores.items(), *halves, strict=True)
        ]  # fmt: skip
    mean_ceiling = np.mean([ceiling.get(o, np.nan) for o in judged]) if judged else np.nan
    board = pd.DataFrame(rows)
    r2 = board.r2_adjusted
    lead = board.outcome.map(board[board.method == OURS].set_index("outcome").r2_adjusted) - r2
    board = board.assign(
        r2_low=r2 - board.half, r2_high=r2 + board.half, lead_low=lead - board.lead_half, lead_high=lead + board.lead_half,
        ceiling=board.outcome.map({**ceiling, MEAN: mean_ceiling}), judged=judged_at,
    )  # fmt: skip
    return board[list(COLUMNS)].astype(COLUMNS)


def _one_horizon_earlier(full: Slice, fitted: Segmenter) -> tuple[Slice, pd.DataFrame, dict[str, float]]:
    """The slice as it was, the outcomes that its customers then had, and what predictions of them by crossed models explain."""
    back = fitted.look_back()
    if back is None:
        return full, pd.DataFrame(index=full.today.index), {}
    names, space = list(fitted.space_.models_), fitted.space_
    then = full.as_it_was().of(back.index)
    predicted = back[names] * space.spread_ + space.middle_
    happened = then.earlier_outcomes.loc[back.index, names].astype(float)
    return then, happened, prediction_ceiling(predicted, happened)


def draw_judges(outcomes: pd.DataFrame | None, settings: ClusteringSettings) -> pd.DataFrame | None:
    """Outcomes of all customers -> of those to judge by: where they are more than `sample_limit`, so many drawn at random (nobody waits for plain UMAP on a million)."""
    if outcomes is None:
        return None
    return outcomes.iloc[draw_rows(len(outcomes), settings.sample_limit, settings.seed + 2)]


def score_tried(
    segmenter: Segmenter, full: Slice, outcomes: pd.DataFrame | None, ceiling: Mapping[str, float]
) -> pd.DataFrame:  # fmt: skip
    """-> n_segments, r2_adjusted (as the scoreboard's mean), chosen; a row per number that was tried, none without outcomes.

    What another number of segments would have known of what then happened. Nothing is chosen by it.
    """
    table = segmenter.counts_[["n_repaired", "chosen"]].rename(columns={"n_repaired": "n_segments"})
    if outcomes is None:
        return table[:0].assign(r2_adjusted=0.0)
    happened = outcomes[_judged(outcomes, ceiling)].to_numpy()
    known = segmenter.predicted_
    matrix = segmenter.space_.transform(full.today.loc[outcomes.index], None if known is None else known.loc[outcomes.index])
    return table.assign(r2_adjusted=[mean_r2(happened, labels) for labels in segmenter.tried(matrix)])


def score_limit(
    segmenter: Segmenter, outcomes: pd.DataFrame | None, ceiling: Mapping[str, float]
) -> pd.DataFrame:  # fmt: skip
    """-> n_segments, r2_adjusted (the same): about the most that so many groups made from the predictions can know; as many as were published and as are allowed.

    k-means (10 starts) on the predictions alone, in units of each outcome's spread: what it lessens within groups is what R² counts, and it owes nothing
    to today's features or to being found again. No rows without outcomes or without predictions.
    """
    limits = pd.DataFrame({"n_segments": sorted({segmenter.n_segments_, segmenter.max_segments})})
    if outcomes is None or segmenter.predicted_ is None:
        return limits[:0].assign(r2_adjusted=0.0)
    happened = outcomes[_judged(outcomes, ceiling)].to_numpy()
    alone = segmenter.space_.leading(segmenter.predicted_.loc[outcomes.index])
    return limits.assign(r2_adjusted=[mean_r2(happened, baselines.kmeans(alone, k, segmenter.seed)) for k in limits.n_segments])


def _judged(outcomes: pd.DataFrame, ceiling: Mapping[str, float]) -> list[str]:
    """The outcomes that a mean is of: those that can be predicted at all, else all."""
    return [o for o in outcomes if np.isfinite(ceiling.get(o, np.nan))] or list(outcomes)


def prediction_ceiling(predicted: pd.DataFrame | None, outcomes: pd.DataFrame | None) -> dict[str, float]:
    """Predictions for individual customers, learned earlier -> their R² on what then happened to those judged by, one value per outcome; NaN where nothing differed.

    Once level and spread are set by what happened, as a segment's mean is: the squared correlation, 0 where it is negative.
    """
    if predicted is None or outcomes is None:
        return {}
    found = {}
    for name in outcomes.columns.intersection(predicted.columns):
        known = outcomes[name].notna()
        y, p = outcomes[name][known], predicted[name].loc[outcomes.index][known]
        told = p.corr(y) if p.nunique() > 1 else 0.0
        found[name] = float(max(told, 0.0) ** 2) if y.nunique() > 1 else np.nan
    return found
