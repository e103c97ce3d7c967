# SPDX-License-Identifier: MIT
"""Programs that take an HTTP proxy: git, against its own HTTP server, and apt, against a repository of one package."""
import hashlib
import http.server
import os
import subprocess
import threading

import pytest
from conftest import SITE
from harness.process import clean_environment, run


def done(argv, **options):
    got = run(argv, **options)
    assert got.returncode == 0, f"{argv}: {got.stdout[-2000:]}{got.stderr[-2000:]}"
    return got.stdout


# --- git ---


class GitHandler(http.server.BaseHTTPRequestHandler):
    """git-http-backend(1) as a CGI program."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, path, dict(self.headers)))
        environment = clean_environment(
            GIT_PROJECT_ROOT=str(self.server.root), GIT_HTTP_EXPORT_ALL="1", REQUEST_METHOD=self.command,
            PATH_INFO=path, QUERY_STRING=query, CONTENT_LENGTH=str(len(body)),
            CONTENT_TYPE=self.headers.get("Content-Type", ""), GIT_PROTOCOL=self.headers.get("Git-Protocol", ""),
            HTTP_CONTENT_ENCODING=self.headers.get("Content-Encoding", ""))
        answer = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=True)
        header, _, content = answer.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in header.decode().splitlines())
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in {**fields, "Transfer-Encoding": "chunked"}.items():
            self.send_header(name, value)
        self.end_headers()
        for at in range(0, len(content), 1000):
            piece = content[at:at + 1000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def git_server(tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), GitHandler)
    server.root, server.seen = tmp_path / "served", []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_git_clone(tunnel, git_server, tmp_path):
    identity = {f"GIT_{who}_{what}": "x@test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = clean_environment(HOME=str(tmp_path), GIT_CONFIG_NOSYSTEM="1", GIT_TERMINAL_PROMPT="0", **identity)
    work = tmp_path / "work"
    done(["git", "init", "-q", "-b", "main", work], env=environment)
    (work / "random").write_bytes(os.urandom(300_000))
    (work / "text").write_text("carried by git\n")
    for step in (["add", "."], ["commit", "-q", "-m", "one"]):
        done(["git", "-C", work, *step], env=environment)
    done(["git", "clone", "-q", "--bare", work, git_server.root / "project.git"], env=environment)

    url = f"http://{SITE}:{git_server.server_address[1]}/project.git"
    proxy = f"http.proxy=http://{tunnel.proxy_text}"
    done(["git", "-c", proxy, "clone", "-q", url, tmp_path / "copy"], env=environment)
    for name in ("random", "text"):
        assert (tmp_path / "copy" / name).read_bytes() == (work / name).read_bytes()
    assert {command for command, _, _ in git_server.seen} == {"GET", "POST"}
    for _, _, fields in git_server.seen:
        assert not {"proxy-connection", "via", "forwarded", "x-forwarded-for"} & {name.lower() for name in fields}


# --- apt ---


@pytest.fixture
def repository(web, tmp_path):
    """A flat repository with the package zks-example."""
    folder = web.root / "repository"
    control = tmp_path / "package" / "DEBIAN"
    control.mkdir(parents=True)
    folder.mkdir(exist_ok=True)
    fields = ("Package: zks-example\nVersion: 1.0\nArchitecture: all\nMaintainer: test <test@test.invalid>\n"
              "Description: what apt fetches\n")
    (control / "control").write_text(fields)
    deb = folder / "zks-example.deb"
    done(["dpkg-deb", "--build", control.parent, deb])
    packages = (fields + f"Filename: ./{deb.name}\nSize: {deb.stat().st_size}\n"
                f"SHA256: {hashlib.sha256(deb.read_bytes()).hexdigest()}\n\n").encode()
    (folder / "Packages").write_bytes(packages)
    (folder / "Release").write_text(f"Date: Wed, 01 Jan 2020 00:00:00 UTC\nSHA256:\n "
                                    f"{hashlib.sha256(packages).hexdigest()} {len(packages)} Packages\n")
    return folder


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
def test_apt(tunnel, web, repository, tmp_path, scheme):
    for name in ("state/lists/partial", "cache/archives/partial"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "status").touch()
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] http://{SITE}:{web.http_port}/repository ./\n")
    config = tmp_path / "apt.conf"  # instead of the machine's own
    config.write_text(f'Dir::Etc::Main "/dev/null"; Dir::Etc::Parts "/dev/null"; Dir::Etc::SourceParts "/dev/null";\n'
                      f'Dir::Etc::SourceList "{tmp_path}/sources.list"; Dir::State "{tmp_path}/state";\n'
                      f'Dir::State::Status "{tmp_path}/status"; Dir::Cache "{tmp_path}/cache";\n'
                      'APT::Sandbox::User "root";\n')
    apt = ["apt-get", "-o", f"Acquire::http::Proxy={scheme}://{tunnel.proxy_text}"]
    environment = clean_environment(APT_CONFIG=str(config), LC_ALL="C")
    done([*apt, "update"], env=environment)
    done([*apt, "download", "zks-example"], env=environment, cwd=tmp_path)
    (fetched,) = tmp_path.glob("zks-example*.deb")
    assert fetched.read_bytes() == (repository / "zks-example.deb").read_bytes()
