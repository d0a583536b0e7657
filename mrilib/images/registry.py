"""The preparing steps by name. Reading the names imports nothing; a step's name is its key in a recipe.

Every target is a function `step(image, *, mask=None, rng=None, **parameters) -> (Image, measured)`: pure,
float32 out, each channel alone, on 2D images and volumes; geometry steps return a new grid. `mask` is a bool
array on the image's grid where the caller knows the brain; `measured` holds plain JSON numbers and lists.
A new step is one function and one line here.
"""

DENOISERS = {
    "nlm": "mrilib.images.denoise:nonlocal_means",
    "median": "mrilib.images.denoise:median",
    "gaussian": "mrilib.images.denoise:gaussian",
    "bilateral": "mrilib.images.denoise:bilateral",
    "curvature": "mrilib.images.denoise:curvature",
    "tv": "mrilib.images.denoise:tv",
    "wavelet": "mrilib.images.denoise:wavelet",
}
GEOMETRY = {
    "align": "mrilib.images.align:align",
    "reorient": "mrilib.images.geometry:reorient",
    "crop": "mrilib.images.geometry:crop_to_head",
    "spacing": "mrilib.images.geometry:spacing",
    "resize": "mrilib.images.geometry:resize",
    "pad": "mrilib.images.geometry:pad_or_crop",
}
MASKS = {
    "brain": "mrilib.images.brain:brain",
}
BIAS = {
    "n4": "mrilib.images.bias:n4",
}
NORMALIZERS = {
    "zscore": "mrilib.images.intensity:zscore",
    "minmax": "mrilib.images.intensity:minmax",
    "percentile": "mrilib.images.intensity:percentile",
    "robust": "mrilib.images.intensity:robust",
    "whitestripe": "mrilib.images.intensity:whitestripe",
    "tissue": "mrilib.images.tissue:tissue",
    "nyul": "mrilib.images.landmarks:nyul",
    "histogram": "mrilib.images.landmarks:histogram",
}
COLOURS = {
    "grey": "mrilib.images.intensity:grey",
}
EDGES = {
    "sobel": "mrilib.images.edges:sobel",
}
LEARNERS = {  # what a step looks at in each training case, and what it learns from all: its keyword `standard`
    "nyul": ("mrilib.images.landmarks:nyul_seen", "mrilib.images.landmarks:nyul_standard"),
    "histogram": ("mrilib.images.landmarks:histogram_seen", "mrilib.images.landmarks:histogram_standard"),
}
STEPS = {**DENOISERS, **COLOURS, **GEOMETRY, **MASKS, **BIAS, **NORMALIZERS, **EDGES}
