"""The report's plots, each a PNG inside a URI."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLORS = ("#222222", "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bb7733", "#999999")
FIGURE_SIZE, DPI = (5.4, 3.7), 110  # [inch]
MAX_LINES = len(COLORS)  # lines in a plot
MIN_GROUPS = 4  # groups of bars that fill a plot
Series = Mapping[str, dict]  # curves by label


def series(contents: Sequence[dict]) -> Series:
    """What gets a line of its own: each contender, or all and each class of a single one."""
    if len(contents) > 1:
        return {content["label"]: content["curves"]["all"] for content in contents[:MAX_LINES]}
    [content] = contents
    shown = ["all", *(name for name, figures in content["classes"].items() if figures["instances"])]
    return {name: content["curves"][name] for name in (shown if len(shown) > 2 else shown[:1])[:MAX_LINES]}


def plots(contents: Sequence[dict]) -> list[tuple[str, str]]:
    """All plots of a report: a sentence about each, and the image."""
    curves = series(contents)
    return [
        ("Share of objects whose ADD(-S) is below a threshold; the area under it is the ADD(-S) AUC.", _add(curves)),
        ("Precision and recall when detections below a score are ignored; the dot: none is ignored.",
         _ranking(curves)),
        ("Share of right detections over their score; on the diagonal a score is a probability.", _reliability(curves)),
        ("Recall by visibility; the numbers are objects.", _recall(contents, "by_visibility", "visibility")),
        ("Recall by distance; the numbers are objects.", _recall(contents, "by_distance", "distance [m]")),
        ("Rotation errors of detections near their object; the last bar holds all larger ones.",
         _histograms(curves, "rotation_deg", "rotation error [deg]")),
        ("Translation errors of detections near their object.",
         _histograms(curves, "translation_percent", "translation error [% of the distance]")),
    ]  # fmt: skip


def _add(curves: Series) -> str:
    figure, axes = _new("ADD(-S) threshold [cm]", "share of the objects")
    for (label, content), color in zip(curves.items(), COLORS, strict=False):
        curve = content["add_s"]
        if curve["accuracy"]:
            axes.plot([100 * t for t in curve["threshold_m"]], curve["accuracy"], color=color, label=label)
    axes.set(xlim=(0, 10), ylim=(0, 1.02))
    return _finish(figure, axes)


def _ranking(curves: Series) -> str:
    figure, axes = _new("recall", "precision")
    for (label, content), color in zip(curves.items(), COLORS, strict=False):
        curve = content["precision_recall"]
        if curve["recall"]:
            from_zero = [0.0, *curve["recall"]], [curve["precision"][0], *curve["precision"]]
            axes.plot(*from_zero, color=color, label=label)
            axes.plot(curve["recall"][-1:], curve["precision"][-1:], "o", color=color)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
    return _finish(figure, axes)


def _reliability(curves: Series) -> str:
    figure, axes = _new("score", "share of right detections")
    axes.plot([0, 1], [0, 1], "--", color="#999999", linewidth=1)
    for (label, content), color in zip(curves.items(), COLORS, strict=False):
        curve = content["reliability"]
        most = max((entry["count"] for entry in curve), default=1)
        axes.plot([e["score"] for e in curve], [e["right"] for e in curve], color=color, label=label, linewidth=1)
        sizes = [8 + 60 * entry["count"] / most for entry in curve]
        axes.scatter([e["score"] for e in curve], [e["right"] for e in curve], sizes, color=color)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
    return _finish(figure, axes)


def _recall(contents: Sequence[dict], key: str, what: str) -> str:
    """Bars side by side for each contender, a group for each bin."""
    figure, axes = _new(what, "recall")
    bins = sorted({(e["low"], e["high"]) for c in contents for e in c[key]}, key=lambda b: (b[0] is None, b[0]))
    wide = 0.8 / len(contents)
    colors = COLORS if len(contents) > 1 else COLORS[1:]
    for k, (content, color) in enumerate(zip(contents, colors, strict=False)):
        own = {(entry["low"], entry["high"]): entry for entry in content[key] if entry["instances"]}
        places = [i + (k - (len(contents) - 1) / 2) * wide for i, b in enumerate(bins) if b in own]
        heights = [own[b]["recall"] for b in bins if b in own]
        bars = axes.bar(places, heights, wide * 0.9, color=color, label=content["label"] if len(contents) > 1 else None)
        axes.bar_label(bars, [str(own[b]["instances"]) for b in bins if b in own], fontsize=7)
    names = ["unknown" if low is None else f"{low:g}-{high:g}" if high else f"{low:g}+" for low, high in bins]
    axes.set_xticks(range(len(bins)), names)
    axes.set(xlim=(-0.6, max(len(bins), MIN_GROUPS) - 0.4), ylim=(0, 1.08))
    return _finish(figure, axes)


def _histograms(curves: Series, key: str, what: str) -> str:
    figure, axes = _new(what, "share of the detections")
    for (label, content), color in zip(curves.items(), COLORS, strict=False):
        edges, counts = content[key]["edges"], content[key]["counts"]
        if total := sum(counts):
            axes.stairs([count / total for count in counts], edges, color=color, label=label)
    axes.set(xlim=(0, None), ylim=(0, None))
    return _finish(figure, axes)


def _new(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=FIGURE_SIZE, dpi=DPI)
    axes = figure.add_axes((0.15, 0.14, 0.83, 0.83))
    axes.set(xlabel=x, ylabel=y)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _finish(figure: Figure, axes: Axes) -> str:
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=8)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
