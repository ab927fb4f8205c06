"""Pictures of slices: decoded again, and turned as a viewer shows them."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers import write_nifti
from hypothesis import given as draw
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from monai_selfcleanse.cases.seen import SeenCase
from monai_selfcleanse.cases.view import view_case
from monai_selfcleanse.results.page.pictures import draw_slices, encode_png, outline_path


def decode(png: bytes) -> np.ndarray:
    """Grey levels of a PNG with filter type 2 in all rows, its checksums verified."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        name, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length]) == (zlib.crc32(name + data),)
        chunks[name], at = data, at + 12 + length
    width, height, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert rest == [8, 0, 0, 0, 0]
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert (rows[:, 0] == 2).all()
    return np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8)


@draw(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_png_holds_the_grey_levels(grey: np.ndarray) -> None:
    np.testing.assert_array_equal(decode(encode_png(grey)), grey)


def filled(path: str, shape: tuple[int, int]) -> np.ndarray:
    """The pixels within a path by the even-odd rule: each vertical piece flips all pixels to its right."""
    mask = np.zeros(shape, dtype=bool)
    x = y = 0
    for command, numbers in re.findall(r"([Mhvz])([-\d ]*)", path):
        if command == "M":
            x, y = map(int, numbers.split())
            start = x, y
        elif command == "h":
            x += int(numbers)
        elif command == "v":
            low, high = sorted((y, y + int(numbers)))
            mask[low:high, x:] ^= True
            y += int(numbers)
        else:
            assert (x, y) == start  # closed
    return mask


@draw(arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_the_outline_encloses_the_mask_and_nothing_else(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(filled(outline_path(mask), mask.shape), mask)


def test_outlines_are_short_for_straight_borders() -> None:
    mask = np.zeros((300, 400), bool)
    mask[10:200, 20:300] = True
    assert outline_path(mask) == "M20 10h280v190h-280v-190z"
    assert outline_path(np.zeros((3, 3), bool)) == ""


CORNER = (5, 2)  # a bright voxel of the volumes below, at the patient's right and anterior


@pytest.mark.parametrize("codes", ["LPS", "RAS", "RPS", "PLS", "ARS"])
def test_slices_are_shown_with_the_patients_left_at_the_right_and_anterior_on_top(codes: str, tmp_path: Path) -> None:
    """One and the same scene, stored with its axes in different orders and directions."""
    scene = np.zeros((20, 16, 3), np.int16)  # axes: to the left, to posterior, to superior
    scene[CORNER] = 100
    mask = np.zeros(scene.shape, np.uint8)
    mask[3:17, 1:15] = 1
    affine = np.diag([-2.0, -3.0, 8.0, 1.0])  # of the scene, in RAS coordinates
    order = [0 if codes[i] in "LR" else 1 if codes[i] in "AP" else 2 for i in range(3)]
    stored_affine, image, label = affine[:, [*order, 3]].copy(), scene.transpose(order), mask.transpose(order)
    for axis, code in enumerate(codes):
        if code in "RA":
            stored_affine[:3, 3] += stored_affine[:3, axis] * (image.shape[axis] - 1)
            stored_affine[:3, axis] *= -1
            image, label = np.flip(image, axis), np.flip(label, axis)
    path = write_nifti(tmp_path / "label.nii.gz", np.ascontiguousarray(label), stored_affine)
    seen = SeenCase(label, label, np.ones(label.shape, np.float32), stored_affine)
    (picture,) = draw_slices(view_case({"case": "a", "label": path}, seen, [1]), 1, [1], image)
    assert picture.edges == ("R", "A")
    assert (picture.width, picture.height) == (20, 16)
    np.testing.assert_allclose(picture.aspect, 20 * 2 / (16 * 3))
    shown = decode(picture.png)
    assert np.unravel_index(shown.argmax(), shown.shape) == CORNER[::-1]
    np.testing.assert_array_equal(filled(picture.given, (16, 20)), mask[..., 1].T)


def test_pictures_show_the_structure_and_some_room_around_it(tmp_path: Path) -> None:
    given = np.zeros((200, 200, 2), np.uint8)
    given[100:110, 50:90, 0] = 1
    path = write_nifti(tmp_path / "label.nii.gz", given, np.eye(4))
    seen = SeenCase(given, np.roll(given, 3, 0), np.ones(given.shape, np.float32), np.eye(4))
    (picture,) = draw_slices(view_case({"case": "a", "label": path}, seen, [1]), 1, [0], None)
    assert picture.png == b""
    assert picture.width == picture.height == 80
    assert filled(picture.given, (80, 80)).sum() == filled(picture.predicted, (80, 80)).sum() == 400
