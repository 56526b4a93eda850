"""Preferences and what is not known, what runs already, pages per function: each from rows that carry it."""

import pandas as pd
import pyarrow as pa
import pytest
from persona_data import PLANTED, catalog, customers, quality

from workbench.core import engine
from workbench.core.config import PersonaSettings
from workbench.personas.aspects import known_shares, tell_aspects
from workbench.personas.functions import FUNCTIONS, function_pages, score_archetypes, unmet_needs
from workbench.personas.naming import name_segments
from workbench.personas.playbook import build_matrix, customer_journey, read_playbook
from workbench.personas.profile import choose_drivers, compare_segments
from workbench.personas.quotes import COLUMNS
from workbench.personas.running import add_running
from workbench.personas.story import tell_personas

MORE = {
    # feature: family, noun, segment that is high, members who have a value
    "channel_app_share": ("channel", "actions via the app", 1, 1.0),
    "answer_price_matters": ("attitude", "agreement that price matters", 1, 0.3),
    "answer_new_matters": ("attitude", "agreement that new things matter", 5, 0.3),
    "ticket_about_late_count": ("needs", "tickets about late delivery", 2, 1.0),
    "browsed_wine_share": ("interest", "wine looked at online", 4, 1.0),
    "content_baby_share": ("interest", "content about baby clothes", 3, 1.0),
}


def planted():
    """The planted company with further features, each raised in one segment; the last would be sensitive."""
    features, labels = customers(0)
    rows = []
    for place, (feature, (family, noun, segment, share)) in enumerate(MORE.items()):
        values = features.net_revenue.sample(frac=1, random_state=place).to_numpy() + 1.5 * (labels == segment)
        features[feature] = values.where(pd.Series(range(len(labels)), index=labels.index) % 10 < 10 * share)
        rows.append({"feature": feature, "family": family, "noun": noun, "unit": "share", "lever": "content", "high": f"are high in {noun}", "low": f"are low in {noun}", "used": True, "told": True})  # fmt: skip
    told = pd.concat([catalog(), pd.DataFrame(rows)], ignore_index=True)
    return features, labels, told


FEATURES, LABELS, CATALOG = planted()
COMPARED = compare_segments(FEATURES, LABELS, CATALOG, 0.95)
SETTINGS = PersonaSettings()
DRIVERS = tell_aspects(choose_drivers(COMPARED, CATALOG, SETTINGS), COMPARED, CATALOG, SETTINGS)
QUALITY = quality(LABELS, name_segments(COMPARED, CATALOG, LABELS.value_counts()))
NO_QUOTES = pd.DataFrame(columns=COLUMNS)
GAPS = known_shares(FEATURES, LABELS, CATALOG)


@pytest.mark.parametrize("feature", [f for f in MORE if "baby" not in f and "new" not in f])
def test_what_is_planted_is_told_under_its_aspect(feature):
    family, noun, segment, share = MORE[feature]
    row = DRIVERS[(DRIVERS.segment_id == segment) & (DRIVERS.claim == f"are high in {noun}")]
    assert row.aspect.tolist() == [{"channel": "channel", "attitude": "priority", "needs": "frustration", "interest": "content"}[family]]  # fmt: skip
    assert (row.ci_low > 0).all()


def test_too_few_answers_and_sensitive_words_are_not_told():
    """18 of segment 5's 60 members answered; nobody is told to be high in anything about babies."""
    assert not DRIVERS.claim.str.contains("new things|baby").any()
    assert COMPARED[COMPARED.feature == "content_baby_share"].ci_low.max() > 0.5


def test_claims_are_unique_and_chance_is_not_told():
    assert not DRIVERS.duplicated(["segment_id", "claim"]).any()
    assert (DRIVERS.q_value < SETTINGS.false_discovery).all()
    assert (DRIVERS[DRIVERS.segment_id == 0].aspect != "frustration").all()


def test_what_some_are_is_told_as_more_or_less_often():
    """All of segment 1 and a tenth of segment 2 are under contract: "are not … more often" could be read either way."""
    tenth = pd.Series(range(len(LABELS)), index=LABELS.index) % 10
    features = FEATURES.assign(under_contract=(tenth < LABELS.map({1: 10, 2: 1}).fillna(6)).astype(float))
    contract = {
        "feature": "under_contract",
        "family": "buying stage",
        "noun": "are under contract",
        "unit": "yes/no",
        "lever": "timing",
    }
    contract |= {"high": "are under contract", "low": "are not under contract", "used": True, "told": True}
    told = pd.concat([CATALOG, pd.DataFrame([contract])], ignore_index=True)
    compared = compare_segments(features, LABELS, told, 0.95)
    many = PersonaSettings(max_claims=20)
    drivers = tell_aspects(choose_drivers(compared, told, many), compared, told, many)
    claims = drivers[drivers.feature == "under_contract"].set_index("segment_id").claim
    assert claims[1] == "are under contract more often than others"
    assert claims[2] == "are under contract less often than others"


def test_a_low_score_is_a_frustration_and_a_high_one_is_not():
    """Two thirds answered; segment 1 gives high scores, segment 2 low ones."""
    features, labels = FEATURES.copy(), LABELS
    noise = features.net_revenue.sample(frac=1, random_state=9).to_numpy()
    scores = pd.Series(noise + 2.0 * (labels == 1) - 2.0 * (labels == 2), index=labels.index)
    features["last_score"] = scores.where(pd.Series(range(len(labels)), index=labels.index) % 3 > 0)
    row = {"feature": "last_score", "family": "satisfaction", "noun": "survey score", "unit": "points", "lever": "service", "high": "give better scores", "low": "give worse scores", "used": True, "told": True}  # fmt: skip
    told = pd.concat([CATALOG, pd.DataFrame([row])], ignore_index=True)
    compared = compare_segments(features, labels, told, 0.95)
    drivers = tell_aspects(choose_drivers(compared, told, SETTINGS), compared, told, SETTINGS)
    found = drivers[drivers.claim.str.contains("scores")].set_index("segment_id")
    assert found.claim.to_dict().items() >= {2: "give worse scores"}.items()
    assert found.aspect[2] == "frustration"
    assert (found.aspect[found.claim == "give better scores"] == "apart").all()


def test_gaps_are_the_shares_of_members_without_a_value():
    known = GAPS.set_index(["segment_id", "unknown"]).known
    for segment in PLANTED:
        mine = FEATURES[segment == LABELS]
        assert known[segment, "what matters to them"] == pytest.approx(mine.answer_price_matters.notna().mean())
        assert known[segment, "their household and life stage"] == 0


# -- what runs today --------------------------------------------------------------------------------------------------------

STAGES = pd.Series(["growth", "retention", "winback", "onboarding"] * (len(LABELS) // 4), index=LABELS.index)
PERSONAS = tell_personas(QUALITY, DRIVERS, GAPS, NO_QUOTES, "EUR")
PLAN = build_matrix(read_playbook("configs/playbook.yaml"), PERSONAS, COMPARED, LABELS, STAGES)


def with_events(con, rows) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["customer_id", "event_type", "occurred_at"])
    frame = frame.astype({"customer_id": "str", "event_type": "str"})
    frame["occurred_at"] = pd.to_datetime(frame.occurred_at, utc=True).astype("datetime64[us, UTC]")
    events = engine.as_table(con, pa.Table.from_pandas(frame, preserve_index=False), "sent")
    return add_running(PLAN, events, LABELS, STAGES, pd.Timestamp("2024-01-01").date())


def test_running_counts_customers_of_the_cell_in_the_last_four_weeks(con):
    cell = LABELS.index[(LABELS == 1) & (STAGES == "growth")]
    rows = [(c, "email_sent", "2023-12-20") for c in cell[: len(cell) // 2] for _ in range(4)]
    rows += [(cell[-1], "email_sent", "2023-11-20"), (cell[-1], "email_sent", "2024-01-02"), (cell[-1], "order", "2023-12-20")]
    rows += [("a stranger", "campaign_sent", "2023-12-20"), (None, "ad_spend", "2023-12-20")]
    told = with_events(con, rows).set_index(["segment_id", "stage"])
    share = (len(cell) // 2) / len(cell)
    assert told.running[1, "growth"] == f"e-mail to {share:.0%}, 1.0 a week"
    assert told.running_share[1, "growth"] == pytest.approx(share)
    assert told.running[1, "acquisition"] == "paid ads, not by segment"
    assert (told.running.drop([(1, "growth"), *[(s, "acquisition") for s in PLANTED]]) == "nothing").all()


def test_a_company_that_sends_nothing_runs_nothing(con):
    assert set(with_events(con, [(LABELS.index[0], "order", "2023-12-20")]).running) == {"nothing"}


# -- functions --------------------------------------------------------------------------------------------------------------


def test_price_tiers_follow_prices_paid():
    types = score_archetypes(COMPARED).set_index("segment_id")
    assert types.archetype[4] == "bargain hunter"  # planted: discounts
    assert types.price_tier[4] == "value"
    assert types.archetype[0] == "mixed"
    assert types.price_tier[0] == "standard"


def test_a_need_needs_more_than_chance():
    """Of two segments that write more than everybody, only the one whose whole interval lies above is told."""
    rows = [(0, "late", 30, 300, 0.10, 0.07, 0.14, 0.09, "x", "t", 1), (1, "late", 40, 160, 0.25, 0.19, 0.32, 0.09, "x", "t", 2)]
    needs = unmet_needs(DRIVERS, pd.DataFrame(rows, columns=COLUMNS), COMPARED, CATALOG)
    assert "late (25% of members wrote, all customers 9%)" in needs[1]
    assert 0 not in needs
    assert "tickets about late delivery" in needs[2]


def test_every_function_has_a_page_for_every_segment(con):
    plan = with_events(con, [])
    spent = customer_journey(STAGES, LABELS, FEATURES, plan)
    products = pd.DataFrame({"segment_id": [1, 1], "product": ["p1", "p2"], "kind_of": ["tea", ""]})
    picks = pd.DataFrame(
        {"customer_id": LABELS.index[LABELS == 1][:3], "rank": 1, "product": ["p3", "p3", "p4"], "kind_of": "tea"}
    )
    needs = unmet_needs(DRIVERS, NO_QUOTES, COMPARED, CATALOG)
    pages = function_pages(QUALITY, DRIVERS, plan, products, spent, LABELS, score_archetypes(COMPARED), needs, picks)
    assert list(pages.function.unique()) == list(FUNCTIONS)
    assert (pages.groupby(["function", "segment_id"]).size() >= 3).all()
    assert len(pages.groupby(["function", "segment_id"])) == len(FUNCTIONS) * len(PLANTED)
    assert pages.text.str.len().min() > 0
    said = pages.set_index(["function", "segment_id", "what"]).text
    assert said["sales", 1, "buy more than others"] == "tea (p1), p2"
    assert said["sales", 1, "to recommend"] == "tea (p3) to 2 of 3, tea (p4) to 1 of 3"
    assert said["sales", 0, "to recommend"] == "nothing new"
    vips = sum(int(t.split()[0].replace(",", "")) for t in said.xs(("sales", "VIPs"), level=(0, 2)))
    assert vips == spent.vip.sum() > 0


def test_one_strong_effect_alone_makes_no_type_of_buyer():
    signs = ["discount_share", "own_brand_share", "coupon_redeemed_count", "price_tier", "line_value"]
    rows = [(0, f, 3.0 if f == "coupon_redeemed_count" else 0.0) for f in signs] + [(1, f, 0.4 if i < 3 else -0.4) for i, f in enumerate(signs)]  # fmt: skip
    types = score_archetypes(pd.DataFrame(rows, columns=["segment_id", "feature", "effect_size"]))
    assert types.archetype.to_list() == ["mixed", "bargain hunter"]
