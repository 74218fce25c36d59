"""One HTML page a study that holds everything: words, tables, figures to explore, and every trial."""
