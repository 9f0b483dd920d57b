"""What this server is, in its own numbers and in etcd's."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
"""Oarlock's version; the packaging metadata says the same (a test compares them)."""
ETCD_VERSION: Final = "3.5.0"
"""The etcd release whose API and semantics this server has: what clients that ask for an etcd version are told."""
