"""The faces of a run: which are trained on, which it is judged by, and a batch that fits them."""

from dataclasses import dataclass, replace

from mien.errors import RunError
from mien.train.recipe import Recipe
from mien.train.run.hold_out import faces_with_answers, hold_out
from mien.types import FaceSet

_STEPS = 4  # an epoch of fewer steps teaches little


@dataclass(frozen=True)
class RunFaces:
    """The labelled faces of the splits train and valid.

    judged: the valid faces whose answer to the recipe's question is known, with the answers as their labels.
    hash:   of the whole set that they come from.
    """

    train: FaceSet
    valid: FaceSet
    judged: FaceSet
    hash: str

    @staticmethod
    def select(faces: FaceSet, recipe: Recipe) -> "RunFaces":
        """Select the faces of a run; where the recipe holds train faces back, these are the valid ones.

        Raises RunError where there are too few.
        """
        share = recipe.optim.hold_out
        labelled = hold_out(faces, share, seed=recipe.seed) if share else faces[faces.labels >= 0]
        train, valid = (labelled[labelled.splits == split] for split in ("train", "valid"))
        if len(train) < 2 or not len(valid):
            counts = f"{len(train)} labelled train faces and {len(valid)} labelled valid ones"
            hint = "set some aside: mien data import ... --split-valid 0.15" if len(train) > 2 else "import more faces"
            raise RunError(f"a run needs 2 train faces or more and 1 valid face or more, got {counts}; {hint}")
        judged = faces_with_answers(valid, recipe.loss.question)
        if not len(judged):
            raise RunError("people's answers need valid faces with FER+ votes: mien data import ... --votes FILE")
        return RunFaces(train, valid, judged, faces.hash)

    def fit_batch(self, recipe: Recipe) -> tuple[Recipe, str]:
        """Make the batch of a recipe smaller where there are fewer train faces than it takes.

        Returns
        -------
        recipe
            The recipe, its `optim.batch` a quarter of the train faces where these are fewer than a batch.
        remark
            What was changed, in a sentence; empty where nothing was.
        """
        count = len(self.train)
        if recipe.loss.kind == "prototypical" or count >= recipe.optim.batch:
            return recipe, ""
        batch = max(2, count // _STEPS)
        remark = f"optim.batch is {batch} instead of {recipe.optim.batch}, as there are only {count} train faces"
        return replace(recipe, optim=replace(recipe.optim, batch=batch)), remark
