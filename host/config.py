"""Settings from where users write them: flags, then environment, then a TOML file, then defaults."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from oarlock.host.setting import Setting
from oarlock.host.settings import SETTINGS, Settings
from oarlock.wire.errors import ConfigurationError

CONFIG_FILE_FLAG: Final = "config-file"
CONFIG_FILE_VARIABLE: Final = "OARLOCK_CONFIG_FILE"
_LEAST_ELECTION_HEARTBEATS: Final = 5
"""etcd's rule: an election time-out of fewer heartbeats than this would mistake a late heartbeat for a dead leader."""


_EVERY_ADDRESS: Final = ("0.0.0.0", "::")


class _Given(NamedTuple):
    """A value as the user wrote it, and where."""

    text: str
    origin: str


def load(flags: Mapping[str, str | None], environment: Mapping[str, str], config_file: str | None = None) -> Settings:
    """Puts the settings together and checks them.

    Args:
        flags: flag name without dashes in front (``data-dir``) to the text given, None where not given.
        environment: usually ``os.environ``; ``OARLOCK_DATA_DIR`` and so on. An empty variable counts as not set.
        config_file: path of the TOML file; by default what ``OARLOCK_CONFIG_FILE`` names, if anything.

    Returns:
        The settings, every rule kept.

    Raises:
        ConfigurationError: names the setting, the value, the rule, and where the value came from.
    """
    path = config_file if config_file is not None else environment.get(CONFIG_FILE_VARIABLE)
    file_values = _read_file(path) if path else {}
    given = {setting.flag: _find(setting, flags, environment, file_values, path) for setting in SETTINGS}
    if given["data-dir"].origin == "default":
        name = given["name"].text
        given["data-dir"] = _Given(given["data-dir"].text.replace("${name}", name), "default")
    values = {setting.field: _parse(setting, given[setting.flag]) for setting in SETTINGS}
    settings = Settings(**values)
    if settings.trusted_ca_file:  # etcd likewise: who names authorities wants their certificates
        settings = replace(settings, client_cert_auth=True)
    _check_election_timeout(settings, given["election-timeout"])
    _check_doors(settings, given)
    _check_reachable(settings, given)
    _check_tls(settings, given)
    if settings.auto_compaction_mode == "revision" and settings.auto_compaction_retention.endswith("s"):
        rule = "a whole number where auto-compaction-mode is revision"
        raise _refusal("auto-compaction-retention", rule, given["auto-compaction-retention"])
    if settings.join and settings.initial_cluster:
        raise _refusal(
            "join", "left out where initial-cluster is given: either of them says who the others are", given["join"]
        )
    return settings


def _find(
    setting: Setting,
    flags: Mapping[str, str | None],
    environment: Mapping[str, str],
    file_values: Mapping[str, str],
    path: str | None,
) -> _Given:
    flag = flags.get(setting.flag)
    if flag is not None:
        return _Given(flag, f"flag --{setting.flag}")
    if environment.get(setting.variable):
        return _Given(environment[setting.variable], f"environment {setting.variable}")
    if setting.flag in file_values:
        return _Given(file_values[setting.flag], f"file {path}")
    return _Given(setting.default, "default")


def _parse(setting: Setting, given: _Given) -> Any:
    try:
        return setting.parse(given.text.strip())
    except ValueError as error:
        raise _refusal(setting.flag, str(error), given) from error


def _refusal(flag: str, rule: str, given: _Given) -> ConfigurationError:
    return ConfigurationError(f"{flag} must be {rule}, not {given.text!r} (from {given.origin})")


def _check_election_timeout(settings: Settings, given: _Given) -> None:
    least_ms = _LEAST_ELECTION_HEARTBEATS * settings.heartbeat_interval_ms
    if settings.election_timeout_ms < least_ms:
        rule = f"at least {least_ms} ({_LEAST_ELECTION_HEARTBEATS} times heartbeat-interval)"
        raise _refusal("election-timeout", rule, given)


def _check_doors(settings: Settings, given: Mapping[str, _Given]) -> None:
    """A native client asks at one port and watches at another; and a server that nobody can ask is a mistake."""
    if bool(settings.listen_native_urls) != bool(settings.listen_watch_urls):
        one, other = "listen-watch-urls", "listen-native-urls"
        if settings.listen_watch_urls:
            one, other = other, one
        raise _refusal(one, f"given, or {other} empty as well", given[one])
    if not settings.listen_native_urls and not settings.listen_client_urls:
        raise _refusal("listen-client-urls", "given where listen-native-urls is empty", given["listen-client-urls"])


def _check_reachable(settings: Settings, given: Mapping[str, _Given]) -> None:
    """Members of a cluster tell each other, and clients, where they are: "every address" is no such place."""
    if not settings.join and len({member.partition("=")[0] for member in settings.initial_cluster}) < 2:
        return  # nobody asks a member that is alone
    for flag, listen, advertised in (
        ("initial-advertise-peer-urls", settings.listen_peer_urls, settings.initial_advertise_peer_urls),
        ("advertise-native-urls", settings.listen_native_urls, settings.advertise_native_urls),
        ("advertise-client-urls", settings.listen_client_urls, settings.advertise_client_urls),
    ):
        if any(urlsplit(url).hostname in _EVERY_ADDRESS for url in advertised or listen):
            raise _refusal(flag, "addresses that others reach, where the server listens on every one", given[flag])


def _check_tls(settings: Settings, given: Mapping[str, _Given]) -> None:
    """Nobody may believe to be protected who is not: what belongs together must be there together, and be readable."""
    for flag, path in (
        ("cert-file", settings.cert_file),
        ("key-file", settings.key_file),
        ("trusted-ca-file", settings.trusted_ca_file),
    ):
        if path and not os.access(path, os.R_OK):
            raise _refusal(flag, "a file that can be read", given[flag])
    if bool(settings.cert_file) != bool(settings.key_file):
        missing = "key-file" if settings.cert_file else "cert-file"
        raise _refusal(missing, "given where its counterpart is: a certificate needs its key", given[missing])
    if not settings.cert_file and any(url.startswith("https:") for url in settings.listen_client_urls):
        raise _refusal("cert-file", "given, with key-file, where a client URL is https://", given["cert-file"])
    if settings.client_cert_auth and not settings.trusted_ca_file:
        raise _refusal("trusted-ca-file", "given where client-cert-auth is true", given["trusted-ca-file"])


def _read_file(path: str) -> dict[str, str]:
    """The file's settings as text, so that one parser judges all sources alike."""
    try:
        with open(path, "rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise ConfigurationError(f"cannot read {CONFIG_FILE_FLAG} {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{CONFIG_FILE_FLAG} {path} is not TOML: {error}") from error
    known = [setting.flag for setting in SETTINGS]
    for key in values:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ConfigurationError(f"unknown setting {key!r} (from file {path}){hint}")
    return {key: _as_text(key, value, path) for key, value in values.items()}


def _as_text(key: str, value: object, path: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value).lower()  # a truth value as TOML and the flags write it
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ",".join(value)
    raise ConfigurationError(
        f"{key} must be a string, a whole number, true, false or a list of strings, not {value!r} (from file {path})"
    )
