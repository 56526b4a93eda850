"""Names from the strongest drivers: short, descriptive, unique, the same for the same data."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

MAX_WORDS = 6
LEADS = {
    # feature: (word when high, word when low); what the name begins with
    "net_revenue": ("Top-spending", "Light-spending"),
    "revenue_last_28": ("Top-spending", "Lately quiet"),
    "order_count": ("Frequent", "Occasional"),
    "orders_last_28": ("Frequent", "Lately quiet"),
    "active_weeks": ("Every-week", "Occasional"),
    "gap_days_mean": ("Rare", "Frequent"),
    "gap_days_cv": ("Irregular", "Regular"),
    "recency_days": ("Fading", "Recent"),
    "aov": ("Big-basket", "Small-basket"),
    "lines_per_order": ("Big-basket", "Few-item"),
    "line_value": ("Premium-item", "Low-price-item"),
    "revenue_trend": ("Growing", "Declining"),
    "weekend_share": ("Weekend", "Weekday"),
    "morning_share": ("Morning", ""),
    "midday_share": ("Midday", ""),
    "afternoon_share": ("Afternoon", ""),
    "evening_share": ("Evening", ""),
    "discount_share": ("Discount-seeking", "Full-price"),
    "own_brand_share": ("Own-brand", "National-brand"),
    "category_count": ("All-department", "Few-department"),
    "coupon_redeemed_count": ("Coupon-redeeming", ""),
    "campaign_sent_count": ("Much-mailed", "Rarely mailed"),
    "email_open_rate": ("Newsletter-reading", "Newsletter-ignoring"),
    "email_open_count": ("Newsletter-reading", ""),
    "email_click_count": ("Newsletter-clicking", ""),
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
}


def name_segments(compared: pd.DataFrame, catalog: pd.DataFrame, sizes: pd.Series, names: Mapping[str, str]) -> pd.Series:
    """All comparisons (see `compare_segments`) -> segment_id: name, unique, at most six words.

    The two strongest traits of different families lead the name ("Big-basket discount-seeking"), the strongest category
    follows ("fruit and vegetables shoppers"). Larger segments choose first; a taken name gives way to the next trait.
    """
    family = catalog.set_index("feature").family
    words = {f: names_of(f, catalog, names) for f in catalog.feature}
    taken: dict[str, int] = {}
    for segment in sizes.sort_values(ascending=False, kind="stable").index:
        mine = compared[compared.segment_id == segment]
        mine = mine.assign(strength=mine.effect_size.abs()).sort_values(["strength", "feature"], ascending=[False, True])
        taken[next(name for name in _candidates(mine, family, words) if name not in taken)] = segment
    return pd.Series({segment: name for name, segment in taken.items()}).sort_index()


def named_tables(
    segmentation: pd.DataFrame, certificate: pd.DataFrame, names: pd.Series, compared: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Numbers -> names: the tables segments and segment_quality (see their contracts).

    A macro-segment is called after its largest member's leading value trait and keeps its place in the order of size.
    """
    member = segmentation[segmentation.segment_id >= 0].drop_duplicates("segment_id").set_index("segment_id").macro_id
    macro = name_macros(member, certificate.set_index("segment_id")["size"], compared)
    everyone = segmentation.assign(
        segment_name=segmentation.segment_id.map(names).fillna("unassigned").astype("str"),
        macro_segment=segmentation.macro_id.map(macro).fillna("unassigned").astype("str"),
    )
    order = ["customer_id", "segment_id", "segment_name", "macro_segment", "strength", "assigned", "map_x", "map_y"]
    quality = certificate.assign(
        segment_name=certificate.segment_id.map(names).astype("str"),
        macro_segment=certificate.segment_id.map(member).map(macro).astype("str"),
    )
    return everyone[order], quality[
        ["segment_id", "segment_name", *[c for c in quality.columns if c not in ("segment_id", "segment_name")]]
    ]


def name_macros(member: pd.Series, sizes: pd.Series, compared: pd.DataFrame) -> dict[int, str]:
    """macro_id -> name from the size-weighted mean effects of its members: the strongest trait not yet taken by another."""
    weighted = compared.assign(macro_id=compared.segment_id.map(member), weight=compared.segment_id.map(sizes))
    weighted["product"] = weighted.effect_size * weighted.weight
    sums = weighted.groupby(["macro_id", "feature"], as_index=False)[["product", "weight"]].sum()
    sums["effect"] = sums["product"] / sums.weight
    sums = sums.sort_values(
        ["macro_id", "effect"], key=lambda c: c.abs() if c.name == "effect" else c, ascending=[True, False], kind="stable"
    )
    taken: dict[str, int] = {}
    for macro in sorted(sums.macro_id.unique()):
        mine = sums[sums.macro_id == macro]
        leads = [LEADS.get(r.feature, ("", ""))[0 if r.effect > 0 else 1] for r in mine.itertuples()]
        leads = list(dict.fromkeys(lead for lead in leads if lead))
        options = [f"{lead} customers" for lead in leads] + [f"{a} {b.lower()} customers" for a in leads for b in leads if a != b]
        taken[next(option for option in options if option not in taken)] = macro
    return {macro: name for name, macro in taken.items()}


def names_of(feature: str, catalog: pd.DataFrame, names: Mapping[str, str]) -> str:
    """The category word of an affinity share ("share of fuel" -> "fuel"), "" for other features."""
    noun = catalog.noun[catalog.feature == feature].iloc[0]
    return (
        noun.removeprefix("share of ")
        if feature.startswith(("category_", "subcategory_")) and noun.startswith("share of ")
        else ""
    )


def _candidates(mine: pd.DataFrame, family: pd.Series, words: Mapping[str, str]):
    """Names from most to least telling; the last resort counts up the second trait's rank, so the list never ends early."""
    traits = []
    for row in mine.itertuples():
        lead = LEADS.get(row.feature, ("", ""))[0 if row.effect_size > 0 else 1]
        if lead and lead not in [t for t, _ in traits]:
            traits.append((lead, family.get(row.feature, "")))
    goods = [words[r.feature] for r in mine.itertuples() if words.get(r.feature) and r.effect_size > 0.2] or [""]
    for tail in [*goods[:4], ""]:
        who = f"{tail} buyers" if tail else "shoppers"
        for i, (first, one) in enumerate(traits):
            for second, other in traits[i + 1 :]:
                if one != other:
                    yield _short(f"{first} {second.lower()} {who}")
    for first, _ in traits:
        for second, _ in traits:
            for good in goods:
                yield _short(f"{first} {second.lower()} {good} buyers".replace("  ", " "))
    for number, (first, _) in enumerate(traits * 50, start=2):
        yield f"{first} shoppers, variant {number}"


def _short(name: str) -> str:
    return " ".join(name.split())
