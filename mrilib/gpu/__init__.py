"""GPU and CPU set-up: pick a device, memory growth, mixed precision, threads, determinism, silence, diagnosis."""

from mrilib.gpu.diagnosis import diagnose
from mrilib.gpu.start import Setup, setup

__all__ = ["Setup", "diagnose", "setup"]
