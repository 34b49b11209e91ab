"""Several recipes, seeds or folds compared."""
