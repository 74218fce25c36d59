"""Entry: ``python -m benchmarks.power_cuts``; ``--help`` says more."""

if __name__ == "__main__":
    from doping.entry import run_command

    run_command("benchmarks.power_cuts.command")
