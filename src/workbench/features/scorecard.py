"""The scorecard of every feature: known for whom, relevant to the future, the same twice, actionable; and what follows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.features.catalog import Feature, describe


def relevance(earlier: pd.DataFrame, outcomes: pd.DataFrame) -> pd.Series:
    """Features and outcomes of the earlier window, same customers -> mean squared rank correlation over outcomes, 0 to 1.

    Out of time by construction: the features end where the outcomes begin, and both lie before as_of.
    """
    ranked, targets = earlier.drop(columns="customer_id").rank(), outcomes.drop(columns="customer_id").rank()
    found = {name: ranked.corrwith(targets[name]) ** 2 for name in targets if targets[name].nunique() > 1}
    return pd.DataFrame(found).mean(axis=1).fillna(0.0)


def chance_relevance(earlier: pd.DataFrame, outcomes: pd.DataFrame, seed: int = 0) -> float:
    """The 95th percentile of the same figure when outcomes are dealt to random customers: what counts as nothing."""
    generator = np.random.default_rng(seed)
    shuffled = outcomes.iloc[generator.permutation(len(outcomes))].reset_index(drop=True)
    return float(relevance(earlier.reset_index(drop=True), shuffled).quantile(0.95))


def stability(odd: pd.DataFrame, even: pd.DataFrame) -> pd.Series:
    """The same features from odd and from even weeks -> Spearman correlation per feature over customers in both."""
    both = odd.merge(even, on="customer_id", suffixes=("_odd", "_even"))
    names = [c for c in odd.columns if c != "customer_id"]
    pairs = {n: (both[f"{n}_odd"].rank(), both[f"{n}_even"].rank()) for n in names}
    return pd.Series({n: a.corr(b) if a.nunique() > 1 and b.nunique() > 1 else np.nan for n, (a, b) in pairs.items()})


def score_features(
    declared: list[Feature], features: pd.DataFrame, relevant: pd.Series, chance: float, stable: pd.Series, min_coverage: float
) -> pd.DataFrame:
    """-> feature_catalog: a row per feature with its figures, whether segments may use it, and the reason when not.

    A feature is left out when too few customers have a value or nothing varies; relevance below chance does not drop
    it (its weight in the representation follows its relevance) but is said.
    """
    catalog = describe(declared)
    values = features.set_index("customer_id")[catalog.feature]
    catalog["coverage"] = values.notna().mean().to_numpy()
    catalog["relevance"] = catalog.feature.map(relevant).fillna(0.0).to_numpy()
    catalog["stability"] = catalog.feature.map(stable).to_numpy(float)
    catalog["actionable"] = catalog.lever != ""
    constant = values.nunique().to_numpy() < 2
    rare = catalog.coverage < min_coverage
    catalog["used"] = ~(constant | rare)
    catalog["reason"] = np.select(
        [rare, constant, catalog.relevance <= chance],
        [
            "left out: known for too few customers",
            "left out: the same for everybody",
            "kept, but no better than chance at telling outcomes",
        ],
        "kept",
    )
    return catalog.astype({"reason": "str"})
