"""A DDS domain for each process that runs tests, so that runs and their workers do not hear each other."""

import socket

ABOVE = range(215, 232)  # their ports are above those that Linux hands out; demo, soak and benchmark take 1 to 100
BELOW = range(100, 0, -1)


def reserve(domains=(*ABOVE, *BELOW)):
    """The number of a domain that nobody else has reserved, and the socket that keeps it as long as it is open."""
    for domain in domains:
        holder = socket.socket(socket.AF_UNIX)
        try:
            holder.bind(f"\0dope_ros2: tests in ROS domain {domain}")  # goes with its process, however that ends
        except OSError:
            holder.close()
            continue
        return domain, holder
    raise RuntimeError("all ROS domains are taken by other runs of the tests")
