"""Figures as files and as drawings inside a page, through vl-convert: no browser, no network."""

import math
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeAlias
from xml.etree import ElementTree

from sprec.report.figures.charts import Chart, join_panels, unchecked
from sprec.report.figures.figure_kinds import Figure
from sprec.report.figures.style import vega_config

FileFormat: TypeAlias = Literal["svg", "png", "pdf"]
VEGA_LITE = "6.4"
# Pixels of a PNG per pixel of the figure: 240 dots per inch.
SCALE = 2.5
COLUMNS = 3
PACKAGES = ("altair", "jinja2", "vl_convert")

# Beginnings of attributes inside a drawing that a page has no use for.
UNWANTED = ("role", "aria-", "pointer-events", "class")

ElementTree.register_namespace("", "http://www.w3.org/2000/svg")


class MissingPackageError(ValueError):
    """A package of the extra `report` is not installed."""


def check_packages() -> None:
    """Raise `MissingPackageError`, with the remedy, where figures cannot be made."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        listed = " and ".join(missing)
        raise MissingPackageError(f"{listed} is not installed; add the extra: pip install 'sprec[report]'")


def to_inline_svg(chart: Chart, alternative: str) -> str:
    """Return one panel as SVG that a page takes in: one image with this text, as wide as its column.

    It has no ground and no legend of its own, and no roles inside: a screen reader reads the text alone.
    """
    root = ElementTree.fromstring(_convert(chart, "svg", page=True))
    # Roles inside an image would be read aloud piece by piece, and classes would take the page's styles.
    for element in root.iter():
        for name in [name for name in element.attrib if name.startswith(UNWANTED)]:
            del element.attrib[name]
    del root.attrib["width"], root.attrib["height"]
    root.attrib |= {"class": "plot", "role": "img", "aria-label": alternative}
    return ElementTree.tostring(root, encoding="unicode")


def save_figure(figure: Figure, path: Path, file_format: FileFormat) -> None:
    """Write all panels of a figure with its legend to a file; `OSError` where it cannot be written."""
    lines = math.ceil(len(figure.panels) / COLUMNS)
    columns = math.ceil(len(figure.panels) / lines)
    with unchecked():
        chart = join_panels([panel.chart for panel in figure.panels], columns=columns, title=figure.title)
    path.write_bytes(_convert(chart, file_format, page=False))


def slug(text: str) -> str:
    """Return a text as a part of a file's name.

    >>> slug("Toy × tiny/2")
    'toy-tiny-2'
    """
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")


def _convert(chart: Chart, file_format: FileFormat, *, page: bool) -> bytes:
    with unchecked():
        specification: dict[str, Any] = chart.to_dict() | {"config": vega_config(page=page)}
    # Imported when needed: it is large, and comes with the extra `report` only.
    convert = getattr(import_module("vl_convert"), f"vegalite_to_{file_format}")
    options = {"scale": SCALE} if file_format == "png" else {}
    content: str | bytes = convert(specification, vl_version=VEGA_LITE, **options)
    return content.encode() if isinstance(content, str) else content
