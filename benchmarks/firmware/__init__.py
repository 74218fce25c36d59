"""Exported models on a microcontroller, in an emulator, their memory to the byte: ``python -m benchmarks.firmware``."""
