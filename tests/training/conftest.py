import pytest
from fitting import make_data


@pytest.fixture(scope="session")
def data():
    return make_data()


@pytest.fixture(scope="session")
def device():
    """TensorFlow on the CPU in float32, before anything imports keras."""
    from mrilib import gpu

    return gpu.setup("cpu", mixed="off", seed=0)
