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
from sprec.report.figures.style import NAMES_WIDTH, vega_config

FileFormat: TypeAlias = Literal["svg", "png", "pdf"]
VEGA_LITE = "6.4"
# Pixels of a PNG per point: 300 dots per inch.
SCALE = 300 / 72
PaperWidth: TypeAlias = Literal["column", "page"]
# Points of a column and of the text of the usual two-column styles, and panels beside each other in them,
# without and with rows of names.
PAPER_WIDTHS = {"column": 240.0, "page": 504.0}
COLUMNS = {("column", False): 2, ("page", False): 3, ("column", True): 1, ("page", True): 4}
# A paper's letters are so much smaller than a page's, and rows of names may be as much closer.
FONT_RATIO = 8 / 11
NAMES_GAP = 16
# Points that a panel's numbers on the y axis and the space before it take.
AXIS_WIDTH = 46
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
        raise MissingPackageError(
            f"{listed} is not installed; add the extra: pip install -e '.[report]' in the checkout"
        )


def to_inline_svg(chart: Chart, alternative: str) -> str:
    """Return one panel as SVG that a page takes in: one image with this text, as wide as its column.

    It has no ground and no legend of its own, and no roles inside: a screen reader reads the text alone.
    """
    with unchecked():
        specification = chart.to_dict() | {"config": vega_config(page=True)}
    root = ElementTree.fromstring(_to_svg(specification))
    # Roles inside an image would be read aloud piece by piece, and classes would take the page's styles.
    for element in root.iter():
        for name in [name for name in element.attrib if name.startswith(UNWANTED)]:
            del element.attrib[name]
    del root.attrib["width"], root.attrib["height"]
    root.attrib |= {"class": "plot", "role": "img", "aria-label": alternative}
    return ElementTree.tostring(root, encoding="unicode")


def save_figure(figure: Figure, path: Path, file_format: FileFormat, *, width: PaperWidth = "page") -> None:
    """Write all panels of a figure with its legend, as wide as a column or a page of a paper.

    It has no title: captions are the paper's. `OSError` where it cannot be written.
    """
    total, most = PAPER_WIDTHS[width], COLUMNS[width, figure.names_rows]
    lines = math.ceil(len(figure.panels) / most)
    columns = math.ceil(len(figure.panels) / lines)
    with unchecked():
        charts = [panel.chart.to_dict() for panel in figure.panels]
    if figure.names_rows:
        plot = (total - 0.8 * NAMES_WIDTH) / columns - NAMES_GAP
    else:
        plot = total / columns - AXIS_WIDTH
    for place, chart in enumerate(charts):
        _set_size(chart, plot, FONT_RATIO if figure.names_rows else 1.0)
        # One column of names is enough for the panels of a line.
        if figure.names_rows and place % columns:
            _hide_names(chart)
    specification = join_panels(charts, columns=columns) | {"config": vega_config(page=False)}
    svg = _scale(_to_svg(specification), total)
    converter = import_module("vl_convert")
    if file_format == "svg":
        content = svg.encode()
    elif file_format == "png":
        content = converter.svg_to_png(svg, scale=SCALE)
    else:
        content = converter.svg_to_pdf(svg)
    path.write_bytes(content)


def slug(text: str) -> str:
    """Return a text as a part of a file's name.

    >>> slug("Toy × tiny/2")
    'toy-tiny-2'
    """
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")


def _to_svg(specification: dict[str, Any]) -> str:
    # Imported when needed: it is large, and comes with the extra `report` only.
    svg: str = import_module("vl_convert").vegalite_to_svg(specification, vl_version=VEGA_LITE)
    return svg


def _set_size(chart: dict[str, Any], width: float, height_ratio: float) -> None:
    """Give every plot of a chart this width, and this share of its height."""
    for plot in (chart, *chart.get("layer", [])):
        if "width" in plot:
            plot |= {"width": round(width), "height": round(plot["height"] * height_ratio)}


def _hide_names(chart: dict[str, Any]) -> None:
    for layer in chart["layer"]:
        y = layer["encoding"].get("y")
        if y is not None:
            y["axis"] = {"labels": False, "grid": False}


def _scale(svg: str, width: float) -> str:
    """Return an SVG of exactly this width in points; Vega's own depends on how long its labels are."""
    root = ElementTree.fromstring(svg)
    height = float(root.attrib["height"]) * width / float(root.attrib["width"])
    root.attrib |= {"width": f"{width:g}", "height": f"{height:.2f}"}
    return ElementTree.tostring(root, encoding="unicode")
