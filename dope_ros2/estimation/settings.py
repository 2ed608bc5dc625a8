"""What a caller may choose of an estimate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """What a user may change from frame to frame.

    Attributes:
        min_score: detections less probably right are not reported, in [0, 1].
        peak_threshold: lowest belief to count as a keypoint, in (0, 1].
        max_reprojection_error: largest root mean square error of a pose's keypoints [px at the network's scale].
        input_height: images are scaled to this height first [px]; 0 keeps their own, -1 takes the weights' advice.
        closer_look: look again at each object that is found, at the size of those in training, where that is known.
        refine: compare each pose with the photograph and correct it, where it is known what the object looks like.
        objects: names of the objects to report; all that are known if empty.
    """

    min_score: float = 0.3
    peak_threshold: float = 0.15
    max_reprojection_error: float = 6.0
    input_height: int = -1
    closer_look: bool = True
    refine: bool = True
    objects: tuple[str, ...] = ()
