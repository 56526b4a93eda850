"""Affinity: which categories a customer's money goes to, shrunk so that one purchase is no passion."""

from __future__ import annotations

import re
from collections.abc import Mapping

import ibis
import ibis.expr.types as ir

from workbench.core.engine import fetch
from workbench.features.catalog import Feature
from workbench.features.purchases import order_lines
from workbench.features.window import Window

LEVELS = ("category", "subcategory")


def top_values(events: ir.Table, window: Window, level: str, count: int) -> tuple[str, ...]:
    """The `count` categories (or subcategories) with most revenue in the window, largest first, ties by name.

    Of spellings that would share a feature ("Meat", "MEAT") only the largest is taken.
    """
    lines = order_lines(window.events(events))
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


def affinity_features(events: ir.Table, window: Window, tops: Mapping[str, tuple[str, ...]], prior: float) -> ir.Table:
    """Events -> customer_id, category_count and a shrunk share per category and subcategory; customers with an order."""
    lines = order_lines(window.events(events))
    lines = lines.filter(lines.event_type == "order")
    sums = {
        share_feature(level, value): lines.amount.sum(where=lines[level] == value).fill_null(0)
        for level in LEVELS
        for value in tops[level]
    }
    per = lines.group_by("customer_id").agg(
        whole=lines.amount.sum(), category_count=lines.category.nunique().cast("float64"), **sums
    )
    order_value = lines.agg(
        order_value=lines.amount.sum().cast("float64") / lines.select("customer_id", "order_id").distinct().count().as_scalar()
    )
    base = per.agg(
        **{f"{name}_base": per[name].sum().cast("float64") / per.whole.sum().cast("float64").nullif(0) for name in sums}
    )
    table = per.cross_join(order_value).cross_join(base)
    weight = prior * table.order_value
    shares = {
        name: (table[name].cast("float64") + weight * table[f"{name}_base"]) / (table.whole.cast("float64") + weight)
        for name in sums
    }
    return table.select("customer_id", "category_count", **shares)
