"""Agreement to 1e-6 with the libraries that define the figures, on made-up and real pairs, where they are installed.

    pip install surface-distance medpy pycocotools panoptica    and the rules of the BraTS evaluator written out here
"""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from mrilib.evaluation.metrics import lesions, overlap, surface
from mrilib.images.steps.foreground import box_of

REAL = sorted((Path(__file__).parents[3] / "shared/data/labelmaps/msd-brain-tumour").glob("*.nii.gz"))[:4]
SPACINGS = [(1.0, 1.0, 1.0), (5.5, 0.9, 0.9), (1.0, 1.0), (0.7, 2.0)]


def blobs(seed, shape, share=0.3):
    """A pair of smooth random masks, uint8, the second a changed copy of the first."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=shape), 2)
    other = field + rng.uniform(0.1, 1) * ndimage.gaussian_filter(rng.normal(size=shape), 2)
    limit = np.quantile(field, 1 - share * rng.uniform(0.1, 1))
    return (other > limit).astype(np.uint8), (field > limit).astype(np.uint8)


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
    peer = pytest.importorskip("surface_distance")
    for name in ("filters", "morphology"):  # names that scipy has dropped since
        if not hasattr(ndimage, name):
            setattr(ndimage, name, ndimage)
    prediction, reference, spacing = PAIRS[i]
    theirs = peer.compute_surface_distances(reference.astype(bool), prediction.astype(bool), spacing)
    mine = surface.between(prediction, reference, spacing)
    for percent in (50, 90, 95, 100):
        assert surface.percentile(mine, percent) == pytest.approx(peer.compute_robust_hausdorff(theirs, percent),
                                                                  abs=1e-6)
    assert surface.mean(mine) == pytest.approx(np.mean(peer.compute_average_surface_distance(theirs)), abs=1e-6)
    for tolerance in (0.5, 1, 2):
        assert surface.within(mine, tolerance) == pytest.approx(
            peer.compute_surface_dice_at_tolerance(theirs, tolerance), abs=1e-6)


@pytest.mark.parametrize("i", range(len(PAIRS)))
def test_medpy(i):
    peer = pytest.importorskip("medpy.metric.binary")
    prediction, reference, spacing = PAIRS[i]
    box = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box_of(prediction, reference))
    prediction, reference = prediction[box], reference[box]
    mine = surface.between(prediction, reference, spacing, elements=False)
    assert surface.pooled_percentile(mine, 95) == pytest.approx(peer.hd95(prediction, reference, spacing), abs=1e-6)
    assert surface.percentile(mine, 100) == pytest.approx(peer.hd(prediction, reference, spacing), abs=1e-6)
    assert surface.pooled_mean(mine) == pytest.approx(peer.assd(prediction, reference, spacing), abs=1e-6)
    counts = overlap.counts(prediction, reference, {"it": (1,)})["it"]
    assert overlap.dice(*counts) == pytest.approx(peer.dc(prediction, reference), abs=1e-9)
    assert overlap.iou(*counts) == pytest.approx(peer.jc(prediction, reference), abs=1e-9)


@pytest.mark.parametrize("i", range(len(PAIRS)))
def test_simpleitk(i):
    import SimpleITK as sitk

    prediction, reference, spacing = PAIRS[i]
    images = [sitk.GetImageFromArray(mask) for mask in (prediction, reference)]
    for image in images:
        image.SetSpacing(spacing[::-1])
    measures = sitk.LabelOverlapMeasuresImageFilter()
    measures.Execute(*images)
    counts = overlap.counts(prediction, reference, {"it": (1,)})["it"]
    assert overlap.dice(*counts) == pytest.approx(measures.GetDiceCoefficient(1), abs=1e-9)
    assert overlap.iou(*counts) == pytest.approx(measures.GetJaccardCoefficient(1), abs=1e-9)
    assert 1 - overlap.precision(*counts) == pytest.approx(measures.GetFalseDiscoveryRate(1), abs=1e-9)
    assert 1 - overlap.sensitivity(*counts) == pytest.approx(measures.GetFalseNegativeError(1), abs=1e-9)


def organisers(prediction, reference, spacing, dilation, threshold, penalty=374.0):
    """The lesion-wise figures of BraTS 2023 step by step, whole volumes at a time, distances by plain transforms.

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
    from mrilib.evaluation.metrics.surfels import sizes

    kernel = np.array([[[128, 64], [32, 16]], [[8, 4], [2, 1]]])
    codes = [ndimage.correlate(np.pad(m, 1).astype(np.uint8), kernel, mode="constant") for m in (one, other)]
    edges = [(c != 0) & (c != 255) for c in codes]
    result = []
    for i in (0, 1):
        away = ndimage.distance_transform_edt(~edges[1 - i], sampling=spacing)[edges[i]]
        size = sizes(spacing)[codes[i][edges[i]]]
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
    peer = pytest.importorskip("surface_distance")
    from mrilib.evaluation.metrics.surfels import sizes

    tables = sys.modules[peer.__name__ + ".lookup_tables"]
    for spacing in SPACINGS:
        make = (tables.create_table_neighbour_code_to_surface_area if len(spacing) == 3
                else tables.create_table_neighbour_code_to_contour_length)
        assert np.allclose(sizes(spacing), make(spacing), atol=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_lesions_are_panoptica_s_where_its_definition_is_the_same(seed):
    """Without dilation and least volume, and where no component of the prediction touches two lesions (panoptica gives
    it to one of them, the organisers of BraTS to both). Its Dice is a mean over the lesions found, ours over all."""
    peer = pytest.importorskip("panoptica")
    prediction, reference = blobs(seed, (24, 40, 40), 0.06)
    everywhere = np.ones((3, 3, 3))
    called, _ = ndimage.label(prediction, everywhere)
    lesion, _ = ndimage.label(reference, everywhere)
    both = np.unique(np.stack([called, lesion])[:, (called > 0) & (lesion > 0)], axis=1)
    shared = [c for c in np.unique(both[0]) if (both[0] == c).sum() > 1]
    prediction[np.isin(called, shared)] = 0
    made = lesions.lesion_wise(prediction, reference, (1, 1, 1), lesions.Settings(0, 26, 0))
    found = peer.Panoptica_Evaluator(
        expected_input=peer.InputType.SEMANTIC, instance_approximator=peer.ConnectedComponentsInstanceApproximator(),
        instance_matcher=peer.NaiveThresholdMatching(matching_threshold=1e-9, allow_many_to_one=True),
        instance_metrics=[peer.Metric.DSC]).evaluate(prediction, reference, verbose=False)["ungrouped"]
    assert made["lesions_found"] == found.tp > 0
    assert (made["lesions_missed"], made["lesions_made_up"]) == (found.fn, found.fp)
    assert made["lesion_f1"] == pytest.approx(found.rq, abs=1e-6)
    assert made["lesion_dice"] * (found.tp + found.fn + found.fp) == pytest.approx(found.sq_dsc * found.tp, abs=1e-6)
