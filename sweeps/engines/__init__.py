"""Where trials run: on the cores of this machine, or on a Dask cluster. ``base`` is the contract."""
