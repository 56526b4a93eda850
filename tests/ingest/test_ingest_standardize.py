"""Equal means equal after standardising once or twice; what identifies nobody becomes missing."""

import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from workbench.ingest.standardize import consent_word, standardize, standardize_code, standardize_email, standardize_phone

text = st.text(max_size=25)
names = st.from_regex(r"[a-z0-9]{1,10}([.+_-][a-z0-9]{1,8})?", fullmatch=True)
emails = st.builds("{}@{}.{}".format, names, st.from_regex(r"[a-z]{2,10}", fullmatch=True), st.sampled_from(["com", "org", "de"]))
digits = st.from_regex(r"[2-9][0-8]{2}[2-9][0-9]{6}", fullmatch=True)


@given(text | emails | st.builds("{}@{}.com".format, text, text))
def test_an_email_is_standardised_once(raw):
    once = standardize_email(raw)
    assert once is None or standardize_email(once) == once


@given(text | digits | st.from_regex(r"\+?[0-9 ()./-]{5,18}", fullmatch=True), st.sampled_from(["US", "DE", "IT", "GB", "AR"]))
def test_a_phone_number_is_standardised_once(raw, region):
    once = standardize_phone(raw, region)
    assert once is None or (once.startswith("+") and standardize_phone(once, region) == once)


@given(text)
def test_a_code_is_standardised_once(raw):
    once = standardize_code(raw)
    assert once is None or (standardize_code(once) == once and not any(c.isspace() for c in once))


@given(emails, st.sampled_from([str.upper, str.title, lambda e: f"  {e}\t", lambda e: e.replace("@", "＠")]))
def test_one_address_has_one_spelling(email, write):
    assume(standardize_email(email) is not None)
    assert standardize_email(write(email)) == standardize_email(email)


@given(digits)
def test_one_number_has_one_spelling(number):
    plain = standardize_phone(number, "US")
    assume(plain is not None)
    area, office, line = number[:3], number[3:6], number[6:]
    for written in (f"({area}) {office}-{line}", f"+1 {area}.{office}.{line}", f"1-{area}-{office}-{line} ", f"001{number}"[2:]):
        assert standardize_phone(written, "US") == plain
    assert standardize_phone(f"+1{number}", "DE") == plain


@pytest.mark.parametrize(
    "raw",
    [
        "noreply@example.com",
        "NoReply@Example.com",
        " test@test.com",
        "no-reply@x.org",
        "none@none.com",
        "info@shop.com",
        "a@b",
        "@x.com",
    ]
    + [
        "a@",
        "a b@x.com",
        "",
        "n/a",
        "x@y@z.com",
        None,
        5,
        float("nan"),
        "a@x..com",
        '"test"@x.com',
        "a@[127.0.0.1]",
        "ｔｅｓｔ@x.com",
    ],
)
def test_these_addresses_identify_nobody(raw):
    assert standardize_email(raw) is None


@pytest.mark.parametrize(
    "raw",
    [
        "0000000000",
        "000-0000",
        "000-000-0000",
        "+1 000 000 0000",
        "1111111111",
        "999-999-9999",
        "1234567890",
        "123456789",
        "5550123",
    ]
    + ["123", "", "n/a", "phone", None, 2125550123, float("nan"), "+", "12345678901234567890"],
)
def test_these_numbers_identify_nobody(raw):
    assert standardize_phone(raw, "US") is None


def test_leading_zeros_of_a_code_stay():
    assert standardize_code(" 00 0123-a ") == "000123-A"
    assert [standardize_code(v) for v in ("", "  ", None, 7)] == [None] * 4


def test_a_whole_column_keeps_its_rows():
    raw = pd.Series(["A@x.com", None, "junk", "a@X.com "], index=[7, 3, 5, 1])
    found = standardize("email", raw, "US")
    assert found.index.tolist() == [7, 3, 5, 1]
    assert found.dropna().to_dict() == {7: "a@x.com", 1: "a@x.com"}
    for nothing in (raw.iloc[:0], pd.Series(["junk", "x"]), pd.Series([None, None], dtype="str")):
        for kind in ("email", "phone", "loyalty_id"):
            assert len(standardize(kind, nothing, "US")) == len(nothing)


@pytest.mark.parametrize("word", ["yes", " Yes ", "Y", "TRUE", "1", "opt-in", "subscribed"])
def test_yes(word):
    assert consent_word(word) == "yes"


@pytest.mark.parametrize("word", ["no", " NO", "n", "False", "0", "opt-out", "Unsubscribed"])
def test_no(word):
    assert consent_word(word) == "no"


@given(text)
def test_a_word_that_is_neither_is_never_consent(word):
    assume(word.strip().lower() not in {"yes", "y", "true", "1", "granted", "opt-in", "opted in", "subscribed"})
    assert consent_word(word) != "yes"


def test_no_word_is_unknown():
    assert [consent_word(w) for w in (None, "", "maybe", float("nan"), True)] == ["unknown"] * 5


@given(
    names | st.from_regex(r"[a-z0-9._+'-]{1,12}", fullmatch=True),
    st.sampled_from(["x.com", "a-b.org", "x..com", "-x.com", "münchen.de", "x"]),
)
def test_the_short_way_for_plain_addresses_is_the_librarys(local, domain):
    from email_validator import EmailNotValidError, validate_email

    from workbench.ingest.standardize import PLACEHOLDER_MAILBOXES

    assume(local not in PLACEHOLDER_MAILBOXES)
    try:
        wanted = validate_email(f"{local}@{domain}", check_deliverability=False).normalized.lower()
    except EmailNotValidError:
        wanted = None
    assert standardize_email(f"{local}@{domain}") == wanted
