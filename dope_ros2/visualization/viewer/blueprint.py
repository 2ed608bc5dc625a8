"""The page of `dope view`: which views of rerun it has, and where."""

from __future__ import annotations

from types import ModuleType

APPLICATION, TIMELINE = "dope view", "stamp"
SHOWN = 60.0  # seconds of latencies
EYE = (0.85, -0.62, -0.22)  # where the scene is seen from, in the camera's frame; distance of the objects = 1
TARGET = (0.0, 0.04, 0.78)


def blueprint(rr: ModuleType, distance: float) -> object:
    """Image and scene above; latencies, table and diagnostics below. Objects are at `distance` [m]."""
    rrb = rr.blueprint
    eye = rrb.EyeControls3D(
        position=[distance * value for value in EYE],
        look_target=[distance * value for value in TARGET],
        eye_up=(0, -1, 0),  # y points down
    )
    above = rrb.Horizontal(
        rrb.Spatial2DView(origin="camera", name="Camera"),
        rrb.Spatial3DView(
            origin="/", contents=["/camera/**", "- /camera/labels", "/scene/**"], name="Scene", eye_controls=eye
        ),
    )
    below = rrb.Horizontal(
        rrb.Tabs(
            _plot(rr, "Latency [ms], medians", ["/latency/answer", "/latency/p50/**"]),
            _plot(rr, "95th percentiles", ["/latency/p95/**"]),
            _plot(rr, "Answers per second", ["/rate/**"]),
            active_tab=0,
        ),
        rrb.TextDocumentView(origin="objects", name="Objects"),
        rrb.TextLogView(origin="diagnostics", name="Diagnostics", columns=_columns(rr)),
        column_shares=[3, 2, 3],
    )
    return rrb.Blueprint(
        rrb.Vertical(above, below, row_shares=[5, 2]),
        rrb.TimePanel(state="collapsed", timeline=TIMELINE, play_state="following"),
        rrb.SelectionPanel(state="hidden"),
        rrb.BlueprintPanel(state="hidden"),
        auto_views=False,
    )


def _plot(rr: ModuleType, name: str, contents: list[str]) -> object:
    rrb = rr.blueprint
    boundary = rrb.TimeRangeBoundary
    minute = rrb.VisibleTimeRange(
        TIMELINE, start=boundary.cursor_relative(seconds=-SHOWN), end=boundary.cursor_relative()
    )
    return rrb.TimeSeriesView(origin="/", contents=contents, name=name, time_ranges=minute)


def _columns(rr: ModuleType) -> object:
    """Time, level and text; all messages come from one node."""
    make = rr.blueprint.encodings.TextLogColumn
    columns = [make("EntityPath", visible=False), make("LogLevel"), make("Body")]
    return rr.blueprint.TextLogColumns(text_log_columns=columns)
