# SPDX-License-Identifier: MIT
"""The programs of this checkout, and those of the older commit that scripts/build-old built."""
import os
from typing import NamedTuple

import pytest

from .process import CLIENT_PROGRAM, REPOSITORY
from .tunnel import RELAYS

OLD = REPOSITORY / "build" / "old"


class Version(NamedTuple):
    client: str  # the program that is client and exit
    relays: dict  # by kind, as tunnel.RELAYS


VERSIONS = {
    "new": Version(CLIENT_PROGRAM, RELAYS),
    "old": Version(OLD / "build" / "release" / "zks-tunnel-client",
                   {"native": OLD / "build" / "release" / "zks-tunnel-relay", "worker": OLD / "worker" / "serve"}),
}


def require_old(kind):
    """Left out where nobody built it; CI does, unless its clone has no history."""
    built = VERSIONS["old"].client.exists() and (kind != "worker" or (OLD / "worker" / "dist" / "worker.mjs").exists())
    if not built and (not os.environ.get("CI") or (OLD / ".no-history").exists()):
        pytest.skip("scripts/build-old has not built the older programs (with worker/node_modules: the Worker, too)")
    assert built, "scripts/build-old comes before this test"
