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
    'expected {"NAME": {"role": "read|feedback|admin", "key": "…"}, …}; "sha256" with the key\'s '
    'digest may replace "key"'
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
    """The keys of a service; only their digests are kept."""

    keys: tuple[Key, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.keys)

    def find(self, given: str) -> Key | None:
        """Return the entry of a key, or None, in constant time."""
        digest = hashlib.sha256(given.encode("utf-8", "surrogatepass")).digest()
        match = None
        for key in self.keys:  # always all of them, for constant time
            if hmac.compare_digest(key.digest, digest):
                match = key
        return match


def read_keys(file: Path | None, environment: str | None = None) -> Keys:
    """Return the keys of a file, else those of DOTBOGI_KEYS, else none.

    Args:
        file: a file of JSON, {"NAME": {"role": "read", "key": "…"}, …}.
        environment: the value of DOTBOGI_KEYS: the same JSON.

    Raises:
        UsageError: the JSON does not hold keys; the message never quotes it.
    """
    if file is not None:
        try:
            return _parse(file.read_text(encoding="utf-8"), str(file))
        except OSError as error:
            raise UsageError(f"--keys {file}: cannot be read ({error.strerror}).") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"--keys {file}: not UTF-8; {_EXPECTED}.") from error
    return _parse(environment, "DOTBOGI_KEYS") if environment else Keys()


def _parse(text: str, source: str) -> Keys:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, dict) or not entries:
        raise UsageError(f"{source}: no keys found; {_EXPECTED}.")
    keys = tuple(
        _key(name, entry, f"{source}: entry {number}")
        for number, (name, entry) in enumerate(entries.items(), 1)
    )
    if len({key.digest for key in keys}) < len(keys):
        raise UsageError(f"{source}: two entries have the same key; expected different keys.")
    return Keys(keys)


def _key(name: str, entry: Any, source: str) -> Key:
    if not re.fullmatch(r"[\w.-]{1,64}", name):
        raise UsageError(f"{source}: its name is not 1 to 64 letters, digits or '_.-'.")
    if not isinstance(entry, Mapping) or set(entry) not in ({"role", "key"}, {"role", "sha256"}):
        raise UsageError(f"{source}: {_EXPECTED}.")
    roles = {role.name.lower(): role for role in Role}
    if not isinstance(entry["role"], str) or entry["role"] not in roles:
        raise UsageError(f"{source}: unknown role; expected one of {', '.join(roles)}.")
    return Key(name, roles[entry["role"]], _digest(entry, source))


def _digest(entry: Mapping[str, Any], source: str) -> bytes:
    if "sha256" in entry:
        digest = entry["sha256"]
        if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-fA-F]{64}", digest):
            raise UsageError(f"{source}: its sha256 is not 64 hexadecimal digits.")
        return bytes.fromhex(digest)
    key = entry["key"]
    if not isinstance(key, str) or not re.fullmatch(rf"[!-~]{{{SHORTEST},512}}", key):
        raise UsageError(
            f"{source}: its key is not {SHORTEST} to 512 ASCII characters without spaces. "
            'Make one with: python -c "import secrets; print(secrets.token_urlsafe(32))"'
        )
    return hashlib.sha256(key.encode()).digest()
