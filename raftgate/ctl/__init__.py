"""`raftgatectl`: etcdctl's verbs, flags, outputs and exit codes over the JSON API.

Start-up time matters here: `__main__` and the command table import the standard library only, and a verb's module
(with messages, codec and httpx) is loaded when that verb runs.
"""
