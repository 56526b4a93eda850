"""Which record got which customer_id: kept from run to run, so that the same person keeps the same number."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.core.errors import InputError
from workbench.core.files import atomic_write
from workbench.ingest.records import pseudonym

LEDGER = ["source", "record_id", "customer_id"]
CHANGES = ["change", "customer_id", "former_id", "records"]


@dataclass(frozen=True)
class Ids:
    """customer_id per record; changes: change (merged, split), customer_id, former_id, records that moved."""

    customer_id: pd.Series
    changes: pd.DataFrame


def read_ledger(path: Path) -> pd.DataFrame | None:
    """The ledger file -> source, record_id, customer_id; None when there is none yet; raises InputError when it is damaged."""
    if not path.is_file():
        return None
    try:
        return pd.read_parquet(path, columns=LEDGER).astype("str")
    except Exception:  # noqa: BLE001 - whatever the file holds, it is no ledger
        raise InputError(
            f"identity.ledger: {path} is not readable as a ledger of customer numbers.",
            "Customers would get new numbers, and nothing could be compared with earlier runs.",
            f"restore it from a backup, or move it away to start with new numbers: mv {path} {path}.damaged",
        ) from None


def write_ledger(path: Path, ledger: pd.DataFrame | None, identities: pd.DataFrame) -> None:
    """Add the run's identities to the ledger (newer numbers win), whole or not at all, readable by the owner alone."""
    import filelock

    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{path}.lock", timeout=60):
        both = pd.concat([identities[LEDGER], *([] if ledger is None else [ledger[LEDGER]])], ignore_index=True)
        kept = both.drop_duplicates(["source", "record_id"]).sort_values(["source", "record_id"], ignore_index=True)
        if ledger is None or not kept.equals(ledger):
            atomic_write(path, lambda p: kept.to_parquet(p, index=False), mode=0o600)


def keep_ids(ordered: pd.DataFrame, label: np.ndarray, ledger: pd.DataFrame | None, key: bytes) -> Ids:
    """Records (source, record_id in the order of their rank) and their groups -> Ids.

    A group keeps the number that most of its records had, and a number stays with the group that holds most of its records;
    else the first record of the group gives a new one: a keyed pseudonym, never a plain hash.
    """
    groups = pd.Series(label)
    first = ordered.iloc[np.unique(label)]
    names = zip(first.source.tolist(), first.record_id.tolist(), strict=True)
    fresh = pd.Series([f"c_{pseudonym(key, f'{source}|{record}')}" for source, record in names], index=np.unique(label))
    if ledger is None or ledger.empty:
        return Ids(groups.map(fresh).astype("str"), _changes([]))
    former = ordered[["source", "record_id"]].merge(ledger, on=["source", "record_id"], how="left").customer_id
    votes = pd.DataFrame({"group": label, "id": former}).dropna().value_counts(["group", "id"]).rename("records").reset_index()
    votes = votes.sort_values(["records", "group", "id"], ascending=[False, True, True], ignore_index=True)
    kept = _assign(votes)
    taken = set(ledger.customer_id)
    names = fresh.copy()
    for group, name in fresh[~fresh.index.isin(kept.index)].items():
        names[group] = name if name not in taken else _another(key, name, taken)
    names.update(kept)
    return Ids(groups.map(names).astype("str"), _changes(_moves(votes, names)))


def _assign(votes: pd.DataFrame) -> pd.Series:
    """Group -> kept id: the clear cases at once, the contested ones by most records."""
    clear = ~votes.group.duplicated(keep=False) & ~votes.id.duplicated(keep=False)
    kept = dict(zip(votes.group[clear], votes.id[clear], strict=True))
    used = set(kept.values())
    for group, name in votes[~clear][["group", "id"]].itertuples(index=False):
        if group not in kept and name not in used:
            kept[group] = name
            used.add(name)
    return pd.Series(kept, dtype="str")


def _another(key: bytes, name: str, taken: set[str]) -> str:
    """A new number where the pseudonym is in use already: its record founded a customer who has split since."""
    tries = (f"c_{pseudonym(key, f'{name}|{i}')}" for i in range(1, 1000))
    found = next(other for other in tries if other not in taken)
    taken.add(found)
    return found


def _moves(votes: pd.DataFrame, names: pd.Series) -> list[tuple]:
    """Records whose number is another than before: a whole former customer (merged) or a part of one (split)."""
    now = votes.assign(now=votes.group.map(names))
    alive = set(now.id[now.id == now.now])
    moved = now[now.id != now.now]
    return [("split" if row.id in alive else "merged", row.now, row.id, row.records) for row in moved.itertuples()]


def _changes(rows: list[tuple]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=CHANGES).astype(
        {"change": "str", "customer_id": "str", "former_id": "str", "records": int}
    )
    return frame.sort_values(CHANGES[:3], ignore_index=True)
