"""`dotbogi feedback`."""

import contextlib
from dataclasses import asdict
from pathlib import Path

import click

from dotbogi.commands.options import json_option, workspace_option
from dotbogi.commands.output import print_json

_SHOWN = 10


@click.group()
def feedback() -> None:
    """Show, export, back up or erase users' feedback on answers."""


@feedback.command("list")
@workspace_option
@json_option
def list_(workspace: str, as_json: bool) -> None:
    """Count votes by client, and list the answers on which votes conflict.

    \b
    dotbogi feedback list
    """
    from dotbogi.training.judgements.feedback import describe_feedback

    stored = describe_feedback(Path(workspace))
    if as_json:
        print_json(asdict(stored))
        return
    click.echo(f"{stored.votes} votes of {len(stored.clients)} clients")
    for client in stored.clients[:_SHOWN]:
        click.echo(
            f"  {client.client}: {client.right} right, {client.wrong} wrong, "
            f"about {client.answers} answers"
        )
    if len(stored.clients) > _SHOWN:
        click.echo(f"  … {len(stored.clients) - _SHOWN} more; --json lists all")
    if stored.conflicts:
        click.echo(f"{len(stored.conflicts)} pairs with as many right as wrong votes, not used:")
    for poll in stored.conflicts[:_SHOWN]:
        click.echo(f"  {poll.right}:{poll.wrong}  {poll.query}  [{poll.answer_id}]")


@feedback.command("export")
@workspace_option
@click.option("--client", metavar="ID", help="Only this client's feedback.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write. [default: print]")
@json_option
def export(workspace: str, client: str | None, out: Path | None, as_json: bool) -> None:
    """Write the stored feedback as JSON Lines, oldest first.

    \b
    dotbogi feedback export --out feedback.jsonl
    dotbogi feedback export --client user-17
    """
    from dotbogi.search.feedback import FeedbackStore, save_feedback

    with contextlib.closing(FeedbackStore.open(Path(workspace))) as store:
        rows = store.export(client)
        if out:
            count = save_feedback(rows, out)
            if as_json:
                print_json({"out": str(out), "feedback": count})
            else:
                click.echo(f"{count} lines in {out}")
        elif as_json:
            print_json({"feedback": [asdict(row) for row in rows]})
        else:
            for row in rows:
                print_json(asdict(row))


@feedback.command("backup")
@click.argument("out", type=click.Path(path_type=Path))
@workspace_option
@json_option
def backup(out: Path, workspace: str, as_json: bool) -> None:
    """Write all feedback to OUT, a file that can take the place of feedback.sqlite.

    A service may store votes meanwhile. The copy is opened and checked before it replaces OUT.

    \b
    dotbogi feedback backup votes.sqlite
    """
    from dotbogi.search.feedback import FeedbackStore

    with contextlib.closing(FeedbackStore.open(Path(workspace))) as store:
        votes = store.back_up(out)
    if as_json:
        print_json({"out": str(out), "votes": votes})
    else:
        click.echo(f"{votes} votes in {out}, checked")


@feedback.command("erase")
@workspace_option
@click.option("--client", metavar="ID", required=True, help="Client to erase.")
@json_option
def erase(workspace: str, client: str, as_json: bool) -> None:
    """Delete all feedback of a client, including its bytes on disk.

    The next `train --with-feedback` drops known questions made only from that feedback. Older
    generations and runs keep them until their folders are deleted.

    \b
    dotbogi feedback erase --client user-17
    """
    from dotbogi.search.feedback import FeedbackStore

    with contextlib.closing(FeedbackStore.open(Path(workspace))) as store:
        erased = store.erase(client)
    if as_json:
        print_json({"client": client, "erased": erased})
    else:
        click.echo(f"{erased} votes erased")
