"""Errors that a user can act on: what and where, why it matters, the exact fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MAX_LINES = 10  # the runner adds two: where it happened and how to go on


class WorkbenchError(Exception):
    """A fault that the user can mend; `exit_code` is what the command line returns.

    what: what is wrong and where, with the actual value. why: why it matters. fix: the exact change or command.
    """

    exit_code = 1

    def __init__(self, what: str, why: str = "", fix: str = ""):
        super().__init__(what)
        self.what, self.why, self.fix = what, why, fix

    def __str__(self) -> str:
        """The message in at most MAX_LINES lines, the fix always among them."""
        tail = f"Why:  {self.why}".splitlines()[:2] if self.why else []
        tail += f"Fix:  {self.fix}".splitlines()[:5] if self.fix else []
        head = self.what.splitlines()
        room = MAX_LINES - len(tail)
        if len(head) > room:
            head = [*head[: room - 1], f"… and {len(head) - room + 1} more"]
        return "\n".join([*head, *tail])

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of a traceback."""
        return [f"{type(self).__name__}: {self}"]


class InputError(WorkbenchError, ValueError):
    """A source file or table that cannot be used (exit code 2)."""

    exit_code = 2


class ParameterError(WorkbenchError):
    """A configuration or parameter that cannot be used (exit code 3)."""

    exit_code = 3


class EnvironmentFault(WorkbenchError):
    """The machine stands in the way: disk, lock, memory, kernel (exit code 4)."""

    exit_code = 4


class QualityGate(WorkbenchError):
    """No trustworthy segments (exit code 5)."""

    exit_code = 5


class ContractBroken(WorkbenchError):
    """A table that is not what it promises: a fault of ours, found before it spreads (exit code 1)."""


KINDS = {c.__name__: c for c in (WorkbenchError, InputError, ParameterError, EnvironmentFault, QualityGate, ContractBroken)}


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """' Did you mean "x"?' for the closest known word, or the list of what is known when nothing is close."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f' Did you mean "{close[0]}"?'
    return f" Known: {', '.join(known[:12])}{', …' if len(known) > 12 else ''}." if known else ""
