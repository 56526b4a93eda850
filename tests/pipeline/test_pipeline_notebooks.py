"""The committed notebooks: same shape, parameters equal to the models, short cells, outputs stored, nothing private in them."""

from __future__ import annotations

import ast
import json
import re
import warnings
from pathlib import Path

import nbformat
import pytest

from workbench.core.config import SETTINGS, STAGES
from workbench.core.rundir import notebook_name

ROOT = Path(__file__).parents[2]
NOTEBOOKS = {stage: ROOT / "notebooks" / f"{notebook_name(stage)}.ipynb" for stage in STAGES}


@pytest.fixture(params=STAGES)
def stage(request) -> str:
    return request.param


@pytest.fixture
def cells(stage) -> list:
    return nbformat.read(NOTEBOOKS[stage], 4).cells


def test_parameters_equal_the_model(stage):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from papermill import inspect_notebook
    found = inspect_notebook(str(NOTEBOOKS[stage]))
    fields = SETTINGS[stage].model_fields
    assert list(found) == list(fields)
    kinds = {"str": str, "int": int, "float": float}
    for name, parameter in found.items():
        default = ast.literal_eval(parameter["default"])
        assert default == fields[name].default, name
        assert type(default) is kinds[parameter["inferred_type_name"]], name
        assert parameter["help"] == fields[name].description, name


def test_the_shape_is_the_same_everywhere(cells):
    assert cells[0].source.startswith("# ")
    assert "?" in cells[0].source.splitlines()[0]
    assert "| reads | writes |" in cells[0].source
    assert cells[1].metadata.tags == ["parameters"]
    titles = [line for c in cells if c.cell_type == "markdown" for line in c.source.splitlines() if line.startswith("## ")]
    assert [t.split(".")[0] for t in titles] == [f"## {i}" for i in range(1, len(titles) + 1)]
    assert "Checks and record" in titles[-1]


def test_code_cells_are_short_and_define_nothing(cells):
    for cell in cells[2:]:
        if cell.cell_type == "code":
            tree = ast.parse(cell.source)
            assert len(tree.body) <= 10, cell.source
            assert not [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef, ast.While, ast.Try))], (
                cell.source
            )


def test_outputs_are_stored_small_and_without_personal_data_or_places(stage, cells):
    text = NOTEBOOKS[stage].read_text()
    assert len(text) < 1_000_000
    assert any(c.get("outputs") for c in cells)
    assert not re.search(r"[\w.+-]+@[\w-]+\.\w+|/work/|/home/|/root/|/tmp/", text)
    assert not [o for c in cells if c.cell_type == "code" for o in c.outputs if o.output_type in ("error", "stream")]


def test_images_carry_alternative_text(cells):
    for cell in cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                assert len(output.metadata["image/png"]["alt"]) > 25


def test_no_notebook_metadata_of_one_machine(stage):
    metadata = json.loads(NOTEBOOKS[stage].read_text())["metadata"]
    assert metadata["kernelspec"]["name"] == "python3"
    assert "papermill" not in metadata
