"""Drivers: what sets a segment apart, with effect sizes and intervals, chance findings filtered out."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.core.config import PersonaSettings
from workbench.core.stats import false_discovery, standardized_difference
from workbench.personas.naming import SENSITIVE


def as_told(features: pd.DataFrame, counted: pd.DataFrame) -> pd.DataFrame:
    """Features with shares as they were counted in place of shrunk ones: what a reader can count again; both indexed by customer."""
    return features.assign(**counted.reindex(features.index))


def compare_segments(features: pd.DataFrame, labels: pd.Series, catalog: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Every segment against everybody else on every feature that may be told -> frame, one row per segment x feature.

    Columns: segment_id, feature, value (segment mean), base (mean of all segmented customers), index (100 = base; missing
    where the base is not positive), effect_size (Hedges' g against the other customers) with ci_low and ci_high, p_value,
    q_value (Benjamini-Hochberg over all rows), n (members with a value), coverage (n over all members). features and labels share the customer index.
    """
    rows = []
    for name in catalog.feature[catalog.told]:
        values = features[name].to_numpy(float)
        base = np.nanmean(values)
        for segment in sorted(labels.unique()):
            inside = (labels == segment).to_numpy()
            g, low, high, p = standardized_difference(values[inside], values[~inside], confidence)
            if np.isfinite(g):
                known = values[inside & np.isfinite(values)]
                rows.append(
                    (
                        segment,
                        name,
                        known.mean(),
                        base,
                        100 * known.mean() / base if base > 0 else np.nan,
                        g,
                        low,
                        high,
                        p,
                        len(known),
                        len(known) / inside.sum(),
                    )
                )
    columns = ["segment_id", "feature", "value", "base", "index", "effect_size", "ci_low", "ci_high", "p_value", "n", "coverage"]
    found = pd.DataFrame(rows, columns=columns)
    return found.assign(q_value=false_discovery(found.p_value.to_numpy()))


def choose_drivers(compared: pd.DataFrame, catalog: pd.DataFrame, settings: PersonaSettings) -> pd.DataFrame:
    """All comparisons -> drivers: the strongest claims per segment that survive false-discovery control.

    A claim needs q below settings.false_discovery and an interval that stays beyond settings.min_effect / 2 on its side;
    half of the members must have a value; of features that say the same (family and lever) the strongest two are kept. What may be sensitive is not told. claim: the sentence part in plain words.
    """
    words = catalog.set_index("feature")[["family", "lever", "unit", "high", "low", "noun"]]
    told = compared.join(words, on="feature")
    nearest = np.where(told.effect_size > 0, told.ci_low, -told.ci_high)
    told = told[
        (told.coverage >= 0.5)
        & (told.q_value < settings.false_discovery)
        & (told.effect_size.abs() >= settings.min_effect)
        & (nearest >= settings.min_effect / 2)
    ]
    told = told.assign(strength=told.effect_size.abs(), claim=np.where(told.effect_size > 0, told.high, told.low))
    told = told[~told.claim.str.contains(SENSITIVE)]
    told = told.sort_values(["segment_id", "strength", "feature"], ascending=[True, False, True])
    told = told[told.groupby(["segment_id", "family"]).cumcount() < 2].drop_duplicates(["segment_id", "claim"])
    told = told[told.groupby("segment_id").cumcount() < settings.max_claims]
    return told.drop(columns=["strength", "high", "low", "p_value"]).astype({"claim": "str"}).reset_index(drop=True)
