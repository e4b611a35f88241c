"""`dotbogi dictionary`: the workspace's own synonyms and words."""

from dataclasses import asdict

import click

from dotbogi.commands.options import json_option, workspace_option
from dotbogi.commands.output import print_json


@click.group()
def dictionary() -> None:
    """Try changes of synonyms.csv and dictionary.csv, and get ideas for them.

    \b
    dotbogi dictionary check
    dotbogi dictionary suggest
    """


@dictionary.command()
@click.option(
    "-n", "shown", default=20, show_default=True, type=click.IntRange(min=0),
    help="How many changes to show.",
)  # fmt: skip
@workspace_option
@json_option
def check(shown: int, workspace: str, as_json: bool) -> None:
    """Show which known questions would get another first answer, before anything is published.

    The workspace's synonyms.csv has a group a line (비밀번호,비번,password), its dictionary.csv a
    word a line that the text analysis should know. The next `dotbogi index` publishes both. Each
    known question is searched in an index without it.

    \b
    dotbogi dictionary check
    """
    from dotbogi.indexes import Workspace, open_collection
    from dotbogi.search.dictionary import foretell

    store = Workspace(workspace)
    foretold = foretell(store)
    if as_json:
        print_json(asdict(foretold))
        return
    settings, changes = foretold.settings, foretold.changes
    click.echo(
        f"synonyms: {settings['synonyms_now']} groups now, {settings['synonyms_then']} then; "
        f"words: {settings['words_now']} now, {settings['words_then']} then"
    )
    counts = {v: sum(c.verdict == v for c in changes) for v in ("better", "worse", "other")}
    click.echo(
        f"{len(changes)} of {foretold.asked} known questions get another first answer: "
        f"{counts['better']} better, {counts['worse']} worse, {counts['other']} neither"
    )
    texts = {a.id: a.text for a in open_collection(store.current().folder).answers}
    for change in changes[:shown]:
        click.echo(f"{change.verdict}: {change.question}")
        click.echo(f"  - {texts.get(change.before, 'no answer')}")
        click.echo(f"  + {texts.get(change.after, 'no answer')}")
    if foretold.is_new:
        click.echo(f"to publish it: dotbogi index --workspace {workspace}")


@dictionary.command()
@click.option(
    "-n", "shown", default=20, show_default=True, type=click.IntRange(min=0),
    help="How many of each kind to show.",
)  # fmt: skip
@workspace_option
@json_option
def suggest(shown: int, workspace: str, as_json: bool) -> None:
    """Suggest synonyms and words, mined from the known questions and from users' votes.

    Two words are suggested if the nouns of two questions of one answer differ by them alone, and
    the model finds them alike. Read them one by one: not all mean the same.

    \b
    dotbogi dictionary suggest
    """
    from dotbogi.indexes import Workspace
    from dotbogi.search.dictionary import suggest as suggestions

    found = suggestions(Workspace(workspace))
    if as_json:
        print_json(asdict(found))
        return
    click.echo(f"for synonyms.csv ({len(found.synonyms)} pairs, with the cosine of the words):")
    for one, other, cosine in found.synonyms[:shown]:
        click.echo(f"  {one},{other}  # {cosine}")
    click.echo(f"for dictionary.csv ({len(found.words)} words, with the number of questions):")
    for word, count in found.words[:shown]:
        click.echo(f"  {word}  # {count}")
