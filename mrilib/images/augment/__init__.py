"""Random transforms of images, label maps and boxes."""
