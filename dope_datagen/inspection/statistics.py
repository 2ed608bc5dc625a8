"""What a dataset contains, in histograms: as numbers and as an image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from dope_datagen.inspection.shard_reader import LabelStatistics

BINS = 24
HIDDEN_BELOW = 0.1  # objects less visible than this count as hidden
TITLES = {
    "visibility": "visibility (visible pixels / all pixels)",
    "distance_m": "distance from the camera [m]",
    "size_px": "length of the box's diagonal [px]",
    "objects": "objects in an image",
}


def survey(seen: Sequence[LabelStatistics], crowd: Sequence[int]) -> dict:
    """Histograms of all labels, as JSON-able values.

    Args:
        seen: one entry per label.
        crowd: number of labels of each image.

    Returns:
        `classes`: per class how many instances, and how many are hidden; `histograms`: `edges` and `counts` of
        visibility, distance [m], size [px, logarithmic bins], objects in an image; `rotation`: how often an object is
        seen from which direction of its own frame, `counts` by azimuth [deg] and sine of the elevation.
    """
    table = np.array([astuple(s)[1:] for s in seen], float).reshape(-1, 5)
    visibility, distance, size, azimuth, rise = table.T
    most = max(crowd, default=0)
    counts, azimuth_edges, rise_edges = np.histogram2d(
        np.degrees(azimuth), rise, bins=(BINS, BINS // 2), range=((-180, 180), (-1, 1))
    )
    return {
        "classes": _classes(seen),
        "histograms": {
            "visibility": _histogram(visibility, np.linspace(0, 1, 21)),
            "distance_m": _histogram(distance, np.linspace(0, _high(distance), BINS + 1)),
            "size_px": _histogram(size, np.geomspace(*_range(size), BINS + 1)),
            "objects": _histogram(np.array(crowd, float), np.arange(-0.5, most + 1)),
        },
        "rotation": {
            "azimuth_deg": azimuth_edges.tolist(),
            "sin_elevation": rise_edges.tolist(),
            "counts": counts.astype(int).tolist(),
        },
    }


def draw(content: dict, title: str, path: Path) -> None:
    """Draw what `survey` returned as a PNG."""
    figure = Figure(figsize=(13, 7.5), layout="constrained")
    axes = figure.subplots(2, 3).ravel()
    figure.suptitle(title)
    _bars(axes[0], content["classes"])
    for axis, (key, what) in zip(axes[1:5], TITLES.items(), strict=True):
        edges, counts = content["histograms"][key].values()
        axis.stairs(counts, edges, fill=True, color="#4477aa")
        axis.set(xlabel=what, ylabel="images" if key == "objects" else "instances")
    axes[3].set_xscale("log")
    for which in (axes[3].xaxis.set_major_formatter, axes[3].xaxis.set_minor_formatter):
        which(LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.5)))
    rotation = content["rotation"]
    mesh = axes[5].pcolormesh(
        rotation["azimuth_deg"], rotation["sin_elevation"], np.transpose(rotation["counts"]), cmap="viridis"
    )
    axes[5].set(xlabel="seen from: azimuth in the object's frame [deg]", ylabel="sine of the elevation")
    figure.colorbar(mesh, ax=axes[5], label="instances")
    FigureCanvasAgg(figure).print_png(str(path))


def _bars(axis: object, classes: dict[str, dict]) -> None:
    names = list(classes)
    axis.barh(names, [classes[name]["instances"] for name in names], 0.6, color="#4477aa", label="instances")
    hidden = [classes[name]["hidden"] for name in names]
    axis.barh(names, hidden, 0.6, color="#cc6677", label=f"visibility below {HIDDEN_BELOW:g}")
    axis.set(xlabel="instances", ylim=(max(len(names), 4) - 0.5, -0.5))
    if names:
        axis.legend(loc="lower right")


def _classes(seen: Sequence[LabelStatistics]) -> dict[str, dict[str, int]]:
    counts = Counter(s.name for s in seen)
    hidden = Counter(s.name for s in seen if s.visibility < HIDDEN_BELOW)
    return {name: {"instances": counts[name], "hidden": hidden[name]} for name in sorted(counts)}


def _histogram(values: np.ndarray, edges: np.ndarray) -> dict[str, list]:
    counts, _ = np.histogram(values, edges)
    return {"edges": edges.round(6).tolist(), "counts": counts.tolist()}


def _high(values: np.ndarray) -> float:
    return float(values.max()) * 1.001 if values.size else 1.0


def _range(values: np.ndarray) -> tuple[float, float]:
    if not values.size:
        return 1.0, 1000.0
    return max(1e-3, float(values.min())) * 0.999, max(2e-3, float(values.max())) * 1.001
