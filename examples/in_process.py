"""Search inside a Python program: a filter, a confidence threshold, many questions at once.

dotbogi index && dotbogi train    # once; the bundled sample
python examples/in_process.py workspace
"""

import sys

from dotbogi.search import DotbogiError, Searcher


def main(workspace: str) -> None:
    """Search the published generation of a workspace in four ways."""
    with Searcher.open(workspace, watch=True) as searcher:  # checked, read-only, thread-safe
        print(f"generation {searcher.generation}")

        print("\nthe best answers")
        for hit in searcher.search("배가 고파요", k=3):
            known = f' (known question "{hit.question}")' if hit.question else ""
            print(f"  {hit.score:.3f}  {hit.text}{known}")

        print("\nonly answers on delivery or refunds")
        for hit in searcher.search("며칠이나 걸려요", k=3, where={"category": ["배송", "환불"]}):
            print(f"  {hit.metadata['category']}  {hit.text}")

        print("\nan answer only if it is likely to be right")
        questions = ["배송비 얼마예요", "호주 수도가 어디야"]
        reply = searcher.reply(questions, k=1, min_confidence="auto")  # of one generation
        for question, hits in zip(questions, reply.results, strict=True):
            print(f"  {question} → {hits[0].text if hits else 'no good answer'}")

        rows = searcher.encode(["배송비 얼마예요", "택배비가 얼마죠"])
        print(f"\ncosine of two questions: {float(rows[0] @ rows[1]):.2f}")


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "workspace")
    except DotbogiError as error:
        sys.exit(str(error))
