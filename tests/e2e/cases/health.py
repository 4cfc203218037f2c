"""Endpoints beside the RPCs while all is well: health.md section 1, http.md section 1."""

from tests.e2e.case import ANY_TEXT, Case, Difference, Like, Step, refused
from tests.e2e.rpc import post, put

ALARM = "/v3/maintenance/alarm"
UNKNOWN_ACTION = refused("ends every etcd", "http.md 8", 400, 3, ANY_TEXT)

LEARNER_CHECK = Difference(
    "3.5.16 has no check non_learner",
    "health.md 1",
    body="[+]data_corruption ok\n[+]linearizable_read ok\n[+]non_learner ok\n[+]serializable_read ok\nok\n",
)
LEARNER_ALONE = Difference(
    "3.5.16 has no check non_learner",
    "health.md 1",
    200,
    {"cors": "*", "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff", "date": "present"},
    "ok\n",
)
VERSION = Difference(
    "raftgate answers as 3.6, with its own version beside it",
    "design 2, http.md 1",
    body={
        "etcdserver": Like(r"3\.6\.[0-9]+"),
        "etcdcluster": "3.6.0",
        "storage": "3.6.0",
        "raftgate": Like(r"[0-9]+\.[0-9]+\.[0-9]+.*"),
    },
)

METRICS = Difference(
    "the parameter escaping depends on the library's age",
    "metrics.md 1",
    headers={"content-type": Like(r"text/plain; version=0\.0\.4; charset=utf-8(; escaping=underscores)?")},
)


def _metrics(method: str, path: str = "/metrics", **headers: str) -> Step:
    return Step(method, path).with_headers(**headers).without_body().differs(METRICS)


def _each(method: str, *paths: str) -> list[Step]:
    return [Step(method, path) for path in paths]


CASES = [
    Case("health", _each("GET", "/health", "/health?", "/health?x=y"), rows=("http-1-health",)),
    Case(
        "health, serializable",
        _each("GET", "/health?serializable=true", "/health?serializable=1", "/health?serializable="),
    ),
    Case(
        "health, alarms left out",
        _each("GET", "/health?exclude=NOSPACE", "/health?exclude=NOSPACE&exclude=CORRUPT", "/health?exclude=FOO"),
        rows=("http-1-health-exclude",),
    ),
    Case(
        "livez",
        _each(
            "GET",
            "/livez",
            "/livez?verbose",
            "/livez?verbose=false",
            "/livez?exclude=serializable_read",
            "/livez?exclude=x",
        ),
        rows=("http-1-livez", "http-1-livez-checks"),
    ),
    Case(
        "checks left out in words",
        [
            step.in_any_order()
            for step in _each(
                "GET",
                "/livez?exclude=serializable_read&verbose",
                "/readyz?verbose&exclude=linearizable_read&exclude=non_learner&exclude=data_corruption",
                "/readyz?verbose&exclude=non_learner",
            )
        ],
        rows=("http-1-livez", "http-1-probe-verbose"),
    ),
    Case(
        "readyz",
        _each("GET", "/readyz", "/readyz?exclude=data_corruption", "/readyz?exclude=data_corruption&exclude=x"),
        rows=("http-1-livez",),
    ),
    Case(
        "readyz in words",
        [Step("GET", "/readyz?verbose").in_any_order().differs(LEARNER_CHECK)],
        rows=("http-1-readyz-checks", "http-1-probe-verbose"),
    ),
    Case(
        "one check",
        _each(
            "GET",
            "/livez/serializable_read",
            "/readyz/data_corruption",
            "/readyz/serializable_read",
            "/readyz/linearizable_read",
        ),
        rows=("http-1-one-check",),
    ),
    Case("one check in words", _each("GET", "/livez/serializable_read?verbose", "/readyz/data_corruption?verbose")),
    Case("the check that 3.6 adds", [Step("GET", "/readyz/non_learner").differs(LEARNER_ALONE)]),
    Case(
        "an unknown check",
        _each("GET", "/livez/x", "/readyz/x", "/livez/linearizable_read", "/livez/", "/readyz/", "/health/x"),
        rows=("http-1-one-check",),
    ),
    Case(
        "health by HEAD",
        _each("HEAD", "/health", "/livez", "/readyz", "/version", "/livez/serializable_read"),
        rows=("http-1-plain-method",),
    ),
    Case(
        "health by POST",
        _each("POST", "/health", "/livez", "/readyz", "/version", "/readyz/data_corruption"),
        rows=("http-1-plain-method",),
    ),
    Case(
        "health by PUT and DELETE", [*_each("PUT", "/health"), *_each("DELETE", "/version"), *_each("PATCH", "/livez")]
    ),
    Case("a slash at the end", _each("GET", "/health/", "/version/", "/metrics/")),
    Case(
        "version",
        [Step("GET", "/version").differs(VERSION), Step("GET", "/version?x=y").differs(VERSION)],
        rows=("http-1-version",),
    ),
    Case("metrics", [_metrics("GET"), _metrics("GET", "/metrics?x=y")], rows=("http-1-metrics",)),
    Case("metrics by HEAD", [_metrics("HEAD")], rows=("http-1-plain-method",)),
    Case(
        "metrics compressed",
        [_metrics("GET", Accept_Encoding="gzip"), _metrics("GET", Accept_Encoding="br, gzip;q=0.5")],
        rows=("http-1-metrics",),
    ),
    Case(
        "one check left out",
        _each(
            "GET",
            "/livez/serializable_read?exclude=serializable_read",
            "/readyz/data_corruption?verbose&exclude=data_corruption",
            "/readyz/data_corruption?verbose&exclude=serializable_read",
        ),
    ),
    Case(
        "debug vars",
        [step.without_body() for step in _each("GET", "/debug/vars", "/debug/vars?x=y")],
        rows=("http-1-debug-vars",),
    ),
    Case("debug vars by another method", [*_each("POST", "/debug/vars"), *_each("HEAD", "/debug/vars")]),
    Case(
        "what --enable-pprof would open",
        _each("GET", "/debug/pprof/", "/debug/requests", "/debug"),
        rows=("http-1-debug-vars",),
    ),
    Case(
        "no token is looked at",
        [Step("GET", path, None, {"Authorization": "x"}) for path in ("/health", "/livez", "/readyz")],
        rows=("http-1-no-token",),
    ),
    Case("no alarms", [post(ALARM, b'{"action":"GET"}'), post(ALARM, b"{}"), put(b"a")], rows=("http-1-path-alarm",)),
    Case(
        "an alarm action that is none",
        [post(ALARM, b'{"action":9}').never_to_etcd(UNKNOWN_ACTION), post(ALARM)],
        rows=("http-8-alarm-action",),
    ),
    Case("no alarms of one kind", [post(ALARM, b'{"action":"GET","alarm":"NOSPACE"}')]),
]
