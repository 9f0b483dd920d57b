"""Oarlock's load generator: ``oarlock bench`` and the standard suite.

- ``histogram``: latencies in bounded memory, mergeable.
- ``plan``: which requests, and when each is due; an iterator that knows no network.
- ``driver``: carries a plan out over some clients, with so many requests in flight.
- ``runner``: drives it on the event loop: clients, clock, timer, end.
- ``outcome``, ``timeline``: what came of a load, by kind of request and second by second; mergeable.
- ``job``: a process's share of a load, and the register of workloads: ``workloads`` (puts, reads),
  ``workloads_mixed`` (reads among puts, compare-and-swap), ``workloads_connect``, ``watch_storm`` (with the tally of
  ``watchers``), ``lease_storm`` (with ``lease_expiries``).
- ``many_keys``, ``failover``: on a server, or a cluster, of their own: ``subject``, ``own_cluster``.
- ``size_sweep``: puts and reads of values from small to large.
- ``crew``, ``muster``, ``crew_member``: several processes that share a load, and their captain.
- ``commands`` and ``commands_*``: ``oarlock bench`` and what its commands share.
- ``report``, ``phases``: the figures, as a table or as JSON; ``html_report``, ``pictures``: with curves.
- ``local_server``: the processes behind an endpoint of this machine, and what they use.
- ``suite``: starts a server of its own and runs the standard set.
- ``comparison``, ``contenders``: Oarlock and etcd under the same loads, in turn; ``own_cluster`` and ``own_etcd`` start
  them, ``etcd_client`` and the Go program in ``etcd_load`` press etcd.
- ``compare_suite``, ``cluster_suite``, ``catch_up``: one member against one of etcd, and three against three.
- ``figures``, ``write_page``: what the suites found, as JSON and Markdown, and into docs/performance.md.
- ``compare_parts``, ``compare_lists``, ``compare_keys``, ``goals``: ``oarlock bench compare``, and its goals.
- ``growth``, ``growth_suite``, ``growth_page``: how figures grow with keys, clients, watchers, values and workers.
- ``pictures``, ``html_report``: curves, time lines and growth as SVG, and a report as one HTML file.
"""
