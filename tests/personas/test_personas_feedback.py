"""What teams say is in the next run: new names, vetoes, notes; a slip in the file stops instead of being passed over."""

import pandas as pd
import pytest

from workbench.core.errors import ParameterError
from workbench.personas.feedback import apply_vetoes, read_feedback, rename, without_segment
from workbench.personas.playbook import customer_journey

NAMES = pd.Series({0: "Wine lovers", 1: "Steady shoppers", 2: "Weekend buyers"})
FILE = """kind,segment,stage,text,by
rename,Wine lovers,,Weekend stock-up families,Ann
rename,Steady shoppers,,Weekend buyers,Bob
veto,Wine lovers,winback,legal has not agreed,Cy
veto,Weekend buyers,,pilot comes later,
note,Weekend buyers,growth,try a tasting,Di
note,Nobody here,,gone,Ed
"""


@pytest.fixture
def said(home):
    (home / "feedback.csv").write_text(FILE)
    return read_feedback("feedback.csv")


def matrix():
    cells = [(i, s) for i in NAMES.index for s in ("growth", "winback")]
    plan = pd.DataFrame(cells, columns=["segment_id", "stage"])
    return plan.assign(treatment="write", channel="e-mail", offer="coupon", message="hello")


def test_an_analyst_names_a_segment_but_never_like_another(said):
    assert rename(NAMES, said).to_dict() == {0: "Weekend stock-up families", 1: "Steady shoppers", 2: "Weekend buyers"}


def test_vetoed_cells_have_no_treatment_and_notes_stand_beside(said):
    plan = apply_vetoes(matrix(), rename(NAMES, said), said).set_index(["segment_id", "stage"])
    assert plan.vetoed.to_dict() == {(0, "growth"): False, (0, "winback"): True, (1, "growth"): False, (1, "winback"): False, (2, "growth"): True, (2, "winback"): True}  # fmt: skip
    assert plan.note[0, "winback"] == "legal has not agreed (Cy)"
    assert plan.note[2, "growth"] == "pilot comes later; try a tasting (Di)"
    assert plan.treatment[0, "winback"] == "none: vetoed"
    assert plan.offer[0, "winback"] == "none"
    assert plan.treatment[1, "winback"] == "write"


def test_customers_in_a_vetoed_cell_are_marked(said):
    plan = apply_vetoes(matrix(), rename(NAMES, said), said)
    index = pd.Index(["a", "b", "c"], name="customer_id")
    features = pd.DataFrame({"net_revenue": [1.0, 2.0, 3.0]}, index=index)
    journey = customer_journey(pd.Series("winback", index=index), pd.Series([0, 1, 2], index=index), features, plan)
    assert journey.vetoed.tolist() == [True, False, True]


def test_what_meets_no_segment_is_told(said):
    assert list(without_segment(said, rename(NAMES, said), NAMES).segment) == ["Nobody here"]


def test_no_file_is_no_feedback(home):
    assert read_feedback("").empty
    assert not apply_vetoes(matrix(), NAMES, read_feedback("")).vetoed.any()
    with pytest.raises(ParameterError, match="feedback.csv is not there"):
        read_feedback("feedback.csv")


def test_every_slip_is_named_with_its_line(home):
    (home / "feedback.csv").write_text(
        "kind,segment,stage,text\nvetto,A b,,x\nveto,,,x\nveto,A b,winbak,x\nrename,A b,,Segment 1\n"
    )
    with pytest.raises(ParameterError) as fault:
        read_feedback("feedback.csv")
    text = fault.value.what
    assert 'csv:2: kind "vetto" is not known. Did you mean "veto"?' in text
    assert "csv:3: which segment" in text
    assert 'csv:4: stage "winbak"' in text
    assert 'csv:5: the name "Segment 1" numbers' in text
    (home / "feedback.csv").write_text("what,who\n1,2\n")
    with pytest.raises(ParameterError, match="columns are missing: kind, segment, text"):
        read_feedback("feedback.csv")
