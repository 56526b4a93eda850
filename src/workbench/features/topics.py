"""Topics: what customers ask for help with, which contents they turn to, and what they write about in their own words."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from workbench.core.engine import fetch, fetch_row
from workbench.features.affinity import share_feature
from workbench.features.catalog import Feature
from workbench.features.purchases import shrunk_shares
from workbench.features.tally import of_kinds
from workbench.features.window import Window

NEEDS = {"ticket": "tickets", "opportunity_open": "offers"}
CONTENTS = ("email_open", "email_click", "social", "webinar_registration", "webinar_attendance")
BROWSED = ("page_view", "search", "offer_view", "list_add", "add_to_cart")
MOST = 12  # topics or categories of one kind that get a feature of their own
MIN_TEXTS = 50  # messages; fewer are no language to learn
MIN_WRITERS = 5  # a word that fewer customers use may be a name
WORD = r"(?u)\b[^\W\d_]{3,}\b"


@dataclass(frozen=True)
class Topics:
    """What is talked of often enough: (event type, topic) of needs, topics of contents, categories browsed."""

    needs: tuple[tuple[str, str], ...] = ()
    contents: tuple[str, ...] = ()
    browsed: tuple[str, ...] = ()


def plan_topics(happened: ir.Table, tally: pd.DataFrame, min_coverage: float) -> Topics:
    """Events in the window -> the topics that at least `min_coverage` of the customers in that kind touched, most frequent first."""
    by_people = happened.filter(~happened.machine.fill_null(False))

    def frequent(kinds: Collection[str], column: str) -> list[str]:
        told = of_kinds(tally, *kinds)
        is_told = (told.topic > 0).any() if column == "topic" else told[column].notna().any()
        return _frequent(by_people, kinds, column, min_coverage) if is_told else []

    needs = [(kind, topic) for kind in NEEDS for topic in frequent((kind,), "topic")]
    return Topics(tuple(needs), tuple(frequent(CONTENTS, "topic")), tuple(frequent(BROWSED, "category")))


def _frequent(happened: ir.Table, kinds: Collection[str], column: str, min_coverage: float) -> list[str]:
    said = happened.filter(happened.event_type.isin(list(kinds)), happened[column].notnull())
    counted = fetch(said.group_by(word=said[column]).agg(customers=said.customer_id.nunique()))
    everyone = fetch_row(said.agg(n=said.customer_id.nunique()))["n"]
    counted = counted[counted.customers >= max(min_coverage * everyone, 1)].sort_values(
        ["customers", "word"], ascending=[False, True]
    )
    counted = counted[~counted.word.map(_slug).duplicated()]
    return list(counted.word[:MOST]) if len(counted) > 1 else []


def topic_catalog(topics: Topics, names: dict[str, str]) -> list[Feature]:
    """One declaration per topic; names: words of categories."""
    declared = []
    for kind, topic in topics.needs:
        word = topic.lower()
        what, family, lever = NEEDS[kind], *(("needs", "service") if kind == "ticket" else ("demand", "product"))
        declared.append(Feature(_need(kind, topic), family, "events", f"{what} about {word} in the window", f"had {what} about “{word}”", f"had no {what} about “{word}”", lever, f"{what} about “{word}”"))  # fmt: skip
    for topic in topics.contents:
        word = topic.lower()
        declared.append(Feature(share_feature("content", topic), "interest", "share", f"share of mailings opened, webinars and social posts that were about {word}, shrunk", f"turn to content about {word}", f"pass over content about {word}", "content", f"content about {word}"))  # fmt: skip
    for category in topics.browsed:
        word = names.get(category, category.lower())
        declared.append(Feature(share_feature("browsed", category), "interest", "share", f"share of pages, searches, offers and list entries in {word}, shrunk", f"look at {word} products online more than others", f"look at {word} products online less than others", "content", f"{word} looked at online"))  # fmt: skip
    return declared


def topic_features(happened: ir.Table, topics: Topics, prior: float) -> ir.Table | None:
    """Events in the window -> customer_id + the features of `topic_catalog`; None where nothing has topics."""
    by_people = happened.filter(~happened.machine.fill_null(False))
    parts = []
    if topics.needs:
        asked = by_people.filter(by_people.event_type.isin(sorted({kind for kind, _ in topics.needs})), by_people.topic.notnull())
        counts = {
            _need(kind, topic): asked.count(where=(asked.event_type == kind) & (asked.topic == topic)).cast("float64")
            for kind, topic in topics.needs
        }
        parts.append(asked.group_by("customer_id").agg(**counts))
    for words, kinds, column, level in (
        (topics.contents, CONTENTS, "topic", "content"),
        (topics.browsed, BROWSED, "category", "browsed"),
    ):
        if words:
            said = by_people.filter(by_people.event_type.isin(list(kinds)), by_people[column].notnull())
            counts = {share_feature(level, w): said.count(where=said[column] == w) for w in words}
            per = said.group_by("customer_id").agg(n=said.count(), **counts)
            parts.append(shrunk_shares(per, list(counts), "n", prior))
    if not parts:
        return None
    table = by_people.select("customer_id").distinct()
    for part in parts:
        table = table.left_join(part, "customer_id").drop("customer_id_right")
    return table


def _slug(word: str) -> str:
    return re.sub(r"[\W_]+", "_", word.lower()).strip("_")


def _need(kind: str, topic: str) -> str:
    return f"{kind}_about_{_slug(topic)}_count"


# -- in their own words --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Language:
    """Topics found in what customers wrote: words, and the weight of each word in each topic (topics x words, rows add up to 1)."""

    vocabulary: tuple[str, ...]
    rarity: np.ndarray  # inverse document frequency per word
    weights: np.ndarray
    names: tuple[str, ...]


def learn_language(texts: pd.DataFrame, count: int, seed: int = 0) -> Language | None:
    """Messages (customer_id, text) -> topics by non-negative matrix factorisation of TF-IDF (Lee & Seung 1999).

    Only words that several customers use are read, so no topic can be named after a person. None with too little to read.
    """
    from sklearn.decomposition import NMF
    from sklearn.feature_extraction.text import TfidfVectorizer

    written = texts.dropna(subset=["text"])
    if len(written) < MIN_TEXTS or count < 2:
        return None
    words = _words_of_several(written)
    if len(words) < 2:
        return None
    reader = TfidfVectorizer(token_pattern=WORD, vocabulary=words, stop_words="english", sublinear_tf=True)
    # Rows in one order and repeats once: how often a canned sentence was sent must not decide what the topics are.
    sentences = sorted(set(written.text.str.lower()))
    matrix = reader.fit_transform(sentences)
    count = min(count, matrix.shape[0], matrix.shape[1])
    with np.errstate(invalid="ignore"):  # the root of an error that rounding left a little below 0
        model = NMF(count, init="nndsvda", random_state=seed, max_iter=1000, tol=1e-5).fit(matrix)
    weights = model.components_ / np.maximum(model.components_.sum(axis=1, keepdims=True), 1e-12)
    names = tuple(", ".join(words[i] for i in np.argsort(-row, kind="stable")[:3] if row[i] > 0) for row in weights)
    return Language(tuple(words), reader.idf_, weights, names)


def _words_of_several(written: pd.DataFrame) -> list[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    found = written.text.str.lower().str.findall(WORD).explode().dropna()
    pairs = pd.DataFrame({"word": found, "customer_id": written.customer_id.reindex(found.index)}).drop_duplicates()
    writers = pairs.word.value_counts()
    everyone = written.customer_id.nunique()
    usual = writers[(writers >= MIN_WRITERS) & (writers <= max(0.5 * everyone, MIN_WRITERS))]
    return sorted(set(usual.index) - ENGLISH_STOP_WORDS)


def read_topics(texts: pd.Series, language: Language) -> np.ndarray:
    """Messages -> (messages, topics): how much of each is about which topic, rows add up to 1 (0 where no word is known)."""
    from sklearn.decomposition import non_negative_factorization
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.preprocessing import normalize

    counts = CountVectorizer(token_pattern=WORD, vocabulary=list(language.vocabulary)).transform(texts.str.lower()).astype(float)
    counts.data = 1 + np.log(counts.data)
    matrix = normalize(counts.multiply(language.rarity[None, :]).tocsr())
    parts, _, _ = non_negative_factorization(
        matrix, H=language.weights, n_components=len(language.names), update_H=False, init="custom", W=None, max_iter=500
    )
    return parts / np.maximum(parts.sum(axis=1, keepdims=True), 1e-12)


def language_catalog(language: Language | None) -> list[Feature]:
    """One declaration per topic of the language."""
    if language is None:
        return []
    return [
        Feature(f, "needs", "messages", f"messages in the window, weighed by how much they are about: {name}", f'write about "{name}"', f'do not write about "{name}"', "service", f'messages about "{name}"')
        for f, name in zip(_topic_names(language), language.names, strict=True)
    ]  # fmt: skip


def _topic_names(language: Language) -> list[str]:
    return [f"wrote_topic_{i}" for i in range(1, len(language.names) + 1)]


def language_features(texts: pd.DataFrame, language: Language | None, window: Window) -> pd.DataFrame:
    """Messages -> customer_id + the features of `language_catalog`; a row per customer who wrote in the window."""
    if language is None:
        return pd.DataFrame({"customer_id": pd.Series(dtype="str")})
    within = in_window(texts, window).dropna(subset=["text"]).reset_index(drop=True)
    names = _topic_names(language)
    if within.empty:
        return pd.DataFrame({"customer_id": pd.Series(dtype="str"), **{n: pd.Series(dtype="float64") for n in names}})
    # A sentence is read once, however often it was sent.
    sentences = pd.Series(sorted(within.text.unique()))
    about = pd.DataFrame(read_topics(sentences, language), columns=names, index=sentences)
    counted = within.value_counts(["customer_id", "text"]).rename("n").reset_index().sort_values(["customer_id", "text"])
    weighed = about.loc[counted.text].mul(counted.n.to_numpy(), axis=0)
    return weighed.groupby(counted.customer_id.to_numpy()).sum().rename_axis("customer_id").reset_index()


def in_window(texts: pd.DataFrame, window: Window) -> pd.DataFrame:
    """The messages of a window (and of its half of weeks)."""
    inside = (texts.occurred_at >= window.start) & (texts.occurred_at < window.end)
    if window.half:
        inside &= window.in_half(days_ago(texts.occurred_at, window))
    return texts[inside]


def days_ago(moments: pd.Series, window: Window) -> pd.Series:
    """Moments (UTC) -> whole days from their local calendar day to the window's as_of."""
    local: Any = moments.dt.tz_convert(window.zone).dt.tz_localize(None).dt.normalize()
    return (pd.Timestamp(window.as_of) - local).dt.days
