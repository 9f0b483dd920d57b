"""``oarlock-etcd``: the server under etcd's command line, for tools that start ``etcd`` by name.

It takes etcd's flags, variables and configuration file, gives them to our settings, and runs the supervisor; its log
has etcd's keys, and etcd's line when it is ready. The native door stays shut unless ``OARLOCK_LISTEN_NATIVE_URLS``
opens it: several servers on one host that differ in etcd's flags alone must not meet on ports etcd does not have.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from oarlock.host import config
from oarlock.host.etcd_command_line import Given, UsageError, gather, parse
from oarlock.host.etcd_flag_table import FLAGS, GROUPS
from oarlock.host.settings import SETTINGS, Settings
from oarlock.wire import logs
from oarlock.wire.errors import ConfigurationError
from oarlock.wire.version import ETCD_VERSION, VERSION

log = logs.get_logger(__name__)

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
_UNLIMITED_BYTES: Final = 1 << 62
_LOG_LEVELS: Final = {"warn": "warning", "dpanic": "error", "panic": "error", "fatal": "error"}
_LOG_FORMATS: Final = {"json": "etcd", "console": "console"}
_DEFAULTS: Final = {
    "listen-client-urls": "http://127.0.0.1:2379",
    "listen-metrics-urls": "",
    "log-format": "json",
}
"""Etcd's, where ours differ; what advertises an address says by default where the server listens."""
_USAGE: Final = """Usage:

  etcd [flags]          run a server
  etcd --config-file F  run a server as the YAML file F says, and nothing else
  etcd --version        show versions
  etcd --help           show all flags
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a server as etcd's command line says; returns the exit code.

    Codes are etcd's: 0 after an orderly stop, 2 for a command line that cannot be understood, 1 for anything else that
    keeps it from starting; and 78 where it ended because no restart can help.
    """
    try:
        flags = parse(sys.argv[1:] if arguments is None else arguments)
        if "help" in flags:
            print(_USAGE, _help(), sep="\n", end="")
            return 0
        if flags.get("version") == "true":
            print(_version(), end="")
            return 0
        given = gather(flags, os.environ)
        settings = settings_of(given, os.environ)
        _direct_log(given.values.get("log-outputs", "default"))
        return _run(given, settings)
    except UsageError as problem:
        print(problem.message, _USAGE, sep="\n", file=sys.stderr, end="")
        return EXIT_USAGE
    except ConfigurationError as problem:
        logs.configure("supervisor", format="etcd")
        log.error("failed to verify flags", error=problem.message)
        return EXIT_FAILED


def _run(given: Given, settings: Settings) -> int:
    from oarlock.host.supervisor import run  # when the settings are good: it takes a while

    logs.configure("supervisor", level=settings.log_level, format=settings.log_format)
    if idle := sorted(name for name, value in given.values.items() if _is_idle(name, value)):
        log.warning("flags without a meaning here are ignored", flags=idle)
    if given.unknown:
        log.warning("unrecognized environment variables or keys of the configuration file", names=list(given.unknown))
    return run(settings)


def _is_idle(name: str, value: str) -> bool:
    """Whether somebody asked for something, and does not get it."""
    flag = FLAGS.get(name)
    return flag is not None and not flag.setting and not flag.refusal and value != flag.default


def settings_of(given: Given, environment: Mapping[str, str]) -> Settings:
    """The settings of the server that etcd would be with what was given.

    Args:
        given: as `gather` found it.
        environment: ``OARLOCK_`` variables count for settings that etcd does not have, such as the workers.

    Raises:
        ConfigurationError: a value that breaks a rule, or that cannot be honoured.
    """
    values = given.values
    _refuse(values)
    if values.get("listen-client-urls") and "advertise-client-urls" not in values:
        raise ConfigurationError("--advertise-client-urls is required when --listen-client-urls is set explicitly")
    flags = {
        **_DEFAULTS,
        "data-dir": f"{values.get('name', 'default')}.etcd",
        **{FLAGS[name].setting: value for name, value in values.items() if name in FLAGS and FLAGS[name].setting},
    }
    flags.pop("log-outputs", None)
    flags["log-format"] = _LOG_FORMATS.get(flags["log-format"], flags["log-format"])
    if "log-level" in flags:
        flags["log-level"] = _LOG_LEVELS.get(flags["log-level"], flags["log-level"])
    if flags.get("quota-backend-bytes", "").startswith("-"):
        flags["quota-backend-bytes"] = str(_UNLIMITED_BYTES)
    own = {each.variable for each in SETTINGS if each.flag not in {flag.setting for flag in FLAGS.values()}}
    for variable, flag in (
        ("OARLOCK_LISTEN_NATIVE_URLS", "listen-native-urls"),
        ("OARLOCK_LISTEN_WATCH_URLS", "listen-watch-urls"),
    ):
        if not environment.get(variable):
            flags[flag] = ""
    settings = config.load(flags, {name: environment[name] for name in own & environment.keys()})
    _refuse_data_of_etcd(Path(settings.data_dir))
    return settings


def _refuse(values: Mapping[str, str]) -> None:
    """Nobody must believe to have what is not there.

    Raises:
        ConfigurationError: names the flag and says why.
    """
    for name, value in values.items():
        flag = FLAGS.get(name)
        if flag is not None and flag.is_refused(value):
            raise ConfigurationError(f"--{name} cannot be honoured: {flag.refusal}")
    for name in ("listen-peer-urls", "initial-advertise-peer-urls", "initial-cluster"):
        if "https://" in values.get(name, ""):
            raise ConfigurationError(f"--{name} cannot be honoured: {FLAGS['peer-cert-file'].refusal}")


def _refuse_data_of_etcd(data_dir: Path) -> None:
    if (data_dir / "member" / "snap").is_dir():
        raise ConfigurationError(
            f"data-dir {data_dir} holds the data of an etcd, which cannot be read: take another directory"
        )


def _direct_log(outputs: str) -> None:
    """Makes standard error, of this process and its children, what etcd's log-outputs asks for.

    Raises:
        ConfigurationError: several outputs, or a file that cannot be written.
    """
    if outputs in ("default", "stderr", "systemd/journal", ""):
        return
    if "," in outputs:
        raise ConfigurationError(f"log-outputs must be one of default, stderr, stdout or a file, not {outputs!r}")
    if outputs == "stdout":
        os.dup2(1, 2)
        return
    try:
        descriptor = os.open(outputs, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as problem:
        raise ConfigurationError(f"log-outputs {outputs} cannot be written: {problem.strerror}") from problem
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _version() -> str:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    lines = (
        f"etcd Version: {ETCD_VERSION}",
        f"Git SHA: oarlock-{VERSION}",
        f"Go Version: none (Python {platform.python_version()})",
        f"Go OS/Arch: {platform.system().lower()}/{machine}",
    )
    return "\n".join(lines) + "\n"


def _help() -> str:
    explained = {setting.flag: setting.help for setting in SETTINGS}
    lines = []
    for title, flags in GROUPS.items():
        lines += ["", f"{title}:"]
        for flag in flags:
            meaning = explained.get(flag.setting, "") or "Without a meaning here, and ignored."
            if flag.refusal:
                meaning = f"Refused: {flag.refusal}."
            if flag.name == "log-outputs":
                meaning = "Where the log goes: stderr, stdout or the path of a file."
            lines += [f"  --{flag.name} '{flag.default}'", f"    {meaning}"]
    return "\n".join(lines[1:]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
