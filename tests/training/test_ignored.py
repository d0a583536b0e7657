"""Voxels of the ignored label count neither in the loss, nor in sampling, nor in the validation Dice."""

import numpy as np
from segment_data import write

from mrilib.cases import Reading, find
from mrilib.images.grid import Grid, Image
from mrilib.images.io import files
from mrilib.labels import scheme
from mrilib.training import segment, volumes
from mrilib.training.segment_settings import SegmentSettings

SCHEME = scheme("1=one,2=two,9=ignore")


def prepared(folder):
    write(folder / "in", 0)
    path = next(folder.glob("in/*/*_seg.nii.gz"))
    label = files.read(path).array.astype(np.uint8)
    label[:, :10][label[:, :10] == 0] = 9
    files.write(path, Image(label, Grid.of(label.shape, (1.0, 1.0, 1.0))))
    (case,) = find([folder / "in"], Reading(scheme=SCHEME.name))
    name = volumes.prepare(case, (), ["t1ce", "flair"], None, SCHEME.values, folder / "cache", SCHEME.ignore)
    return volumes.load(folder / "cache", [name])


def test_the_ignored_value_is_no_output_and_weighs_nothing(tmp_path, device):
    (volume,) = prepared(tmp_path)
    assert 3 in np.unique(volume.label()) and 3 not in volume.counts
    wanted = segment.targets(SCHEME, SegmentSettings())
    assert wanted.outputs == 3 and wanted.masked and wanted.table[3].tolist() == [0, 0, 0, 0]
    assert (wanted.table[:3, 3] == 1).all()
    rng = np.random.default_rng(0)
    label = rng.integers(0, 4, (2, 4, 4, 4))
    logits = rng.normal(size=(2, 4, 4, 4, 3)).astype(np.float32)
    other = np.where((label == 3)[..., None], logits + 7, logits)
    for name in ("dice+ce", "focal", "tversky", "iou"):
        loss = segment.loss(SegmentSettings(loss=name), wanted, None)
        one, two = (float(np.asarray(loss(wanted.table[label], each))[0]) for each in (logits, other))
        assert one == two and one > 0
        unmasked = segment.targets(scheme("1=one,2=two"), SegmentSettings())
        plain = segment.loss(SegmentSettings(loss=name), unmasked, None)
        kept = label != 3
        alone = float(np.asarray(plain(np.eye(3, dtype=np.float32)[label[kept]][None], logits[kept][None]))[0])
        assert abs(one - alone) < 1e-5
        assert float(np.asarray(loss(wanted.table[np.full_like(label, 3)], logits))[0]) == 0


def test_no_patch_is_sampled_around_an_ignored_voxel(tmp_path, device):
    from mrilib.training.patches import PatchSampler

    made = prepared(tmp_path)
    for sampling in ("uniform", "foreground", "equal"):
        settings = SegmentSettings(dimension=3, patch=(4, 4, 4), sampling=sampling, foreground=0.5)
        sampler, rng = PatchSampler(made, settings, 3, masked=True), np.random.default_rng(0)
        assert all(made[case].label()[tuple(voxel)] < 3 for case, voxel in (sampler.draw(rng) for _ in range(200)))
