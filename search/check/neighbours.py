"""The vectors of a table, by which its texts are compared."""

from dataclasses import dataclass

from dotbogi.indexes.dense import Vectors
from dotbogi.search.check.reading import Pairs
from dotbogi.search.encoders import Encoder, unit_rows

FEWEST_ANSWERS = 10  # with fewer, the mean is a bad centre


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Centred vectors of a table's answers and questions, each encoded once."""

    pairs: Pairs
    answers: Vectors  # answers × dim
    questions: Vectors  # questions × dim

    @classmethod
    def of(cls, pairs: Pairs, encoder: Encoder) -> "Neighbours":
        """Encode the pairs.

        Vectors are centred but not adapted. An adapter has learned from such pairs, the wrong ones
        too, and would hide them.
        """
        answers = encoder.encode_answers([answer.text for answer in pairs.answers])
        questions = encoder.encode_queries([question.text for question in pairs.questions])
        return cls(pairs, _centred(answers), _centred(questions))


def _centred(vectors: Vectors) -> Vectors:
    return unit_rows(vectors - vectors.mean(axis=0)) if len(vectors) else vectors
