"""The optional writer is believed only where its words carry no other number, and its failure costs nothing."""

import json
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer

import pandas as pd
import pytest
from pydantic import ValidationError

from workbench.core.config import PersonaSettings
from workbench.core.errors import ParameterError
from workbench.personas.quotes import COLUMNS
from workbench.personas.story import check_story, tell_personas
from workbench.personas.writer import rephrase

SECRET = "sk-canary-0123456789"
QUALITY = pd.DataFrame({"segment_id": [0, 1], "segment_name": ["Weekend wine buyers", "Steady shoppers"], "size": [1300, 160], "share": [0.81, 0.19], "revenue_share": [0.7, 0.3], "verdict": ["pass", "fail"]})  # fmt: skip
DRIVERS = pd.DataFrame([(0, "affinity", "buy wine", "wine share", 0.28, 0.12, "share", 900, 1.0, "apart")], columns=["segment_id", "family", "claim", "noun", "value", "base", "unit", "n", "coverage", "aspect"])  # fmt: skip
GAPS = pd.DataFrame({"segment_id": [0, 1], "unknown": ["what matters to them"] * 2, "known": [0.1, 0.2]})
QUOTES = pd.DataFrame(columns=COLUMNS)
PERSONAS = tell_personas(QUALITY, DRIVERS, GAPS, QUOTES, "EUR")
CHECK = partial(check_story, segments=QUALITY, drivers=DRIVERS, gaps=GAPS, quotes=QUOTES, currency="EUR")


@pytest.fixture
def endpoint(monkeypatch):
    """A server on this machine; `answers` maps what was asked to what it says; `asked` keeps the requests."""
    asked, answers = [], {}

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, self.headers.get("Authorization"), body))
            status, text = answers["with"](body["messages"][-1]["content"])
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()
            self.wfile.write(text if isinstance(text, bytes) else json.dumps({"choices": [{"message": {"content": text}}]}).encode())  # fmt: skip

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("WRITER_KEY", SECRET)
    made = PersonaSettings(writer=f"http://127.0.0.1:{server.server_port}/v1", writer_model="m", writer_key="env:WRITER_KEY")
    yield made, asked, answers
    server.shutdown()
    server.server_close()


def test_sound_words_are_taken_and_cautions_stay_ours(endpoint):
    made, asked, answers = endpoint
    answers["with"] = lambda text: (200, f"Meet them: {text}")
    told = rephrase(PERSONAS, made, CHECK)
    assert set(told.told_by) == {"endpoint"}
    assert (told.story == "Meet them: " + PERSONAS.body + " " + PERSONAS.caution).all()
    assert CHECK(told) == CHECK(PERSONAS)
    path, key, body = asked[0]
    assert (path, key, body["model"]) == ("/v1/chat/completions", f"Bearer {SECRET}", "m")
    assert body["messages"][-1]["content"] == PERSONAS.body[0]


LIES = {
    "another number": lambda t: (200, t.replace("28 %", "29 %")),
    "numbers exchanged": lambda t: (200, t.replace("28 %", "x").replace("12 %", "28 %").replace("x", "12 %")),
    "a number more": lambda t: (200, t + " They come 3 times."),
    "a number in words": lambda t: (200, t + " Half of them are happy."),
    "something sensitive": lambda t: (200, t + " Many are pregnant."),
    "markup": lambda t: (200, t + " <b>Now</b>"),
    "a link": lambda t: (200, t + " See https://x.example."),
    "a novel": lambda t: (200, t + " and so on" * 200),
    "nothing": lambda t: (200, ""),
    "not of that form": lambda t: (200, b'{"choices": []}'),
    "not JSON": lambda t: (200, b"<html>"),
    "an error": lambda t: (500, b"no"),
    "a detour": lambda t: (302, b""),
}


@pytest.mark.parametrize("lie", LIES)
def test_anything_else_falls_back_to_the_built_in_story(endpoint, lie):
    made, _, answers = endpoint
    answers["with"] = LIES[lie]
    told = rephrase(PERSONAS.iloc[:1], made, CHECK)
    assert told.drop(columns="told_by").equals(PERSONAS.iloc[:1])
    assert told.told_by.tolist() == ["built-in"]


def test_nobody_there_is_asked_once(endpoint):
    made, asked, answers = endpoint
    answers["with"] = lambda text: (503, b"")
    rephrase(PERSONAS, made, CHECK)
    assert len(asked) == 1
    gone = made.model_copy(update={"writer": "http://127.0.0.1:9/v1"})
    assert set(rephrase(PERSONAS, gone, CHECK).told_by) == {"built-in"}


def test_without_an_endpoint_nothing_is_asked():
    assert set(rephrase(PERSONAS, PersonaSettings(), CHECK).told_by) == {"built-in"}


@pytest.mark.parametrize(
    "address", ["http://example.com/v1", "file:///etc/passwd", "ftp://x/v1", "https://user:pw@example.com/v1", "example.com"]
)
def test_addresses_in_the_open_are_refused(address):
    with pytest.raises(ParameterError, match="neither https nor on this machine"):
        rephrase(PERSONAS, PersonaSettings(writer=address), CHECK)


def test_the_key_is_only_named(monkeypatch):
    """S25."""
    with pytest.raises(ValidationError):
        PersonaSettings(writer_key=SECRET)
    monkeypatch.delenv("WRITER_KEY", raising=False)
    with pytest.raises(ParameterError, match="WRITER_KEY is not set"):
        rephrase(PERSONAS, PersonaSettings(writer="https://x.example/v1", writer_key="env:WRITER_KEY"), CHECK)
