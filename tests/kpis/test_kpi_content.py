"""Themes per segment, counted by hand and judged against all others."""

import numpy as np
import pandas as pd
from kpi_company import EVENTS, PERIOD, SEGMENTS, SETTINGS, event, table_of

from workbench.core.contracts import check_frame
from workbench.kpis.content import MOST, estimate_content, read_themes
from workbench.views import kpis as views


def many(seed, shares):
    """600 customers in as many segments as shares; everybody turns to news, some to wine."""
    rng = np.random.default_rng(seed)
    place = np.arange(600) % len(shares)
    ids = [f"c{i:03d}" for i in range(600)]
    segments = pd.DataFrame({"customer_id": ids, "segment_id": place, "segment_name": [f"segment {p}" for p in place]})
    wine = [i for i, p in zip(ids, place, strict=True) if rng.random() < shares[p]]
    return pd.concat([pd.DataFrame({"customer_id": t, "theme": n}) for n, t in (("news", ids), ("wine", wine))]), segments


def test_themes_are_what_customers_turned_to_themselves_in_the_period():
    more = [
        event("a", "2024-03-05T10:00", "email_open", topic="recipes"),
        event("a", "2024-03-06T10:00", "email_open", topic="recipes"),
        event("b", "2024-03-06T10:00", "email_open", topic="recipes", machine=True),
        event("b", "2024-03-06T10:00", "email_delivered", topic="offers"),
        event("c", "2024-02-06T10:00", "social", topic="wine"),
    ]
    found = read_themes(table_of([*EVENTS, *more]), PERIOD)
    assert found.to_dict("records") == [
        {"customer_id": "a", "theme": "recipes"}, {"customer_id": "d", "theme": "cheese"},
    ]  # fmt: skip
    content = estimate_content(found, SEGMENTS, SETTINGS)
    check_frame("content", content)
    total = content[content.segment_id == -2].set_index("theme")
    assert (total.numerator["recipes"], total.denominator["recipes"]) == (1, 2)


def test_a_planted_taste_is_found_and_equal_ones_are_not_claimed():
    content = estimate_content(*many(1, (0.6, 0.2, 0.2, 0.2)), SETTINGS)
    wine = content[content.theme == "wine"].set_index("segment_id")
    assert wine.versus_others[0] == "above"
    assert wine.n[0] == 150
    assert content[content.theme == "news"].q_value.isna().all()
    claimed = [
        estimate_content(*many(seed, (0.3,) * 4), SETTINGS).versus_others.isin(["above", "below"]).any() for seed in range(60)
    ]
    assert np.mean(claimed) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)


def test_the_commonest_themes_are_told_and_nothing_is_said_of_none():
    segments = many(1, (0.5, 0.5))[1]
    themes = pd.DataFrame(
        {"customer_id": np.repeat(segments.customer_id[:30], 20), "theme": [f"t{i:02d}" for i in range(20)] * 30}
    )
    assert estimate_content(themes, segments, SETTINGS).theme.nunique() == MOST
    nothing = estimate_content(themes.head(0), segments, SETTINGS)
    check_frame("content", nothing)
    assert "No source tells themes" in views.say_content(nothing)
    assert len(views.content_table(nothing).frame) == 0


def test_what_differs_is_told_in_words_and_in_a_table():
    content = estimate_content(*many(1, (0.6, 0.2, 0.2, 0.2)), SETTINGS)
    apart = content[(content.segment_id >= 0) & content.versus_others.isin(["above", "below"])]
    assert f"**{len(apart)} of 8 pairs**" in views.say_content(content)
    shown = views.content_table(content).frame
    assert len(shown) == len(apart)
    assert shown.iloc[0][["segment", "theme", "is"]].tolist() == ["segment 0", "wine", "above"]
