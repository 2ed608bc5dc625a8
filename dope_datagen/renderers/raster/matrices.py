"""Matrices of the rasteriser; row v of an image is row v of the framebuffer, so nothing is ever flipped."""

from __future__ import annotations

import numpy as np

from dope_datagen.scenes.scene import Body

NEAR_PLANE, FAR_PLANE = 0.02, 30.0  # [m]


def projection(K: np.ndarray, width: int, height: int) -> np.ndarray:
    """The (4, 4) clip matrix of a camera of the optical frame; row v is clip y = 2 (v + 0.5) / height - 1."""
    P = np.zeros((4, 4))
    P[0, :3] = 2 / width * (K[0] + [0, 0, 0.5]) - [0, 0, 1]
    P[1, :3] = 2 / height * (K[1] + [0, 0, 0.5]) - [0, 0, 1]
    P[2, 2:] = (
        (FAR_PLANE + NEAR_PLANE) / (FAR_PLANE - NEAR_PLANE),
        -2 * FAR_PLANE * NEAR_PLANE / (FAR_PLANE - NEAR_PLANE),
    )
    P[3, 2] = 1
    return P


def in_view(to_clip: np.ndarray, spheres: np.ndarray) -> np.ndarray:
    """Which of spheres (N, 4), centres and radii, may be seen through a clip matrix (4, 4); (N,) bool."""
    planes = np.concatenate([to_clip[3] + to_clip[:3], to_clip[3] - to_clip[:3]])  # inside where positive
    planes /= np.linalg.norm(planes[:, :3], axis=1, keepdims=True)
    return (spheres[:, :3] @ planes[:, :3].T + planes[:, 3] > -spheres[:, 3:]).all(1)


def model_matrix(body: Body) -> np.ndarray:
    """The (4, 4) matrix from the body's mesh to the camera, with scale."""
    matrix = body.pose.matrix
    matrix[:3, :3] *= body.scale
    return matrix


def gl(matrix: np.ndarray) -> bytes:
    """A matrix as OpenGL wants it: float32, column by column."""
    return np.ascontiguousarray(matrix.T, "f4").tobytes()


def shadow_matrix(direction: np.ndarray, spheres: np.ndarray) -> np.ndarray:
    """The (4, 4) parallel projection along a light `direction` (3,) that holds all spheres (N, 4)."""
    side = np.cross(direction, [0.3, 0.5, 0.8] if abs(direction[2]) < 0.9 else [1.0, 0.2, 0.1])
    side /= np.linalg.norm(side)
    R = np.stack([side, np.cross(direction, side), -direction])  # rows: the light's axes
    points = spheres[:, :3] @ R.T
    reach = spheres[:, 3:]
    low, high = (points - reach).min(0), (points + reach).max(0)
    half = np.maximum((high - low) / 2, 1e-3) * [1.05, 1.05, 1.5]
    matrix = np.eye(4)
    matrix[:3, :3] = R / half[:, None]
    matrix[:3, 3] = -(low + high) / 2 / half
    return matrix
