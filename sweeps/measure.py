"""Entry: ``python -m sweeps.measure --results DIR`` adds measured latencies to results; ``--help`` says more."""

if __name__ == "__main__":
    from doping.entry import run_command

    run_command("sweeps.commands.measure_latency")
