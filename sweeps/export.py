"""Entry: ``python -m sweeps.export --from DIR --out model.lstm`` exports a trained model; ``--help`` says more."""

if __name__ == "__main__":
    from doping.entry import run_command

    run_command("sweeps.commands.export_model")
