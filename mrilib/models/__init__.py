"""Networks, losses and the model file."""
