"""The start of TensorFlow: which device, which precision, not a word."""

import os
import subprocess
import sys

import pytest

from mrilib.errors import UsageError
from mrilib.gpu import device as gpu_device

CHILD = """
from mrilib import gpu
from mrilib.errors import MachineError
first = gpu.setup("cpu", mixed="off", threads=1, seed=3)
import keras, sys
drawn = keras.random.uniform((3,), seed=keras.random.SeedGenerator()).numpy().tolist()
gpu.setup("cpu", mixed="off", threads=1, seed=3)
again = keras.random.uniform((3,), seed=keras.random.SeedGenerator()).numpy().tolist()
print(first.line, first.policy, keras.config.dtype_policy().name, drawn == again, sep="|")
print({"sklearn", "matplotlib"} & set(sys.modules))
for wanted in ({"device": "gpu"}, {"device": "gpu:1"}, {"device": "cpu", "threads": 2}):
    try:
        gpu.setup(**wanted)
    except MachineError as error:
        print(error)
"""


def test_a_process_starts_on_the_cpu_in_silence_and_repeatably():
    hidden = {"CUDA_VISIBLE_DEVICES": "-1"}
    ran = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, timeout=100,
                         env={**os.environ, **hidden})
    lines = ran.stdout.splitlines()
    assert (ran.returncode, ran.stderr) == (0, "")
    assert lines[0] == "device cpu, 1 thread, float32|float32|float32|True"
    assert lines[1] == "set()"  # Keras would import them, for seconds, and use neither here
    assert lines[2] == lines[3] and "TensorFlow finds no GPU here (mri-inspect --device says why" in lines[2]
    assert "TensorFlow was already started with other settings in this process" in lines[4]


def test_missing_tensorflow_says_what_to_install():
    child = ("import sys\nsys.modules['tensorflow'] = None\nfrom mrilib import gpu\n"
             "try:\n    gpu.setup()\nexcept Exception as error:\n    print(type(error).__name__, error)")
    ran = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, timeout=60)
    assert ran.stdout.startswith("MachineError TensorFlow is not installed (pip install 'mri-suite[cpu]'")


def test_precision_by_what_the_device_does_fast():
    flags = gpu_device.cpu_flags("model name\t: x\nflags\t\t: fpu avx2 avx512_bf16\n")
    assert gpu_device.cpu_policy(flags) == "mixed_bfloat16"
    assert gpu_device.cpu_policy({"avx2", "avx512f"}) == gpu_device.cpu_policy(set()) == "float32"
    found = [gpu_device.gpu_policy(c) for c in (None, (6, 1), (7, 0), (7, 5), (8, 0), (9, 0))]
    assert found == ["float32", "float32", "mixed_float16", "mixed_float16", "mixed_bfloat16", "mixed_bfloat16"]


@pytest.mark.parametrize("device", ["tpu", "cpu:1", "auto:0", "gpu:x", ""])
def test_an_unknown_device_is_wrong_use(device):
    with pytest.raises(UsageError, match="auto, cpu, gpu or gpu:N"):
        gpu_device.setup(device)
