"""raftgate: an etcd v3 key-value store whose first language is HTTP and JSON.

This package holds the doors (server, client command, configuration) and the dictionary that all parts share.
"""

__version__ = "0.1.0"
