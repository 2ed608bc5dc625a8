"""What a recipe may say, and what is said of one that cannot work."""

import pytest

from dope_ros2.common.errors import UserError
from dope_training.config import OLD_KEYS, TrainConfig, changed, load_config
from helpers.tiny_training import RECIPE, write_recipe


def test_steps_and_epochs_exclude_each_other():
    with pytest.raises(UserError, match="give steps or epochs, not both"):
        changed(RECIPE, {"steps": 3, "epochs": 1}, "recipe")


@pytest.mark.parametrize(("old", "new"), OLD_KEYS.items())
def test_a_recipe_with_an_old_key_is_read_as_before(tmp_path, old, new):
    recipe = load_config(write_recipe(tmp_path / "recipe.yaml", **{old: 0.5}), {})
    assert recipe == TrainConfig(**RECIPE | {new: 0.5}) == changed(RECIPE, {old: 0.5}, "recipe")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"focus": {"cartn": 2}}, "recipe: focus cartn: 2.0 must be above 0, and cartn one of carton"),
        ({"focus": {"carton": 0}}, "recipe: focus carton: 0.0 must be above 0"),
        ({"architecture": "paper", "optimizer": "muon"}, "recipe: optimizer muon is for networks with normalisation"),
        ({"crop": 72}, "recipe: crop 72 must be a multiple of 32"),
        ({"stepps": 4}, "recipe: stepps: Extra inputs"),
        ({"closer": 0.5, "zoomed_crops": 0.5}, "recipe: closer is the old name of zoomed_crops; give one of them"),
        ({"steps": 0}, "recipe: steps: Input should be greater than or equal to 1, not 0"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_said_once_and_short(change, line):
    with pytest.raises(UserError, match=line) as error:
        changed(RECIPE | change, {}, "recipe")
    assert "{" not in str(error.value)
