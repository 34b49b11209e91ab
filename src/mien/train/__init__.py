"""Training, the one part of mien that needs torch (the extra `train`)."""

from mien.train.export import export
from mien.train.recipe import Recipe, load_recipe
from mien.train.run import Epoch
from mien.train.trainer import Run, train

__all__ = ["Epoch", "Recipe", "Run", "export", "load_recipe", "train"]
