# SPDX-License-Identifier: MIT
"""Several lanes at once: streams spread over them, and those of a lane that dies go on over the others, at once."""
import contextlib
import select
import socket
import threading

import pytest
from harness import servers, socks
from harness.chain import LOST, RESUMED, said
from harness.process import wait_until
from harness.transfer import MIB, download, upload, write_random
from harness.tunnel import start_client

JOINED = "a lane joined the session"
MOVED = "a lane is lost"
SILENT = "nothing comes on the lane"
REPLACED = "a lane that was silent is replaced"
GOES_ON = "the lane that was silent goes on"


class Cutter:
    """A TCP forwarder in front of the relay that can cut, or stop reading, single connections. `newcomers`: what it does
    with a new one."""

    def __init__(self, port):
        self._target = port
        self._alive = []  # (near, far, open gate), the oldest first
        self.newcomers = "pass"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        servers.accept_in_background(self._listener, self._forward)

    def _forward(self, near):
        if self.newcomers == "cut":
            return near.close()
        pair = near, socket.create_connection(("127.0.0.1", self._target)), threading.Event()
        if self.newcomers == "pass":
            pair[2].set()
        self._alive.append(pair)
        for source, sink in (pair[:2], pair[1::-1]):
            threading.Thread(target=self._pump, args=(source, sink, pair), daemon=True).start()

    def _pump(self, source, sink, pair):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                pair[2].wait()
                sink.sendall(data)
        self._end(pair)

    def _end(self, pair):
        with contextlib.suppress(ValueError):  # both ways end
            self._alive.remove(pair)
        for end in pair[:2]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def connections(self):
        return len(self._alive)

    def cut(self, index):
        self._end(self._alive[index % len(self._alive)])

    def black_hole(self, index):
        """Nothing passes any more, and nobody is told."""
        self._alive[index][2].clear()

    def open_again(self, index):
        self._alive[index][2].set()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for pair in list(self._alive):
            pair[2].set()
            self._end(pair)


@pytest.fixture
def cut_chain(new_chain, programs):
    """A chain, and a second client whose connections to the relay can be cut one by one."""
    chain = new_chain()
    cutter = Cutter(chain.relay.port)

    def start(lanes):
        link = chain.exit.link().with_(hosts=f"localhost:{cutter.port}")
        client = start_client(chain.directory, link, "--lanes", str(lanes), ca_file=chain.authority.ca_file,
                              name="lanes")
        programs.append(client)
        client.says(JOINED, seconds=20, times=lanes - 1)
        return client

    yield start, cutter
    cutter.close()


def connect(stack, client, count):
    """Connections through the client to a server, as (near end, far end); all of it ends with `stack`."""
    server = stack.enter_context(servers.accepting())
    return [(stack.enter_context(socks.connect(client.proxy, "127.0.0.1", server.port)),
             stack.enter_context(server.next())) for _ in range(count)]


def tick(near, far):
    near.sendall(b"t")
    assert_arrives(near, far)


def assert_arrives(near, far):
    """What `near` has sent already, and an answer."""
    assert socks.read_exactly(far, 1) == b"t"
    far.sendall(b"u")
    assert socks.read_exactly(near, 1) == b"u"


def test_lanes_that_die_one_after_the_other(cut_chain):
    """Ten streams over three lanes: each cut costs none of them a byte, and the lanes come back."""
    start, cutter = cut_chain
    client = start(3)
    with contextlib.ExitStack() as stack:
        ends = connect(stack, client, 10)
        for round_number in range(1, 4):
            cutter.cut(0)
            for near, far in ends:
                tick(near, far)
            client.says(MOVED, seconds=20, times=round_number)
            client.says(JOINED, seconds=20, times=2 + round_number)
    assert said(client, LOST) == 0, "there was always a lane"


def test_a_black_hole_on_one_lane(cut_chain):
    """One of two lanes falls silent: its streams wait for the 2 s in which that is noticed and go on over a new one, those
    of the other are not touched."""
    start, cutter = cut_chain
    client = start(2)
    with contextlib.ExitStack() as stack:
        ends = connect(stack, client, 4)
        cutter.black_hole(0)
        for near, _ in ends:
            near.sendall(b"t")
        wait_until(lambda: len(arrived(ends)) >= 2, 40, "half of the streams were on the other lane")
        assert len(arrived(ends)) == 2 or said(client, SILENT) == 1, "nobody's stream went on before that was noticed"
        for near, far in ends:
            far.settimeout(10)  # less than an end takes to give a lane up
            assert_arrives(near, far)
    client.says(REPLACED)
    assert said(client, MOVED) == said(client, LOST) == 0


def arrived(ends):
    return select.select([far for _, far in ends], [], [], 0)[0]


def test_a_lane_that_is_heard_before_its_successor_goes_on(cut_chain):
    """The only lane falls silent, and so is the one that is made beside it. The first one wakes up: it has lost nothing,
    and the other one is given up."""
    start, cutter = cut_chain
    client = start(1)
    with contextlib.ExitStack() as stack:
        near, far = connect(stack, client, 1)[0]
        cutter.newcomers = "hold"
        cutter.black_hole(0)
        near.sendall(b"t")
        client.says(SILENT, seconds=20)
        wait_until(lambda: cutter.connections() >= 2, 20, "another one is made")
        cutter.open_again(0)
        far.settimeout(40)
        assert_arrives(near, far)
        cutter.newcomers = "pass"
        for index in range(1, cutter.connections()):
            cutter.open_again(index)
        client.says(GOES_ON, seconds=40)
        tick(near, far)
    assert said(client, REPLACED) == said(client, LOST) == 0


def test_attempts_beside_a_silent_lane_get_fewer(cut_chain):
    """Each is cut at once, until the lane is given up after 15 s; the stream goes on all the same."""
    start, cutter = cut_chain
    client = start(1)
    with contextlib.ExitStack() as stack:
        near, far = connect(stack, client, 1)[0]
        cutter.newcomers = "cut"
        cutter.black_hole(0)
        near.sendall(b"t")
        client.says(LOST, seconds=40)
        assert 2 <= said(client, SILENT) <= 20, "one attempt every 0.3 s would be 45"
        cutter.newcomers = "pass"
        far.settimeout(40)
        assert socks.read_exactly(far, 1) == b"t"


@pytest.mark.load
def test_transfers_while_lanes_are_cut_and_renewed(cut_chain, web, full, tmp_path):
    """Both ways at once over three lanes that are renewed every 16 MiB, while one is cut every few MiB."""
    start, cutter = cut_chain
    client = start(3)
    size = (1024 if full else 128) * MIB
    source = web.root / "lanes"
    digest = write_random(source, size)
    transfers = [way(tmp_path, client.proxy, web, source, rate=size // 16) for way in (download, upload)]
    try:
        cuts = 0
        while all(transfer.alive() for transfer in transfers) and cuts < 10:
            cutter.cut(cuts)
            cuts += 1
            wait_until(lambda done=2 + cuts: said(client, JOINED) + said(client, RESUMED) >= done, 30,
                       "the lane is back")
        assert cuts >= 5
        for transfer in transfers:
            transfer.assert_complete(digest, 120)
    finally:
        for transfer in transfers:
            transfer.kill()
            transfer.result.unlink(missing_ok=True)
        source.unlink()
