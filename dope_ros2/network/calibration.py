"""How a network's peaks and poses err, as its weights file says; `dope calibrate` measures it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from dope_ros2.objects.detection import ConfidenceFeatures


@dataclass(frozen=True)
class PeakCalibration:
    """How the peaks of a network's maps err, by their height; `dope calibrate` measures it.

    Attributes:
        inward: an unsure corner's peak lies too near the centroid, by so much at height 0 [cells].
        sure: standard deviation of a keypoint at height 1 [cells].
        unsure: what is added to it at height 0 [cells].
    """

    inward: float = 0.0
    sure: float = 0.2
    unsure: float = 0.9

    def sigmas(self, heights: np.ndarray) -> np.ndarray:
        """Standard deviations [cells] of keypoints from the heights of their peaks, in [0, 1]."""
        return self.sure + self.unsure * (1 - np.clip(heights, 0, 1))


@dataclass(frozen=True)
class ScoreModel:
    """Facts of the weights that `dope calibrate` measures; the defaults are for networks of which nothing is known.

    Attributes:
        bias: log-odds of being right, of a pose whose evidence is all zero.
        belief, cells, range, turn: what is added to the log-odds by one of each of `ConfidenceFeatures`.
        spread: claimed standard deviations are this many times those of independent errors.
    """

    bias: float = -2.0
    belief: float = 8.0
    cells: float = 0.0
    range: float = 0.0
    turn: float = 0.0
    spread: float = 2.0

    def score(self, evidence: ConfidenceFeatures) -> float:
        """Probability that a pose is right: within 10 % of the distance and 20 degrees (`matching`)."""
        weights = np.array([self.belief, self.cells, self.range, self.turn])
        return float(expit(self.bias + weights @ evidence.row))
