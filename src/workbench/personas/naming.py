"""Names from the strongest drivers: short, descriptive, unique, the same for the same data."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

# What customers of a kind of company are called in names: on their own, after what they buy, and in macro-segments.
PEOPLE = {"b2c": ("shoppers", "buyers", "customers"), "b2b": ("accounts", "accounts", "accounts")}
KNOWN = 0.5  # a trait that is known for fewer members does not describe the segment
SURE = 0.1  # a trait enters a name only when its whole interval is at least so far from everybody else
GOODS, ABOVE = 0.1, 1.25  # a category makes its buyers from a tenth of their spending on, and a quarter more than everybody's
LEADS = {
    # feature: (word when high, word when low); what the name begins with. A word compares with everybody else and ranks nobody:
    # "high-spending" is true of several segments, "top-spending" would be of one.
    "net_revenue": ("High-spending", "Light-spending"),
    "order_count": ("Frequent", "Occasional"),
    "active_weeks": ("Steady", "Occasional"),
    "gap_days_mean": ("Seldom-ordering", "Frequent"),
    "gap_days_cv": ("Irregular", "Regular"),
    "recency_days": ("Fading", "Recent"),
    "aov": ("Large-order", "Small-order"),
    "lines_per_order": ("Many-item", "Few-item"),
    "price_tier": ("Premium-item", "Budget-item"),
    "revenue_trend": ("Growing", "Declining"),
    "weekend_share": ("Weekend", "Weekday"),
    "morning_share": ("Morning", ""),
    "midday_share": ("Midday", ""),
    "afternoon_share": ("Afternoon", ""),
    "evening_share": ("Evening", ""),
    "discount_share": ("High-discount", "Low-discount"),
    "own_brand_share": ("Own-brand", "Brand-name"),
    "category_count": ("Many-category", "Few-category"),
    "coupon_redeemed_count": ("Offer-redeeming", ""),
    "email_open_rate": ("E-mail-reading", "E-mail-ignoring"),
    "email_open_count": ("E-mail-reading", ""),
    "email_click_count": ("E-mail-clicking", ""),
    "page_view_count": ("Web-browsing", ""),
    "search_count": ("Web-searching", ""),
    "add_to_cart_count": ("Web-cart", ""),
    "checkout_count": ("Web-ordering", ""),
    "app_open_count": ("App-using", ""),
    "offer_view_count": ("App-offer", ""),
    "list_add_count": ("List-keeping", ""),
    "social_count": ("Social", ""),
    "ticket_count": ("Service-contacting", ""),
    "return_share": ("Often-returning", ""),
    "feature_use_count": ("Product-active", "Product-idle"),
    "export_count": ("Data-exporting", ""),
    "api_call_count": ("System-connecting", ""),
    "admin_action_count": ("Admin-active", ""),
    "webinar_registration_count": ("Webinar-minded", ""),
    "webinar_attendance_count": ("Webinar-attending", ""),
}


MAX_WORDS = 4
NUMBERED = re.compile(r"\b(segment|cluster|group|label|persona|cohort|type)\b|^\W*\d", re.IGNORECASE)
SIZES = {"big", "small", "large", "medium", "huge", "tiny", "major", "minor", "other", "remaining", "main", "largest", "smallest"}  # fmt: skip
PEOPLE_WORDS = {"customers", "shoppers", "buyers", "accounts", "people", "households", "clients", "users"}
# What law protects or what nobody wants to be told about himself: health, faith, origin, sex, addiction, pregnancy, minors.
SENSITIVE = re.compile(
    r"\b(?:pharmac|medic|health|diabet|incontinen|pregnan|contracept|condom|sexual|erotic|tobacco|cigar|vape|halal|kosher|religio|christian"
    r"|muslim|jewish|ethnic|race|racial|disab|diet pill|hospital|psych|cancer|fertil|union|politic|gambl|lotter|debt|bab(?:y|ies)|child|infant|gay|lesbian)",
    re.IGNORECASE,
)


def name_segments(
    compared: pd.DataFrame, catalog: pd.DataFrame, sizes: pd.Series, kind: str = "b2c", kept: Mapping[int, str] | None = None,
    given: Iterable[str] = (),
) -> pd.Series:  # fmt: skip
    """All comparisons (see `compare_segments`) -> segment_id: name; unique, at most four words, the same for the same data.

    The two strongest traits of different kinds make the name: "Large-order high-discount shoppers", or with a category
    "Large-order produce buyers"; kind b2b: "accounts". kept: names that segments have already (see `kept_names`, `still_true`).
    Larger segments choose first; a taken name gives way to the next pair. given: names of the last run's segments, which nobody else gets now:
    a list that goes by the name would reach other people.
    """
    return _choose(compared, catalog, sizes, partial(_candidates, people=PEOPLE[kind]), kept or {}, given)


def still_true(
    kept: Mapping[int, str], compared: pd.DataFrame, catalog: pd.DataFrame, given: Collection[str] = ()
) -> dict[int, str]:
    """Names of an earlier run -> those of which every word is a trait of the segment today, beyond doubt.

    A new name needs traits that stand out by `SURE`, a kept one only those that are surely there, so that names do not flicker.
    given: names that analysts gave; their word is theirs to take back.
    """
    told, true = catalog.set_index("feature"), {}
    for segment, name in kept.items():
        words = {t.word.lower() for t in _traits(compared, segment, told, 0.0)}
        said = {word for word in name.lower().split() if word not in PEOPLE_WORDS}
        if name in given or said <= words:
            true[segment] = name
    return true


def kept_names(lineage: pd.DataFrame | None) -> dict[int, str]:
    """Table lineage -> segment_id: name of the earlier run; only for segments that continued and whose name is sound.

    Where two continue one name, the one that shares more customers keeps it.
    """
    if lineage is None:
        return {}
    went_on = lineage[(lineage.change == "continued") & (lineage.previous_id >= 0)]
    went_on = went_on.sort_values(["shared", "jaccard", "segment_id"], ascending=[False, False, True])
    went_on = went_on.drop_duplicates("segment_id").drop_duplicates("previous_name")
    return {row.segment_id: row.previous_name for row in went_on.itertuples() if not fault_of_name(row.previous_name)}


def fault_of_name(name: str) -> str:
    """What is wrong with a name, in words; empty when it is sound: short, descriptive, no number, no mere size, nothing sensitive."""
    words = name.replace(",", " ").split()
    if not 2 <= len(words) <= MAX_WORDS:
        return f"has {len(words)} words, not 2 to {MAX_WORDS}"
    if NUMBERED.search(name):
        return "numbers or labels instead of describing"
    if {w.lower() for w in words} - PEOPLE_WORDS <= SIZES:
        return "says only how large the segment is"
    return "tells something sensitive" if SENSITIVE.search(name) else ""


def name_macros(
    above: pd.DataFrame, compared: pd.DataFrame, member: pd.Series, catalog: pd.DataFrame, sizes: pd.Series, kind: str = "b2c"
) -> pd.Series:
    """The same for macro-segments (above: compared by macro_id in the column segment_id): the strongest free trait on whose other side none of their segments lies.

    compared: the segments' comparisons; member: see `macro_of`. "Occasional customers" hold no segment that is steadier than everybody.
    """  # fmt: skip
    sides = zip(compared.segment_id.map(member), compared.feature, np.sign(compared.effect_size), strict=True)
    against = {(macro, feature, -side) for macro, feature, side in sides}
    mine = zip(above.segment_id, above.feature, np.sign(above.effect_size), strict=True)
    return _choose(
        above[[own not in against for own in mine]], catalog, sizes, partial(_macro_candidates, people=PEOPLE[kind][-1]), {}
    )


def macro_of(segmentation: pd.DataFrame) -> pd.Series:
    """The numbered segmentation -> macro_id per segment_id."""
    return segmentation[segmentation.segment_id >= 0].drop_duplicates("segment_id").set_index("segment_id").macro_id


def named_tables(
    segmentation: pd.DataFrame, certificate: pd.DataFrame, names: pd.Series, macros: pd.Series
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Numbers -> names: the tables segments and segment_quality (see their contracts)."""
    everyone = segmentation.assign(
        segment_name=segmentation.segment_id.map(names).fillna("unassigned").astype("str"),
        macro_segment=segmentation.macro_id.map(macros).fillna("unassigned").astype("str"),
    )
    order = ["customer_id", "segment_id", "segment_name", "macro_segment", "strength", "assigned", "map_x", "map_y"]
    quality = certificate.assign(
        segment_name=certificate.segment_id.map(names),
        macro_segment=certificate.segment_id.map(macro_of(segmentation)).map(macros),
    )
    quality = quality.astype({"segment_name": "str", "macro_segment": "str"})
    return everyone[order], quality[
        ["segment_id", "segment_name", *[c for c in quality.columns if c not in ("segment_id", "segment_name")]]
    ]


def _choose(
    compared: pd.DataFrame,
    catalog: pd.DataFrame,
    sizes: pd.Series,
    candidates: Callable[[list[Trait]], Iterator[str]],
    kept: Mapping[int, str],
    given: Iterable[str] = (),
) -> pd.Series:
    told, others = catalog.set_index("feature"), {_words(name) for name in given}
    taken = {_words(name): (segment, name) for segment, name in kept.items() if segment in sizes.index}
    named = {segment for segment, _ in taken.values()}
    for segment in sizes.drop(list(named)).sort_values(ascending=False, kind="stable").index:
        traits = _traits(compared, segment, told, SURE)
        strong = list(candidates(traits))
        # Where these are taken, traits that are surely there but small set it apart, as they keep a name.
        small = candidates(_traits(compared, segment, told, 0.0)) if traits else ()
        numbered = (f"{strong[0]}, variant {number}" for number in itertools.count(2))  # only where words run out
        name = next(name for name in itertools.chain(strong, small, numbered) if _words(name) not in others | taken.keys())
        taken[_words(name)] = (segment, name)
    return pd.Series(dict(taken.values())).sort_index()


def _traits(compared: pd.DataFrame, segment: int, told: pd.DataFrame, least: float) -> list[Trait]:
    """A segment's traits, the strongest first: known of enough members, and the whole interval further than `least` from everybody else."""
    mine = compared[(compared.segment_id == segment) & (compared.coverage >= KNOWN)]
    mine = mine.assign(strength=mine.effect_size.abs())
    mine = mine[np.where(mine.effect_size > 0, mine.ci_low, -mine.ci_high) >= least]
    mine = mine.sort_values(["strength", "feature"], ascending=[False, True])
    return [t for row in mine.itertuples() if (t := _trait(row, told))]


def _words(name: str) -> frozenset[str]:
    """A name without the order of its words: "regular rare" and "rare regular" are one name to a reader."""
    return frozenset(name.lower().split())


def _macro_candidates(traits: list[Trait], people: str) -> Iterator[str]:
    words = [_capital(word) for word in dict.fromkeys(t.word for t in traits)] or ["Mixed"]
    yield from (f"{word} {people}" for word in words)


@dataclass(frozen=True)
class Trait:
    """A word for a name; goods are what is bought, other traits say how."""

    word: str
    group: str
    goods: bool = False


def _trait(row: tuple, told: pd.DataFrame) -> Trait | None:
    """The trait that a comparison gives a segment, if there is a good word for it on that side."""
    feature, effect = row.feature, row.effect_size
    family, noun = told.family[feature], told.noun[feature]
    if family == "affinity" and noun.endswith(" share"):
        goods = noun.removesuffix(" share").replace(" ", "-")
        is_much = effect > 0 and row.value >= max(GOODS, ABOVE * row.base)
        return Trait(goods, noun, goods=True) if is_much and not SENSITIVE.search(goods) else None
    if family == "trend" and effect * row.value <= 0:  # falling less than others is not growing
        return None
    word = LEADS.get(feature, ("", ""))[0 if effect > 0 else 1]
    group = "order" if feature in PER_ORDER else GROUPS.get(family, feature)
    return Trait(word, group) if word else None


# Features that say the same to a reader share a group; a name takes one word of each.
GROUPS = {
    "frequency": "rhythm", "cadence": "rhythm", "recency": "rhythm", "value": "money", "trend": "money", "order": "order",
}  # fmt: skip
PER_ORDER = ("aov", "lines_per_order")


def _candidates(traits: list[Trait], people: tuple[str, ...]) -> Iterator[str]:
    """Names from most to least telling: pairs by the sum of their ranks, then triples, then single traits."""
    pairs = sorted(((i, j) for i in range(len(traits)) for j in range(i + 1, len(traits))), key=lambda p: (p[0] + p[1], p[0]))
    for i, j in pairs:
        if traits[i].group != traits[j].group and not (traits[i].goods and traits[j].goods):
            yield _name([traits[i], traits[j]], people)
    for i, j in pairs:
        for k in range(j + 1, len(traits)):
            trio = (traits[i], traits[j], traits[k])
            if len({t.group for t in trio}) == 3 and sum(t.goods for t in trio) <= 1:
                yield _name(list(trio), people)
    yield from [_name([trait], people) for trait in traits] or [f"Average {people[0]}"]


def _name(traits: list[Trait], people: tuple[str, ...]) -> str:
    how = [t.word for t in traits if not t.goods]
    what = [t.word for t in traits if t.goods]
    words = [how[0], *(w.lower() for w in how[1:])] if how else []
    tail = f"{' and '.join(what)} {people[1]}" if what else people[0]
    return _capital(" ".join([*words, tail]).strip())


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
