"""A draft as YAML text: every guess with its reason behind it, what was not understood below its source."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from typing import Any

import yaml

from workbench.core import workspace
from workbench.ingest.draft.guess import Guess, SourceGuess, value_of

WIDTH = 110


def draft_text(
    plain: dict[str, Any],
    known: list[SourceGuess],
    refused: list[SourceGuess],
    passed: list[str],
    missing: list[str],
    output: str,
) -> str:
    """A whole draft -> the text of the configuration."""
    lines = [*_head(plain, missing, output)]
    left = {g.name: g for g in known}
    for section, content in plain.items():
        if section != "sources":
            lines += [*_lines(section, content, ""), *([""] if section not in ("as_of",) or "data_until" not in plain else [])]
            continue
        lines.append("sources:")
        for name, source in content.items():
            lines += [*_lines(name, source, "  "), *_left_out(left[name]), ""]
    for guess in refused:
        lines += _comment(f"left out: {guess.sample.place} – {guess.refusal}; its columns: {', '.join(guess.columns)}")
    for what in passed:
        lines += _comment(f"left out: {what}")
    return "\n".join(lines).rstrip() + "\n"


def all_guesses(plain: Any, place: str = "") -> list[tuple[str, Guess]]:
    """A draft -> its guesses, each with the dotted name of its setting."""
    if isinstance(plain, Guess):
        return [(place, plain)] if plain.reason else []
    if isinstance(plain, dict):
        return [found for key, inner in plain.items() for found in all_guesses(inner, f"{place}.{key}" if place else str(key))]
    if isinstance(plain, list):
        return [found for n, inner in enumerate(plain) for found in all_guesses(inner, f"{place}.{n}")]
    return []


def _head(plain: dict[str, Any], missing: list[str], output: str) -> Iterator[str]:
    target = workspace.resolve(output)
    schema = workspace.root() / "configs" / "workbench.schema.json"
    beside = os.path.relpath(schema, target.parent) if schema.is_file() else "workbench.schema.json"
    yield f"# yaml-language-server: $schema={beside}"
    guesses = all_guesses(plain)
    unsure = [place for place, guess in guesses if guess.is_open]
    yield from _comment(
        f"A draft by `workbench init`. {len(guesses)} settings are guesses from names and values, each with its reason behind it; "
        f"{len(unsure)} of them could not be told from the data: search for GUESS."
    )
    if unsure:
        yield from _comment(f"Check first: {', '.join(unsure)}.")
    if missing:
        yield from _comment(f"Missing for a full run: {', '.join(missing)}.")
    yield from _comment(f"Then: `workbench check {output}` tells every problem at once, `workbench run {output}` runs it.")
    yield from _comment(
        "No KPI has a goal yet: write yours into a copy of configs/targets.yaml and name it as kpis.targets. Treatments and what they are assumed "
        "to bring and to cost come from configs/playbook.yaml and configs/business_case.yaml, written for a grocer: do the same with them before "
        "you act on them (personas.playbook, kpis.assumptions)."
    )
    yield from _comment(
        "The key file beside it keeps customer numbers secret and stable: keep it, and keep it out of version control."
    )
    yield ""


def _comment(text: str, indent: str = "") -> list[str]:
    plain = "".join(c if c.isprintable() else " " for c in text)
    return textwrap.wrap(
        plain,
        WIDTH,
        initial_indent=f"{indent}# ",
        subsequent_indent=f"{indent}# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _lines(key: str, content: Any, indent: str) -> Iterator[str]:
    """One setting -> its lines."""
    name, value = _scalar(key), value_of(content)
    if isinstance(value, dict):
        yield f"{indent}{name}:"
        for inner, more in value.items():
            yield from _lines(inner, more, indent + "  ")
    elif isinstance(value, list) and any(isinstance(value_of(entry), dict) for entry in value):
        yield f"{indent}{name}:"
        for entry in value:
            block = [line for inner, more in entry.items() for line in _lines(inner, more, indent + "    ")]
            yield f"{indent}  - {block[0].lstrip()}"
            yield from block[1:]
    else:
        text = f"[{', '.join(_scalar(value_of(v)) for v in value)}]" if isinstance(value, (list, tuple)) else _scalar(value)
        yield f"{indent}{name}: {text}{_reason(content)}"


def _reason(content: Any) -> str:
    if not isinstance(content, Guess) or not content.reason:
        return ""
    plain = "".join(c if c.isprintable() else " " for c in content.reason)
    return f"  # {'GUESS, check' if content.is_open else 'guess'}: {plain}"


def _scalar(value: Any) -> str:
    """A plain value as YAML on one line, quoted where it has to be."""
    if not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    text = yaml.safe_dump([value], allow_unicode=True, width=10**9, default_flow_style=True).strip()[1:-1]
    # In flow lists, and for readers, signs that mean something to YAML are quoted even where they need not be.
    return text if "\n" not in text else yaml.safe_dump([value], width=10**9, default_style='"').strip()[2:]


def _left_out(guess: SourceGuess) -> list[str]:
    rest = guess.left_out
    if not rest:
        return []
    return _comment("not understood, left out: " + ", ".join(f"{name} ({what})" for name, what in rest.items()), "    ")
