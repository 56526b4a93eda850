"""What the vendor sells, and the kinds of accounts planted among its customers: the truth that a segmentation should find."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FAMILIES = ("LICENCE", "ADD-ON", "SERVICE", "TRAINING", "SUPPORT")
PRODUCTS = {  # code: name, family, group, price (EUR), cost as a share of the undiscounted price
    "LIC-STA": ("Starter plan", "LICENCE", "starter plan", 9.0, 0.20),
    "LIC-TEA": ("Team plan", "LICENCE", "team plan", 19.0, 0.18),
    "LIC-BUS": ("Business plan", "LICENCE", "business plan", 39.0, 0.16),
    "LIC-ENT": ("Enterprise plan", "LICENCE", "enterprise plan", 65.0, 0.15),
    "ADD-STO": ("Extra storage", "ADD-ON", "storage", 3.0, 0.45),
    "ADD-ANA": ("Advanced analytics", "ADD-ON", "analytics", 7.0, 0.22),
    "ADD-API": ("API package", "ADD-ON", "integration", 5.0, 0.25),
    "ADD-SSO": ("Single sign-on", "ADD-ON", "security", 3.5, 0.15),
    "SRV-IMP": ("Implementation day", "SERVICE", "implementation", 1250.0, 0.66),
    "SRV-INT": ("Integration day", "SERVICE", "integration project", 1350.0, 0.68),
    "SRV-CUS": ("Custom development day", "SERVICE", "custom development", 1450.0, 0.72),
    "TRN-CLA": ("Classroom training day", "TRAINING", "classroom", 1900.0, 0.55),
    "TRN-ONL": ("Online course seat", "TRAINING", "online course", 190.0, 0.25),
    "SUP-PLU": ("Plus support", "SUPPORT", "plus support", 4.0, 0.50),
    "SUP-PRE": ("Premium support", "SUPPORT", "premium support", 9.0, 0.48),
}
CODES = tuple(PRODUCTS)
PLANS, ADD_ONS, SUPPORTS = CODES[:4], CODES[4:8], CODES[13:]
EXTRAS = ("SRV-IMP", "SRV-INT", "SRV-CUS", "TRN-CLA", "TRN-ONL", *ADD_ONS)  # what is bought beside the contract
MODULES = ("reporting", "planning", "automation", "collaboration", "integrations", "compliance", "learning")
ACTIONS = ("login", "session_start", "feature_use", "export", "api_call", "admin_action")
THEMES = ("product news", "training", "integrations", "compliance", "savings")  # of mailings and webinars
TICKET_TOPICS = ("login problem", "performance", "billing question", "integration fault", "how-to", "data export")
CHALLENGES = ("cost pressure", "growth", "compliance", "skills shortage", "old systems", "manual reporting")
TECHNOLOGIES = (
    "cloud hosting", "erp", "data warehouse", "single sign-on", "help desk", "e-commerce", "open source", "mainframe",
    "learning platform",
)  # fmt: skip
SEASONS = {  # demand per month, January first, about 1 on average
    "even": (1.0,) * 12,
    "project": (0.2, 0.5, 2.6, 2.4, 0.4, 0.2, 0.2, 0.2, 2.4, 2.4, 0.4, 0.1),
    "budget": (0.2, 0.3, 0.5, 0.6, 0.6, 0.8, 0.4, 0.4, 1.0, 1.6, 3.0, 2.6),
    "school": (1.3, 1.5, 0.7, 0.4, 0.5, 0.5, 1.2, 2.8, 2.0, 0.6, 0.3, 0.2),
    "term": (1.2, 1.2, 1.2, 0.9, 1.2, 1.1, 0.4, 0.2, 1.3, 1.2, 1.4, 0.7),
}


@dataclass(frozen=True)
class Kind:
    """One planted kind of account. Means of the kind; every account has traits of its own around them.

    share: of all organisations; sector: see `vendor_accounts.SECTORS`; employees: median; people: mean number known to
    anybody; seats: share of employees; plans: chances of PLANS; billing: chances of monthly, quarterly, yearly; growth:
    seats added a month; health: mean mood, about -1 to 1; decline: loss of health a month once it has set in; ends: chance
    a month that the contract is ended at health 0; usage: events a month; rhythm, season: of usage and demand (SEASONS);
    actions, modules: weights of ACTIONS and MODULES; projects: opportunities a month; extras: weights of EXTRAS; direct:
    purchases a month without a salesman; bargains: chance to take up an offer; discount: agreed; support: chances of none, plus,
    premium; add_ons: chance of each; tickets: a month; problems: weights of TICKET_TOPICS; openness: to mailings; themes:
    weights of THEMES; challenges: weights of CHALLENGES; headcount: growth a year; weekend: share of events; joins: share that
    becomes a customer after the data begin.
    """

    share: float
    sector: str
    employees: float
    people: float
    seats: float
    plans: tuple[float, ...]
    billing: tuple[float, ...]
    usage: float
    actions: tuple[float, ...]
    modules: tuple[float, ...]
    extras: tuple[float, ...]
    problems: tuple[float, ...]
    themes: tuple[float, ...]
    challenges: tuple[float, ...]
    growth: float = 0.0
    health: float = 0.3
    decline: float = 0.0
    ends: float = 0.005
    rhythm: str = "even"
    season: str = "even"
    projects: float = 0.02
    direct: float = 0.03
    bargains: float = 0.05
    discount: float = 0.05
    support: tuple[float, ...] = (0.7, 0.25, 0.05)
    add_ons: tuple[float, ...] = (0.2, 0.2, 0.2, 0.2)
    tickets: float = 0.15
    openness: float = 0.0
    headcount: float = 0.02
    weekend: float = 0.03
    joins: float = 0.15


KINDS = {
    "steady enterprise": Kind(
        share=0.10, sector="industry", employees=1400, people=6.0, seats=0.09, plans=(0, 0, 0.3, 0.7), billing=(0, 0.6, 0.4),
        usage=24, actions=(2, 3, 5, 2, 5, 2), modules=(3, 3, 2, 1, 4, 2, 0.5), extras=(0.5, 2, 1, 1, 0.5, 0.5, 1, 1, 1),
        problems=(1, 2, 1, 4, 1, 2), themes=(2, 1, 3, 2, 0.5), challenges=(1, 1, 3, 1, 4, 1), growth=0.002, health=0.7,
        ends=0.002, projects=0.10, discount=0.12, support=(0.1, 0.5, 0.4), add_ons=(0.5, 0.6, 0.7, 0.8), tickets=0.35,
        headcount=0.01, joins=0.05,
    ),
    "growing start-up": Kind(
        share=0.12, sector="digital", employees=28, people=3.6, seats=0.6, plans=(0.15, 0.75, 0.1, 0), billing=(1, 0, 0),
        usage=17, actions=(1.5, 4, 6, 0.7, 3, 0.6), modules=(1, 2, 4, 5, 3, 0.2, 1),
        extras=(0.2, 0.5, 0.1, 0, 1.5, 3, 2, 4, 1), problems=(1, 1, 1, 3, 2, 1), themes=(4, 1, 3, 0.3, 1),
        challenges=(1, 5, 0.3, 3, 0.3, 1), growth=0.045, health=0.8, ends=0.006, projects=0.03, direct=0.22, discount=0.06,
        add_ons=(0.3, 0.25, 0.4, 0.1), tickets=0.18, openness=0.8, headcount=0.45, weekend=0.16, joins=0.50,
    ),
    "seasonal project buyer": Kind(
        share=0.09, sector="trade", employees=120, people=2.6, seats=0.1, plans=(0.2, 0.6, 0.2, 0), billing=(0, 0.25, 0.75),
        usage=7, actions=(2, 2, 4, 4, 0.3, 0.5), modules=(2, 6, 1, 1, 0.5, 0.5, 0.5),
        extras=(3, 2, 4, 0.5, 0.3, 0.5, 0.3, 0.3, 0.1), problems=(1, 1, 2, 1, 1, 3), themes=(1, 0.5, 2, 0.5, 1),
        challenges=(2, 1, 0.5, 3, 2, 2), rhythm="project", season="project", projects=0.26, direct=0.08, discount=0.07,
        tickets=0.12, openness=-0.3,
    ),
    "service-heavy public body": Kind(
        share=0.10, sector="public", employees=420, people=4.2, seats=0.09, plans=(0, 0.3, 0.7, 0), billing=(0, 0.05, 0.95),
        usage=8, actions=(3, 2, 3, 3, 0.2, 3), modules=(4, 1, 0.5, 0.5, 0.3, 6, 1),
        extras=(4, 1.5, 2, 2, 0.3, 0.2, 0.2, 0.2, 0.4), problems=(4, 1, 1, 1, 3, 2), themes=(0.5, 1, 0.5, 5, 0.2),
        challenges=(2, 0.2, 5, 3, 3, 2), health=0.4, ends=0.002, season="budget", projects=0.34, discount=0.02,
        support=(0.05, 0.35, 0.6), tickets=0.75, openness=-0.5, headcount=0.0, joins=0.08,
    ),
    "bargain-hunting small firm": Kind(
        share=0.13, sector="crafts", employees=14, people=1.7, seats=0.45, plans=(0.85, 0.15, 0, 0), billing=(0.8, 0.2, 0),
        usage=6, actions=(2, 3, 4, 1, 0.1, 0.3), modules=(3, 2, 1, 1, 0.1, 0.1, 1),
        extras=(0.1, 0, 0, 0.2, 4, 2, 0.5, 0.2, 0.1), problems=(1, 0.5, 5, 0.2, 2, 0.5), themes=(0.5, 1, 0.2, 0.2, 6),
        challenges=(6, 1, 0.3, 1, 0.5, 2), health=0.2, ends=0.014, direct=0.05, bargains=0.55, discount=0.24,
        support=(0.95, 0.05, 0), add_ons=(0.1, 0.05, 0.02, 0.02), tickets=0.14, openness=0.7, weekend=0.12, joins=0.30,
    ),
    "training-minded school": Kind(
        share=0.10, sector="education", employees=85, people=3.2, seats=0.3, plans=(0.3, 0.7, 0, 0), billing=(0, 0.2, 0.8),
        usage=12, actions=(3, 4, 5, 0.5, 0.1, 0.8), modules=(0.7, 2, 0.3, 3, 0.2, 0.4, 7),
        extras=(0.3, 0.1, 0, 5, 7, 0.2, 0.1, 0.1, 0.1), problems=(3, 1, 0.5, 0.3, 4, 0.5), themes=(0.5, 6, 0.2, 1, 1),
        challenges=(2, 0.3, 1, 5, 0.7, 0.5), health=0.5, ends=0.003, rhythm="term", season="school", projects=0.12,
        direct=0.22, bargains=0.15, discount=0.15, tickets=0.2, openness=0.3, weekend=0.08,
    ),
    "add-on collector": Kind(
        share=0.09, sector="finance", employees=190, people=3.6, seats=0.2, plans=(0, 0.3, 0.7, 0), billing=(0.7, 0.3, 0),
        usage=20, actions=(2, 3, 5, 5, 2, 1), modules=(7, 3, 3, 1, 2, 2, 0.5), extras=(0.2, 0.5, 0.3, 0.2, 1, 4, 6, 3, 3),
        problems=(0.5, 3, 1, 2, 1, 4), themes=(5, 1, 2, 2, 0.5), challenges=(1, 2, 2, 1, 1, 5), growth=0.01, health=0.6,
        direct=0.20, projects=0.05, discount=0.04, add_ons=(0.9, 0.95, 0.6, 0.7), tickets=0.3, openness=0.4, headcount=0.06,
    ),
    "strained manufacturer": Kind(
        share=0.09, sector="industry", employees=520, people=3.8, seats=0.11, plans=(0, 0.3, 0.7, 0), billing=(0.3, 0.6, 0.1),
        usage=13, actions=(4, 2, 4, 1, 2, 2), modules=(1, 5, 4, 0.5, 3, 1, 0.3),
        extras=(0.5, 4, 2, 0.7, 0.3, 0.3, 0.2, 0.3, 0.2), problems=(2, 6, 1, 6, 1, 1), themes=(1, 0.5, 3, 1, 1),
        challenges=(3, 0.3, 1, 2, 5, 2), health=-0.4, ends=0.006, projects=0.05, discount=0.10, support=(0.1, 0.5, 0.4),
        tickets=1.1, openness=-0.2, headcount=-0.05, joins=0.05,
    ),
    "dormant account": Kind(
        share=0.08, sector="trade", employees=45, people=1.8, seats=0.2, plans=(0.7, 0.3, 0, 0), billing=(0, 0.35, 0.65),
        usage=0.7, actions=(3, 2, 1, 0.5, 0.1, 0.2), modules=(2, 2, 0.2, 1, 0.1, 0.2, 0.5),
        extras=(1, 0, 0, 0.3, 1, 1, 0, 0, 0), problems=(2, 0.5, 3, 0.3, 1, 0.5), themes=(1, 1, 1, 1, 1),
        challenges=(3, 0.5, 1, 2, 2, 2), health=-0.1, ends=0.008, projects=0.003, direct=0.004, discount=0.06,
        support=(0.97, 0.03, 0), add_ons=(0.05, 0.02, 0.02, 0.02), tickets=0.02, openness=-1.2, joins=0.03,
    ),
    "churning account": Kind(
        share=0.08, sector="digital", employees=70, people=2.8, seats=0.3, plans=(0.3, 0.6, 0.1, 0), billing=(0.7, 0.3, 0),
        usage=13, actions=(2, 3, 4, 1, 1, 0.6), modules=(2, 2, 2, 3, 2, 0.3, 1), extras=(0.5, 0.7, 0.2, 0.3, 1, 1, 1, 1, 0.5),
        problems=(1, 3, 3, 2, 1, 4), themes=(1.5, 1, 1, 0.5, 2), challenges=(4, 1, 0.5, 1, 2, 1), health=0.4, decline=0.22,
        ends=0.012, direct=0.05, discount=0.08, tickets=0.28, openness=0.0, headcount=-0.10, weekend=0.06, joins=0.20,
    ),
    "prospect": Kind(
        share=0.02, sector="trade", employees=90, people=2.0, seats=0.2, plans=(0.3, 0.5, 0.2, 0), billing=(0.6, 0.2, 0.2),
        usage=0, actions=(1, 1, 1, 0, 0, 0), modules=(1, 1, 1, 1, 1, 1, 1), extras=(1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5),
        problems=(1, 1, 1, 1, 1, 1), themes=(2, 1, 1, 1, 1), challenges=(2, 2, 1, 1, 2, 2), health=0.0, projects=0.10,
        direct=0.0, tickets=0.0, bargains=0.0, openness=0.2, joins=0.0,
    ),
}  # fmt: skip
NAMES = tuple(KINDS)
PROSPECT = NAMES.index("prospect")


def of_kinds(field: str, kinds: np.ndarray) -> np.ndarray:
    """Look up one field of every account's kind (positions in NAMES); a field with several numbers gives a row each."""
    return np.array([getattr(kind, field) for kind in KINDS.values()])[kinds]


def weights_of(field: str, kinds: np.ndarray) -> np.ndarray:
    """Look up weights as chances: accounts x choices, each row adding up to 1."""
    weights = of_kinds(field, kinds).astype(float)
    return weights / weights.sum(axis=1, keepdims=True)


def season_of(field: str, kinds: np.ndarray, month_of_year: int) -> np.ndarray:
    """Look up the demand of a month of the year by every account's rhythm or season."""
    return np.array([SEASONS[getattr(kind, field)][month_of_year] for kind in KINDS.values()])[kinds]
