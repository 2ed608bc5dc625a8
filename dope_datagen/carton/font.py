"""A stroke font of our own: capitals, digits and a few marks on a grid 4 wide and 6 high, y down."""

import numpy as np

WIDTH, HEIGHT, ADVANCE = 4, 6, 5.6  # grid units

# Strokes are separated by "|"; a point is two digits, x and y.
GLYPHS = {
    "A": "06 20 46|14 34",
    "B": "06 00 30 41 42 33 03|33 44 45 36 06",
    "C": "41 30 10 01 05 16 36 45",
    "D": "00 20 42 44 26 06 00",
    "E": "40 00 06 46|03 33",
    "F": "40 00 06|03 33",
    "G": "41 30 10 01 05 16 36 45 43 23",
    "H": "00 06|40 46|03 43",
    "I": "20 26|10 30|16 36",
    "J": "40 45 36 16 05",
    "K": "00 06|40 03 46",
    "L": "00 06 46",
    "M": "06 00 23 40 46",
    "N": "06 00 46 40",
    "O": "10 30 41 45 36 16 05 01 10",
    "P": "06 00 30 41 42 33 03",
    "Q": "10 30 41 45 36 16 05 01 10|24 46",
    "R": "06 00 30 41 42 33 03|23 46",
    "S": "41 30 10 01 02 13 33 44 45 36 16 05",
    "T": "00 40|20 26",
    "U": "00 05 16 36 45 40",
    "V": "00 26 40",
    "W": "00 16 23 36 40",
    "X": "00 46|40 06",
    "Y": "00 23 40|23 26",
    "Z": "00 40 06 46",
    "0": "10 30 41 45 36 16 05 01 10|41 05",
    "1": "11 20 26|06 46",
    "2": "01 10 30 41 42 06 46",
    "3": "00 40 23 33 44 45 36 16 05",
    "4": "36 30 04 44",
    "5": "40 00 03 33 44 45 36 06",
    "6": "41 30 10 01 05 16 36 45 44 33 03",
    "7": "00 40 16",
    "8": "13 02 01 10 30 41 42 33 13 04 05 16 36 45 44 33",
    "9": "05 16 36 45 41 30 10 01 02 13 43",
    "-": "13 33",
    ".": "25 26",
    "%": "06 40|00 10 11 01 00|35 45 46 36 35",
    " ": "",
}


def strokes(text: str) -> list[np.ndarray]:
    """Return the polylines, (N, 2) each, of a line of text in grid units; the first letter's cell starts at (0, 0)."""
    lines = []
    for column, letter in enumerate(text):
        for stroke in filter(None, GLYPHS[letter].split("|")):
            points = np.array([[int(x), int(y)] for x, y in stroke.split()], float)
            points[:, 0] += column * ADVANCE
            lines.append(points)
    return lines


def length(text: str) -> float:
    """Width of a line of text in grid units."""
    return max(len(text) * ADVANCE - (ADVANCE - WIDTH), 0)
