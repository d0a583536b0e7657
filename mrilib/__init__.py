"""Brain-MRI tumour work: cases, images, models, training, inference, metrics, usable alone from Python."""

__version__ = "0.1.0"
