"""Images with their labels as one HTML file that needs nothing else: no network, no script, no second file."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import cv2
import numpy as np

from dope_datagen.dataset.labels import Label
from dope_datagen.dataset.store import Sample
from dope_datagen.inspection.contact_sheet import instance_color

QUALITY = 88  # of the embedded JPEGs
COLUMNS = (
    ("", "colour of the mask"),
    ("class", "and class id"),
    ("location [m]", "of the object's origin in the optical frame: x right, y down, z forward"),
    ("quaternion", "x, y, z, w"),
    ("visible", "visible pixels over all, in the frame or not"),
    ("truncated", "share that lies outside the frame"),
    ("box [px]", "left, top, width, height of the visible pixels"),
    ("pixels", "visible / all"),
)
STYLE = """
:root { color-scheme: light dark; }
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1180px; padding: 0 1rem; }
main { display: grid; gap: 2.2rem; }
figure { margin: 0; }
img { width: 100%; max-width: 960px; height: auto; border-radius: 4px; display: block; }
figcaption { font-weight: 600; margin: .5rem 0 .3rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid #8885; padding: .2rem .7rem .2rem 0; text-align: left; white-space: nowrap; }
.swatch { border-radius: 3px; display: inline-block; height: .9em; width: .9em; }
.x { color: #e03c3c; } .y { color: #2f9e44; } .z { color: #5078ff; }
"""


@dataclass(frozen=True, eq=False)
class PageImage:
    """An image on the page.

    Attributes:
        number: of the image in its dataset.
        sample: the image and its labels.
        image: (H, W, 3) uint8 RGB, as it is to be shown.
    """

    number: int
    sample: Sample
    image: np.ndarray


def page(title: str, facts: str, pictures: Sequence[PageImage]) -> str:
    """The whole page.

    Args:
        title: what is shown, such as the dataset's name.
        facts: a line about it.
        pictures: in the order of the page.
    """
    figures = "\n".join(_figure(shown) for shown in pictures)
    return document(
        title,
        f"""<p>{escape(facts)}</p>
<p>Cuboids and axes (<b class="x">x</b>, <b class="y">y</b>, <b class="z">z</b>) are drawn from the poses, with the +z
face tinted and hidden edges thin; dots are the stored corners, tints the masks.</p>
<main>
{figures}
</main>""",
    )


def document(title: str, body: str, style: str = "") -> str:
    """A whole page from its title and the HTML below it; `style` is CSS that is added to STYLE."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}{style}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{body}
</body>
</html>
"""


def data_uri(image: np.ndarray) -> str:
    """An (H, W, 3) RGB image as a JPEG inside a URI."""
    encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"


def _figure(shown: PageImage) -> str:
    height, width = shown.image.shape[:2]
    K = shown.sample.camera.K
    camera = f"fx {K[0, 0]:.1f}, fy {K[1, 1]:.1f}, cx {K[0, 2]:.1f}, cy {K[1, 2]:.1f} px"
    labels = shown.sample.objects
    rows = "".join(_row(k, label) for k, label in enumerate(labels))
    head = "".join(f'<th title="{escape(hint)}">{escape(name)}</th>' for name, hint in COLUMNS)
    table = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    return (
        f'<figure id="image-{shown.number}">'
        f'<img width="{width}" height="{height}" alt="image {shown.number}" src="{data_uri(shown.image)}">'
        f"<figcaption>image {shown.number}: {width}x{height}, {camera}</figcaption>"
        f"{table if labels else '<p>no object</p>'}</figure>"
    )


def _row(k: int, label: Label) -> str:
    color = "#{:02x}{:02x}{:02x}".format(*instance_color(k))
    cells = (
        f'<span class="swatch" style="background:{color}"></span> {k}',
        f"{escape(label.name)} ({label.class_id})",
        _numbers(label.pose.translation, 4),
        _numbers(label.pose.quaternion, 4),
        f"{label.visibility:.1%}",
        f"{label.truncation:.1%}",
        ", ".join(map(str, label.bbox)),
        f"{label.px_visible} / {label.px_all}",
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _numbers(values: Sequence[float], digits: int) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in values)
