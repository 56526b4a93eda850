"""Profile: what customers are, as far as sources say so – demographics, life stage, firmographics, technographics, region, people."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workbench.core.config import Attributes
from workbench.core.processor import on_one_thread
from workbench.core.stats import learnable
from workbench.features.catalog import Feature

NOT_ATTRIBUTES = ("customer_id", "kind", "first_seen_at", "person_id", "records")
# Protected by law in many countries (GDPR article 9, equal-treatment law): used only where the configuration names them.
SENSITIVE = r"(?:^|_)(?:age|birth|gender|sex|income|salary|wage|religio\w*|faith|marital\w*|married|ethnic\w*|race|nationality|citizenship|health\w*|disab\w*|educat\w*|politic\w*|union|orientation|pregnan\w*)(?:_|$)"
FAMILIES = {
    "life stage": r"life|household|children|kids|family|home_owner",
    "demographics": r"age|gender|sex|income|marital|educat|occupation|job",
    "technographics": r"technolog|stack|software|system|integration",
    "firmographics": r"industry|sector|employee|headcount|staff|revenue|turnover|company|legal|position|hiring|growth",
    "environment": r"region|state|country|city|town|postcode|zip|area|climate|terrain|density|urban|rural|weather|market|store",
}
YES, NO = {"yes", "y", "true", "1", "ja"}, {"no", "n", "false", "0", "nein"}
UNITS = {"k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6, "b": 1e9, "billion": 1e9}
_UNIT = r"(?:\s*(?:k|thousand|m|million|b|billion))?"
_NUMBER = rf"[€$£]?\s*\d+(?:[.,]\d+)?{_UNIT}"
BAND = re.compile(
    rf"(?:(?:under|below|up to|less than|over|above|more than|bis|unter|über|ab|<|>|≤|≥)\s*)?{_NUMBER}(?:\s*(?:-|–|to|bis)\s*{_NUMBER}|\s*\+|\s+(?:and|or) (?:over|more|above|older))?(?:\s+years)?",
    re.IGNORECASE,
)
FIRST_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
MOST = 12  # values of one attribute that get a column of their own


@dataclass(frozen=True)
class Attribute:
    """How one attribute becomes numbers: as number, band (its place among the bands), yes_no, or one column per value or word."""

    name: str
    how: str
    values: tuple[str, ...] = ()
    family: str = "profile"
    of_people: bool = False
    several: bool = False  # some customers have more than one value


def plan_profile(
    customers: pd.DataFrame, people: pd.DataFrame, settings: Attributes, min_coverage: float
) -> tuple[list[Attribute], list[str]]:
    """Customers and the people of accounts -> how each attribute is used, and the sensitive attributes that are not."""
    found, held = [], []
    for frame, of_people in ((customers, False), (people, True)):
        for name in frame.columns:
            if name in NOT_ATTRIBUTES or name.startswith("consent_") or frame[name].notna().sum() == 0:
                continue
            if re.search(SENSITIVE, name) and name not in settings.sensitive:
                held.append(name)
            elif attribute := _plan(frame[name].dropna().astype(str), name, of_people, settings.separator, min_coverage):
                found.append(attribute)
    return found, held


def _plan(values: pd.Series, name: str, of_people: bool, separator: str, min_coverage: float) -> Attribute | None:
    family = "buying committee" if of_people else _family(name)
    lower = set(values.str.lower().unique())
    if not of_people and len(lower) > 1 and lower <= YES | NO:
        return Attribute(name, "yes_no", family=family)
    numbers = _numbers(values)
    if not of_people and numbers.notna().all() and numbers.abs().max() < 1e15:  # longer ones are codes that would collapse
        return Attribute(name, "number", family=family)
    bands = sorted(values.unique(), key=lambda v: (_lower_bound(v), v))
    if not of_people and 2 < len(bands) <= 30 and all(BAND.fullmatch(v.strip()) for v in bands):
        return Attribute(name, "band", tuple(bands), family)
    several = bool(separator and values.str.contains(separator, regex=False).any())
    words = values.str.split(separator, regex=False).explode() if several else values
    counted = words.str.strip().groupby(level=0).unique().explode().value_counts(normalize=False) / len(values)
    kept = sorted(counted[(counted >= min_coverage) & (counted <= 1 - min_coverage)].index, key=lambda v: (-counted[v], v))
    return Attribute(name, "values", tuple(kept[:MOST]), family, of_people, several) if kept else None


def _family(name: str) -> str:
    return next((family for family, words in FAMILIES.items() if re.search(words, name)), "profile")


def _lower_bound(text: str) -> float:
    """'35-49K' -> 35000, 'under 2 million' -> just below 2000000; infinity without a number."""
    match = FIRST_NUMBER.search(text)
    if not match:
        return np.inf
    unit = re.search(r"\d\s*(k|thousand|m|million|b|billion)\b", text.lower())
    below = -1e-3 if re.match(r"\s*(under|below|up to|less|<|bis|unter)", text.lower()) else 0.0
    return float(match[0].replace(",", ".")) * UNITS.get(unit[1] if unit else "", 1.0) + below


def _amounts(word: str) -> tuple[str, str]:
    """The claims of those who have much and little of what a number counts ("employees") or measures ("headcount")."""
    if word.endswith("s") and not word.endswith("ss"):
        return f"have many {word}", f"have few {word}"
    return f"have a high {word}", f"have a low {word}"


def profile_catalog(attributes: Iterable[Attribute], growth: dict[str, str], sizes: bool) -> list[Feature]:
    """One declaration per column; growth: attribute now -> the same before; sizes: people of accounts are known."""
    declared = []
    for attribute in attributes:
        word = attribute.name.replace("_", " ")
        if attribute.how in ("number", "band"):
            unit = "value" if attribute.how == "number" else "place among the bands"
            declared.append(
                Feature(
                    attribute.name,
                    attribute.family,
                    unit,
                    f"{word} as the sources say",
                    *_amounts(word),
                    "",
                    word,
                )
            )
        elif attribute.how == "yes_no":
            declared.append(
                Feature(
                    attribute.name,
                    attribute.family,
                    "yes/no",
                    f"{word} as the sources say",
                    f"say yes to {word}",
                    f"say no to {word}",
                    "",
                    word,
                )
            )
        for value in attribute.values if attribute.how == "values" else ():
            of, high, low = _told(attribute, word, value)
            lever = {"technographics": "product", "buying committee": "content"}.get(attribute.family, "")
            declared.append(
                Feature(_column(attribute, value), attribute.family, "yes/no", of, high, low, lever, f'{word} "{value}"')
            )
    for now in growth:
        word = now.replace("_", " ")
        declared.append(
            Feature(
                f"{now}_growth",
                "growth",
                "share",
                f"{word} over {growth[now].replace('_', ' ')}, less one",
                f"grow in {word}",
                f"shrink in {word}",
                "product",
                f"growth of {word}",
            )
        )
    if sizes:
        declared.append(
            Feature(
                "people_count",
                "buying committee",
                "people",
                "people of the account that any source knows",
                "are known by many people",
                "are known by few people",
                "content",
                "known people",
            )
        )
    return declared  # fmt: skip


def _told(attribute: Attribute, word: str, value: str) -> tuple[str, str, str]:
    """-> definition, claim of those who have the value, claim of those who do not."""
    if attribute.of_people:
        yes, no = f'have someone with the {word} "{value}"', f'have nobody known with the {word} "{value}"'
        return f"someone known there has the {word} {value}", yes, no
    if attribute.several:
        return f"{word} include {value}", f'have "{value}" among their {word}', f'do not have "{value}" among their {word}'
    return f"{word} is {value}", f'have the {word} "{value}"', f'have another {word} than "{value}"'


def _column(attribute: Attribute, value: str) -> str:
    slug = re.sub(r"[\W_]+", "_", value.lower()).strip("_")
    return f"{'people_' if attribute.of_people else ''}{attribute.name}_{slug}"


def profile_features(
    customers: pd.DataFrame, people: pd.DataFrame, attributes: Iterable[Attribute], growth: dict[str, str], separator: str
) -> pd.DataFrame:
    """-> customer_id + the features of `profile_catalog`, one row per customer; what no source says is missing, not zero."""
    made = {"customer_id": customers.customer_id.reset_index(drop=True)}
    for attribute in attributes:
        if attribute.of_people:
            made |= _of_people(customers, people, attribute, separator)
            continue
        told = customers[attribute.name].astype("str").where(customers[attribute.name].notna()).reset_index(drop=True)
        match attribute.how:
            case "number":
                made[attribute.name] = _numbers(told)
            case "band":
                made[attribute.name] = told.map({v: float(i) for i, v in enumerate(attribute.values)}).astype("float64")
            case "yes_no":
                made[attribute.name] = (
                    told.str.lower().map({**dict.fromkeys(YES, 1.0), **dict.fromkeys(NO, 0.0)}).astype("float64")
                )
            case _:
                for value in attribute.values:
                    has = told.map(lambda t, v=value: float(v in _words(t, separator)), na_action="ignore")
                    made[_column(attribute, value)] = has.astype("float64")
    for now, before in growth.items():
        new, old = (_numbers(customers[c]).reset_index(drop=True) for c in (now, before))
        made[f"{now}_growth"] = (new / old.where(old > 0) - 1).astype("float64")
    if len(people):
        made["people_count"] = (
            customers.customer_id.map(people.groupby("customer_id").size()).astype("float64").reset_index(drop=True)
        )
    return pd.DataFrame(made)


def _numbers(told: pd.Series) -> pd.Series:
    """Texts -> numbers; missing where they are none, or none that is finite."""
    numbers = pd.to_numeric(told, errors="coerce").astype("float64")
    return numbers.where(np.isfinite(numbers))


def _of_people(customers: pd.DataFrame, people: pd.DataFrame, attribute: Attribute, separator: str) -> dict[str, pd.Series]:
    known = people.dropna(subset=[attribute.name])
    made = {}
    for value in attribute.values:
        has = known[attribute.name].astype("str").map(lambda t, v=value: v in _words(t, separator))
        there = has.groupby(known.customer_id).max()
        made[_column(attribute, value)] = customers.customer_id.map(there).astype("float64").reset_index(drop=True)
    return made


def _words(text: str, separator: str) -> set[str]:
    return {part.strip() for part in text.split(separator)} if separator else {text.strip()}


def proxy_check(features: pd.DataFrame, customers: pd.DataFrame, sensitive: list[str], seed: int = 0) -> pd.DataFrame:
    """How well the features that are used give away what they must not use: -> attribute, group, customers, auc, ci_low, ci_high.

    group: the attribute's largest value; auc: of telling it from the others by gradient boosting, out of fold (0.5 is chance, 1 is
    certainty), with the interval of Hanley & McNeil 1982. Attributes known for fewer than 100 customers are left out.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    rows = []
    for name in sensitive:
        if name not in customers:
            continue
        told = features[["customer_id"]].merge(customers[["customer_id", name]], on="customer_id")[name]
        known = told.notna().to_numpy()
        if known.sum() < 100 or told[known].nunique() < 2:
            continue
        counted = told[known].astype(str).value_counts()
        group = sorted(counted.index[counted == counted.max()])[0]
        y = (told[known].astype(str) == group).to_numpy()
        if min(y.sum(), (~y).sum()) < 20:
            continue
        x = learnable(features.loc[known].drop(columns="customer_id").to_numpy(float))
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        with on_one_thread():
            model = HistGradientBoostingClassifier(random_state=seed, max_iter=60, max_leaf_nodes=6, learning_rate=0.1)
            score = cross_val_predict(model, x, y, cv=folds, method="predict_proba")[:, 1]
        auc = roc_auc_score(y, score)
        low, high = _auc_interval(auc, int(y.sum()), int((~y).sum()))
        rows.append((name, group, int(known.sum()), auc, low, high))
    kinds = {
        "attribute": "str",
        "group": "str",
        "customers": "int64",
        "auc": "float64",
        "ci_low": "float64",
        "ci_high": "float64",
    }
    return pd.DataFrame(rows, columns=list(kinds)).astype(kinds)


def _auc_interval(auc: float, ones: int, zeros: int) -> tuple[float, float]:
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    error = np.sqrt((auc * (1 - auc) + (ones - 1) * (q1 - auc**2) + (zeros - 1) * (q2 - auc**2)) / (ones * zeros))
    return max(0.0, auc - 1.96 * error), min(1.0, auc + 1.96 * error)
