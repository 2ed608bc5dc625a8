"""The name and the unit of an object, from its mesh's file."""

from pathlib import Path

import pytest

from dope_ros2.objects.mesh_units import judge, name_from


@pytest.mark.parametrize(
    ("longest", "unit", "sure"),
    [
        (0.2, "m", True),
        (20, "cm", False),
        (8, "cm", True),
        (200, "mm", True),
        (40, "mm", False),
        (2.5, "cm", True),
        (1.65, "cm", False),
    ],
)
def test_the_unit_is_that_of_a_thing_to_pick(longest, unit, sure):
    verdict = judge("x.obj", longest)
    assert (verdict.name, verdict.sure) == (unit, sure)
    assert judge("x.obj", 0.1, chosen="m").sure


def test_a_unit_that_the_file_states_wins_if_it_is_plausible_and_is_named_if_not():
    assert judge("x.dae", 40, declared=0.01).name == "cm"
    assert judge("x.dae", 5, declared=0.0254).factor == 0.0254
    verdict = judge("x.glb", 160, declared=1.0)
    assert (verdict.name, verdict.sure) == ("mm", False)
    assert "the file says m, which would make it 160 m" in verdict.reason


def test_a_file_that_says_nothing_is_named_after_its_folder():
    assert name_from(Path("ycb/003_cracker box/textured.obj")) == "003_cracker_box"
    assert name_from(Path("x/mug (1).glb")) == "mug_1"
