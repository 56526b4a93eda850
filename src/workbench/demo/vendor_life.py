"""The life of the accounts, month by month: mood, contract, seats, projects, purchases, use and trouble.

The rule of this company: what happens in a month follows from the account's hidden kind and traits and from its own state
at the month's start, which only earlier months have made. A simulation of fewer months is the beginning of a longer one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from workbench.demo.chance import pick_by_row, stream
from workbench.demo.vendor_calendar import DAY, MONTH_STARTS, calendar_month, office_moments, working_mornings
from workbench.demo.vendor_types import (
    ADD_ONS,
    CHALLENGES,
    EXTRAS,
    PLANS,
    PRODUCTS,
    PROSPECT,
    SUPPORTS,
    of_kinds,
    season_of,
    weights_of,
)

REASONS = ("price", "missing features", "project ended", "support", "merger")
OFFERS = (("TRN-ONL", 0.40), ("ADD-STO", 0.35), ("ADD-ANA", 0.35), ("SUP-PLU", 0.30))  # in turn, every other month
CREDITED = 0.03  # of recurring invoices; more where the mood is bad
PRICE = {code: product[3] for code, product in PRODUCTS.items()}


@dataclass
class Accounts:
    """The state of every account at a month's start; arrays in the order of the organisations.

    traits: the organisations' frame; running: has a contract; seats, first_seats: licences now and at the beginning; plan:
    position in PLANS; billing: months per invoice; discount: agreed, 0 to 1; add_ons: accounts x ADD_ONS owned; support:
    0 none, 1 plus, 2 premium; health: mood; troubles: tickets of the month before; begins, ends: local times of the contract.
    """

    traits: pd.DataFrame
    kinds: np.ndarray
    running: np.ndarray
    seats: np.ndarray
    first_seats: np.ndarray
    plan: np.ndarray
    billing: np.ndarray
    discount: np.ndarray
    add_ons: np.ndarray
    support: np.ndarray
    health: np.ndarray
    troubles: np.ndarray
    begins: np.ndarray
    ends: np.ndarray

    def trait(self, name: str) -> np.ndarray:
        """One hidden trait, standard normal."""
        return self.traits[name].to_numpy()


@dataclass
class Life:
    """What happened: health and seats at each month's start, use and tickets in it (months x accounts), records as frames.

    begins, ends: local times of every account's contract (NaT: never, not yet). subscriptions: row, plan, seats, monthly,
    start. opportunities: row, product, amount, created, closed, stage, challenge, reason. lines: row, at, order,
    product, quantity, gross, discount, document, campaign (EUR, local times). willing: months x accounts, would take an offer.
    """

    health: list[np.ndarray] = field(default_factory=list)
    seats: list[np.ndarray] = field(default_factory=list)
    use: list[np.ndarray] = field(default_factory=list)
    tickets: list[np.ndarray] = field(default_factory=list)
    willing: list[np.ndarray] = field(default_factory=list)
    subscriptions: list[pd.DataFrame] = field(default_factory=list)
    opportunities: list[pd.DataFrame] = field(default_factory=list)
    lines: list[pd.DataFrame] = field(default_factory=list)
    begins: np.ndarray | None = None
    ends: np.ndarray | None = None
    reasons: np.ndarray | None = None

    def stacked(self, part: str) -> pd.DataFrame:
        """All months of subscriptions, opportunities or lines in one frame."""
        return pd.concat(getattr(self, part), ignore_index=True)


def simulate_life(organisations: pd.DataFrame, months: int, seed: int) -> Life:
    """Live through `months` months -> Life; opportunities still open at the end carry stage open and no closed day."""
    accounts, life = _newborn(organisations, seed), Life()
    life.subscriptions.append(_first_subscriptions(accounts))
    life.opportunities.append(_first_opportunities(accounts))
    life.reasons = stream(seed, "reasons").choice(np.array(REASONS, object), len(organisations))
    pending = pd.DataFrame()
    for month in range(months):
        pending = _live_a_month(accounts, life, pending, month, seed)
    life.opportunities.append(pending.assign(stage="open", closed=np.datetime64("NaT", "s"), reason=""))
    life.begins, life.ends = accounts.begins, accounts.ends
    return life


def _live_a_month(accounts: Accounts, life: Life, pending: pd.DataFrame, month: int, seed: int) -> pd.DataFrame:
    """Take every account through one month, in an order in which nothing needs what comes later -> opportunities pending."""
    rng = stream(seed, "life", month)
    _begin(accounts, month)
    _feel(rng, accounts, month)
    life.health.append(accounts.health.copy())
    life.use.append(_use(rng, accounts, month))
    _end_some(rng, accounts, month)
    life.lines.append(_bill(stream(seed, "billing", month), accounts, month))
    life.seats.append(accounts.seats.copy())
    grown, seats_bought = _grow(stream(seed, "growth", month), accounts, month)
    life.subscriptions.append(grown)
    life.lines.append(seats_bought)
    life.lines.append(_buy_directly(stream(seed, "direct", month), accounts, month))
    pending = pd.concat([pending, _propose(stream(seed, "proposals", month), accounts, month)], ignore_index=True)
    decided, pending, won = _decide(stream(seed, "decisions", month), accounts, pending, month)
    life.opportunities.append(decided)
    life.lines.append(won)
    life.willing.append(_willing(stream(seed, "willing", month), accounts, month))
    accounts.troubles = _trouble(stream(seed, "trouble", month), accounts)
    life.tickets.append(accounts.troubles)
    return pending


def _newborn(organisations: pd.DataFrame, seed: int) -> Accounts:
    """Give every organisation the contract it starts with; it runs from the day `started`."""
    rng = stream(seed, "contracts")
    kinds, count = organisations["kind"].to_numpy(), len(organisations)
    rows = np.arange(count)
    seats = organisations["employees"].to_numpy() * of_kinds("seats", kinds) * rng.lognormal(0, 0.25, count)
    seats = np.maximum(2, np.round(seats)).astype(int)
    discount = of_kinds("discount", kinds) * np.exp(0.3 * organisations["thrift"].to_numpy() - 0.05)
    return Accounts(
        traits=organisations,
        kinds=kinds,
        running=np.zeros(count, bool),
        seats=seats,
        first_seats=seats.copy(),
        plan=pick_by_row(rng, weights_of("plans", kinds), rows),
        billing=np.array([1, 3, 12])[pick_by_row(rng, weights_of("billing", kinds), rows)],
        discount=np.clip(discount, 0, 0.5).round(2),
        add_ons=rng.random((count, len(ADD_ONS))) < of_kinds("add_ons", kinds),
        support=pick_by_row(rng, weights_of("support", kinds), rows),
        health=of_kinds("health", kinds) + 0.35 * organisations["health"].to_numpy(),
        troubles=np.zeros(count, int),
        begins=organisations["started"].to_numpy("datetime64[s]") + np.timedelta64(9, "h"),
        ends=np.full(count, np.datetime64("NaT", "s")),
    )


def _first_subscriptions(accounts: Accounts) -> pd.DataFrame:
    """List the first contract of every customer: row, plan, seats, monthly (EUR), start."""
    row = np.flatnonzero(accounts.kinds != PROSPECT)
    return _subscriptions(accounts, row, accounts.seats[row], accounts.begins[row])


def _subscriptions(accounts: Accounts, row: np.ndarray, seats: np.ndarray, start: np.ndarray) -> pd.DataFrame:
    plans = np.array(PLANS, object)[accounts.plan[row]]
    monthly = np.array([PRICE[plan] for plan in plans]) * seats * (1 - accounts.discount[row])
    return pd.DataFrame({"row": row, "plan": plans, "seats": seats, "monthly": monthly.round(2), "start": start})


def _first_opportunities(accounts: Accounts) -> pd.DataFrame:
    """List the won opportunities behind first contracts: a year's value, from first contact to the day before the start."""
    first = _first_subscriptions(accounts)
    row = first["row"].to_numpy()
    return pd.DataFrame(
        {
            "row": row,
            "product": first["plan"],
            "quantity": first["seats"],
            "amount": (12 * first["monthly"]).round(2),
            "created": accounts.traits["created"].to_numpy("datetime64[s]")[row],
            "closed": first["start"].to_numpy("datetime64[s]") - DAY,
            "stage": "won",
            "challenge": np.array(CHALLENGES, object)[weights_of("challenges", accounts.kinds)[row].argmax(axis=1)],
            "reason": "",
        }
    )


def _begin(accounts: Accounts, month: int) -> None:
    """Start the contracts whose first day lies before this month's end."""
    due = (accounts.begins < MONTH_STARTS[month + 1]) & np.isnat(accounts.ends)
    accounts.running = due


def _feel(rng: np.random.Generator, accounts: Accounts, month: int) -> None:
    """Move the mood towards the account's own, down by decline once it has set in, and down by recent trouble."""
    worse = of_kinds("decline", accounts.kinds) * np.maximum(0, month - accounts.traits["onset"].to_numpy())
    aim = of_kinds("health", accounts.kinds) + 0.35 * accounts.trait("health") - worse
    noise = 0.18 * rng.standard_normal(len(aim))
    accounts.health = np.clip(0.7 * accounts.health + 0.3 * aim + noise - 0.05 * np.minimum(accounts.troubles, 3), -2.5, 2.0)


def _use(rng: np.random.Generator, accounts: Accounts, month: int) -> np.ndarray:
    """Draw how often the product is used: by kind, mood, seats and the season."""
    mood = np.exp(0.8 * (accounts.health - of_kinds("health", accounts.kinds)))
    size = (accounts.seats / accounts.first_seats) ** 0.8 * np.exp(0.45 * accounts.trait("usage") - 0.4)
    season = season_of("rhythm", accounts.kinds, calendar_month(month))
    return rng.poisson(of_kinds("usage", accounts.kinds) * mood * size * season) * accounts.running


def _end_some(rng: np.random.Generator, accounts: Accounts, month: int) -> None:
    """End contracts: monthly ones any day, others only where a billing period begins; the likelier the worse the mood."""
    weight = np.array([1.0, 2.5, 8.0])[np.searchsorted([1, 3, 12], accounts.billing)]
    chance = np.minimum(0.7, weight * of_kinds("ends", accounts.kinds) * np.exp(-1.3 * accounts.health))
    old = accounts.begins < MONTH_STARTS[max(month - 2, 0)]
    leaves = accounts.running & old & _due(accounts, month) & (rng.random(len(chance)) < chance)
    day = rng.integers(5, 27, len(chance)) * (accounts.billing == 1)
    accounts.ends[leaves] = (MONTH_STARTS[month] + day.astype("timedelta64[D]"))[leaves]
    accounts.running = accounts.running & ~(leaves & (accounts.billing > 1))


def _due(accounts: Accounts, month: int) -> np.ndarray:
    """Tell whose billing period begins this month: counted from the month in which the contract began."""
    begun = accounts.begins.astype("datetime64[M]").astype(int)
    passed = MONTH_STARTS[month].astype("datetime64[M]").astype(int) - begun
    return (passed >= 0) & (passed % accounts.billing == 0)


def _grow(rng: np.random.Generator, accounts: Accounts, month: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add seats where the account grows -> new subscriptions, and at once the invoice lines of those not billed monthly."""
    pace = of_kinds("growth", accounts.kinds) * np.exp(0.5 * accounts.trait("growth") + 0.4 * accounts.health)
    more = rng.poisson(np.minimum(accounts.seats * pace, 60)) * accounts.running * np.isnat(accounts.ends)
    at = office_moments(rng, month, len(more))
    more = more * (at > accounts.begins + 20 * DAY)
    row = np.flatnonzero(more)
    accounts.seats[row] += more[row]
    passed = MONTH_STARTS[month].astype("datetime64[M]") - accounts.begins[row].astype("datetime64[M]")
    left = accounts.billing[row] - passed.astype(int) % accounts.billing[row]
    prorata = accounts.billing[row] > 1
    plans = np.array(PLANS, object)[accounts.plan[row]]
    lines = _lines(accounts, row, at[row], np.arange(len(row)), plans, more[row], left, accounts.discount[row])
    return _subscriptions(accounts, row, more[row], at[row]), lines[prorata].assign(order=f"G{month}-" + lines["order"])


def _lines(accounts, row, at, order, products, quantity, months, discount, campaign="") -> pd.DataFrame:
    """Price invoice lines: months multiplies the price where a product is paid by time; money in EUR, cents."""
    gross = (np.array([PRICE[p] for p in products]) * quantity * months).round(2)
    return pd.DataFrame(
        {
            "row": row, "at": at, "order": pd.Series(order).astype(str), "product": products, "quantity": quantity,
            "gross": gross, "discount": (gross * discount).round(2), "document": "INV", "campaign": campaign,
        }
    )  # fmt: skip


def _bill(rng: np.random.Generator, accounts: Accounts, month: int) -> pd.DataFrame:
    """Invoice plan, add-ons and support of the period that begins, and credit a part of few of them later."""
    first = accounts.begins >= MONTH_STARTS[month]
    at = np.where(first, accounts.begins + 4 * DAY, working_mornings(rng, month, len(first)))
    row = np.flatnonzero(accounts.running & _due(accounts, month))
    plans = np.array(PLANS, object)[accounts.plan[row]]
    parts = [(row, plans)]
    parts += [(row[owned], np.repeat(code, owned.sum())) for code, owned in zip(ADD_ONS, accounts.add_ons[row].T, strict=True)]
    for level, code in enumerate(SUPPORTS, start=1):
        helped = row[accounts.support[row] == level]
        parts.append((helped, np.repeat(code, len(helped))))
    rows, products = np.concatenate([r for r, _ in parts]), np.concatenate([p.astype(object) for _, p in parts])
    discount = np.where(np.isin(products, PLANS), accounts.discount[rows], accounts.discount[rows] / 2)
    lines = _lines(accounts, rows, at[rows], rows, products, accounts.seats[rows], accounts.billing[rows], discount)
    lines["order"] = f"B{month}-" + lines["order"]
    return pd.concat([lines, _credit(rng, accounts, lines[: len(row)], month)], ignore_index=True)


def _credit(rng: np.random.Generator, accounts: Accounts, lines: pd.DataFrame, month: int) -> pd.DataFrame:
    """Credit 10 to 60 % of a few invoiced plans, 4 to 20 days later."""
    chance = CREDITED * np.exp(-1.2 * accounts.health[lines["row"]])
    draws = rng.random((4, len(lines)))
    credit = lines[draws[0] < chance].copy()
    part = -(0.1 + 0.5 * draws[1][credit.index])
    credit["quantity"] = -np.maximum(1, (-part * credit["quantity"]).round()).astype(int)
    credit["gross"], credit["discount"] = (credit["gross"] * part).round(2), (credit["discount"] * part).round(2)
    seconds = (4 + 16 * draws[2][credit.index]) * 86_400
    credit["at"] = credit["at"] + seconds.astype(np.int64).astype("timedelta64[s]")
    return credit.assign(document="CRN", order="C" + credit["order"])


def _buy_directly(rng: np.random.Generator, accounts: Accounts, month: int) -> pd.DataFrame:
    """Draw what running accounts buy in the web shop without a salesman; a new add-on is billed with the plan from then on."""
    season = season_of("season", accounts.kinds, calendar_month(month))
    rate = of_kinds("direct", accounts.kinds) * season * np.exp(0.4 * accounts.trait("demand") + 0.3 * accounts.health)
    row = np.repeat(np.arange(len(rate)), rng.poisson(rate * accounts.running))
    at = office_moments(rng, month, len(row), of_kinds("weekend", accounts.kinds)[row])
    product = np.array(EXTRAS, object)[pick_by_row(rng, weights_of("extras", accounts.kinds), row)]
    quantity, months = _sizes(rng, accounts, row, product)
    inside = _inside(accounts, row, at)
    _own(accounts, row[inside], product[inside])
    lines = _lines(accounts, row, at, np.arange(len(row)), product, quantity, months, accounts.discount[row])
    return lines[inside].assign(order=f"D{month}-" + lines["order"])


def _inside(accounts: Accounts, row: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Tell which moments lie in the account's contract."""
    return (at >= accounts.begins[row]) & ~(at >= accounts.ends[row])


def _sizes(rng: np.random.Generator, accounts: Accounts, row: np.ndarray, product: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draw quantity and months paid: days of service and classroom, course seats, add-on seats (three months)."""
    size = np.sqrt(accounts.seats[row])
    day = np.char.startswith(product.astype(str), "SRV")
    add_on = np.char.startswith(product.astype(str), "ADD")
    mean = np.select([day, product == "TRN-CLA", product == "TRN-ONL"], [0.6 * size, 0.25 * size, 0.7 * size], 0.5 * size)
    quantity = 1 + rng.poisson(np.clip(mean, 0.3, 40))
    return quantity, np.where(add_on, 3, 1)


def _own(accounts: Accounts, row: np.ndarray, product: np.ndarray) -> None:
    """Note the add-ons that one in three direct purchases turns into a standing order (by size, not by chance)."""
    for n, code in enumerate(ADD_ONS):
        bought = row[product == code]
        accounts.add_ons[bought[accounts.seats[bought] % 3 == 0], n] = True


def _propose(rng: np.random.Generator, accounts: Accounts, month: int) -> pd.DataFrame:
    """Open opportunities: running accounts and prospects, for services, training and add-ons, larger than direct purchases."""
    season = season_of("season", accounts.kinds, calendar_month(month))
    rate = of_kinds("projects", accounts.kinds) * season * np.exp(0.4 * accounts.trait("demand") + 0.3 * accounts.health)
    known = accounts.traits["created"].to_numpy("datetime64[s]") < MONTH_STARTS[month]
    row = np.repeat(np.arange(len(rate)), rng.poisson(rate * (accounts.running | (accounts.kinds == PROSPECT)) * known))
    created = office_moments(rng, month, len(row), 0.0)
    product = np.array(EXTRAS, object)[pick_by_row(rng, weights_of("extras", accounts.kinds), row)]
    quantity, months = _sizes(rng, accounts, row, product)
    wait = np.clip(rng.lognormal(3.4, 0.6, len(row)), 6, 200) * 86_400
    amount = np.array([PRICE[p] for p in product]) * (2 * quantity) * months
    challenge = np.array(CHALLENGES, object)[pick_by_row(rng, weights_of("challenges", accounts.kinds), row)]
    return pd.DataFrame(
        {"row": row, "product": product, "quantity": 2 * quantity, "amount": amount.round(2), "created": created,
         "closed": created + wait.astype(np.int64).astype("timedelta64[s]"), "challenge": challenge}
    )  # fmt: skip


def _decide(
    rng: np.random.Generator, accounts: Accounts, pending: pd.DataFrame, month: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Close what is due this month -> decided (won or lost by the mood of now), still pending, lines of the won ones."""
    due = pending["closed"].to_numpy("datetime64[s]") < MONTH_STARTS[month + 1]
    decided, row = pending[due].reset_index(drop=True), pending["row"].to_numpy()[due]
    draws = rng.random((3, len(row)))
    wins = draws[0] < 1 / (1 + np.exp(-0.4 - 0.9 * accounts.health[row] + 0.3 * accounts.trait("thrift")[row]))
    wins &= accounts.running[row] & _inside(accounts, row, decided["closed"].to_numpy("datetime64[s]"))
    decided["stage"] = np.where(wins, "won", "lost")
    decided["reason"] = np.where(wins, "", np.array(REASONS, object)[(draws[1] * len(REASONS)).astype(int)])
    won = decided[wins]
    at = won["closed"].to_numpy("datetime64[s]") + ((2 + 9 * draws[2][wins]) * 86_400).astype(np.int64).astype("timedelta64[s]")
    months = np.where(won["product"].str.startswith("ADD"), 3, 1)
    rows, discount = won["row"].to_numpy(), np.minimum(0.5, accounts.discount[row[wins]] + 0.03)
    lines = _lines(
        accounts, rows, at, np.arange(len(rows)), won["product"].to_numpy(object), won["quantity"].to_numpy(), months, discount
    )
    return decided, pending[~due], lines.assign(order=f"W{month}-" + lines["order"])


def offer_of(month: int) -> tuple[str, float] | None:
    """Tell the offer that is mailed in a month: product and discount; None in every other month."""
    return OFFERS[month // 2 % len(OFFERS)] if month % 2 else None


def _willing(rng: np.random.Generator, accounts: Accounts, month: int) -> np.ndarray:
    """Draw who would take up this month's offer if it were sent to them."""
    chance = of_kinds("bargains", accounts.kinds) * np.exp(0.4 * accounts.trait("thrift") + 0.2 * accounts.health)
    return (rng.random(len(chance)) < chance) & accounts.running & (offer_of(month) is not None)


def take_offers(life: Life, organisations: pd.DataFrame, sent: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Let the willing ones among those who got an offer buy: sent(row, month, at, campaign) -> lines, with the campaign."""
    accounts, found = _newborn(organisations, seed), []
    for month, mails in sent.groupby("month"):
        mails = mails[life.willing[month][mails["row"]]]
        rng, row = stream(seed, "offers taken", month), mails["row"].to_numpy()
        code, off = offer_of(month)
        accounts.seats = life.seats[month]
        at = mails["at"].to_numpy("datetime64[s]") + rng.integers(3_600, 8 * 86_400, len(row)).astype("timedelta64[s]")
        product = np.repeat(np.array([code], object), len(row))
        quantity, months = _sizes(rng, accounts, row, product)
        lines = _lines(accounts, row, at, np.arange(len(row)), product, quantity, months, off, mails["campaign"].to_numpy(object))
        gone = (at >= life.ends[row]) | (at < life.begins[row])
        found.append(lines.assign(order=f"O{month}-" + lines["order"])[~gone])
    return pd.concat(found, ignore_index=True)


def _trouble(rng: np.random.Generator, accounts: Accounts) -> np.ndarray:
    """Draw how many tickets the month brings: more with complaints and in a bad mood."""
    rate = of_kinds("tickets", accounts.kinds) * np.exp(0.45 * accounts.trait("complaints") - 0.1 - 0.25 * accounts.health)
    return rng.poisson(rate) * accounts.running
