"""What a persona prefers, says and complains of, and how much of it is not known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.core.config import PersonaSettings
from workbench.personas.naming import SENSITIVE

APART = "apart"
# Families of features that answer one question about people; every other family tells what sets a segment apart.
ASPECTS = {
    "channel": "channel", "engagement": "channel", "e-mail state": "channel", "intent": "channel",
    "interest": "content", "attitude": "priority", "demand": "demand", "needs": "frustration", "satisfaction": "frustration",
}  # fmt: skip
# What a reader would like to know, by family, in the words of a persona.
UNKNOWN = {
    "attitude": "what matters to them", "satisfaction": "how content they are", "interest": "which content they turn to",
    "e-mail state": "how they take e-mails", "life stage": "their household and life stage",
}  # fmt: skip
ANSWERED = 30  # members with a value before a claim about those who have one is told
TOLD = 2  # further claims per aspect
KNOWN_WELL = 0.8  # what is known of so many members is told without saying of how many, and need not be mentioned as unknown


def tell_aspects(drivers: pd.DataFrame, compared: pd.DataFrame, catalog: pd.DataFrame, settings: PersonaSettings) -> pd.DataFrame:
    """Drivers and all comparisons -> drivers with `aspect`, and up to two more claims each of channel, content, priority, demand, frustration.

    A further claim is held to the drivers' false-discovery bound and interval. It may rest on part of the members, at least 30
    (n says how many). Preferences and frustrations are told on the high side only, what they say matters on both; scores that they
    gave are a frustration where they are low.
    """
    words = catalog.set_index("feature")[["family", "lever", "unit", "high", "low", "noun"]]
    more = compared.join(words, on="feature")
    more["aspect"] = _aspects(more)
    nearest = np.where(more.effect_size > 0, more.ci_low, -more.ci_high)
    sound = (more.aspect != APART) & (more.n >= ANSWERED) & (more.q_value < settings.false_discovery) & (nearest >= settings.min_effect / 2)  # fmt: skip
    more = more[sound & ((more.effect_size > 0) | (more.aspect == "priority") | _is_score(more))]
    more = more.assign(claim=np.where(more.effect_size > 0, more.high, more.low), strength=more.effect_size.abs())
    more = more[~more.claim.str.contains(SENSITIVE)]
    already = pd.MultiIndex.from_frame(drivers[["segment_id", "claim"]])
    more = more[~pd.MultiIndex.from_frame(more[["segment_id", "claim"]]).isin(already)]
    more = more.sort_values(["segment_id", "strength", "feature"], ascending=[True, False, True])
    more = more[more.groupby(["segment_id", "aspect"]).cumcount() < TOLD].drop_duplicates(["segment_id", "claim"])
    told = drivers.assign(aspect=_aspects(drivers))
    every = pd.concat([told, more[told.columns]], ignore_index=True) if len(more) else told
    # What is so of some members is no fact about them all.
    often = np.where(every.effect_size > 0, " more often than others", " less often than others")
    every["claim"] = every.claim.where(every.unit != "yes/no", every.feature.map(words.high) + often)
    order = every.effect_size.abs().sort_values(ascending=False, kind="stable").index
    return every.loc[order].sort_values("segment_id", kind="stable").astype({"aspect": "str", "claim": "str"}).reset_index(drop=True)  # fmt: skip


def _aspects(compared: pd.DataFrame) -> pd.Series:
    """The aspect of each comparison, `APART` where it is of none; a high score is no complaint."""
    return compared.family.map(ASPECTS).mask(_is_score(compared) & (compared.effect_size > 0)).fillna(APART)


def _is_score(compared: pd.DataFrame) -> pd.Series:
    return (compared.family == "satisfaction") & (compared.unit == "points")


def known_shares(features: pd.DataFrame, labels: pd.Series, catalog: pd.DataFrame) -> pd.DataFrame:
    """-> persona_gaps: segment_id, unknown (in words), known (share of members with any value of that family); 0: no source tells it.

    Where customers are organisations nobody asks for their household.
    """
    parts, organisations = [], catalog.family.eq("firmographics").any()
    for family, word in UNKNOWN.items():
        if family == "life stage" and organisations:
            continue
        columns = [c for c in catalog.feature[catalog.family == family] if c in features]
        known = features[columns].notna().any(axis=1).groupby(labels).mean() if columns else labels.groupby(labels).size() * 0.0
        parts.append(pd.DataFrame({"segment_id": known.index, "unknown": word, "known": known.to_numpy(float)}))
    return pd.concat(parts).sort_values(["segment_id", "known", "unknown"]).astype({"unknown": "str"}).reset_index(drop=True)
