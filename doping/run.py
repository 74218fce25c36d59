"""Entry: ``python -m doping.run model.lstm``, or ``doping-run model.lstm``, runs an exported model; ``--help`` says more."""

from typing import NoReturn

from doping.entry import start


def main() -> NoReturn:
    """Run the command and end with its exit code."""
    start("doping.inference.commands.run")


if __name__ == "__main__":
    main()
