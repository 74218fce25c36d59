"""Statistics of rows: intervals, paired tests, size at equal quality. Knows rows and numbers, not how they are shown."""
