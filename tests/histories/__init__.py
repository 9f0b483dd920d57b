"""Histories of concurrent operations, and checkers that say whether a correct store could have produced them.

- ``store``: the sequential store that every history is compared with, and what can be asked of it.
- ``records``: an operation with its begin, end and outcome; a recorder for live runs.
- ``revisions``: the fast check. The server claims an order of all writes by their revisions; is that order possible?
- ``search``: the slow check, which believes no revision and looks for an order by itself.
- ``watches``: did a watcher see exactly the store's events, once and in order?
- ``simulator``: histories of a correct store, to test the checkers with.
- ``live``: performs an action with a client of Oarlock, and gives the outcome.
"""
