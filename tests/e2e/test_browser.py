# SPDX-License-Identifier: MIT
"""A page with 30 resources in headless Chromium through the tunnel, under a name that only the exit resolves
(Chromium bypasses proxies for loopback names and addresses): by SOCKS5, by HTTP, and by the proxy's own PAC file."""
import re

import pytest
from conftest import SITE
from harness.process import clean_environment, run

EACH = 10  # style sheets, scripts and images

PAGE = """<!doctype html><html><head><title>thirty</title>
{styles}{scripts}</head><body>{images}
<script>
addEventListener("load", () => {{
  const rules = [...document.styleSheets].reduce((sum, sheet) => sum + sheet.cssRules.length, 0);
  const images = [...document.images].filter(image => image.naturalWidth === 7).length;
  document.body.setAttribute("data-loaded", `styles=${{rules}} scripts=${{window.ran || 0}} images=${{images}}`);
}});
</script></body></html>
"""

IMAGE = '<svg xmlns="http://www.w3.org/2000/svg" width="7" height="7"><rect width="7" height="7"/></svg>'


def write_page(root):
    numbers = range(EACH)
    for n in numbers:
        (root / f"style{n}.css").write_text(f".c{n} {{ color: red }}\n" + f"/* {'x' * 20000} */")
        (root / f"script{n}.js").write_text(f"window.ran = (window.ran || 0) + 1; // {'y' * 50000}\n")
        (root / f"image{n}.svg").write_text(IMAGE)
    (root / "thirty.html").write_text(PAGE.format(
        styles="".join(f'<link rel="stylesheet" href="style{n}.css">' for n in numbers),
        scripts="".join(f'<script src="script{n}.js"></script>' for n in numbers),
        images="".join(f'<img src="image{n}.svg">' for n in numbers)))


WAYS = {"socks5": "--proxy-server=socks5://{}", "http": "--proxy-server=http://{}",
        "pac": "--proxy-pac-url=http://{}/proxy.pac"}


def chromium(proxy_option, profile, url):
    return run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--disable-dev-shm-usage", f"--user-data-dir={profile}", proxy_option,
                "--virtual-time-budget=20000", "--dump-dom", url],
               seconds=120, env=clean_environment(HOME=str(profile)))


@pytest.mark.parametrize("way", WAYS)
def test_page_with_thirty_resources(tunnel, web, dns, tmp_path, way):
    write_page(web.root)
    before, asked_before = len(web.requests()), len(dns.asked)
    shown = chromium(WAYS[way].format(tunnel.proxy_text), tmp_path / "profile",
                     f"http://{SITE}:{web.http_port}/thirty.html")
    loaded = re.search(r'data-loaded="([^"]*)"', shown.stdout)
    assert loaded, shown.stdout[-2000:] + shown.stderr[-2000:]
    assert loaded[1] == f"styles={EACH} scripts={EACH} images={EACH}"
    fetched = {line.split()[1] for line in web.requests()[before:]}
    wanted = {f"/{kind}{n}.{ext}" for kind, ext in (("style", "css"), ("script", "js"), ("image", "svg"))
              for n in range(EACH)}
    assert wanted <= fetched
    assert SITE in {name for name, _ in dns.asked[asked_before:]}, "the name was resolved at the exit"
