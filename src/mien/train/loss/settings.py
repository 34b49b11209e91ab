"""A recipe's [loss]."""

from dataclasses import dataclass
from typing import Annotated, Literal

from mien.train.settings import Interval, Probability, Settings, require

ClassWeights = tuple[Annotated[float, Interval("[0, 1000000]")], ...]
Count = Annotated[int, Interval("[1, 10000]")]


@dataclass(frozen=True)
class Loss(Settings, section="loss"):
    """The loss that training minimises, in nats."""

    kind: Literal["cross-entropy", "prototypical"] = "cross-entropy"  # prototypical: episodes (Snell et al., 2017)
    smoothing: Annotated[float, Interval("[0, 1)")] = 0.1  # this share of each target goes to other classes
    smoothing_over: Literal["all", "wrong"] = "all"  # all K classes get smoothing/K; or K - 1 get smoothing/(K - 1)
    class_weights: Literal["none", "inverse", "sqrt"] | ClassWeights = "none"  # by a class's count, or one a class
    ferplus_weight: Probability = 0.0  # share of the FER+ annotators' votes in the target; the label has the rest
    # Weight of the loss of a second output, on all ten kinds of FER+ votes.
    aux_ferplus_weight: Annotated[float, Interval("[0, 100]")] = 0.0
    aux_ferplus_min_votes: Count = 1  # 2: a vote that no second annotator of a face shares is left out
    aux_ferplus_rare: Annotated[float, Interval("[0, 1]")] = 0.0  # over 0: rare votes count more; 0.5: by square roots
    question: Literal["fer2013", "ferplus"] = "fer2013"  # which output the model answers by: the labels' or the votes'
    teachers: tuple[str, ...] = ()  # models by name or file, whose mean teaches the net; or one file of scores
    distill_weight: Probability = 0.5  # share of the teachers' loss; the targets' has the rest
    distill_temperature: Annotated[float, Interval("(0, 100]")] = 1.0  # over 1 softens what teachers and net say
    # Augmented versions of each face that teachers are asked about, once; epochs take turns. 0: the faces as they are.
    teacher_views: Annotated[int, Interval("[0, 1000]")] = 0
    label_posterior: bool = False  # teach each label's chance, given the FER+ votes and what teachers say
    support: Count = 5  # prototypical: faces of each class that make its prototype
    queries: Count = 10  # prototypical: faces of each class that are classified; a batch is all of these

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.class_weights, tuple):
            require(any(self.class_weights), "one of loss.class_weights must be over 0", self.class_weights)
        views = self.teacher_views
        require(not (views and self.label_posterior), "loss.label_posterior needs loss.teacher_views = 0", views)
        votes = self.question == "fer2013" or self.aux_ferplus_weight > 0
        require(votes, "loss.question = ferplus needs loss.aux_ferplus_weight over 0", self.aux_ferplus_weight)
