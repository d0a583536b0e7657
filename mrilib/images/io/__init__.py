"""Reading and writing images, one file per format."""
