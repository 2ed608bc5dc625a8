"""How far a pose is to be trusted: the probability that it is right, and how wide its ellipsoid has to be."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from scipy.special import expit

from dope_ros2.estimation.pnp.solver import Solution

LEAST = 1e-6  # distances and deviations below are taken for this [m, rad]


@dataclass(frozen=True)
class Evidence:
    """What a pose rests on.

    Attributes:
        belief: mean belief of the nine keypoints, those not used counting as zero, in [0, 1].
        cells: logarithm of one more than the number of cells that agree.
        range: logarithm of the claimed standard deviation of the box's centre along the optical axis over its distance.
        turn: logarithm of the claimed standard deviation of the rotation [rad], root mean square over three axes.
    """

    belief: float
    cells: float
    range: float
    turn: float

    @classmethod
    def of(cls, beliefs: np.ndarray, solution: Solution, centre: np.ndarray) -> Evidence:
        """Collect it from the keypoints' beliefs (9,), the pose, and the box's centre (3,) in the object's frame."""
        used = np.where(solution.inliers, np.clip(beliefs, 0, 1), 0)
        x, y, _ = solution.pose.rotation @ centre
        along = np.array([0, 0, 1, y, -x, 0])  # how the centre's z moves with the pose
        deviation = np.sqrt(max(along @ solution.covariance @ along, LEAST**2))
        turns = np.maximum(np.diag(solution.covariance)[3:], LEAST**2)
        return cls(
            belief=float(used.mean()),
            cells=float(np.log1p(solution.cells)),
            range=float(np.log(deviation / max(solution.pose.apply(centre)[2], LEAST))),
            turn=float(np.log(np.sqrt(turns.mean()))),
        )

    @property
    def row(self) -> np.ndarray:
        """(4,) in the order of the attributes."""
        return np.array([getattr(self, f.name) for f in fields(self)])


@dataclass(frozen=True)
class Trust:
    """Facts of the weights that `dope calibrate` measures; the defaults are for networks of which nothing is known.

    Attributes:
        bias: log-odds of being right, of a pose whose evidence is all zero.
        belief, cells, range, turn: what is added to the log-odds by one of each of `Evidence`.
        spread: claimed standard deviations are this many times those of independent errors.
    """

    bias: float = -2.0
    belief: float = 8.0
    cells: float = 0.0
    range: float = 0.0
    turn: float = 0.0
    spread: float = 2.0

    def score(self, evidence: Evidence) -> float:
        """Probability that a pose is right: within 10 % of the distance and 20 degrees (`matching`)."""
        weights = np.array([self.belief, self.cells, self.range, self.turn])
        return float(expit(self.bias + weights @ evidence.row))
