"""Conditions to DiagnosticArray and back."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header

from dope_ros2.pipeline.diagnostics import Condition, Level


def conditions_to_msg(conditions: dict[str, Condition], header: Header, source: str) -> DiagnosticArray:
    """A status of each condition, by its name; `source` is the hardware id, such as the node's name."""
    return DiagnosticArray(header=header, status=[_status(name, c, source) for name, c in conditions.items()])


def _status(name: str, condition: Condition, source: str) -> DiagnosticStatus:
    values = [KeyValue(key=key, value=value) for key, value in condition.values.items()]
    level = bytes([condition.level])
    return DiagnosticStatus(level=level, name=name, message=condition.message, hardware_id=source, values=values)


def msg_to_conditions(msg: DiagnosticArray, source: str) -> dict[str, Condition]:
    """The conditions, by name, of what has this hardware id; a level that is not ours counts as an error."""
    return {
        status.name: Condition(
            Level(min(status.level[0], Level.ERROR)),
            status.message,
            {entry.key: entry.value for entry in status.values},
        )
        for status in msg.status
        if status.hardware_id == source
    }
