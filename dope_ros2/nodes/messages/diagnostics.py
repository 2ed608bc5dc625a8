"""Conditions to DiagnosticArray and back."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header

from dope_ros2.pipeline.diagnostics import Condition, Level


def conditions_to_msg(conditions: dict[str, Condition], header: Header) -> DiagnosticArray:
    """A status of each condition, by its name."""
    return DiagnosticArray(header=header, status=[_status(name, c) for name, c in conditions.items()])


def _status(name: str, condition: Condition) -> DiagnosticStatus:
    values = [KeyValue(key=key, value=value) for key, value in condition.values.items()]
    level, source = bytes([condition.level]), condition.source
    return DiagnosticStatus(level=level, name=name, message=condition.message, hardware_id=source, values=values)


def msg_to_conditions(msg: DiagnosticArray, node: str) -> dict[str, Condition]:
    """The conditions, by name, that a node of this full name has sent; a level that is not ours counts as an error."""
    return {
        status.name: Condition(
            Level(min(status.level[0], Level.ERROR)),
            status.message,
            {entry.key: entry.value for entry in status.values},
            status.hardware_id,
        )
        for status in msg.status
        if status.name.startswith(f"{node}: ")
    }
