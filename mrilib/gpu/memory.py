"""What to say when a device has no memory left."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator

from mrilib.errors import MachineError


@contextlib.contextmanager
def enough(remedy: str) -> Iterator[None]:
    """Turn want of memory, of the machine or of TensorFlow's device, into a MachineError with this remedy."""
    try:
        yield
    except MemoryError as error:
        raise MachineError("out of memory", remedy=remedy) from error
    except Exception as error:
        if type(error).__name__ == "ResourceExhaustedError":  # TensorFlow's own, not imported for its name
            raise MachineError("the device is out of memory",
                               remedy=f"{remedy}; mri-inspect --device shows what else uses it") from error
        raise


def forget() -> None:
    """Free what Keras holds of earlier networks, in a process that trains many; to be called before `setup`."""
    if "keras" in sys.modules:
        sys.modules["keras"].utils.clear_session()
        gc.collect()
