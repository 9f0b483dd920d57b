"""The health pages, in etcd's words."""

from __future__ import annotations

import json

import pytest

from oarlock.gateway.health_pages import Health, health_page, live_page, ready_page

WELL = Health(workers=2, workers_ready=2, leader=True)


def test_a_well_server_says_so_as_etcd_does() -> None:
    page = health_page(WELL)
    assert (page.status, page.body) == (200, '{"health":"true","reason":""}')
    assert live_page(WELL) == ready_page(WELL) == (200, "text/plain", "ok\n")


@pytest.mark.parametrize(
    ("health", "reason"),
    [
        (WELL._replace(leader=False), "RAFT NO LEADER"),
        (WELL._replace(workers_ready=0), "RANGE ERROR:no worker is ready"),
        (WELL._replace(alarms=["NOSPACE"], leader=False), "ALARM NOSPACE"),
        (WELL._replace(alarms=["NOSPACE", "CORRUPT"]), "ALARM CORRUPT"),
    ],
)
def test_an_unwell_server_gives_the_reason(health: Health, reason: str) -> None:
    page = health_page(health)
    assert page.status == 503
    assert json.loads(page.body) == {"health": "false", "reason": reason}
    assert page.body.endswith("\n")


def test_alarms_and_the_leader_can_be_left_out() -> None:
    assert health_page(WELL._replace(alarms=["NOSPACE"]), excluded=["NOSPACE"]).status == 200
    assert health_page(WELL._replace(leader=False), serializable=True).status == 200


def test_one_ready_worker_is_enough() -> None:
    assert health_page(WELL._replace(workers_ready=1)).status == 200


def test_a_server_without_leader_is_live_but_not_ready() -> None:
    health = WELL._replace(leader=False)
    assert live_page(health).status == 200
    page = ready_page(health)
    assert page.status == 503
    assert "[-]linearizable_read failed: RAFT NO LEADER\n" in page.body
    assert "[+]serializable_read ok\n" in page.body


def test_nospace_does_not_fail_readiness_but_corruption_does() -> None:
    assert ready_page(WELL._replace(alarms=["NOSPACE"])).status == 200
    assert "[-]data_corruption failed: alarm activated: CORRUPT" in ready_page(WELL._replace(alarms=["CORRUPT"])).body


def test_verbose_lists_the_checks_that_were_not_excluded() -> None:
    page = ready_page(WELL, excluded=["data_corruption"], verbose=True)
    assert page.body == "[+]linearizable_read ok\n[+]serializable_read ok\nok\n"
