"""Audiences: nobody who may not be addressed, nothing a spreadsheet would compute, and every change accounted for."""

import csv
import hashlib
import json
import re
import stat

import audience_company as company
import pandas as pd
import pytest
from audience_company import customers, persons, rules, write_run

from workbench.core.errors import EnvironmentFault, ParameterError, QualityGate
from workbench.personas import audience
from workbench.personas.activation import apply_delta, export_audience, export_channels
from workbench.personas.audience import CHANNELS, read_activation
from workbench.personas.sheets import slug

EMPTY = hashlib.sha256(b"").hexdigest()


def text_of(folder) -> str:
    """Everything that an export wrote for its destination (not its state)."""
    return "\n".join(p.read_text() for p in sorted(folder.glob("*")) if p.is_file() and p.suffix != ".parquet")


def rows_of(folder, pattern) -> pd.DataFrame:
    parts = [pd.read_csv(p, dtype=str, keep_default_na=False) for p in sorted(folder.glob(pattern))]
    return pd.concat(parts, ignore_index=True)


def tracks(folder) -> pd.DataFrame:
    return pd.concat([rows_of(folder, f"track_{s}.csv") for s in company.STAGES if (folder / f"track_{s}.csv").exists()])


@pytest.fixture
def run(home):
    return write_run(home)


# -- who ------------------------------------------------------------------------------------------------------------------


def test_the_account_adds_up_and_every_customer_is_in_it(run, home):
    done = export_audience(run, "email", home / "out", rules())
    account = done.account
    assert account.customers.iloc[0] == company.COUNT
    lost = account[account.step == "left out"].customers.sum()
    assert account.customers.iloc[0] - lost == account.customers.iloc[-1] == len(tracks(done.folder))
    assert pd.read_csv(done.folder / "reconciliation.csv").equals(pd.read_csv(done.folder / "reconciliation.csv"))
    assert list(account.step.unique()) == ["population", "left out", "eligible", "exported"]


@pytest.mark.parametrize("channel", CHANNELS)
def test_only_those_who_agreed_are_in_a_file(run, home, channel):
    """Every fifth customer said no, every fifth nothing (S7); neither their numbers, addresses, cookies nor hashes appear."""
    done = export_audience(run, channel, home / "out", rules(min_audience=1, merge_small=True), accept_unstable=True) if channel not in ("tiktok", "linkedin", "google", "meta") else None  # fmt: skip
    if done is None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(audience, "FLOORS", {})
            done = export_audience(run, channel, home / "out", rules(min_audience=1), accept_unstable=True)
    text = text_of(done.folder)
    known = customers()
    people = persons(known)
    for at in known.index[known.consent_email.isin(["no", "unknown"])][:40]:
        if channel == "crm" and known.consent_phone[at] == "yes":
            continue
        secrets = [known.customer_id[at], people.email[at], people.phone[at], f'"cookie{at}"', f"cookie{at},"]
        secrets += [hashlib.sha256(s.encode()).hexdigest() for s in (people.email[at], people.phone[at], people.phone[at][1:])]
        assert not [s for s in secrets if s in text]
    assert EMPTY not in text


def test_consent_that_nobody_declares_is_no_consent(run, home):
    with pytest.raises(QualityGate, match="600 consent missing or unknown") as fault:
        export_audience(run, "meta", home / "out", rules(consent={"meta": ["ads"]}))
    assert "needs consent to ads; sources declare email, phone" in str(fault.value)


def test_who_unsubscribed_is_left_out_although_the_crm_says_yes(run, home):
    done = export_audience(run, "email", home / "out", rules())
    last = customers().customer_id.iloc[-1]
    assert customers().consent_email.iloc[-1] == "yes"
    assert last not in text_of(done.folder)


@pytest.mark.parametrize(
    "entry",
    [
        "c_0000000000000001", " A.B+x@Gmail.com", "ab@googlemail.com", "A.B@GMAIL.COM", "ａ.ｂ@gmail.com", '"ab@gmail.com"', "(212) 555-0001", "+1 212.555.0001",
        "001-212-555-0001", hashlib.sha256(b"a.b+news@gmail.com").hexdigest(), hashlib.sha256(b"ab@gmail.com").hexdigest().upper(), hashlib.sha256(b"+12125550001").hexdigest(),
    ],
)  # fmt: skip
def test_a_suppressed_person_is_found_in_any_spelling(home, entry):
    """S8: by number, e-mail, phone or hash, however written; in no file of any kind of channel."""
    people = persons(customers())
    people.loc[1, ["email", "phone"]] = ["a.b+news@gmail.com", "+12125550001"]
    labels = pd.Series(0, index=people.customer_id)
    run = write_run(home, people=people, labels=labels)
    (home / "never.csv").write_text(f"entry\n{entry}\n", encoding="utf-8")
    everything = rules(suppression="never.csv", min_audience=1)
    for channel in ("email", "crm", "csv") if entry.startswith("ab@") else ("email",):
        after = export_audience(run, channel, home / "after", everything, accept_unstable=True)
        assert "c_0000000000000006" in text_of(after.folder)
        assert "c_0000000000000001" not in text_of(after.folder)
        assert "a.b+news@gmail.com" not in text_of(after.folder)
        assert after.account.set_index("reason").customers[audience.SUPPRESSED] == 1


def test_a_suppressed_address_that_did_not_survive_counts_as_well(home):
    """A person has two mailboxes, asks under the one that is not written to, and must not be written to under the other."""
    other = pd.DataFrame({"customer_id": ["c_0000000000000001", "c_0000000000000006"], "email": ["old.box@example.org", None], "phone": [None, "+13125550006"]})  # fmt: skip
    run = write_run(home, **{"private/addresses": other})
    (home / "never.csv").write_text("Old.Box@example.org\n(312) 555-0006\n")
    done = export_audience(run, "email", home / "out", rules(suppression="never.csv", min_audience=1))
    assert not {"c_0000000000000001", "c_0000000000000006"} & set(tracks(done.folder).customer_id)
    assert done.account.set_index("reason").customers[audience.SUPPRESSED] == 2
    assert len(tracks(done.folder)) > 50


def test_a_no_under_another_record_of_the_same_address_counts(home):
    people = persons(customers())
    people.loc[2, "email"] = "ann.lee@googlemail.com"  # customer 2 said no …
    people.loc[5, "email"] = "annlee+shop@gmail.com"  # … and customer 5, who said yes, has the same mailbox
    done = export_audience(write_run(home, people=people), "email", home / "out", rules())
    assert "annlee+shop@gmail.com" not in text_of(done.folder)
    assert done.account.set_index("reason").customers[audience.SAME_PERSON] == 1


def test_a_list_that_is_not_there_stops_the_export(run, home):
    with pytest.raises(ParameterError, match="suppression: .*never.csv is not there"):
        export_audience(run, "email", home / "out", rules(suppression="never.csv"))
    (home / "never.csv").write_text("email\nann@example.com\nwhat is this\n")
    with pytest.raises(ParameterError, match="never.csv:3: an entry is neither"):
        export_audience(run, "email", home / "out", rules(suppression="never.csv"))
    assert not (home / "out").exists()


def test_segments_that_fail_are_left_out_unless_accepted(run, home):
    assert "Steady shoppers" not in text_of(export_audience(run, "csv", home / "out", rules()).folder)
    assert "Steady shoppers" in text_of(export_audience(run, "csv", home / "out", rules(), accept_unstable=True).folder)


def test_nobody_left_is_exit_5_with_what_to_try(home):
    quality = company._tables(customers(), persons(customers()), pd.Series(0, index=customers().customer_id))["segment_quality"]
    run = write_run(home, segment_quality=quality.assign(verdict="fail"))
    with pytest.raises(QualityGate, match="nobody is left") as fault:
        export_audience(run, "csv", home / "out", rules())
    assert fault.value.exit_code == 5
    assert "--accept-unstable" in fault.value.fix


@pytest.mark.parametrize("until, is_told", [("2024-04-01", True), ("2024-01-20", False), (None, False)])
def test_an_export_of_customers_as_they_were_says_so(home, until, is_told):
    done = export_audience(write_run(home, until=until), "csv", home / "out", rules())
    assert any("run with as_of: 2024-04-01 first" in note for note in done.notes) == is_told


def test_a_segment_of_99_is_too_small_for_google(home):
    """S11, with the way out: joined with others of its macro-segment."""
    known = customers().assign(consent_email="yes")
    labels = pd.Series([0] * 99 + [1] * 101 + [-1] * 400, index=known.customer_id)
    run = write_run(home, known=known, labels=labels)
    stated = rules(holdout_share=0)
    done = export_audience(run, "google", home / "out", stated)
    assert done.account.set_index("reason").customers[audience.SMALL] == 99
    assert any("“Weekend wine buyers”: 99 customers, the floor is 100" in note for note in done.notes)
    joined = export_audience(run, "google", home / "joined", stated.model_copy(update={"merge_small": True}))
    assert audience.SMALL in set(joined.account.reason)  # 99 alone under the macro-segment are still 99
    assert not list(done.folder.glob("weekend*"))


# -- how often, and who not --------------------------------------------------------------------------------------------------


def test_contacts_over_all_channels_never_pass_the_cap(run, home):
    planned = {"email": 1, "crm": 1, "in_app": 1, "google": 1, "meta": 1}
    stated = rules(min_audience=1, max_touches_per_week=2, touches_per_week=planned, holdout_share=0.1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audience, "FLOORS", {})
        exports, _ = export_channels(run, list(planned), home / "out", stated)
        exports += export_channels(run, list(planned), home / "out", stated)[0]  # again: the same files, not one contact more
    members = [pd.read_parquet(home / "out" / c / "state" / "members.parquet") for c in planned]
    total = pd.concat(members).groupby("customer_id").touches.sum()
    running = pd.Series(0.25, index=customers().customer_id.head(100))
    assert total.add(running, fill_value=0).max() <= 2
    assert total.max() == 2
    assert any(audience.TOO_OFTEN in set(e.account.reason) for e in exports)


def test_the_holdout_group_is_the_same_everywhere_and_salted(run, home):
    stated = rules(holdout_share=0.3, min_audience=1)
    told = tracks(export_audience(run, "email", home / "out", stated).folder)
    held = set(told.customer_id[told.holdout == "yes"])
    assert 0.2 < len(held) / len(told) < 0.4
    treated = rows_of(export_audience(run, "csv", home / "out", stated).folder, "audience.csv")
    assert not held & set(treated.customer_id)
    again = tracks(export_audience(run, "email", home / "again", stated).folder)
    assert set(again.customer_id[again.holdout == "yes"]) == held
    other = tracks(export_audience(run, "email", home / "other", stated.model_copy(update={"holdout_salt": "x"})).folder)
    assert set(other.customer_id[other.holdout == "yes"]) != held


def test_one_address_gets_one_row(home):
    people = persons(customers())
    people.loc[[30, 35], ["email", "phone"]] = ["one@example.com", "+12125559999"]
    done = export_audience(write_run(home, people=people), "email", home / "out", rules())
    assert (tracks(done.folder).email == "one@example.com").sum() == 1
    assert done.account.set_index("reason").customers[audience.TWICE] == 1


def test_a_vetoed_cell_is_exported_nowhere_but_to_agents(home):
    journey = company._tables(customers(), persons(customers()), pd.Series(range(600), index=customers().customer_id) // 5 % 5 - 1)["journey"]  # fmt: skip
    run = write_run(home, journey=journey.assign(vetoed=journey.stage == "growth"))
    assert "growth" not in set(tracks(export_audience(run, "email", home / "out", rules()).folder).track)
    assert "growth" in set(rows_of(export_audience(run, "service", home / "out", rules()).folder, "lookup.csv").stage)


# -- what changed -----------------------------------------------------------------------------------------------------------


def changed_run(home, run_id):
    """A later run: some said no, some moved, some have a new address, some are new to the consented."""
    known, people = customers(), persons(customers())
    known.loc[range(30, 90, 5), ["consent_email", "consent_phone"]] = "no"
    known.loc[[33, 38, 43], "consent_email"] = "yes"
    people.loc[[31, 36, 41], "email"] = ["new1@example.com", "new2@example.com", "new3@example.com"]
    labels = pd.Series(range(600), index=known.customer_id) // 5 % 5 - 1
    labels.iloc[100:140] = 0
    return write_run(home, run_id, known=known, people=people, labels=labels)


@pytest.mark.parametrize("channel", ["csv", "email", "crm", "json", "in_app"])
def test_previous_and_delta_make_the_new_full(run, home, channel):
    name, key = {"csv": ("audience", "customer_id"), "json": ("audience", "customer_id"), "email": ("track", "customer_id"), "crm": ("contacts", "contact_id"), "in_app": ("attributes", "device_id")}[channel]  # fmt: skip
    pattern = f"{name}_[!dr]*.csv" if channel == "email" else f"{name}.csv"

    def full(folder):
        if channel == "json":
            return pd.DataFrame([json.loads(line) for line in (folder / "audience.jsonl").read_text().splitlines()]).astype(str)
        parts = [p for p in folder.glob(f"{name}*.csv") if not p.stem.endswith(("_delta", "_removals"))]
        return pd.concat([pd.read_csv(p, dtype=str, keep_default_na=False) for p in parts]).sort_values(key, ignore_index=True)

    first = export_audience(run, channel, home / "out", rules(min_audience=1))
    previous = full(first.folder)
    assert set(first.changes) == {"add"}
    later = export_audience(changed_run(home, "later"), channel, home / "out", rules(min_audience=1))
    delta = rows_of(later.folder, f"{name}_delta.csv")
    assert set(delta.change) == {"add", "update", "remove"}
    result = apply_delta(previous, delta, key)
    expected = full(later.folder)
    if channel == "json":
        result["vip"], expected["vip"] = result.vip.str.lower(), expected.vip.str.lower()
        result, expected = result.replace("'=1+1", "=1+1"), expected
        result["segment_name"] = result.segment_name.str.lstrip("'")
    assert result.equals(expected), pattern
    gone = rows_of(later.folder, f"{name}_removals.csv")[key]
    assert set(gone) == set(delta[key][delta.change == "remove"])
    same = export_audience(changed_run(home, "same"), channel, home / "out", rules(min_audience=1))
    assert same.changes == {}


def test_lists_for_platforms_are_previous_less_removed_plus_added(run, home, monkeypatch):
    monkeypatch.setattr(audience, "FLOORS", {})

    def lists(folder, ending=""):
        return {p.stem.removesuffix(ending): set(p.read_text().splitlines()[1:]) for p in folder.glob(f"*{ending}.csv") if p.stem != "reconciliation" and (ending or not p.stem.endswith(("_add", "_remove")))}  # fmt: skip

    before = lists(export_audience(run, "meta", home / "out", rules(min_audience=1)).folder)
    later = export_audience(changed_run(home, "later"), "meta", home / "out", rules(min_audience=1)).folder
    after, added, removed = lists(later), lists(later, "_add"), lists(later, "_remove")
    assert any(removed.values())
    for name in after:
        assert (before.get(name, set()) - removed[name]) | added[name] == after[name]


def test_a_withdrawn_consent_reaches_the_destination_even_where_nobody_is_left(run, home):
    export_audience(run, "csv", home / "out", rules())
    later = write_run(home, "later", known=customers().assign(consent_email="no", consent_phone="no"))
    with pytest.raises(QualityGate):
        export_audience(later, "csv", home / "out", rules())
    folder = home / "out" / "csv"
    assert set(rows_of(folder, "audience_delta.csv").change) == {"remove"}
    assert len(rows_of(folder, "audience.csv")) == 0


def test_files_of_an_audience_that_is_gone_are_taken_away(run, home):
    export_audience(run, "email", home / "out", rules())
    journey = pd.read_parquet(run.table_path("journey")).assign(stage="growth")
    export_audience(write_run(home, "later", journey=journey), "email", home / "out", rules())
    assert [p.name for p in (home / "out" / "email").glob("track_*.csv")if not p.stem.endswith(("delta", "removals"))] == ["track_growth.csv"]  # fmt: skip


def test_a_finished_run_is_not_changed(run, home):
    def state():
        return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in run.path.rglob("*")}

    before = state()
    export_channels(run, ["email", "crm", "web"], home / "out", rules())
    assert state() == before


# -- security ---------------------------------------------------------------------------------------------------------------

PAYLOADS = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0", "＝1+1", '=HYPERLINK("http://x")', "\n=1", " =1", "\0=1"]  # fmt: skip


def test_no_cell_of_a_file_for_people_is_a_formula(home):
    """S13: in names, segments and offers; phone numbers keep their plus."""
    people = persons(customers())
    for at, payload in enumerate(PAYLOADS):
        people.loc[5 * at, ["given_name", "family_name"]] = payload
    run = write_run(home, people=people)
    for channel in ("crm", "email", "csv", "in_app", "service"):
        folder = export_audience(run, channel, home / "out", rules(min_audience=1)).folder
        for path in folder.glob("*.csv"):
            with path.open(newline="", encoding="utf-8") as file:
                cells = [cell for row in csv.reader(file) for cell in row]
            bad = [c for c in cells if re.match(r"\s*[=+\-@\t\r\n\0＝＋－＠]", c) and not re.fullmatch(r"\+\d{7,15}", c)]
            assert not bad, (path.name, bad)
    assert "+1212555" in (home / "out" / "crm" / "contacts.csv").read_text()


def test_platform_files_hold_hashes_and_nothing_else(run, home, monkeypatch):
    monkeypatch.setattr(audience, "FLOORS", {})
    for channel in audience.ADS:
        folder = export_audience(run, channel, home / "out", rules(min_audience=1)).folder
        for path in folder.glob("*.csv"):
            if path.name != "reconciliation.csv":
                lines = path.read_text().splitlines()[1:]
                cells = {cell for line in lines for cell in line.split(",")}
                assert all(re.fullmatch(r"[0-9a-f]{64}|US|10001|", cell) for cell in cells), path


def test_hashes_that_are_not_declared_are_refused_and_declared_ones_pass(home, monkeypatch):
    """S6: no double hashing."""
    monkeypatch.setattr(audience, "FLOORS", {})
    people = persons(customers())
    people["email"] = [hashlib.sha256(e.encode()).hexdigest() for e in people.email]
    run = write_run(home, people=people)
    with pytest.raises(ParameterError, match="email: some values are SHA-256 already"):
        export_audience(run, "meta", home / "out", rules())
    done = export_audience(run, "meta", home / "out", rules(hashed=["email"], min_audience=1))
    assert people.email[30] in text_of(done.folder)


@pytest.mark.parametrize("value", ["", " ", "n/a", "noreply@example.com", None])
def test_placeholders_are_never_hashed(home, monkeypatch, value):
    """S5."""
    monkeypatch.setattr(audience, "FLOORS", {})
    people = persons(customers())
    people["email"], people["phone"] = pd.Series([value] * len(people), dtype="str"), pd.Series([value] * len(people), dtype="str")  # fmt: skip
    people.loc[30, "email"] = "real@example.com"
    run = write_run(home, people=people)
    done = export_audience(run, "google", home / "out", rules(min_audience=1, holdout_share=0), accept_unstable=True)
    assert done.account.customers.iloc[-1] == 1
    assert EMPTY not in text_of(done.folder)
    assert done.account.set_index("reason").customers[audience.UNUSABLE] > 100


def test_names_of_segments_are_never_paths(run, home, monkeypatch):
    """S21."""
    monkeypatch.setattr(audience, "FLOORS", {})
    folder = export_audience(run, "meta", home / "out", rules(min_audience=1)).folder
    assert (folder / "etc-passwd.csv").is_file()
    assert {p.parent for p in (home / "out").rglob("*.csv")} == {folder}
    hostile = [
        "../../etc/x",
        "/abs/path",
        "..",
        "",
        "a/b",
        "a\\b",
        "con",
        "x" * 300,
        "\0",
        "\n",
        "-rf",
        "~root",
        "%2e%2e",
        "周末",
        "Ünïcode",
    ]
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", slug(name, 7)) for name in hostile)


def test_a_linked_folder_is_refused_and_files_are_private(run, home):
    """S22, S28."""
    (home / "out").mkdir()
    (home / "elsewhere").mkdir()
    (home / "out" / "csv").symlink_to(home / "elsewhere")
    with pytest.raises(EnvironmentFault, match="is a link"):
        export_audience(run, "csv", home / "out", rules())
    assert not list((home / "elsewhere").iterdir())
    folder = export_audience(run, "email", home / "out", rules()).folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in folder.rglob("*") if p.is_file()} == {0o600}


def test_a_pseudonym_key_that_is_gone_stops_the_export(run, home):
    """S3: the holdout is keyed; another key gives another group, no key none."""
    (home / "data" / "pseudonym.key").unlink()
    with pytest.raises(ParameterError, match="pseudonym.key is not there"):
        export_audience(run, "email", home / "out", rules())


# -- files ------------------------------------------------------------------------------------------------------------------


def test_sql_loads_and_says_what_the_csv_says(run, home):
    import duckdb

    folder = export_audience(run, "sql", home / "out", rules()).folder
    con = duckdb.connect()
    con.execute((folder / "audience.sql").read_text())
    loaded = con.execute("SELECT count(*), count(DISTINCT customer_id), max(offer) FROM workbench_audience").fetchone()
    exported = json.loads((folder / "manifest.json").read_text())["account"][-1]["customers"]
    assert loaded == (exported, exported, "=1+1")


def test_every_file_is_in_the_manifest_with_its_checksum(run, home):
    for channel in ("web", "service", "json"):
        folder = export_audience(run, channel, home / "out", rules(min_audience=1)).folder
        manifest = json.loads((folder / "manifest.json").read_text())
        files = {p.name for p in folder.iterdir() if p.is_file()} - {"manifest.json", "reconciliation.csv"}
        assert files == set(manifest["files"])
        assert all(hashlib.sha256((folder / n).read_bytes()).hexdigest() == h for n, h in manifest["files"].items())
        assert manifest["run_id"] == "base"
    assert json.loads((home / "out" / "json" / "manifest.json").read_text())["delete_after"] > manifest["exported_on"]


def test_rows_keep_the_json_schema(run, home):
    import jsonschema

    folder = export_audience(run, "json", home / "out", rules()).folder
    schema = json.loads((folder / "audience.schema.json").read_text())
    for line in (folder / "audience.jsonl").read_text().splitlines():
        jsonschema.validate(json.loads(line), schema)


def test_each_function_gets_its_page_for_the_segments_exported(home):
    pages = pd.DataFrame([(f, i, "what", f"{f} does this") for f in ("marketing", "sales", "service", "product") for i in (0, 3)], columns=["function", "segment_id", "what", "text"])  # fmt: skip
    run = write_run(home, function_playbook=pages)
    for channel, function in (("email", "marketing"), ("crm", "sales"), ("service", "service"), ("csv", "product")):
        done = export_audience(run, channel, home / "out", rules(min_audience=1))
        text = (done.folder / f"playbook_{function}.md").read_text()
        assert f"## {company.NAMES[0]}\n\n- what: {function} does this" in text
        assert company.NAMES[3] not in text  # it failed and is not exported
        assert f"playbook_{function}.md" in done.files


def test_the_website_gets_rules_for_strangers_where_the_run_has_them(home):
    folder = export_audience(write_run(home), "web", home / "out", rules(min_audience=1))
    assert "rules.json is left out" in folder.notes[0]
    found = pd.DataFrame({"segment_id": [0, 3], "rule": ["buys wine", "x"], "sql": ["wine > 1", "y"], "precision": [0.9, 0.5], "recall": [0.6, 0.5]}).assign(conditions="[]", customers=9, unseen_precision=0.5, unseen_recall=0.5)  # fmt: skip
    folder = export_audience(write_run(home, "ruled", rules=found), "web", home / "out", rules(min_audience=1)).folder
    told = json.loads((folder / "rules.json").read_text())
    assert [r["rule"] for r in told] == ["buys wine"]  # segment 3 failed and is not exported
    lookup = json.loads((folder / "lookup.json").read_text())
    assert all(k.startswith("cookie") and set(v) == {"segment_id", "stage"} for k, v in lookup.items())


def test_the_packaged_rules_are_sound_and_faults_are_named(home, tmp_path):
    assert set(read_activation("configs/activation.yaml").consent) == set(CHANNELS)
    (tmp_path / "bad.yaml").write_text("consent: {emial: [email]}\nholdout_share: 0.9\n")
    with pytest.raises(ParameterError) as fault:
        read_activation(str(tmp_path / "bad.yaml"))
    assert all(word in fault.value.what for word in ("suppression", "emial", "holdout_share"))
    with pytest.raises(ParameterError, match='no such channel. Did you mean "google"'):
        export_channels(write_run(home), ["gogle"], home / "out", rules())
