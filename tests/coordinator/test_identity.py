"""Ids that members agree on without a word, and refusals that say what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oarlock.coordinator import identity as identities
from oarlock.wire.errors import ConfigurationError, DamageError


def settings(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "name": f"m{number}",
        "data_dir": "/data",
        "listen_peer_urls": (f"tcp://h{number}:1",),
        "initial_advertise_peer_urls": (),
        "initial_cluster": ("m1=tcp://h1:1", "m2=http://h2:1", "m3=tcp://h3:1"),
        "initial_cluster_state": "new",
        "initial_cluster_token": "token",
        **changes,
    }


def test_members_derive_the_same_cluster_and_different_ids() -> None:
    found = [identities.of_new_cluster(settings(number)) for number in (1, 2, 3)]
    assert len({each.cluster_id for each in found}) == 1
    assert {each.member_id for each in found} == set(found[0].initial)
    assert found[0].initial == found[1].initial == found[2].initial


def test_another_token_is_another_cluster() -> None:
    here = identities.of_new_cluster(settings(1))
    there = identities.of_new_cluster(settings(1, initial_cluster_token="other"))
    assert here.cluster_id != there.cluster_id
    assert here.member_id != there.member_id


def test_ids_are_the_first_bytes_of_a_hash() -> None:
    assert identities.derive_member_id(["http://h1:1"], "") == 0xA3CC64C0F5980FFD  # sha1(b"tcp://h1:1")
    assert identities.derive_cluster_id([9, 5]) == 0x7AA18CF0B8414B54  # sha1 of 5 and 9, 8 bytes each


def test_a_cluster_of_one_draws_its_ids() -> None:
    first, second = (identities.of_new_cluster(settings(1, initial_cluster=())) for _ in range(2))
    assert first.cluster_id != second.cluster_id
    assert list(first.initial) == [first.member_id]


def test_an_identity_is_read_as_it_was_kept(tmp_path: Path) -> None:
    found = identities.of_new_cluster(settings(1))
    assert identities.load(tmp_path, log_exists=False) is None
    identities.save(tmp_path, found)
    assert identities.load(tmp_path, log_exists=True) == found


def test_a_log_without_an_identity_and_a_damaged_identity_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="missing beside a log"):
        identities.load(tmp_path, log_exists=True)
    (tmp_path / identities.FILE_NAME).write_text('{"cluster_id": "1"}')
    with pytest.raises(DamageError):
        identities.load(tmp_path, log_exists=True)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "m9"}, "but not this member"),
        ({"initial_advertise_peer_urls": ("tcp://elsewhere:1",)}, "they must be the same"),
        ({"initial_cluster": ("m1=tcp://h1:1", "m2=tcp://h1:1")}, "the same URLs"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        identities.of_new_cluster(settings(1, **changes))


def test_data_of_another_cluster_are_refused_and_existing_data_need_no_flags() -> None:
    found = identities.of_new_cluster(settings(1))
    identities.check_settings(found, settings(1))
    identities.check_settings(found, settings(1, initial_cluster=()))
    identities.check_settings(found, settings(1, initial_cluster_state="existing", initial_cluster_token="other"))
    with pytest.raises(ConfigurationError, match="to go on with this data"):
        identities.check_settings(found, settings(1, initial_cluster_token="other"))
