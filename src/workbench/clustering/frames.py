"""What a segmenter is given, checked: features as a frame of numbers, the earlier window with an outcome of each customer."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from workbench.core.errors import InputError


def aligned(X: pd.DataFrame, earlier: Any, outcomes: pd.DataFrame | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The earlier window with today's features in their order, and its outcomes as numbers, customer by customer."""
    if earlier is None or outcomes is None:
        raise InputError(
            f"fit was given {'outcomes without earlier features' if earlier is None else 'earlier features without outcomes'}.",
            "Nothing can be learned from one of the two.",
            "give fit both earlier and outcomes, or neither",
        )
    earlier = as_frame(earlier, X.columns, "The earlier window")
    if not isinstance(outcomes, pd.DataFrame):
        outcomes = as_frame(outcomes.to_frame() if isinstance(outcomes, pd.Series) else outcomes, whose="The table of outcomes")
    nameless = any(isinstance(frame.index, pd.RangeIndex) for frame in (earlier, outcomes))  # then customers go by their places
    if outcomes.index.is_unique and earlier.index.isin(outcomes.index).all():
        outcomes = outcomes.loc[earlier.index]
    elif not outcomes.index.equals(earlier.index) and not (nameless and len(outcomes) == len(earlier)):
        raise InputError(
            f"The earlier window has features of {len(earlier)} customers, and not an outcome of each.",
            "An outcome would be learned from another customer's features.",
            "give both the same index",
        )
    return earlier, finite(outcomes)


def as_frame(X: Any, wanted: Collection[str] | None = None, whose: str = "This table") -> pd.DataFrame:
    """Features as a frame with names for columns; those of a bare array go by their places. wanted: the columns to take.

    Raises InputError where names repeat or lack, an array has another width, or a column is no number.
    """
    bare = not isinstance(X, pd.DataFrame)
    if bare:
        shape = np.shape(X)
        if len(shape) != 2 or not hasattr(X, "__array__") and not isinstance(X, (list, tuple)):
            told = f"{whose} is a {type(X).__name__} of {len(shape)} dimensions, not a table."
            raise InputError(
                told, "Each customer needs a row, each feature a column.", "give a DataFrame or a dense array of two dimensions"
            )
        X = np.asarray(X, float)
        placed = [f"x{i}" for i in range(X.shape[1])]
        X = pd.DataFrame(X, columns=placed if wanted is None or len(placed) != len(wanted) else list(wanted))
    elif not all(isinstance(name, str) for name in X.columns):
        X = X.rename(columns=str)
    why = "Segments would rest on something else than what they are told of."
    if repeated := sorted(set(X.columns[X.columns.duplicated()])):
        told = f"{len(repeated)} names of features stand for several columns: {', '.join(repeated[:5])}."
        raise InputError(told, why, "give each its own name")
    if wanted is not None:
        if missing := [name for name in wanted if name not in X]:
            told = f"{whose} lacks {len(missing)} of {len(wanted)} features: {', '.join(missing[:5])}."
            raise InputError(told, why, "give the columns that segments are found by")
        if bare and X.shape[1] != len(wanted):
            told = f"{whose} has {X.shape[1]} columns without names, for {len(wanted)} features."
            raise InputError(told, why, "give the columns that segments are found by")
        X = X if np.array_equal(X.columns, wanted) else X[list(wanted)]
    if odd := [name for name in X if not _is_number(X[name])]:
        told = f"{len(odd)} features are no numbers: {', '.join(odd[:5])}."
        raise InputError(told, why, "leave them out, or give a number for each value")
    return X


def finite(features: pd.DataFrame) -> pd.DataFrame:
    """As numbers; infinite values count as missing, which the models can do with."""
    return features.astype(float).replace([np.inf, -np.inf], np.nan)


def _is_number(column: pd.Series) -> bool:
    if is_numeric_dtype(column):
        return True
    try:
        column.astype(float)
    except (TypeError, ValueError):
        return False
    return True
