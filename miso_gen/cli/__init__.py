"""The command line: one command per verb, each a few lines around a plain function."""

from miso_gen.cli import evaluating, experiments, explaining, recipes, releases, stores
from miso_gen.cli.group import main

__all__ = ["evaluating", "experiments", "explaining", "main", "recipes", "releases", "stores"]
