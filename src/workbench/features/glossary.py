"""The table of features in GLOSSARY.md, written from the catalog: `make glossary`. What the data name stands as X."""

from __future__ import annotations

from pathlib import Path

from workbench.core.event_types import APP, CONTRACTS, PRODUCT, WEB
from workbench.core.files import write_text
from workbench.features import accounts, affinity, attention, engagement, habits, intent, profile, purchases, topics
from workbench.features.catalog import Feature

BEGIN, END = "<!-- features: written by make glossary -->", "<!-- end of features -->"
X = "X"


def every_feature() -> list[Feature]:
    """Each feature that some source can bring, once."""
    columns = frozenset({
        "lines", "clock", "hours", "discount", "own_brand", "return", "item", "quantity", "category", "cost", "ticket.score", "ticket.hours",
        "social.score",
    })  # fmt: skip
    types = (*engagement.WORDS, *WEB, *APP, *PRODUCT, *CONTRACTS, "order", "email_delivered", "survey")
    seen = topics.Topics(tuple((kind, X) for kind in topics.NEEDS), (X,), (X,))
    attributes = [
        profile.Attribute(X, "number"),
        profile.Attribute(X, "values", (X,)),
        profile.Attribute(X, "values", (X,), several=True),
        profile.Attribute(X, "values", (X,), "buying committee", True),
    ]
    declared = [
        *purchases.purchase_catalog(columns), *habits.habit_catalog(columns, habits.YEAR),
        *affinity.affinity_catalog({"category": (X,), "subcategory": (X,)}, {X: X}),
        *engagement.engagement_catalog(list(dict.fromkeys(types)), (X,)), *intent.intent_catalog(types),
        *attention.attention_catalog(types, columns, (X,)), *topics.topic_catalog(seen, {X: X}), *accounts.account_catalog(types),
        *topics.language_catalog(topics.Language((X,), None, None, (X,))), *profile.profile_catalog(attributes, {X: f"{X} before"}, True),
    ]  # fmt: skip
    return list({feature.feature: feature for feature in declared}.values())


def feature_table() -> str:
    """Markdown: a row per feature with its name, family, unit and definition."""
    rows = [f"| `{f.feature}` | {f.family} | {f.unit} | {f.definition.replace('|', '/')} |" for f in every_feature()]
    return "\n".join(["| feature | family | unit | definition |", "|---|---|---|---|", *rows])


def with_table(text: str) -> str:
    """The glossary's text with the table as it should stand."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{feature_table()}\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    glossary = Path(__file__).parents[3] / "GLOSSARY.md"
    write_text(glossary, with_table(glossary.read_text(encoding="utf-8")))
