"""Every promised table has a written contract, and a table that breaks it is named with all its faults."""

import datetime as dt

import ibis
import pandas as pd
import pyarrow as pa
import pytest

from workbench.core import engine
from workbench.core.contracts import CONTRACTS, check_expression, check_frame
from workbench.core.errors import ContractBroken

# As the public face promises them.
PROMISED = {
    "identities": "source record_id customer_id match_probability",
    "matches": "source_l record_id_l source_r record_id_r match_weight match_probability rule",
    "customers": "customer_id kind first_seen_at",
    "events": "customer_id occurred_at source channel event_type order_id item category quantity amount discount cost campaign_id",
    "quality": "source check rows share severity example",
    "features": "customer_id",
    "feature_catalog": "feature family unit definition coverage relevance stability actionable used reason",
    "outcomes": "customer_id",
    "segments": "customer_id segment_id segment_name macro_segment strength assigned map_x map_y",
    "segment_quality": "segment_id segment_name size share revenue_share persistence stability stability_low stability_high found_anew verdict",
    "scoreboard": "method n_segments outcome r2_adjusted ceiling replication_ami seconds",
    "personas": "segment_id segment_name tagline story",
    "drivers": "segment_id claim feature value base index effect_size ci_low ci_high n",
    "playbook": "segment_id stage customers treatment channel offer message trigger kpi goal",
    "kpis": "segment_id kpi value ci_low ci_high n numerator denominator target status",
    "experiments": "segment_id experiment effect ci_low ci_high p_value q_value power verdict",
    "migration": "from_segment to_segment customers share placebo_share net_share",
    "business_case": "segment_id scenario assumption gain_low gain_mid gain_high cost payback_months",
}


@pytest.mark.parametrize("name", PROMISED)
def test_every_promised_column_stands_in_a_contract(name):
    assert set(PROMISED[name].split()) <= set(CONTRACTS[name].columns)
    assert set(CONTRACTS[name].grain) <= set(CONTRACTS[name].columns)


def identities() -> pd.DataFrame:
    return pd.DataFrame(
        {"source": ["crm", "crm"], "record_id": ["1", "2"], "customer_id": ["c_1", "c_1"], "match_probability": 1.0}
    )


def test_a_sound_table_passes_and_may_have_more_columns():
    frame = identities().assign(note="extra")
    before = frame.copy()
    check_frame("identities", frame)
    pd.testing.assert_frame_equal(frame, before)
    check_frame("a table of our own", pd.DataFrame({"x": [1]}))


@pytest.mark.parametrize(
    "broken, word",
    [
        (identities().drop(columns="customer_id"), "customer_id"),
        (identities().assign(match_probability=[0.5, 1.01]), "match_probability"),
        (identities().assign(match_probability="high"), "match_probability"),
        (identities().assign(source=["crm", None]), "source"),
        (identities().assign(record_id=[1, 2]), "record_id"),
        (identities().assign(record_id="1"), "record_id"),
    ],
)
def test_one_fault_is_named(broken, word):
    with pytest.raises(ContractBroken, match=word) as caught:
        check_frame("identities", broken)
    assert '"identities"' in str(caught.value)
    assert caught.value.exit_code == 1


def test_all_faults_are_named_at_once():
    segments = pd.DataFrame(
        {
            "customer_id": ["a", "a"], "segment_id": [-2, 1], "segment_name": ["x", None], "macro_segment": "m",
            "strength": [0.5, 1.5], "assigned": ["core", "maybe"], "map_x": [0.0, None], "map_y": "north",
        }
    )  # fmt: skip
    with pytest.raises(ContractBroken) as caught:
        check_frame("segments", segments)
    for column in ("customer_id", "segment_id", "segment_name", "strength", "assigned", "map_y"):
        assert f'"{column}"' in caught.value.what
    assert '"map_x"' not in caught.value.what


def test_a_table_without_rows_is_refused_where_later_stages_need_rows():
    with pytest.raises(ContractBroken, match="no rows"):
        check_frame("identities", identities().head(0))
    matches = {c: [""] for c in PROMISED["matches"].split()} | {"match_weight": [1.0], "match_probability": [1.0]}
    check_frame("matches", pd.DataFrame(matches).head(0))


@pytest.fixture(scope="module")
def events(con):
    texts = {c: ["x"] for c in ("source", "channel", "event_type", "order_id", "item", "category", "campaign_id")}
    plain = {"occurred_at": [dt.datetime(2017, 1, 1)], **texts, **dict.fromkeys(("quantity", "amount"), [1.5])}
    table = engine.as_table(con, pa.table(plain), "contract_events")
    money = {c: table[c].cast(engine.MONEY) for c in ("quantity", "amount")}
    nothing = {c: ibis.null(engine.MONEY) for c in ("discount", "cost")}
    return table.mutate(
        customer_id=ibis.null("string"),
        customer_number=ibis.null("int64"),
        occurred_at=engine.utc_time(table.occurred_at, "UTC").cast("timestamp('UTC', 6)"),
        **money,
        **nothing,
    )


def test_events_are_checked_on_the_engine(events):
    check_expression("events", events)
    check_expression("events", events.mutate(extra=ibis.literal(1)))


@pytest.mark.parametrize(
    "spoil, word",
    [
        (lambda t: t.drop("order_id"), "order_id"),
        (lambda t: t.mutate(amount=t.amount.cast("float64")), "amount"),
        (lambda t: t.mutate(occurred_at=t.occurred_at.cast("string")), "occurred_at"),
        (lambda t: t.mutate(event_type=ibis.null("string")), "event_type"),
        (lambda t: t.filter(ibis.literal(False)), "no rows"),
    ],
)
def test_events_that_break_their_contract_are_refused(events, spoil, word):
    with pytest.raises(ContractBroken, match=word):
        check_expression("events", spoil(events))


def test_all_faults_of_events_are_named_at_once(events):
    with pytest.raises(ContractBroken) as caught:
        check_expression("events", events.drop("order_id", "item").mutate(channel=ibis.null("string")))
    for column in ("order_id", "item", "channel"):
        assert f'"{column}"' in caught.value.what
