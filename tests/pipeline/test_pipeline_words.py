"""What customers say: answers to questions become events, what they write is kept in private/ alone and leads back to its row."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd
import pipeline_ingest as tiny
import pytest

SECRET = "Marisolde here, my order was late again, call 555-0199"
ROWS = [
    ["L0001", "2024-03-01T10:00", "7", "4", SECRET],
    ["L0002", "2024-03-02T10:00", "9", "", ""],
    ["L0003", "2024-03-03T10:00", "x", "2", "good"],
    ["L0004", "2024-03-04T10:00", "", "6", " never late "],
]
SURVEY = {
    "kind": "survey", "path": "survey.csv", "record_id": "card", "identity": {"loyalty_id": "card"},
    "events": [
        {"type": "survey", "at": "at", "score": "nps", "score_range": [0, 10], "text": "comment"},
        {"type": "survey_answer", "at": "at", "question": "price matters", "score": "price", "score_range": [1, 5]},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    home = tmp_path_factory.mktemp("survey")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_HOME", str(home))
        rows = [[*row[:4], f'"{row[4]}"'] for row in ROWS]
        tiny.write_company(home, {"survey.csv": tiny.lines("card,at,nps,price,comment", rows)}, {"sources": {"survey": SURVEY}})
        tiny.run_notebook_01("said", max_reject_share=1.0)
        yield home


def test_answers_are_events_with_the_question_as_topic(survey):
    events = pd.read_parquet(survey / "runs/said/tables/events.parquet")
    answers = events[events.event_type == "survey_answer"]
    # The row whose NPS is no number gave an answer all the same; 6 is outside 1 to 5.
    assert sorted(answers.score.dropna()) == [2.0, 4.0]
    assert set(answers.topic) == {"price matters"}
    assert "text" not in events


def test_texts_lie_in_private_alone_and_lead_back_to_their_rows(survey):
    home = survey
    texts = pd.read_parquet(home / "runs/said/private/texts.parquet")
    assert list(texts.text) == [SECRET, "never late"]
    raw = list(csv.reader(io.StringIO((home / "survey.csv").read_text())))
    for said in texts.itertuples():
        assert Path(said.file).name == "survey.csv"
        assert raw[said.row][4].strip() == said.text
    tables = b"".join(path.read_bytes() for path in (home / "runs/said/tables").glob("*.parquet"))
    assert b"call 555" not in tables
    assert (home / "runs/said/private/texts.parquet").stat().st_mode & 0o077 == 0


def test_a_question_beside_a_topic_column_is_refused():
    from pydantic import ValidationError

    from workbench.core.config import Events

    with pytest.raises(ValidationError, match="keep one"):
        Events(type="survey_answer", at="at", question="price matters", topic="reason")
