"""Running a network, which is stored as float32, in the mixed precision that the device does fast."""

from __future__ import annotations


def recast(model, policy: str):
    """The same network and weights computing by a Keras dtype policy: a new model, or this one for float32.

    policy: float32, mixed_bfloat16 or mixed_float16. The input and the last layer stay float32, so that
    probabilities are as fine as they were; so do the weights.
    """
    if policy == "float32":
        return model
    config = model.get_config()
    last = {name for name, *_ in _outputs(config["output_layers"])}
    for layer in config["layers"]:
        if layer["class_name"] != "InputLayer" and layer["config"]["name"] not in last:
            layer["config"]["dtype"] = policy
    made = type(model).from_config(config)
    made.set_weights(model.get_weights())
    return made


def _outputs(given) -> list:
    """The output layers of a Functional config, which for one output are no list of lists."""
    return [given] if given and isinstance(given[0], str) else list(given)
