# SPDX-License-Identifier: MIT
"""Looks at the finished site: links to headings that are not there, what a page would load from elsewhere, and Markdown
that is read in one way by the repository's web page and in another by mkdocs.

    docs/site/look.py SITE
"""
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.loaded, self.unread, self.within = set(), [], [], [], []
        self.feed(path.read_text())

    def handle_data(self, data):
        if "pre" not in self.within:  # a list without an empty line before it, a fence that is indented
            self.unread += re.findall(r"(?m)^(?:- .*|.*```.*)$", data)

    def handle_endtag(self, tag):
        if tag in self.within:
            del self.within[len(self.within) - 1 - self.within[::-1].index(tag):]

    def handle_starttag(self, tag, attributes):
        self.within.append(tag)
        values = dict(attributes)
        self.ids.update(filter(None, (values.get("id"), values.get("name"))))
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        for name in ("src", "srcset", "href"):
            if values.get(name) and tag != "a" and values.get("rel") != "canonical":
                self.loaded.append(values[name])


def main(root):
    pages = {path: Page(path) for path in root.rglob("*.html")}
    faults = []
    for path, page in pages.items():
        faults += [f"{path.relative_to(root)}: mkdocs does not read {text!r}" for text in page.unread]
        for link in page.links + page.loaded:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loaded:
                    faults.append(f"{path.relative_to(root)} loads {link}")
                continue
            base = root if parts.path.startswith("/") else path.parent
            target = (base / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                faults.append(f"{path.relative_to(root)}: {link} leads nowhere")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
                faults.append(f"{path.relative_to(root)}: {link}, no such heading")
    for fault in faults:
        print(f"docs: {fault}", file=sys.stderr)
    return 1 if faults or not pages else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
