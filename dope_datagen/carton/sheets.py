"""The carton on paper: two sheets at true scale, each half of the box, with cut lines, fold lines and glue tabs."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from dope_datagen.carton.faces import FACES, draw

PAPERS = {"a4": (297.0, 210.0), "letter": (279.4, 215.9)}  # landscape [mm]
TAB = 10.0  # [mm]
MARGIN = 8.0  # [mm], what printers leave white
RULER = 100.0  # [mm]


@dataclass(frozen=True)
class Half:
    """Half of the net, coordinates in mm, v down.

    Attributes:
        faces: name, left, top, and whether it is turned by 180 degrees.
        folds: lines between faces; tabs: edges with a glue tab to their left seen from start to end.
        low, high: corners of all of it.
        notes: where the instructions start.
    """

    faces: tuple[tuple[str, float, float, bool], ...]
    folds: tuple[tuple[float, float, float, float], ...]
    tabs: tuple[tuple[float, float, float, float], ...]
    low: tuple[float, float]
    high: tuple[float, float]
    notes: tuple[float, float]


HALVES = (
    Half(
        faces=(("front", 0, 0, False), ("right", 160, 0, False), ("top", 0, -60, False)),
        folds=((160, 0, 160, 110), (0, 0, 160, 0)),
        tabs=(
            (0, -60, 160, -60),
            (160, 0, 220, 0),
            (220, 0, 220, 110),
            (220, 110, 160, 110),
            (160, 110, 0, 110),
            (0, 110, 0, 0),
            (0, 0, 0, -60),
        ),
        low=(-TAB, -60 - TAB),
        high=(220 + TAB, 110 + TAB),
        notes=(166, -66),
    ),
    Half(
        faces=(("back", 0, 0, False), ("left", 160, 0, False), ("bottom", 0, 110, True)),
        folds=((160, 0, 160, 110), (0, 110, 160, 110)),
        tabs=((220, 110, 160, 110),),
        low=(0, 0),
        high=(220, 170),
        notes=(166, 128),
    ),
)
NOTES = (
    "DOPE carton, sheet {} of 2",
    "Print at 100 % (actual size) on",
    "stiff paper; the ruler on the right",
    "must measure 100 mm.",
    "1. Cut along the solid lines.",
    "2. Fold along the dashed lines,",
    "    print outwards.",
    "3. Glue each half's corner: its",
    "    grey tab goes under the next face.",
    "4. Glue sheet 1's tabs inside sheet 2.",
    "Box: 160 x 110 x 60 mm.",
)


def pdf(paper: str, compress: bool = True) -> bytes:
    """Draw both sheets on "a4" or "letter", landscape."""
    width, height = PAPERS[paper]
    out = io.BytesIO()
    canvas = Canvas(out, (width * mm, height * mm), pageCompression=int(compress), invariant=1)
    canvas.setTitle("Printable carton, 160 x 110 x 60 mm")
    for number, half in enumerate(HALVES, start=1):
        left, top = origin(paper, half)
        # From here on: millimetres, v down, origin at the net's.
        canvas.transform(mm, 0, 0, -mm, left * mm, (height - top) * mm)
        _tabs(canvas, half)
        for face in half.faces:
            _face(canvas, *face)
        _lines(canvas, half)
        _ruler(canvas, half)
        _notes(canvas, half, number)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def origin(paper: str, half: Half) -> tuple[float, float]:
    """Where the net's origin lies on the paper: distance from its left and top edge [mm]."""
    left = MARGIN - half.low[0] + 1
    return left, (PAPERS[paper][1] - half.high[1] - half.low[1]) / 2


def _face(canvas: Canvas, name: str, left: float, top: float, turned: bool) -> None:
    width, height = FACES[name].size
    canvas.saveState()
    canvas.translate(left + width * turned, top + height * turned)
    canvas.scale(*((-1, -1) if turned else (1, 1)))
    for shape in draw(name).shapes:
        canvas.setFillColorRGB(*(v / 255 for v in shape.color))
        _polygon(canvas, shape.points, fill=1, stroke=0)
    canvas.restoreState()


def _polygon(canvas: Canvas, points: np.ndarray, fill: int, stroke: int) -> None:
    path = canvas.beginPath()
    path.moveTo(*points[0])
    for point in points[1:]:
        path.lineTo(*point)
    path.close()
    canvas.drawPath(path, fill=fill, stroke=stroke)


def _tabs(canvas: Canvas, half: Half) -> None:
    canvas.setFillGray(0.85)
    canvas.setStrokeGray(0)
    canvas.setLineWidth(0.2)
    for u0, v0, u1, v1 in half.tabs:
        start, end = np.array([u0, v0]), np.array([u1, v1])
        along = (end - start) / np.linalg.norm(end - start)
        out = TAB * np.array([along[1], -along[0]])
        slope = 0.7 * TAB * along
        _polygon(canvas, np.array([start, start + out + slope, end + out - slope, end]), fill=1, stroke=1)


def _lines(canvas: Canvas, half: Half) -> None:
    """Cut lines around the faces; fold lines, dashed, between them and at the tabs."""
    canvas.setLineWidth(0.2)
    canvas.setStrokeGray(0)
    for name, left, top, _ in half.faces:
        canvas.rect(left, top, *FACES[name].size, fill=0, stroke=1)
    for line in half.folds + half.tabs:
        canvas.setStrokeGray(1)
        canvas.setDash([])
        canvas.line(*line)
        canvas.setStrokeGray(0.35)
        canvas.setDash([2, 2])
        canvas.line(*line)
    canvas.setDash([])


def _ruler(canvas: Canvas, half: Half) -> None:
    """A vertical scale of 100 mm beside the net."""
    canvas.setStrokeGray(0)
    canvas.setLineWidth(0.2)
    left, top = half.high[0] + 6, half.low[1] + 4
    canvas.line(left, top, left, top + RULER)
    for tick in range(0, int(RULER) + 1, 5):
        canvas.line(left, top + tick, left + (4 if tick % 10 == 0 else 2), top + tick)
    for tick in range(0, int(RULER) + 1, 20):
        _text(canvas, left + 5, top + tick + 1, f"{tick}")
    _text(canvas, left, top + RULER + 5, "mm")


def _notes(canvas: Canvas, half: Half, number: int) -> None:
    for row, line in enumerate(NOTES):
        _text(canvas, half.notes[0], half.notes[1] + 4 * row, line.format(number))


def _text(canvas: Canvas, u: float, v: float, text: str) -> None:
    canvas.saveState()
    canvas.translate(u, v)
    canvas.scale(1, -1)
    canvas.setFillGray(0)
    canvas.setFont("Helvetica", 2.9)  # [mm] in this frame
    canvas.drawString(0, 0, text)
    canvas.restoreState()
