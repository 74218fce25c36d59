"""Entry: ``python -m sweeps.export --from DIR --out model.lstm`` exports a trained model; ``--help`` says more."""

if __name__ == "__main__":
    from doping.entry import start

    start("sweeps.commands.export_model")
