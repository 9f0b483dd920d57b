"""Does a real server keep its promises while it is killed, frozen, cut off and damaged?

- ``load``: clients that write and read all the time, and remember what they were told.
- ``faults``: what is done to the server meanwhile, drawn from a seed.
- ``verdict``: what was told, the store's own history and every worker's replica must be one story.
- ``damage``: what can happen to the files of a stopped server.

How to repeat a seed, and how to run the long campaigns: ``docs/testing.md``.
"""
