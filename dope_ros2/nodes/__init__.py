"""ROS 2 nodes: thin shells; messages meet arrays in `messages.py` only."""
