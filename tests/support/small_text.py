"""A text so short that a model is validated on it in a moment.

On the embedded one, of which each validation reads 20,000 characters, a small trial validates three quarters of its time.
"""

from pathlib import Path

PATH = Path(__file__).parent / "small_text.txt"
DATA = {"corpus": "text", "path": str(PATH), "limit": 4000}
"""Settings of the data: 4,000 characters to train on, 400 each to validate and to test."""
YAML = f"{{corpus: text, path: {PATH}, limit: 4000}}"
"""The same in a study's file."""
