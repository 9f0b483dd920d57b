"""What an etcd is told: by Go's command line and ``ETCD_`` variables, or by a YAML file instead of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import yaml

from oarlock.host.etcd_flag_table import FLAGS
from oarlock.host.etcd_flags import Flag, Kind, canonical
from oarlock.wire.errors import ConfigurationError

_CONFIG_FILE: Final = Flag("config-file", Kind.TEXT, "")
_VERSION: Final = Flag("version", Kind.TRUTH, "false")
_KNOWN: Final = {**FLAGS, "config-file": _CONFIG_FILE, "version": _VERSION}
_NOT_READ: Final = frozenset({_CONFIG_FILE.variable, _VERSION.variable})
"""Variables that are no settings: where the file is, and what images of etcd say about themselves."""
_TLS_SECTIONS: Final = {"client-transport-security": "", "peer-transport-security": "peer-"}
_TLS_NAMES: Final = {"allowed-cn": "cert-allowed-cn", "allowed-hostname": "cert-allowed-hostname"}


class UsageError(ConfigurationError):
    """The command line cannot be understood: etcd shows how it is used, and ends with another code."""


class Given(NamedTuple):
    """What was given, as ``canonical`` writes it; and names that are not known, which etcd passes over."""

    values: Mapping[str, str]
    unknown: Sequence[str]


def parse(arguments: Sequence[str]) -> dict[str, str]:
    """The flags of a command line, read as Go's flag package does: ``-name x``, ``--name=x``, ``--truth``.

    Returns:
        Values by flag, the last one of a flag that comes twice; ``help`` where help is asked for.

    Raises:
        UsageError: an unknown flag, one without its value, or a value that is none.
        ConfigurationError: a word that belongs to no flag.
    """
    values: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if len(word) < 2 or word[0] != "-" or word == "--":
            rest = rest if word == "--" else [word, *rest]
            break
        name, equals, value = word[2 if word.startswith("--") else 1 :].partition("=")
        if not name or name.startswith("-"):
            raise UsageError(f"bad flag syntax: {word}")
        if name in ("h", "help"):
            return {"help": "true"}
        flag = _KNOWN.get(name)
        if flag is None:
            raise UsageError(f"flag provided but not defined: -{name}")
        if not equals:
            if flag.kind is not Kind.TRUTH and not rest:
                raise UsageError(f"flag needs an argument: -{name}")
            value = "true" if flag.kind is Kind.TRUTH else rest.pop(0)
        values[name] = _on_command_line(flag, value)
    if rest:
        raise ConfigurationError(f"'{rest[0]}' is not a valid flag")
    return values


def _on_command_line(flag: Flag, value: str) -> str:
    try:
        return canonical(flag, value)
    except ValueError as problem:
        what = "boolean value" if flag.kind is Kind.TRUTH else "value"
        where = f"-{flag.name}" if flag.kind is Kind.TRUTH else f"flag -{flag.name}"
        raise UsageError(f'invalid {what} "{value}" for {where}: {problem}') from problem


def gather(flags: Mapping[str, str], environment: Mapping[str, str]) -> Given:
    """Everything that was given, where there is a file from that alone.

    Args:
        flags: of the command line, as `parse` returns them.
        environment: usually ``os.environ``.

    Raises:
        ConfigurationError: a setting given twice, by its flag and its variable; a bad value; a bad file.
    """
    path = flags.get(_CONFIG_FILE.name) or environment.get(_CONFIG_FILE.variable)
    if path:
        return _from_file(path)
    values = dict(flags)
    for flag in FLAGS.values():
        text = environment.get(flag.variable)
        if not text:
            continue
        if flag.name in flags:
            raise ConfigurationError(
                f"conflicting environment variable {flag.variable} is shadowed by corresponding command-line flag: "
                "unset one of them"
            )
        values[flag.name] = _canonical(flag, text, flag.variable)
    read = {flag.variable for flag in FLAGS.values()} | _NOT_READ
    return Given(values, sorted(name for name in environment if name.startswith("ETCD_") and name not in read))


def _from_file(path: str) -> Given:
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.safe_load(file)
    except OSError as problem:
        raise ConfigurationError(f"cannot read config-file {path}: {problem.strerror}") from problem
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise ConfigurationError(f"config-file {path} is not YAML: {problem}") from problem
    if content is not None and not isinstance(content, dict):
        raise ConfigurationError(f"config-file {path} must hold keys and values")
    values, unknown = {}, []
    for key, value in _flattened(content or {}).items():
        flag = FLAGS.get(key)
        if flag is None:
            unknown.append(key)
        elif value is not None:
            values[key] = _canonical(flag, _as_text(flag, value, path), f"config-file {path}")
    return Given(values, sorted(unknown))


def _flattened(content: Mapping[Any, Any]) -> dict[str, Any]:
    """The file's keys as flags: those of the sections about TLS have other names there."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        if key in _TLS_SECTIONS and isinstance(value, dict):
            prefix = _TLS_SECTIONS[key]
            for name, inner in value.items():
                long_name = _TLS_NAMES.get(str(name), str(name))
                is_own = prefix == "" and long_name != name
                found[f"client-{long_name}" if is_own else f"{prefix}{long_name}"] = inner
        else:
            found[str(key)] = value
    return found


def _as_text(flag: Flag, value: Any, path: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value}ns" if flag.kind is Kind.DURATION else str(value)  # as Go's JSON has durations
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ",".join(value)
    if isinstance(value, str | float):
        return str(value)
    raise ConfigurationError(f"{flag.name} must be a plain value, not {value!r} (from config-file {path})")


def _canonical(flag: Flag, text: str, origin: str) -> str:
    try:
        return canonical(flag, text)
    except ValueError as problem:
        raise ConfigurationError(f'invalid value "{text}" for {flag.name} (from {origin}): {problem}') from problem
