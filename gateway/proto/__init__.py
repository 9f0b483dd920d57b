"""The messages of the front door: `.proto` files of ours, and what ``make protos`` compiles from them.

The compiled modules put their descriptors into a pool of their own instead of the one that the whole process shares: a
program that also imports another etcd client, or gRPC's health and reflection packages, would otherwise fail, since
one pool takes each name only once.
"""

from __future__ import annotations

from google.protobuf.descriptor_pool import DescriptorPool

POOL = DescriptorPool()
