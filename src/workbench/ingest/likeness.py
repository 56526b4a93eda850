"""How alike two records are: a Fellegi-Sunter model over names, dates and addresses, trained without labels (Splink)."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from workbench.core.config import Engine, Identity
from workbench.core.engine import connect
from workbench.core.errors import InputError

ITERATIONS = 100
U_PAIRS, EM_PAIRS = 1_000_000, 300_000  # enough for shares of a few in a thousand
PAIRS_PER_RECORD, FEW_PAIRS = 3, 30_000  # a rule may give so many pairs before its narrow form is taken
MIN_VALUES = 50  # a column with fewer values teaches the model nothing
CROWD_SHARE, CROWD_SIZE = 0.02, 100  # a birth date on more records than both says nothing about anybody
RECALL_OF_SURE_RULES = 0.7  # assumed share of true pairs that agree in full on name and birth date or the like
LEAST_M = 0.01  # one true pair in a hundred may differ in anything
REVIEW_PROBABILITY = 0.5
ONLY_EXACT = "So only shared identifiers link: records that share none stay apart."
ADDRESS = ("street", "house_number", "address_line_2", "postcode", "city", "state", "country")
FACTS = ("given_name", "family_name", "birth_date", "organisation", *ADDRESS, "email", "phone", "domain")
# What two records must share to be compared at all, and the narrower rule for companies where that gives too many pairs.
PERSON_RULES = (
    (("given_name", "family_name"), ("given_name", "family_name", "birth_year")),
    (("birth_date",), ("birth_date", "given_initial")),
    (("family_name", "postcode"), ("family_name", "postcode", "given_initial")),
    (("given_name", "postcode"), ("given_name", "postcode", "family_initial")),
    (("street", "house_number"), ("street", "house_number", "postcode")),
    (("street", "postcode"), ("street", "postcode", "given_initial")),
    (("given_name", "street"), ("given_name", "street", "house_number")),
    (("family_name", "street"), ("family_name", "street", "house_number")),
    (("given_name", "city"), ("given_name", "city", "birth_year")),
    (("family_name", "city"), ("family_name", "city", "birth_year")),
    (("email",), ("email",)),
    (("phone",), ("phone",)),
)
ACCOUNT_RULES = (
    (("organisation",), ("organisation", "country")),
    (("name_start", "city"), ("name_start", "city", "postcode")),
    (("name_start", "postcode"), ("name_start", "postcode", "city")),
    (("domain",), ("domain", "name_start")),
    (("street", "postcode"), ("street", "postcode", "house_number")),
    (("phone",), ("phone",)),
)
SURE_RULES = (
    ("given_name", "family_name", "birth_date"), ("given_name", "birth_date", "postcode"), ("family_name", "birth_date", "postcode"),
    ("given_name", "family_name", "email"), ("given_name", "family_name", "phone"), ("organisation", "postcode", "city"),
    ("organisation", "domain"),
)  # fmt: skip
TRAINING_RULES = (
    ("birth_date",), ("given_name", "family_name"), ("street", "postcode"), ("email",), ("phone",), ("organisation",), ("domain",),
)  # fmt: skip


ENDS = ["source_l", "record_id_l", "source_r", "record_id_r"]
PAIR = dict.fromkeys(ENDS, "str") | {"match_weight": "float64", "match_probability": "float64"}
LEVEL = {"fact": "str", "agreement": "str", "m": "float64", "u": "float64", "weight": "float64"}


def _empty(columns: Mapping[str, str]) -> Any:
    return field(default_factory=lambda: pd.DataFrame(columns=list(columns)).astype(dict(columns)))


@dataclass(frozen=True)
class Likeness:
    """What comparing gave.

    pairs: source_l, record_id_l, source_r, record_id_r, match_weight (bits), match_probability, bits_… (what each fact weighs);
    from REVIEW_PROBABILITY on. blocking: rule, pairs compared because of it. model: fact, agreement, m, u, weight (bits).
    notes: what was not done, and why.
    """

    pairs: pd.DataFrame = _empty(PAIR)
    blocking: pd.DataFrame = _empty({"rule": "str", "pairs": "int64"})
    model: pd.DataFrame = _empty(LEVEL)
    notes: list[str] = field(default_factory=list)


def compare_records(people: pd.DataFrame, settings: Identity, machine: Engine, seed: int = 7) -> Likeness:
    """Records' personal attributes (see `collect_people`) -> Likeness; raises InputError where too many pairs would be compared.

    Nothing is labelled: u comes from random pairs, m from expectation maximisation (Fellegi & Sunter 1969; Winkler 1988).
    Where the training does not converge there are no pairs, and `notes` says so.
    """
    if not settings.probabilistic:
        return Likeness(notes=["identity.probabilistic is false.", ONLY_EXACT])
    known, facts = _comparable(people)
    if len(facts) < 2:
        return Likeness(notes=["Fewer than two personal attributes are filled.", ONLY_EXACT])
    blocking = plan_blocking(known, settings.max_pairs)
    if blocking.empty:
        return Likeness(notes=["No two records share a name, a date or an address.", ONLY_EXACT])
    with _quiet():
        return _compare(machine, known, facts, blocking, seed)


def plan_blocking(known: pd.DataFrame, max_pairs: int) -> pd.DataFrame:
    """-> rule (names joined by +), pairs; counted before anything is compared. The narrow form of a rule stands in for a wide
    one that gives too many pairs for the number of records; InputError with the fullest values where that is not enough.
    """
    usable = [(wide, narrow) for wide, narrow in _rules(known) if set(narrow) <= set(known.columns)]
    usable += [
        (wide, wide)
        for wide, narrow in _rules(known)
        if set(wide) <= set(known.columns) and not set(narrow) <= set(known.columns)
    ]
    part = min(max_pairs / max(len(usable), 1), max(PAIRS_PER_RECORD * len(known), FEW_PAIRS))
    chosen = []
    for wide, narrow in usable:
        pairs = _count_pairs(known, wide)
        rule, pairs = (wide, pairs) if pairs <= part else (narrow, _count_pairs(known, narrow))
        if pairs:
            chosen.append({"rule": " + ".join(rule), "pairs": pairs})
    plan = pd.DataFrame(chosen, columns=["rule", "pairs"])
    if plan.pairs.sum() > max_pairs:
        raise _too_many(known, plan, max_pairs)
    return plan


def _rules(known: pd.DataFrame) -> tuple:
    return ACCOUNT_RULES if "organisation" in known and "family_name" not in known else PERSON_RULES


def _count_pairs(known: pd.DataFrame, rule: tuple[str, ...]) -> int:
    sizes = known.groupby(list(rule)).size().to_numpy(np.int64)
    return int((sizes * (sizes - 1) // 2).sum())


def _too_many(known: pd.DataFrame, plan: pd.DataFrame, max_pairs: int) -> InputError:
    worst = plan.sort_values("pairs").iloc[-1]
    sizes = known.groupby(worst.rule.split(" + ")).size().sort_values(ascending=False).head(5)
    values = ", ".join(f"{_masked(value)} on {n:,} records" for value, n in sizes.items())
    return InputError(
        f"comparing records would take {int(plan.pairs.sum()):,} pairs, most of them ({worst.pairs:,}) because they share {worst.rule}.\n"
        f"Fullest values: {values}.",
        f"More than identity.max_pairs = {max_pairs:,}; a word that stands for “unknown” is the usual cause.",
        "name such a word under `missing` of its source, raise identity.max_pairs, or set identity.probabilistic: false",
    )


def _masked(value: Any) -> str:
    words = value if isinstance(value, tuple) else (value,)
    return "/".join(f"{str(word)[:2]}… ({len(str(word))} characters)" for word in words)


def _comparable(people: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """People with enough filled facts, with the helper columns that blocking rules use; and the facts that vary."""
    columns = [f for f in FACTS if f in people and people[f].count() >= MIN_VALUES and people[f].nunique() > 1]
    known = people[["source", "record_id", *columns]].copy()
    if "birth_date" in columns:
        crowds = known.birth_date.value_counts()
        known["birth_date"] = known.birth_date.mask(
            known.birth_date.isin(crowds.index[crowds > max(CROWD_SIZE, CROWD_SHARE * len(known))])
        )
        known["birth_year"] = known.birth_date.str[:4]
    for fact, helper, letters in (
        ("given_name", "given_initial", 1),
        ("family_name", "family_initial", 1),
        ("organisation", "name_start", 5),
    ):
        if fact in columns:
            known[helper] = known[fact].str[:letters]
    facts = [c for c in columns if c not in ADDRESS] + (["address"] if set(columns) & set(ADDRESS) else [])
    known = known[known[columns].notna().sum(axis=1) >= 2].reset_index(drop=True)
    return known.assign(unique_id=np.arange(len(known))), facts


def _compare(machine: Engine, known: pd.DataFrame, facts: list[str], blocking: pd.DataFrame, seed: int) -> Likeness:
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on

    backend, threads = connect(machine), machine.threads
    con = backend.con  # the backend stays: its folder for what does not fit into memory goes with it
    con.execute("SET threads = 1")  # sums of floating numbers depend on the order of threads, and so would the weights
    rules = [block_on(*rule.split(" + ")) for rule in blocking.rule]
    settings = SettingsCreator(
        link_type="dedupe_only", comparisons=[_comparison(fact, known) for fact in facts], blocking_rules_to_generate_predictions=rules,
        max_iterations=ITERATIONS, retain_matching_columns=True, retain_intermediate_calculation_columns=True, linker_uid="workbench",
    )  # fmt: skip
    records = DuckDBAPI(con).register(pa.Table.from_pandas(known, preserve_index=False), dataset_display_name="compared_records")
    linker, taught, notes = _train(records, settings, known, seed)
    if len(taught) < 2:
        return Likeness(blocking=blocking, model=describe_model(linker), notes=[*notes, ONLY_EXACT])
    if len(taught) < len(facts):
        smaller = _compare(machine, known, [fact for fact in facts if fact in taught], blocking, seed)
        return replace(smaller, notes=[*notes, *smaller.notes])
    linker = Linker(records, _with_floor(linker.misc.save_model_to_json()), log_level=None)
    model = describe_model(linker)
    if senseless := _senseless(model):
        return Likeness(blocking=blocking, model=model, notes=[*notes, senseless, ONLY_EXACT])
    con.execute(f"SET threads = {threads}")  # pairs are weighed one by one
    scored = linker.inference.predict(threshold_match_probability=REVIEW_PROBABILITY, warning_mode="never")
    found = con.execute(f"FROM {scored.physical_name}{_unless_someone_else(facts)}").to_arrow_table().to_pandas()
    pairs = _named(found, known, taught)
    return Likeness(pairs, blocking, model, [*notes, *_untrained(model)])


def _comparison(fact: str, known: pd.DataFrame) -> Any:
    import splink.comparison_library as cl

    if fact == "address":
        return _address(known)
    if fact == "given_name" and "family_name" in known:
        return _given_name()
    if fact in ("given_name", "family_name", "organisation"):
        return cl.NameComparison(fact)
    if fact == "birth_date":
        return cl.DateOfBirthComparison(
            fact, input_is_string=True, datetime_format="%Y-%m-%d", datetime_thresholds=[1], datetime_metrics=["year"]
        )
    if fact in ("email", "domain"):  # mail addresses are made of names: alike is not evidence of its own
        return cl.ExactMatch(fact).configure(term_frequency_adjustments=fact == "domain")
    if fact == "phone":
        return cl.LevenshteinAtThresholds(fact, [1])
    return cl.ExactMatch(fact)


def _given_name() -> Any:
    """The library's comparison of names, and a level for the two names in each other's field."""
    from splink.comparison_level_library import ColumnsReversedLevel, ElseLevel, ExactMatchLevel, JaroWinklerLevel, NullLevel
    from splink.comparison_library import CustomComparison

    levels = [
        NullLevel("given_name"),
        ExactMatchLevel("given_name", term_frequency_adjustments=True),
        JaroWinklerLevel("given_name", 0.92),
        JaroWinklerLevel("given_name", 0.88),
        ColumnsReversedLevel("given_name", "family_name", symmetrical=True),
        JaroWinklerLevel("given_name", 0.7),
        ElseLevel(),
    ]
    return CustomComparison(levels, output_column_name="given_name", comparison_description="given name")


def _address(known: pd.DataFrame) -> Any:
    """One comparison of the whole address: its parts agree together, and counting each apart would make neighbours one person."""
    from splink.comparison_level_library import CustomLevel, ElseLevel
    from splink.comparison_library import CustomComparison

    parts = [part for part in ADDRESS if part in known]
    empty = " OR ".join("(" + " AND ".join(f"{part}_{side} IS NULL" for part in parts) + ")" for side in "lr")
    alike = {
        **dict.fromkeys(("street", "address_line_2", "city"), "jaro_winkler_similarity({0}_l, {0}_r) >= 0.9"),
        "postcode": "levenshtein({0}_l, {0}_r) <= 1",
    }
    agreeing = " + ".join(f"coalesce(({alike.get(part, '{0}_l = {0}_r').format(part)})::int, 0)" for part in parts)
    levels = [CustomLevel(empty, "No address").configure(is_null_level=True)]
    levels += [CustomLevel(f"{agreeing} >= {n}", f"{n} of {len(parts)} parts agree") for n in range(len(parts), 0, -1)]
    return CustomComparison([*levels, ElseLevel()], output_column_name="address", comparison_description="address")


def _unless_someone_else(facts: list[str]) -> str:
    """An address is shared by a household: without a like given name or the same birth date it is somebody else's too."""
    if "given_name" not in facts:
        return ""
    same_birth = " OR gamma_birth_date = 3" if "birth_date" in facts else ""
    like_family = " OR (gamma_given_name = -1 AND gamma_family_name > 0)" if "family_name" in facts else ""
    return f" WHERE gamma_given_name > 0{same_birth}{like_family}"


def _train(records: Any, settings: Any, known: pd.DataFrame, seed: int) -> tuple[Any, set[str], list[str]]:
    """Estimate all parameters -> the trained linker, the facts that were learnt, and what went wrong on the way."""
    from splink import Linker, block_on
    from splink.internals.exceptions import EMTrainingException

    linker = Linker(records, settings, log_level=None)
    sure = [block_on(*rule) for rule in SURE_RULES if set(rule) <= set(known.columns) and _count_pairs(known, rule)]
    if not sure:
        return linker, set(), ["No two records agree on name and birth date or the like, so nothing can be learnt."]
    linker.training.estimate_probability_two_random_records_match(sure, recall=RECALL_OF_SURE_RULES)
    linker.training.estimate_u_using_random_sampling(max_pairs=U_PAIRS + 1, seed=seed)
    linker = Linker(records, _with_unseen(linker.misc.save_model_to_json()), log_level=None)
    taught, notes = set(), []
    for rule in training_rules(known):
        place = f"Training on pairs that share {' + '.join(rule)}"
        untouched = linker._settings_obj.core_model_settings.copy()
        try:
            session = linker.training.estimate_parameters_using_expectation_maximisation(
                block_on(*rule), estimate_without_term_frequencies=True, max_pairs=EM_PAIRS
            )
        except (EMTrainingException, ValueError):
            notes.append(f"{place} collapsed: they are too few or all alike.")
            linker._settings_obj.core_model_settings = untouched  # Splink 5.0 has left out the rule's facts and changed the prior
            continue
        if len(session._core_model_settings_history) > ITERATIONS:  # Splink itself reports convergence either way
            notes.append(f"{place} did not converge in {ITERATIONS} steps.")
            continue
        taught |= {comparison.output_column_name for comparison in session.core_model_settings.comparisons}
    return linker, taught, notes


def _with_unseen(model: dict[str, Any]) -> dict[str, Any]:
    """The model with half a pair for an agreement that no random pair showed: among a million people it is that rare."""
    for comparison in model["comparisons"]:
        for level in comparison["comparison_levels"]:
            if not level.get("is_null_level") and not isinstance(level.get("u_probability"), float):
                level["u_probability"] = 0.5 / U_PAIRS
    return model


def _with_floor(model: dict[str, Any]) -> dict[str, Any]:
    """The trained model with m at least LEAST_M: few pairs teach that true pairs never differ, and no slip would be forgiven."""
    for comparison in model["comparisons"]:
        for level in comparison["comparison_levels"]:
            if isinstance(level.get("m_probability"), float):
                level["m_probability"] = max(level["m_probability"], LEAST_M)
    return model


def _senseless(model: pd.DataFrame) -> str:
    """Facts whose fullest agreement speaks against a match: then the training took strangers for matches."""
    fullest = model.drop_duplicates("fact").set_index("fact").weight
    wrong = sorted(fullest.index[fullest <= 0])
    return f"Training found that equal {', '.join(wrong)} speak against a match, which cannot be." if wrong else ""


def training_rules(known: pd.DataFrame) -> list[tuple[str, ...]]:
    """The rules whose pairs teach the model: each with enough pairs, together leaving no fact always equal."""
    return [rule for rule in TRAINING_RULES if set(rule) <= set(known.columns) and _count_pairs(known, rule) >= MIN_VALUES]


def describe_model(linker: Any) -> pd.DataFrame:
    """A trained linker -> fact, agreement, m, u, weight (bits; missing where the level was never seen)."""
    rows = []
    for comparison in linker.misc.save_model_to_json()["comparisons"]:
        for level in comparison["comparison_levels"]:
            if level.get("is_null_level"):
                continue
            m, u = level.get("m_probability"), level.get("u_probability")
            sound = isinstance(m, float) and isinstance(u, float) and m > 0 and u > 0
            weight = float(np.log2(m / u)) if sound else np.nan
            rows.append(
                (
                    comparison["output_column_name"],
                    level["label_for_charts"],
                    m if sound else np.nan,
                    u if sound else np.nan,
                    weight,
                )
            )
    return pd.DataFrame(rows, columns=list(LEVEL))


def _untrained(model: pd.DataFrame) -> list[str]:
    blind = model[model.weight.isna()]
    if blind.empty:
        return []
    named = ", ".join(f"{r.fact} ({r.agreement.lower()})" for r in blind.itertuples())
    return [f"Never seen in training, so without weight: {named}."]


def _named(found: pd.DataFrame, known: pd.DataFrame, facts: Collection[str]) -> pd.DataFrame:
    left, right = (known.loc[found[c], ["source", "record_id"]].reset_index(drop=True) for c in ("unique_id_l", "unique_id_r"))
    pairs = pd.DataFrame(
        {
            "source_l": left.source, "record_id_l": left.record_id, "source_r": right.source, "record_id_r": right.record_id,
            "match_weight": found.match_weight.round(6), "match_probability": found.match_probability.round(9).clip(0, 1),
        }
    )  # fmt: skip
    for fact in sorted(facts):
        rarity = found.get(f"mw_tf_adj_{fact}", 0.0)
        pairs[f"bits_{fact}"] = (found[f"mw_{fact}"] + rarity).round(6)
    return pairs.sort_values(ENDS, ignore_index=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Splink tells its progress in a log that names values; what matters of it stands in `notes`."""
    log = logging.getLogger("splink")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
