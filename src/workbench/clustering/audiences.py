"""Hand-made audiences: layers of conditions from broad to narrow, with what each layer leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from pydantic import Field, model_validator

from workbench.core.config import Strict, read_yaml_model
from workbench.core.errors import InputError, did_you_mean


def _is_counted(column: pd.Series) -> bool:
    return is_numeric_dtype(column) and not is_bool_dtype(column)


def _number(value: str) -> float:
    return float(pd.to_numeric(value, errors="coerce"))


def _equals(column: pd.Series, value: str) -> pd.Series:
    """Whether a value is the one told: numbers as numbers (2 is 2.0), anything else as text, whatever its case."""
    if _is_counted(column):
        return column == _number(value)
    return column.astype("str").str.lower() == value.lower()


TESTS = {
    "is": _equals,
    "is_not": lambda column, value: ~_equals(column, value),
    "at_least": lambda column, value: pd.to_numeric(column, errors="coerce") >= float(value),
    "at_most": lambda column, value: pd.to_numeric(column, errors="coerce") <= float(value),
}

FUNNEL = ["audience", "layer", "column", "test", "value", "customers", "share"]  # layer 0: everybody, by no test


class Layer(Strict):
    """One condition on a feature or an attribute of customers; a missing value never fulfils it."""

    column: str = Field(description="a feature, or an attribute of customers such as industry")
    test: Literal["is", "is_not", "at_least", "at_most", "top_share"] = Field(
        description="top_share: among the highest share (0 to 1) of all customers with a value, never more; equals are in or out together"
    )
    value: str = Field(min_length=1)

    @model_validator(mode="after")
    def _number_where_one_is_needed(self) -> Layer:
        if self.asks_for_a_number:
            number = _number(self.value)
            if np.isnan(number):
                raise ValueError(f"test {self.test} needs a number as value")
            if self.test == "top_share" and not 0 < number <= 1:
                raise ValueError("test top_share needs a value above 0 and at most 1")
        return self

    @property
    def asks_for_a_number(self) -> bool:
        """Whether the value is one."""
        return self.test not in ("is", "is_not")

    def holds(self, column: pd.Series) -> pd.Series:
        """-> yes or no per customer."""
        if self.test == "top_share":
            values = pd.to_numeric(column, errors="coerce").astype(float)
            return values.rank(ascending=False, method="max") <= float(self.value) * values.notna().sum() + 1e-9  # 0.3 x 10 is 3
        return TESTS[self.test](column, self.value) & column.notna()


class Audience(Strict):
    """Layers in order, each within the one before."""

    description: str = Field(min_length=3)
    layers: tuple[Layer, ...] = Field(min_length=1)


class Audiences(Strict):
    """A file of hand-made audiences."""

    audiences: Mapping[str, Audience]


def read_audiences(path: str) -> Audiences:
    """A YAML file -> Audiences; raises ParameterError naming every fault."""
    return read_yaml_model(Audiences, path)


def build_funnel(audience: Audience, customers: pd.DataFrame) -> tuple[pd.DataFrame, pd.Index]:
    """Customers with features and attributes, indexed by customer_id -> funnel (see `FUNNEL`, without the audience) and who is left.

    The first row is everybody. Raises InputError for a column that is not there.
    """
    inside = pd.Series(True, customers.index)
    rows = [(0, "", "", "", len(customers), 1.0)]
    for number, layer in enumerate(audience.layers, 1):
        if layer.column not in customers:
            raise InputError(
                f'Audience layer {number}: there is no feature or attribute "{layer.column}".{did_you_mean(layer.column, customers.columns)}',
                "Without it nobody could be chosen.",
                "name a column of features or customers",
            )
        if layer.asks_for_a_number and (held := _held_instead(customers[layer.column])):
            raise InputError(
                f'Audience layer {number}: "{layer.column}" holds {held}, {layer.test} {layer.value} asks for a number.',
                "Everybody or nobody would be chosen.",
                "ask with is or is_not" if held == "words" else "name a feature in days, such as recency_days",
            )
        if not layer.asks_for_a_number and _is_counted(customers[layer.column]) and np.isnan(_number(layer.value)):
            raise InputError(
                f'Audience layer {number}: "{layer.column}" holds numbers, {layer.test} {layer.value} asks for a word.',
                "Everybody or nobody would be chosen.",
                "ask with at_least, at_most or top_share, or name a number",
            )
        inside &= layer.holds(customers[layer.column])
        share = float(inside.mean()) if len(customers) else 0.0
        rows.append((number, layer.column, layer.test, layer.value, int(inside.sum()), share))
    return pd.DataFrame(rows, columns=FUNNEL[1:]), customers.index[inside]


def _held_instead(column: pd.Series) -> str:
    """What a column holds instead of numbers; nothing where some of it can be read as such, or nothing is known."""
    if column.dtype.kind == "M" or isinstance(column.dtype, pd.PeriodDtype):
        return "moments"
    if column.dtype.kind == "m":
        return "durations"
    return "words" if column.notna().any() and pd.to_numeric(column, errors="coerce").isna().all() else ""


def known_of(features: pd.DataFrame, customers: pd.DataFrame) -> pd.DataFrame:
    """Features (by customer_id) with what the customer table tells besides; where both name a column, the feature counts."""
    return features.join(customers.set_index("customer_id").drop(columns=features.columns, errors="ignore"))


def build_funnels(path: str, customers: pd.DataFrame) -> pd.DataFrame:
    """Every audience of a file whose columns the customers have -> funnels (see `FUNNEL`).

    Audiences that ask for what these sources do not carry are left out: see `left_out`.
    """
    usable = {n: a for n, a in read_audiences(path).audiences.items() if _carried(a, customers)}
    funnels = [build_funnel(audience, customers)[0].assign(audience=name) for name, audience in usable.items()]
    return pd.concat(funnels)[FUNNEL].reset_index(drop=True) if funnels else pd.DataFrame(columns=FUNNEL)


def left_out(path: str, customers: pd.DataFrame) -> list[str]:
    """Names of audiences that ask for columns that the customers do not have."""
    return [name for name, audience in read_audiences(path).audiences.items() if not _carried(audience, customers)]


def _carried(audience: Audience, customers: pd.DataFrame) -> bool:
    return all(layer.column in customers for layer in audience.layers)
