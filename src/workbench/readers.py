"""Pages per reader of a run's report: executive, marketing, service, product, analytics, data – views of the run's tables."""

from __future__ import annotations

import functools
import html

from workbench import report
from workbench.core.rundir import Run


def write_reader_pages(run: Run) -> None:
    """Write reports/<reader>.html of a run whose five stages are done; every figure is read from a table, none is computed."""
    from workbench.views import pages
    from workbench.views.theme import use_style

    use_style()
    read, told = functools.cache(run.read), (run.metrics, run.config.company.currency)
    actions, doubts = pages.executive_actions(read, *told), pages.executive_doubts(read)
    columns = "".join(f"<div>{report.render(parts)}</div>" for parts in (actions, doubts))
    _write(
        run,
        "executive",
        f'{report.render([pages.executive_tiles(read, told[1])])}<div class="columns">{columns}</div>',
        "onescreen",
    )
    for reader, build in pages.PAGES.items():
        _write(run, reader, report.render(build(read, *told)))


def _write(run: Run, reader: str, body: str, kind: str = "") -> None:
    title = f"{run.config.company.name}: for {report.READERS[reader]}, as of {run.config.as_of}"
    body = f'<div class="{kind}"><h1>{html.escape(title)}</h1>{body}</div>'
    report.write_page(run.path / "reports" / f"{reader}.html", title, body, report.pages_of_run(), report.of_run(run))
