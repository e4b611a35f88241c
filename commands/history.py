"""`dotbogi history`."""

import contextlib

import click

from dotbogi.commands.options import json_option, workspace_option
from dotbogi.commands.output import described_model, print_json, without_files


@click.group()
def history() -> None:
    """List the generations of a workspace, verify or remove them, or publish an older one again."""


@history.command("list")
@workspace_option
@json_option
def list_(workspace: str, as_json: bool) -> None:
    """List all generations, oldest first; * marks the published one.

    \b
    dotbogi history list
    """
    from dotbogi.indexes import DamagedError, Workspace

    try:
        current = Workspace(workspace).current_name()
    except DamagedError as error:
        current = None
        click.echo(f"note: {error}", err=True)
    manifests = Workspace(workspace).manifests()
    if as_json:
        listed = [without_files(m) if m else {"generation": name} for name, m in manifests.items()]
        print_json({"current": current, "generations": listed})
        return
    if not manifests:
        click.echo(f"{workspace}: no generations yet")
    for name, manifest in manifests.items():
        said = "damaged"
        if manifest:
            with contextlib.suppress(DamagedError):  # an entry may be missing
                size = manifest["counts"]
                said = (
                    f"{manifest['created']}  {size['answers']} answers, "
                    f"{size['questions']} questions  {described_model(manifest)}"
                )
        click.echo(f"{'*' if name == current else ' '} {name}  {said}")


@history.command("verify")
@click.argument("name", required=False)
@workspace_option
@json_option
def verify(name: str | None, workspace: str, as_json: bool) -> None:
    """Check every file of the workspace, or of generation NAME alone.

    Generations and training runs are compared with their digests, votes and the cache with their
    checksums. A damaged cache loses nothing: it is made anew.

    \b
    dotbogi history verify
    """
    from dotbogi.indexes import DamagedError, DotbogiError, Workspace
    from dotbogi.training.verification import verify_generation, verify_workspace

    store = Workspace(workspace)
    parts = [verify_generation(store, name)] if name else verify_workspace(store)
    verified, damaged = [], {}
    for part in parts:
        if part.damaged:
            damaged[part.name] = part.said
        else:
            verified.append(part.name)
        if not as_json:
            click.echo(f"{part.name}: {part.said}")
    if not verified and not damaged:
        raise DotbogiError(f"{workspace}: no generations yet. Run: dotbogi index TABLE")
    if as_json:
        print_json({"verified": verified, "damaged": damaged})
    if damaged:
        raise DamagedError(
            f"{workspace}: damaged, {len(damaged)} of {len(verified) + len(damaged)} parts: "
            f"{', '.join(damaged)}."
        )


@history.command("prune")
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    required=True,
    help="How many of the newest generations stay.",
)
@workspace_option
@json_option
def prune(keep: int, workspace: str, as_json: bool) -> None:
    """Remove all but the newest generations, to free space.

    The published one stays too, and so does any that is open in a process.

    \b
    dotbogi history prune --keep 3
    """
    from dotbogi.indexes import Workspace

    store = Workspace(workspace)
    store.current()  # a workspace whose published generation is damaged may need an old one
    with store.writing():
        removed, still_open = store.prune(keep)
    if as_json:
        print_json({"removed": removed, "open": still_open, "kept": store.names()})
        return
    click.echo(f"removed: {', '.join(removed) or 'none'}; kept: {', '.join(store.names())}")
    for name in still_open:
        click.echo(f"note: {name} stays, because it is open in a process", err=True)


@history.command("rollback")
@click.argument("name", required=False)
@workspace_option
@json_option
def rollback(name: str | None, workspace: str, as_json: bool) -> None:
    """Publish generation NAME again; without a NAME, the one before the current one.

    \b
    dotbogi history rollback
    dotbogi history rollback 000001
    """
    from dotbogi.indexes import Workspace

    store = Workspace(workspace)
    with store.writing():
        generation = store.roll_back(name)
    if as_json:
        print_json({"current": generation.name})
    else:
        click.echo(f"published generation {generation.name}")
