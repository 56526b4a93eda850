"""The glossary is true: what it names exists, what people argue about is in it, and banned names appear nowhere."""

import ast
import re
import typing
from pathlib import Path

import pytest
from pydantic import BaseModel

from workbench.core.config import Config
from workbench.core.contracts import CONTRACTS
from workbench.features import glossary
from workbench.kpis.metrics import KPIS

ROOT = Path(__file__).parents[1]
SOURCE = sorted((ROOT / "src" / "workbench").rglob("*.py"))
GLOSSARY = (ROOT / "GLOSSARY.md").read_text(encoding="utf-8")
ENTRIES = re.findall(r"^- \*\*(.+?)\*\*(.*)$", GLOSSARY, re.MULTILINE)
CODE = set(re.findall(r"`([^`]+)`", GLOSSARY))
FILES = {name for name in CODE if "/" in name}
IDENTIFIERS = CODE - FILES
BANNED = {"process", "handle", "manage", "utils", "util", "helpers", "helper", "misc", "df2"}
# Names that two people would use for two things, or two names for one.
ARGUED_ABOUT = {
    "identities": ("record_id", "customer_id", "match_probability"),
    "matches": ("match_weight", "rule"),
    "customers": ("first_seen_at", "kind"),
    "events": ("occurred_at", "event_type", "order_id", "amount", "discount", "cost"),
    "feature_catalog": ("feature", "family", "coverage", "relevance", "stability", "actionable"),
    "segments": ("segment_id", "segment_name", "macro_segment", "strength", "assigned"),
    "segment_quality": (
        "size",
        "share",
        "revenue_share",
        "persistence",
        "stability_low",
        "stability_high",
        "found_anew",
        "verdict",
    ),
    "scoreboard": ("r2_adjusted", "ceiling", "replication_ami"),
    "personas": ("tagline", "story"),
    "drivers": ("claim", "value", "base", "index", "effect_size", "ci_low", "ci_high"),
    "playbook": ("stage", "treatment", "channel", "offer", "message", "trigger", "kpi", "goal"),
    "kpis": ("numerator", "denominator", "n", "target", "status"),
    "experiments": ("effect", "p_value", "q_value", "power"),
    "migration": ("from_segment", "to_segment", "placebo_share", "net_share"),
    "business_case": ("scenario", "gain_low", "gain_mid", "gain_high", "payback_months"),
}


def functions_and_classes():
    """(file, name) of everything that src defines."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    trees = ((path, ast.parse(path.read_text(encoding="utf-8"))) for path in SOURCE)
    return [(path, node.name) for path, tree in trees for node in ast.walk(tree) if isinstance(node, kinds)]


def setting_names(model, seen):
    """Names of a model's fields and of all models inside it."""
    if model in seen:
        return set()
    seen.add(model)
    names = set(model.model_fields)
    for field in model.model_fields.values():
        for inner in models_in(field.annotation):
            names |= setting_names(inner, seen)
    return names


def models_in(annotation):
    """Every model that a type mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in models_in(part)]


def test_the_table_of_features_is_the_catalog():
    assert glossary.with_table(GLOSSARY) == GLOSSARY, "write it anew: make glossary"


def test_every_identifier_exists():
    known = set(CONTRACTS) | {column for contract in CONTRACTS.values() for column in contract.columns}
    known |= {f.feature for f in glossary.every_feature()} | {kpi.kpi for kpi in KPIS} | setting_names(Config, set())
    known |= {name for _, name in functions_and_classes()}
    assert not IDENTIFIERS - known


def test_files_that_the_glossary_names_exist():
    assert FILES
    assert all((ROOT / path).exists() for path in FILES)


@pytest.mark.parametrize("table", ARGUED_ABOUT)
def test_argued_names_are_promised_and_explained(table):
    columns = set(ARGUED_ABOUT[table])
    assert columns <= set(CONTRACTS[table].columns), "the contract does not promise it any more"
    assert columns <= IDENTIFIERS, "the glossary does not explain it"


def test_every_kpi_and_every_table_people_read_is_explained():
    assert {kpi.kpi for kpi in KPIS} <= IDENTIFIERS
    assert {
        "customers",
        "events",
        "feature_catalog",
        "segments",
        "segment_quality",
        "scoreboard",
        "drivers",
        "kpis",
    } <= IDENTIFIERS
    assert {"as_of", "window_days", "horizon_days", "prior_orders", "tail_weight", "recency_days", "order_count", "net_revenue"} <= IDENTIFIERS  # fmt: skip


def test_every_term_is_explained_once_and_shortly():
    terms = [term.lower() for term, _ in ENTRIES]
    assert len(terms) >= 70
    assert len(terms) == len(set(terms))
    for term, rest in ENTRIES:
        told = re.sub(r"^ \([^)]*\)", "", rest).removeprefix(":").strip()
        assert told.endswith("."), term
        assert 3 <= len(told.split()) <= 50, f"{term}: {len(told.split())} words"


def test_an_identifier_names_one_term():
    """In the brackets after a term stand its identifiers; none stands for two (a value may appear in a sentence as well)."""
    named = [name for _, rest in ENTRIES for name in re.findall(r"`([^`]+)`", (re.match(r" \(([^)]*)\)", rest) or [""])[0])]
    twice = {name for name in named if named.count(name) > 1}
    assert twice == {"stability"}, "only stability has two meanings, and each says so"


def test_banned_names_appear_nowhere():
    modules = {(path, path.stem) for path in SOURCE}
    found = [(str(path), name) for path, name in [*modules, *functions_and_classes()] if BANNED & set(name.lower().split("_"))]
    assert not found
