"""The demo company: repeatable, never looking ahead, real where it says so, with the defects that it promises."""

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.demo import build_demo
from workbench.demo.company import write_company
from workbench.demo.money import decimal_comma
from workbench.demo.real import Grocer, keep_before, keep_households, read_real, spread_sample

SEED, HOUSEHOLDS = 7, 300
CUTS = ("2017-10-01", "2017-09-16")  # the second within a month, so that a month that reads itself is caught
FICTITIOUS_PHONE = r"1?\d{3}55501\d\d"
RESERVED_EMAIL = r"[a-z0-9.]+@(example\.(com|org|net)|test\.com)"


@dataclass(frozen=True)
class Demo:
    everything: Grocer
    grocer: Grocer
    folder: Path
    paths: list[Path]

    def csv(self, name: str, **options) -> pd.DataFrame:
        return read_csv(self.folder / name, **options)


def read_csv(path: Path, **options) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False, **options)


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Demo:
    everything = read_real()
    grocer = keep_households(everything, spread_sample(everything, HOUSEHOLDS))
    folder = tmp_path_factory.mktemp("demo")
    return Demo(everything, grocer, folder, write_company(folder, grocer, SEED))


@pytest.fixture(scope="module", params=CUTS)
def short(request, demo, tmp_path_factory) -> tuple[Path, str]:
    """The same company, built without knowing any purchase from the cut on; and the cut."""
    folder = tmp_path_factory.mktemp("short")
    write_company(folder, keep_before(demo.grocer, request.param), SEED)
    return folder, request.param


@pytest.fixture(scope="module")
def contacts(demo) -> pd.DataFrame:
    return demo.csv("crm/contacts.csv", encoding="cp1252")


@pytest.fixture(scope="module")
def mails(demo) -> pd.DataFrame:
    return demo.csv("email/activity.csv")


@pytest.fixture(scope="module")
def truth(demo) -> pd.DataFrame:
    return pd.read_parquet(demo.folder / "truth/truth.parquet")


def test_every_promised_file_is_written_and_nothing_else(demo):
    expected = {
        "pos/order_lines.parquet", "loyalty/members.csv", "marketing/activities.csv", "crm/contacts.csv",
        "email/activity.csv", "web/events.jsonl", "app/events.jsonl", "social/engagements.csv", "tickets/tickets.csv",
        "survey/nps.xlsx", "ads/spend.csv", "finance/product_costs.csv", "truth/truth.parquet", "pseudonym.key",
    }  # fmt: skip
    assert {str(path.relative_to(demo.folder)) for path in demo.paths} == expected
    assert set(digests(demo.folder)) == expected


def test_another_process_with_another_hash_seed_writes_the_same_bytes(demo, tmp_path):
    code = "import sys; from pathlib import Path; from workbench.demo import build_demo; "
    code += f"build_demo(Path(sys.argv[1]), seed={SEED}, households={HOUSEHOLDS})"
    environment = os.environ | {"PYTHONHASHSEED": "4711", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(tmp_path)], env=environment, check=True)
    assert digests(tmp_path) == digests(demo.folder)


def test_importing_the_room_loads_nothing_heavy():
    code = "import sys, workbench.demo; sys.exit(any(name in sys.modules for name in ('pandas', 'numpy', 'faker')))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


@pytest.mark.parametrize("wrong, message", [({"seed": -1}, "seed is -1"), ({"households": 0}, "households is 0")])
def test_wrong_arguments_are_named(tmp_path, wrong, message):
    with pytest.raises(ValueError, match=message):
        build_demo(tmp_path, **wrong)


# Causality: what happened before the cut is the same whether or not the later purchases exist.


@pytest.mark.parametrize(
    "name, moment",
    [
        ("email/activity.csv", "occurred_at"),
        ("social/engagements.csv", "engaged_at"),
        ("tickets/tickets.csv", "opened_at"),
    ],
)
def test_events_before_the_cut_do_not_know_later_purchases(demo, short, name, moment):
    folder, cut = short
    known, blind = demo.csv(name), read_csv(folder / name)
    early = known[known[moment] < cut]
    assert len(early) > 0.6 * len(known)
    pd.testing.assert_frame_equal(early, blind[blind[moment] < cut])


def test_visits_before_the_cut_do_not_know_later_purchases(demo, short):
    folder, cut = short
    end = int(pd.Timestamp(cut, tz="UTC").timestamp() * 1000)
    for name, early in [
        ("web/events.jsonl", lambda event: event["timestamp"] < cut),
        ("app/events.jsonl", lambda event: event["event_time_ms"] < end),
    ]:
        known, blind = (list(filter(early, read_lines(place / name))) for place in (demo.folder, folder))
        assert len(known) > 1000
        assert known == blind


def test_answers_before_the_cut_do_not_know_later_purchases(demo, short):
    folder, cut = short
    known, blind = (pd.read_excel(place / "survey/nps.xlsx") for place in (demo.folder, folder))
    pd.testing.assert_frame_equal(known[known["submitted_at"] < cut], blind[blind["submitted_at"] < cut])


def test_later_events_do_depend_on_purchases(demo, short):
    """Guards the tests above: a simulation that ignored purchases would pass them too."""
    for name in ("email/activity.csv", "web/events.jsonl", "app/events.jsonl", "social/engagements.csv"):
        assert (demo.folder / name).read_bytes() != (short[0] / name).read_bytes()


def test_identities_know_no_purchase_at_all(demo, tmp_path):
    """The extreme cut: no purchase is known. Who is in which system, under which name, stays the same."""
    write_company(tmp_path, keep_before(demo.grocer, "2017-01-01"), SEED)
    for name in ("loyalty/members.csv", "crm/contacts.csv", "ads/spend.csv"):
        assert (tmp_path / name).read_bytes() == (demo.folder / name).read_bytes()
    january = [read_csv(folder / "tickets/tickets.csv")["opened_at"] for folder in (tmp_path, demo.folder)]
    assert january[0][january[0] < "2017-02-01"].tolist() == january[1][january[1] < "2017-02-01"].tolist()


# The real part.


def test_order_lines_are_the_real_ones(demo):
    lines = pd.read_parquet(demo.folder / "pos/order_lines.parquet")
    real = demo.everything.transactions
    real = real[real["household_id"].isin(demo.grocer.households)].reset_index(drop=True)
    shared = ["store_id", "basket_id", "product_id", "quantity", "sales_value", "retail_disc", "coupon_disc",
              "coupon_match_disc", "transaction_timestamp"]  # fmt: skip
    pd.testing.assert_frame_equal(lines[shared], real[shared])
    assert (lines["card_number"].astype(int) == real["household_id"]).all()
    assert lines["card_number"].str.fullmatch(r"\d{10}").all()
    described = real[["product_id"]].merge(demo.everything.products, on="product_id", how="left")
    for column in ("department", "product_category", "product_type", "brand"):
        pd.testing.assert_series_equal(lines[column], described[column])


def test_the_sample_spans_light_and_heavy_buyers(demo):
    spend = demo.everything.transactions.groupby("household_id")["sales_value"].sum()
    kept = spend[demo.grocer.households]
    assert len(kept) == HOUSEHOLDS
    assert (kept.min(), kept.max()) == (spend.min(), spend.max())
    assert kept.median() == pytest.approx(spend.median(), rel=0.02)


def test_activities_are_the_real_ones(demo):
    rows = demo.csv("marketing/activities.csv", sep=";")
    sent, redeemed = rows[rows["activity"] == "sent"], rows[rows["activity"] == "redeemed"]
    assert len(sent) == len(demo.grocer.campaigns)
    assert sorted(redeemed["coupon_upc"].astype(int)) == sorted(demo.grocer.coupon_redemptions["coupon_upc"])
    assert (sent["coupon_upc"] == "").all()
    assert rows["activity_id"].is_unique


def test_demographics_are_the_real_ones(demo):
    members = demo.csv("loyalty/members.csv")
    real = demo.grocer.demographics.set_index("household_id").sort_index()
    known = members[members["age"] != ""].set_index("card_number")
    assert known.index.astype(int).tolist() == real.index.tolist()
    assert known["income"].tolist() == real["income"].tolist()
    assert members["enrolled_on"].between("2015-01-01", "2016-12-31").all()


# The planted defects.


def test_some_people_stand_in_the_crm_twice(contacts, truth):
    households = truth[truth["source"] == "crm"]["household_id"].value_counts()
    assert 0.03 < (households == 2).mean() < 0.10
    assert 0.85 < len(households) / HOUSEHOLDS < 0.97
    assert contacts["contact_id"].str.fullmatch(r"C-\d{6}").all()


def test_some_households_share_an_email_and_some_emails_are_placeholders(contacts, truth):
    owners = contacts.merge(truth[truth["source"] == "crm"], left_on="contact_id", right_on="record_id")
    emails = owners["email"].str.strip().str.lower()
    placeholder = emails.isin(["noreply@example.com", "test@test.com"])
    assert placeholder.sum() >= 2
    real = owners[~placeholder & emails.ne("")]
    assert (real.groupby(emails[real.index])["household_id"].nunique() > 1).sum() >= 2


def test_crm_text_is_messy_but_can_reach_nobody(contacts):
    emails = contacts["email"][contacts["email"] != ""]
    assert (emails != emails.str.strip()).any()
    assert (emails != emails.str.lower()).any()
    assert emails.str.strip().str.lower().str.fullmatch(RESERVED_EMAIL).all()
    phones = contacts["mobile"][contacts["mobile"] != ""]
    assert phones.str.replace(r"\d", "0", regex=True).nunique() >= 5
    assert phones.str.replace(r"\D", "", regex=True).str.fullmatch(FICTITIOUS_PHONE).all()
    assert contacts["last_name"].str.contains(r"[^\x00-\x7f]").any()
    assert 0.04 < contacts["newsletter_opt_in"].eq("").mean() < 0.18
    assert 0.5 < contacts["loyalty_card"].ne("").mean() < 0.7
    assert (contacts[["email", "mobile", "loyalty_card"]] == "").all(axis=1).any()


def test_birth_dates_fit_the_real_age_band(demo, contacts, truth):
    owners = contacts.merge(truth[truth["source"] == "crm"], left_on="contact_id", right_on="record_id")
    known = owners[owners["birth_date"] != ""].merge(demo.grocer.demographics, on="household_id")
    age = 2017 - known["birth_date"].str[:4].astype(int)
    limits = known["age"].str.replace("65+", "65-120").str.split("-", expand=True).astype(int)
    assert len(known) > 30
    assert age.between(limits[0], limits[1]).all()


# The channels.


def test_no_mailing_is_opened_more_often_than_it_was_delivered(mails):
    counts = mails.pivot_table(index="mailing_id", columns="event", values="topic", aggfunc="count").fillna(0)
    assert len(counts) == 52
    assert (counts["open"] <= counts["delivered"]).all()
    assert (counts["sent"] == counts["delivered"] + counts["bounce"]).all()
    assert not mails.duplicated(["subscriber_email", "mailing_id", "event"]).any()
    assert set(mails.loc[mails["machine_open"] == "true", "event"]) == {"open"}


def test_nothing_is_sent_after_unsubscribing(mails):
    left = mails[mails["event"] == "unsubscribe"].set_index("subscriber_email")["occurred_at"]
    sent = mails[mails["event"] == "sent"].groupby("subscriber_email")["occurred_at"].max()
    assert len(left) > 3
    assert left.index.is_unique
    assert (sent[left.index] < left).all()


def test_nobody_is_written_to_without_consent(contacts, mails, truth):
    owners = contacts.merge(truth[truth["source"] == "crm"], left_on="contact_id", right_on="record_id")
    refused = owners.loc[owners["newsletter_opt_in"] == "no", "household_id"]
    readers = truth.loc[truth["source"] == "email", "household_id"]
    assert len(readers) > 100
    assert not readers.isin(refused).any()


def test_only_logins_name_a_web_visitor(demo, truth):
    events = read_lines(demo.folder / "web/events.jsonl")
    assert {event["event"] for event in events} == {"page_view", "search", "add_to_cart", "checkout", "login"}
    assert all(("user" in event) == (event["event"] == "login") for event in events)
    named = {event["anonymous_id"] for event in events if event["event"] == "login"}
    web = truth[truth["source"] == "web"].set_index("record_id")["household_id"]
    owned = web[web.notna()]
    assert 0.25 < 1 - owned.index.isin(named).mean() < 0.45
    assert web.isna().sum() > 50
    assert not (named & set(web[web.isna()].index))


def test_only_sign_ins_name_an_app_user(demo):
    events = read_lines(demo.folder / "app/events.jsonl")
    assert all(("user" in event) == (event["name"] == "sign_in") for event in events)
    cards = {event["user"]["loyalty_card"] for event in events if "user" in event}
    assert {int(card) for card in cards} <= set(demo.grocer.households)


def test_the_truth_covers_every_record_once(demo, contacts, mails, truth):
    expected = {
        "app": {event["device_id"] for event in read_lines(demo.folder / "app/events.jsonl")},
        "crm": set(contacts["contact_id"]),
        "email": set(mails["subscriber_email"]),
        "loyalty": set(demo.csv("loyalty/members.csv")["card_number"]),
        "social": set(demo.csv("social/engagements.csv")["handle"]),
        "survey": set(pd.read_excel(demo.folder / "survey/nps.xlsx")["response_id"]),
        "tickets": set(demo.csv("tickets/tickets.csv")["ticket_id"]),
        "web": {event["anonymous_id"] for event in read_lines(demo.folder / "web/events.jsonl")},
    }
    assert not truth.duplicated(["source", "record_id"]).any()
    assert {source: set(rows["record_id"]) for source, rows in truth.groupby("source")} == expected
    assert set(truth["household_id"].dropna()) == set(demo.grocer.households)


def test_scores_stay_on_their_scales(demo):
    survey = pd.read_excel(demo.folder / "survey/nps.xlsx")
    assert survey["nps"].between(0, 10).all()
    assert survey.filter(like="_matters").stack().between(1, 5).all()
    assert demo.csv("social/engagements.csv")["sentiment"].astype(float).between(-1, 1).all()
    assert set(demo.csv("tickets/tickets.csv")["csat"]) <= {"", "1", "2", "3", "4", "5"}
    costs = pd.read_csv(demo.folder / "finance/product_costs.csv")
    assert costs["cost_rate"].between(0.45, 0.95).all()
    assert np.array_equal(costs["product_id"], np.unique(demo.grocer.transactions["product_id"]))


def test_ad_spend_has_a_decimal_comma(demo):
    spend = demo.csv("ads/spend.csv", sep=";")
    assert spend.groupby("platform")["day"].nunique().eq(365).all()
    assert spend["spend"].map(lambda text: bool(re.fullmatch(r"\d{1,3}(\.\d{3})*,\d\d", text))).all()
    assert spend["spend"].str.contains(".", regex=False).any()
    assert decimal_comma(1234.5) == "1.234,50"


def test_the_demonstration_key_is_private_to_its_owner(demo):
    key = demo.folder / "pseudonym.key"
    assert re.fullmatch(r"[0-9a-f]{64}", key.read_text())
    assert key.stat().st_mode & 0o777 == 0o600
