"""The personalization matrix is complete, its rules are checked like code, and its counts add up to the customers."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.config import load_config
from workbench.core.contracts import JOURNEY, check_frame
from workbench.core.engine import as_table
from workbench.core.errors import ParameterError
from workbench.core.subscriptions import count_contracts
from workbench.features.engagement import EMAIL_RATES, SCORE, WORDS
from workbench.features.habits import PRICE_TIER
from workbench.features.purchases import BEHAVIOUR, DISCOUNT, OWN_BRAND
from workbench.kpis.metrics import KPIS
from workbench.personas.playbook import build_matrix, journey_stages, read_playbook

CONFIGS = Path(__file__).parents[2] / "configs"
PLAYBOOK = CONFIGS / "playbook.yaml"
TEXT = PLAYBOOK.read_text(encoding="utf-8")
AS_OF = pd.Timestamp("2024-04-15", tz="Europe/Berlin")


def written(folder, text):
    path = folder / "playbook.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def traits(*rows):
    """(segment, feature, lower, upper bound) -> comparisons."""
    return pd.DataFrame(rows, columns=["segment_id", "feature", "ci_low", "ci_high"])


PERSONAS = pd.DataFrame({"segment_id": [0, 1, 2], "segment_name": ["A", "B", "C"], "tagline": ["They a.", "They b.", "They c."]})


def matrix(compared, labels=(0, 1, 2), stages=("growth", "growth", "winback")):
    index = [f"c{i}" for i in range(len(labels))]
    return build_matrix(read_playbook(str(PLAYBOOK)), PERSONAS, compared, pd.Series(labels, index), pd.Series(stages, index))


# -- the matrix -----------------------------------------------------------------------------------------------------------


def test_the_matrix_has_every_segment_at_every_stage():
    found = matrix(traits((0, "discount_share", 0.5, 0.9), (1, "net_revenue", -0.9, -0.5)))
    check_frame("playbook", found)
    assert found[["segment_id", "stage"]].values.tolist() == [[s, stage] for s in range(3) for stage in JOURNEY]
    assert not (found.drop(columns="customers") == "").any().any()


def test_the_first_rule_whose_traits_a_segment_has_is_taken():
    compared = traits((0, "discount_share", 0.5, 0.9), (0, "aov", 0.5, 0.9), (1, "aov", 0.21, 0.9), (2, "aov", 0.19, 0.9))
    told = matrix(compared).set_index(["stage", "segment_id"]).treatment
    assert told["acquisition", 0] == "show savings in search and social ads"
    assert told["acquisition", 1] == "recruit households that stock up"
    assert told["acquisition", 2] == "look-alike audience without a price offer"


@settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.sampled_from(JOURNEY)), min_size=1, max_size=40))
def test_stage_counts_add_up_to_the_customers(rows):
    labels, stages = zip(*rows, strict=True)
    found = matrix(traits((0, "aov", 0.5, 0.9)), labels, stages)
    assert found.customers.sum() == len(rows)
    assert found.groupby("segment_id").customers.sum().to_dict() == {s: labels.count(s) for s in (0, 1, 2)}


# -- stages ---------------------------------------------------------------------------------------------------------------

CUSTOMERS = [
    # recency, usual gap, orders, first seen -> stage
    (61, 30, 9, "2020-01-01", "winback"),
    (60, 30, 9, "2020-01-01", "retention"),
    (46, 30, 9, "2020-01-01", "retention"),
    (45, 30, 9, "2020-01-01", "growth"),
    (29, 3, 9, "2020-01-01", "winback"),  # a daily customer has 28 days
    (28, 3, 9, "2020-01-01", "retention"),
    (21, 3, 9, "2020-01-01", "growth"),
    (57, np.nan, 1, "2020-01-01", "winback"),
    (56, np.nan, 1, "2020-01-01", "onboarding"),  # one order only
    (5, 7, 4, "2024-04-01", "onboarding"),  # new
    (5, 7, 4, None, "growth"),  # nobody knows since when
]


def test_stages_by_hand():
    index = [f"c{i:02d}" for i in range(len(CUSTOMERS))]
    columns = ["recency_days", "gap_days_mean", "order_count", "first_seen_at", "stage"]
    table = pd.DataFrame(CUSTOMERS, columns=columns, index=index)
    known = pd.DataFrame({"customer_id": index, "first_seen_at": pd.to_datetime(table.first_seen_at, utc=True)}).iloc[::-1]
    found = journey_stages(table, known, AS_OF, 92)
    assert found.to_dict() == table.stage.to_dict()
    assert set(found) <= set(JOURNEY) - {"acquisition"}


CONTRACTS = [
    # recency, orders, running, running before -> stage: a yearly invoice long ago loses nobody, an ended contract does
    (300, 1, 2, 2, "retention"),
    (300, 1, 2, 2, "retention"),
    (5, 12, 0, 2, "winback"),
    (5, 12, -1, 1, "winback"),
    (5, 1, 1, 0, "onboarding"),
    (5, 12, 3, 2, "growth"),
    (5, 12, 1, 2, "retention"),
    (300, 12, np.nan, np.nan, "winback"),  # never had a contract: orders tell
    (5, 12, np.nan, np.nan, "growth"),
    (5, 1, np.nan, np.nan, "onboarding"),
]


def test_stages_under_contract_by_hand():
    index = [f"c{i:02d}" for i in range(len(CONTRACTS))]
    columns = ["recency_days", "order_count", "running", "running_before", "stage"]
    table = pd.DataFrame(CONTRACTS, columns=columns, index=index).assign(gap_days_mean=30.0)
    known = pd.DataFrame({"customer_id": index, "first_seen_at": pd.Timestamp("2020-01-01", tz="UTC")})
    held = table[["running", "running_before"]].dropna().astype("int64").iloc[::-1]
    assert journey_stages(table, known, AS_OF, 92, held).to_dict() == table.stage.to_dict()
    nobody = journey_stages(table, known, AS_OF, 92, held.iloc[:0])
    assert nobody.equals(journey_stages(table, known, AS_OF, 92))


def test_contracts_are_counted_up_to_the_as_of_day(con):
    moments = [
        ("a", "subscription_started", "2023-01-01"), ("a", "subscription_started", "2024-03-01"), ("a", "subscription_started", "2024-04-20"),
        ("b", "subscription_started", "2023-01-01"), ("b", "subscription_ended", "2024-04-01"), ("b", "subscription_ended", "2024-05-01"),
        ("c", "order", "2024-01-01"), (None, "subscription_started", "2023-01-01"),
    ]  # fmt: skip
    rows = pd.DataFrame(moments, columns=["customer_id", "event_type", "occurred_at"])
    arrow = pa.Table.from_pandas(rows.assign(occurred_at=pd.to_datetime(rows.occurred_at, utc=True)), preserve_index=False)
    events = as_table(con, arrow, "contract_events")
    found = count_contracts(events, AS_OF, 92)
    assert found.to_dict("index") == {"a": {"running": 2, "running_before": 1}, "b": {"running": 0, "running_before": 1}}
    assert count_contracts(events.filter(events.event_type == "order"), AS_OF, 92).empty


# -- the file -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["playbook.yaml", "b2b_playbook.yaml"])
def test_the_playbooks_of_the_project_measure_by_kpis_that_exist(name):
    book = read_playbook(str(CONFIGS / name))
    assert {plan.kpi for plan in book.stages.values()} <= {kpi.kpi for kpi in KPIS}
    assert list(book.stages) == list(JOURNEY)
    known = {f.feature for f in [*BEHAVIOUR, *DISCOUNT, *OWN_BRAND, *EMAIL_RATES, SCORE]} | {f"{kind}_count" for kind in WORDS}
    known |= {PRICE_TIER.feature}
    assert {trait for rule in book.rules for trait in rule.when} <= known | {"category_count"}


def test_every_configuration_names_a_playbook_that_comes_with_it():
    for path in CONFIGS.glob("*.yaml"):
        if "sources:" in path.read_text(encoding="utf-8"):
            assert read_playbook(str(CONFIGS.parent / load_config(path).personas.playbook)).rules


def test_the_vendors_playbook_speaks_of_accounts():
    told = (CONFIGS / "b2b_playbook.yaml").read_text(encoding="utf-8").lower()
    for word in ("customer-success call", "training", "seat expansion", "renewal", "executive sponsor"):
        assert word in told
    assert not re.search(r"\b(baskets?|coupons?|households?|stores?|shop(ping|pers)?|newsletters?)\b", told)


def test_a_stage_without_a_rule_for_everybody_is_refused(tmp_path):
    broken = TEXT.replace("{stage: winback, treatment", "{stage: winback, when: {aov: high}, treatment")
    with pytest.raises(ParameterError, match='stage "winback" has no rule without `when`'):
        read_playbook(written(tmp_path, broken))


@pytest.mark.parametrize(
    "right, wrong, place",
    [
        ("{stage: winback, treatment", "{stage: winbak, treatment", r"rules\.\d+\.stage: .*'winback', found 'winbak'"),
        ("  winback:\n", "  winbak:\n", r"stages\.winbak.*'winback', found 'winbak'"),
        ("when: {aov: high}", "when: {aov: hihg}", r"rules\.1\.when\.aov: .*'high' or 'low', found 'hihg'"),
        ("when: {aov: high}", "wen: {aov: high}", r'rules\.1\.wen: .*Did you mean "when"\?'),
        ("    kpi: cac\n", "", r"stages\.acquisition\.kpi: is required"),
    ],
)
def test_a_misspelling_is_named_with_its_place_and_what_is_known(tmp_path, right, wrong, place):
    assert right in TEXT
    with pytest.raises(ParameterError, match=rf"playbook\.yaml:\d+: {place}"):
        read_playbook(written(tmp_path, TEXT.replace(right, wrong, 1)))
