"""What customers write: the topic that most members of a segment write about, and one message that carries no personal data."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
from scipy import stats

from workbench.core import engine

if TYPE_CHECKING:
    from workbench.core.config import Config
    from workbench.core.rundir import Run

COLUMNS = ["segment_id", "topic", "customers", "n", "share", "ci_low", "ci_high", "base", "quote", "source", "row"]
MANY = 5  # a word that fewer customers wrote could point at one of them
WRITERS = 5  # members who write about a topic before it is told
LOOKED_AT = 60  # messages looked at per segment, topic and source
LONG, SHORT = 160, 15  # characters of a message
HIDDEN = "…"
# E-mail addresses, web addresses, @names, and digits that could be a number of somebody.
MARKED = re.compile(r"\S+@\S*|@\w+|\b(?:https?://|www\.)\S+|\+?\d[\d\s().\-/]{1,}\d|\d{3,}", re.IGNORECASE)
WORD = re.compile(r"[^\W\d_](?:[\w'’-]*\w)?")


def read_quotes(run: Run, labels: pd.Series) -> pd.DataFrame:
    """The run's messages -> quotes (see `choose_quotes`); no rows where no source holds texts."""
    if not run.has("private/texts"):
        return _as_quotes(pd.DataFrame(columns=COLUMNS))
    names = run.read_events("private/persons") if run.has("private/persons") else None
    return choose_quotes(run.read_events("private/texts"), labels, names, run.config)


def choose_quotes(texts: ir.Table, labels: pd.Series, names: ir.Table | None, config: Config) -> pd.DataFrame:
    """Messages (private/texts) -> quotes: one row per segment: the topic most members wrote about in the window before as_of.

    Columns: segment_id, topic, customers (members who wrote about it), n (members), share with its interval (Wilson 1927), base (everybody's
    share), quote, source and row (where the message stands). A quote is left out (its row with it) where none is free of what may be personal:
    `scrub` hides addresses, numbers, names in `names` (private/persons), and every word that fewer than five customers wrote.
    """
    written = _in_window(texts, labels, config)
    topics = _topics(written, labels, config.personas.confidence)
    if topics.empty:
        return _as_quotes(topics.assign(quote="", source="", row=0))
    looked_at = _messages(written, topics)
    common = _common_words(looked_at)
    known = _known_names(names, common) if names is not None else set()
    looked_at["quote"] = [scrub(text, common, known) for text in looked_at.text]
    sound = looked_at[[_readable(q, t) for q, t in zip(looked_at.quote, looked_at.text, strict=True)]]
    alike = sound.groupby(["segment_id", "topic", "quote"]).customer_id.transform("nunique")
    ranked = sound.assign(hidden=sound.quote.str.count(HIDDEN), alike=alike)
    # By its words before its row: shuffled lines of a file must not change what is quoted.
    order = {"segment_id": True, "hidden": True, "alike": False, "quote": True, "source": True, "row": True}
    ranked = ranked.sort_values(list(order), ascending=list(order.values()))
    best = ranked.drop_duplicates("segment_id")[["segment_id", "topic", "quote", "source", "row"]]
    told = topics.merge(best, on=["segment_id", "topic"])
    return _as_quotes(told.assign(topic=[config.names.get(t, t) for t in told.topic]))


def _as_quotes(frame: pd.DataFrame) -> pd.DataFrame:
    kinds = {
        "segment_id": "int64",
        "topic": "str",
        "customers": "int64",
        "n": "int64",
        "share": "float64",
        "ci_low": "float64",
        "ci_high": "float64",
        "base": "float64",
    }
    return frame.reindex(columns=COLUMNS).astype(kinds | {"quote": "str", "source": "str", "row": "int64"}).reset_index(drop=True)  # fmt: skip


def _in_window(texts: ir.Table, labels: pd.Series, config: Config) -> ir.Table:
    zone = zoneinfo.ZoneInfo(config.company.zone)
    until = dt.datetime.combine(config.as_of, dt.time(), zone).astimezone(dt.UTC)
    members = pa.table({"customer_id": labels.index.astype("str").to_numpy(object), "segment_id": labels.to_numpy("int64")})
    topic = texts.topic.coalesce("") if "topic" in texts.columns else ibis.literal("")
    recent = (texts.occurred_at < until) & (texts.occurred_at >= until - dt.timedelta(days=config.features.window_days))
    mine = texts.filter(recent, texts.text.notnull(), topic != "").select("customer_id", "source", "row", "text", topic=topic)
    return mine.inner_join(engine.as_table(texts.get_backend(), members, "writers"), "customer_id")


def _topics(written: ir.Table, labels: pd.Series, confidence: float) -> pd.DataFrame:
    """Per segment the topic that most members wrote about: segment_id, topic, customers, n, share, interval, base."""
    counted = engine.fetch(written.group_by("segment_id", "topic").agg(customers=written.customer_id.nunique()))
    counted["n"] = counted.segment_id.map(labels.value_counts())
    counted["share"] = counted.customers / counted.n
    counted["base"] = counted.groupby("topic").customers.transform("sum") / len(labels)
    enough = counted[counted.customers >= WRITERS].sort_values(["segment_id", "share", "topic"], ascending=[True, False, True])
    first = enough.drop_duplicates("segment_id").reset_index(drop=True)
    spans = [stats.binomtest(int(r.customers), int(r.n)).proportion_ci(confidence, "wilson") for r in first.itertuples()]
    return first.assign(ci_low=[s.low for s in spans], ci_high=[s.high for s in spans])


def _messages(written: ir.Table, topics: pd.DataFrame) -> pd.DataFrame:
    """The first messages of fitting length about each segment's topic."""
    wanted = pa.table({"segment_id": topics.segment_id.to_numpy("int64"), "topic": topics.topic.to_numpy(object)})
    fitting = written.filter(written.text.length().between(SHORT, LONG))
    mine = fitting.inner_join(engine.as_table(written.get_backend(), wanted, "wanted"), ["segment_id", "topic"])
    mine = mine.select("customer_id", "segment_id", "topic", "source", "row", "text")
    place = ibis.row_number().over(ibis.window(group_by=[mine.segment_id, mine.topic, mine.source], order_by=mine.row))
    first = mine.mutate(place=place).filter(lambda t: t.place < LOOKED_AT)
    return engine.fetch(first.drop("place").order_by("segment_id", "source", "row"))


def _common_words(messages: pd.DataFrame) -> set[str]:
    """Words, in small letters, that at least five customers wrote."""
    found = [(who, word.lower()) for who, text in zip(messages.customer_id, messages.text, strict=True) for word in WORD.findall(text)]  # fmt: skip
    writers = pd.DataFrame(found, columns=["customer_id", "word"]).drop_duplicates().word.value_counts()
    return set(writers.index[writers >= MANY])


def _known_names(names: ir.Table, common: set[str]) -> set[str]:
    """Those of the common words that are somebody's given or family name."""
    known: set[str] = set()
    for column in {"given_name", "family_name"} & set(names.columns):
        small = names.select(name=names[column].lower()).distinct()
        known |= set(engine.fetch(small.filter(small.name.isin(sorted(common) or [""]))).name)
    return known


def scrub(text: str, common: set[str], names: set[str]) -> str:
    """A message with everything hidden that could be personal: addresses, numbers, rare words, and names written as names."""
    bare = MARKED.sub(HIDDEN, re.sub(r"\s+", " ", text).strip())
    shown = WORD.sub(lambda m: m[0] if m[0].lower() in common and not (m[0][0].isupper() and m[0].lower() in names) else HIDDEN, bare)  # fmt: skip
    return re.sub(rf"{HIDDEN}(?:[\s,.'’-]*{HIDDEN})+", HIDDEN, shown)


def _readable(quote: str, text: str) -> bool:
    """Whether enough is left to be a quote: at least three words, and three quarters of the message's."""
    left, all_words = len(WORD.findall(quote)), len(WORD.findall(text))
    return left >= max(3, 0.75 * all_words) and quote != HIDDEN
