"""Attention: engaged, passive or dormant in e-mail, how activity moves, and what customers say of themselves in surveys."""

from __future__ import annotations

import re

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from workbench.core.event_types import NOT_OWN_ACTIONS, PURCHASES
from workbench.features.catalog import Feature
from workbench.features.purchases import ratio, shrunk, shrunk_shares

RECENT = 28  # days
POINTS = dt.Decimal(18, 6)  # sums of decimals are exact, whatever the order of rows
EMAIL_STATES = (
    Feature("email_engaged", "e-mail state", "yes/no", f"opened or clicked an e-mail in the last {RECENT} days", "read their e-mails", "do not read their e-mails at present", "channel", "active in e-mail"),
    Feature("email_dormant", "e-mail state", "yes/no", "got e-mails in the window and opened none", "leave their e-mails unopened", "open at least some e-mails", "channel", "dormant in e-mail"),
    Feature("days_since_email", "e-mail state", "days", "days since the last e-mail opened or clicked by a person", "last read an e-mail long ago", "read an e-mail lately", "channel", "days since an e-mail was read"),
)  # fmt: skip
TREND = Feature("activity_trend", "trend", "share", "own actions other than orders in the window's second half less those in the first, over both, shrunk", "had a better trend in activity than others", "had a worse trend in activity than others", "channel", "change in activity")  # fmt: skip
SERVICE = (
    Feature("ticket_days_open", "satisfaction", "days", "mean days until a ticket was closed", "waited long for service", "were served quickly", "service", "days until tickets were closed"),
    Feature("ticket_score", "satisfaction", "points", "mean score given to the handling of tickets", "are content with service", "are not content with service", "service", "score given to service"),
)  # fmt: skip
SOCIAL = Feature("social_sentiment", "satisfaction", "points", "mean sentiment of social interactions, shrunk towards everybody's", "speak well of the company", "speak badly of the company", "content", "sentiment on social media")  # fmt: skip


def attention_catalog(types: tuple[str, ...], columns: frozenset[str], questions: tuple[str, ...]) -> list[Feature]:
    """The declarations that the sources allow; columns: ticket.score, ticket.hours, social.score; questions of surveys."""
    there = set(types)
    declared = [*EMAIL_STATES] if "email_delivered" in there and there & {"email_open", "email_click"} else []
    declared += [TREND] if there - set(NOT_OWN_ACTIONS) - set(PURCHASES) else []
    declared += [SERVICE[0]] if "ticket.hours" in columns else []
    declared += [SERVICE[1]] if "ticket.score" in columns else []
    declared += [SOCIAL] if "social.score" in columns else []
    return declared + [_answer(question) for question in questions]


def answer_feature(question: str) -> str:
    """'price matters' -> answer_price_matters."""
    return "answer_" + re.sub(r"[\W_]+", "_", question.lower()).strip("_")


def _answer(question: str) -> Feature:
    return Feature(answer_feature(question), "attitude", "points", f'mean answer to "{question}" in surveys of the window', f'say that {question}', f'say less than others that {question}', "content", f'agreement that {question}')  # fmt: skip


def attention_features(
    happened: ir.Table, days: int, types: tuple[str, ...], columns: frozenset[str], questions: tuple[str, ...], prior: float
) -> ir.Table:
    """Events in the window -> customer_id + the features of `attention_catalog`; customers with any event."""
    by_people = happened.filter(~happened.machine.fill_null(False))
    table, there = happened.select("customer_id").distinct(), set(types)
    parts = []
    if "email_delivered" in there and there & {"email_open", "email_click"}:
        parts.append(_email(by_people))
    if there - set(NOT_OWN_ACTIONS) - set(PURCHASES):
        parts.append(_trend(by_people, days, prior))
    if {"ticket.hours", "ticket.score"} & columns:
        parts.append(_service(by_people, columns))
    if "social.score" in columns:
        parts.append(_sentiment(by_people, prior))
    if questions:
        parts.append(_answers(by_people, questions))
    for part in parts:
        table = table.left_join(part, "customer_id").drop("customer_id_right")
    return table


def _email(happened: ir.Table) -> ir.Table:
    mails = happened.filter(happened.event_type.isin(["email_delivered", "email_open", "email_click"]))
    read = mails.event_type != "email_delivered"
    per = mails.group_by("customer_id").agg(
        delivered=mails.count(where=~read), read=mails.count(where=read), latest=mails.days_ago.min(where=read)
    )
    # Who got nothing is neither engaged nor dormant.
    asked = (per.delivered > 0) | (per.read > 0)
    return per.select(
        "customer_id",
        email_engaged=ibis.cases((asked, (per.latest <= RECENT).fill_null(False).cast("float64")), else_=None),
        email_dormant=ibis.cases((asked, (per.read == 0).cast("float64")), else_=None),
        days_since_email=per.latest.cast("float64"),
    )


def _trend(happened: ir.Table, days: int, prior: float) -> ir.Table:
    acted = happened.filter(happened.event_type.notin([*NOT_OWN_ACTIONS, *PURCHASES]))
    acted = acted.select("customer_id", "days_ago", "event_type").distinct()  # a day's many clicks are one day's interest
    per = acted.group_by("customer_id").agg(n=acted.count(), late=acted.count(where=acted.days_ago <= days // 2))
    share = shrunk_shares(per, ["late"], "n", prior)
    return share.select("customer_id", activity_trend=2 * share.late - 1)


def _service(happened: ir.Table, columns: frozenset[str]) -> ir.Table:
    tickets = happened.filter(happened.event_type == "ticket")
    made = {"ticket_days_open": _mean(tickets.duration_hours) / 24} if "ticket.hours" in columns else {}
    made |= {"ticket_score": _mean(tickets.score)} if "ticket.score" in columns else {}
    return tickets.group_by("customer_id").agg(**made)


def _sentiment(happened: ir.Table, prior: float) -> ir.Table:
    said = happened.filter(happened.event_type == "social", happened.score.notnull())
    per = said.group_by("customer_id").agg(n=said.count(), total=said.score.cast(POINTS).sum())
    table = per.cross_join(per.agg(base=ratio(per.total.sum(), per.n.sum())))
    return table.select("customer_id", social_sentiment=shrunk(table.total, table.n, table.base, prior))


def _answers(happened: ir.Table, questions: tuple[str, ...]) -> ir.Table:
    answers = happened.filter(happened.event_type == "survey_answer", happened.score.notnull())
    means = {answer_feature(q): _mean(answers.score, answers.topic == q) for q in questions}
    return answers.group_by("customer_id").agg(**means)


def _mean(values: ir.FloatingColumn, where: ir.BooleanValue | None = None) -> ir.FloatingValue:
    return values.cast(POINTS).sum(where=where).cast("float64") / values.count(where=where).nullif(0)
