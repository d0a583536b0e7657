"""The preprocessing steps by name, which is their key in a recipe. This module imports none of them.

Every step is a pure function `step(image, *, mask=None, **parameters) -> (Image, measured)`. It works on 2D images
and volumes, on each channel alone, and returns float32; a geometry step returns a new grid. `mask`, bool on the grid
of the image, is the brain where the caller knows it. `measured` holds plain JSON numbers and lists.
A new step is one function and one line here.
"""

DENOISERS = {
    "nlm": "mrilib.images.steps.denoise:nonlocal_means",
    "median": "mrilib.images.steps.denoise:median",
    "gaussian": "mrilib.images.steps.denoise:gaussian",
    "bilateral": "mrilib.images.steps.denoise:bilateral",
    "curvature": "mrilib.images.steps.denoise:curvature",
    "tv": "mrilib.images.steps.denoise:tv",
    "wavelet": "mrilib.images.steps.denoise:wavelet",
}
GEOMETRY = {
    "align": "mrilib.images.steps.align:align",
    "reorient": "mrilib.images.steps.geometry:reorient",
    "crop": "mrilib.images.steps.geometry:crop_to_head",
    "spacing": "mrilib.images.steps.geometry:spacing",
    "resize": "mrilib.images.steps.geometry:resize",
    "pad": "mrilib.images.steps.geometry:pad_or_crop",
}
MASKS = {"brain": "mrilib.images.steps.brain:brain"}
BIAS = {"n4": "mrilib.images.steps.bias:n4"}
NORMALIZERS = {
    "zscore": "mrilib.images.steps.intensity:zscore",
    "minmax": "mrilib.images.steps.intensity:minmax",
    "percentile": "mrilib.images.steps.intensity:percentile",
    "robust": "mrilib.images.steps.intensity:robust",
    "whitestripe": "mrilib.images.steps.intensity:whitestripe",
    "tissue": "mrilib.images.steps.tissue:tissue",
    "nyul": "mrilib.images.steps.landmarks:nyul",
    "histogram": "mrilib.images.steps.landmarks:histogram",
}
COLOURS = {"grey": "mrilib.images.steps.intensity:grey"}
EDGES = {"sobel": "mrilib.images.steps.edges:sobel"}
LEARNERS = {  # what a step measures in each training case, and what it learns from all: its parameter `standard`
    "nyul": ("mrilib.images.steps.landmarks:nyul_landmarks", "mrilib.images.steps.landmarks:nyul_standard"),
    "histogram": ("mrilib.images.steps.landmarks:histogram_quantiles",
                  "mrilib.images.steps.landmarks:histogram_standard"),
}
STEPS = {**DENOISERS, **COLOURS, **GEOMETRY, **MASKS, **BIAS, **NORMALIZERS, **EDGES}
