"""The rows of watch.md, and of http.md section 6."""

from tests.e2e.row import Row

# fmt: off
REQUESTS = (
    Row("watch-1-none", "an object without a member is ignored, the stream goes on"),
    Row("watch-1-key", "no key is the key \\0; with a range_end of \\0 everything"),
    Row("watch-1-range-end", "range_end as for ranges, but one not above the key is refused"),
    Row("watch-1-start", "start_revision: 0 from now on, else from there, inclusive"),
    Row("watch-1-filters", "NOPUT, NODELETE, both; unknown names are ignored"),
    Row("watch-1-prev-kv", "prev_kv for deletes, and for puts that are not creations"),
    Row("watch-1-id", "ids 0, 1, 2 picked for each stream, or one's own; one in use is refused"),
    Row("watch-1-progress-notify", "progress_notify for this watch alone"),
    Row("watch-1-fragment", "fragment allows splitting"),
)

RESPONSES = (
    Row("watch-2-created", "created: header with the current revision"),
    Row("watch-2-events", "events: PUT without a type, DELETE with key and mod_revision alone"),
    Row("watch-2-empty-range", "an empty range: refused with the id -1"),
    Row("watch-2-duplicate", "an id in use: refused with the id -1"),
    Row("watch-2-negative", "a negative start: refused with the id -1 as of 3.6"),
    Row("watch-2-compacted", "a compacted start: created, then canceled with compact_revision and no revision"),
    Row("watch-2-compacted-equal", "a start at the compacted revision is fine"),
    Row("watch-2-compacted-behind", "one that falls behind a compaction is told the same, later",
        ("e2e/test_watch.py::test_a_compaction_overtakes_a_slow_watch",)),
    Row("watch-2-permission", "no permission: refused with the id -1", later="auth"),
    Row("watch-2-cancel", "cancel: one answer without a reason, and no event after it"),
    Row("watch-2-cancel-unknown", "cancel of an unknown id: nothing"),
    Row("watch-2-progress", "progress: the id -1 and a revision"),
    Row("watch-2-learner", "a learner refuses the stream", later="members"),
    Row("watch-2-stream-goes-on", "a refused or canceled watch does not end its stream"),
    Row("watch-2-permission-once", "the permission is checked at creation only", later="auth"),
)

GUARANTEES = (
    Row("watch-3-ordered", "events in the order of (revision, sub)"),
    Row("watch-3-no-gaps", "no gap, no duplicate"),
    Row("watch-3-atomic", "events of one revision in one message, in order of execution; split by fragment only"),
    Row("watch-3-put-delete", "put and delete of a key in one txn give both events"),
    Row("watch-3-resumable", "a watch from the last seen revision + 1 resumes"),
    Row("watch-3-committed", "only what is committed and applied here is told",
        ("e2e/test_crash.py::test_nothing_acknowledged_is_lost_by_kill_9",)),
    Row("watch-3-among", "watches of a stream are not ordered among each other; created comes first"),
    Row("watch-3-header", "header.revision: of the events, or the current one while catching up"),
    Row("watch-3-batch", "at most 1000 revisions a message while catching up",
        ("e2e/test_watch.py::test_from_the_first_revision_while_many_write",)),
    Row("watch-3-filters", "a message of which nothing is left is not sent"),
    Row("watch-3-prev-kv", "prev_kv is looked up at mod_revision - 1: absent when compacted, or created in the same"),
    Row("watch-3-slow", "a slow reader is set aside and resumed; only compaction loses, and is announced",
        ("e2e/test_watch.py::test_a_slow_reader_misses_nothing",
         "e2e/test_watch.py::test_a_compaction_overtakes_a_slow_watch")),
    Row("watch-3-future", "a future start: created at once, events from there"),
    Row("watch-3-restored", "watchers stay valid when a snapshot is restored", later="members"),
)

PROGRESS = (
    Row("watch-4-notify", "a notice when no event was sent for the interval"),
    Row("watch-4-request", "progress when every watch has caught up and none starts later; dropped else"),
    Row("watch-4-none", "without a watch there is no progress"),
    Row("watch-4-promise", "every event up to it comes before it"),
    Row("watch-4-order", "a progress asked for behind a create comes behind it"),
)

FRAGMENTS = (
    Row("watch-5-fragments", "split between events, all but the last with fragment, the same header"),
    Row("watch-5-whole", "whole without fragment"),
)

PRACTICE = (
    Row("watch-6-several", "several objects in the body, on one stream"),
    Row("watch-6-create-cancel", "create and cancel in one body"),
    Row("watch-6-open-body", "later objects on an open body"),
    Row("watch-6-body-end", "the end of the body does not end the watch"),
    Row("watch-6-close", "a closed connection frees its watchers at once",
        ("e2e/test_streams_stop.py::test_a_closed_connection_frees_its_watchers",)),
    Row("watch-6-websocket", "a WebSocket goes both ways"),
    Row("watch-6-empty", "an empty body: headers, and silence"),
    Row("watch-6-shutdown", "a stopping server breaks the connection",
        ("e2e/test_streams_stop.py::test_a_stop_ends_all_streams",)),
    Row("watch-7-metrics", "the metrics that watches touch",
        ("e2e/test_streams_stop.py::test_a_closed_connection_frees_its_watchers",)),
)

HARD = (
    Row("watch-8-many", "from 1 while 10,000 writes run",
        ("e2e/test_watch.py::test_from_the_first_revision_while_many_write",)),
    Row("watch-8-128", "a txn of 128 puts is one message"),
    Row("watch-8-compaction", "compaction against a slow watcher: everything, or a notice",
        ("e2e/test_watch.py::test_a_compaction_overtakes_a_slow_watch",)),
    Row("watch-8-leader", "the leader ends during a watch on a follower", later="members"),
    Row("watch-8-put-delete", "put and delete in one txn, both events in one message"),
    Row("watch-8-revoke", "revoke of a lease with many keys: one message, in key order"),
)

STREAMS = (
    Row("http-6-lines", 'an answer is lines of {"result"}, each sent at once'),
    Row("http-6-headers", "the headers come before the first message"),
    Row("http-6-objects", "any objects one after another; a comma stops"),
    Row("http-6-keepalive-ends", "keepalive ends when the body has ended"),
    Row("http-6-stays-open", "a watch stays open when the body has ended"),
    Row("http-6-parse-first", "a bad first object: 400"),
    Row("http-6-parse-later", "a bad later object is dropped"),
    Row("http-6-http10", "HTTP/1.0: unchunked, connection close",
        ("e2e/test_streams_stop.py::test_a_stream_over_http_1_0",)),
    Row("http-6-websocket", "a WebSocket on any path: a text message for each object and each line"),
    Row("http-6-websocket-unary", "a unary call over a WebSocket: the bare object, then close"),
    Row("http-6-websocket-token", "a token in Sec-WebSocket-Protocol, of which Bearer is echoed"),
    Row("http-6-sse", "server-sent events when Accept asks for them",
        ("e2e/test_streams_stop.py::test_a_stop_ends_all_streams",)),
)
# fmt: on

WATCH_ROWS = (*REQUESTS, *RESPONSES, *GUARANTEES, *PROGRESS, *FRAGMENTS, *PRACTICE, *HARD, *STREAMS)
