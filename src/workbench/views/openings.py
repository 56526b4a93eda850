"""What a reader sees of openings: audiences made by hand, room to grow within segments, categories that some do not buy yet."""

from __future__ import annotations

import pandas as pd

from workbench.views.theme import between, listed, plain

HEADROOM_HEADS = {
    "segment_id": "segment", "customers": "customers", "frontier": "upper quarter begins at", "below": "customers below", "gap": "what they lack",
    "lasting": "of it lasting", "headroom": "headroom", "interval": "95% interval",
}  # fmt: skip
HEADROOM_FORM = {"frontier": "{:,.0f}", "gap": "{:,.0f}", "lasting": "{:.0%}", "headroom": "{:,.0f}"}
SPACE_HEADS = {
    "segment_id": "segment", "category": "category", "bought_by": "bought by", "without": "customers without", "usual": "usual revenue from it",
    "at_stake": "at stake", "interval": "95% interval",
}  # fmt: skip
SPACE_FORM = {"bought_by": "{:.0%}", "usual": "{:,.0f}", "at_stake": "{:,.0f}"}
TESTS = {"is": "is", "is_not": "is not", "at_least": "at least", "at_most": "at most", "top_share": "among the highest"}


def funnels_in_words(funnels: pd.DataFrame, catalog: pd.DataFrame) -> pd.DataFrame:
    """Audiences layer by layer -> audience, condition, customers, share, features called by their nouns."""
    known = catalog.set_index("feature")

    def told(column: str, test: str, value: str) -> str:
        if not column:
            return "all customers"
        noun = known.noun.get(column, column.replace("_", " "))
        is_share = test == "top_share" or known.unit.get(column) == "share" and test in ("at_least", "at_most")
        return f"{noun} {TESTS[test]} {f'{100 * float(value):g} %' if is_share else value}"

    conditions = [told(*layer) for layer in zip(funnels.column, funnels.test, funnels.value, strict=True)]
    return funnels.assign(audience=funnels.audience.str.replace("_", " "), condition=conditions)


def say_left_out(names: list[str]) -> str:
    """Audiences that ask for what the sources do not carry."""
    return (
        f"Left out, for columns that these sources do not carry: {listed([plain(n.replace('_', ' ')) for n in names])}."
        if names
        else "Every audience of the file can be counted."
    )


def say_headroom(headroom: pd.DataFrame, currency: str) -> str:
    """In which segments customers under the upper quarter lack more than the weeks make by chance, the largest with intervals."""
    sure = headroom[headroom.headroom_low > 0].sort_values("headroom", ascending=False, kind="stable")
    if sure.empty:
        return "**No headroom can be told:** within segments, revenue differs by no more than the weeks make by chance, or is not known."
    told = [
        f"{r.segment_id} ({r.headroom:,.0f} {currency}, {r.headroom_low:,.0f} to {r.headroom_high:,.0f})"
        for r in sure.head(3).itertuples()
    ]
    return (
        f"**Headroom:** in {len(sure)} of {len(headroom)} segments customers' revenue differs by surely more than the weeks make by chance. What those under "
        f"the upper quarter lack for good is most in segment{'s' if len(told) > 1 else ''} {listed(told)}. It is what is to be expected of those seen below, not what an action brings: notebook 05 "
        "measures that in experiments."
    )


def headroom_in_words(headroom: pd.DataFrame) -> pd.DataFrame:
    """The table for readers, see `HEADROOM_HEADS`."""
    return headroom.assign(interval=between(headroom.headroom_low, headroom.headroom_high, "{:,.0f}"))


def space_in_words(space: pd.DataFrame, catalog: pd.DataFrame) -> pd.DataFrame:
    """White space for readers, see `SPACE_HEADS`; categories by their nouns."""
    nouns = catalog.set_index("feature").noun.str.removesuffix(" share")
    return space.assign(category=space.feature.map(nouns), interval=between(space.at_stake_low, space.at_stake_high, "{:,.0f}"))
