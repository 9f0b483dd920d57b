"""Where settings come from, and what is said about bad ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oarlock.host import config
from oarlock.host.settings import SETTINGS, Settings
from oarlock.wire.errors import ConfigurationError


def test_defaults_are_those_of_the_documentation() -> None:
    settings = config.load({}, {})
    assert settings.listen_native_urls == ("tcp://127.0.0.1:2378",)
    assert settings.listen_watch_urls == ("tcp://127.0.0.1:2377",)
    assert settings.listen_metrics_urls == ("http://127.0.0.1:2381",)
    assert settings.listen_client_urls == ("http://127.0.0.1:2379",)
    assert (settings.grpc_keepalive_min_time_s, settings.grpc_keepalive_interval_s) == (5.0, 7200.0)
    assert (settings.heartbeat_interval_ms, settings.election_timeout_ms) == (100, 1000)
    assert settings.snapshot_count == 100_000
    assert settings.quota_backend_bytes == 2 << 30
    assert settings.workers >= 1


def test_a_flag_beats_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    file = tmp_path / "oarlock.toml"
    file.write_text('workers = 5\nname = "filed"\nsnapshot-count = 7\n')
    environment = {"OARLOCK_WORKERS": "4", "OARLOCK_NAME": "named"}
    settings = config.load({"workers": "3", "name": None}, environment, str(file))
    assert (settings.workers, settings.name, settings.snapshot_count) == (3, "named", 7)


def test_the_environment_may_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "oarlock.toml"
    file.write_text('listen-native-urls = ["tcp://10.0.0.1:1", "tcp://[::1]:2"]')
    settings = config.load({}, {"OARLOCK_CONFIG_FILE": str(file)})
    assert settings.listen_native_urls == ("tcp://10.0.0.1:1", "tcp://[::1]:2")


def test_the_data_directory_is_named_after_the_member_and_absolute() -> None:
    assert config.load({"name": "m1"}, {}).data_dir == str(Path("m1.oarlock").absolute())


def test_an_empty_variable_is_no_value() -> None:
    assert config.load({}, {"OARLOCK_NAME": ""}).name == "default"


def test_metrics_can_be_switched_off() -> None:
    assert config.load({"listen-metrics-urls": ""}, {}).listen_metrics_urls == ()


BAD = [
    ("name", "a b"),
    ("name", ".."),
    ("data-dir", ""),
    ("listen-native-urls", ""),
    ("listen-watch-urls", ""),
    ("listen-native-urls", "http://127.0.0.1:2378"),
    ("listen-native-urls", "tcp://127.0.0.1"),
    ("listen-native-urls", "tcp://127.0.0.1:70000"),
    ("listen-native-urls", "tcp://127.0.0.1:1,tcp://127.0.0.1:1"),
    ("listen-watch-urls", "tcp://:2377"),
    ("listen-metrics-urls", "https://127.0.0.1:2381"),
    ("listen-peer-urls", ""),
    ("listen-peer-urls", "tcp://127.0.0.1"),
    ("initial-advertise-peer-urls", "https://127.0.0.1:2380"),
    ("initial-cluster", "tcp://127.0.0.1:2380"),
    ("initial-cluster", "a=tcp://127.0.0.1:0"),
    ("initial-cluster", "a=tcp://127.0.0.1:1,a=http://127.0.0.1:1"),
    ("initial-cluster-state", "old"),
    ("initial-cluster-token", ""),
    ("join", "127.0.0.1"),
    ("join", "http://127.0.0.1:2378"),
    ("advertise-native-urls", "http://127.0.0.1:2378"),
    ("listen-client-urls", "tcp://127.0.0.1:2379"),
    ("advertise-client-urls", "http://127.0.0.1"),
    ("cert-file", "/nowhere/cert.pem"),
    ("key-file", "\0"),
    ("trusted-ca-file", "/nowhere/ca.pem"),
    ("client-cert-auth", "1"),
    ("max-concurrent-streams", "0"),
    ("max-concurrent-streams", "4294967296"),
    ("grpc-keepalive-min-time", "5"),
    ("grpc-keepalive-interval", "-2h"),
    ("grpc-keepalive-timeout", "20 s"),
    ("enable-grpc-gateway", "on"),
    ("watch-progress-notify-interval", "0"),
    ("strict-reconfig-check", "yes"),
    ("workers", "0"),
    ("workers", "two"),
    ("workers", "1.5"),
    ("heartbeat-interval", "-1"),
    ("election-timeout", "60000"),
    ("election-timeout", "499"),
    ("snapshot-count", "0"),
    ("snapshot-catchup-entries", "0"),
    ("auto-compaction-mode", "daily"),
    ("auto-compaction-retention", "soon"),
    ("quota-backend-bytes", "-5"),
    ("max-txn-ops", "1e3"),
    ("max-request-bytes", "9" * 30),
    ("log-level", "loud"),
    ("log-format", "xml"),
]


@pytest.mark.parametrize(("flag", "value"), BAD)
def test_a_bad_value_is_named_with_its_rule_and_origin(flag: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        config.load({flag: value}, {})
    assert raised.value.message.startswith(f"{flag} must be ")
    assert raised.value.message.endswith(f"not {value!r} (from flag --{flag})")


def test_every_setting_has_a_bad_value_above() -> None:
    anything = {"cors", "host-whitelist"}  # lists of any words
    assert {flag for flag, _ in BAD} == {setting.flag for setting in SETTINGS} - anything


def test_origin_names_the_variable_or_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"\(from environment OARLOCK_WORKERS\)"):
        config.load({}, {"OARLOCK_WORKERS": "-1"})
    file = tmp_path / "oarlock.toml"
    file.write_text("workers = -1")
    with pytest.raises(ConfigurationError, match=rf"not '-1' \(from file {file}\)"):
        config.load({}, {}, str(file))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("worker = 1", "unknown setting 'worker' .* did you mean workers"),
        ("workers = true", "workers must be a whole number from 1 to 256, not 'true'"),
        ("workers = 1.5", "not 1.5"),
        ("[workers]\nn = 1", "workers must be a string"),
        ("workers = = 1", "is not TOML"),
        (b"\xff\xfe", "is not TOML"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: str | bytes, complaint: str) -> None:
    file = tmp_path / "oarlock.toml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ConfigurationError, match=complaint) as raised:
        config.load({}, {}, str(file))
    assert str(file) in raised.value.message


def test_the_file_may_hold_truth_values(tmp_path: Path) -> None:
    file = tmp_path / "oarlock.toml"
    file.write_text("strict-reconfig-check = false")
    assert config.load({}, {}, str(file)).strict_reconfig_check is False


def test_a_missing_file_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read config-file /nowhere\.toml: No such file"):
        config.load({}, {}, "/nowhere.toml")


def test_settings_survive_the_hand_over_to_a_child() -> None:
    settings = config.load({"name": "m1", "listen-metrics-urls": ""}, {})
    assert Settings.from_json(settings.to_json()) == settings
    assert json.loads(settings.to_json())["listen_native_urls"] == ["tcp://127.0.0.1:2378"]


@pytest.mark.parametrize(
    "how", [{"join": "10.0.0.1:2378"}, {"initial-cluster": "a=http://10.0.0.1:1,default=http://10.0.0.2:2380"}]
)
@pytest.mark.parametrize(
    ("listen", "advertise"),
    [
        ("listen-peer-urls", "initial-advertise-peer-urls"),
        ("listen-native-urls", "advertise-native-urls"),
        ("listen-client-urls", "advertise-client-urls"),
    ],
)
def test_a_member_that_listens_on_every_address_must_say_where_it_is(
    how: dict[str, str], listen: str, advertise: str
) -> None:
    scheme = "http" if "client" in listen else "tcp"
    flags = {**how, listen: f"{scheme}://0.0.0.0:2380"}
    with pytest.raises(ConfigurationError, match=f"^{advertise} must be addresses that others reach"):
        config.load(flags, {})
    config.load({**flags, advertise: f"{scheme}://10.0.0.2:2380"}, {})


def test_joining_and_beginning_a_cluster_exclude_each_other() -> None:
    with pytest.raises(ConfigurationError, match=r"^join must be left out"):
        config.load({"join": "10.0.0.1:2378", "initial-cluster": "default=tcp://127.0.0.1:2380"}, {})


def test_peer_urls_may_be_written_as_etcd_has_them() -> None:
    settings = config.load(
        {"listen-peer-urls": "http://10.0.0.1:2380", "initial-cluster": "a=http://10.0.0.1:2380"}, {}
    )
    assert settings.listen_peer_urls == ("tcp://10.0.0.1:2380",)
    assert settings.initial_cluster == ("a=tcp://10.0.0.1:2380",)


def test_endpoints_to_join_may_have_a_scheme() -> None:
    assert config.load({"join": "a:1, tcp://b:2"}, {}).join == ("a:1", "b:2")


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ({"cert-file": "FILE"}, "key-file must be given"),
        ({"key-file": "FILE"}, "cert-file must be given"),
        ({"listen-client-urls": "https://127.0.0.1:2379"}, "cert-file must be given, with key-file"),
        ({"client-cert-auth": "true"}, "trusted-ca-file must be given"),
        ({"trusted-ca-file": "/nowhere"}, "trusted-ca-file must be a file that can be read"),
    ],
)
def test_half_of_tls_is_refused(tmp_path: Path, flags: dict[str, str], complaint: str) -> None:
    (tmp_path / "pem").touch()
    with pytest.raises(ConfigurationError, match=f"^{complaint}"):
        config.load({flag: value.replace("FILE", str(tmp_path / "pem")) for flag, value in flags.items()}, {})


@pytest.mark.parametrize(
    ("text", "time_s"), [("0", 0.0), ("1h15m30.5s", 4530.5), ("250ms", 0.25), ("1.s", 1.0), ("1500us", 0.0015)]
)
def test_times_are_written_as_in_go(text: str, time_s: float) -> None:
    settings = config.load({"grpc-keepalive-timeout": text}, {})
    assert settings.grpc_keepalive_timeout_s == pytest.approx(time_s)


def test_lists_of_words_may_be_empty() -> None:
    settings = config.load({"cors": "", "host-whitelist": "a.example, b.example"}, {})
    assert (settings.cors, settings.host_whitelist) == ((), ("a.example", "b.example"))


def test_a_member_that_is_alone_may_listen_on_every_address() -> None:
    flags = {"listen-client-urls": "http://0.0.0.0:2379", "initial-cluster": "default=http://0.0.0.0:2380"}
    assert config.load(flags, {}).listen_client_urls == ("http://0.0.0.0:2379",)


def test_one_of_the_doors_may_be_shut_but_not_both() -> None:
    flags = {"listen-native-urls": "", "listen-watch-urls": ""}
    assert config.load(flags, {}).listen_native_urls == ()
    with pytest.raises(ConfigurationError, match=r"^listen-client-urls must be given"):
        config.load({**flags, "listen-client-urls": ""}, {})
