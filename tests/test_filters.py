"""Kernels as text, the response of a kernel, and the sheet that shows them."""

import subprocess

import numpy as np
import pytest
from forked import BIN
from PIL import Image as Picture

from mrilib.drawing import filters
from mrilib.errors import UsageError


def test_kernels_are_names_or_weights():
    kernels = filters.kernels_of('sobel,1 2 3;4 5 6;7 8 9, laplacian')
    assert list(kernels) == ["sobel", "1 2 3;4 5 6;7 8 9", "laplacian"]
    assert kernels["1 2 3;4 5 6;7 8 9"].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


@pytest.mark.parametrize("text", ["", "sobell", "1 2;3 4", "1 2 3;4 5;6 7 8", "nan nan nan", ";".join(["1"] * 17)])
def test_other_kernels_are_refused(text):
    with pytest.raises(UsageError, match="--filters"):
        filters.kernels_of(text)


def test_the_response_is_the_sum_of_weights_times_grey_values():
    array = np.random.default_rng(0).random((6, 7), np.float32)
    kernel = filters.kernels_of("1 2 3;4 5 6;7 8 9")["1 2 3;4 5 6;7 8 9"]
    sums = filters.response(array, kernel)
    assert sums[2, 3] == pytest.approx((array[1:4, 2:5] * kernel).sum(), rel=1e-5)
    assert sums[0, 0] == pytest.approx((np.pad(array, 1, "edge")[:3, :3] * kernel).sum(), rel=1e-5)
    assert not np.any(filters.response(np.full((5, 5), 7.0), filters.kernels_of("sobel")["sobel"]))


def test_the_tool_draws_a_row_for_each_kernel(tmp_path):
    array = np.zeros((40, 40), np.uint8)
    array[:, 20:] = 200
    Picture.fromarray(array).save(tmp_path / "edge.png")
    out = tmp_path / "sheet.png"
    ran = subprocess.run([BIN / "mri-view", tmp_path / "edge.png", "--filters", "sobel,gaussian", "--size", "64",
                          "-o", out], capture_output=True, text=True)
    assert ran.returncode == 0 and ran.stdout == f"{out}\n", ran.stderr
    sheet = np.asarray(Picture.open(out))
    assert sheet.shape[1] == 3 * 70 and sheet.shape[0] > 2 * 70
    response = sheet[3:67, 143:207, 0]
    assert len(set(response[32, 20:44].tolist())) > 1 and len(set(response[32, :20].tolist())) == 1  # the edge alone
    wrong = subprocess.run([BIN / "mri-view", tmp_path / "edge.png", "--filters", "nothing"], capture_output=True,
                           text=True)
    assert wrong.returncode == 2 and "unknown kernel nothing" in wrong.stderr
