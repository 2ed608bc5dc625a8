"""Running figures of a live node against the truth: recall, errors, rate, latency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from dope_ros2.evaluation.matching import MIN_VISIBILITY, LabelledPose, Match, match
from dope_ros2.objects.object_model import ObjectModel


@dataclass
class LiveStatistics:
    """Collects true and detected objects by the stamp of their image, in any order.

    Attributes:
        min_visibility: true objects of which less can be seen do not count for recall.
    """

    min_visibility: float = MIN_VISIBILITY
    _truths: dict[int, list[LabelledPose]] = field(default_factory=dict)
    _detections: dict[int, list[LabelledPose]] = field(default_factory=dict)
    _arrivals: dict[int, float] = field(default_factory=dict)
    _matches: dict[int, list[Match]] = field(default_factory=dict)

    def add_truth(self, stamp: int, truths: list[LabelledPose]) -> None:
        """What is in the image of this stamp [ns]."""
        self._truths[stamp] = truths
        self._match(stamp)

    def add_detections(self, stamp: int, detections: list[LabelledPose], arrival: float) -> None:
        """What was found in the image of this stamp [ns], received at `arrival` [s, same clock as the stamp]."""
        self._detections[stamp], self._arrivals[stamp] = detections, arrival
        self._match(stamp)

    def know(self, models: Mapping[str, ObjectModel]) -> None:
        """Judge by these objects, known by name, also what has come already; others stay as they came."""
        for given in (self._truths, self._detections):
            for stamp, poses in given.items():
                given[stamp] = [replace(pose, model=models.get(pose.name, pose.model)) for pose in poses]
        for stamp in self._matches:
            self._match(stamp)

    def _match(self, stamp: int) -> None:
        if stamp in self._truths and stamp in self._detections:
            self._matches[stamp] = match(self._truths[stamp], self._detections[stamp])

    @property
    def frames(self) -> int:
        """Images whose truth is known."""
        return len(self._truths)

    @property
    def answered(self) -> int:
        """Images of those for which detections came."""
        return len(self._matches)

    def summary(self) -> dict[str, float | int | None]:
        """The figures so far; None where there is nothing to count.

        Recall is over the answered images; errors are over all pairs within 10 % of the distance, also those that
        are turned too far to count as found; a detection that is not right is a false positive.
        """
        counted = [m for s, ms in self._matches.items() for m in ms if self._counts(s, m)]
        pairs = [m for m in counted if m.detection is not None]
        found = [m for ms in self._matches.values() for m in ms if m.found]
        detections = sum(len(self._detections[stamp]) for stamp in self._matches)
        latencies = [1e3 * (self._arrivals[stamp] - stamp * 1e-9) for stamp in self._matches]
        return {
            "frames": self.frames,
            "answered": self.answered,
            "dropped": self.frames - self.answered,
            "truths": len(counted),
            "found": sum(m.found for m in counted),
            "recall": sum(m.found for m in counted) / len(counted) if counted else None,
            "false_positives": detections - len(found),
            "translation_error": _median([m.translation for m in pairs]),
            "rotation_error_deg": _median([np.rad2deg(m.rotation) for m in pairs]),
            "fps": self._rate(),
            "latency_p50_ms": _median(latencies),
            "latency_p95_ms": float(np.percentile(latencies, 95)) if latencies else None,
        }

    def _counts(self, stamp: int, entry: Match) -> bool:
        return self._truths[stamp][entry.truth].score >= self.min_visibility

    def _rate(self) -> float | None:
        arrivals = sorted(self._arrivals[stamp] for stamp in self._matches)
        if len(arrivals) < 2 or arrivals[-1] == arrivals[0]:
            return None
        return (len(arrivals) - 1) / (arrivals[-1] - arrivals[0])


def _median(values: list[float]) -> float | None:
    return float(np.median(values)) if values else None


def line(summary: dict[str, float | int | None]) -> str:
    """The figures as one line of a table."""
    columns = (
        ("frames", "{:.0f}", 1),
        ("dropped", "{:.0f}", 1),
        ("recall", "{:.2f}", 1),
        ("translation_error", "{:.1f} %", 100),
        ("rotation_error_deg", "{:.1f} deg", 1),
        ("false_positives", "{:.0f}", 1),
        ("fps", "{:.1f}", 1),
        ("latency_p50_ms", "{:.0f} ms", 1),
        ("latency_p95_ms", "{:.0f} ms", 1),
    )
    cells = ("-" if summary[key] is None else form.format(summary[key] * factor) for key, form, factor in columns)
    return "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, _WIDTHS, strict=True))


_TITLES = ("frames", "dropped", "recall", "distance", "rotation", "false", "fps", "lat. p50", "lat. p95")
_WIDTHS = tuple(max(len(title), 8) for title in _TITLES)
HEADING = "  ".join(f"{title:>{width}}" for title, width in zip(_TITLES, _WIDTHS, strict=True))
