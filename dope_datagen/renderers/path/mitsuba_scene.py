"""A `Scene` in Mitsuba's words. Frame: the camera's optical frame, so no camera ever moves."""

from __future__ import annotations

import math

import cv2
import mitsuba as mi
import numpy as np

from dope_datagen.assets import environments
from dope_datagen.assets.library import Assets
from dope_datagen.renderers import texture_images
from dope_datagen.renderers.camera_response import linear
from dope_datagen.scenes.scene import Body, Light, Material, Scene
from dope_ros2.common.errors import UserError
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.meshes.mesh import Mesh

# Mitsuba's camera has x to the left and y up.
FROM_OPTICAL = np.diag([-1.0, -1.0, 1.0, 1.0])
# Mitsuba's environment has y up and looks along its own axes: from our environment frame, z up.
ENVMAP = np.array([[0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], float)
FINENESS = 2  # texels of a texture for a pixel of the image, along an edge
MOST_STRETCH = 0.1  # of pixels; lights and normals are not stretched with positions
SPREAD = 2  # how much finer a mesh's own texture is, which has all its sides
REACH = 30.0  # [m], half the edge of a cube around every scene
ROUND = 32  # scenes have a multiple of so many shapes
COARSEST = 32  # [px] of a texture


def stretch(camera: CameraModel) -> np.ndarray:
    """What to multiply positions (..., 3) with so that square pixels show them as the camera's pixels do.

    Raises:
        UserError: the pixels are far from square, or skewed.
    """
    (fx, skew, _), (_, fy, _) = camera.K[:2]
    if abs(fy / fx - 1) > MOST_STRETCH or skew != 0:
        raise UserError(
            f"renderer: path: pixels may differ from squares by {MOST_STRETCH:.0%}, and this camera has focal lengths "
            f"of {fx:.6g} and {fy:.6g} px and a skew of {skew:.6g}; use renderer: raster"
        )
    return np.array([1.0, fy / fx, 1.0])


def sensor(scene: Scene, samples: int, centred: bool = False) -> dict:
    """The scene's camera with square pixels (see `stretch`); `centred` puts every sample on a pixel's centre."""
    K, width, height = scene.camera.K, scene.width, scene.height
    sampler = {"type": "stratified", "jitter": False} if centred else {"type": "multijitter"}
    return {
        "type": "perspective",
        "fov": float(np.rad2deg(2 * np.arctan(width / 2 / K[0, 0]))),
        "fov_axis": "x",
        "principal_point_offset_x": float((width / 2 - (K[0, 2] + 0.5)) / width),
        "principal_point_offset_y": float((height / 2 - (K[1, 2] + 0.5)) / height),
        "near_clip": 0.01,
        "far_clip": 100.0,
        "to_world": mi.ScalarTransform4f(FROM_OPTICAL),
        "film": film(width, height),
        "sampler": {**sampler, "sample_count": samples},
    }


def film(width: int, height: int) -> dict:
    """A film of single pixels, each the mean of its own samples."""
    return {
        "type": "hdrfilm",
        "width": width,
        "height": height,
        "pixel_format": "rgba",
        "component_format": "float32",
        "rfilter": {"type": "box"},
    }


def mesh(name: str, positions: np.ndarray, triangles: np.ndarray, normals: np.ndarray | None = None,
         uvs: np.ndarray | None = None, bsdf: mi.BSDF | None = None) -> mi.Mesh:  # fmt: skip
    """A mesh of positions (N, 3), triangles (M, 3), and what else it has."""
    properties = mi.Properties()
    if bsdf is not None:
        properties["bsdf"] = bsdf
    made = mi.Mesh(name, len(positions), len(triangles), properties, normals is not None, uvs is not None)
    params = mi.traverse(made)
    params["vertex_positions"] = np.ravel(positions).astype(np.float32)
    params["faces"] = np.ravel(triangles).astype(np.uint32)
    if normals is not None:
        params["vertex_normals"] = np.ravel(normals).astype(np.float32)
    if uvs is not None:
        params["vertex_texcoords"] = np.ravel(uvs).astype(np.float32)
    params.update()
    return made


def shape(body: Body, name: str, assets: Assets, camera: CameraModel) -> mi.Mesh:
    """A body with its material as a camera sees it, in that camera's frame."""
    source = assets.mesh(body.mesh)
    positions = placed(body, assets) * stretch(camera)
    normals = source.normals.astype(float) / body.scale @ body.pose.rotation.T
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
    image = texture_images.texture(assets, body.material.texture, body.mesh, texels(body, source, camera.K[0, 0]))
    tint = np.multiply(body.material.tint, source.color)
    uvs = source.uvs * [1, -1] * body.material.repeat  # v down, as rows
    return mesh(name, positions, source.triangles, normals, uvs, coat(body.material, image, tint))


def padding(count: int) -> dict[str, mi.Mesh]:
    """Shapes of no area that make all scenes alike: as large, and of as many shapes.

    Kernels contain the scene's extent and its number of shapes as constants; each image would have its own compiled.
    """
    corners = REACH * np.array([[-1.0, -1, -1], [-1, -1, -1], [1, 1, 1]])
    names = [f"nothing{k}" for k in range(ROUND - count % ROUND)]
    return {name: mesh(name, corners, np.array([[0, 1, 2]]), bsdf=coat(Material(), None, np.ones(3))) for name in names}


def placed(body: Body, assets: Assets) -> np.ndarray:
    """Positions (N, 3) of a body's mesh in the camera's frame [m]."""
    return body.pose.apply(assets.mesh(body.mesh).positions.astype(float) * body.scale)


def texels(body: Body, mesh: Mesh, focal: float) -> int:
    """As many texels along a texture's edge as the image shows of it, a power of two; more only cost time."""
    half = np.linalg.norm(mesh.box.size * body.scale) / 2
    nearest = max(body.translation[2] - half, 0.1 * half, 1e-3)
    spread = SPREAD if body.material.texture == "own" else 1 / body.material.repeat
    return max(COARSEST, 2 ** math.ceil(math.log2(FINENESS * spread * focal * 2 * half / nearest)))


def coat(material: Material, image: np.ndarray | None, tint: np.ndarray) -> mi.BSDF:
    """A principled surface; `tint` (3,) is linear and multiplies the image (H, W, 3)."""
    if image is None:
        color = {"type": "rgb", "value": np.clip(tint, 0, 1).tolist()}
    else:
        codes = np.float16(np.clip(linear(np.arange(256))[:, None] * tint, 0, 1))  # of each of the 256 values
        tinted = cv2.LUT(image, codes.view(np.int16)[None]).view(np.float16)
        color = {"type": "bitmap", "bitmap": mi.Bitmap(tinted), "raw": True}
    surface = {
        "type": "principled",
        "base_color": color,
        "roughness": float(material.roughness),
        "metallic": float(material.metallic),
        # Reflectance 0.08 s head on, as in the model's own parametrisation.
        "specular": float(np.clip(material.specular / 0.08, 0.02, 1)),
    }
    return mi.load_dict({"type": "twosided", "bsdf": surface})


def lamps(scene: Scene) -> dict:
    """The environment and the distant lights."""
    light = environments.load(scene.environment)
    panorama = cv2.resize(light.panorama, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR) * scene.ambient
    to_camera = np.eye(4)
    to_camera[:3, :3] = np.array(scene.environment_rotation).reshape(3, 3).T
    around = {
        "type": "envmap",
        "bitmap": mi.Bitmap(np.float32(panorama)),
        "to_world": mi.ScalarTransform4f(to_camera @ np.linalg.inv(ENVMAP)),
    }
    return {"around": around} | {f"lamp{k}": _lamp(lamp) for k, lamp in enumerate(scene.lights)}


def _lamp(light: Light) -> dict:
    # Colours are irradiance over pi.
    irradiance = (np.pi * np.array(light.color)).tolist()
    towards = [-float(x) for x in light.direction]
    return {"type": "directional", "direction": towards, "irradiance": {"type": "rgb", "value": irradiance}}
