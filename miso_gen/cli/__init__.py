"""The command line: one command per verb, each a few lines around a plain function."""

from miso_gen.cli import experiments, explaining, recipes, releases, stores
from miso_gen.cli.group import main

__all__ = ["experiments", "explaining", "main", "recipes", "releases", "stores"]
