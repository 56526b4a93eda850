"""A value of a draft with its reason, and the draft of one source: what the guesses are written in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from workbench.ingest.draft.columns import Column
from workbench.ingest.draft.samples import Sample

PROFILE_VALUES = 40
EVENT_WORDS = 60


@dataclass(frozen=True)
class Guess:
    """A value of the draft with its reason; `is_open`: nobody could tell from the data, a person has to look."""

    value: Any
    reason: str = ""
    is_open: bool = False


REFUSED = (
    "says who refused, and would be read as a consent: for a list of events declare "
    '{type: email_unsubscribe, at: TIME, where: {column: NAME, values: ["1"]}}, for a list of people export who agreed'
)


@dataclass
class SourceGuess:
    """The draft of one source.

    plain: the declaration as nested mappings and lists whose leaves are plain values or Guess. left_out: column -> what it looks
    like. refusals: columns that say who refused, which no setting of a draft may use. missing: what a full run would need of such a
    source. columns: what was seen of every column.
    """

    sample: Sample
    columns: dict[str, Column]
    plain: dict[str, Any] = field(default_factory=dict)
    claimed: set[str] = field(default_factory=set)
    refusals: set[str] = field(default_factory=set)
    missing: list[str] = field(default_factory=list)
    name: str = ""
    refusal: str = ""

    @property
    def left_out(self) -> dict[str, str]:
        """Columns that no setting uses -> what their values look like."""
        return {n: REFUSED if n in self.refusals else looks(c) for n, c in self.columns.items() if n not in self.claimed}

    @property
    def kind(self) -> str:
        """The kind of the system."""
        return value_of(self.plain["kind"])

    def claim(self, column: Column | None) -> Column | None:
        """Mark a column as used."""
        if column:
            self.claimed.add(column.name)
        return column

    def free(self) -> list[Column]:
        """Columns with values that no setting uses yet."""
        return [c for c in self.columns.values() if c.name not in self.claimed | self.refusals and c.distinct]


def value_of(leaf: Any) -> Any:
    """A leaf of a draft -> its plain value."""
    return leaf.value if isinstance(leaf, Guess) else leaf


def plain_of(draft: Any) -> Any:
    """A draft -> the same without reasons."""
    draft = value_of(draft)
    if isinstance(draft, dict):
        return {k: plain_of(v) for k, v in draft.items()}
    return [plain_of(v) for v in draft] if isinstance(draft, (list, tuple)) else draft


ORDER = ("kind", "note", "path", "database", "format", "csv", "sheet", "missing", "decimal", "currency", "record_id", "record_is", "duplicates",
         "created_at", "created_at_format", "birth_date_format", "yes_words", "no_words", "identity", "profile", "consent", "events", "costs", "lookup")  # fmt: skip


def in_order(plain: dict[str, Any]) -> dict[str, Any]:
    """The settings of a source in the order that readers expect."""
    return {k: plain[k] for k in ORDER if k in plain}


def looks(column: Column) -> str:
    """What the values of a column look like, in a word or two."""
    if not column.distinct:
        return "empty"
    if column.time and not column.time.is_weak:
        return "times"
    for kind in ("e-mail addresses", "long texts"):
        if column.is_mostly(kind, 0.5):
            return kind
    if column.distinct <= PROFILE_VALUES:
        return f"{column.distinct} different values"
    return "numbers" if column.number > 0.9 else "codes" if column.is_mostly("codes") else "texts"


def percent(share: float) -> str:
    """0.6 -> "60 %"."""
    return f"{share * 100:.0f} %"


def clean(text: str) -> str:
    """A text on one line, one blank between words."""
    return " ".join(text.split())
