import os

from dope_ros2.common.resources import example, share


def test_messages_name_files_as_one_can_type_them(tmp_path, monkeypatch):
    monkeypatch.chdir(share())
    assert example("config/datagen/quick.yaml") == "config/datagen/quick.yaml"
    monkeypatch.chdir(tmp_path)  # as where only an installed package is
    assert example("config/datagen/quick.yaml") == str(share() / "config/datagen/quick.yaml")
    assert os.path.isdir(example("weights"))
