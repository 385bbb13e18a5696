"""Our PLY files are read by trimesh, and our reader reads every encoding of them."""

import io

import numpy as np
import pytest
import trimesh

from sanerf.errors import UserError
from sanerf.export.ply import Ply, read_ply, write_ply


@pytest.fixture
def ply() -> Ply:
    random = np.random.default_rng(0)
    return Ply(
        vertices=random.normal(size=(5, 3)).astype(np.float32),
        normals=random.normal(size=(5, 3)).astype(np.float32),
        colours=random.integers(0, 256, (5, 3), dtype=np.uint8),
        faces=np.array([[0, 1, 2], [2, 3, 4]], dtype=np.int32),
        extra={
            "opacity": random.normal(size=5).astype(np.float32),
            "label": np.array([-1, 0, 7, 2**31 - 1, 3]),
            "seen": np.array([True, False, True, True, False]),
            "precise": random.normal(size=5),
        },
    )


def assert_same(found: Ply, expected: Ply) -> None:
    for name in ("vertices", "normals", "colours", "faces"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert list(found.extra) == list(expected.extra)
    for name, values in expected.extra.items():
        np.testing.assert_array_equal(found.extra[name], values)


def as_text(ply: Ply) -> bytes:
    """An independent, slow ascii writer with every type spelled out."""
    kinds = {"opacity": "float32", "label": "int", "seen": "uint8", "precise": "double"}
    out = io.StringIO()
    out.write(f"ply\r\nformat ascii 1.0\r\ncomment hello\r\nelement vertex {len(ply.vertices)}\r\n")
    for name in ("x", "y", "z", "nx", "ny", "nz"):
        out.write(f"property float {name}\r\n")
    for name in ("red", "green", "blue"):
        out.write(f"property uchar {name}\r\n")
    for name in ply.extra:
        out.write(f"property {kinds[name]} {name}\r\n")
    out.write(f"element face {len(ply.faces)}\r\nproperty list uchar uint vertex_index\r\nend_header\r\n")
    for i in range(len(ply.vertices)):
        numbers = [*ply.vertices[i], *ply.normals[i], *ply.colours[i], *(v[i] for v in ply.extra.values())]
        out.write(" ".join(repr(float(number)) for number in numbers) + "\r\n")
    for face in ply.faces:
        out.write(f"3 {face[0]} {face[1]} {face[2]}\r\n")
    return out.getvalue().encode()


def byte_swapped(data: bytes, ply: Ply) -> bytes:
    """The big-endian twin of a file of ours."""
    header, body = data.split(b"end_header\n", 1)
    vertex = np.dtype([("f", "<f4", 6), ("rgb", "u1", 3), ("o", "<f4"), ("l", "<i4"), ("s", "u1"), ("p", "<f8")])
    face = np.dtype([("n", "u1"), ("v", "<i4", 3)])
    cut = vertex.itemsize * len(ply.vertices)
    parts = [np.frombuffer(body[:cut], vertex), np.frombuffer(body[cut:], face)]
    swapped = b"".join(part.astype(part.dtype.newbyteorder(">")).tobytes() for part in parts)
    return header.replace(b"little", b"big") + b"end_header\n" + swapped


def test_round_trip_in_all_three_encodings(tmp_path, ply):
    path = tmp_path / "a.ply"
    write_ply(path, ply, comment="two\nlines")
    assert_same(read_ply(path), ply)
    data = path.read_bytes()
    path.write_bytes(byte_swapped(data, ply))
    assert_same(read_ply(path), ply)
    path.write_bytes(as_text(ply))
    assert_same(read_ply(path), ply)


def test_trimesh_reads_what_we_write(tmp_path, ply):
    write_ply(tmp_path / "a.ply", ply)
    found = trimesh.load(tmp_path / "a.ply", process=False)
    np.testing.assert_array_equal(found.vertices.astype(np.float32), ply.vertices)
    np.testing.assert_array_equal(found.faces, ply.faces)
    np.testing.assert_array_equal(found.visual.vertex_colors[:, :3], ply.colours)


def test_we_read_what_trimesh_writes(tmp_path):
    ball = trimesh.creation.icosphere(subdivisions=1)
    for encoding in ("ascii", "binary"):
        (tmp_path / "a.ply").write_bytes(ball.export(file_type="ply", encoding=encoding))
        found = read_ply(tmp_path / "a.ply")
        np.testing.assert_allclose(found.vertices, ball.vertices, atol=1e-6)
        np.testing.assert_array_equal(found.faces, ball.faces)


def test_points_alone_and_no_points_at_all(tmp_path):
    for count in (3, 0):
        write_ply(tmp_path / "a.ply", Ply(np.ones((count, 3), dtype=np.float32)))
        found = read_ply(tmp_path / "a.ply")
        assert found.vertices.shape == (count, 3)
        assert found.normals is None and found.colours is None and found.faces is None and found.extra == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"solid stl" + data, "not a PLY file"),
        (lambda data: data[:-1], "cut short"),
        (lambda data: data.replace(b"element vertex 5", b"element vertex 999999999999"), "cut short"),
        (lambda data: data.replace(b"property float x", b"property float q"), "no vertices"),
        (lambda data: data.replace(b"property float x", b"property colour x"), "cannot be read"),
        (lambda data: data[:-4] + b"\x63\0\0\0", "a vertex that is not there"),
        (lambda data: data[:-13] + b"\x04" + data[-12:], "only triangles"),
        (lambda data: data.replace(b"format binary_little_endian 1.0\n", b""), "without a format"),
    ],
)
def test_damage_is_named(tmp_path, ply, change, message):
    path = tmp_path / "a.ply"
    write_ply(path, ply)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(UserError, match=message) as caught:
        read_ply(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        read_ply(tmp_path / "none.ply")


def test_a_label_beyond_32_bits_is_refused(tmp_path):
    with pytest.raises(AssertionError, match="label"):
        write_ply(tmp_path / "a.ply", Ply(np.zeros((1, 3), dtype=np.float32), extra={"label": np.array([2**31])}))
    assert list(tmp_path.iterdir()) == []
