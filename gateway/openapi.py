"""The published contract: what each path takes and answers, as OpenAPI.

Its source is openapi.yaml at the top of the repository; the JSON form beside this module is made from it, so that
an installed raftgate has it and no YAML is parsed at start.
"""

from pathlib import Path

from gateway.replies import JSON, Reply, make_reply

DOCUMENT = Path(__file__).with_name("openapi.json")


def load_contract() -> Reply:
    """Reads the document, once for all answers."""
    return make_reply(200, JSON, DOCUMENT.read_bytes())
