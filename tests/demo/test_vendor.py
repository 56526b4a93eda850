"""The demo vendor: repeatable, never looking ahead, with the defects and the kinds of accounts that it promises."""

import hashlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.core.config import load_config
from workbench.core.workspace import resources
from workbench.demo import build_vendor
from workbench.demo.vendor import build_world, write_vendor
from workbench.demo.vendor_accounts import FREE_MAIL
from workbench.demo.vendor_calendar import MONTH_STARTS, berlin_to_utc
from workbench.demo.vendor_marketing import STEPS
from workbench.demo.vendor_types import FAMILIES, KINDS, PLANS, PRODUCTS

SEED, ACCOUNTS = 7, 150
SHORTER = 15  # months; the whole company has 21
GERMAN = {"sep": ";", "encoding": "cp1252"}
FILM_NUMBER = r"(0|\+?49|0049)(3023125|6990009|4066969|2214710|8999998)\d{3}"
OUT_OF_THIS_WORLD = r"(DE0\d{8}|ATU0\d{7}|CHE-0\d{8}|NL0\d{8}B01)"
AT = {
    "usage": "time", "tickets": "opened", "survey": "submitted_at", "marketing": "occurred_at", "invoices": "issued_at",
    "opportunities": "created", "subscriptions": "start", "ads": "day",
}  # fmt: skip


def read_lines(path: Path) -> pd.DataFrame:
    return pd.json_normalize([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()])


def read_all(folder: Path) -> dict[str, pd.DataFrame]:
    """Every source as a frame, under its name in the configuration and the truth."""
    plain = {"dtype": str, "keep_default_na": False}
    with closing(sqlite3.connect(folder / "finance/invoices.db")) as database:
        invoices = pd.read_sql("SELECT * FROM invoices ORDER BY rowid", database)
    return {
        **{
            name: pd.read_csv(folder / f"crm/{name}.csv", **plain, **GERMAN) for name in ("accounts", "contacts", "opportunities")
        },
        "invoices": invoices,
        "subscriptions": pd.read_parquet(folder / "finance/subscriptions.parquet"),
        "usage": read_lines(folder / "usage/events.jsonl"),
        "tickets": pd.read_csv(folder / "tickets/tickets.csv", **plain),
        "marketing": pd.read_csv(folder / "marketing/activities.csv", **plain),
        "survey": pd.read_excel(folder / "survey/nps.xlsx"),
        "firmographics": pd.read_csv(folder / "enrichment/firmographics.csv", **plain),
        "ads": pd.read_csv(folder / "ads/spend.csv", sep=";", **plain),
    }


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, list[Path]]:
    folder = tmp_path_factory.mktemp("vendor")
    return folder, build_vendor(folder, seed=SEED, accounts=ACCOUNTS)


@pytest.fixture(scope="module")
def sources(built) -> dict[str, pd.DataFrame]:
    return read_all(built[0])


@pytest.fixture(scope="module")
def shorter(tmp_path_factory) -> dict[str, pd.DataFrame]:
    """The same company, exported after fewer months."""
    folder = tmp_path_factory.mktemp("shorter")
    write_vendor(folder, ACCOUNTS, SEED, months=SHORTER)
    return read_all(folder)


@pytest.fixture(scope="module")
def world():
    return build_world(ACCOUNTS, SEED, len(MONTH_STARTS) - 1)


@pytest.fixture(scope="module")
def truth(built) -> pd.DataFrame:
    return pd.read_parquet(built[0] / "truth/truth.parquet")


@pytest.fixture(scope="module")
def config():
    return load_config(resources("configs") / "b2b.yaml")


def whose(truth: pd.DataFrame, source: str, record_ids: pd.Series, what: str = "type") -> pd.Series:
    return record_ids.map(truth[truth["source"] == source].set_index("record_id")[what])


def test_every_promised_file_is_written_and_nothing_else(built):
    expected = {
        "crm/accounts.csv", "crm/contacts.csv", "crm/opportunities.csv", "finance/subscriptions.parquet", "finance/invoices.db",
        "usage/events.jsonl", "tickets/tickets.csv", "marketing/activities.csv", "survey/nps.xlsx",
        "enrichment/firmographics.csv", "ads/spend.csv", "truth/truth.parquet", "pseudonym.key",
    }  # fmt: skip
    folder, paths = built
    assert {str(path.relative_to(folder)) for path in paths} == expected
    assert set(digests(folder)) == expected
    assert (folder / "pseudonym.key").stat().st_mode & 0o777 == 0o600
    assert re.fullmatch(r"[0-9a-f]{64}", (folder / "pseudonym.key").read_text())


def test_another_process_with_another_hash_seed_writes_the_same_bytes(built, tmp_path):
    code = "import sys; from pathlib import Path; from workbench.demo import build_vendor; "
    code += f"build_vendor(Path(sys.argv[1]), seed={SEED}, accounts={ACCOUNTS})"
    environment = os.environ | {"PYTHONHASHSEED": "4711", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(tmp_path)], env=environment, check=True)
    assert digests(tmp_path) == digests(built[0])


@pytest.mark.parametrize("wrong, message", [({"seed": -1}, "seed is -1"), ({"accounts": 3}, "accounts is 3")])
def test_wrong_arguments_are_named(tmp_path, wrong, message):
    with pytest.raises(ValueError, match=message):
        build_vendor(tmp_path, **wrong)


def test_berlin_is_two_hours_ahead_in_summer():
    local = ["2024-01-01T12:00:00", "2024-03-31T03:00:00", "2024-10-27T02:59:59", "2024-10-27T03:00:00", "2025-03-31T00:00:00"]
    zoned = pd.DatetimeIndex(local).tz_localize("Europe/Berlin", ambiguous=np.ones(len(local), bool))
    expected = zoned.tz_convert("UTC").tz_localize(None)
    assert berlin_to_utc(np.array(local, "datetime64[s]")).tolist() == expected.to_pydatetime().tolist()


# Causality: what was exported earlier is the beginning of what is exported later.


@pytest.mark.parametrize("source", AT)
def test_events_before_the_earlier_export_are_the_same_in_both(sources, shorter, source):
    cut, columns = MONTH_STARTS[SHORTER], {"opportunities": ["stage", "closed", "loss_reason"]}
    columns |= {"tickets": ["closed", "csat"], "subscriptions": ["end", "status", "cancel_reason"]}  # known only later
    late, early = (table[source].drop(columns=columns.get(source, [])) for table in (sources, shorter))
    moments = {
        "usage": lambda at: pd.to_datetime(at, unit="ms") < pd.Timestamp(berlin_to_utc(np.array([cut]))[0]),
        "opportunities": lambda at: pd.to_datetime(at, format="%d.%m.%Y") < cut,
    }.get(source, lambda at: pd.to_datetime(at) < cut)
    before = late[moments(late[AT[source]])]
    assert len(early) > 0.3 * len(late)
    assert len(before) < len(late)
    pd.testing.assert_frame_equal(before.reset_index(drop=True), early, check_dtype=False)


def test_what_is_decided_after_the_earlier_export_is_open_in_it(sources, shorter):
    cut = str(MONTH_STARTS[SHORTER])
    late, early = sources["tickets"].set_index("ticket_id"), shorter["tickets"].set_index("ticket_id")
    same = late.loc[early.index]
    assert (early["closed"] == same["closed"].where(same["closed"] < cut, "")).all()
    assert set(early["closed"]) & {""}
    deals, known = sources["opportunities"].set_index("opportunity_id"), shorter["opportunities"].set_index("opportunity_id")
    closed = pd.to_datetime(deals.loc[known.index, "closed"], format="%d.%m.%Y")
    assert known["stage"].eq(deals.loc[known.index, "stage"].where(closed < MONTH_STARTS[SHORTER], "Open")).all()
    ends = sources["subscriptions"].loc[: len(shorter["subscriptions"]) - 1, "end"]
    assert ends.where(ends < cut).equals(shorter["subscriptions"]["end"])


@pytest.mark.parametrize("source", ["accounts", "contacts"])
def test_records_known_at_the_earlier_export_are_the_same_in_both(sources, shorter, source):
    late, early = sources[source], shorter[source]
    created = pd.to_datetime(late["created"], format="%d.%m.%Y")
    pd.testing.assert_frame_equal(late[created < MONTH_STARTS[SHORTER]].reset_index(drop=True), early)
    assert len(early) < len(late)


def test_no_seat_is_billed_before_it_is_ordered(world):
    lines, contracts = world.life.stacked("lines"), world.life.stacked("subscriptions")
    billed = lines[lines["order"].str.startswith("B") & lines["product"].isin(PLANS)].reset_index()
    ordered = billed.merge(contracts[["row", "seats", "start"]], on="row")
    so_far = ordered["seats"].where(ordered["start"] < ordered["at"], 0).groupby(ordered["index"]).sum()
    assert so_far.tolist() == billed["quantity"].tolist()
    assert contracts["row"].duplicated().sum() > 50


def test_nobody_acts_before_the_contract_or_after_its_end(sources, world, truth):
    begins, ends = (pd.Series(days, index=world.organisations["account"]) for days in (world.life.begins, world.life.ends))
    at = pd.to_datetime(sources["tickets"]["opened"])
    account = whose(truth, "tickets", sources["tickets"]["ticket_id"], "account")
    assert (at >= account.map(begins)).all()
    assert not (at >= account.map(ends)).any()
    assert ends.notna().sum() > 5
    used = pd.to_datetime(sources["usage"]["time"], unit="ms").groupby(
        whose(truth, "usage", sources["usage"]["user.id"], "account")
    )
    left = used.max() >= berlin_to_utc(ends.to_numpy("datetime64[s]"))[ends.index.get_indexer(used.max().index)]
    assert not left.any()


def test_use_falls_before_churning_accounts_leave(world):
    """The planted leading indicator: the mood moves use first and the contract later."""
    use, ends, organisations = np.array(world.life.use), world.life.ends, world.organisations
    month = np.searchsorted(MONTH_STARTS, ends, side="right") - 1
    gone = np.flatnonzero(~np.isnat(ends) & (organisations["type"] == "churning account") & (month >= 9))
    late = np.mean([use[month[n] - 2 : month[n], n].mean() for n in gone])
    early = np.mean([use[month[n] - 9 : month[n] - 5, n].mean() for n in gone])
    assert len(gone) >= 3
    assert late < 0.8 * early


# The truth.


def test_the_truth_covers_every_record_once(sources, truth):
    keys = {
        "accounts": "account_id", "contacts": "contact_id", "opportunities": "account_id", "invoices": "customer_number",
        "subscriptions": "subscription_id", "usage": "user.id", "tickets": "ticket_id", "marketing": "contact_email",
        "survey": "response_id", "firmographics": "domain",
    }  # fmt: skip
    assert not truth.duplicated(["source", "record_id"]).any()
    expected = {source: set(sources[source][key]) for source, key in keys.items()}
    assert {source: set(rows["record_id"]) for source, rows in truth.groupby("source")} == expected
    assert set(truth["type"]) == set(KINDS)
    assert truth.groupby("account")["type"].nunique().eq(1).all()
    people = truth["source"].isin(["contacts", "usage", "tickets", "marketing", "survey"])
    assert (truth["person"].notna() == people).all()


def test_some_people_belong_to_two_accounts(truth):
    """Consultants and people who have changed sides: the person is one, the accounts are not."""
    accounts = truth[truth["source"] == "contacts"].groupby("person")["account"].nunique()
    assert 1 <= (accounts > 1).sum() < 0.05 * len(accounts)


# The planted defects.


def test_some_organisations_stand_in_the_crm_twice(sources, truth):
    account = whose(truth, "accounts", sources["accounts"]["account_id"], "account")
    again = sources["accounts"][account.duplicated(keep=False)]
    assert 0.03 < account.value_counts().gt(1).mean() < 0.13
    names = again.groupby(account)["account_name"].nunique()
    assert (names > 1).mean() > 0.5
    assert again.groupby(account)["tax_number"].agg(lambda tax: (tax == "").any()).all()
    assert 0.93 < account.nunique() / ACCOUNTS <= 1


def test_identifiers_are_missing_at_the_stated_rates(sources):
    accounts, invoices = sources["accounts"], sources["invoices"].drop_duplicates("customer_number")
    assert 0.15 < accounts["tax_number"].eq("").mean() < 0.36
    assert 0.05 < accounts["domain"].eq("").mean() < 0.22
    assert 0.40 < accounts["customer_number"].ne("").mean() < 0.65
    assert 0.03 < invoices["tax_number"].isna().mean() < 0.18
    assert 0.15 < sources["subscriptions"]["tax_number"].isna().mean() < 0.45
    assert 0.75 < len(sources["firmographics"]) / ACCOUNTS < 0.90
    assert accounts["domain"].str.startswith(("www.", "https://")).any()
    assert accounts["tax_number"].str.contains(" ").any()


def test_contacts_are_entered_twice_and_lack_addresses(sources, truth):
    contacts = sources["contacts"]
    person = whose(truth, "contacts", contacts["contact_id"], "person")
    assert 0.02 < person.value_counts().gt(1).mean() < 0.10
    assert 0.03 < contacts["email"].eq("").mean() < 0.12
    free = contacts["email"].str.strip().str.lower().str.endswith(FREE_MAIL)
    assert 0.03 < free.mean() < 0.14
    assert contacts["last_name"].str.contains(r"[^\x00-\x7f]").any()
    assert set(contacts["buying_role"]) == {"decision maker", "champion", "user", "finance", "it", "gatekeeper", ""}
    assert set(contacts["newsletter"]) == {"ja", "nein", ""}


def test_sisters_share_a_domain_but_no_tax_number(world):
    sisters = world.organisations[world.organisations["sister"] >= 0]
    elder = world.organisations.loc[sisters["sister"]]
    assert len(sisters) >= 1
    assert sisters["domain"].tolist() == elder["domain"].tolist()
    assert not set(sisters["tax_number"]) & set(elder["tax_number"])
    assert not set(world.organisations["domain"]) & set(FREE_MAIL)


def test_telemetry_repeats_itself_and_hides_some_users(sources):
    usage = sources["usage"]
    assert 0.002 < usage["id"].duplicated().mean() < 0.010
    assert usage.drop_duplicates()["id"].is_unique
    users = usage.drop_duplicates("user.id")
    assert 0.0 < users["user.email"].isna().mean() < 0.09
    assert not (users["user.email"].isna() & users["user.account_domain"].isna()).any()


def test_answers_outside_the_scale_and_missing_ratings_occur(sources):
    assert set(sources["survey"]["nps"]) <= {*range(11), 99}
    assert 0 < (sources["survey"]["nps"] == 99).mean() < 0.06
    assert set(sources["tickets"]["csat"]) == {"", "1", "2", "3", "4", "5"}
    assert 0.4 < sources["tickets"]["csat"].eq("").mean() < 0.7
    assert (sources["firmographics"]["hiring"] == "n/a").any()


# Money.


def test_invoices_are_sound(sources):
    invoices = sources["invoices"]
    credit = invoices["document_type"] == "CRN"
    assert invoices["line_id"].is_unique
    assert (invoices.groupby("invoice_number")["customer_number"].nunique() == 1).all()
    assert (invoices.groupby("invoice_number")["document_type"].nunique() == 1).all()
    assert ((invoices["net_amount"] < 0) == credit).all()
    assert ((invoices["quantity"] < 0) == credit).all()
    assert (invoices["discount_amount"][~credit] >= 0).all()
    assert invoices["net_amount"].round(2).equals(invoices["net_amount"])
    assert 0.002 < credit.mean() < 0.03
    assert set(invoices["product_family"]) == set(FAMILIES)
    assert set(invoices["product_code"]) <= set(PRODUCTS)
    assert len(PRODUCTS) == 15
    assert ((invoices["country"] == "CH") == (invoices["currency"] == "CHF")).all()
    assert invoices["issued_at"].is_monotonic_increasing or invoices["issued_at"].between("2023-07-01", "2025-04-01").all()


def test_ad_spend_has_a_decimal_comma(sources):
    assert sources["ads"]["spend"].str.fullmatch(r"\d{1,3}(\.\d{3})*,\d\d").all()
    assert not sources["ads"].duplicated(["day", "platform"]).any()


def test_an_offer_is_redeemed_only_where_it_was_sent(sources):
    rows = sources["marketing"]
    sent, redeemed = rows[rows["activity"] == "offer sent"], rows[rows["activity"] == "offer redeemed"]
    pairs = redeemed.merge(sent, on=["contact_email", "campaign_id"], suffixes=("", "_sent"))
    assert len(pairs) == len(redeemed) > 20
    assert (pairs["occurred_at"] > pairs["occurred_at_sent"]).all()
    assert sources["invoices"]["campaign"].notna().sum() == len(redeemed)


def test_nobody_is_written_to_without_consent_or_after_unsubscribing(sources):
    contacts, rows = sources["contacts"], sources["marketing"]
    refused = contacts.loc[contacts["newsletter"] == "nein", "email"].str.strip().str.lower()
    assert not rows["contact_email"].isin(refused).any()
    left = rows[rows["activity"] == "unsubscribed"].set_index("contact_email")["occurred_at"]
    mailed = rows[rows["activity"].isin(["sent", "offer sent"])].groupby("contact_email")["occurred_at"].max()
    assert len(left) >= 1
    assert left.index.is_unique
    assert (mailed[left.index] < left).all()
    counts = rows.pivot_table(index="campaign_id", columns="activity", values="topic", aggfunc="count").fillna(0)
    letters = counts[counts.index.str.startswith("NL")]
    assert (letters["opened"] <= letters["delivered"]).all()
    assert (letters["sent"] == letters["delivered"] + letters["bounced"]).all()


# The planted kinds.


def test_planted_kinds_buy_differently(sources, truth):
    lines = sources["invoices"][sources["invoices"]["document_type"] == "INV"]
    kind = whose(truth, "invoices", lines["customer_number"])
    paid, off = (lines[column].groupby(kind).sum() for column in ("net_amount", "discount_amount"))
    customers = lines.groupby(kind)["customer_number"].nunique()
    share = lines.pivot_table(index=kind, columns="product_family", values="net_amount", aggfunc="sum")
    share = share.div(share.sum(axis=1), axis=0)
    orders = lines.groupby(kind)["invoice_number"].nunique() / customers
    assert (paid / customers).idxmax() == "steady enterprise"
    assert (off / (paid + off)).idxmax() == "bargain-hunting small firm"
    assert share["SERVICE"].nlargest(2).index.sort_values().tolist() == ["seasonal project buyer", "service-heavy public body"]
    assert share["TRAINING"].idxmax() == "training-minded school"
    assert share["ADD-ON"].idxmax() == "add-on collector"
    assert orders["growing start-up"] > 2 * orders["dormant account"]


def test_planted_kinds_use_the_product_differently(sources, truth, world):
    usage = sources["usage"].drop_duplicates("id")
    kind = whose(truth, "usage", usage["user.id"])
    year = pd.to_datetime(usage["time"], unit="ms").dt.to_period("Y").astype(str)
    events = pd.crosstab(kind, year)
    quarters = pd.crosstab(kind, pd.to_datetime(usage["time"], unit="ms").dt.to_period("Q").astype(str))
    trend = quarters["2025Q1"] / quarters["2023Q4"]
    per_account = events["2024"] / world.organisations["type"].value_counts()
    assert per_account.idxmin() in ("dormant account", "prospect")
    assert trend["growing start-up"] > 1.5 > 0.7 > trend["churning account"]
    favourite = pd.crosstab(kind, usage["feature.module"]).idxmax(axis=1)
    assert favourite["training-minded school"] == "learning"
    assert favourite["service-heavy public body"] == "compliance"
    assert favourite["growing start-up"] in ("collaboration", "automation")
    tickets = whose(truth, "tickets", sources["tickets"]["ticket_id"]).value_counts()
    assert tickets.idxmax() == "strained manufacturer"


def test_contracts_end_where_it_was_planted(world):
    ended = pd.Series(~np.isnat(world.life.ends)).groupby(world.organisations["type"]).mean()
    assert ended["churning account"] > 0.2 > ended["steady enterprise"]
    assert world.life.begins[world.organisations["type"] == "prospect"].astype(str).tolist().count("NaT") == sum(
        world.organisations["type"] == "prospect"
    )


# Nobody can be reached, and the configuration fits.


def test_no_address_number_or_name_can_reach_anybody(sources):
    columns = {
        "contacts": "email", "tickets": "requester_email", "marketing": "contact_email", "survey": "contact_email",
        "usage": "user.email", "subscriptions": "billing_email", "invoices": "billing_email",
    }  # fmt: skip
    for source, column in columns.items():
        emails = sources[source][column].dropna().str.strip().str.lower()
        assert emails[emails != ""].str.fullmatch(r"[a-z0-9.]+@[a-z0-9-]+\.example").all()
    domains = sources["accounts"]["domain"].str.removesuffix("/")
    assert domains[domains != ""].str.endswith(".example").all()
    for source, column in (("contacts", "phone"), ("tickets", "requester_phone")):
        phones = sources[source][column].str.replace(r"[^\d+]", "", regex=True)
        assert phones[phones != ""].str.fullmatch(FILM_NUMBER).all()
    for source in ("accounts", "invoices", "subscriptions"):
        taxes = sources[source]["tax_number"].fillna("").str.replace(" ", "").str.upper()
        assert taxes[taxes != ""].str.fullmatch(OUT_OF_THIS_WORLD).all()


def test_the_configuration_names_columns_and_words_that_exist(sources, config):
    assert config.company.kind == "b2b"
    assert (config.as_of - pd.Timestamp(MONTH_STARTS[0]).date()).days > 15 * 30
    assert (config.data_until - config.as_of).days >= config.features.horizon_days
    assert set(config.sources) == set(sources)
    for name, source in config.sources.items():
        named = [
            source.record_id,
            source.created_at,
            *source.identity.values(),
            *source.profile.values(),
            *source.consent.values(),
        ]
        for events in source.events:
            named += [events.at, events.ends_at, events.event_id, events.order_id, events.item, events.category, events.quantity]
            named += [
                events.amount,
                events.discount,
                events.cost,
                events.campaign_id,
                events.topic,
                events.currency,
                events.score,
            ]
            for match in (events.where, events.machine):
                assert match is None or set(match.values) <= set(sources[name][match.column])
            if not isinstance(events.type, str):
                assert set(sources[name][events.type.column]) == set(events.type.values)
        assert {column for column in named if column} <= set(sources[name]), name
    assert set(STEPS) | {"offer redeemed"} == set(config.sources["marketing"].events[0].type.values)
    assert set(config.company.currency_rates) == {"CHF"}


def test_the_command_builds_the_vendor_and_another_seed_another_one(tmp_path, capsys):
    from workbench.cli import main

    assert main(["demo", str(tmp_path / "one"), "--company", "vendor", "--accounts", "20"]) == 0
    assert "workbench run configs/b2b.yaml" in capsys.readouterr().out
    assert len(build_vendor(tmp_path / "two", seed=SEED + 1, accounts=20)) == 13
    one, two = digests(tmp_path / "one"), digests(tmp_path / "two")
    assert one.keys() == two.keys()
    assert not set(one.items()) & set(two.items())
