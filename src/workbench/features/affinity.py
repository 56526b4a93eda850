"""Affinity: which categories a customer's money goes to, shrunk so that one purchase is no passion."""

from __future__ import annotations

import re
from collections.abc import Mapping

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from workbench.core.engine import fetch, fetch_row, materialize
from workbench.features.catalog import Feature
from workbench.features.purchases import order_lines

LEVELS = ("category", "subcategory")


def top_levels(happened: ir.Table, counts: Mapping[str, int], names: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Level -> its `counts` largest values; a subcategory that readers know by the word of a category is left to the category."""
    tops, words = {}, set()
    for level in LEVELS:
        largest = top_values(happened, level, counts[level] + len(words))
        tops[level] = tuple(v for v in largest if _word(v, names) not in words)[: counts[level]]
        words |= {_word(value, names) for value in tops[level]}
    return tops


def top_values(happened: ir.Table, level: str, count: int) -> tuple[str, ...]:
    """The `count` categories (or subcategories) with most revenue in the window, largest first, ties by name.

    Of spellings that would share a feature ("Meat", "MEAT") only the largest is taken.
    """
    lines = order_lines(happened)
    known = lines.filter(lines[level].notnull())
    ranked = known.group_by(level).agg(revenue=known.amount.sum()).order_by(ibis.desc("revenue"), level)
    values = fetch(ranked)[level]
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


def affinity_features(happened: ir.Table, tops: Mapping[str, tuple[str, ...]], prior: float) -> pd.DataFrame:
    """Events in the window -> customer_id, category_count and a shrunk share per category and subcategory; customers with an order.

    The engine sums by customer and category, once for each level; those few rows are laid out here: thirty conditional sums over
    all order lines would be most of the work of all features.
    """
    lines = order_lines(happened)
    lines = lines.filter(lines.event_type == "order")
    by_category = _spent(lines, "category")
    per = fetch(by_category.group_by("customer_id").agg(
        whole=by_category.amount.sum().cast("float64"), category_count=by_category.value.count().cast("float64"),
    ).order_by("customer_id"))  # fmt: skip
    orders = lines.select("customer_id", "order_id").distinct().count().as_scalar()
    total = fetch_row(by_category.agg(amount=by_category.amount.sum().cast("float64"), orders=orders))
    everything = np.nan if total["amount"] is None else total["amount"]
    weight, whole = prior * everything / max(total["orders"], 1), per.whole.to_numpy()
    shares = {}
    for level in [level for level in LEVELS if tops[level]]:
        table = by_category if level == "category" else _spent(lines, level)
        places = {value: place for place, value in enumerate(tops[level])}
        known = table.filter(table.value.isin(list(places))).mutate(place=table.value.cases(*places.items()))
        base = fetch(known.group_by("place").agg(amount=known.amount.sum().cast("float64"))).set_index("place").amount
        cells = fetch(known.select("customer_id", "place", amount=known.amount.cast("float64")))
        wide = np.zeros((len(places), len(per)))
        wide[cells.place, np.searchsorted(per.customer_id, cells.customer_id)] = cells.amount
        for value, place in places.items():
            share = weight * base.get(place, 0.0) / everything if everything else np.nan
            shares[share_feature(level, value)] = np.divide(
                wide[place] + share, whole + weight, out=np.full(len(per), np.nan), where=whole + weight != 0
            )
    return per[["customer_id", "category_count"]].assign(**shares)


def _spent(lines: ir.Table, level: str) -> ir.Table:
    """Order lines -> customer_id, value (of the level), amount; kept on the engine."""
    summed = lines.group_by("customer_id", value=lines[level]).agg(amount=lines.amount.sum())
    return materialize(lines.get_backend(), summed, f"spent_by_{level}")
