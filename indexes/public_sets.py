"""The catalogue of public sets: their names, addresses, publishers, licences and digests."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

HUB_PREFIX = "hf:"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFile:
    """One file of a set, at a URL that names a commit."""

    part: str  # "train" in korsts/train
    url: str
    sha256: str | None = None  # None: unknown; that of the first fetch is trusted
    size: int | None = None  # bytes

    @property
    def file_name(self) -> str:
        """Its name in the cache and on a mirror."""
        return self.url.rsplit("/", 1)[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicSet:
    """A public set; the first file is its main one."""

    name: str
    title: str
    licence: str
    source: str  # the publisher's page
    rows: int  # in all files
    files: tuple[SetFile, ...]
    scored: bool = False  # pairs of sentences with a score, not questions with answers


_CHATBOT = (
    "https://raw.githubusercontent.com/songys/Chatbot_data/4cf20d13fc46f5037fd1c531cd566e2dd9f72974"
)
_WELFARE = (
    "https://huggingface.co/datasets/Ash-Hun/Welfare-QA/resolve/"
    "7d48965bc1421f07f3a663f0894820d7765b6ead"
)
_KORSTS = (
    "https://raw.githubusercontent.com/kakaobrain/KorNLUDatasets/"
    "0df0fe7d496eb61b092e022e238c2230b29f1cbc/KorSTS"
)

CATALOGUE: Mapping[str, PublicSet] = {
    public_set.name: public_set
    for public_set in (
        PublicSet(
            name="chatbot-data",
            title="Korean small talk, short questions and comforting answers",
            licence="MIT",
            source="https://github.com/songys/Chatbot_data",
            rows=11_823,
            files=(
                SetFile(
                    part="pairs",
                    url=f"{_CHATBOT}/ChatbotData.csv",
                    sha256="287eb129695b577321c80ad397bb3c2279164d4ca577874d129fd3db5b30afe2",
                    size=889_842,
                ),
            ),
        ),
        PublicSet(
            name="welfare-qa",
            title="Korean welfare schemes, factual questions and long answers",
            licence="MIT",
            source="https://huggingface.co/datasets/Ash-Hun/Welfare-QA",
            rows=9_547,
            files=(SetFile(part="pairs", url=f"{_WELFARE}/QA_total.csv"),),
        ),
        PublicSet(
            name="korsts",
            title="Korean sentence pairs with a similarity score, 0 to 5",
            licence="CC BY-SA 4.0",
            source="https://github.com/kakaobrain/KorNLUDatasets",
            rows=8_628,
            scored=True,
            files=(
                SetFile(
                    part="train",
                    url=f"{_KORSTS}/sts-train.tsv",
                    sha256="b5aaa7f957d6ff46f4b6834a8b0f024a9234a6eefe9289aed66746b4533da3b8",
                    size=1_046_952,
                ),
                SetFile(
                    part="dev",
                    url=f"{_KORSTS}/sts-dev.tsv",
                    sha256="d835b65b424401fbcce6be28a78159df8d61f5b19977ea7a0b83b8cb6105f393",
                    size=307_276,
                ),
                SetFile(
                    part="test",
                    url=f"{_KORSTS}/sts-test.tsv",
                    sha256="13f83a3440d9db52d134eb40303ce021b03264aa338fbf2871c8786ce04d2105",
                    size=249_596,
                ),
            ),
        ),
    )
}


def find_set(name: str) -> tuple[PublicSet, tuple[SetFile, ...]] | None:
    """Return the set NAME with all its files, or NAME/PART with one; None if there is none.

    Case, hyphens and underscores do not matter.

    >>> public_set, files = find_set("KorSTS/test")
    >>> public_set.name, [file.part for file in files]
    ('korsts', ['test'])
    """
    wanted, _, part = name.partition("/")
    matches = (entry for entry in CATALOGUE.values() if _key(entry.name) == _key(wanted))
    public_set = next(matches, None)
    if public_set is None:
        return None
    files = tuple(file for file in public_set.files if not part or file.part == part)
    return (public_set, files) if files else None


def is_set_name(text: str) -> bool:
    """Return whether a text is the name of a set in the catalogue or on the hub."""
    return text.startswith(HUB_PREFIX) or find_set(text) is not None


def _key(name: str) -> str:
    return re.sub("[-_]", "", name.casefold())
