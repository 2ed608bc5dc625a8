"""What becomes of the configuration of DOPE's ROS 1 node."""

import shlex

import numpy as np
import pytest
import torch
import yaml

from dope_ros2.cli import main
from dope_ros2.network.dope_paper import Paper
from dope_ros2.network.weights import load, match_objects
from dope_ros2.objects.object_model import load_objects

CONFIG = """
topic_camera: "/arm/image_rect_color"
topic_camera_info: "/arm/camera_info"
topic_publishing: "dope"
input_is_rectified: True
downscale_height: 400
weights: {
    "crate": "package://dope/weights/crate.pth",
    # "tin": "package://dope/weights/tin.pth",
}
dimensions: {"crate": [16.0, 21.0, 7.0], "tin": [7.5, 10.0, 7.5]}
class_ids: {"crate": 3, "tin": 5}
draw_colors: {"crate": [13, 255, 128]}
"""
REST = """
overlay_belief_images: True
thresh_angle: 0.5
thresh_map: 0.01
sigma: 3
thresh_points: 0.1
"""
TURNED = "model_transforms: {crate: [[0, 1, 0, 9], [0, 0, 1, 9], [1, 0, 0, 9], [0, 0, 0, 1]]}\n"


class Migration:
    """A ROS 1 package with a configuration, and what the import makes of it."""

    def __init__(self, folder, capsys):
        self.package, self.out, self._capsys = folder / "dope", folder / "new", capsys
        self.config = self.package / "config" / "config_pose.yaml"
        for name in ("config", "weights", "meshes"):
            (self.package / name).mkdir(parents=True)
        (self.package / "package.xml").write_text("<package/>")
        (self.package / "weights" / "crate.pth").touch()

    def run(self, text, *options):
        """Returns the exit status and the lines that were printed."""
        self.config.write_text(text)
        files = ["--out", str(self.out / "objects.yaml"), "--params", str(self.out / "dope.yaml")]
        status = main(["import-config", str(self.config), *files, *options])
        printed = self._capsys.readouterr()
        return status, (printed.out + printed.err).splitlines()

    def lines(self, text):
        status, lines = self.run(text)
        assert status == 0, lines
        return [line.strip() for line in lines]

    @property
    def objects(self):
        return load_objects(self.out / "objects.yaml")

    @property
    def parameters(self):
        return {node: v["ros__parameters"] for node, v in yaml.safe_load((self.out / "dope.yaml").read_text()).items()}


@pytest.fixture
def migration(tmp_path, capsys):
    return Migration(tmp_path, capsys)


def test_a_ros_2_parameter_file_of_the_same_keys_is_read_alike(migration):
    expected = migration.lines(CONFIG), migration.objects, migration.parameters
    for file in migration.out.iterdir():
        file.unlink()
    port = yaml.safe_dump({"/dope_node": {"ros__parameters": yaml.safe_load(CONFIG)}}, sort_keys=False)
    assert (migration.lines(port), migration.objects, migration.parameters) == expected


def test_objects_are_in_metres_around_the_box_with_number_and_colour(migration):
    migration.lines(CONFIG)
    crate, tin = migration.objects.values()
    assert (crate.name, crate.class_id, crate.size, crate.color) == ("crate", 3, (0.16, 0.21, 0.07), (13, 255, 128))
    assert (tin.name, tin.class_id, tin.size, tin.centre) == ("tin", 5, (0.075, 0.1, 0.075), (0, 0, 0))
    np.testing.assert_allclose(crate.keypoints[0], [0.08, -0.105, 0.035])  # the ROS 1 node's first corner


def test_the_node_is_set_as_the_old_one_was(migration):
    migration.lines(CONFIG + REST)
    assert migration.parameters == {
        "/**/dope": {
            "weights": str(migration.out / "crate.safetensors"),
            "objects_file": str(migration.out / "objects.yaml"),
            "ros1_topics": True,
            "tracking": False,
            "input_height": 400,
            "peak_threshold": 0.1,
        }
    }


def test_a_file_without_settings_means_what_the_old_node_took_for_them(migration):
    lines = migration.lines("weights: {crate: crate.pth}\ndimensions: {crate: [1, 2, 3]}\n")
    assert migration.parameters["/**/dope"]["input_height"] == 500
    assert "image_rect:=/dope/webcam/image_raw" in lines[-1]


def test_package_uris_are_files_of_the_package_around_the_configuration(migration):
    lines = migration.lines(CONFIG)
    [command] = [line for line in lines if line.startswith("dope import-weights")]
    assert shlex.split(command)[2] == str(migration.package / "weights/crate.pth")
    assert not [line for line in lines if line.startswith("weights:")]


def test_package_uris_are_files_of_another_folder_on_request(migration, tmp_path):
    _, lines = migration.run(CONFIG, "--package", str(tmp_path / "far"))
    assert f"  weights: crate: no file {tmp_path}/far/weights/crate.pth; correct the command below" in lines


def test_one_object_starts_with_the_old_topics_and_nothing_else_is_renamed(migration):
    topics = "-r image_rect:=/arm/image_rect_color -r camera_info:=/arm/camera_info"
    command = f"dope node --ros-args --params-file {migration.out}/dope.yaml {topics}"
    assert shlex.split(migration.lines(CONFIG)[-1]) == command.split()


def test_topic_publishing_is_namespace_and_name_of_the_node(migration):
    words = shlex.split(migration.lines(CONFIG.replace('"dope"', '"/arm/finder"'))[-1])
    assert words[-4:] == ["-r", "__ns:=/arm", "-r", "__node:=finder"]
    assert list(migration.parameters) == ["/**/finder"]


def test_several_objects_have_a_node_each_which_publish_under_the_old_names(migration):
    lines = migration.lines(CONFIG.replace("# ", ""))
    assert list(migration.parameters) == ["/**/dope_crate", "/**/dope_tin"]
    assert migration.parameters["/**/dope_tin"]["weights"] == str(migration.out / "tin.safetensors")
    assert "-r /dope_tin/belief_tin:=/dope/belief_tin" in lines[-1]
    assert any(line.startswith("weights: such a network knows one object") for line in lines)


def test_what_has_no_counterpart_is_named_line_by_line(migration):
    lines = migration.lines(CONFIG + REST.replace("images: True", "images: False") + "shininess: 3\n")
    for start in ("thresh_map 0.01: ", "sigma 3: ", "thresh_angle 0.5: ", "overlay_belief_images False: "):
        assert sum(line.startswith(start) for line in lines) == 1, start
    assert "shininess: not a setting that is known" in lines


def test_nothing_is_said_where_all_has_a_counterpart(migration):
    assert not [line for line in migration.lines(CONFIG) if line.startswith("without a counterpart")]


def test_images_that_are_not_rectified_are_to_be_rectified_first(migration):
    lines = migration.lines(CONFIG.replace("True", "False").replace("rect_color", "raw"))
    assert any(line.startswith("input_is_rectified False: ") and "/arm/image_raw" in line for line in lines)
    assert "image_rect:=/arm/image_rect " in lines[-1]


def test_a_number_given_twice_and_none_at_all_are_given_anew(migration):
    lines = migration.lines(CONFIG.replace('"tin": 5', '"tin": 3') + "\n")
    assert "class_ids: tin: 3 is crate's; it is 4 now" in lines
    assert [model.class_id for model in migration.objects.values()] == [3, 4]


def test_a_threshold_out_of_range_is_said_and_brought_within(migration):
    lines = migration.lines(CONFIG + "thresh_points: 0\n")
    assert "thresh_points 0: peak_threshold is 0.01 to 1" in lines
    assert migration.parameters["/**/dope"]["peak_threshold"] == 0.01


def test_a_model_transform_by_right_angles_turns_box_and_weights(migration):
    lines = migration.lines(CONFIG + TURNED)
    assert migration.objects["crate"].size == (0.07, 0.16, 0.21)
    assert any(" --axes=z,x,y " in line for line in lines)


def test_another_model_transform_is_left_to_the_user_and_the_mesh_is_left_out(migration):
    tilted = "model_transforms: {crate: [[0.8, -0.6, 0, 0], [0.6, 0.8, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]}\n"
    lines = migration.lines(CONFIG + tilted + "meshes: {crate: package://dope/meshes/crate.obj}\n")
    assert any(line.startswith("model_transforms: crate: does not turn by right angles") for line in lines)
    crate = migration.objects["crate"]
    assert (crate.size, crate.mesh) == ((0.16, 0.21, 0.07), None)


@pytest.mark.parametrize(("scale", "unit"), [("", "m"), ("mesh_scales: {crate: 0.01}\n", "cm")])
def test_a_mesh_comes_with_its_unit(migration, scale, unit):
    (migration.package / "meshes/crate.obj").touch()
    lines = migration.lines(CONFIG + "meshes: {crate: package://dope/meshes/crate.obj}\n" + scale)
    crate = migration.objects["crate"]
    assert (crate.mesh_path, crate.mesh_unit) == (migration.package / "meshes/crate.obj", unit)
    assert not [line for line in lines if line.startswith("mesh")]


def test_meshes_that_are_missing_or_oddly_scaled_are_named(migration):
    meshes = "meshes: {crate: file:///nowhere/crate.obj, tin: tin.obj}\nmesh_scales: {tin: 0.5}\n"
    lines = migration.lines(CONFIG + meshes)
    assert any(line.startswith("meshes: crate: no file /nowhere/crate.obj") for line in lines)
    assert "mesh_scales: tin: 0.5 is not one of 1 (m), 0.01 (cm), 0.001 (mm); the mesh is left out" in lines


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("weights: [", "not valid YAML"),
        ("- 1", "not the configuration of DOPE's ROS 1 node"),
        ("weights: {a: b}", "not the configuration of DOPE's ROS 1 node"),
        (CONFIG.replace('"crate": "p', '# "p'), "weights: names no object; take the # from the line"),
        (
            CONFIG.replace('"crate": [16', '"crater": [16'),
            "dimensions: lacks 'crate' of weights; did you mean 'crater'",
        ),
        (CONFIG.replace("21.0, 7.0", "21.0"), "dimensions: crate: needs 3 numbers"),
        (CONFIG.replace("21.0, 7.0", "21.0, high"), "dimensions: crate: needs 3 numbers"),
        (CONFIG.replace("21.0, 7.0", "21.0, 700"), "crate: size [0.16, 0.21, 7.0] is not three edges in metres"),
        (CONFIG.replace('{"crate": 3, "tin": 5}', "7"), "class_ids: is not a mapping of object to value"),
        (CONFIG.replace("400", "tall"), "downscale_height: 'tall' is not a number"),
        (CONFIG.replace("400", "9000"), "downscale_height: 9000 is not a whole number from 1 to 4096"),
        (CONFIG.replace('g: "dope"', 'g: "a b"'), "topic_publishing: 'a b' is not the name of a topic"),
        (CONFIG.replace('"/arm/camera_info"', "3"), "topic_camera_info: 3 is not the name of a topic"),
        (CONFIG + "thresh_points: low\n", "thresh_points: 'low' is not a number"),
        (CONFIG + TURNED.replace("[1,", "[2,"), "model_transforms: crate: its upper left 3x3 is no rotation"),
        (CONFIG + "model_transforms: {crate: 1}\n", "model_transforms: crate: needs 4x4 numbers"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(migration, text, message):
    status, lines = migration.run(text)
    assert status == 2
    [line] = lines
    assert line.startswith(f"dope import-config: error: {migration.config}: ")
    assert message in line
    assert not migration.out.exists()


def test_a_missing_configuration_is_one_line(migration, capsys):
    options = ["--out", str(migration.out / "o.yaml"), "--params", str(migration.out / "p.yaml")]
    assert main(["import-config", "none.yaml", *options]) == 2
    assert "none.yaml: cannot be read (No such file or directory); give the config_pose.yaml" in capsys.readouterr().err


def test_files_that_are_there_are_kept(migration):
    migration.lines(CONFIG)
    before = (migration.out / "objects.yaml").read_text()
    status, lines = migration.run(CONFIG.replace("16.0", "17.0"))
    assert (status, lines) == (
        2,
        [f"dope import-config: error: {migration.out}/objects.yaml: is there already; name another file, or remove it"],
    )
    assert (migration.out / "objects.yaml").read_text() == before


def test_the_printed_command_makes_weights_that_fit_the_objects(migration):
    torch.manual_seed(0)
    old = Paper().state_dict()
    torch.save({f"module.{key}": value for key, value in old.items()}, migration.package / "weights/crate.pth")
    [command] = [line for line in migration.lines(CONFIG + TURNED) if line.startswith("dope import-weights")]
    assert main(shlex.split(command)[1:]) == 0
    file = migration.out / "crate.safetensors"
    network, metadata = load(file)
    assert match_objects(file, metadata, migration.objects)[0].size == (0.07, 0.16, 0.21)
    assert metadata.mean == (0.5, 0.5, 0.5)
    bias = old["m6_2.12.bias"][[2, 6, 7, 3, 1, 5, 4, 0, 8]]  # the object's (+ - +) is (- + +) of the box, and so on
    torch.testing.assert_close(network.state_dict()["m6_2.12.bias"], bias, atol=1e-3, rtol=0)
