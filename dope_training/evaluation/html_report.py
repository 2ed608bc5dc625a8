"""The report as one HTML file that needs nothing else: no network, no script, no second file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from dope_datagen.inspection.html_page import data_uri, document
from dope_ros2.evaluation.matching import DEFINITION
from dope_training.evaluation import tables
from dope_training.evaluation.plots import plots
from dope_training.evaluation.worst_images import Worst

OWN_STYLE = """
body { max-width: 1400px; }
main { gap: 1rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(380px, 1fr)); gap: 1.4rem; }
.plots img, .worst img { max-width: 100%; background: #fff; }
.worst { display: grid; grid-template-columns: repeat(auto-fill, minmax(420px, 1fr)); gap: 1.4rem; }
td { text-align: right; }
th { font-weight: 600; } td, th { padding-right: .9rem; }
figcaption { font-weight: 400; }
"""


def page(content: dict, pictures: Mapping[str, Sequence[Worst]]) -> str:
    """The whole page.

    Args:
        content: of report.json.
        pictures: the worst ones of each contender, by its label.
    """
    runs = content["runs"]
    title = f"Poses in {content['data']}"
    figures = "\n".join(
        f'<figure><img src="{uri}" alt="{escape(about)}"><figcaption>{escape(about)}</figcaption></figure>'
        for about, uri in plots(runs)
    )
    comparison = tables.html([(run["label"], run["overall"]) for run in runs], "all objects") if len(runs) > 1 else ""
    body = f"""<p>{_facts(content)}</p>
<main>
{comparison}
<div class="plots">
{figures}
</div>
{"".join(_run(run, pictures.get(run["label"], ())) for run in runs)}
<h2>How it was measured</h2>
{_shapes(content["objects"])}
<p>Point at a column's title to see what it means. docs/evaluate.md explains all figures.</p>
</main>"""
    return document(title, body, OWN_STYLE)


def _facts(content: dict) -> str:
    least, others = content["min_visibility"], ", ".join(content["not_judged"])
    return escape(
        f"{content['pictures']} images. Objects of which less than {least:.0%} can be seen are not asked for; to "
        f"find them is no mistake. Right is a detection {DEFINITION}."
        + (f" Also in the data, but not judged: {others}." if others else "")
    )


def _run(run: dict, pictures: Sequence[Worst]) -> str:
    seconds = run["seconds_per_picture"]
    notes = [*run["notes"], *([f"{seconds:.3f} s an image (median)"] if seconds is not None else [])]
    return f"""
<h2>{escape(run["label"])}</h2>
<p>{escape("; ".join(notes))}</p>
{tables.html(tables.rows_of(run), "object")}
{tables.html(tables.bins_of(run["by_visibility"], ""), "visibility") if run["by_visibility"] else ""}
{tables.html(tables.bins_of(run["by_distance"], " m"), "distance") if run["by_distance"] else ""}
<h3>The worst images</h3>
<p>White wires are the truth; the coloured cuboids over them, with score and distance, are the detections.</p>
<div class="worst">
{"".join(_picture(picture) for picture in pictures) or "<p>none: everything is right and exact</p>"}
</div>
"""


def _picture(picture: Worst) -> str:
    height, width = picture.image.shape[:2]
    caption = f"scene {picture.key[0]}, image {picture.key[1]}"
    faults = "".join(f"<br>{escape(fault)}" for fault in picture.faults)
    return (
        f'<figure><img width="{width}" height="{height}" alt="{caption}" src="{data_uri(picture.image)}">'
        f"<figcaption><b>{caption}</b>{faults}</figcaption></figure>"
    )


def _shapes(objects: dict[str, dict]) -> str:
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(about['points'])}</td><td>{about['diameter_m'] * 100:.1f} cm</td>"
        f"<td>{about['symmetries']}</td></tr>"
        for name, about in objects.items()
    )
    head = "<tr><th>object</th><th>points</th><th>diameter</th><th>equal-looking poses</th></tr>"
    return f'<div class="scroll"><table>{head}{rows}</table></div>'
