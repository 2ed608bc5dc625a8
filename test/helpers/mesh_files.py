"""Meshes for the tests of dope_datagen.mesh_preparation, written in every format that it reads."""

import cv2
import numpy as np
import trimesh
from PIL import Image

from dope_datagen.mesh_preparation.surface import Surface
from dope_ros2.meshes.read_mesh import read_mesh

SIZE = np.array([0.16, 0.11, 0.06])  # [m]
FORMATS = ("obj", "ply", "glb", "stl", "dae")


def picture(width=192, height=128, seed=0):
    """Coloured blobs, no part like another; (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.uniform(0, 255, (8, 12, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.uint8(image.clip(0, 255))


def box(size=SIZE, centre=(0, 0, 0)):
    """(24, 3) vertices, (24, 2) uvs in a 3 x 2 atlas and (12, 3) triangles, seen from outside."""
    vertices, uvs, faces = [], [], []
    for k, (axis, sign) in enumerate([(a, s) for a in range(3) for s in (1, -1)]):
        for u, v in ((0, 0), (1, 0), (1, 1), (0, 1)):
            corner = np.zeros(3)
            corner[axis], corner[(axis + 1) % 3], corner[(axis + 2) % 3] = sign / 2, sign * (u - 0.5), v - 0.5
            vertices.append(corner)
            uvs.append([(k % 3 + 0.05 + 0.9 * u) / 3, (k // 3 + 0.05 + 0.9 * v) / 2])
        faces += [[4 * k, 4 * k + 1, 4 * k + 2], [4 * k, 4 * k + 2, 4 * k + 3]]
    return np.array(vertices) * size + centre, np.array(uvs), np.array(faces)


def bumpy(subdivisions, radius=0.05):
    """A ball with bumps and texture coordinates with a seam, (N, 3) vertices, (N, 2) uvs and (M, 3) triangles."""
    rows, columns = subdivisions, 2 * subdivisions
    v, u = np.meshgrid(np.linspace(0, 1, rows + 1), np.linspace(0, 1, columns + 1), indexing="ij")
    polar, turn = np.pi * v, 2 * np.pi * u
    r = radius * (1 + 0.08 * np.sin(5 * turn) * np.sin(polar) ** 2 * np.sin(4 * polar))
    points = np.stack([r * np.sin(polar) * np.cos(turn), r * np.sin(polar) * np.sin(turn), -r * np.cos(polar)], -1)
    at = np.arange((rows + 1) * (columns + 1)).reshape(rows + 1, columns + 1)
    a, b, c, d = at[:-1, :-1].ravel(), at[:-1, 1:].ravel(), at[1:, 1:].ravel(), at[1:, :-1].ravel()
    faces = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)])
    return points.reshape(-1, 3), np.stack([u, v], -1).reshape(-1, 2), faces


def save(path, vertices, uvs, faces, image=None, meter="0.001"):
    """Write a mesh with its texture in the format of the suffix; STL has none, and COLLADA states a unit."""
    image = picture() if image is None else image
    if path.suffix in (".obj", ".ply", ".dae"):
        cv2.imwrite(str(path.with_suffix(".png")), image[..., ::-1])
    more = {"meter": meter} if path.suffix == ".dae" else {}
    WRITERS[path.suffix](path, vertices, uvs, faces, image, **more)
    return path


def _obj(path, vertices, uvs, faces, image):
    path.with_suffix(".mtl").write_text(f"newmtl a\nKd 1 1 1\nmap_Kd {path.stem}.png\n")
    lines = [f"mtllib {path.stem}.mtl", "usemtl a"]
    lines += ["v {:.9g} {:.9g} {:.9g}".format(*row) for row in vertices]
    lines += ["vt {:.9g} {:.9g}".format(*row) for row in uvs]
    lines += ["f {0}/{0} {1}/{1} {2}/{2}".format(*row) for row in faces + 1]
    path.write_text("\n".join(lines) + "\n")


def _ply(path, vertices, uvs, faces, image):
    head = f"ply\nformat ascii 1.0\ncomment TextureFile {path.stem}.png\nelement vertex {len(vertices)}\n"
    head += "".join(f"property float {name}\n" for name in ("x", "y", "z", "texture_u", "texture_v"))
    head += f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    rows = [" ".join(f"{x:.9g}" for x in row) for row in np.hstack([vertices, uvs])]
    path.write_text(head + "\n".join([*rows, *("3 {} {} {}".format(*row) for row in faces)]) + "\n")


def _trimesh(path, vertices, uvs, faces, image):
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.fromarray(image))
    visual = trimesh.visual.TextureVisuals(uv=uvs, material=material)
    trimesh.Trimesh(vertices, faces, visual=visual, process=False).export(path)


def _dae(path, vertices, uvs, faces, image, meter):
    index = " ".join(map(str, faces.ravel()))

    def source(name, rows):
        numbers = " ".join(f"{x:.9g}" for x in rows.ravel())
        return (
            f'<source id="{name}"><float_array id="{name}-a" count="{rows.size}">{numbers}</float_array>'
            f'<technique_common><accessor source="#{name}-a" count="{len(rows)}" stride="{rows.shape[1]}"/>'
            "</technique_common></source>"
        )

    path.write_text(f"""<?xml version="1.0"?>
<COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1">
<asset><unit name="u" meter="{meter}"/></asset>
<library_images><image id="i"><init_from>{path.stem}.png</init_from></image></library_images>
<library_effects><effect id="e"><profile_COMMON>
<newparam sid="s"><surface type="2D"><init_from>i</init_from></surface></newparam>
<newparam sid="t"><sampler2D><source>s</source></sampler2D></newparam>
<technique sid="c"><lambert><diffuse><texture texture="t" texcoord="UV"/></diffuse></lambert></technique>
</profile_COMMON></effect></library_effects>
<library_materials><material id="m"><instance_effect url="#e"/></material></library_materials>
<library_geometries><geometry id="g"><mesh>{source("p", vertices[:, [1, 2, 0]])}{source("w", uvs)}
<vertices id="v"><input semantic="POSITION" source="#p"/></vertices>
<triangles material="x" count="{len(faces)}"><input semantic="VERTEX" source="#v" offset="0"/>
<input semantic="TEXCOORD" source="#w" offset="0" set="0"/><p>{index}</p></triangles>
</mesh></geometry></library_geometries>
<library_visual_scenes><visual_scene id="sc"><node><matrix>0 0 1 0 1 0 0 0 0 1 0 0 0 0 0 1</matrix>
<instance_geometry url="#g"><bind_material><technique_common><instance_material symbol="x" target="#m"/>
</technique_common></bind_material></instance_geometry></node></visual_scene></library_visual_scenes>
<scene><instance_visual_scene url="#sc"/></scene></COLLADA>
""")


WRITERS = {".obj": _obj, ".ply": _ply, ".glb": _trimesh, ".stl": _trimesh, ".dae": _dae}


def as_surface(mesh, image):
    """A mesh with this texture, (H, W, 3) RGB, as a surface to look colours up in."""
    count = len(mesh.triangles)
    return Surface(
        np.float64(mesh.positions),
        mesh.triangles,
        np.float64(mesh.uvs[mesh.triangles]),
        np.zeros(count, int),
        (image,),
        np.zeros((count, 3, 3), np.float32),
    )


def as_rendered(path):
    """A prepared mesh as the renderers read it, as a surface to look colours up in."""
    mesh = read_mesh(path)
    return as_surface(mesh, cv2.imread(str(mesh.texture))[..., ::-1])


def cylinder(radius, height, sectors=64, rings=8):
    """(M, 3, 3) corners of the triangles of a can that stands on its origin, seen from outside."""
    v, u = np.meshgrid(np.linspace(0, 1, rings + 1), np.arange(sectors + 1) / sectors * 2 * np.pi, indexing="ij")

    def quads(r, z):
        points = np.stack([r * np.cos(u), r * np.sin(u), z], -1)
        a, b, c, d = points[:-1, :-1], points[:-1, 1:], points[1:, 1:], points[1:, :-1]
        return np.stack([np.stack([a, b, c], -2), np.stack([a, c, d], -2)]).reshape(-1, 3, 3)

    wall, floor, lid = quads(radius + 0 * v, height * v), quads(radius * v, 0 * v), quads(radius * v, height + 0 * v)
    corners = np.concatenate([wall, floor, lid[:, ::-1]])
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    return corners[area > 1e-15]
