"""Entry: ``python -m benchmarks.command_fuzz`` runs made-up studies and damaged folders; ``--help`` says more."""

if __name__ == "__main__":
    from doping.entry import run_command

    run_command("benchmarks.command_fuzz.command")
