"""Segments as rules that any CRM can apply: one short tree per segment, told in words and as SQL over `features`."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.tree import DecisionTreeClassifier

from workbench.clustering.frames import finite

DEPTH = 4
MOST_PATHS = 3
FOLDS = 5
MIN_LEAF, LEAST_LEAF = 0.01, 5  # of the customers; a fifth of that fits better those that it was drawn from alone


@dataclass(frozen=True)
class Condition:
    """A bound of one feature: above (or, with `below`, not above) `bound`; `missing`: customers without a value are meant too.

    A tree that asks only whether there is a value says so by an infinite bound.
    """

    feature: str
    below: bool
    bound: float
    missing: bool

    def holds(self, features: pd.DataFrame) -> np.ndarray:
        """-> yes or no per customer."""
        values = features[self.feature].to_numpy(float)
        with np.errstate(invalid="ignore"):
            inside = values <= self.bound if self.below else values > self.bound
        return np.where(np.isnan(values), self.missing, inside)

    @property
    def sql(self) -> str:
        """The condition over a table with a column per feature."""
        name = '"' + self.feature.replace('"', '""') + '"'
        if np.isinf(self.bound):
            return f"{name} {'IS NOT NULL' if self.below else 'IS NULL'}"
        bare = f"{name} {'<=' if self.below else '>'} {self.bound!r}"
        return f"({bare} OR {name} IS NULL)" if self.missing else bare

    @property
    def plain(self) -> dict[str, object]:
        """The condition as JSON has it."""
        if np.isinf(self.bound):
            return {"feature": self.feature, "is_known": self.below}
        return {"feature": self.feature, "at_most" if self.below else "above": self.bound, "or_unknown": self.missing}

    def words(self, noun: str, unit: str) -> str:
        """The condition for readers."""
        if np.isinf(self.bound):
            return f"{noun} {'known' if self.below else 'unknown'}"
        bound = f"{100 * self.bound:,.15g} %" if unit == "share" else f"{self.bound:,.15g}"
        return f"{noun} {'at most' if self.below else 'above'} {bound}{' (or unknown)' if self.missing else ''}"


def build_rules(
    features: pd.DataFrame, labels: np.ndarray, catalog: pd.DataFrame, seed: int, counted: pd.DataFrame | None = None
) -> pd.DataFrame:  # fmt: skip
    """-> rules: segment_id, rule, sql, conditions, customers, precision, recall, unseen_precision, unseen_recall; a row per segment.

    features: one row per customer (missing values stay missing). rule: words; sql: a WHERE clause over `features`; conditions: the same
    as JSON. counted: the shares among the features as they were counted (same rows), not drawn towards everybody's; see `_of_some`.
    precision: share of the customers that the rule picks who are of the segment; recall: share of the segment that it picks; unseen_…: the
    same for customers that the rule was not drawn from (5 folds). A segment that no rule describes is picked by none.
    """
    told = catalog.set_index("feature")[["noun", "unit"]]
    fold = np.random.default_rng(seed).integers(0, FOLDS, len(features))
    values, rows = _of_some(finite(features), counted), []
    for segment in range(labels.max() + 1):
        member = labels == segment
        paths = _paths(features, values, member, seed)
        picked, unseen = matches(features, paths), np.zeros(len(features), bool)
        for part in range(FOLDS):
            mine = fold == part
            unseen[mine] = matches(features[mine], _paths(features[~mine], values[~mine], member[~mine], seed))
        rows.append(
            {
                "segment_id": segment, "rule": _in_words(paths, told), "sql": where_clause(paths), "conditions": _as_json(paths),
                "customers": int(picked.sum()), **_quality(picked, member, ""), **_quality(unseen, member, "unseen_"),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def matches(features: pd.DataFrame, paths: list[list[Condition]]) -> np.ndarray:
    """Whether a customer fulfils every condition of any path."""
    found = np.zeros(len(features), bool)
    for path in paths:
        inside = np.ones(len(features), bool)
        for condition in path:
            inside &= condition.holds(features)
        found |= inside
    return found


def where_clause(paths: list[list[Condition]]) -> str:
    """Paths -> SQL that a WHERE takes; FALSE without any."""
    return " OR ".join("(" + " AND ".join(c.sql for c in path) + ")" for path in paths) or "FALSE"


def _of_some(values: pd.DataFrame, counted: pd.DataFrame | None) -> pd.DataFrame:
    """The same without differences between those who have nothing of a share that most have nothing of.

    Drawn towards everybody's, a share of nothing says how much a customer did at all: "coupons above 0.004 %" would pick people without one.
    """
    values = values.copy()
    for name in values.columns.intersection([] if counted is None else counted.columns):
        nothing = counted[name].to_numpy() == 0
        if nothing.mean() > 0.5:
            values[name] = values[name].clip(lower=values[name][nothing].max())
    return values


def _paths(features: pd.DataFrame, values: pd.DataFrame, member: np.ndarray, seed: int) -> list[list[Condition]]:
    """The paths to at most three leaves of a tree of limited depth whose union has the best F1, as conditions with readable bounds.

    values: the features that the tree may tell apart, infinite ones missing.
    """
    if member.sum() < 2 or member.all():
        return []
    leaf = max(LEAST_LEAF, round(MIN_LEAF * len(features)))
    tree = DecisionTreeClassifier(max_depth=DEPTH, min_samples_leaf=leaf, class_weight="balanced", random_state=seed)
    tree.fit(values.to_numpy(), member)
    if tree.get_n_leaves() == 1:  # nothing tells members from others
        return []
    complete = set(values.columns[values.notna().all()])
    leaves = sorted(_leaves(tree.tree_, 0, [], values, complete), key=lambda leaf: -leaf[0])
    best, best_f1, chosen = [], 0.0, []
    for _, path in leaves[:MOST_PATHS]:
        chosen = [*chosen, _merged(path)]
        quality = _quality(matches(features, chosen), member, "")
        f1 = 2 * quality["precision"] * quality["recall"] / max(quality["precision"] + quality["recall"], 1e-12)
        if f1 > best_f1:
            best, best_f1 = chosen, f1
    return _without_cancelled(best, complete)


def _without_cancelled(paths: list[list[Condition]], complete: set[str]) -> list[list[Condition]]:
    """Two paths that differ only in the side of one bound are one path without it; complete: features without a missing value."""
    for i, one in enumerate(paths):
        for j, other in enumerate(paths[i + 1 :], i + 1):
            mine, theirs = set(one) - set(other), set(other) - set(one)
            if len(mine) == len(theirs) == 1 and _cancel(*mine, *theirs, complete):
                joined = [c for c in one if c not in mine]
                return _without_cancelled([*paths[:i], joined, *paths[i + 1 : j], *paths[j + 1 :]], complete) if joined else paths
    return paths


def _cancel(a: Condition, b: Condition, complete: set[str]) -> bool:
    """Whether every customer fulfils one of two conditions."""
    everybody = a.missing or b.missing or a.feature in complete
    return a.feature == b.feature and a.bound == b.bound and a.below != b.below and everybody


def _leaves(
    tree: object, node: int, path: list[Condition], features: pd.DataFrame, complete: set[str]
) -> list[tuple[float, list[Condition]]]:  # fmt: skip
    """Every leaf as (weighted share of members times members reached, path)."""
    if tree.children_left[node] < 0:
        share = tree.value[node][0]
        return [(float(share[-1] / share.sum()) * float(share[-1] * tree.weighted_n_node_samples[node]), path)]
    feature = features.columns[tree.feature[node]]
    bound = readable(tree.threshold[node], features[feature].std())
    missing_left, some = bool(tree.missing_go_to_left[node]), feature not in complete
    left = Condition(feature, True, bound, some and missing_left)
    right = Condition(feature, False, bound, some and not missing_left)
    return [
        *_leaves(tree, tree.children_left[node], [*path, left], features, complete),
        *_leaves(tree, tree.children_right[node], [*path, right], features, complete),
    ]


def readable(bound: float, spread: float) -> float:
    """A bound rounded to three digits, or to more where that would move it by over a hundredth of the spread (a year of birth).

    The rule is judged as it is told.
    """
    if np.isinf(bound):
        return bound
    rounded = (float(f"{bound:.{digits}g}") for digits in range(3, 18))
    return next(value for value in rounded if not abs(value - bound) > spread / 100)


def _merged(path: list[Condition]) -> list[Condition]:
    """One condition per feature and side: the tighter of two bounds; unknown values count only where all say so."""
    kept: dict[tuple[str, bool], Condition] = {}
    for c in path:
        known = kept.get((c.feature, c.below))
        if known is not None:
            bound = min(known.bound, c.bound) if c.below else max(known.bound, c.bound)
            c = Condition(c.feature, c.below, bound, known.missing and c.missing)
        kept[c.feature, c.below] = c
    return list(kept.values())


def _quality(picked: np.ndarray, member: np.ndarray, prefix: str) -> dict[str, float]:
    both = float((picked & member).sum())
    return {f"{prefix}precision": both / max(picked.sum(), 1), f"{prefix}recall": both / max(member.sum(), 1)}


def _in_words(paths: list[list[Condition]], told: pd.DataFrame) -> str:
    nouns, units = told.noun.astype("str"), told.unit.astype("str")
    parts = [" and ".join(c.words(nouns[c.feature], units[c.feature]) for c in path) for path in paths]
    return "; or ".join(parts) or "no short rule describes this segment"


def _as_json(paths: list[list[Condition]]) -> str:
    return json.dumps([[c.plain for c in path] for path in paths])
