"""Entry: ``python -m doping.run model.lstm``, or ``doping-run model.lstm``, runs an exported model; ``--help`` says more."""

from doping.entry import run_command


def main() -> None:
    """Run the command and end with its exit code."""
    run_command("doping.inference.commands.run")


if __name__ == "__main__":
    main()
