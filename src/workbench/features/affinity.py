"""Affinity: which categories a customer's money goes to, shrunk so that one purchase is no passion."""

from __future__ import annotations

import re
from collections.abc import Mapping

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from workbench.core.engine import fetch, fetch_row
from workbench.features.catalog import Feature
from workbench.features.purchases import order_lines

LEVELS = ("category", "subcategory")


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
            word = names.get(value, value.lower())
            declared.append(
                Feature(share_feature(level, value), "affinity", "share", f"share of revenue in {word}, shrunk", f"spend much on {word} products", f"spend little on {word} products", "product", f"{word} share")
            )  # fmt: skip
    return declared


def affinity_features(happened: ir.Table, tops: Mapping[str, tuple[str, ...]], prior: float) -> pd.DataFrame:
    """Events in the window -> customer_id, category_count and a shrunk share per category and subcategory; customers with an order.

    The engine sums by customer and category; those few rows are laid out here: thirty conditional sums over all order lines
    would be most of the work of all features.
    """
    lines = order_lines(happened)
    lines = lines.filter(lines.event_type == "order")
    categories = lines.filter(lines.category.notnull()).select("customer_id", "category").distinct()
    counted = fetch(categories.group_by("customer_id").agg(category_count=categories.count().cast("float64")))
    per = fetch(lines.group_by("customer_id").agg(whole=lines.amount.sum().cast("float64")))
    per = per.merge(counted, on="customer_id", how="left").fillna({"category_count": 0.0}).set_index("customer_id")
    orders = lines.select("customer_id", "order_id").distinct().count().as_scalar()
    total = fetch_row(lines.agg(amount=lines.amount.sum().cast("float64"), orders=orders))
    everything = np.nan if total["amount"] is None else total["amount"]
    weight = prior * everything / max(total["orders"], 1)
    whole, found = per.whole.to_numpy(), {"category_count": per.category_count.to_numpy()}
    for level in LEVELS:
        if not tops[level]:
            continue
        known = lines.filter(lines[level].isin(list(tops[level])))
        base = fetch(known.group_by(value=known[level]).agg(amount=known.amount.sum().cast("float64"))).set_index("value").amount
        spent = fetch(known.group_by("customer_id", value=known[level]).agg(amount=known.amount.sum().cast("float64")))
        wide = np.zeros((len(per), len(tops[level])))
        wide[per.index.get_indexer(spent.customer_id), pd.Index(tops[level]).get_indexer(spent.value)] = spent.amount
        for column, value in enumerate(tops[level]):
            share = weight * base.get(value, 0.0) / everything if everything else np.nan
            found[share_feature(level, value)] = np.divide(
                wide[:, column] + share, whole + weight, out=np.full(len(per), np.nan), where=whole + weight != 0
            )
    return pd.DataFrame(found, index=per.index).reset_index()
