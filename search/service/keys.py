"""API keys: who may call what."""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from dotbogi.indexes.errors import UsageError

SHORTEST = 16  # characters of a key
_EXPECTED = (
    'expected {"NAME": {"role": "read|feedback|admin", "key": "…"}, …}, with "sha256" and the '
    'key\'s digest in place of "key" if the key is not to be written down'
)


class Role(IntEnum):
    """What a key allows; each role includes those below it."""

    READ = 1
    FEEDBACK = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Key:
    """One caller: a name for the log, a role, and the SHA-256 of its key."""

    name: str
    role: Role
    digest: bytes


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of a service; the keys themselves are never kept."""

    keys: tuple[Key, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.keys)

    def find(self, given: str) -> Key | None:
        """Return whose key this is, in a time that does not depend on what was given."""
        digest = hashlib.sha256(given.encode("utf-8", "surrogatepass")).digest()
        found = None
        for key in self.keys:  # all of them, whichever matches
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found


def read_keys(file: Path | None, environment: str | None = None) -> Keys:
    """Return the keys of a file, or else those of DOTBOGI_KEYS, or else none.

    Args:
        file: JSON, {"NAME": {"role": "read", "key": "…"}, …}.
        environment: the same JSON, from the environment.

    Raises:
        UsageError: what is there are not keys. The message never quotes it.
    """
    if file is not None:
        try:
            return _parse(file.read_text(encoding="utf-8"), str(file))
        except OSError as error:
            raise UsageError(f"--keys {file}: cannot be read ({error.strerror}).") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"--keys {file}: not UTF-8; {_EXPECTED}.") from error
    return _parse(environment, "DOTBOGI_KEYS") if environment else Keys()


def _parse(text: str, place: str) -> Keys:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, dict) or not entries:
        raise UsageError(f"{place}: no keys in it; {_EXPECTED}.")
    keys = tuple(
        _key(name, entry, f"{place}: entry {number}")
        for number, (name, entry) in enumerate(entries.items(), 1)
    )
    if len({key.digest for key in keys}) < len(keys):
        raise UsageError(f"{place}: two entries have the same key; expected one for each.")
    return Keys(keys)


def _key(name: str, entry: Any, place: str) -> Key:
    if not re.fullmatch(r"[\w.-]{1,64}", name):
        raise UsageError(f"{place}: its name is not made of 1 to 64 letters, digits, '_.-'.")
    if not isinstance(entry, Mapping) or set(entry) not in ({"role", "key"}, {"role", "sha256"}):
        raise UsageError(f"{place}: {_EXPECTED}.")
    roles = {role.name.lower(): role for role in Role}
    if not isinstance(entry["role"], str) or entry["role"] not in roles:
        raise UsageError(f"{place}: an unknown role; expected one of {', '.join(roles)}.")
    return Key(name, roles[entry["role"]], _digest(entry, place))


def _digest(entry: Mapping[str, Any], place: str) -> bytes:
    if "sha256" in entry:
        digest = entry["sha256"]
        if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-fA-F]{64}", digest):
            raise UsageError(f"{place}: its sha256 is not 64 hexadecimal digits.")
        return bytes.fromhex(digest)
    key = entry["key"]
    if not isinstance(key, str) or not re.fullmatch(rf"[!-~]{{{SHORTEST},512}}", key):
        raise UsageError(
            f"{place}: its key is not {SHORTEST} to 512 ASCII characters without spaces. Make one "
            'with: python -c "import secrets; print(secrets.token_urlsafe(32))"'
        )
    return hashlib.sha256(key.encode()).digest()
