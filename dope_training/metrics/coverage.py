"""Whether errors lie within the ellipsoids that the estimates' covariances claim."""

from __future__ import annotations

import numpy as np
from scipy.special import chdtri

CLAIM = 0.95
PARTS = {"translation": slice(0, 3), "rotation": slice(3, 6), "pose": slice(0, 6)}
CHI_SQUARE_LIMITS = {
    part: float(chdtri(rows.stop - rows.start, 1 - CLAIM)) for part, rows in PARTS.items()
}  # chi-square


def squared_lengths(error: np.ndarray, covariance: np.ndarray) -> dict[str, float]:
    """Squared Mahalanobis lengths of an error, by part; NaN where nothing is claimed, infinite beyond any claim.

    Args:
        error: (6,) as `Pose.minus` gives it, of the true pose minus the found one.
        covariance: (6, 6) in the same order and units; NaN when there is none.
    """
    return {part: _squared(error[rows], covariance[rows, rows]) for part, rows in PARTS.items()}


def _squared(error: np.ndarray, covariance: np.ndarray) -> float:
    if not np.isfinite(covariance).all():
        return np.nan
    try:
        whitened = np.linalg.solve(np.linalg.cholesky(covariance), error)
    except np.linalg.LinAlgError:  # no volume
        return np.inf
    return float(whitened @ whitened)


def coverage(squared: np.ndarray, part: str) -> float | None:
    """Share of squared lengths (N,) within the ellipsoid that should hold 95 % of them; None without any."""
    known = np.asarray(squared, float)
    known = known[~np.isnan(known)]
    return float((known <= CHI_SQUARE_LIMITS[part]).mean()) if len(known) else None
