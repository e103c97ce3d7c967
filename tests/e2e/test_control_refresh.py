# SPDX-License-Identifier: MIT
"""`exit-peer --control-refresh`: the exit registers anew while clients come, and not one of them is turned away."""
import time

import pytest
from harness.chain import said
from harness.tunnel import start_exit, start_relay
from relay_peers import RelayAccess, Room, client_path, scenario

REFRESHES = 3


class RoomOfALink:
    def __init__(self, link):
        self.id = link.room


@pytest.mark.parametrize("refresh", [True, False])
def test_no_knock_is_lost_while_the_control_socket_changes(tmp_path, authority, programs, refresh):
    relay = start_relay(tmp_path, authority.issue())
    programs.append(relay)
    options = ("--control-refresh", "1s", "--log-level", "debug") if refresh else ("--log-level", "debug")
    exit_peer = start_exit(tmp_path, relay.url, *options, ca_file=authority.ca_file)
    programs.append(exit_peer)
    access = RelayAccess(relay.url, authority.ca_file)
    room = RoomOfALink(exit_peer.link())
    begun = time.monotonic()

    def goes_on(joins):
        if refresh:
            assert time.monotonic() - begun < 60, exit_peer.stderr()
            return said(exit_peer, "registered anew") < REFRESHES
        return joins < 10

    async def keep_coming():
        joins = 0
        while goes_on(joins):
            client = await access.connect(client_path(room))
            await client.expect_paired()  # else closed with 4404, or left to wait
            client.drop()
            joins += 1
        return joins

    async def story():
        assert await keep_coming() >= 10
        stranger = await access.client(Room())
        assert await stranger.close_code() == 4404, "a room without an exit says so"

    scenario(story())
    assert said(exit_peer, "trying again") == 0, "being replaced is no error"
    assert said(exit_peer, "registered with relay") == 1
    assert (said(exit_peer, "registered anew") > 0) == refresh
