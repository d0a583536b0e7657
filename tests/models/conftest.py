import pytest


@pytest.fixture(autouse=True, scope="session")
def device():
    """TensorFlow on the CPU in float32, before anything imports keras."""
    from mrilib import gpu

    return gpu.setup("cpu", mixed="off")
