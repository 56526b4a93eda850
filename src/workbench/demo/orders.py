"""One plain table of orders: the 69,659 purchases of CDNOW's customers of early 1997, as PyPI's `lifetimes` ships them."""

from __future__ import annotations

import csv
import importlib.util
import io
from hashlib import sha256
from pathlib import Path

from workbench.core.errors import EnvironmentFault
from workbench.core.files import write_text

DATASET = "datasets/CDNOW_master.txt"


def write_orders(folder: Path) -> list[Path]:
    """Write orders.csv (customer, ordered_on, discs, amount) and a demonstration key into `folder`; real figures, untouched.

    Raises EnvironmentFault with the command to type when the optional package is not installed.
    """
    found = importlib.util.find_spec("lifetimes")
    if found is None or not found.submodule_search_locations:
        raise EnvironmentFault(
            "CDNOW's orders come with the package lifetimes, which is not installed.", fix='pip install "workbench[demo]"'
        )
    source = Path(next(iter(found.submodule_search_locations))) / DATASET
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["customer", "ordered_on", "discs", "amount"])
    for line in source.read_text(encoding="ascii").splitlines()[1:]:
        writer.writerow(line.split())
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "orders.csv", text.getvalue())
    write_text(folder / "pseudonym.key", sha256(b"workbench demo orders").hexdigest(), mode=0o600)
    return [folder / "orders.csv", folder / "pseudonym.key"]
