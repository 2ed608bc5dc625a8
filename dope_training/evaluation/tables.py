"""The figures as tables, of text and of HTML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

from dope_ros2.evaluation.matching import DEFINITION


class Column(NamedTuple):
    """One figure: its title, what it is in a sentence, where it is found, and how it is written."""

    title: str
    hint: str
    read: Callable[[dict], float | None]
    form: str
    factor: float = 1.0


def _inner(key: str, inner: str) -> Callable[[dict], float | None]:
    return lambda figures: (figures.get(key) or {}).get(inner)


def _key(key: str) -> Callable[[dict], float | None]:
    return lambda figures: figures.get(key)


def _error(title: str, what: str, key: str, form: str) -> tuple[Column, Column]:
    """The median and the ninth decile of an error."""
    return (
        Column(title, f"{what}, median", _inner(key, "median"), form),
        Column("p90", f"{what}, ninth decile", _inner(key, "p90"), form),
    )


COLUMNS = (
    Column("objects", "objects that are to be found", _key("instances"), "{:.0f}"),
    Column("recall", f"share of them found {DEFINITION}", _key("recall"), "{:.3f}"),
    Column("precision", "share of the detections that are so right", _key("precision"), "{:.3f}"),
    Column("false/pic", "other detections, per image", _key("false_positives_per_picture"), "{:.2f}"),
    Column("rec<.1d", "recall at ADD(-S) below 10 % of the diameter", _key("recall_add"), "{:.3f}"),
    Column("prec<.1d", "precision at ADD(-S) below 10 % of the diameter", _key("precision_add"), "{:.3f}"),
    Column("ADD", "area under the curve of ADD, 0 to 10 cm [%]", _key("auc_add"), "{:.1f}", 100),
    Column("ADD-S", "area under the curve of ADD-S, 0 to 10 cm [%]", _key("auc_adds"), "{:.1f}", 100),
    Column("MSSD", "BOP's average recall by MSSD [%]", _key("ar_mssd"), "{:.1f}", 100),
    Column("MSPD", "BOP's average recall by MSPD [%]", _key("ar_mspd"), "{:.1f}", 100),
    *_error("rot deg", "rotation error [deg]", "rotation_deg", "{:.1f}"),
    *_error("trans %", "translation error [% of the distance]", "translation_percent", "{:.2f}"),
    *_error("trans cm", "translation error [cm]", "translation_cm", "{:.2f}"),
    *_error("pose px", "error of the pose's nine keypoints in the image [px]", "projected_px", "{:.1f}"),
    *_error("net px", "error of the detected keypoints [px]", "keypoints_px", "{:.1f}"),
    Column("AP", "area under precision over recall [%]", _key("average_precision"), "{:.1f}", 100),
    Column("ECE", "gap between the score and the share of right ones", _key("ece"), "{:.3f}"),
    *(
        Column(f"{short} in 95 %", f"share of right poses within their own 95 % ellipsoid, {part}",
               _inner("coverage", part), "{:.3f}")
        for part, short in (("translation", "trans"), ("rotation", "rot"), ("pose", "pose"))
    ),
)  # fmt: skip
IN_TEXT = ("objects", "recall", "precision", "false/pic", "rec<.1d", "ADD", "ADD-S", "MSSD", "MSPD", "rot deg",
           "trans %", "ECE", "pose in 95 %")  # fmt: skip


def rows_of(content: dict) -> list[tuple[str, dict]]:
    """One judged contender's rows: all objects, then each class that occurs."""
    classes = content["classes"].items()
    return [("all", content["overall"])] + [(n, f) for n, f in classes if f["instances"] or f["detections"]]


def bins_of(bins: Sequence[dict], unit: str) -> list[tuple[str, dict]]:
    """Rows of figures in bins."""
    return [(_range(entry["low"], entry["high"], unit), entry) for entry in bins]


def _range(low: float | None, high: float | None, unit: str) -> str:
    if low is None:
        return "unknown"
    return f"{low:g} to {high:g}{unit}" if high is not None else f"{low:g}{unit} and more"


def text(rows: Sequence[tuple[str, dict]], heading: str) -> str:
    """A table of text, of the most telling columns."""
    columns = [column for column in COLUMNS if column.title in IN_TEXT]
    cells = [[heading, *(column.title for column in columns)]]
    cells += [[name, *(_cell(column, figures) for column in columns)] for name, figures in rows]
    widths = [max(len(line[k]) for line in cells) for k in range(len(cells[0]))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
        for line in cells
    )


def markdown(rows: Sequence[tuple[str, dict]], heading: str) -> str:
    """A table of Markdown, of the same columns; those that say nothing in any row are left out."""
    known = [column for column in COLUMNS if column.title in IN_TEXT]
    columns = [column for column in known if any(column.read(figures) is not None for _, figures in rows)]
    cells = [[heading, *(column.title for column in columns)], ["---"] * (len(columns) + 1)]
    cells += [[name, *(_cell(column, figures) for column in columns)] for name, figures in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def html(rows: Sequence[tuple[str, dict]], heading: str) -> str:
    """A table of HTML; columns that say nothing in any row are left out."""
    columns = [column for column in COLUMNS if any(column.read(figures) is not None for _, figures in rows)]
    head = "".join(f'<th title="{escape(column.hint)}">{escape(column.title)}</th>' for column in columns)
    body = "".join(
        f"<tr><th>{escape(name)}</th>{''.join(f'<td>{_cell(column, figures)}</td>' for column in columns)}</tr>"
        for name, figures in rows
    )
    head = f"<thead><tr><th>{escape(heading)}</th>{head}</tr></thead>"
    return f'<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>'


def _cell(column: Column, figures: dict) -> str:
    value = column.read(figures)
    return "-" if value is None else column.form.format(value * column.factor)
