# SPDX-License-Identifier: MIT
"""After the last second of a signed and of an unsigned 32-bit clock everything is as it was: nothing spins, TLS trusts
what is still valid, and dates are right."""
import datetime
import json

import pytest
from harness.certificates import DAY, Authority
from harness.chain import assert_serves
from harness.preloads import Clock
from harness.process import CLIENT_PROGRAM, run
from harness.tunnel import Tunnel, make_invite

pytestmark = pytest.mark.native_relay("it is about the clock of our programs")

# The day after the last second of each: 2^31 and 2^32 seconds after 1970.
LATE = {2038: datetime.datetime(2038, 1, 20), 2106: datetime.datetime(2106, 2, 8)}
# Each program arms its timer at the start, and anew when the clock of the machine is set, which does not happen often.
FEW = 100
SERVED = 20


@pytest.mark.parametrize("year", LATE)
def test_nothing_changes(year, tmp_path):
    clock = Clock(tmp_path)
    clock.shift(int((LATE[year] - datetime.datetime.utcnow()).total_seconds()))
    authority = Authority(tmp_path / "authority", lifetime=200 * 365 * DAY)
    with clock.loaded():
        chain = Tunnel(tmp_path, authority)
        try:
            for _ in range(SERVED):
                assert_serves(chain.proxy)
            make_invite(chain.exit, "late", "--expires", "30d")
            chain.add_client("guest", link=make_invite(chain.exit, "guest", "--expires", "1d"))
            listed = json.loads(run([CLIENT_PROGRAM, "invites", "--json", "--state-dir", chain.exit.state]).stdout)
            late = next(invite for invite in listed if invite["name"] == "late")
            created, expires = (datetime.datetime.fromisoformat(late[name]) for name in ("created", "expires"))
            assert expires - created == 30 * DAY and created.year == year
            assert f"{year}-" in run([CLIENT_PROGRAM, "invites", "--state-dir", chain.exit.state]).stdout
            status = json.loads(run([CLIENT_PROGRAM, "status", "--json", "--state-dir", chain.exit.state]).stdout)
            assert f'"{year}-' in json.dumps(status)
            chain.exit.says(str(year))
            assert 0 < clock.armed() < FEW
            chain.stop()
        finally:
            chain.kill()
