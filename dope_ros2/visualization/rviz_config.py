"""The configuration of RViz in config/dope.rviz, made for one node and one camera."""

from __future__ import annotations

import yaml

NODE = "/dope"  # whose topics the file names


def rviz_config(text: str, node: str, fixed_frame: str) -> str:
    """Fill in the node and the frame.

    Args:
        text: a configuration with topics below /dope.
        node: full name of the node whose outputs are shown, such as /left/dope.
        fixed_frame: frame in which everything is drawn, such as the camera's optical frame.
    """
    config = yaml.safe_load(text)
    manager = config["Visualization Manager"]
    manager["Global Options"]["Fixed Frame"] = fixed_frame
    for topic in (display["Topic"] for display in manager["Displays"] if "Topic" in display):
        topic["Value"] = node + topic["Value"].removeprefix(NODE)
    return yaml.safe_dump(config, sort_keys=False)
