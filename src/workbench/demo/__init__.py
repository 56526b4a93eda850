"""The demo companies: a grocer with real purchases and simulated channels around them, and a simulated software vendor."""

from __future__ import annotations

from pathlib import Path

__all__ = ["build_demo", "build_vendor"]

FEWEST_ACCOUNTS = 20


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


def build_vendor(folder: Path, seed: int = 7, accounts: int = 1200) -> list[Path]:
    """Write the source files of the demo software vendor, whose customers are organisations, into `folder`; returns their paths.

    Everything is simulated, month by month and without looking ahead (see `workbench.demo.vendor_life`). The same seed gives
    the same bytes. Raises ValueError when `seed` is negative or `accounts` is below 20, too few for the kinds planted.
    Above about 1,300 accounts the 5,000 telephone numbers that exist for films are given to more than one person.
    """
    from workbench.demo.vendor import write_vendor

    if seed < 0:
        raise ValueError(f"seed is {seed}; random streams are keyed by it, so give an integer of 0 or more")
    if accounts < FEWEST_ACCOUNTS:
        raise ValueError(f"accounts is {accounts}; give {FEWEST_ACCOUNTS} or more, so that every kind of account can occur")
    return write_vendor(Path(folder), accounts, seed)
