"""Power cuts at every moment of a small study, replayed; see ``command``."""
