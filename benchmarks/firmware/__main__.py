"""Entry: ``python -m benchmarks.firmware`` builds models for a Cortex-M4 and runs them in qemu; ``--help`` says more."""

if __name__ == "__main__":
    from doping.entry import run_command

    run_command("benchmarks.firmware.command")
