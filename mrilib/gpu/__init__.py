"""GPU and CPU set-up: pick a device, memory growth, mixed precision, threads, determinism, silence, diagnosis."""

from mrilib.gpu.device import Setup, setup
from mrilib.gpu.diagnosis import diagnose

__all__ = ["Setup", "diagnose", "setup"]
