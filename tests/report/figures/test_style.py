"""Colours are measured: contrast as WCAG 2 defines it, differences as the colour-blind see them."""

from itertools import combinations

import numpy as np
import pytest

from sprec.report.figures.style import (
    GROUND,
    MUTED,
    NEUTRALS,
    PAIRS,
    axis_domain,
    dark_mode_css,
    model_styles,
)

SIGHT = {
    "trichromat": np.eye(3),
    "protanope": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranope": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
    "tritanope": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.3039],
    ],
}
"""Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB."""
DARK = dict(NEUTRALS)


def linear(color):
    value = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def contrast(one, two):
    low, high = sorted(float(linear(each) @ [0.2126, 0.7152, 0.0722]) for each in (one, two))
    return (high + 0.05) / (low + 0.05)


def oklab(rgb):
    """Return coordinates in which distance is how different colours style (Ottosson 2020)."""
    to_cones = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    to_axes = [
        [0.2104542553, 0.793617785, -0.0040720468],
        [1.9779984951, -2.428592205, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.808675766],
    ]
    return np.array(to_axes) @ np.cbrt(np.array(to_cones) @ np.clip(rgb, 0, 1))


def test_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("sight", SIGHT)
def test_colours_differ_for_every_sight(sight, dark):
    colors = [*(pair[dark] for pair in PAIRS), DARK[MUTED] if dark else MUTED]
    seen = [oklab(np.array(SIGHT[sight]) @ linear(color)) for color in colors]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 0.075


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_marks_stand_out_from_the_ground(dark):
    ground = DARK[GROUND] if dark else GROUND
    assert min(contrast(pair[dark], ground) for pair in PAIRS) >= 3
    assert contrast(DARK[MUTED] if dark else MUTED, ground) >= 4.5


def test_looks_differ_by_more_than_colour():
    styles = model_styles(map(str, range(24)))
    assert len({(style.color, style.shape, style.dash) for style in styles}) == 24
    assert len({style.shape for style in styles[:6]}) == 6


def test_every_colour_has_a_partner_in_the_dark():
    rules = dark_mode_css()
    for light, dark in (*PAIRS, *NEUTRALS):
        assert f'[fill="{light}"] {{ fill: {dark}; }}' in rules
        assert f'[stroke="{light}"] {{ stroke: {dark}; }}' in rules


def test_small_change_does_not_look_tall():
    low, high = axis_domain([0.50, 0.51])
    assert high - low == pytest.approx(0.102)
    assert axis_domain([]) == pytest.approx((-0.08, 1.08))
