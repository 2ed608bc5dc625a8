"""How a network's peaks and poses err, as its weights file says; `dope calibrate` measures it."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from scipy.special import expit

from dope_ros2.objects.detection import Evidence


@dataclass(frozen=True)
class PeakCalibration:
    """How the peaks of a network's maps err, by their height; `dope calibrate` measures it.

    Attributes:
        shrinkage: an unsure corner's peak lies too near the centroid, by so much at height 0 and not at 1 [cells].
        sigma_sure: standard deviation of a keypoint at height 1 [cells].
        sigma_slope: what is added to it at height 0 [cells].
    """

    shrinkage: float = 0.0
    sigma_sure: float = 0.2
    sigma_slope: float = 0.9

    def sigmas(self, heights: np.ndarray) -> np.ndarray:
        """Standard deviations [cells] of keypoints from the heights of their peaks, in [0, 1]."""
        return self.sigma_sure + self.sigma_slope * (1 - np.clip(heights, 0, 1))


class LogisticModel:
    """Scores from evidence; who inherits has a bias, a weight for each feature by its name, and `sigma_scale`."""

    @property
    def covariance_scale(self) -> float:
        """Claimed covariances are this many times those of independent errors, or of the comparison's noise."""
        return self.sigma_scale**2

    def score(self, evidence: Evidence) -> float:
        """Probability that a pose is right: within 10 % of the distance and 20 degrees (`matching`)."""
        weights = np.array([getattr(self, feature.name) for feature in fields(evidence)])
        return float(expit(self.bias + weights @ evidence.row))


@dataclass(frozen=True)
class ScoreModel(LogisticModel):
    """How far a network's poses are to be trusted; `dope calibrate` measures it.

    The defaults are for networks of which nothing is known.

    Attributes:
        bias: log-odds of being right, of a pose whose evidence is all zero.
        belief, cells, range, turn: what is added to the log-odds by one of each of `ConfidenceFeatures`.
        sigma_scale: claimed standard deviations are this many times those of independent errors.
    """

    bias: float = -2.0
    belief: float = 8.0
    cells: float = 0.0
    range: float = 0.0
    turn: float = 0.0
    sigma_scale: float = 2.0


@dataclass(frozen=True)
class RefinedScoreModel(LogisticModel):
    """How far poses are to be trusted that were compared with the photograph; `dope calibrate` measures it.

    Attributes:
        bias: log-odds of being right, of a pose whose evidence is all zero.
        print, outline, contrast, size, range, turn: what is added to the log-odds by one of each of `RefinedFeatures`.
        sigma_scale: claimed standard deviations are this many times those that the comparison's noise gives.
    """

    bias: float = -5.0
    print: float = 8.0
    outline: float = 3.0
    contrast: float = 0.0
    size: float = 0.0
    range: float = 0.0
    turn: float = 0.0
    sigma_scale: float = 2.0
