"""What a feature is: one declaration per feature, from which the catalog, the notebooks and the personas take their words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import pandas as pd


@dataclass(frozen=True)
class Feature:
    """One attribute of a customer.

    high, low: what a marketer would say of customers with much or little of it. lever: what can be done about it
    (price, offer, channel, timing, content, product, service), "" when nothing. noun: what readers call it; by default its name.
    """

    feature: str
    family: str
    unit: str
    definition: str
    high: str
    low: str
    lever: str = ""
    noun: str = ""


def describe(features: Iterable[Feature]) -> pd.DataFrame:
    """Declarations -> frame: feature, family, unit, definition, high, low, lever, noun; one row per feature."""
    return pd.DataFrame([asdict(f) | {"noun": f.noun or f.feature.replace("_", " ")} for f in features])
