"""The words of a model's page that no card holds: what it is for, its limits, the law and the licence.

An empty line divides paragraphs.
"""

PURPOSES = {
    "ferplus": "It says which expression most people would name.",
    "fer2013": "It says which label FER2013 would give: one glance of one annotator.",
    "": "It names the expression that a face shows.",
}

USE = """
For research, for teaching, and for programs that tell the people in front of them what they do: sorting one's own
photos, games, studies whose participants agreed. It takes faces that `mien` has found and cropped, upright and mostly
from the front.

Not for decisions about people, and not for what a person feels: people smile out of politeness and frown when they
think. Not for faces of animals, drawings or masks.
"""

LIMITS = """
A head that is turned by more than about 30 degrees, a hand on the face, talking and chewing are often read wrongly.
Rare expressions, disgust and fear above all, are found less often than common ones.

Nobody has measured here how it differs between ages, skin colours and sexes. `mien evaluate --slices` measures it on
faces for which you know that.

A confidence is one of faces that are like those it was measured on. Pictures from elsewhere are not.
"""

FER2013_LIMIT = """
FER2013's pictures were found by a search engine for words of emotions, in 2013, and nobody knows whom they show. Half
of the faces that people find neutral are labelled sad, afraid or angry there.
"""

LAW = """
In the European Union, Article 5(1)(f) of the AI Act (Regulation 2024/1689) forbids systems that infer the emotions of
people at work and in education, except for medical and safety reasons. Elsewhere, a system that recognises emotions
from biometric data counts as high-risk (Annex III, 1c), and the people exposed to it must be told (Article 50(3)).
Whether naming a visible expression is such a system depends on what is made of it (Recital 18). Other countries have
other laws. This is no legal advice.
"""

FER2013_LICENCE = """
The file is under Apache-2.0 as far as that is ours to give. One question stays open: the training pictures are of a
research data set that was collected from the web without asking their owners or the people in them. Whether a model
made from such data may be used commercially where you are is a question that this card cannot answer. Train on data
of your own if you need certainty.
"""

NO_LICENCE = "The licence is what whoever made the file says: see the note under Data, if there is one."


def paragraphs(*texts: str) -> tuple[str, ...]:
    """Return the paragraphs of texts, each in one line."""
    return tuple(" ".join(part.split()) for text in texts for part in text.strip().split("\n\n"))
