"""The rows of the contract: kv.md, and http.md sections 1 to 5, 7 and 8.

A row is an id and its text in a few words. It is proven by the cases that name its id, or, where a black-box case
cannot, by a test `elsewhere` (below tests/). `later` names what brings a row that is not built yet: concurrency
(locks and elections), grpc, lease, members, auth, snapshot, watch, websocket.
"""

from dataclasses import dataclass

from tests.e2e.error_rows import ERRORS


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the contract."""

    id: str
    text: str
    elsewhere: tuple[str, ...] = ()
    later: str = ""


# fmt: off
KV_MODEL = (
    Row("kv-1-order", "keys are in unsigned bytewise order, a prefix before its extensions"),
    Row("kv-1-smallest", "there is no empty key, \\0 is the smallest one"),
    Row("kv-1-fresh", "a fresh store is at revision 1"),
    Row("kv-1-one-step", "a request that changes several keys moves the revision by exactly 1"),
    Row("kv-1-sub", "changes of one request are numbered in execution order",
        ("storage/test_txn.py::test_changes_are_numbered_in_execution_order",)),
    Row("kv-1-put-absent", "put on an absent key: create = mod = the new revision, version 1"),
    Row("kv-1-put-existing", "put on an existing key: mod new, version + 1, create kept, equal values included"),
    Row("kv-1-tombstone", "a delete makes the next put start over"),
    Row("kv-1-range-key", "no or an empty range_end: exactly the key"),
    Row("kv-1-range-no-end", "range_end \\0: all keys from the key on"),
    Row("kv-1-range-all", "key and range_end \\0: all keys"),
    Row("kv-1-range-interval", "range_end above the key: [key, range_end), so prefixes"),
    Row("kv-1-range-inverted", "range_end not above the key: an empty range and no error"),
    Row("kv-1-rev-put", "put moves the revision, with an equal value too"),
    Row("kv-1-rev-delete", "a delete that removed something moves it"),
    Row("kv-1-rev-delete-nothing", "a delete that removed nothing does not"),
    Row("kv-1-rev-txn", "a txn with an executed change moves it by 1"),
    Row("kv-1-rev-txn-none", "a txn that changes nothing does not"),
    Row("kv-1-rev-put-delete", "put and delete of a key in one txn through the gap move it"),
    Row("kv-1-rev-lease", "grant, keepalive, revoke of a lease without keys do not", later="lease"),
    Row("kv-1-rev-lease-keys", "revoke or expiry of a lease with keys: one revision for all of them", later="lease"),
    Row("kv-1-rev-others", "compaction, defragmentation and alarm calls do not"),
    Row("kv-1-rev-auth-members", "auth and member calls do not", later="auth, members"),
    Row("kv-1-rev-failed", "a failed request does not"),
)

KV_RANGE = (
    Row("kv-2-empty-key", "first an empty key: EmptyKey"),
    Row("kv-2-sort-option", "then an unknown sort order or target: InvalidSortOption"),
    Row("kv-2-barrier", "then the read barrier, unless serializable",
        ("consensus/test_reads.py::test_a_confirmed_read_waits_until_its_index_is_applied",
         "consensus/test_server.py::test_without_a_leader")),
    Row("kv-2-permission", "then the permission", later="auth"),
    Row("kv-2-future", "a revision above the current one: FutureRev"),
    Row("kv-2-revision-zero", "revision 0 and below: the current one"),
    Row("kv-2-compacted", "a revision below the compacted one: Compacted"),
    Row("kv-2-compacted-equal", "the compacted revision itself can be read"),
    Row("kv-2-count-errors", "both errors for count_only and serializable too"),
    Row("kv-2-count", "count is what lives in the range, whatever limit and filters"),
    Row("kv-2-count-only", "count_only: no kvs, no more; limit, filters, keys_only have no effect"),
    Row("kv-2-filters", "the four filters"),
    Row("kv-2-filter-negative", "a negative minimum drops nothing, a negative maximum everything"),
    Row("kv-2-sort", "ASCEND and DESCEND by each target, values as bytes"),
    Row("kv-2-sort-none", "NONE with a target but KEY sorts ascending by it"),
    Row("kv-2-ties", "ties stay in key order, descending too"),
    Row("kv-2-limit", "a limit above 0 cuts after the sort and sets more; 0 and below is none"),
    Row("kv-2-keys-only", "keys_only removes values after the sort"),
    Row("kv-2-oddity", "NONE without a filter reads limit + 1 keys before it sorts"),
    Row("kv-2-value-limit", "example: VALUE, limit 2: the first keys, sorted, more"),
    Row("kv-2-value-ascend-limit", "example: VALUE ASCEND, limit 2: the smallest values, more"),
    Row("kv-2-min-mod", "example: min_mod_revision: all are counted, no more"),
    Row("kv-2-min-create-limit", "example: min_create_revision, limit 1: more, all are counted"),
    Row("kv-2-limit-exact", "example: as many keys as the limit: no more"),
    Row("kv-2-more", "more tells only that the limit cut after the filters"),
    Row("kv-2-header", "the header tells the current revision for a read of the past too"),
    Row("kv-2-miss", "a miss is 200 with a header and nothing else"),
    Row("kv-2-serializable", "serializable: this member's state, without asking anyone"),
    Row("kv-2-serializable-alone", "serializable works without a leader",
        ("consensus/test_server.py::test_without_a_leader",)),
)

KV_PUT = (
    Row("kv-3-empty-key", "first EmptyKey"),
    Row("kv-3-value-provided", "then ignore_value with a value: ValueProvided"),
    Row("kv-3-lease-provided", "then ignore_lease with a lease: LeaseProvided"),
    Row("kv-3-size", "then the size of the request"),
    Row("kv-3-no-space", "then, at apply, the alarm: NoSpace"),
    Row("kv-3-permission", "then the permission", later="auth"),
    Row("kv-3-lease-unknown", "then an unknown lease, -1 too: LeaseNotFound"),
    Row("kv-3-key-not-found", "then ignore_value or ignore_lease on a missing key: KeyNotFound"),
    Row("kv-3-quota", "the quota is looked at after validation"),
    Row("kv-3-value", "no or an empty value stores an empty one"),
    Row("kv-3-lease", "lease attaches, detaching from the former; 0 detaches", later="lease"),
    Row("kv-3-ignore-value", "ignore_value keeps the value and moves mod_revision and version"),
    Row("kv-3-ignore-lease", "ignore_lease keeps the lease"),
    Row("kv-3-ignore-both", "both only touch the key"),
    Row("kv-3-prev-kv", "prev_kv answers the key as it was, absent for a new key"),
    Row("kv-3-answer", "the header tells the new mod_revision"),
)

KV_DELETE = (
    Row("kv-4-empty-key", "EmptyKey without a key"),
    Row("kv-4-deleted", "deleted counts what was removed, absent when nothing"),
    Row("kv-4-prev-kvs", "prev_kv answers the removed keys in key order"),
    Row("kv-4-one-revision", "all removals share one revision"),
    Row("kv-4-leases", "deleted keys leave their leases", later="lease"),
    Row("kv-4-quota", "a delete is not subject to the quota"),
)

KV_TXN = (
    Row("kv-5.1-compares-before", "all compares, nested ones too, see the state before the txn"),
    Row("kv-5.1-pre-check", "an error of the pre-check fails the whole txn, nothing is written"),
    Row("kv-5.1-order", "operations run in order, reads see earlier ones"),
    Row("kv-5.1-answer", "succeeded absent when false, responses in order"),
    Row("kv-5.1-sub-headers", "sub-headers: the old revision before the first change, then the new one"),
    Row("kv-5.1-nested-header", "a nested response has an empty header"),
    Row("kv-5.1-header", "the outer header: the new revision if anything changed, else the current one"),
    Row("kv-5.2-left", "the stored field is on the left"),
    Row("kv-5.2-missing-number", "missing key: VERSION, CREATE, MOD, LEASE compare as 0"),
    Row("kv-5.2-missing-value", "missing key: VALUE is false for every result"),
    Row("kv-5.2-range", "range_end: for every key; an empty range is like a missing key"),
    Row("kv-5.2-other-field", "a value for another target counts as 0 or empty"),
    Row("kv-5.2-no-value", "no value at all counts as 0 or empty"),
    Row("kv-5.2-key-alone", "a key alone: it does not exist"),
    Row("kv-5.2-unknown-target", "an unknown target: both sides are equal"),
    Row("kv-5.2-unknown-result", "an unknown result: true"),
    Row("kv-5.2-enums", "numbers of sort targets, compare targets and results"),
    Row("kv-5.3-limit", "at most max-txn-ops in each of the three lists"),
    Row("kv-5.3-nested", "a nested txn may hold the limit minus its parent's largest list"),
    Row("kv-5.3-first", "checked first, before any key"),
    Row("kv-5.4-puts", "two puts of a key in a list; a put under a delete, in any order"),
    Row("kv-5.4-nested-puts", "puts of a nested txn count for its parent, both branches"),
    Row("kv-5.4-nested-branches", "both branches of one nested txn may put the same key, siblings may not"),
    Row("kv-5.4-nested-deletes", "deletes of nested txns count against the parent's puts"),
    Row("kv-5.4-fine", "delete + delete, the same put in success and failure, ranges: all fine"),
    Row("kv-5.4-siblings", "nested delete before a sibling's put is refused, after it accepted"),
    Row("kv-5.4-gap", "a delete without an end passes the check: the gap"),
    Row("kv-5.4-order", "order of errors: TooManyOps, compares, operations, duplicates, size, alarm"),
    Row("kv-5.4-none-op", "an operation that is none: KeyNotFound"),
    Row("kv-5.5-future", "a range above the current revision: FutureRev"),
    Row("kv-5.5-compacted", "a range below the compacted revision: Compacted"),
    Row("kv-5.5-negative", "a negative revision: Compacted"),
    Row("kv-5.5-minus-one", "but -1 on a store never compacted is the current one"),
    Row("kv-5.5-own-revision", "current is before the txn: its own revision is FutureRev"),
    Row("kv-5.5-ignore-missing", "ignore_value, ignore_lease on a key missing before the txn: KeyNotFound"),
    Row("kv-5.5-unknown-lease", "a put with an unknown lease: LeaseNotFound"),
    Row("kv-5.5-not-taken", "the branch not taken is not checked"),
    Row("kv-5.5-permission", "permission is checked on both branches and below", later="auth"),
    Row("kv-5.5-no-space", "space: the costlier of both branches, nested puts included"),
    Row("kv-5.6-read-only", "a txn of ranges alone does not go through the log"),
    Row("kv-5.6-serializable", "it is linearizable unless every range is serializable",
        ("storage/test_validation.py::test_read_only_txns",)),
    Row("kv-5.6-empty", "an empty txn is answered under a CORRUPT alarm"),
    Row("kv-5.6-empty-token", "an empty txn is answered without a token", later="auth"),
    Row("kv-5.6-same-everywhere", "reads never influence what a txn writes; the pre-check takes replicated state",
        ("storage/test_txn.py::test_follows_the_model",)),
)

KV_COMPACTION = (
    Row("kv-6-again", "not above the last compacted revision: Compacted"),
    Row("kv-6-future", "above the current revision: FutureRev"),
    Row("kv-6-current", "the current revision is fine"),
    Row("kv-6-zero-once", "0 succeeds once on a store never compacted"),
    Row("kv-6-negative", "negative: Compacted"),
    Row("kv-6-effect", "history below is gone, each key's newest version is kept unless it is a tombstone"),
    Row("kv-6-reads", "reads at it and above work"),
    Row("kv-6-header", "the header tells the current revision"),
    Row("kv-6-accepted", "without physical: reads below fail from the answer on"),
    Row("kv-6-physical", "physical: the answer comes when the data is removed"),
    Row("kv-6-tombstone", "a tombstone exactly at it is kept, and reads as a missing key"),
    Row("kv-6-tombstone-watch", "a watch from it sees that delete", later="watch"),
    Row("kv-6-auto-revision", "revision mode keeps a number of revisions",
        ("consensus/test_compactor.py::test_revision_keeps_a_number",)),
    Row("kv-6-auto-periodic", "periodic mode waits a period, then steps; a failed one is tried again",
        ("consensus/test_compactor.py::test_periodic_waits_a_period_and_keeps_one",
         "consensus/test_compactor.py::test_a_long_period_compacts_each_hour",
         "consensus/test_compactor.py::test_a_failed_compaction_is_tried_again_at_the_next_note")),
    Row("kv-6-auto-retention", "a bare number means hours",
        ("raftgate/config/test_checks.py::test_retentions_that_are_read",)),
)

# A path each; what is not served yet is refused with 501 until then.
PATHS = (
    *[Row(f"http-1-path-{name}", f"/v3/kv/{name}") for name in ("range", "put", "deleterange", "txn", "compaction")],
    *[Row(f"http-1-path-{name}", f"/v3/maintenance/{name}")
      for name in ("alarm", "status", "defragment", "hash", "hashkv")],
    Row("http-1-path-watch", "/v3/watch", later="watch"),
    *[Row(f"http-1-path-{name}", f"/v3/lease/{name}", later="lease")
      for name in ("grant", "revoke", "keepalive", "timetolive", "leases")],
    *[Row(f"http-1-path-{name}", f"/v3/lock/{name}", later="concurrency") for name in ("lock", "unlock")],
    *[Row(f"http-1-path-{name}", f"/v3/election/{name}", later="concurrency")
      for name in ("campaign", "proclaim", "leader", "resign", "observe")],
    *[Row(f"http-1-path-member-{name}", f"/v3/cluster/member/{name}", later="members")
      for name in ("add", "remove", "update", "list", "promote")],
    *[Row(f"http-1-path-{name}", f"/v3/maintenance/{name}", later="members")
      for name in ("transfer-leadership", "downgrade")],
    Row("http-1-path-snapshot", "/v3/maintenance/snapshot", later="snapshot"),
    *[Row(f"http-1-path-auth-{name}", f"/v3/auth/{name}", later="auth")
      for name in ("enable", "disable", "status", "authenticate")],
    *[Row(f"http-1-path-user-{name}", f"/v3/auth/user/{name}", later="auth")
      for name in ("add", "get", "list", "delete", "changepw", "grant", "revoke")],
    *[Row(f"http-1-path-role-{name}", f"/v3/auth/role/{name}", later="auth")
      for name in ("add", "get", "list", "delete", "grant", "revoke")],
)

HTTP_PATHS = (
    Row("http-1-content-type", "Content-Type and Accept are ignored"),
    Row("http-1-query", "the query string is ignored"),
    Row("http-1-trailing-slash", "a slash at the end: 404"),
    Row("http-1-double-slash", "two slashes: 307 to the cleaned path"),
    Row("http-1-v3beta", "/v3beta is /v3, /v3alpha is 404"),
    *PATHS,
    Row("http-1-aliases", "only three aliases below /v3/kv/lease",
        ("api/test_services.py::test_only_three_lease_paths_have_an_older_name",)),
    Row("http-1-method", "GET, PUT, DELETE on an RPC path: 501"),
    Row("http-1-head", "HEAD on an RPC path: 501 without a body"),
    Row("http-1-unknown-v3", "an unknown path below /v3: 404 JSON"),
    Row("http-1-unknown", "an unknown path elsewhere: 404 text"),
    Row("http-1-options", "OPTIONS anywhere: 200, empty, CORS headers"),
    Row("http-1-health", "GET /health: 200 true or 503 false, as text"),
    Row("http-1-health-serializable", "?serializable=true, exactly, reads locally",
        ("gateway/test_health.py::test_health_and_reads",)),
    Row("http-1-health-exclude", "?exclude= ignores an alarm, may be repeated"),
    Row("http-1-livez", "GET /livez and /readyz: ok or 503 with lines, verbose, exclude"),
    Row("http-1-one-check", "one check alone; an unknown one 404"),
    Row("http-1-version", "GET /version"),
    Row("http-1-version-undecided", "not_decided while the cluster has no version",
        ("gateway/test_routes.py::test_version_while_the_cluster_has_not_decided",)),
    Row("http-1-metrics", "GET /metrics, gzip when asked for"),
    Row("http-1-metrics-listener", "also on --listen-metrics-urls",
        ("raftgate/test_server.py::test_a_metrics_listener_serves_probes_alone",)),
    Row("http-1-debug-vars", "GET /debug/vars, pprof off"),
    Row("http-1-plain-method", "another method there: 405 with Allow; HEAD /metrics 200"),
    Row("http-1-no-token", "they need no token"),
    Row("http-1-health-alarms", "/health: alarms come first, by name"),
    Row("http-1-health-leader", "/health: then no leader, then a failing range",
        ("gateway/test_health.py::test_health_and_reads",)),
    Row("http-1-readyz-checks", "the checks of /readyz; NOSPACE does not fail it, CORRUPT does"),
    Row("http-1-livez-checks", "the check of /livez"),
    Row("http-1-probe-verbose", "the body of a success in words"),
    Row("http-1-probe-failure", "the body of a failure: all lines, then an empty one"),
    Row("http-1-probe-metrics", "metrics that these feed",
        ("gateway/test_health.py::test_health_is_counted",
         "gateway/test_health.py::test_checks_are_counted_and_warned_of_once")),
)

HTTP_JSON = (
    Row("http-2-names", "output has the names of the .proto",
        ("api/test_message.py::test_fields_are_those_of_etcd",)),
    Row("http-2-defaults", "fields at their default are left out"),
    Row("http-2-empty-message", "a set but empty message stays as {}"),
    Row("http-2-int64", "int64, uint64: strings out, number or string in, 1e0 too"),
    Row("http-2-int32", "uint32: numbers out"),
    Row("http-2-int32-input", "uint32: number or string in", ("api/test_json_tolerant.py::test_accepted",)),
    Row("http-2-bytes", "bytes: base64 with padding out, any base64 in"),
    Row("http-2-enum", "enum: name out, name or number in, an unknown name ignored, an unknown number kept"),
    Row("http-2-bool", "bool: JSON booleans only"),
    Row("http-2-string", "string: UTF-8, else 400"),
    Row("http-2-null", "null is an absent field; 400 in a list or as the body"),
    Row("http-2-field-names", "snake_case and lowerCamelCase"),
    Row("http-2-unknown", "unknown fields are ignored"),
    Row("http-2-duplicate", "a field twice: 400"),
    Row("http-2-oneof", "two members of a oneof: 400"),
    Row("http-2-first-value", "only the first JSON value is read"),
    Row("http-2-body-empty", "no, an empty or a blank body is {}"),
    Row("http-2-body-other", "null, a list, a string, a number: 400"),
    Row("http-2-body-truncated", "cut off: 400"),
    Row("http-2-body-form", "key=foo: 400"),
    Row("http-2-body-quotes", "single quotes: 400"),
    Row("http-2-body-bytes", "not base64, a number for bytes: 400"),
    Row("http-2-body-fraction", "a fraction for an int64: 400"),
    Row("http-2-body-bool", "a bool in a string: 400"),
    Row("http-2-body-duplicate", "a duplicate field: 400"),
    Row("http-2-body-oneof", "a second member of a oneof: 400"),
    Row("http-2-body-utf8", "bad UTF-8: 400"),
    Row("http-2-place", "line and column of the text", ("api/test_json_tolerant.py::test_refused",)),
)

HTTP_HEADERS = (
    Row("http-3-cors", "every response carries the CORS headers and Date",
        ("gateway/test_front.py::test_every_answer_carries_the_cors_headers",)),
    Row("http-3-rpc", "RPC answers: application/json, Grpc-Metadata-Content-Type on success only, no compression"),
    Row("http-3-cors-list", "--cors: a listed origin is echoed, another gets no CORS header"),
    Row("http-3-cors-form", "an origin is written scheme://host:port",
        ("raftgate/config/test_kinds.py::test_origins",)),
    Row("http-3-host-list", "--host-whitelist: 421 for a Host that is not listed"),
    Row("http-3-host-tls", "TLS connections are exempt",
        ("gateway/test_front.py::test_the_host_list_does_not_hold_for_tls",)),
    Row("http-3-authorization-off", "Authorization is ignored while auth is off"),
    Row("http-3-authorization", "Authorization: the bare token, or Bearer", later="auth"),
    Row("http-3-metadata-token", "Grpc-Metadata-Token, -Authorization: the same; a plain Token is not looked at"),
    Row("http-3-timeout", "Grpc-Timeout: a deadline; 504, 0 is none, malformed 400"),
    Row("http-3-has-leader", "Grpc-Metadata-Hasleader: 503 without a leader",
        ("gateway/test_auth.py::test_needs_leader", "consensus/test_server.py::test_without_a_leader")),
    Row("http-3-has-leader-streams", "and it ends streams", later="watch"),
    Row("http-3-identity", "header: cluster_id, member_id and raft_term of the answering member"),
    Row("http-3-revision", "header: the store revision; a fresh store is at 1"),
    Row("http-3-which-revision", "writes tell the revision they made, reads the current one"),
    Row("http-3-no-header", "defragment has no header"),
    Row("http-3-no-header-others", "transfer-leadership and snapshot chunks neither", later="members, snapshot"),
    Row("http-3-sub-headers", "inside txns headers hold a revision alone, a nested txn's none"),
)

HTTP_ERRORS = (
    Row("http-4-body", "the body of an error: error, code, message"),
    Row("http-4-stream", "the error line of a stream", later="watch"),
    *[Row(f"http-4-code-{code}", f"HTTP status of gRPC code {code}",
          ("gateway/test_errors.py::test_every_code_has_its_status",)) for code in range(17)],
    *[Row(f"http-5-{error.name}", error.message, (error.elsewhere,) if error.elsewhere else (), error.later)
      for error in ERRORS],
    Row("http-5-concurrency", "lock and election: their own errors are 500 code 2", later="concurrency"),
)

HTTP_LIMITS = (
    Row("http-7-request", "--max-request-bytes: RequestTooLarge"),
    Row("http-7-message", "a message 512 KiB above it: 429"),
    Row("http-7-response", "a large answer comes whole"),
    Row("http-7-txn-ops", "--max-txn-ops: TooManyOps"),
    Row("http-7-streams", "--max-concurrent-streams", later="grpc"),
    Row("http-7-overhead", "24 bytes of overhead a put: 1572837 bytes pass, 1572838 do not"),
    Row("http-7-reads", "reads are not limited by it"),
    Row("http-7-warning", "--max-request-bytes over 10 MiB only warns",
        ("raftgate/test_config.py::test_what_only_warns",)),
    Row("http-8-sort-target", "range with an unknown sort target: InvalidSortOption"),
    Row("http-8-alarm-action", "alarm with an unknown action (or kind): 400"),
    Row("http-8-alarm-none", "alarm ACTIVATE NONE: 200, no alarms"),
    Row("http-8-role-grant", "role/grant without perm: PermissionNotGiven", later="auth"),
    Row("http-8-null-op", "txn with a null operation: 400"),
    Row("http-8-member-update", "member/update without or with garbage URLs: MemberBadURLs", later="members"),
    Row("http-8-cors-file", "a bad origin in the config file: a plain error",
        ("raftgate/config/test_sources.py::test_what_a_file_is_refused_for",)),
)
# fmt: on

ROWS = (
    *KV_MODEL,
    *KV_RANGE,
    *KV_PUT,
    *KV_DELETE,
    *KV_TXN,
    *KV_COMPACTION,
    *HTTP_PATHS,
    *HTTP_JSON,
    *HTTP_HEADERS,
    *HTTP_ERRORS,
    *HTTP_LIMITS,
)
