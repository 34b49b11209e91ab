"""The files of recipes. Finding one does not need torch, so that a wrong name is answered at once."""

from difflib import get_close_matches
from pathlib import Path

from mien.errors import RecipeError
from mien.io.atomic_write import exists


def shipped_recipes() -> dict[str, Path]:
    """Return the recipes that ship with mien by name, such as plain or report/final."""
    package = Path(__file__).parents[1]
    folders = (package / "recipes", package.parents[1] / "recipes")  # in a wheel, and in a checkout
    folder = next((each for each in folders if each.is_dir()), folders[0])  # sources alone come without any
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.toml"))}


def find_recipe(recipe: Path | str) -> Path:
    """Find the file of a recipe: one that ships, by its name, or any other by its path.

    Raises RecipeError where there is no such file.
    """
    path = shipped_recipes().get(str(recipe), Path(recipe))
    if exists(path):
        return path
    if path.suffix:
        raise RecipeError(f"cannot read the recipe {recipe}: No such file or directory")
    names = ", ".join(name for name in shipped_recipes() if "/" not in name)
    near = get_close_matches(str(recipe), shipped_recipes(), n=1)
    guess = f"; did you mean {near[0]}?" if near else ""
    raise RecipeError(
        f"a recipe must be a TOML file or one that ships ({names}, report/..., teachers/...), got {recipe}{guess}"
    )
