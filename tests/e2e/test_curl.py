# SPDX-License-Identifier: MIT
"""curl through the tunnel to nginx: names resolved at the exit and addresses, HTTP and HTTPS, small and large."""
import pytest
from conftest import SITE, SITE_IPV6
from harness.process import run
from harness.transfer import MIB, sha256_of, write_random

PAGE = "<html>forty-two bytes of hypertext</html>\n"


def curl(*arguments, seconds=60):
    return run(["curl", "-sS", "--fail", "--noproxy", "", "--connect-timeout", "15", *arguments], seconds)


@pytest.fixture(scope="module")
def page(web):
    (web.root / "page.html").write_text(PAGE)
    return "page.html"


def test_http_by_name(tunnel, web, dns, page):
    got = curl("--socks5-hostname", tunnel.proxy_text, f"http://{SITE}:{web.http_port}/{page}")
    assert (got.returncode, got.stdout) == (0, PAGE), got.stderr
    assert SITE in {name for name, _ in dns.asked}, "the exit's resolver was asked"


def test_https_by_name(tunnel, web, authority, page):
    got = curl("--socks5-hostname", tunnel.proxy_text, "--cacert", authority.ca_file,
               f"https://{SITE}:{web.https_port}/{page}")
    assert (got.returncode, got.stdout) == (0, PAGE), got.stderr


def test_http_by_address(tunnel, web, page):
    got = curl("--socks5", tunnel.proxy_text, f"http://127.0.0.1:{web.http_port}/{page}")
    assert (got.returncode, got.stdout) == (0, PAGE), got.stderr


def test_https_by_address(tunnel, web, authority, page):
    got = curl("--socks5", tunnel.proxy_text, "--cacert", authority.ca_file,
               f"https://127.0.0.1:{web.https_port}/{page}")
    assert (got.returncode, got.stdout) == (0, PAGE), got.stderr


def test_ipv6_by_address_and_by_name(tunnel, web, page):
    for url in (f"http://[::1]:{web.http6_port}/{page}", f"http://{SITE_IPV6}:{web.http6_port}/{page}"):
        got = curl("--socks5-hostname", tunnel.proxy_text, url)
        assert (got.returncode, got.stdout) == (0, PAGE), got.stderr


def test_many_requests_on_one_connection(tunnel, web, page):
    url = f"http://{SITE}:{web.http_port}/{page}"
    got = curl("--socks5-hostname", tunnel.proxy_text, *[url] * 50)
    assert got.stdout == PAGE * 50, got.stderr


def test_user_and_password(new_tunnel, web, page):
    tunnel = new_tunnel(client_options=("--user", "alice:correct horse"))
    url = f"http://{SITE}:{web.http_port}/{page}"
    right = curl("--socks5-hostname", tunnel.proxy_text, "--proxy-user", "alice:correct horse", url)
    assert (right.returncode, right.stdout) == (0, PAGE), right.stderr
    for credentials in (["--proxy-user", "alice:wrong"], ["--proxy-user", "bob:correct horse"], []):
        wrong = curl("--socks5-hostname", tunnel.proxy_text, *credentials, url)
        assert wrong.returncode == 97 and not wrong.stdout, "97: curl's status for a refusal by the proxy"


@pytest.fixture(scope="module")
def large_file(web, full):
    """A file of random bytes and its SHA-256."""
    path = web.root / "large"
    yield path, write_random(path, (1024 if full else 256) * MIB)
    path.unlink()


@pytest.mark.load
def test_large_download_arrives_unchanged(tunnel, web, authority, large_file, tmp_path):
    path, digest = large_file
    got = curl("--socks5-hostname", tunnel.proxy_text, "--cacert", authority.ca_file,
               f"https://{SITE}:{web.https_port}/{path.name}", "-o", tmp_path / "got", seconds=180)
    assert got.returncode == 0, got.stderr
    assert sha256_of(tmp_path / "got") == digest


@pytest.mark.load
def test_large_upload_arrives_unchanged(tunnel, web, authority, large_file):
    path, digest = large_file
    got = curl("--socks5-hostname", tunnel.proxy_text, "--cacert", authority.ca_file, "-H", "Expect:",
               "-T", path, f"https://{SITE}:{web.https_port}/upload/sent", seconds=180)
    assert got.returncode == 0, got.stderr
    assert sha256_of(web.uploads / "sent") == digest
    (web.uploads / "sent").unlink()
