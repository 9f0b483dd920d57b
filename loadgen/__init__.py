"""Oarlock's load generator: ``oarlock bench`` and the standard suite.

- ``histogram``: latencies in bounded memory, mergeable.
- ``plan``: which requests, and when each is due; an iterator that knows no network.
- ``driver``: carries a plan out over some clients, with so many requests in flight.
- ``runner``: drives it on the event loop: clients, clock, timer, end.
- ``outcome``, ``timeline``: what came of a load, by kind of request and second by second; mergeable.
- ``job``: a process's share of a load, and the register of workloads: ``workloads`` (puts, reads),
  ``workloads_mixed`` (reads among puts, compare-and-swap), ``workloads_connect``.
- ``size_sweep``: puts and reads of values from small to large.
- ``crew``, ``muster``, ``crew_member``: several processes that share a load, and their captain.
- ``commands``, ``commands_load``, ``commands_common``: ``oarlock bench`` and what its commands share.
- ``report``: the figures, as a table or as JSON.
- ``suite``: starts a server of its own and runs the standard set.
- ``comparison``, ``contenders``: Oarlock and etcd under the same loads, in turn; ``own_cluster`` and ``own_etcd`` start
  them, ``etcd_client`` and the Go program in ``etcd_load`` press etcd.
- ``compare_suite``, ``cluster_suite``, ``catch_up``: one member against one of etcd, and three against three.
- ``figures``, ``write_page``: what the suites found, as JSON and Markdown, and into docs/performance.md.
"""
