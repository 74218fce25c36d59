"""The figures of a study, each a module that draws it."""
