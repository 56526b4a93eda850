"""Which value survives when sources disagree, and that a "no" anywhere is a no."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.config import Source
from workbench.core.errors import ParameterError
from workbench.ingest.sources import open_source
from workbench.ingest.survivorship import combine_consent, golden_records, look_up, personal_data, survive

IDENTITIES = pd.DataFrame({"source": ["crm", "crm", "loyalty"], "record_id": ["1", "2", "7"], "customer_id": "c_1"})
RECORDS = IDENTITIES[["source", "record_id"]].assign(
    first_seen_at=pd.to_datetime(["2015-01-01", "2016-01-01", "2014-01-01"], utc=True)
)
TRUST = {"crm": 70, "loyalty": 80}


def said(*values: tuple[str, str, str], attribute: str = "city") -> pd.DataFrame:
    """(source, record, value)… -> long attributes."""
    frame = pd.DataFrame(values, columns=["source", "record_id", "value"])
    return frame.assign(attribute=attribute, trust=frame.source.map(TRUST))


@pytest.mark.parametrize(
    "values, winner",
    [
        ([("crm", "1", "Bonn"), ("loyalty", "7", "Ulm")], "Ulm"),  # trust before recency
        ([("crm", "1", "Bonn"), ("crm", "2", "Kiel")], "Kiel"),  # then the latest record
        ([("crm", "2", "Kiel"), ("crm", "2", "Bonn")], "Bonn"),  # then the alphabet
        ([("crm", "1", "Bonn")], "Bonn"),
    ],
)
def test_the_survivor_is_the_most_trusted_then_the_latest_value(values, winner):
    for order in (values, values[::-1]):
        found = survive(said(*order), IDENTITIES, RECORDS)
        assert found.value.tolist() == [winner]
        assert found.columns.tolist() == ["customer_id", "attribute", "value", "source"]


def test_a_record_first_seen_after_as_of_decides_nothing():
    timely = RECORDS[~((RECORDS.source == "crm") & (RECORDS.record_id == "2"))]
    assert survive(said(("crm", "1", "Bonn"), ("crm", "2", "Kiel")), IDENTITIES, timely).value.tolist() == ["Bonn"]


@settings(max_examples=25)
@given(st.lists(st.sampled_from(["yes", "no", "maybe", "YES", "0", "unsubscribed"]), min_size=1, max_size=8))
def test_any_no_wins(words):
    consent = pd.DataFrame({"source": "crm", "record_id": "1", "attribute": "email", "value": words, "trust": 70})
    found = combine_consent(consent, IDENTITIES, RECORDS).value.tolist()
    no, yes = {"no", "0", "unsubscribed"} & set(words), {"yes", "YES"} & set(words)
    assert found == ["no" if no else "yes" if yes else "unknown"]


def test_a_no_of_the_least_trusted_record_wins_for_the_whole_customer():
    consent = said(("loyalty", "7", "yes"), ("crm", "1", "no"), ("crm", "2", "yes"), attribute="email")
    assert combine_consent(consent, IDENTITIES, RECORDS).value.tolist() == ["no"]


def test_one_golden_record_per_customer():
    identities = pd.concat([IDENTITIES, pd.DataFrame({"source": ["crm"], "record_id": ["3"], "customer_id": ["c_0"]})])
    profile = survive(said(("crm", "1", "Bonn"), ("loyalty", "7", "Ulm")), identities, RECORDS)
    consent = combine_consent(said(("crm", "1", "no"), attribute="email"), identities, RECORDS)
    found = golden_records(identities, RECORDS, profile, consent, "b2c")
    assert found.customer_id.tolist() == ["c_0", "c_1"]
    assert found.city.tolist()[1] == "Ulm"
    assert found.consent_email.tolist() == ["unknown", "no"]
    assert found.first_seen_at.iloc[1] == pd.Timestamp("2014-01-01", tz="UTC")
    assert pd.isna(found.first_seen_at.iloc[0])
    nothing = profile.iloc[:0]
    plain = golden_records(identities, RECORDS, nothing, consent.iloc[:0], "b2b")
    assert plain.columns.tolist() == ["customer_id", "kind", "first_seen_at"]


def test_private_data_stand_in_standard_spelling():
    golden = pd.DataFrame(
        {"customer_id": "c_1", "attribute": ["email", "phone", "city"], "value": [" Ann@X.com", "212 555 0123", "Ulm"]}
    )
    found = personal_data(golden, "US").iloc[0]
    assert (found.email, found.phone, found.city) == ("ann@x.com", "+12125550123", "Ulm")


@pytest.fixture
def weather(con, home):
    """A table of external facts by postcode, one postcode twice."""
    (home / "climate.csv").write_text("zip,zone\n10001,mild\n10001,wild\n20002,dry\n")
    plain = {
        "kind": "enrichment",
        "path": "climate.csv",
        "lookup": {"by": "postcode", "column": "zip"},
        "profile": {"climate": "zone"},
    }
    return lambda **change: {"climate": open_source(con, "climate", Source.model_validate({**plain, **change}))}


KNOWN = pd.DataFrame(
    {"customer_id": ["c_1", "c_2", "c_3"], "attribute": "postcode", "value": ["10001", "20002", "99999"], "source": "crm"}
)


def test_external_facts_join_by_attribute_and_double_nobody(weather):
    found = look_up(weather(), KNOWN)
    assert found[["customer_id", "attribute", "value", "source"]].values.tolist() == [
        ["c_1", "climate", "mild", "climate"],
        ["c_2", "climate", "dry", "climate"],
    ]


def test_a_lookup_by_what_nobody_has_is_refused_with_the_nearest(weather):
    with pytest.raises(ParameterError, match='Did you mean "postcode"'):
        look_up(weather(lookup={"by": "postcod", "column": "zip"}), KNOWN)
