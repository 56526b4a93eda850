"""Who is who: every record is one customer's, whatever the order of rows, and the future decides nothing about the past."""

import hashlib
from collections import Counter

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.config import Config, Identity
from workbench.core.contracts import check_frame
from workbench.core.errors import ParameterError
from workbench.core.inputs import read_key
from workbench.ingest import events as happenings
from workbench.ingest.identity import link_records, visitors
from workbench.ingest.records import collect_records, pseudonym
from workbench.ingest.sources import read_sources

AS_OF = pd.Timestamp("2017-10-01", tz="UTC")
KEY = bytes(range(32))
TRUST = {"crm": 70, "loyalty": 80, "web": 10}
RULES = Identity(keys=("loyalty_id", "email", "phone"), one_per_customer=("loyalty_id",), max_records_per_value=3)
BEFORE, LATER = "2017-01-15", "2017-11-15"


def linked(people: list[dict], rules: Identity = RULES, key: bytes = KEY):
    """Records as dictionaries (source, id, seen, identifiers) -> Linked."""
    seen = [pd.Timestamp(p["seen"], tz="UTC") if p.get("seen") else pd.NaT for p in people]
    names = {"source": [p["source"] for p in people], "record_id": [p["id"] for p in people]}
    records = pd.DataFrame({**names, "raw_id": names["record_id"], "first_seen_at": pd.Series(seen, dtype="datetime64[us, UTC]")})
    rows = [
        (p["source"], p["id"], kind, value, value, moment)
        for p, moment in zip(people, seen, strict=True)
        for kind in ("loyalty_id", "email", "phone")
        for value in ([p[kind]] if isinstance(p.get(kind), str) else p.get(kind) or [])
    ]
    identifiers = pd.DataFrame(rows, columns=["source", "record_id", "identifier", "value", "raw", "seen_at"])
    identifiers = identifiers.astype(dict.fromkeys(["source", "record_id", "identifier", "value", "raw"], "str"))
    identifiers["seen_at"] = pd.to_datetime(identifiers.seen_at, utc=True)
    return link_records(records, identifiers, rules, AS_OF, TRUST, key)


def record(number: int, source: str = "crm", seen: str = BEFORE, **identifiers) -> dict:
    return {"source": source, "id": f"{number}", "seen": seen, **identifiers}


def customer_of(found) -> dict:
    return found.identities.set_index(["source", "record_id"]).customer_id.to_dict()


def groups(found) -> set[frozenset]:
    ids = found.identities
    return {frozenset(zip(g.source, g.record_id, strict=True)) for _, g in ids.groupby("customer_id")}


def sizes(found) -> list[int]:
    return sorted(len(g) for g in groups(found))


# -- rules one by one --------------------------------------------------------------------------------------------------


def test_records_that_share_an_identifier_are_one_customer():
    found = linked([record(1, email="a"), record(2, email="a", phone="p"), record(3, phone="p"), record(4, email="b"), record(5)])
    assert sizes(found) == [1, 1, 3]
    assert set(found.matches.rule) == {"same email", "same phone"}
    assert (found.matches.match_weight > 0).all()


def test_missing_values_are_never_equal():
    assert sizes(linked([record(i) for i in range(50)])) == [1] * 50


def test_identifiers_that_are_no_key_link_nobody():
    rules = RULES.model_copy(update={"keys": ("email",)})
    assert sizes(linked([record(1, phone="p"), record(2, phone="p")], rules)) == [1, 1]


def test_two_cards_are_never_one_customer():
    found = linked([record(1, loyalty_id="A", email="a"), record(2, loyalty_id="B", email="a")])
    assert sizes(found) == [1, 1]
    assert found.refused.reason.str.contains("two of loyalty_id").any()
    assert len(found.matches) == 0


def test_two_cards_are_not_joined_by_a_record_between_them():
    found = linked([record(1, loyalty_id="A", email="a"), record(2, email="a", phone="p"), record(3, loyalty_id="B", phone="p")])
    assert sizes(found) == [1, 2]


def test_a_value_on_a_crowd_of_records_links_nobody():
    crowd = [record(i, email="office") for i in range(4)]
    found = linked(crowd)
    assert sizes(found) == [1] * 4
    assert found.refused.reason.str.contains("more than 3 records").any()
    assert sizes(linked(crowd[:3])) == [3]


def test_one_person_seen_in_many_systems_is_no_crowd():
    people = [record(i, source=s, email="a") for i in range(2) for s in ("crm", "loyalty", "web")]
    assert sizes(linked(people)) == [6]


def test_the_most_trusted_record_names_the_customer():
    key = pseudonym(KEY, "loyalty|9")
    assert set(customer_of(linked([record(1, email="a"), record(9, source="loyalty", email="a")])).values()) == {f"c_{key}"}


# -- the future --------------------------------------------------------------------------------------------------------


def test_a_later_record_joins_the_one_customer_it_points_to():
    found = linked([record(1, email="a"), record(2, email="b"), record(3, seen=LATER, email="a")])
    assert groups(found) == {frozenset({("crm", "1"), ("crm", "3")}), frozenset({("crm", "2")})}


def test_a_later_record_never_joins_two_earlier_customers():
    found = linked([record(1, email="a"), record(2, phone="p"), record(3, seen=LATER, email="a", phone="p")])
    assert sizes(found) == [1, 1, 1]


def test_later_records_do_not_find_each_other():
    assert sizes(linked([record(1, seen=LATER, email="a"), record(2, seen=LATER, email="a")])) == [1, 1]


def test_a_later_record_with_another_card_stays_apart():
    found = linked([record(1, loyalty_id="A", email="a"), record(2, seen=LATER, loyalty_id="B", email="a")])
    assert sizes(found) == [1, 1]
    found = linked([record(1, email="a")] + [record(i, seen=LATER, loyalty_id=f"C{i}", email="a") for i in (2, 3)])
    assert sizes(found) == [1, 2]


def test_a_crowd_of_later_records_does_not_undo_a_link():
    people = [record(1, email="a"), record(2, email="a")]
    crowd = [record(i, seen=LATER, email="a") for i in range(3, 9)]
    assert groups(linked(people)) <= groups(linked(people + crowd))


def test_who_was_no_person_before_as_of_is_a_visitor():
    people = [record(1, email="a"), record(2, source="web", email="a"), record(3, source="web"), record(4, seen=LATER)]
    found = linked(people)
    records = pd.DataFrame({"source": [p["source"] for p in people], "record_id": [p["id"] for p in people]})
    records["first_seen_at"] = [pd.Timestamp(p["seen"], tz="UTC") for p in people]
    anonymous = visitors(found.identities, records, ["crm"], AS_OF)
    keys = zip(found.identities.source, found.identities.record_id, strict=True)
    assert dict(zip(keys, anonymous, strict=True)) == {
        ("crm", "1"): False, ("web", "2"): False, ("web", "3"): True, ("crm", "4"): True,
    }  # fmt: skip


# -- whatever the records ----------------------------------------------------------------------------------------------

someone = st.fixed_dictionaries(
    {"source": st.sampled_from(list(TRUST)), "seen": st.sampled_from([None, BEFORE, "2016-05-05", LATER])},
    optional={
        "loyalty_id": st.sampled_from("ABC"),
        "email": st.lists(st.sampled_from("abcd"), min_size=1, max_size=2, unique=True),
        "phone": st.sampled_from("pqr"),
    },
)
companies = st.lists(someone, min_size=1, max_size=14).map(lambda ps: [{**p, "id": str(i)} for i, p in enumerate(ps)])


@settings(max_examples=15)
@given(companies, st.randoms(use_true_random=False))
def test_every_record_has_one_customer_whatever_the_order_of_rows(people, random):
    found = linked(people)
    assert Counter(zip(found.identities.source, found.identities.record_id, strict=True)) == Counter(
        (p["source"], p["id"]) for p in people
    )
    check_frame("identities", found.identities)
    check_frame("matches", found.matches)
    shuffled = random.sample(people, len(people))
    again = linked(shuffled)
    pd.testing.assert_frame_equal(again.identities, found.identities)
    pd.testing.assert_frame_equal(again.matches, found.matches)


@settings(max_examples=15)
@given(companies)
def test_no_customer_has_two_cards(people):
    cards = {(p["source"], p["id"]): p.get("loyalty_id") for p in people}
    for group in groups(linked(people)):
        assert len({cards[r] for r in group} - {None}) <= 1


@settings(max_examples=15)
@given(companies)
def test_the_matches_are_the_customers(people):
    """A customer of n records hangs together by exactly n - 1 of the reported links."""
    found = linked(people)
    customer = customer_of(found)
    left = [customer[k] for k in zip(found.matches.source_l, found.matches.record_id_l, strict=True)]
    right = [customer[k] for k in zip(found.matches.source_r, found.matches.record_id_r, strict=True)]
    assert left == right
    assert Counter(left) == Counter({c: n - 1 for c, n in Counter(customer.values()).items() if n > 1})


@settings(max_examples=15)
@given(companies)
def test_records_first_seen_later_change_nothing_about_the_earlier_ones(people):
    earlier = [p for p in people if p["seen"] != LATER]
    if earlier:
        everyone = customer_of(linked(people))
        assert customer_of(linked(earlier)) == {(p["source"], p["id"]): everyone[(p["source"], p["id"])] for p in earlier}


@settings(max_examples=8)
@given(companies)
def test_another_key_gives_other_names_to_the_same_customers(people):
    mine, theirs = linked(people), linked(people, key=bytes(32))
    assert groups(mine) == groups(theirs)
    assert not set(mine.identities.customer_id) & set(theirs.identities.customer_id)


# -- from files --------------------------------------------------------------------------------------------------------


def test_a_pseudonym_cannot_be_computed_without_the_key():
    mail = "ann@example.com"
    assert pseudonym(KEY, mail) == pseudonym(KEY, mail) != pseudonym(bytes(32), mail)
    for plain in (hashlib.sha256, hashlib.sha1, hashlib.md5):
        assert pseudonym(KEY, mail) not in plain(mail.encode()).hexdigest()


@pytest.mark.parametrize("content", [None, "", "secret", "0" * 63, "g" * 64])
def test_without_a_sound_key_nothing_starts(home, content):
    if content is not None:
        (home / "p.key").write_text(content)
    config = Config.model_validate(
        {
            "as_of": "2017-10-01",
            "sources": {"a": {"kind": "crm", "path": "a", "record_id": "i"}},
            "identity": {"key_file": "p.key"},
        }
    )
    with pytest.raises(ParameterError, match=r"p\.key") as caught:
        read_key(config)
    assert "token_hex(32)" in caught.value.fix


def test_an_address_as_record_number_is_one_record_in_any_spelling(con, home):
    (home / "mail.csv").write_text(
        "mail,at,what\nAnn@x.com,2017-01-01,open\nann@x.com ,2017-01-02,open\nbob@x.com,2017-01-03,open\n"
    )
    event = {"type": {"column": "what", "values": {"open": "email_open"}}, "at": "at"}
    source = {"kind": "email", "path": "mail.csv", "record_id": "mail", "identity": {"email": "mail"}, "events": [event]}
    config = Config.model_validate({"company": {"timezone": "UTC"}, "as_of": "2017-10-01", "sources": {"mail": source}})
    sources = read_sources(con, config)
    records, identifiers = collect_records(sources, config, KEY)
    found = link_records(records, identifiers, config.identity, AS_OF, {"mail": 50}, KEY)
    check_frame("identities", found.identities)
    assert len(found.identities) == 2
    events = happenings.tie_to_customers(con, happenings.all_events(con, sources, config), records, found.identities)
    owners = events.select("customer_id").to_pyarrow().to_pandas().customer_id
    assert sorted(owners.value_counts()) == [1, 2]
    assert not found.identities.astype(str).apply(lambda c: c.str.contains("@")).any().any()
