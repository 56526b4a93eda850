"""Normalisation is what each platform documents: the published golden vectors byte for byte, and one spelling finds every other."""

import hashlib

import ibis
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core import engine
from workbench.personas.addresses import HASH, PROFILES, full_number, letters_name, lower_name, same_email, same_email_of

CLOUDY, NYC = " Cloudy.SanFrancisco+Shopping@Gmail.com ", "user.name+NYC@Example.com"
GOLDEN = [  # RELIABILITY.md section 3
    (CLOUDY, "google@2026-04", "Email", "223ebda6f6889b1494551ba902d9d381daf2f642bae055888e96343d53e9f9c4"),
    (CLOUDY, "meta@2025-08", "email", "8dd4a9bf850242873c14976125edabc35096192b784626a5641a7d2de56e3c1e"),
    (CLOUDY, "linkedin@2025-08", "email", "8dd4a9bf850242873c14976125edabc35096192b784626a5641a7d2de56e3c1e"),
    (CLOUDY, "tiktok@2025-08", "Email_SHA256", "525044e7c292a5cbf3fd2c045340840106103b3f6a95524b7b81343b16e95d86"),
    (NYC, "google@2026-04", "Email", "f109a2a632fbcea5fc82049f50beed3d8621bf9034399f437fb622222acccdac"),
    (NYC, "meta@2025-08", "email", "f109a2a632fbcea5fc82049f50beed3d8621bf9034399f437fb622222acccdac"),
    (NYC, "tiktok@2025-08", "Email_SHA256", "ff11779f1afd0f200631b31b3063afee6070f12eb47da2d9a20e6d82a1816386"),
]
PHONES = [
    ("google@2026-04", "Phone", "fb4f73a6ec5fdb7077d564cdd22c3554b43ce49168550c3b12c547b78c517b30"),
    ("meta@2025-08", "phone", "92cfdc5fbcd4a20fbe5d3857af6c1aba31762105bba7f21a17155e920653046c"),
    ("tiktok@2025-08", "Phone_SHA256", "92cfdc5fbcd4a20fbe5d3857af6c1aba31762105bba7f21a17155e920653046c"),
    ("tiktok@2025-06", "Phone_SHA256", "fb4f73a6ec5fdb7077d564cdd22c3554b43ce49168550c3b12c547b78c517b30"),
]


def made(con, rule, *values, name="email"):
    """The expression of a rule over a column of texts -> list."""
    table = engine.as_table(con, pa.table({name: pa.array(values, pa.string())}), "given")
    return engine.fetch(table.select(made=rule(table))).made.tolist()


@pytest.mark.parametrize("raw, version, heading, expected", GOLDEN)
def test_golden_vectors_of_emails(con, raw, version, heading, expected):
    assert made(con, lambda t: PROFILES[version].apply(t)[heading], raw) == [expected]


@pytest.mark.parametrize("version, heading, expected", PHONES)
def test_golden_vectors_of_phones(con, version, heading, expected):
    number = full_number("(800)555-0100", "US")
    assert made(con, lambda t: PROFILES[version].apply(t)[heading], number, name="phone") == [expected]


@pytest.mark.parametrize("raw", ["", " ", "n/a", "noreply@shop.example", "No-Reply@x.com", "=1+1@x.com", "@x.com", "a@b", None])
def test_what_is_no_address_of_a_person_is_never_hashed(con, raw):
    for profile in PROFILES.values():
        for heading, (column, _, is_hashed) in profile.columns.items():
            if column == "email" and is_hashed:
                found = made(con, lambda t, p=profile, h=heading: p.apply(t)[h], raw)[0]
                assert not isinstance(found, str)


def test_profiles_are_dated_and_say_where_from():
    assert all(v == p.version and p.source and len(v.split("@")[1]) == 7 for v, p in PROFILES.items())


def test_a_declared_hash_passes_unchanged(con):
    ready = hashlib.sha256(b"ann@example.com").hexdigest()
    assert made(con, lambda t: PROFILES["meta@2025-08"].apply(t, ("email",))["email"], ready.upper()) == [ready]
    assert HASH.fullmatch(ready)


def test_names_lose_prefix_suffix_and_marks(con):
    given = ["Mrs. Ann", "Bob Jr.", "O'Neil", "Müller", "", " Dr Who "]
    assert made(con, lambda t: lower_name(t.email), *given)[:2] == ["ann", "bob"]
    assert made(con, lambda t: letters_name(t.email), *given)[2:4] == ["oneil", "müller"]


LOCAL = st.from_regex(r"[a-z0-9][a-z0-9._+-]{0,12}", fullmatch=True)
DOMAIN = st.sampled_from(["gmail.com", "googlemail.com", "Example.com", "mail.example.co.uk"])


@given(st.lists(st.tuples(LOCAL, DOMAIN), min_size=1, max_size=30))
def test_the_list_and_the_customers_are_spelt_alike(parts):
    """`same_email` on the engine and `same_email_of` for one line agree, or a suppressed person would slip through."""
    texts = [f"{local}@{domain}" for local, domain in parts]
    con = ibis.duckdb.connect()
    assert made(con, lambda t: same_email(t.email), *texts) == [same_email_of(text) for text in texts]
