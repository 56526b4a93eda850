"""How everything looks: one style, one palette, every figure with alt text, every table escaped."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY, PALE, ACCENT = "#222222", "#9a9a9a", "#d9d9d9", "#0072b2"
VERDICT_COLOURS = {"pass": "#009e73", "watch": "#e69f00", "fail": "#d55e00"}
TOTAL = -2


def use_style() -> None:
    """Set matplotlib's style for this process: quiet axes, no mathematics in text that comes from data."""
    import matplotlib as mpl
    import seaborn as sns

    sns.set_theme(style="ticks", palette="colorblind")
    mpl.rcParams.update(
        {
            "text.parse_math": False, "axes.spines.top": False, "axes.spines.right": False, "axes.titlelocation": "left",
            "axes.titleweight": "bold", "axes.titlesize": 12, "axes.labelsize": 10, "figure.dpi": 110, "savefig.bbox": "tight",
            "axes.edgecolor": GREY, "axes.labelcolor": INK, "text.color": INK, "svg.hashsalt": "workbench",
        }
    )  # fmt: skip


def segment_colours(segment_ids: list[int]) -> dict[int, str]:
    """One colour per segment, the same in every chart of a run; unassigned is grey.

    Hues walk the wheel of a perceptually uniform space in three lightness steps, so neighbours differ in grey scale too;
    labels are written next to the marks because no palette tells 30 groups apart alone.
    """
    import seaborn as sns

    ids = sorted(i for i in segment_ids if i >= 0)
    hues = sns.husl_palette(max(len(ids), 3), s=0.75, l=0.6).as_hex()
    steps = [hues[(i * 7) % len(hues)] if len(hues) % 7 else hues[i] for i in range(len(ids))]
    shades = [0.85, 1.0, 1.15]
    colours = {segment: _shade(steps[i], shades[i % 3]) for i, segment in enumerate(ids)}
    return colours | {-1: PALE, TOTAL: INK}


def _shade(colour: str, factor: float) -> str:
    parts = [min(255, round(int(colour[i : i + 2], 16) * factor)) for i in (1, 3, 5)]
    return "#" + "".join(f"{p:02x}" for p in parts)


def show(drawing: Axes | Figure, alt: str) -> None:
    """Display a chart with its alternative text and close it; the only way a figure enters a notebook."""
    from IPython.display import Image, display

    display(Image(picture(drawing), alt=alt), metadata={"image/png": {"alt": alt}})


def picture(drawing: Axes | Figure) -> bytes:
    """A chart as PNG in 256 colours, which a third of the bytes hold; the same bytes each time; the figure is closed."""
    import io

    import matplotlib.pyplot as plt
    from PIL import Image

    figure = drawing if hasattr(drawing, "savefig") else drawing.figure
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110, metadata={"Software": None})
    plt.close(figure)
    few = Image.open(content).convert("RGB").quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    small = io.BytesIO()
    few.save(small, "PNG", optimize=True)
    return small.getvalue()


def say(text: str) -> None:
    """Display a computed sentence; the text is Markdown of ours in which every value was passed through `plain`."""
    from IPython.display import Markdown, display

    display(Markdown(text))


def plain(value: object) -> str:
    """A value from the data -> text that neither HTML nor Markdown reads as markup."""
    text = html.escape(re.sub(r"[\u202a-\u202e\u2066-\u2069\x00-\x1f]", " ", str(value)), quote=False)
    return re.sub(r"([\\`*_\[\]#|~])", r"\\\1", text)


class Shown:
    """A table as readers see it: escaped HTML in browsers, text elsewhere."""

    def __init__(self, frame: pd.DataFrame, caption: str):
        self.frame, self.caption = frame, caption

    def _repr_html_(self) -> str:
        body = self.frame.to_html(index=False, escape=True, border=0, na_rep="–", justify="left")
        return body.replace(">\n  <thead>", f">\n  <caption>{html.escape(self.caption)}</caption>\n  <thead>", 1)

    def __repr__(self) -> str:
        return f"{self.caption}\n{self.frame.to_string(index=False, na_rep='–', max_colwidth=60)}"


def listed(words: list[str]) -> str:
    """-> a, b and c."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def between(lows: pd.Series, highs: pd.Series, form: str) -> list[str]:
    """Bounds of intervals -> low to high, each by a format such as "{:.2f}"; – where they are not known."""
    return ["–" if pd.isna(low) else f"{form.format(low)} to {form.format(high)}" for low, high in zip(lows, highs, strict=True)]


def told_verdicts(verdicts: pd.Series) -> str:
    """Verdicts of segments -> how many pass, are to be watched and fail, as half a sentence."""
    passed, watched, failed = (int((verdicts == verdict).sum()) for verdict in ("pass", "watch", "fail"))
    watch = f"{watched or 'none'} {'are' if watched > 1 else 'is'} to be watched"
    fail = f"{failed or 'none'} fail{'' if failed > 1 else 's'} it"
    return f"{passed or 'none'} pass{'' if passed > 1 else 'es'} the stability test, {watch} and {fail}"


def table(
    frame: pd.DataFrame, caption: str, names: dict[str, str] | None = None, formats: dict[str, str] | None = None, rows: int = 40
) -> Shown:
    """A frame -> what readers see: chosen columns renamed to words, numbers formatted, at most `rows` rows.

    names: column -> heading, in order (all columns when left out). formats: column -> format such as "{:.0%}".
    """
    chosen = frame.head(rows)[list(names)] if names else frame.head(rows)
    shown = pd.DataFrame({c: _formatted(chosen[c], (formats or {}).get(c)) for c in chosen.columns})
    more = f" (first {rows} of {len(frame):,})" if len(frame) > rows else "" if len(frame) else ": none"
    return Shown(shown.rename(columns=names or {}), caption + more)


def _formatted(column: pd.Series, form: str | None) -> pd.Series:
    if form is None and pd.api.types.is_bool_dtype(column):
        return column.map({True: "yes", False: "no"})
    if form is None and pd.api.types.is_float_dtype(column):
        form = "{:z,.2f}"
    if form is None and pd.api.types.is_integer_dtype(column):
        form = "{:,}"
    return column.map(lambda v: "–" if pd.isna(v) else (form or "{}").format(v)).astype("str")
