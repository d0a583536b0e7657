"""Charts of scores: what is drawn where, and mri-view on mri-score's own tables."""

import subprocess

import numpy as np
import pytest
from forked import BIN
from PIL import Image

from mrilib.drawing import charts


def drawn(chart, *arguments):
    """The axes that a chart has drawn on."""
    return charts.figure([lambda axes: chart(axes, "title", *arguments)]).axes[0]


def test_a_box_plot_shows_the_median_and_every_value_but_nan():
    axes = drawn(charts.box_plot, {"a": [0.1, 0.2, 0.6, np.nan], "b": [0.5], "c": [np.nan]}, "mm")
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [line.get_ydata().tolist() for line in dots] == [[0.1, 0.2, 0.6], [0.5]]
    medians = [line.get_ydata()[0] for line in axes.lines if line.get_color() == charts.CURVES[1]]
    assert medians == [0.2, 0.5]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b"] and axes.get_ylabel() == "mm"
    with pytest.raises(ValueError, match="no value"):
        drawn(charts.box_plot, {"a": [np.nan]})


def test_bland_altman_draws_each_pair_and_its_limits():
    rng = np.random.default_rng(0)
    reference = rng.uniform(10, 50, 6)
    predicted = reference + rng.normal(5, 2, 6)
    axes = drawn(charts.bland_altman, [*predicted, np.nan], [*reference, 3], "mL")
    difference = predicted - reference
    assert np.allclose(axes.lines[0].get_ydata(), difference)
    assert np.allclose(axes.lines[0].get_xdata(), (predicted + reference) / 2)
    deviation = difference.std(ddof=1)
    limits = [line.get_ydata()[0] for line in axes.lines[1:]]
    assert np.allclose(limits, difference.mean() + np.array([-1.96, 0, 1.96]) * deviation)
    assert f"mean {difference.mean():.4g}" in [text.get_text() for text in axes.texts]
    with pytest.raises(ValueError, match="no pair"):
        drawn(charts.bland_altman, [np.nan], [1.0])


def test_a_roc_has_the_area_of_scikit_learn():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    positive = np.arange(40) % 2 == 0
    score = (positive * 0.3 + rng.random(40)).round(1)
    axes = drawn(charts.roc, {"yes": (positive, score), "perfect": (positive, positive * 1.0)})
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == [f"yes: {roc_auc_score(positive, score):.3f}", "perfect: 1.000"]
    perfect = axes.lines[2]
    assert (0, 1) in list(zip(perfect.get_xdata(), perfect.get_ydata(), strict=True))


def test_a_confusion_matrix_shows_each_count_in_its_place():
    counts = np.array([[5, 1, 0], [2, 0, 7]])
    axes = drawn(charts.confusion, counts, ["no", "yes"], ["no", "yes", "nothing"])
    shown = {tuple(map(int, text.get_position())): text.get_text() for text in axes.texts}
    assert shown == {(j, i): str(counts[i, j]) for i in range(2) for j in range(3)}
    assert axes.yaxis_inverted()  # the first class is on top


def test_a_froc_shows_its_points_and_their_mean():
    points = [(0.5, 0.2, 0.1, 0.3), (1, 0.4, np.nan, np.nan)]
    axes = drawn(charts.froc, {"a": points})
    line = axes.lines[0]
    assert np.allclose(line.get_xdata(), [0.5, 1]) and np.allclose(line.get_ydata(), [0.2, 0.4])
    assert axes.get_legend().get_texts()[0].get_text() == "a: 0.300" and axes.get_xscale() == "log"
    with pytest.raises(ValueError, match="no point"):
        drawn(charts.froc, {})


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_a_figure_is_written_by_its_suffix_and_twice_the_same(tmp_path, suffix, start):
    for name in ("a", "b"):
        figure = charts.figure([lambda axes: charts.box_plot(axes, "Dice of WT", {"a": [0.5, 0.7]})] * 3)
        charts.save(figure, tmp_path / f"{name}{suffix.upper()}")
    data = (tmp_path / f"a{suffix.upper()}").read_bytes()
    assert data.startswith(start) and data == (tmp_path / f"b{suffix.upper()}").read_bytes()
    assert suffix != ".svg" or b"Dice of WT" in data  # text stays text
    with pytest.raises(ValueError, match="no chart"):
        charts.figure([])


def size_of(columns, rows):
    return round(columns * charts.WIDTH * charts.DPI), round(rows * charts.HEIGHT * charts.DPI)


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
    assert Image.open(tmp_path / "s.png").size == size_of(2, 3)
    (tmp_path / "t.csv").write_text("file,class\n" + "".join(f"{i}.png,{['no', 'yes'][i % 2]}\n" for i in range(8)))
    (tmp_path / "p.csv").write_text("case,class,p_no,p_yes\n" + "".join(
        f"{i},{['no', 'yes'][i % 3 % 2]},{0.9 - i / 10:.1f},{0.1 + i / 10:.1f}\n" for i in range(8)))
    ran = subprocess.run(["bash", "-o", "pipefail", "-c", f"{BIN}/mri-score p.csv -q -r t.csv --per-case c.csv | "
                          f"{BIN}/mri-view -o m.png && {BIN}/mri-view c.csv -o c.png"], cwd=tmp_path, timeout=120,
                         capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "m.png\nc.png\n"), ran.stderr
    assert Image.open(tmp_path / "m.png").size == size_of(1, 1)
    assert Image.open(tmp_path / "c.png").size == size_of(2, 1)
    ran = subprocess.run([f"{BIN}/mri-view", "c.csv", "-o", "c.pdf"], cwd=tmp_path, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "c.pdf\n") and (tmp_path / "c.pdf").read_bytes().startswith(b"%PDF")
    ran = subprocess.run([f"{BIN}/mri-view", "c.csv", "-o", "c.gif"], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 2 and "c.gif: charts are PNG, SVG or PDF" in ran.stderr
