"""GPU and CPU set-up: pick, memory, precision, threads, determinism, silence, diagnosis."""
