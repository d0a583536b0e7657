"""Images: reading and writing, the grid, denoising, intensity, geometry, augmentation."""
