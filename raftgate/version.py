"""The version of etcd whose behaviour raftgate offers."""

SERVER_VERSION = "3.6.13"
"""What `/version` and `etcd Version:` say: clients switch on it."""

CLUSTER_VERSION = "3.6.0"
"""The cluster version that all members of this version agree on, and the storage version beside it."""
