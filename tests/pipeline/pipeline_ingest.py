"""A tiny company of 60 customers with planted names, e-mails and phones, and the steps of notebook 01 in this process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from functools import reduce
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

from workbench.core import workspace

CUSTOMERS = 60
KEY = "ab" * 32
GIVEN = ("Zephyrine", "Quillon", "Marisolde", "Oswinia", "Tancredo", "Yseultine")
FAMILY = ("Vantongeren", "Okonkwolski", "Brambleforth", "Szczepankova", "Delacroixe")
MARKERS = (*GIVEN, *FAMILY, "planted.example", "555-01", "55501", "Thistledown")
CRM_HEADER = "id,first,last,mail,phone,card,since,optin,city"
ORDERS_HEADER = "card,at,no,amount"
SOURCES = {
    "crm": {
        "kind": "crm", "path": "crm.csv", "record_id": "id", "created_at": "since",
        "identity": {"given_name": "first", "family_name": "last", "email": "mail", "phone": "phone", "loyalty_id": "card"},
        "profile": {"town": "city"}, "consent": {"email": "optin"},
    },
    "orders": {
        "kind": "pos", "path": "orders.csv", "record_id": "card", "identity": {"loyalty_id": "card"},
        "events": [{"type": "order", "at": "at", "order_id": "no", "amount": "amount"}],
    },
}  # fmt: skip
COMPANY = {
    "company": {"name": "Sixty", "timezone": "Europe/Berlin", "currency": "EUR", "region": "US"}, "as_of": "2024-06-01",
    "sources": SOURCES, "ingest": {"store": ""},
    "identity": {"probabilistic": False, "one_per_customer": ["loyalty_id"], "key_file": "data/pseudonym.key"},
}  # fmt: skip


def crm_rows(count: int = CUSTOMERS) -> list[list[str]]:
    """Customers with the planted markers, one list of cells each; the first two share an e-mail, as couples do."""
    return [
        [
            str(1000 + i), GIVEN[i % 6], FAMILY[i % 5], f"{GIVEN[i % 6 if i > 1 else 0].lower()}{max(i, 1)}@planted.example", f"(212) 555-01{i:02d}",
            f"L{i:04d}", f"2023-{i % 12 + 1:02d}-05", "yes" if i % 3 else "no", "Thistledown" if i % 2 else "Bonn",
        ]
        for i in range(count)
    ]  # fmt: skip


def order_rows(count: int = CUSTOMERS) -> list[list[str]]:
    """Three orders per customer."""
    return [
        [f"L{i:04d}", f"2024-0{k + 1}-{i % 27 + 1:02d}", f"{i}-{k}", f"{10 + i}.5{k}"] for i in range(count) for k in range(3)
    ]


def lines(header: str, rows: list[list[str]]) -> str:
    """A header and rows of plain cells -> the text of a CSV file."""
    return "\n".join([header, *(",".join(row) for row in rows)]) + "\n"


def crm_text(count: int = CUSTOMERS) -> str:
    """The customers' file."""
    return lines(CRM_HEADER, crm_rows(count))


def orders_text(count: int = CUSTOMERS) -> str:
    """The orders' file."""
    return lines(ORDERS_HEADER, order_rows(count))


def merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with others laid over them; None takes one away."""
    found = deepcopy(dict(base))
    for key, value in more.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merged(found[key], value) if isinstance(value, Mapping) and isinstance(found.get(key), dict) else value
    return found


def write_company(folder: Path, files: Mapping[str, str | bytes | None] | None = None, *settings: Mapping) -> Path:
    """The company's files and configuration, with others laid over them (None: no such file) -> the configuration."""
    plain = reduce(merged, settings, COMPANY)
    everything = {"crm.csv": crm_text(), "orders.csv": orders_text(), "data/pseudonym.key": KEY, **(files or {})}
    for name, content in everything.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    (folder / "configs").mkdir(exist_ok=True)
    config = folder / "configs" / "sixty.yaml"
    config.write_text(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return config


def run_notebook_01(
    run_id: str = "lab", config: str = "configs/sixty.yaml", until: str = "", **parameters: Any
) -> SimpleNamespace:
    """Execute the code cells of notebook 01 in this process, without drawing -> its names, and `shown`: what readers see.

    until: a text in a cell; the steps end before it.
    """
    notebook = workspace.PACKAGE.parents[1] / "notebooks" / "01_ingest.ipynb"
    cells = [c for c in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "code"]
    names, told = {}, []
    for cell in cells:
        code = "".join(cell["source"])
        if until and until in code:
            break
        exec(compile(code, str(notebook), "exec"), names)
        if "parameters" in cell["metadata"].get("tags", []):
            names |= {"run_dir": f"runs/{run_id}", "config": config, **parameters}
        if "views" in names and not isinstance(names["views"], _Undrawn):
            names |= _quiet(names["views"], told)
    return SimpleNamespace(**{k: v for k, v in names.items() if not k.startswith("__")}, shown="\n".join(told))


def _quiet(views: Any, told: list[str]) -> dict[str, Any]:
    """Stand-ins for what draws: sentences and tables are collected, charts are not made."""
    from workbench.views.theme import table

    def tabled(*arguments: Any, **more: Any) -> None:
        shown = table(*arguments, **more)
        told.append(f"{shown.caption}\n{shown.frame.to_csv(index=False)}")

    return {"views": _Undrawn(views), "say": told.append, "show": lambda *_: None, "use_style": lambda: None, "table": tabled}


class _Undrawn:
    """A module of views whose charts are not drawn."""

    def __init__(self, module: Any):
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return (lambda *_, **__: None) if name.startswith("chart_") else getattr(self._module, name)
