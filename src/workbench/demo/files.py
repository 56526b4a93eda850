"""Writing source files: each under a temporary name first, and with the same bytes every time."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pandas as pd

FIXED_MOMENT = (2018, 1, 1, 0, 0, 0)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Offer a temporary name beside `path` and move it there once the block has succeeded."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_parquet(path: Path, table) -> Path:
    """Write an Arrow table or a pandas frame as Parquet, in row groups of 250,000 rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow = pa.Table.from_pandas(table, preserve_index=False) if isinstance(table, pd.DataFrame) else table
    with replacing(path) as temporary:
        pq.write_table(arrow.replace_schema_metadata(None), temporary, compression="zstd", row_group_size=250_000)
    return path


def write_csv(path: Path, table: pd.DataFrame, separator: str = ",", encoding: str = "utf-8") -> Path:
    """Write a CSV file with a header, lines ending in a line feed, and missing values as nothing."""
    with replacing(path) as temporary:
        table.to_csv(temporary, sep=separator, encoding=encoding, index=False, lineterminator="\n")
    return path


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    """Write text lines as UTF-8."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)
    return path


def write_secret(path: Path, text: str) -> Path:
    """Write a text that only its owner may read (mode 0600)."""
    with replacing(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(text, encoding="ascii")
    return path


def write_excel(path: Path, table: pd.DataFrame, sheet: str) -> Path:
    """Write one sheet; the times that Excel files carry about themselves are set to FIXED_MOMENT."""
    buffer = BytesIO()
    table.to_excel(buffer, sheet_name=sheet, index=False, engine="openpyxl")
    with replacing(path) as temporary, zipfile.ZipFile(buffer) as workbook, zipfile.ZipFile(temporary, "w") as fixed:
        for name in workbook.namelist():
            content = _timeless(name, workbook.read(name))
            fixed.writestr(zipfile.ZipInfo(name, FIXED_MOMENT), content, zipfile.ZIP_DEFLATED)
    return path


def _timeless(name: str, content: bytes) -> bytes:
    """Replace the moments of creation and change in a workbook's properties."""
    if name != "docProps/core.xml":
        return content
    return re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"2018-01-01T00:00:00Z", content)
