"""Worked examples of extending the project; the tests run them."""
