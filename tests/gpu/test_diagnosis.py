"""What made-up machines are told about their GPU."""

import pytest

from mrilib.gpu.diagnosis import explain

FINE = {"cards": ["NVIDIA A40"], "driver": "570.86.15", "nodes": ["/dev/nvidia0"], "visible": None,
        "smi": [{"name": "NVIDIA A40", "driver": "570.86.15", "used": 3, "total": 46068}], "tensorflow": "2.21.0",
        "cuda_build": True, "cuda": "12.5.1", "gpus": [{"name": "NVIDIA A40", "capability": [8, 6]}], "log": "",
        "trial": "", "cores": 16, "flags": ["avx2", "avx512_bf16"]}  # fmt: skip
IDLE = {**FINE, "gpus": []}
NONE = {**IDLE, "cards": [], "driver": None, "nodes": [], "smi": None}


@pytest.mark.parametrize(("facts", "reason", "command"), [
    (FINE, "uses 1 GPU", None),
    (NONE, "no NVIDIA GPU on this machine", None),
    ({**NONE, "tensorflow": None}, "TensorFlow is not installed", "pip install 'mri-suite[cpu]'"),
    ({**IDLE, "tensorflow": None}, "TensorFlow is not installed", "pip install 'mri-suite[gpu]'"),
    ({**IDLE, "tensorflow": "broken", "log": "x\nImportError: no AVX"}, "does not start: ImportError", "pip install"),
    ({**NONE, "cards": ["NVIDIA card at 0000:01:00.0"]}, "no driver is loaded", "sudo apt install nvidia-driver"),
    ({**IDLE, "nodes": [], "smi": None}, "a container that was started without the GPU", "docker run --gpus all"),
    ({**IDLE, "visible": ""}, "hidden: CUDA_VISIBLE_DEVICES is ''", "unset CUDA_VISIBLE_DEVICES"),
    ({**IDLE, "visible": "-1"}, "hidden: CUDA_VISIBLE_DEVICES is '-1'", "unset CUDA_VISIBLE_DEVICES"),
    ({**IDLE, "visible": "7"}, "names no card of this machine", "unset CUDA_VISIBLE_DEVICES"),
    ({**IDLE, "cuda_build": False, "cuda": None}, "CPU-only wheel", "tensorflow-cpu && pip install"),
    ({**IDLE, "driver": "470.57.02"}, "470.57.02 is too old for CUDA 12.5.1, which needs 525.60", "nvidia-driver"),
    ({**IDLE, "log": "W0000 Cannot dlopen some GPU libraries. Please make sure"}, "CUDA libraries", "mri-suite[gpu]"),
    ({**IDLE, "log": "failed call to cuInit: CUDA_ERROR_OUT_OF_MEMORY"}, "no memory left", "nvidia-smi"),
    ({**FINE, "trial": "RESOURCE_EXHAUSTED: failed to allocate"}, "memory is taken by other", "mri-train --device cpu"),
    ({**IDLE, "log": "something new\n"}, "does not find the GPU: something new", "nvidia-smi"),
])  # fmt: skip
def test_the_reason_and_the_command_that_mends_it(facts, reason, command):
    lines = explain(facts)
    if command is None:
        assert reason in lines[-1] and not any(line.startswith("mend: ") for line in lines)
    else:
        assert reason in lines[-2] and lines[-1].startswith("mend: ") and command in lines[-1]
        assert "reinstall" not in lines[-1]  # of the suite, which pip finds on no index


def test_what_the_machine_has_comes_first():
    lines = explain(FINE)
    assert lines[0] == "CPU: 16 cores, avx2 avx512_bf16; fast precision mixed bfloat16"
    assert lines[1] == ("GPU 0: NVIDIA A40, compute 8.6, fast precision mixed bfloat16, 3 of 46068 MiB in use, "
                        "driver 570.86.15")
