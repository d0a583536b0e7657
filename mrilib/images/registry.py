"""The preparing steps by name. Reading the names imports nothing; a step's name is its key in a recipe.

Every target is a function `step(image, *, mask=None, rng=None, **parameters) -> (Image, measured)`: pure,
float32 out, each channel alone, on 2D images and volumes; geometry steps return a new grid. `mask` is a bool
array on the image's grid where the caller knows the brain; `measured` holds plain JSON numbers and lists.
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
MASKS = {
    "brain": "mrilib.images.steps.brain:brain",
}
BIAS = {
    "n4": "mrilib.images.steps.bias:n4",
}
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
COLOURS = {
    "grey": "mrilib.images.steps.intensity:grey",
}
EDGES = {
    "sobel": "mrilib.images.steps.edges:sobel",
}
LEARNERS = {  # what a step looks at in each training case, and what it learns from all: its keyword `standard`
    "nyul": ("mrilib.images.steps.landmarks:nyul_seen", "mrilib.images.steps.landmarks:nyul_standard"),
    "histogram": ("mrilib.images.steps.landmarks:histogram_seen", "mrilib.images.steps.landmarks:histogram_standard"),
}
STEPS = {**DENOISERS, **COLOURS, **GEOMETRY, **MASKS, **BIAS, **NORMALIZERS, **EDGES}
