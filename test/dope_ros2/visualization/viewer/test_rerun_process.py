"""`dope view` before it shows anything: options, addresses, ports, what is not installed."""

import socket
import sys

import pytest

from dope_ros2.commands import view
from dope_ros2.common.errors import UserError
from dope_ros2.common.python_packages import EXTRAS, unmet
from dope_ros2.visualization.viewer import rerun_process


@pytest.fixture
def taken():
    with socket.socket() as holder:
        holder.bind((rerun_process.LOCAL, 0))
        holder.listen()
        yield holder.getsockname()[1]


def test_without_rerun_one_line_says_how_to_install_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "rerun", None)  # as if it were not installed
    pytest.importorskip("rclpy")
    assert view.main([]) == 2
    error = capsys.readouterr().err.strip()
    assert 'pip install "rerun-sdk>=' in error
    assert "RViz" in error
    assert "\n" not in error


def test_a_taken_port_is_named_with_the_remedy(taken):
    with pytest.raises(UserError, match=rf"port {taken} of 127.0.0.1 cannot be used.*--port") as caught:
        rerun_process.check_ports(rerun_process.LOCAL, [taken])
    assert "\n" not in str(caught.value)


def test_the_page_is_for_this_machine_alone_unless_told_otherwise():
    own, everybody = (
        rerun_process.arguments(address, 9090, window=False) for address in (rerun_process.LOCAL, "0.0.0.0")
    )
    assert own[:2] == ["--bind", "127.0.0.1"]
    assert "--cors-allow-origin" not in own
    assert everybody[:2] == ["--bind", "0.0.0.0"]
    assert everybody[everybody.index("--cors-allow-origin") + 1] == "http://*:9090"


def test_memory_is_bounded_for_pages_and_windows():
    for window in (False, True):
        command = rerun_process.arguments(rerun_process.LOCAL, 9090, window=window)
        assert command[command.index("--server-memory-limit") + 1] == rerun_process.MEMORY


def test_the_address_of_the_page_says_where_its_data_are():
    assert (
        rerun_process.page(rerun_process.LOCAL, 9090)
        == "http://127.0.0.1:9090/?url=rerun%2Bhttp%3A%2F%2F127.0.0.1%3A9091%2Fproxy"
    )
    assert rerun_process.page("0.0.0.0", 9090).startswith(f"http://{socket.gethostname()}:9090/")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a display")
def test_a_window_needs_a_display(monkeypatch):
    for name in rerun_process.DISPLAYS:
        monkeypatch.delenv(name, raising=False)
    with (
        pytest.raises(UserError, match="there is no display here"),
        rerun_process.running("127.0.0.1", 9090, window=True),
    ):
        pass


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--rate", "0"], "--rate 0 is not above 0"),
        (["--port", "65535"], "--port 65535 is not from 1 to 65534"),
        (["--count", "3"], "--count is of a dataset"),
    ],
)
def test_options_that_cannot_be_are_one_line(arguments, error, capsys):
    assert view.main(arguments) == 2
    printed = capsys.readouterr().err.strip()
    assert error in printed
    assert "\n" not in printed


@pytest.mark.skipif(bool(unmet(EXTRAS["datagen"])), reason="needs what data generation needs")
def test_with_a_dataset_it_is_the_dataset_that_is_opened(tmp_path, capsys):
    assert view.main([str(tmp_path / "no_data"), "--count", "3"]) == 2
    assert "no_data" in capsys.readouterr().err


def test_options_of_the_live_node_are_refused_with_a_dataset(tmp_path, capsys):
    assert view.main([str(tmp_path), "--node", "/other"]) == 2
    assert "--node is of the live node" in capsys.readouterr().err


def test_a_viewer_that_does_not_start_says_why(tmp_path, monkeypatch):
    (tmp_path / "rerun.py").write_text("raise SystemExit('no graphics driver')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("DISPLAY", ":0")
    with socket.socket() as free:
        free.bind((rerun_process.LOCAL, 0))
        port = free.getsockname()[1] - 1
    why = r"ended with status 1 \(no graphics driver\); give --save"
    with pytest.raises(UserError, match=why), rerun_process.running(rerun_process.LOCAL, port, window=True):
        pass
