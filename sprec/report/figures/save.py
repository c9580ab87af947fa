"""Figures as files and as drawings inside a page, through vl-convert: no browser, no network."""

import math
import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeAlias
from xml.etree import ElementTree

from sprec.report.figures.charts import Chart, joined, unchecked
from sprec.report.figures.figure_kinds import Figure
from sprec.report.figures.style import theme

Format: TypeAlias = Literal["svg", "png", "pdf"]
VEGA_LITE = "6.4"
SCALE = 2.5
"""Pixels of a PNG per pixel of the figure: 240 dots per inch."""
COLUMNS = 3
PACKAGES = ("altair", "jinja2", "vl_convert")


UNWANTED = ("role", "aria-", "pointer-events", "class")
"""Beginnings of attributes inside a drawing that a page has no use for."""

ElementTree.register_namespace("", "http://www.w3.org/2000/svg")


class MissingPackageError(ValueError):
    """A package of the extra `report` is not installed."""


def drawing(chart: Chart, alternative: str) -> str:
    """Return one panel as SVG that a page takes in: one image with this text, as wide as its column.

    It has no ground and no legend of its own, and no roles inside: a screen reader reads the text alone.
    """
    root = ElementTree.fromstring(_svg(_spec(chart, page=True)))
    for element in root.iter():
        for name in [each for each in element.attrib if each.startswith(UNWANTED)]:
            del element.attrib[name]
    del root.attrib["width"], root.attrib["height"]
    root.attrib |= {"class": "plot", "role": "img", "aria-label": alternative}
    return ElementTree.tostring(root, encoding="unicode")


def write(figure: Figure, path: Path, format: Format) -> None:  # noqa: A002 (the word that users type)
    """Write all panels of a figure with its legend to a file; `OSError` where it cannot be written."""
    path.write_bytes(_FORMATS[format](_spec(_joined(figure), page=False)))


def slug(text: str) -> str:
    """Return a text as a part of a file's name.

    >>> slug("Toy × tiny/2")
    'toy-tiny-2'
    """
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")


def _joined(figure: Figure) -> Chart:
    lines = math.ceil(len(figure.panels) / COLUMNS)
    columns = math.ceil(len(figure.panels) / lines)
    with unchecked():
        return joined([panel.chart for panel in figure.panels], columns=columns, title=figure.title)


def _spec(chart: Chart, *, page: bool) -> dict[str, Any]:
    with unchecked():
        specification: dict[str, Any] = chart.to_dict()
    return specification | {"config": theme(page=page)}


def _svg(specification: Mapping[str, Any]) -> bytes:
    svg: str = _converter().vegalite_to_svg(specification, vl_version=VEGA_LITE)
    return svg.encode()


def _png(specification: Mapping[str, Any]) -> bytes:
    png: bytes = _converter().vegalite_to_png(specification, vl_version=VEGA_LITE, scale=SCALE)
    return png


def _pdf(specification: Mapping[str, Any]) -> bytes:
    pdf: bytes = _converter().vegalite_to_pdf(specification, vl_version=VEGA_LITE)
    return pdf


_FORMATS: Mapping[Format, Callable[[Mapping[str, Any]], bytes]] = {"svg": _svg, "png": _png, "pdf": _pdf}


def check_packages() -> None:
    """Raise `MissingPackageError`, with the remedy, where figures cannot be drawn."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        listed = " and ".join(missing)
        raise MissingPackageError(f"{listed} is not installed; add the extra: pip install 'sprec[report]'")


def _converter() -> Any:
    import vl_convert

    return vl_convert
