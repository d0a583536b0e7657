"""The random changes by name, with what their numbers mean. Only text: `--help` needs it."""

GEOMETRY = {
    "flip": "Mirror along each of these axes with probability 0.5: lr, ud, and ap in volumes.",
    "rotate": "Angle in degrees, in volumes about each axis, in thick slices within their plane.",
    "shear": "Angle of shear, in degrees.",
    "scale": "Factor of size.",
    "stretch": "Factor of size, drawn for each axis.",
    "shift": "Shift along each axis, in mm, or % of the image.",
    "perspective": "Shift of each corner of a picture, in mm or %.",
    "elastic": "Shift of the points of a coarse grid, in mm or %.",
    "elastic_width": "Distance between these points, in mm or %.  [default: 25%]",
}
INTENSITY = {
    "contrast": "Factor about the mean.",
    "brightness": "Factor above the lowest value.",
    "gamma": "Exponent of values scaled to 0..1.",
    "inverse_gamma": "Exponent of inverted values scaled to 0..1.",
    "histogram": "Shift of the steps of the grey scale, as a fraction of a step.",
    "bias": "Strength of a smooth field; 0.3 is about 30 % either way.",
    "blur": "Standard deviation of a Gaussian, in mm, or % of the image.",
    "low_resolution": "Factor by which each axis is made coarser.",
    "ghosting": "Fraction of the image in displaced copies.",
    "sharpen": "Strength of an unsharp mask.",
    "noise": "Standard deviation of Gaussian noise, as a fraction of the range of values.",
    "rician": "Standard deviation of Rician noise, as a fraction of the range of values.",
    "cutout": "Side of a hole, as a fraction of the side of the image.",
    "dropout": "Number of channels set to their lowest value.",
}
MEANING = {**GEOMETRY, **INTENSITY}
