"""Goals: strict, with a hint for a slip of the keyboard."""

from pathlib import Path

import pytest

from workbench.core.config import read_yaml_model
from workbench.core.errors import ParameterError
from workbench.kpis.metrics import KPIS
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
