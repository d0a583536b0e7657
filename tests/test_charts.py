"""Charts of scores: what is drawn where, and mri-view on mri-score's own tables."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mrilib.view import charts

BIN = Path(sys.executable).parent


def rows_of(picture, colour):
    return np.flatnonzero((picture == colour).all(-1).any(1))


def test_a_box_plot_shows_higher_values_higher_and_leaves_nan_out():
    low = charts.box_plot("dice", {"a": [0.1, 0.2, 0.3, np.nan]})
    high = charts.box_plot("dice", {"a": [0.7, 0.8, 0.9]})
    assert rows_of(high, charts.SECOND).max() < rows_of(low, charts.SECOND).min()  # the median's line
    assert charts.box_plot("dice", {"a": [0.5], "b": [np.nan]}).shape == (charts.HIGH, charts.WIDE, 3)
    with pytest.raises(ValueError, match="no value"):
        charts.box_plot("dice", {"a": [np.nan]})


def test_bland_altman_draws_each_pair_and_its_limits():
    rng = np.random.default_rng(0)
    truth = rng.uniform(10, 50, 6)
    made = charts.bland_altman("volume", truth + 5, truth, "ml")
    dots = (made == charts.MARK).all(-1)
    assert dots.any() and len(np.unique(np.flatnonzero(dots.any(1)))) <= 8  # all differ by 5: one height
    with pytest.raises(ValueError, match="no pair"):
        charts.bland_altman("volume", [np.nan], [1.0])


def test_a_perfect_roc_goes_through_the_corner():
    positive = np.array([True, True, False, False])
    perfect = charts.roc("ROC", {"yes": (positive, np.array([0.9, 0.8, 0.2, 0.1]))})
    chance = charts.roc("ROC", {"yes": (positive, np.full(4, 0.5))})
    corner = (slice(48, 56), slice(charts.MARGIN - 2, charts.MARGIN + 8))
    assert (perfect[corner] == charts.MARK).all(-1).any() and not (chance[corner] == charts.MARK).all(-1).any()


def test_mri_view_draws_what_mri_score_gives(tmp_path):
    import SimpleITK as sitk

    for name in ("truth", "anna", "bela"):
        (tmp_path / name).mkdir()
        for i in range(3):
            array = np.zeros((6, 12, 12), np.uint8)
            array[2:4, 3:8, 3 : 8 + (name != "truth") * (i + 1)] = 1
            sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / f"{name}/p{i}.nii.gz"))
    ran = subprocess.run(["bash", "-o", "pipefail", "-c", f"{BIN}/mri-score anna bela -q -r truth --resamples 100 | "
                          f"{BIN}/mri-view -o s.png"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stdout) == (0, "s.png\n"), ran.stderr
    assert "6 charts" in ran.stderr  # four figures, and the volumes of two submissions
    assert Image.open(tmp_path / "s.png").size == (2 * charts.WIDE, 3 * charts.HIGH)
    (tmp_path / "t.csv").write_text("file,class\n" + "".join(f"{i}.png,{['no', 'yes'][i % 2]}\n" for i in range(8)))
    (tmp_path / "p.csv").write_text("case,class,p_no,p_yes\n" + "".join(
        f"{i},{['no', 'yes'][i % 3 % 2]},{0.9 - i / 10:.1f},{0.1 + i / 10:.1f}\n" for i in range(8)))
    ran = subprocess.run(["bash", "-o", "pipefail", "-c", f"{BIN}/mri-score p.csv -q -r t.csv --per-case c.csv | "
                          f"{BIN}/mri-view -o m.png && {BIN}/mri-view c.csv -o c.png"], cwd=tmp_path, timeout=120,
                         capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "m.png\nc.png\n"), ran.stderr
    assert Image.open(tmp_path / "m.png").size[0] == charts.WIDE
    assert Image.open(tmp_path / "c.png").size[0] == 2 * charts.WIDE


def test_a_froc_shows_a_higher_sensitivity_higher():
    points = [(0.5, 0.2, 0.1, 0.3), (1, 0.4, np.nan, np.nan)]
    low = charts.froc("FROC", {"a": points})
    high = charts.froc("FROC", {"a": [(f, v + 0.5, np.nan, np.nan) for f, v, *_ in points]})
    plot = (slice(0, 300), slice(charts.MARGIN, 500))  # without the legend
    assert rows_of(high[plot], charts.MARK).max() < rows_of(low[plot], charts.MARK).max()
    with pytest.raises(ValueError, match="no point"):
        charts.froc("FROC", {})
