"""Affinity: which categories a customer's money goes to, shrunk so that one purchase is no passion."""

from __future__ import annotations

import re
from collections.abc import Mapping

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from workbench.core.engine import NOT_THERE, count_rows, fetch, with_place
from workbench.core.event_types import PURCHASES
from workbench.features.catalog import Feature
from workbench.features.purchases import order_lines
from workbench.features.tally import of_kinds

LEVELS = ("category", "subcategory")


def top_levels(tally: pd.DataFrame, counts: Mapping[str, int], names: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Level -> its `counts` largest values; a subcategory that readers know by the word of a category is left to the category."""
    tops, words = {}, set()
    for level in LEVELS:
        largest = top_values(tally, level, counts[level] + len(words))
        tops[level] = tuple(v for v in largest if _word(v, names) not in words)[: counts[level]]
        words |= {_word(value, names) for value in tops[level]}
    return tops


def top_values(tally: pd.DataFrame, level: str, count: int) -> tuple[str, ...]:
    """The `count` categories (or subcategories) with most revenue in a window, largest first, ties by name.

    Of spellings that would share a feature ("Meat", "MEAT") only the largest is taken.
    """
    revenue = of_kinds(tally, *PURCHASES).groupby(level).amount.sum(min_count=1).reset_index()
    values = revenue.sort_values(["amount", level], ascending=[False, True])[level]
    taken = values.map(lambda value: share_feature(level, value)).duplicated()
    return tuple(values[~taken][:count])


def share_feature(level: str, value: str) -> str:
    """('category', 'MEAT-PCKGD') -> category_meat_pckgd_share."""
    word = re.sub(r"[\W_]+", "_", value.lower()).strip("_")
    return f"{level}_{word}_share"


def affinity_catalog(tops: Mapping[str, tuple[str, ...]], names: Mapping[str, str]) -> list[Feature]:
    """One declaration per category and subcategory; names: their words for readers."""
    if not tops["category"]:
        return []
    declared = [Feature("category_count", "affinity", "categories", "different categories bought", "buy across many categories", "buy in few categories", "product", "categories bought")]  # fmt: skip
    for level in LEVELS:
        for value in tops[level]:
            word = _word(value, names)
            declared.append(
                Feature(share_feature(level, value), "affinity", "share", f"share of revenue in {word}, shrunk", f"spend more on {word} products than others", f"spend less on {word} products than others", "product", f"{word} share")
            )  # fmt: skip
    return declared


def _word(value: str, names: Mapping[str, str]) -> str:
    return names.get(value, value.lower())


def affinity_features(happened: ir.Table, bought: ir.Table, tops: Mapping[str, tuple[str, ...]], prior: float) -> pd.DataFrame:
    """Events in the window and their orders -> customer_id, category_count and a shrunk share per category and subcategory; customers with an order.

    The engine sums by customer, category and subcategory; those rows are laid out here: thirty conditional sums over
    all order lines would be most of the work of all features.
    """
    spent, categories = _spent(happened, tops["subcategory"])
    rows, customers = pd.factorize(spent.customer_id, sort=True)
    names = ["category_count", *(share_feature(level, value) for level in LEVELS for value in tops[level])]
    count, width = len(customers), len(names)
    units, category, subcategory = (spent[column].to_numpy() for column in ("units", *LEVELS))
    told = ~np.isnan(units)
    units = np.where(told, units, 0.0)
    whole, everything = _sums(units, told, count, rows), units.sum() / 1e4 if told.any() else np.nan
    weight = prior * everything / max(count_rows(bought), 1)
    # The column of each row's category and subcategory; what has none goes to the first, which is filled last.
    first = 1 + np.append(pd.Index(tops["category"]).get_indexer(categories), NOT_THERE)[category]
    second = np.where(subcategory == NOT_THERE, 0, 1 + len(tops["category"]) + subcategory)
    wide = _sums(units, told, count * width, rows * width + first, rows * width + second).reshape(count, width)
    wide += weight * np.nan_to_num(_sums(units, told, width, first, second)) / (everything or np.nan)
    wide /= np.where(whole + weight == 0, np.nan, whole + weight)[:, None]
    wide[:, 0] = _count_different(rows, category, count)
    return pd.DataFrame(wide, columns=names, copy=False).assign(customer_id=customers)


def _spent(happened: ir.Table, subcategories: tuple[str, ...]) -> tuple[pd.DataFrame, pd.Index]:
    """Events in the window -> customer_id, category and subcategory (places among the categories that are returned, and among those given), units.

    A row per customer and both; NOT_THERE where there is no category, and where the subcategory is none of those given. units:
    ten-thousandths of money, which are whole, so that the order of rows never shows in a sum.
    """
    lines = order_lines(happened)
    lines = lines.filter(lines.event_type == "order")
    known = lines.filter(lines.category.notnull())
    categories = pd.Index(fetch(known.select("category").distinct().order_by("category")).category)
    # Grouped by numbers, not by texts: that is half of the work.
    lines = with_place(with_place(lines, "category", categories), "subcategory", subcategories)
    places = {level: lines[f"{level}_place"] for level in LEVELS}
    units = (lines.amount.cast("float64") * 10_000).round().cast("float64")
    return fetch(lines.group_by("customer_id", **places).agg(units=units.sum())), categories


def _sums(units: np.ndarray, told: np.ndarray, count: int, *places: np.ndarray) -> np.ndarray:
    """Money by place, each row added at each of its places; missing where there are rows and none of them is told."""
    sums = np.zeros(count)
    for place in places:
        np.add.at(sums, place, units)
    sums /= 1e4
    if not told.all():
        there, known = np.zeros(count, bool), np.zeros(count, bool)
        for place in places:
            there[place], known[place[told]] = True, True
        sums[there & ~known] = np.nan
    return sums


def _count_different(rows: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """How many different values each row has, of those that are there."""
    different = np.zeros(count)
    for first in range(0, values.max(initial=0) + 1, 64):  # a bit for each value
        some = (values >= first) & (values < first + 64)
        seen = np.zeros(count, np.uint64)
        np.bitwise_or.at(seen, rows[some], np.left_shift(np.uint64(1), (values[some] - first).astype(np.uint64)))
        different += np.bitwise_count(seen)
    return different
