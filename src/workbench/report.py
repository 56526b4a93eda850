"""HTML for readers: one page per executed notebook, code hidden, and a first page made of the cells tagged `summary`.

Self-contained: no script, no network; every cell output passes an allow-list.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from workbench.core.config import STAGES
from workbench.core.errors import WorkbenchError
from workbench.core.files import write_text
from workbench.core.rundir import Run, notebook_name

TITLES = {"ingest": "Data", "features": "Features", "clustering": "Segments", "personas": "Personas", "kpis": "KPIs"}
READERS = {
    "executive": "executives", "marketing": "marketing", "service": "service", "product": "product", "analytics": "analytics", "data": "the data team",
}  # fmt: skip
TAGS = {
    "a", "abbr", "b", "blockquote", "br", "caption", "code", "col", "colgroup", "dd", "details", "div", "dl", "dt", "em", "figcaption",
    "figure", "h1", "h2", "h3", "h4", "hr", "i", "img", "li", "ol", "p", "pre", "span", "strong", "summary", "sub", "sup", "table",
    "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
}  # fmt: skip
ATTRIBUTES = {
    "*": {"id", "class"},
    "a": {"href"},
    "img": {"src", "alt"},
    "th": {"colspan", "rowspan", "scope"},
    "td": {"colspan", "rowspan"},
}
CSP = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root{--ink:#222;--grey:#666;--line:#ddd;--accent:#0072b2}
*{box-sizing:border-box}body{margin:0;font:16px/1.55 system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;color:var(--ink);background:#fff}
nav{position:sticky;top:0;background:#fff;border-bottom:1px solid var(--line);padding:.6rem 1.2rem;z-index:1}
nav a{display:inline-block;margin-right:1.1rem;text-decoration:none;color:var(--accent)}nav a.here{color:var(--ink);font-weight:600}
main{max-width:66rem;margin:0 auto;padding:1rem 1.2rem 4rem}p,li{max-width:46rem}h1{font-size:1.8rem;line-height:1.2}h2{margin-top:2.2rem;border-top:1px solid var(--line);padding-top:1rem}
img{max-width:100%;height:auto}table{border-collapse:collapse;font-size:.84rem;margin:.6rem 0 1.2rem;display:block;overflow-x:auto}
caption{text-align:left;font-weight:600;padding:.3rem 0}th,td{padding:.3rem .5rem;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}
thead th{border-bottom:2px solid var(--ink)}tbody tr:hover{background:#f6f8fa}pre{background:#f6f8fa;padding:.7rem;overflow-x:auto;font-size:.82rem}
.anchor-link,.jp-InputPrompt,.jp-OutputPrompt,.prompt{display:none}footer{color:var(--grey);font-size:.85rem;border-top:1px solid var(--line);margin-top:3rem;padding-top:.8rem}
.tiles{display:flex;flex-wrap:wrap;gap:.6rem;list-style:none;margin:.4rem 0 .8rem;padding:0}.tiles li{flex:1 1 9rem;max-width:22rem;border:1px solid var(--line);border-radius:4px;padding:.4rem .7rem}
.tiles span{display:block;font-size:.78rem;color:var(--grey)}.tiles span:nth-child(2){font-size:1.45rem;color:var(--ink);font-weight:600;line-height:1.3}
.columns{display:grid;grid-template-columns:3fr 2fr;gap:2rem}.columns h2{margin-top:.4rem;border:0;padding:0;font-size:1.2rem}.columns p,.columns li{font-size:.92rem;line-height:1.4;margin:.35rem 0}
.onescreen h1{font-size:1.4rem;margin:.3rem 0}main:has(.onescreen){max-width:88rem;padding-bottom:0}main:has(.onescreen) footer{margin-top:.5rem;padding-top:.4rem}
@media(max-width:60rem){.columns{grid-template-columns:1fr}}@media print{nav{display:none}main{max-width:none}h2{break-after:avoid}table,img{break-inside:avoid}}
"""


def write_report(run: Run) -> None:
    """Write reports/index.html and one page per notebook of a run whose five stages are done."""
    import nbformat

    notebooks = {s: nbformat.read(run.path / "notebooks" / f"{notebook_name(s)}.ipynb", 4) for s in STAGES}
    for stage, notebook in notebooks.items():
        _write_page(run, f"{notebook_name(stage)}.html", TITLES[stage], _body(notebook.cells))
    summary = [cell for notebook in notebooks.values() for cell in notebook.cells if "summary" in cell.metadata.get("tags", [])]
    title = f"{run.config.company.name}: customer segments as of {run.config.as_of}"
    _write_page(run, "index.html", title, f"<h1>{html.escape(title)}</h1>" + _body(summary))


def write_stopped(run: Run, stage: str, unfinished: Path, fault: WorkbenchError) -> Path:
    """What a run knew when the data would not let it go on: the fault first, finished notebooks, and the unfinished one as far as it came."""
    import nbformat

    done = [s for s in STAGES[: STAGES.index(stage)] if run.stage_done(s)]
    notebooks = {s: nbformat.read(run.path / "notebooks" / f"{notebook_name(s)}.ipynb", 4).cells for s in done}
    notebooks[stage] = _as_far_as_it_came(nbformat.read(unfinished, 4).cells)
    pages = {
        page: word
        for page, word in pages_of_run().items()
        if page in ("index.html", *(f"{notebook_name(s)}.html" for s in notebooks))
    }
    for name, cells in notebooks.items():
        _write_page(run, f"{notebook_name(name)}.html", TITLES[name], _body(cells), pages)
    title = f"{run.config.company.name}: stopped as of {run.config.as_of}"
    body = f"<h1>{html.escape(title)}</h1><p><strong>There is no report:</strong> {notebook_name(stage)} could not go on.</p><pre>{html.escape(str(fault))}</pre>"
    _write_page(run, "index.html", title, body + "<p>What was found before it stopped is on the other pages.</p>", pages)
    return run.path / "reports" / "index.html"


def _as_far_as_it_came(cells: list[Any]) -> list[Any]:
    """The cells before the one that failed, without what Papermill adds to tell of it."""
    came = []
    for cell in cells:
        if any(output.output_type == "error" for output in cell.get("outputs", [])):
            break
        if not any(tag.startswith("papermill-error") for tag in cell.metadata.get("tags", [])):
            came.append(cell)
    return came


def _write_page(run: Run, file: str, title: str, body: str, pages: Mapping[str, str] | None = None) -> None:
    write_page(run.path / "reports" / file, title, body, pages or pages_of_run(), of_run(run))


def pages_of_run() -> dict[str, str]:
    """File -> word of every page of a run: the overview, one page per reader, one per notebook."""
    readers = {f"{reader}.html": f"For {words}" for reader, words in READERS.items()}
    return (
        {"index.html": "Overview"} | readers | {f"{notebook_name(s)}.html": f"{i} {TITLES[s]}" for i, s in enumerate(STAGES, 1)}
    )


def of_run(run: Run) -> str:
    """What stands below every page of a run."""
    return f"Run {run.path.name} · as of {run.config.as_of} · configuration {run.config.hash[:12]}"


def write_page(path: Path, title: str, body: str, pages: Mapping[str, str], footer: str) -> None:
    """One page: links to all pages of its folder (file -> word), the body, which is HTML of `render`, and the footer."""
    links = "".join(
        f'<a href="{page}"{" class=here" if page == path.name else ""}>{html.escape(name)}</a>' for page, name in pages.items()
    )
    page = (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{CSP}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{html.escape(title)}</title><style>{STYLE}</style></head>'
        f"<body><nav>{links}</nav><main>{body}<footer>{html.escape(footer)} · every number comes from the tables of the run</footer></main></body></html>\n"
    )
    write_text(path, page)


def render(parts: Iterable[Any]) -> str:
    """Markdown (text), tables as readers see them (with _repr_html_) and pictures (PNG, alternative text), in order -> HTML."""
    return _body([_cell(part) for part in parts])


def _cell(part: Any) -> Any:
    """A part as the notebook cell that would have shown it."""
    import base64

    from nbformat import v4

    if isinstance(part, str):
        return v4.new_markdown_cell(part)
    if isinstance(part, tuple):
        picture, alt = part
        shown = {"image/png": base64.b64encode(picture).decode()}, {"image/png": {"alt": alt}}
    else:
        shown = {"text/html": part._repr_html_()}, {}
    return v4.new_code_cell(outputs=[v4.new_output("display_data", data=shown[0], metadata=shown[1])])


def _body(cells: list[Any]) -> str:
    """Cells -> HTML of their prose and outputs; code, prompts and cells tagged remove-cell are left out."""
    import nbformat
    import nh3
    from nbconvert import HTMLExporter
    from nbconvert.preprocessors import TagRemovePreprocessor
    from traitlets.config import Config

    shown = [c for c in cells if c.cell_type == "markdown" or c.get("outputs")]
    settings = Config(
        {"TagRemovePreprocessor": {"enabled": True, "remove_cell_tags": ["remove-cell", "parameters", "injected-parameters"]}}
    )
    exporter = HTMLExporter(
        config=settings,
        template_name="basic",
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        embed_images=True,
    )
    exporter.register_preprocessor(TagRemovePreprocessor(config=settings), enabled=True)
    body, _ = exporter.from_notebook_node(nbformat.v4.new_notebook(cells=shown))
    body = body.replace('.ipynb"', '.html"')  # notebooks point to notebooks, pages to pages
    return nh3.clean(body, tags=TAGS, attributes=ATTRIBUTES, url_schemes={"data", "https", "http"}, link_rel=None)
