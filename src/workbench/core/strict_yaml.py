"""YAML without surprises: every scalar stays text, duplicates, tags and anchors are refused, lines are remembered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from workbench.core.errors import ParameterError

MAX_BYTES = 1_000_000
Where = dict[tuple, int]


def read_yaml(path: Path) -> tuple[dict[str, Any], Where]:
    """A YAML file -> (mapping with text scalars, {path of keys: line}).

    Text scalars let the declared model convert: `NO` stays "NO" and an impossible date is reported, not raised by
    the parser. Raises ParameterError with the line for anything that is not one plain mapping.
    """
    if not path.is_file():
        raise ParameterError(
            f"{path}: there is no such configuration file.", fix="name an existing file, e.g. configs/grocer.yaml"
        )
    if path.stat().st_size > MAX_BYTES:
        raise ParameterError(
            f"{path}: larger than 1 MB.", "A configuration is written by hand.", "name the configuration, not the data"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
        node = yaml.compose(text)
        tokens = list(yaml.scan(text))
    except (yaml.YAMLError, ValueError, RecursionError) as fault:
        raise ParameterError(_scan_message(path, fault), "Nothing was run.", "correct that line") from None
    for token in tokens:
        if isinstance(token, (yaml.AnchorToken, yaml.AliasToken, yaml.TagToken)):
            kind = type(token).__name__.removesuffix("Token").lower()
            raise ParameterError(f"{path}:{token.start_mark.line + 1}: YAML {kind} is not accepted.", fix="write the value out")
    if not isinstance(node, yaml.MappingNode):
        raise ParameterError(
            f"{path}: expected settings as `name: value`, found {'nothing' if node is None else node.id}.",
            fix="see configs/grocer.yaml",
        )
    where: Where = {}
    return _plain(node, (), where, path), where


def _scan_message(path: Path, fault: Exception) -> str:
    mark = getattr(fault, "problem_mark", None)
    line = f":{mark.line + 1}" if mark else ""
    hint = " (tabs cannot indent YAML: use spaces)" if "\\t" in str(fault) else ""
    return f"{path}{line}: not readable as YAML: {getattr(fault, 'problem', fault)}{hint}"


def _plain(node: yaml.Node, keys: tuple, where: Where, path: Path) -> Any:
    where[keys] = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode):
        return None if node.style is None and node.value in ("", "~", "null") else node.value
    if isinstance(node, yaml.SequenceNode):
        return [_plain(child, (*keys, i), where, path) for i, child in enumerate(node.value)]
    found: dict[str, Any] = {}
    for key, child in node.value:
        name, line = key.value, key.start_mark.line + 1
        if not isinstance(name, str):
            raise ParameterError(f"{path}:{line}: a setting's name must be plain text.", fix="write `name: value`")
        if name in found:
            raise ParameterError(
                f'{path}:{line}: "{name}" is set twice (first on line {where[(*keys, name)]}).',
                "Only one of them would count.",
                "delete one of the two lines",
            )
        found[name] = _plain(child, (*keys, name), where, path)
        where[(*keys, name)] = line
    return found
