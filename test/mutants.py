"""Small faults that the tests must notice: `make mutants` makes one at a time and runs the tests named with it.

A new constant or rule that a decision credits gets a line here: the file, the text to be changed (it stands there
exactly once), the fault, the tests that should fail, and what it guards. `lives` says why a fault may stay unnoticed.
"""

from typing import NamedTuple


class Mutant(NamedTuple):
    """One fault: `old` in `file` becomes `new`, and one of `tests`, files or single ones, should fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    guards: str
    lives: str = ""


ESTIMATION, TEST = "dope_ros2/estimation", "test/dope_ros2/estimation"
DECODER = f"{ESTIMATION}/map_decoder.py"
REGIONS = f"{ESTIMATION}/region_proposal.py"
CROPS = f"{ESTIMATION}/object_crops.py"
SEARCH = f"{ESTIMATION}/pose_search.py"
SOLVER = f"{ESTIMATION}/pnp/solver.py"
GAUSS_NEWTON = f"{ESTIMATION}/pnp/gauss_newton.py"
CELLS = f"{ESTIMATION}/pnp/surface_coordinates.py"
PIPELINE = "dope_ros2/pipeline/camera_pipeline.py"
SYMMETRY = "dope_ros2/objects/symmetry.py"
CALIBRATION = "dope_ros2/network/calibration.py"
CAMERA = "dope_ros2/geometry/camera.py"
TRACKER = "dope_ros2/tracking/tracker.py"
DEPTH = "dope_ros2/refinement/depth_correction.py"
LOSSES = "dope_training/objective/losses.py"
TARGETS = "dope_training/objective/targets.py"
AUGMENTATION = "dope_training/data/augmentation.py"

OVERLAP = (f"{TEST}/test_overlapping_objects.py",)
CROWD = (f"{TEST}/test_many_objects.py",)
OUTLIERS = (f"{TEST}/pnp/test_outliers.py",)
CROP_TESTS = (f"{TEST}/test_object_crops.py",)
SOLVER_TESTS = (f"{TEST}/pnp/test_solver.py",)
TRACKER_TESTS = ("test/dope_ros2/tracking/test_tracker.py",)
MOTION = ("test/dope_ros2/tracking/test_motion.py",)
DEPTH_TESTS = ("test/dope_ros2/meshes/test_surface_points.py",)
TARGET_TESTS = ("test/dope_training/objective/test_targets.py",)

MUTANTS = (
    # What is decoded from the maps
    Mutant(
        "belief_weight", DECODER, "BELIEF_WEIGHT = 2.0", "BELIEF_WEIGHT = 0.0", OVERLAP,
        "of several peaks that vote for a centroid, the strongest is its corner",
    ),
    Mutant(
        "min_voters", DECODER, "MIN_VOTERS = 4", "MIN_VOTERS = 1", OVERLAP,
        "a few wrong votes make no object",
    ),
    Mutant(
        "min_centroid_distance", DECODER, "MIN_CENTROID_DISTANCE = 2.25", "MIN_CENTROID_DISTANCE = 0.5", OVERLAP,
        "votes that miss their centroid a little make no second object",
    ),
    Mutant(
        "unsure", CALIBRATION, "self.sigma_slope * (1 - np.clip(heights, 0, 1))", "0 * np.clip(heights, 0, 1)",
        ("test/dope_ros2/network/test_calibration.py",), "a lower peak is a less exact keypoint",
    ),
    # Where is looked closer, and at what
    Mutant(
        "order_of_regions", REGIONS, "key=lambda instance: -instance.scores.sum()",
        "key=lambda instance: instance.scores.sum()", CROWD, "of too many objects the surest are looked at",
    ),
    Mutant(
        "min_region_belief", REGIONS, "MIN_REGION_BELIEF = 0.2", "MIN_REGION_BELIEF = 0.7", CROWD,
        "an object of which the first look is unsure is looked at again",
    ),
    Mutant(
        "crop_fill", CROPS, "CROP_FILL = 0.7", "CROP_FILL = 0.45", CROP_TESTS,
        "objects fill a crop as much as in training",
    ),
    Mutant(
        "max_centre_offset", CROPS, "MAX_CENTRE_OFFSET = 0.25", "MAX_CENTRE_OFFSET = 5.0", CROP_TESTS,
        "a neighbour in the crop is not taken for the object",
    ),
    Mutant(
        "survey_scale", PIPELINE, "SURVEY_SCALE = 0.8", "SURVEY_SCALE = 0.2",
        ("test/dope_ros2/pipeline/test_survey.py",), "a survey shows small objects, and apart",
    ),
    Mutant(
        "search_period", PIPELINE, "2 * search_period", "1 * search_period",
        ("test/dope_ros2/pipeline/test_camera_pipeline.py",), "surveys of a quick camera put off the search",
    ),
    # Poses of several instances
    Mutant(
        "min_belief_to_take_cells", SEARCH, "MIN_BELIEF_TO_TAKE_CELLS = 0.25", "MIN_BELIEF_TO_TAKE_CELLS = 2.0",
        OVERLAP, "the cells of the front object do not speak for the one behind it",
    ),
    Mutant(
        "second_round", SEARCH, "for _ in range(2):", "for _ in range(1):", OVERLAP,
        "what another one's cells have hidden is tried again without them",
    ),
    Mutant(
        "suppress_order", SEARCH, "sorted(detections, key=lambda d: -d.score)",
        "sorted(detections, key=lambda d: d.score)", (f"{TEST}/test_estimator.py",),
        "of two detections of one thing the better stays",
    ),
    # A pose out of correspondences
    Mutant(
        "relative", SOLVER, "relative: float = 0.08", "relative: float = 10.0", OUTLIERS,
        "a blur of a few pixels has no pose",
    ),
    Mutant(
        "max_cell_pairs", SOLVER, "MAX_CELL_PAIRS = 60", "MAX_CELL_PAIRS = 1", OUTLIERS,
        "wrong cells do not spoil the search",
    ),
    Mutant(
        "clearer", SOLVER, "clearer: float = 4.0", "clearer: float = -1e9", SOLVER_TESTS,
        "an ambiguous view gives no pose",
    ),
    Mutant(
        "huber_threshold", GAUSS_NEWTON, "HUBER_THRESHOLD = 2.0", "HUBER_THRESHOLD = 2000.0", OUTLIERS,
        "a keypoint that is off bends the pose no more, the farther it is off",
    ),
    Mutant(
        "max_point_cost", GAUSS_NEWTON, "    12.0  # squared", "    1e9  # squared", OUTLIERS,
        "sure but wrong corners do not outvote the cells",
    ),
    Mutant(
        "covariance_enlarged", GAUSS_NEWTON, "np.maximum(1, excess)[:, None, None]",
        "np.ones_like(excess)[:, None, None]", SOLVER_TESTS, "the covariance grows where the points disagree",
    ),
    Mutant(
        "independent_cells", CELLS, "INDEPENDENT_CELLS = 30", "INDEPENDENT_CELLS = 10_000", OUTLIERS,
        "the covariance knows that neighbouring cells err together",
    ),
    # Tracks, symmetries, depth, camera
    Mutant(
        "surprise_smoothing", TRACKER, "SURPRISE_SMOOTHING = 0.3", "SURPRISE_SMOOTHING = 0.9", MOTION,
        "a drift is noticed, a single outlier is not taken for one",
    ),
    Mutant(
        "min_consistent_frames", TRACKER, "MIN_CONSISTENT_FRAMES = 3", "MIN_CONSISTENT_FRAMES = 1", TRACKER_TESTS,
        "one wrong rotation is not believed",
    ),
    Mutant(
        "score_of_a_lost_track", TRACKER, "seen.score * (1 - age / (2 * smoothing.coast))", "seen.score",
        TRACKER_TESTS, "what is not seen is less sure",
    ),
    Mutant(
        "tie_tolerance", SYMMETRY, "TIE_TOLERANCE = 1e-3", "TIE_TOLERANCE = 0.3",
        ("test/dope_ros2/objects/test_symmetry.py",), "equal-looking poses have one label",
    ),
    Mutant(
        "min_incidence_cosine", DEPTH, "MIN_INCIDENCE_COSINE = 0.3", "MIN_INCIDENCE_COSINE = -1.0",
        DEPTH_TESTS, "depth at flat angles is not used",
    ),
    Mutant(
        "occlusion_margin", DEPTH, "OCCLUSION_MARGIN = 0.05", "OCCLUSION_MARGIN = 5.0", DEPTH_TESTS,
        "points behind the object's own surface are not compared",
    ),
    Mutant(
        "half_pixel", CAMERA, "[[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1]]",
        "[[sx, 0, 0], [0, sy, 0], [0, 0, 1]]", ("test/dope_ros2/geometry/test_pose_and_camera_laws.py",),
        "pixel centres are integers when images are resized",
    ),
    # What is learned
    Mutant(
        "peak_weight", LOSSES, "PEAK_WEIGHT = 10.0", "PEAK_WEIGHT = 0.0",
        ("test/dope_training/objective/test_losses.py",), "a missing peak costs more than a ghost",
    ),
    Mutant(
        "min_taught_visibility", TARGETS, "MIN_TAUGHT_VISIBILITY = 0.25", "MIN_TAUGHT_VISIBILITY = 0.0",
        TARGET_TESTS, "what is hidden is not asked for",
    ),
    Mutant(
        "ignored_cells", TARGETS, "(ignored > (3 * spec.sigma) ** 2).float()", "torch.ones_like(ignored)",
        TARGET_TESTS, "what is hidden is not forbidden",
    ),
    Mutant(
        "visibility_in_crops", AUGMENTATION, "counts / np.maximum(alone, 1)", "np.ones(len(names))",
        ("test/dope_training/data/test_visibility.py",), "what a crop cuts off or covers is less visible",
    ),
    Mutant(
        "occlusion_mask", AUGMENTATION, "mask[inside] = 0", "mask[inside] = mask[inside]",
        ("test/dope_training/data/test_augmentation.py",), "what is painted over is no longer visible",
    ),
)  # fmt: skip
