"""Fewer triangles: edges are collapsed where it shows least."""

from __future__ import annotations

import fast_simplification
import numpy as np

from dope_ros2.geometry.bounding_box import BoundingBox


def decimate(positions: np.ndarray, triangles: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Reduce a mesh to about `count` triangles.

    Args:
        positions: (N, 3), no two alike, so that no seam can open.
        triangles: (M, 3) int.
        count: of triangles; reached but for what the topology forbids.

    Returns:
        (n, 3) positions and (m, 3) int triangles without ones of no area.
    """
    box = BoundingBox.of(positions)
    scale = max(float(box.size.max()), 1e-12)
    thinned, faces = fast_simplification.simplify(
        (positions - box.low) / scale, np.asarray(triangles, np.int32), target_count=count
    )
    return tidy(np.asarray(thinned, float) * scale + box.low, np.asarray(faces, int))


def tidy(positions: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drop triangles without area and positions that none uses."""
    used, renumbered = np.unique(triangles[solid(positions, triangles)], return_inverse=True)
    return positions[used], renumbered.reshape(-1, 3)


def solid(positions: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Which (M,) triangles have an area worth the name."""
    a, b, c = (positions[triangles[:, k]] for k in range(3))
    doubled = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return doubled > 1e-12 * max(float(np.ptp(positions, axis=0).max()) ** 2, 1e-300) if len(triangles) else doubled > 0
