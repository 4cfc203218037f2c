"""The gateway: etcd's v3 JSON API over HTTP in front of a `Backend`; it holds no state."""
