"""Words per segment for people and systems that meet customers: agent cards, what a website shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.personas.sheets import unique_slugs

if TYPE_CHECKING:
    from workbench.core.rundir import Run


def agent_cards(run: Run, segment_ids: list[int]) -> dict[str, str]:
    """File name -> one screen in plain words for whoever answers the phone; only segments that are exported."""
    personas = run.read("personas")
    personas = personas[personas.segment_id.isin(segment_ids)].sort_values("segment_id")
    plan, files = run.read("playbook"), unique_slugs(personas.segment_name)
    made = {}
    for persona in personas.itertuples(index=False):
        cells = plan[plan.segment_id == persona.segment_id]
        rows = [f"- at stage {c.stage}: {c.treatment} ({c.offer}). Say: “{c.message}”" for c in cells.itertuples() if c.stage != "acquisition"]  # fmt: skip
        lines = [f"# {persona.segment_name}", "", persona.tagline, "", "**What to offer**", "", *rows, ""]
        lines += ["This is how the group behaves on average; the person on the line may differ. Never read this card to a customer.", f"Run {run.path.name}."]  # fmt: skip
        made[f"card_{files[persona.segment_name]}.md"] = "\n".join(lines) + "\n"
    return made


PAGES = {"email": "marketing", "crm": "sales", "service": "service", "csv": "product"}  # who works with which channel


def function_page(run: Run, segment_ids: list[int], channel: str) -> dict[str, str]:
    """File name -> one page for the function that works with the channel; nothing for other channels and for runs without pages."""
    function = PAGES.get(channel)
    if function is None or not run.has("function_playbook"):
        return {}
    pages, names = run.read("function_playbook"), run.read("personas").set_index("segment_id").segment_name
    mine = pages[(pages.function == function) & pages.segment_id.isin(segment_ids)]
    lines = [f"# Playbook for {function}", "", f"Run {run.path.name}; only segments in this export.", ""]
    for number, rows in mine.groupby("segment_id"):
        lines += [f"## {names[number]}", "", *(f"- {row.what}: {row.text}" for row in rows.itertuples()), ""]
    return {f"playbook_{function}.md": "\n".join(lines)}


def segment_contents(run: Run, segment_ids: list[int]) -> dict[str, Any]:
    """segment_id -> name and per stage message and offer, for a content management system."""
    personas, plan = run.read("personas"), run.read("playbook")
    contents = {}
    for persona in personas[personas.segment_id.isin(segment_ids)].sort_values("segment_id").itertuples(index=False):
        cells = plan[plan.segment_id == persona.segment_id]
        stages = {c.stage: {"message": c.message, "offer": c.offer} for c in cells.itertuples()}
        contents[str(persona.segment_id)] = {"segment": persona.segment_name, "stages": stages}
    return {"run_id": run.path.name, "segments": contents}
