"""The command line faces `workbench init` and `workbench check`: what they print, write and return."""

from __future__ import annotations

import datetime as dt
import random
import subprocess

import pytest
import yaml
from pipeline_company import Workspace, make_workspace

from workbench.cli import main
from workbench.core.config import load_config
from workbench.ingest.checking import MOST_LINES
from workbench.ingest.delivery import contract_markdown, delivery_contracts


@pytest.fixture
def orders(home):
    """A workspace with one table of orders, and its folder."""
    dice = random.Random(4)
    days = sorted(dt.date(2024, 1, 1) + dt.timedelta(days=dice.randrange(500)) for _ in range(800))
    lines = [f"K{dice.randrange(70):03d};{day:%d.%m.%Y};{9000 + n};{dice.randrange(9, 900)},50\n" for n, day in enumerate(days)]
    (home / "orders.csv").write_text("cust_no;bestelldatum;bestellnr;betrag\n" + "".join(lines))
    return home


def command(*words: str) -> int:
    return main(list(words))


def test_init_then_check_on_a_bare_table(orders, capsys):
    assert command("init", str(orders / "orders.csv"), "-o", "mine.yaml") == 0
    out = capsys.readouterr().out
    head, row, *rest = out.splitlines()
    assert head.split() == ["source", "file", "rows", "kind", "key", "time", "missing", "for", "a", "full", "run"]
    assert row.split() == ["orders", "orders.csv", "800", "pos", "cust_no", "bestelldatum"]
    assert any("guesses" in line for line in rest)
    assert "K0" not in out + (orders / "mine.yaml").read_text()
    assert command("check", "mine.yaml") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "mine.yaml: sound, 1 sources"
    assert command("init", str(orders / "orders.csv"), "-o", "mine.yaml") == 3
    assert "-o other.yaml" in capsys.readouterr().err
    assert command("init", "ordes.csv") == 2
    assert command("init") == 3
    assert not (orders / "runs").exists()


FAULTY = """\
as_of: 2024-13-01
clustering: {min_segmets: 5}
sources:
  orders:
    kind: pos
    path: orders.csv
    csv: {delimiter: ";"}
    record_id: customer
    events: [{type: order, at: datum, amount: betrag}]
  gone: {kind: crm, path: gone.csv, record_id: id}
  odd: {kind: crmm, path: odd.csv, record_id: id}
"""


def test_check_tells_faults_of_the_settings_and_of_the_files_at_once(orders, capsys):
    (orders / "faulty.yaml").write_text(FAULTY)
    assert command("check", "faulty.yaml") == 3
    err = capsys.readouterr().err
    for part in ("as_of", 'Did you mean "min_segments"?', "crmm", '"customer"', '"datum"', "gone.csv is not there", "Fix:"):
        assert part in err
    assert err.strip().splitlines()[-1] == "faulty.yaml: 5 problems, nothing was run"


def test_check_tells_the_key_and_values_that_cannot_be_read(orders, capsys):
    assert command("init", str(orders / "orders.csv"), "-o", "mine.yaml") == 0
    text = (orders / "mine.yaml").read_text()
    (orders / "mine.key").unlink()
    (orders / "mine.yaml").write_text(text.replace("%d.%m.%Y", "%m/%d/%Y"))
    capsys.readouterr()
    assert command("check", "mine.yaml") == 3
    err = capsys.readouterr().err
    assert "key_file" in err
    assert 'column "bestelldatum"' in err
    assert "2 problems" in err
    assert "K0" not in err


def test_check_stays_short_however_much_is_wrong(orders, capsys):
    many = "".join(f"  gone{n}: {{kind: crm, path: gone{n}.csv, record_id: id}}\n" for n in range(40))
    (orders / "many.yaml").write_text(f"as_of: 2024-12-01\nsources:\n{many}")
    assert command("check", "many.yaml") == 3
    lines = capsys.readouterr().err.splitlines()
    assert sum("gone" in line for line in lines) >= MOST_LINES - 2
    assert len(lines) <= 2 * (MOST_LINES + 1) + 1
    assert lines[-1].startswith("many.yaml: 41 problems")


def test_contracts_say_what_to_deliver(small: Workspace):
    result: subprocess.CompletedProcess = small.command("check", "configs/grocer.yaml", "--contracts", "contracts")
    assert result.returncode == 0, result.stderr
    config = load_config(small.folder / "configs" / "grocer.yaml")
    folder = small.folder / "contracts"
    assert {p.stem for p in folder.iterdir()} == set(config.sources)
    ads = yaml.safe_load((folder / "ads.yaml").read_text())
    assert ads["delivery"] | {"path": ""} == ads["delivery"] | {"path": "", "delimiter": "semicolon", "decimal_mark": ","}
    crm = yaml.safe_load((folder / "crm.yaml").read_text())
    columns = {c["name"]: c for c in crm["columns"]}
    assert crm["key"] == {"column": "contact_id", "uniqueness": "unique"}
    assert not columns["contact_id"]["may_be_empty"]
    assert columns["email"]["type"] == "e-mail address"
    assert columns["newsletter_opt_in"]["allowed"][:2] == ["yes", "no"]
    activity = yaml.safe_load((folder / "email.yaml").read_text())
    assert "unsubscribe" in next(c for c in activity["columns"] if c["name"] == "event")["allowed"]
    assert "| amount |" not in (folder / "crm.md").read_text()
    assert "America/New_York" in (folder / "tickets.md").read_text()


def test_contracts_name_every_declared_column_of_every_configuration():
    from pathlib import Path

    from workbench.ingest.sources import needed_columns

    for name in ("grocer", "orders", "b2b"):
        config = load_config(Path(__file__).parents[2] / "configs" / f"{name}.yaml")
        for source, contract in delivery_contracts(config).items():
            assert {c["name"] for c in contract["columns"]} == set(needed_columns(config.sources[source]))
            assert contract_markdown(contract).count("\n| ") == len(contract["columns"]) + 1
            assert yaml.safe_load(yaml.safe_dump(contract)) == contract


@pytest.mark.slow
def test_a_draft_of_the_demo_companys_files_runs_without_an_edit(tmp_path):
    small = make_workspace(tmp_path, 300)  # a run of its own settings would be what other tests take over
    drafted = small.command("init", "data/demo", "-o", "drafted.yaml")
    assert drafted.returncode == 0, drafted.stderr
    quick = ("-p", "clustering.bootstraps", "2", "-p", "kpis.bootstraps", "50", "-p", "features.top_subcategories", "5")
    result = small.command("run", "drafted.yaml", "--run-id", "drafted", *quick)
    assert result.returncode == 0, result.stdout + result.stderr
    assert small.manifest("drafted")["state"] == "finished"
