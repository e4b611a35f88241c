"""Hard negatives by editing: the tense, topic, predicate or polarity of a Korean text changed."""

import hashlib
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, get_args

from indexes.text import is_valid_unicode
from training.edits.lexicon import Lexicon
from training.edits.morphemes import Change, Morph, analyse, reads_back, splice
from training.edits.polarity import change_polarity
from training.edits.predicates import Predicate, find_predicate, sentences
from training.edits.swaps import arguments, main_verb, put_word
from training.edits.tense import TENSES, change_tense

EditKind = Literal["tense", "topic", "predicate", "polarity"]
EDIT_KINDS: tuple[EditKind, ...] = get_args(EditKind)

_EACH = 2  # topics and predicates put in the place of one


@dataclass(frozen=True, slots=True)
class Edit:
    """A text that says something else than the one it was made of."""

    text: str
    kind: EditKind


@dataclass(frozen=True, slots=True)
class _Draft:
    source: int
    edit: Edit
    meant: list[Morph]


class Editor:
    """Makes edits of texts with the topics and predicates of one collection.

    Args:
        texts: answers and questions of the collection.
        seed: with each text, it decides which topics and predicates are put in.
    """

    def __init__(self, texts: Sequence[str], *, seed: int = 42) -> None:
        self._seed = seed
        self._lexicon = Lexicon(analyse([text for text in map(_readable, texts) if text]))

    def edits(self, text: str) -> list[Edit]:
        """Return distinct edits of a text, by kind; none for texts that are not Korean."""
        return self.edits_many([text])[0]

    def edits_many(self, texts: Sequence[str]) -> list[list[Edit]]:
        """Return the edits of each text.

        An edit is left out if Kiwi does not analyse it back into what was meant.
        """
        readable = [_readable(text) for text in texts]
        drafts = [
            draft
            for i, (text, morphs) in enumerate(zip(readable, analyse(readable), strict=True))
            for draft in self._drafts(i, text, morphs)
        ]
        found = analyse([draft.edit.text for draft in drafts])
        edits: list[list[Edit]] = [[] for _ in texts]
        for draft, morphs in zip(drafts, found, strict=True):
            if reads_back(draft.meant, morphs):
                edits[draft.source].append(draft.edit)
        return edits

    def _drafts(self, source: int, text: str, morphs: Sequence[Morph]) -> Iterator[_Draft]:
        seen = {text}
        for kind, change in self._changes(text, morphs):
            written = splice(text, morphs, change)
            if written and written[0] not in seen:
                seen.add(written[0])
                yield _Draft(source, Edit(written[0], kind), written[1])

    def _changes(self, text: str, morphs: Sequence[Morph]) -> Iterator[tuple[EditKind, Change]]:
        digest = hashlib.sha256(f"{self._seed}\n{text}".encode()).digest()
        random = Random(int.from_bytes(digest[:8], "big"))
        predicate = last_predicate(morphs)
        if predicate:
            for tense in TENSES:
                if change := change_tense(morphs, predicate, tense):
                    yield "tense", change
        if nouns := list(arguments(morphs)):
            noun = random.choice(nouns)
            for word in self._lexicon.topics(morphs, noun, random, _EACH):
                yield "topic", put_word(morphs, noun.start, noun.end, word)
        if predicate and (verb := main_verb(morphs, predicate)):
            for word in self._lexicon.predicates(morphs, predicate, verb, random, _EACH):
                yield "predicate", put_word(morphs, *verb, word)
        if predicate and (change := change_polarity(morphs, predicate)):
            yield "polarity", change


def last_predicate(morphs: Sequence[Morph]) -> Predicate | None:
    """Return the final predicate of the last sentence that has one."""
    for first, end in reversed(list(sentences(morphs))):
        if predicate := find_predicate(morphs, first, end):
            return predicate
    return None


def _readable(text: str) -> str:
    """Return the text as Kiwi can read it, "" for one that is no Unicode."""
    return unicodedata.normalize("NFC", text) if is_valid_unicode(text) else ""
