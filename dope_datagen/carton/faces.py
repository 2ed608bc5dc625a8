"""What is printed on the six faces: no face looks like another one, nor like itself turned by 180 degrees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dope_datagen.carton.drawing import Sheet, circle, rotated

SIZE = (160.0, 110.0, 60.0)  # edges along x, y, z [mm]

WHITE, BLACK, CREAM = (250, 250, 246), (22, 22, 26), (246, 236, 208)
NAVY, VIOLET, YELLOW, ORANGE = (14, 28, 92), (104, 44, 148), (252, 206, 28), (240, 122, 20)
RED, GREEN, DARK_GREEN, CYAN = (206, 28, 40), (70, 176, 66), (12, 92, 54), (40, 184, 214)
MAGENTA, PINK, GREY, TEAL = (196, 22, 122), (248, 164, 200), (196, 200, 204), (0, 122, 128)


@dataclass(frozen=True)
class Face:
    """A face as seen from outside: its outward normal and the directions right and down, in the object's frame."""

    name: str
    normal: tuple[int, int, int]
    right: tuple[int, int, int]
    down: tuple[int, int, int]

    @property
    def size(self) -> tuple[float, float]:
        """Width and height [mm]."""
        return float(np.abs(self.right) @ np.array(SIZE)), float(np.abs(self.down) @ np.array(SIZE))

    @property
    def corner(self) -> np.ndarray:
        """The top left corner (3,) in the object's frame [mm]."""
        half = np.array(SIZE) / 2
        return (np.array(self.normal) - np.array(self.right) - np.array(self.down)) * half

    def point(self, uv: np.ndarray) -> np.ndarray:
        """Lift (N, 2) points of the print [mm] to (N, 3) points in the object's frame [mm]."""
        return self.corner + np.asarray(uv) @ np.array([self.right, self.down], float)


FACES = {
    face.name: face
    for face in (
        Face("front", (0, 0, 1), (1, 0, 0), (0, -1, 0)),
        Face("back", (0, 0, -1), (-1, 0, 0), (0, -1, 0)),
        Face("right", (1, 0, 0), (0, 0, -1), (0, -1, 0)),
        Face("left", (-1, 0, 0), (0, 0, 1), (0, -1, 0)),
        Face("top", (0, 1, 0), (1, 0, 0), (0, 0, 1)),
        Face("bottom", (0, -1, 0), (1, 0, 0), (0, 0, -1)),
    )
}


def draw(name: str) -> Sheet:
    """Draw the print of one face: front, back, right, left, top or bottom."""
    sheet = Sheet(*FACES[name].size)
    {"front": _front, "back": _back, "right": _right, "left": _left, "top": _top, "bottom": _bottom}[name](sheet)
    return sheet


def _front(sheet: Sheet) -> None:
    sheet.gradient(NAVY, VIOLET)
    for u, v, r in (
        (8, 52, 1.1),
        (46, 55, 0.8),
        (62, 63, 1.4),
        (58, 88, 0.9),
        (150, 12, 1.3),
        (128, 8, 0.8),
        (140, 26, 0.9),
    ):
        sheet.star((u, v), 2.2 * r, 4, 0.3, WHITE)
    sheet.ellipse((116, 66), (33, 33), YELLOW)
    sheet.ellipse((110, 60), (25, 25), (255, 226, 96))
    for u, v, r in ((103, 56, 6), (121, 74, 8), (127, 52, 4), (106, 78, 3.4)):
        sheet.ellipse((u, v), (r, 0.85 * r), ORANGE)
    arc = circle(48)[np.r_[13:48, 0:1]]  # the ring passes behind the planet at its top
    planet = np.array([116.0, 66.0])
    sheet.line(rotated(arc[::-1] * (45, 12), -0.42) + planet, 4.2, CYAN)
    sheet.line(rotated(arc[::-1] * (39, 9), -0.42) + planet, 1.6, WHITE)
    sheet.text("ORBIT", (8, 8), 24, WHITE, bold=1.25)
    sheet.text("STAR CRUNCH", (9, 37), 6.5, ORANGE, bold=1.1)
    sheet.star((26, 76), 19, 14, 0.8, RED)
    sheet.text("50", (13, 67), 11, WHITE, bold=1.2)
    sheet.text("%", (32.5, 70), 7, YELLOW, bold=1.0)
    sheet.rectangle(0, 99, 160, 11, GREEN)
    sheet.text("NET 420 G", (6, 102), 5, WHITE)
    for k in range(5):
        sheet.polygon([[66 + 9 * k, 99], [71 + 9 * k, 99], [66 + 9 * k, 110], [61 + 9 * k, 110]], DARK_GREEN)


def _back(sheet: Sheet) -> None:
    sheet.rectangle(0, 0, 160, 110, CREAM)
    sheet.rectangle(0, 0, 40, 110, RED)
    sheet.polygon([[40, 0], [58, 0], [40, 40]], RED)
    sheet.text("ORBIT", (30, 8), 17, WHITE, turn=np.pi / 2, bold=1.3)
    sheet.ellipse((20, 97), (8, 8), YELLOW)
    sheet.text("BREAKFAST", (64, 7), 8, BLACK, bold=1.2)
    bars = ((CYAN, 34), (ORANGE, 22), (GREEN, 44), (MAGENTA, 14), (NAVY, 29))
    for k, (color, tall) in enumerate(bars):
        sheet.rectangle(52 + 9 * k, 70 - tall, 7, tall, color)
    sheet.line([[49, 22], [49, 71], [99, 71]], 1.2, BLACK)
    _table(sheet, 106, 22)
    sheet.polygon([[160, 78], [160, 110], [92, 110]], NAVY)
    sheet.text("ABC", (139, 98), 7, YELLOW, bold=1.2)
    for k, line in enumerate(("SHAKE WELL AND", "POUR INTO A BOWL", "ADD COLD MILK")):
        sheet.text(line, (48, 79 + 7 * k), 3.6, BLACK, bold=0.9)
    sheet.star((84, 102), 5, 5, 0.45, RED)


def _table(sheet: Sheet, u: float, v: float) -> None:
    sheet.rectangle(u, v, 48, 50, WHITE)
    rows = ("ENERGY 371", "FAT 4.2", "CARBS 62", "SUGAR 17", "FIBRE 9", "SALT 0.6", "IRON 14")
    sheet.rectangle(u, v, 48, 6.5, BLACK)
    sheet.text("PER 100 G", (u + 2, v + 1.4), 3.6, WHITE)
    for k, row in enumerate(rows):
        sheet.text(row, (u + 2, v + 8.4 + 6 * k), 3.2, BLACK, bold=0.9)
        sheet.line([[u, v + 12.9 + 6 * k], [u + 48, v + 12.9 + 6 * k]], 0.5, BLACK)


def _right(sheet: Sheet) -> None:
    sheet.rectangle(0, 0, 60, 110, ORANGE)
    sheet.polygon([[0, 0], [60, 0], [60, 16], [0, 40]], BLACK)
    sheet.text("742", (7, 5), 13, YELLOW, bold=1.3)
    sheet.ellipse((38, 52), (17, 17), WHITE)
    sheet.ellipse((38, 52), (12, 12), RED)
    sheet.ellipse((34, 48), (5, 5), WHITE)
    sheet.rectangle(6, 74, 48, 30, WHITE)
    widths = (2, 1, 1, 3, 1, 2, 1, 1, 2, 3, 1, 1, 2, 1, 3, 1, 1, 2, 1, 1, 3, 2, 1, 1)
    edges = np.concatenate([[0], np.cumsum(widths)])
    for k in range(0, len(widths), 2):
        sheet.rectangle(10 + edges[k], 77, widths[k], 20, BLACK)
    sheet.text("3 508 1162", (11, 98.6), 3.4, BLACK, bold=0.9)


def _left(sheet: Sheet) -> None:
    sheet.gradient((150, 214, 70), DARK_GREEN)
    sheet.polygon([[30, 6], [56, 38], [40, 38], [40, 66], [20, 66], [20, 38], [4, 38]], WHITE)
    sheet.text("UP", (21.5, 42), 11, DARK_GREEN, bold=1.3)
    sheet.polygon([[0, 110], [0, 76], [34, 110]], YELLOW)
    sheet.text("KEEP DRY", (10, 71), 5, WHITE, bold=1.1)
    for k in range(4):
        sheet.line([[26 + 8 * k, 84 + 2 * k], [22 + 8 * k, 97 + 2 * k]], 2.6, CYAN)
    sheet.text("4", (3, 96), 10, BLACK, bold=1.3)


def _top(sheet: Sheet) -> None:
    sheet.rectangle(0, 0, 160, 60, MAGENTA)
    for k in range(7):
        left = -18 + 12 * k
        sheet.polygon([[left + 18, 0], [left + 24, 0], [left + 6, 60], [left, 60]], PINK)
    sheet.polygon([[66, 0], [160, 0], [160, 60], [48, 60]], MAGENTA)
    sheet.text("OPEN", (62, 8), 17, WHITE, bold=1.35)
    sheet.text("HERE", (62, 36), 10, YELLOW, bold=1.3)
    sheet.line([[58, 53], [126, 53]], 1.8, WHITE)
    sheet.ellipse((160, 60), (36, 36), CYAN)
    sheet.ellipse((160, 60), (22, 22), NAVY)
    sheet.star((112, 41), 6, 3, 0.5, BLACK)


def _bottom(sheet: Sheet) -> None:
    sheet.rectangle(0, 0, 160, 60, GREY)
    for row in range(5):
        for column in range(5 - row // 2):
            if (row + column) % 2 == 0:
                sheet.rectangle(12 * column, 12 * row, 12, 12, BLACK)
    sheet.rectangle(112, 0, 48, 60, TEAL)
    sheet.polygon([[112, 60], [112, 24], [90, 60]], TEAL)
    sheet.line([[124, 12], [148, 36]], 7, WHITE)
    sheet.line([[148, 12], [124, 36]], 7, WHITE)
    sheet.text("LOT 3508", (66, 8), 6, RED, bold=1.3)
    sheet.text("MADE OF PAPER", (64, 21), 3.4, BLACK)
    sheet.ellipse((75, 43), (10, 10), RED)
    sheet.text("R", (71.6, 38), 10, WHITE, bold=1.3)
    sheet.text("2031", (128, 48), 7, YELLOW, bold=1.2)
