"""Entry: ``python -m analysis.docs_tables`` writes the tables of docs/ from the rows in results/; ``--help`` says more."""

if __name__ == "__main__":
    from doping.entry import run_command

    run_command("analysis.docs_tables.command")
