from importlib.util import find_spec

if find_spec("rclpy") is None:
    collect_ignore_glob = ["nodes/*", "benchmarks/test_soak.py"]
