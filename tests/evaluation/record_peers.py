"""Record what MedPy and panoptica say of pairs of masks, for test_peers.py. Run by hand, not by the tests:

    python -m venv peers && peers/bin/pip install medpy panoptica && peers/bin/python tests/evaluation/record_peers.py

Both stay out of the extra `test`: MedPy is GPL, and panoptica holds NumPy and rich back at older versions than the
suite is tested with. So each comparison runs everywhere, with the numbers of the library that defines the metric.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy import ndimage

HERE = Path(__file__).parent
SPACINGS = [(1.0, 1.0, 1.0), (5.5, 0.9, 0.9), (1.0, 1.0), (0.7, 2.0)]


def blobs(seed, shape, share=0.3):
    """A pair of smooth random masks, uint8, the second a changed copy of the first."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=shape), 2)
    other = field + rng.uniform(0.1, 1) * ndimage.gaussian_filter(rng.normal(size=shape), 2)
    limit = np.quantile(field, 1 - share * rng.uniform(0.1, 1))
    return (other > limit).astype(np.uint8), (field > limit).astype(np.uint8)


def of_medpy(prediction, reference, spacing) -> dict[str, float]:
    from medpy.metric import binary

    pair = (prediction, reference)
    return {"hd95": float(binary.hd95(*pair, spacing)), "hd": float(binary.hd(*pair, spacing)),
            "assd": float(binary.assd(*pair, spacing)), "dice": float(binary.dc(*pair)),
            "iou": float(binary.jc(*pair))}


def of_panoptica(prediction, reference) -> dict[str, float]:
    import panoptica

    found = panoptica.Panoptica_Evaluator(
        expected_input=panoptica.InputType.SEMANTIC,
        instance_approximator=panoptica.ConnectedComponentsInstanceApproximator(),
        instance_matcher=panoptica.NaiveThresholdMatching(matching_threshold=1e-9, allow_many_to_one=True),
        instance_metrics=[panoptica.Metric.DSC]).evaluate(prediction, reference, verbose=False)["ungrouped"]
    return {"found": int(found.tp), "missed": int(found.fn), "made_up": int(found.fp), "f1": float(found.rq),
            "dice_of_found": float(found.sq_dsc)}


def apart(prediction, reference):
    """A prediction without the components that touch two lesions: panoptica gives such a one to one of them, the
    organisers of BraTS to both."""
    everywhere = np.ones((3, 3, 3))
    component, _ = ndimage.label(prediction, everywhere)
    lesion, _ = ndimage.label(reference, everywhere)
    both = np.unique(np.stack([component, lesion])[:, (component > 0) & (lesion > 0)], axis=1)
    shared = [c for c in np.unique(both[0]) if (both[0] == c).sum() > 1]
    return np.where(np.isin(component, shared), 0, prediction).astype(np.uint8)


def main():
    pairs = [(*blobs(i, (14, 22, 18) if len(spacing) == 3 else (40, 30)), spacing)
             for i, spacing in enumerate(SPACINGS * 5)]
    pairs = [pair for pair in pairs if pair[0].any() and pair[1].any()]
    lesions = [blobs(seed, (24, 40, 40), 0.06) for seed in range(8)]
    lesions = [(apart(*pair), pair[1]) for pair in lesions]
    told = {"medpy": {"version": version("medpy"), "spacing": [pair[2] for pair in pairs],
                      "values": [of_medpy(*pair) for pair in pairs]},
            "panoptica": {"version": version("panoptica"), "values": [of_panoptica(*pair) for pair in lesions]}}
    masks = {f"{name}{i}": np.stack(pair[:2]).astype(bool) for name, some in (("medpy", pairs), ("panoptica", lesions))
             for i, pair in enumerate(some)}
    np.savez_compressed(HERE / "peers.npz", **masks)
    (HERE / "peers.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
