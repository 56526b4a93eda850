"""From raw exports of sources to audiences: a whole run with planted people, exported through every channel."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import stat
from pathlib import Path

import pandas as pd
import pytest
import yaml
from pipeline_company import QUICK, Workspace, make_workspace

from workbench.core.rundir import finished_run
from workbench.personas import audience
from workbench.personas.activation import apply_delta, export_channels
from workbench.personas.audience import ADS, CHANNELS, read_activation

pytestmark = pytest.mark.slow
FORTY, REFUSING = 40, 5  # planted people, and those of them who said no to everything
LISTS = {"csv": ("audience", "customer_id"), "crm": ("accounts", "customer_id"), "service": ("lookup", "customer_id"), "in_app": ("attributes", "device_id")}  # fmt: skip


def planted(number: int) -> dict[str, str]:
    """A person whom nobody else is called like."""
    word = "".join(chr(97 + int(digit)) for digit in f"{number:03d}")
    return {"first_name": f"Zyx{word}", "last_name": f"Qwv{word}", "email": f"zyx{word}@planted.example", "mobile": f"212559{number:04d}", "street": f"{number} Xqzj{word} Street"}  # fmt: skip


def plant(demo: Path) -> dict[str, dict[str, str]]:
    """Forty contacts get planted names and addresses (their e-mail in every source), and write tickets that tell them; -> by contact_id."""
    path = demo / "crm" / "contacts.csv"
    contacts = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="cp1252")
    chosen = contacts.index[(contacts.email != "") & ~contacts.email.duplicated(keep=False)][:FORTY]
    people = {contacts.contact_id[at]: planted(i) for i, at in enumerate(chosen)}
    former = dict(zip(contacts.email[chosen], (p["email"] for p in people.values()), strict=True))
    for at, person in zip(chosen, people.values(), strict=True):
        contacts.loc[at, list(person)] = list(person.values())
    contacts.loc[chosen, ["newsletter_opt_in", "phone_opt_in"]] = "yes"
    contacts.loc[chosen[:REFUSING], ["newsletter_opt_in", "phone_opt_in"]] = "no"
    contacts.to_csv(path, index=False, encoding="cp1252")
    for file in [p for ending in ("csv", "jsonl", "json") for p in demo.rglob(f"*.{ending}") if p != path]:
        text = file.read_text(encoding="utf-8")
        file.write_text(re.sub(r"[\w.+-]+@[\w.-]+", lambda m: former.get(m[0], m[0]), text), encoding="utf-8")
    path = demo / "tickets" / "tickets.csv"
    tickets = pd.read_csv(path, dtype=str, keep_default_na=False)
    for at, person in enumerate(people.values()):
        tickets.loc[3 * at, ["requester_email", "text"]] = person["email"], f"{person['first_name']} {person['last_name']} here, {person['mobile']}, {person['street']}: the shelf was empty."  # fmt: skip
    tickets.to_csv(path, index=False)
    return people


@pytest.fixture(scope="module")
def company(tmp_path_factory) -> Workspace:
    """300 households, forty of them planted, a finished run `base`, and rules under which every channel is open."""
    made = make_workspace(tmp_path_factory.mktemp("planted company"), 300)
    (made.folder / "planted.json").write_text(json.dumps(plant(made.folder / "data" / "demo")))
    result = made.command("run", "--run-id", "base", *QUICK)
    assert result.returncode == 0, result.stdout + result.stderr
    (made.folder / "said.txt").write_text(result.stdout + result.stderr)
    stated = yaml.safe_load((made.folder / "configs" / "activation.yaml").read_text())
    stated |= {"min_audience": 5, "merge_small": True, "max_touches_per_week": 99} | {"consent": stated["consent"] | {c: ["email"] for c in ADS}}  # fmt: skip
    (made.folder / "configs" / "open.yaml").write_text(yaml.safe_dump(stated))
    return made


def export(company: Workspace, *more: str, channel: str = "all", folder: str = "out"):
    """`workbench export base`; everything that it says stands in said.txt as well."""
    result = company.command("export", "base", "--channel", channel, "-o", folder, "--rules", "configs/open.yaml", *more)
    with (company.folder / "said.txt").open("a") as said:
        said.write(result.stdout + result.stderr)
    return result


@pytest.fixture(scope="module")
def exported(company) -> Path:
    """Every channel, once, with segments that fail accepted."""
    result = export(company, "--accept-unstable")
    assert result.returncode == 0, result.stdout + result.stderr
    return company.folder / "out"


@pytest.fixture
def at_home(company, monkeypatch) -> Workspace:
    monkeypatch.setenv("WORKBENCH_HOME", str(company.folder))
    return company


def written(folder: Path) -> str:
    """What an export wrote for its destination, as text (Parquet as CSV)."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.parent.name != "state"]
    return "\n".join(pd.read_parquet(p).to_csv() if p.suffix == ".parquet" else p.read_text() for p in files)


def contacts(company: Workspace) -> pd.DataFrame:
    return pd.read_csv(company.folder / "data/demo/crm/contacts.csv", dtype=str, keep_default_na=False, encoding="cp1252")


def customers_of(company: Workspace) -> dict[str, str]:
    """Planted e-mail -> customer_id, by the contact that it was planted in."""
    identities = pd.read_parquet(company.run_folder("base") / "tables" / "identities.parquet")
    mine = identities[identities.source == "crm"].set_index("record_id").customer_id
    people = json.loads((company.folder / "planted.json").read_text())
    return {person["email"]: mine[contact] for contact, person in people.items()}


def addresses_besides(company: Workspace) -> list[str]:
    """E-mail addresses that some source record holds; empty as long as notebook 01 writes no private/addresses."""
    path = company.run_folder("base") / "private" / "addresses.parquet"
    return pd.read_parquet(path).email.dropna().tolist() if path.exists() else []


def test_every_channel_writes_and_every_customer_is_accounted_for(company, exported):
    """Platforms refuse lists below their floor, and the account says so; the other channels hold somebody."""
    population = len(pd.read_parquet(company.run_folder("base") / "tables" / "customers.parquet"))
    for channel in CHANNELS:
        account = pd.read_csv(exported / channel / "reconciliation.csv")
        assert account.customers.iloc[0] == population
        assert population - account.customers[account.step == "left out"].sum() == account.customers.iloc[-1]
        manifest = json.loads((exported / channel / "manifest.json").read_text())
        assert manifest["run_id"] == "base"
        assert set(manifest["files"]) == {p.name for p in (exported / channel).iterdir() if p.is_file()} - {"manifest.json", "reconciliation.csv"}  # fmt: skip
        sent = account.customers.iloc[-1]
        assert sent >= audience.FLOORS.get(channel, 1) or (sent == 0 and channel in ADS), (channel, account)


def test_platforms_receive_hashes_where_their_floor_is_reached(at_home, monkeypatch):
    monkeypatch.setattr(audience, "FLOORS", {})
    done, empty = export_channels(finished_run("base"), list(ADS), at_home.folder / "ads", read_activation("configs/open.yaml"), True)  # fmt: skip
    assert [e.channel for e in done] == list(ADS)
    assert not empty
    hashed = {hashlib.sha256(email.lower().encode()).hexdigest() for email in contacts(at_home).email}
    for channel in ADS:
        text = "".join(p.read_text() for p in (at_home.folder / "ads" / channel).glob("*.csv"))
        assert hashed & set(re.findall("[0-9a-f]{64}", text))
        assert "@" not in text


def test_whoever_said_no_is_in_no_file(company, exported):
    """By e-mail for e-mail; whoever said no to everything, nowhere at all, neither by address nor by number."""
    known, events = contacts(company), pd.read_csv(company.folder / "data/demo/email/activity.csv", dtype=str)
    unsubscribed = events.subscriber_email[events.event.str.startswith("unsub")]
    refused = set(known.email[known.newsletter_opt_in == "no"].str.lower()) | set(unsubscribed.str.lower())
    mails = set(re.findall(r"[\w.+-]+@[\w.-]+", written(exported / "email").lower()))
    assert len(mails) > 50
    assert len(refused) > 20
    assert not (refused - {""}) & mails
    everywhere = "".join(written(exported / channel) for channel in CHANNELS)
    numbers = customers_of(company)
    for person, number in list(numbers.items())[:REFUSING]:
        assert person not in everywhere
        assert number not in everywhere
    assert sum(person in everywhere for person in numbers) > 20


def test_a_suppressed_person_goes_and_the_delta_says_so(company, exported):
    """apply(previous, delta) = full for every kind of file, and the removals name whoever went."""
    before = {c: pd.read_csv(exported / c / f"{name}.csv", dtype=str, keep_default_na=False) for c, (name, _) in LISTS.items()}
    numbers, persons = customers_of(company), pd.read_parquet(company.run_folder("base") / "private" / "persons.parquet")
    written_to = set(persons.email.dropna()) | set(addresses_besides(company))
    gone = [person for person in list(numbers)[REFUSING:30] if person in written_to]
    (company.folder / "never.csv").write_text("\n".join(person.upper() for person in gone) + "\n")
    assert export(company, "--accept-unstable", "--suppression", "never.csv").returncode == 0
    suppressed = {numbers[person] for person in gone}
    for channel, (name, key) in LISTS.items():
        full, delta, removals = (pd.read_csv(exported / channel / f"{name}{end}.csv", dtype=str, keep_default_na=False) for end in ("", "_delta", "_removals"))  # fmt: skip
        assert apply_delta(before[channel], delta, key).equals(full.sort_values(key, ignore_index=True))
        assert set(removals[key]) == set(delta[key][delta.change == "remove"])
        assert not suppressed & set(full.customer_id)
    assert len(suppressed & set(pd.read_csv(exported / "csv" / "audience_removals.csv").customer_id)) > 10
    for path in [*(exported / "email").glob("track_*.csv"), exported / "crm" / "contacts.csv"]:
        if not path.stem.endswith(("_delta", "_removals")):
            assert not [person for person in gone if person in path.read_text()], path
    assert export(company, "--accept-unstable", "--suppression", "never.csv", channel="csv").returncode == 0
    assert len(pd.read_csv(exported / "csv" / "audience_delta.csv")) == 0


def test_segments_that_fail_wait_for_a_decision(company, exported):
    quality = pd.read_parquet(company.run_folder("base") / "tables" / "segment_quality.parquet")
    failing = set(quality.segment_id[quality.verdict == "fail"])
    assert failing, "this company of 300 has segments that fail; without any this test says nothing"
    result = export(company, channel="csv", folder="careful")
    told = pd.read_csv(company.folder / "careful" / "csv" / "audience.csv")
    assert not failing & set(told.segment_id)
    assert failing & set(pd.read_csv(exported / "csv" / "audience.csv").segment_id)
    assert result.returncode == (0 if len(told) else 5)
    assert audience.UNSTABLE in result.stdout + result.stderr


def test_files_and_folders_are_the_owners_alone(exported):
    """S28."""
    for path in [exported / c for c in CHANNELS] + [p for c in CHANNELS for p in (exported / c).rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_planted_people_appear_nowhere_but_in_private_and_in_audiences(company, exported):
    """S1: notebooks (their pictures decoded), reports, records, tables, logs and whatever the commands said."""
    people = json.loads((company.folder / "planted.json").read_text())
    secrets = [value.lower() for person in people.values() for value in person.values()]
    assert len(secrets) == 5 * FORTY
    base = company.run_folder("base")
    hidden = pd.read_parquet(base / "private" / "texts.parquet").text.str.cat().lower()
    assert sum(secret in hidden for secret in secrets) >= 4 * FORTY, "what is looked for must have been read"
    looked_at = [p for p in base.rglob("*") if p.is_file() and p.relative_to(base).parts[0] != "private"]
    assert {p.suffix for p in looked_at} >= {".ipynb", ".html", ".json", ".parquet", ".yaml"}
    words = {str(p): told_by(p) for p in [*looked_at, company.folder / "said.txt"]}
    found = [(name, secret) for name, text in words.items() for secret in secrets if secret in text]
    assert not found
    hashes = [hashlib.sha256(secret.encode()).hexdigest() for secret in secrets]
    assert not [(name, h) for name, text in words.items() for h in hashes if h in text]


def told_by(path: Path) -> str:
    """A file's words in small letters: tables as CSV, and of anything else its bytes, the pictures written into it decoded.

    Not as they are written: among a million letters of base64 any six letters stand by chance.
    """
    if path.suffix == ".parquet":
        frame = pd.read_parquet(path)
        return frame.select_dtypes(["object", "str"]).to_csv().lower()
    raw = path.read_bytes()
    raw = re.sub(
        rb'(?:base64,|"image/png": ")([A-Za-z0-9+/=\\n]{200,})', lambda m: base64.b64decode(m[1].replace(b"\\n", b"")), raw
    )
    return raw.decode("utf-8", "ignore").lower()
