"""Entry: ``python -m doping.run model.lstm`` runs an exported model; ``--help`` says more."""

if __name__ == "__main__":
    from doping.entry import start

    start("doping.inference.commands.run")
