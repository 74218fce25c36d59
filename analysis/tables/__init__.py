"""Tables for readers: their content as plain text, and its dress as Markdown, LaTeX and CSV."""
