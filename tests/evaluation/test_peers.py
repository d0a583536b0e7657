"""Agreement to 1e-6 with the libraries that define the metrics, on made-up and real pairs.

surface-distance is asked at once, MedPy and panoptica were asked by record_peers.py; the rules of the BraTS evaluator
are written out here.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import surface_distance
from scipy import ndimage

from mrilib.evaluation.metrics import lesions, overlap, surface

sys.path.insert(0, str(Path(__file__).parent))
from record_peers import SPACINGS, blobs

REAL = sorted((Path(__file__).parents[3] / "shared/data/labelmaps/msd-brain-tumour").glob("*.nii.gz"))[:4]
RECORDED = json.loads((Path(__file__).parent / "peers.json").read_text())
MASKS = np.load(Path(__file__).parent / "peers.npz")


def pairs():
    for i, spacing in enumerate(SPACINGS * 5):
        yield *blobs(i, (14, 22, 18) if len(spacing) == 3 else (40, 30)), spacing
    if REAL:
        from mrilib.images.io.files import read

        for path in REAL:
            whole = read(path).array
            for numbers in ((1, 2, 3), (3,)):
                mask = np.isin(whole, numbers).astype(np.uint8)
                yield np.roll(mask, (2, -3, 1), (0, 1, 2)), mask, (1.0, 1.0, 1.0)


PAIRS = [p for p in pairs() if p[0].any() and p[1].any()]


@pytest.mark.parametrize("i", range(len(PAIRS)))
def test_surface_distance(i):
    for name in ("filters", "morphology"):  # names that scipy has dropped since
        if not hasattr(ndimage, name):
            setattr(ndimage, name, ndimage)
    prediction, reference, spacing = PAIRS[i]
    theirs = surface_distance.compute_surface_distances(reference.astype(bool), prediction.astype(bool), spacing)
    ours = surface.between(prediction, reference, spacing)
    for percent in (50, 90, 95, 100):
        assert surface.percentile(ours, percent) == pytest.approx(
            surface_distance.compute_robust_hausdorff(theirs, percent), abs=1e-6)
    assert surface.mean(ours) == pytest.approx(
        np.mean(surface_distance.compute_average_surface_distance(theirs)), abs=1e-6)
    for tolerance in (0.5, 1, 2):
        assert surface.within(ours, tolerance) == pytest.approx(
            surface_distance.compute_surface_dice_at_tolerance(theirs, tolerance), abs=1e-6)


@pytest.mark.parametrize("i", range(len(RECORDED["medpy"]["values"])))
def test_medpy(i):
    prediction, reference = MASKS[f"medpy{i}"].astype(np.uint8)
    theirs, spacing = RECORDED["medpy"]["values"][i], RECORDED["medpy"]["spacing"][i]
    ours = surface.between(prediction, reference, spacing, elements=False)
    metrics = overlap.metrics(*overlap.counts(prediction, reference, {"it": (1,)})["it"])
    pooled = surface.pooled(ours)
    assert {"hd95": np.percentile(pooled, 95), "hd": surface.percentile(ours, 100), "assd": pooled.mean(),
            "dice": metrics["dice"], "iou": metrics["iou"]} == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("i", range(len(PAIRS)))
def test_simpleitk(i):
    import SimpleITK as sitk

    prediction, reference, spacing = PAIRS[i]
    images = [sitk.GetImageFromArray(mask) for mask in (prediction, reference)]
    for image in images:
        image.SetSpacing(spacing[::-1])
    measures = sitk.LabelOverlapMeasuresImageFilter()
    measures.Execute(*images)
    metrics = overlap.metrics(*overlap.counts(prediction, reference, {"it": (1,)})["it"])
    assert metrics["dice"] == pytest.approx(measures.GetDiceCoefficient(1), abs=1e-9)
    assert metrics["iou"] == pytest.approx(measures.GetJaccardCoefficient(1), abs=1e-9)
    assert 1 - metrics["precision"] == pytest.approx(measures.GetFalseDiscoveryRate(1), abs=1e-9)
    assert 1 - metrics["sensitivity"] == pytest.approx(measures.GetFalseNegativeError(1), abs=1e-9)


def organisers(prediction, reference, spacing, dilation, threshold, penalty=374.0):
    """The lesion-wise metrics of BraTS 2023 step by step, whole volumes at a time, distances by plain transforms.

    By the rules of the evaluator github.com/rachitsaluja/BraTS-2023-Metrics (its README, and what its eval.py does);
    own words, for it states no licence.
    """
    shape = ndimage.generate_binary_structure(3, 2)
    everywhere = np.ones((3, 3, 3))
    grown, count = ndimage.label(ndimage.binary_dilation(reference, shape, iterations=dilation), everywhere)
    called, _ = ndimage.label(prediction, everywhere)
    voxel, touched, dices, distances, found, missed = np.prod(spacing), set(), [], [], 0, 0
    for lesion in range(1, count + 1):
        truth = (grown == lesion) & (reference > 0)
        near = ndimage.binary_dilation(truth, shape, iterations=dilation)
        mine = set(np.unique(called[near])) - {0}
        touched |= mine
        if truth.sum() * voxel <= threshold:
            continue
        ours = np.isin(called, list(mine))
        dices.append(2 * (ours & truth).sum() / (ours.sum() + truth.sum()))
        distances.append(plain_hd95(ours, truth, spacing) if mine else penalty)
        found, missed = found + bool(mine), missed + (not mine)
    made_up = called.max() - len(touched)
    number = len(dices) + made_up
    return (sum(dices) / number, (sum(distances) + penalty * made_up) / number, found, missed, made_up)


def plain_hd95(one, other, spacing):
    """The larger directed percentile, weighted by area, by correlation with the corners and distance maps."""
    from mrilib.evaluation.metrics.surface import areas

    kernel = np.array([[[128, 64], [32, 16]], [[8, 4], [2, 1]]])
    codes = [ndimage.correlate(np.pad(m, 1).astype(np.uint8), kernel, mode="constant") for m in (one, other)]
    edges = [(c != 0) & (c != 255) for c in codes]
    result = []
    for i in (0, 1):
        away = ndimage.distance_transform_edt(~edges[1 - i], sampling=spacing)[edges[i]]
        size = areas(spacing)[codes[i][edges[i]]]
        order = np.lexsort((size, away))
        place = np.searchsorted(np.cumsum(size[order]) / size.sum(), 0.95)
        result.append(away[order][min(place, len(away) - 1)])
    return max(result)


@pytest.mark.parametrize("seed", range(8))
def test_lesions_are_those_of_the_organisers(seed):
    rng = np.random.default_rng(seed)
    spacing = SPACINGS[seed % 2]
    prediction, reference = blobs(seed, (24, 40, 40), 0.04)
    dilation, threshold = int(rng.integers(1, 4)), float(rng.choice([2, 50]))
    made = lesions.lesion_wise(prediction, reference, spacing, lesions.Settings(dilation, 26, threshold))
    theirs = organisers(prediction, reference, spacing, dilation, threshold)
    assert tuple(made[n] for n in ("lesion_dice", "lesion_hd95", "lesions_found", "lesions_missed",
                                   "lesions_made_up")) == pytest.approx(theirs, abs=1e-9)


def test_surface_table_code_by_code():
    from surface_distance import lookup_tables as tables

    from mrilib.evaluation.metrics.surface import areas

    for spacing in SPACINGS:
        make = (tables.create_table_neighbour_code_to_surface_area if len(spacing) == 3
                else tables.create_table_neighbour_code_to_contour_length)
        assert np.allclose(areas(spacing), make(spacing), atol=1e-12)


@pytest.mark.parametrize("i", range(len(RECORDED["panoptica"]["values"])))
def test_lesions_are_panoptica_s_where_its_definition_is_the_same(i):
    """Without dilation and least volume, and where no component of the prediction touches two lesions. Its Dice is a
    mean over the lesions found, ours over all."""
    prediction, reference = MASKS[f"panoptica{i}"].astype(np.uint8)
    theirs = RECORDED["panoptica"]["values"][i]
    ours = lesions.lesion_wise(prediction, reference, (1, 1, 1), lesions.Settings(0, 26, 0))
    assert ours["lesions_found"] == theirs["found"] > 0
    assert (ours["lesions_missed"], ours["lesions_made_up"]) == (theirs["missed"], theirs["made_up"])
    assert ours["lesion_f1"] == pytest.approx(theirs["f1"], abs=1e-6)
    total = theirs["found"] + theirs["missed"] + theirs["made_up"]
    assert ours["lesion_dice"] * total == pytest.approx(theirs["dice_of_found"] * theirs["found"], abs=1e-6)
