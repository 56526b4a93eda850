"""An optional writer: stories rephrased by any OpenAI-compatible endpoint, kept only where they still say what the tables carry."""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable

import pandas as pd

from workbench.core.config import PersonaSettings
from workbench.core.errors import ParameterError, WorkbenchError
from workbench.personas.naming import SENSITIVE

BUILT_IN, ENDPOINT = "built-in", "endpoint"
SECONDS = 30
LONGEST, MOST_BYTES = 1.5, 1_000_000  # a story may grow by half; no answer is larger
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Numbers that a checker of digits would not see.
IN_WORDS = re.compile(
    r"\b(two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred"
    r"|thousand|million|dozen|half|third|quarter|double|triple|twice|thrice|times|percent)\b",
    re.IGNORECASE,
)
ASKED = (
    "Rephrase this portrait of a group of customers as three to six plain sentences about them in the third person. Keep every number, "
    "its unit and the order of the numbers exactly; write no number in words; add no fact, cause, motive, name or judgement. "
    "Leave quotations word for word. Answer with the text alone."
)


def rephrase(personas: pd.DataFrame, settings: PersonaSettings, check: Callable[[pd.DataFrame], object]) -> pd.DataFrame:
    """Personas (story = body and caution) -> the same with `told_by`: endpoint where its words passed `check`, else built-in.

    check: raises WorkbenchError for a persona that tells what no table carries. Only the body is sent: figures of a whole segment
    and scrubbed quotes, never a customer. What is not known and how far to trust a segment stay in our words. Raises
    ParameterError for an address that is neither https nor this machine, and for a key that is not there.
    """
    told = personas.assign(told_by=BUILT_IN)
    if not settings.writer:
        return told
    key = _key(settings.writer_key)
    _check_address(settings.writer)
    for at in told.index:
        try:
            body = _ask(settings.writer, settings.writer_model, key, told.body[at])
        except OSError:  # nobody answers: the others would only wait as long
            break
        except (ValueError, KeyError, IndexError, TypeError):
            continue
        tried = told.loc[[at]].assign(body=body, story=f"{body} {told.caution[at]}".strip(), told_by=ENDPOINT)
        if _sound(body, personas.body[at]) and _passes(check, tried):
            told.loc[[at]] = tried
    return told


def _passes(check: Callable[[pd.DataFrame], object], tried: pd.DataFrame) -> bool:
    try:
        check(tried)
    except WorkbenchError:
        return False
    return True


def _sound(body: str, before: str) -> bool:
    """What digits do not show: no number in words, nothing sensitive, no markup, not much longer."""
    words = {w.lower() for w in IN_WORDS.findall(before)}
    if {w.lower() for w in IN_WORDS.findall(body)} - words or not 0 < len(body) <= LONGEST * len(before):
        return False
    return not (SENSITIVE.search(body) and not SENSITIVE.search(before)) and not re.search(r"[<>`]|\]\(|https?:", body)


def _ask(address: str, model: str, key: str, body: str) -> str:
    """One answer of the endpoint; raises OSError where there is none and ValueError where it is not of the known form."""
    messages = [{"role": "system", "content": ASKED}, {"role": "user", "content": body}]
    asked = json.dumps({"model": model, "temperature": 0, "messages": messages}).encode()
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    request = urllib.request.Request(f"{address.rstrip('/')}/chat/completions", asked, headers)
    opener = urllib.request.build_opener(_NoDetour)
    with opener.open(request, timeout=SECONDS) as answer:
        content = json.loads(answer.read(MOST_BYTES))["choices"][0]["message"]["content"]
    return re.sub(r"\s+", " ", str(content)).strip()


class _NoDetour(urllib.request.HTTPRedirectHandler):
    """The key goes to the address that was stated and to no other."""

    def redirect_request(self, *_: object) -> None:
        return None


def _key(reference: str) -> str:
    if not reference:
        return ""
    name = reference.removeprefix("env:")
    if name not in os.environ:
        raise ParameterError(
            f"personas.writer_key: the environment variable {name} is not set.",
            "The writer would be asked without a key.",
            f"export {name}=… , or leave writer empty",
        )
    return os.environ[name]


def _check_address(address: str) -> None:
    parts = urllib.parse.urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK) or parts.password:
        raise ParameterError(
            "personas.writer: the address is neither https nor on this machine, or it holds a password.",
            "Stories and the key would travel in the open.",
            "write https://host/v1 , or http://localhost:PORT/v1",
        )
