"""From a YAML file to cells: what a study may say, and every mistake in it named."""
