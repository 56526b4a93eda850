"""The demo company: a grocer with real purchases and simulated channels around them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["build_demo"]


def build_demo(folder: Path, seed: int = 7, households: int | None = None) -> list[Path]:
    """Write the source files of the demo grocer into `folder` and return their paths.

    Purchases, campaigns, redemptions and demographics are real (Complete Journey, 2017); everything else is simulated
    from them without looking ahead (see `workbench.demo.behaviour`). The same seed gives the same bytes.
    `households` keeps that many households, spread evenly from the lightest to the heaviest buyer.
    Raises ValueError when `seed` is negative or `households` is below 1.
    """
    from workbench.demo.company import write_company
    from workbench.demo.real import keep_households, read_real, spread_sample

    if seed < 0:
        raise ValueError(f"seed is {seed}; random streams are keyed by it, so give an integer of 0 or more")
    grocer = read_real()
    if households is not None:
        grocer = keep_households(grocer, spread_sample(grocer, households))
    return write_company(Path(folder), grocer, seed)
