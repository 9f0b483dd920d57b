"""Does a cluster of real members keep its promises while members die, freeze, are cut off, and run out of disk?

- ``namespaces``: a network of hosts on this machine, each in a network namespace of its own.
- ``links``: what is cut or slow between members, in namespaces or, where there are none, in the members themselves.
- ``hosts``: a cluster with such links.
- ``faults``: what is done to it: named objects that know when they apply.
- ``campaign``: a plan of faults, drawn from a seed, under a load.
- ``leases``: clients that keep leases alive, and notice when one ends.
- ``verdict``: what clients and watchers were told, and what every member holds, must be one story.

How to repeat a seed, and how to run the long campaigns: ``docs/testing.md``.
"""
