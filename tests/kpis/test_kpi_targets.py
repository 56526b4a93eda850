"""Goals: strict, with a hint for a slip of the keyboard."""

import re
from pathlib import Path

import pytest

from workbench.core.config import load_config, read_yaml_model
from workbench.core.errors import ParameterError
from workbench.kpis.metrics import KPIS, WHY_MISSING
from workbench.kpis.targets import Targets

EXAMPLES = Path(__file__).parents[2] / "configs" / "targets.yaml"


def read(tmp_path, text):
    (tmp_path / "targets.yaml").write_text(text)
    return read_yaml_model(Targets, tmp_path / "targets.yaml")


def test_the_examples_are_valid_and_say_that_they_are_examples():
    goals = read_yaml_model(Targets, EXAMPLES)
    assert set(goals.model_dump()) == {k.kpi for k in KPIS}
    assert goals.campaign_roi is None
    assert goals.lapse_rate == pytest.approx(1 - goals.retention_rate)
    assert "EXAMPLES" in EXAMPLES.read_text()


def test_the_vendors_examples_are_valid_and_judge_no_billing_rhythm():
    path = EXAMPLES.with_name("b2b_targets.yaml")
    goals = read_yaml_model(Targets, path)
    assert "EXAMPLES" in path.read_text()
    assert goals.nps is not None
    assert (goals.repeat_rate, goals.penetration) == (None,) * 2
    assert goals.lapse_rate + goals.retention_rate == 1  # by contracts
    assert load_config(path.with_name("b2b.yaml")).kpis.targets == "configs/b2b_targets.yaml"


def test_no_kpi_speaks_of_one_trade():
    told = " ".join(f"{k.name} {k.definition} {k.empty}" for k in KPIS) + " ".join(WHY_MISSING.values())
    assert not re.search(r"\b(coupon|basket|department|store|shop|newsletter|household|buyers|churned)", told)


def test_an_unknown_kpi_is_an_error_with_a_hint(tmp_path):
    with pytest.raises(
        ParameterError, match=r'targets.yaml:1: retention_rat: there is no such setting. Did you mean "retention_rate"\?'
    ):
        read(tmp_path, "retention_rat: 0.9\n")


@pytest.mark.parametrize("line", ["repeat_rate: 60", "repeat_rate: many", "aov: -1", "aov: .nan", "nps: 200", "aov: inf"])
def test_impossible_goals_are_refused(tmp_path, line):
    with pytest.raises(ParameterError, match="targets.yaml:1"):
        read(tmp_path, line + "\n")


def test_a_goal_left_empty_is_no_goal(tmp_path):
    assert read(tmp_path, "aov:\nnps: 20\n").aov is None


def test_no_file_of_goals_is_no_goal():
    assert set(read_yaml_model(Targets, "").model_dump().values()) == {None}
