"""The carton as a textured mesh: OBJ, MTL and one image with all faces."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from dope_datagen.carton.drawing import Sheet
from dope_datagen.carton.faces import FACES, draw
from dope_ros2.common import files

SCALE = 6  # texture pixels per millimetre
BLEED = 2  # [mm] of border around each face, so that mipmaps do not mix neighbours
OFFSETS = {  # top left corner of each face in the atlas [mm]
    "front": (2, 2),
    "back": (166, 2),
    "top": (2, 116),
    "bottom": (166, 116),
    "right": (330, 2),
    "left": (330, 116),
}
ATLAS = (392, 228)  # [mm]


def rasterise(sheet: Sheet, scale: float = SCALE) -> np.ndarray:
    """Draw a sheet as an (H, W, 3) uint8 RGB image, `scale` pixels per millimetre, smoothed."""
    over, bits = 4, 4
    height, width = round(sheet.height * scale), round(sheet.width * scale)
    image = np.zeros((over * height, over * width, 3), np.uint8)
    for shape in sheet.shapes:
        # A pixel's centre is an integer for OpenCV; the sheet's edge lies half a pixel before it.
        corners = np.round((shape.points * scale * over - 0.5) * 2**bits).astype(np.int32)
        cv2.fillPoly(image, [corners], shape.color, shift=bits)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def atlas() -> np.ndarray:
    """All six faces in one image, (H, W, 3) uint8 RGB."""
    image = np.full((ATLAS[1] * SCALE, ATLAS[0] * SCALE, 3), 128, np.uint8)
    for name, (left, top) in OFFSETS.items():
        border = BLEED * SCALE
        face = cv2.copyMakeBorder(rasterise(draw(name)), *[border] * 4, cv2.BORDER_REPLICATE)
        row, column = (top - BLEED) * SCALE, (left - BLEED) * SCALE
        image[row : row + face.shape[0], column : column + face.shape[1]] = face
    return image


def obj_text() -> str:
    """The OBJ file: 12 triangles, metres, origin at the centre."""
    lines = ["# Printed carton, edges 160 x 110 x 60 mm, metres", "mtllib carton.mtl", "usemtl carton"]
    for k, (name, face) in enumerate(FACES.items()):
        width, height = face.size
        uv = np.array([[0, 0], [0, height], [width, height], [width, 0]])  # counter-clockwise from outside
        lines += [f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in face.point(uv) / 1000]
        texture = (uv + OFFSETS[name]) / ATLAS
        lines += [f"vt {u:.6f} {1 - v:.6f}" for u, v in texture]
        lines.append("vn {} {} {}".format(*face.normal))
        a, b, c, d = (f"{4 * k + i}/{4 * k + i}/{k + 1}" for i in range(1, 5))
        lines += [f"f {a} {b} {c}", f"f {a} {c} {d}"]
    return "\n".join(lines) + "\n"


def write_mesh(out: Path) -> list[Path]:
    """Write carton.obj, carton.mtl and carton.png into a folder."""
    _, png = cv2.imencode(".png", atlas()[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
    material = "newmtl carton\nKd 1 1 1\nNs 30\nmap_Kd carton.png\n"
    contents = {"carton.obj": obj_text().encode(), "carton.mtl": material.encode(), "carton.png": png.tobytes()}
    for name, content in contents.items():
        files.write_bytes(out / name, content)
    return [out / name for name in contents]
