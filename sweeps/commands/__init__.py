"""What one types: the command line of ``sweeps/run.py`` and what each of its flags starts."""
