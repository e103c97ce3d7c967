# SPDX-License-Identifier: MIT
"""What mkdocs does otherwise than the repository's web page, made the same: the names of headings, and links to folders."""
import re
from pathlib import Path

LINK = re.compile(r"(\[[^\]]*\])\(([^)\s#:]*)(?:#([^)\s]*))?\)")
REPEATED = re.compile(r"^(.+)-(\d+)$")


def slug(heading, separator):
    """As the repository's web page names a heading: nothing is put together that a sign stood between."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", separator)


def on_config(config):
    config["mdx_configs"]["toc"] = {"slugify": slug}
    return config


def headings(text):
    without_code = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return [slug(re.sub(r"[`*]", "", heading), "-") for heading in re.findall(r"^#+ +(.*)$", without_code, re.M)]


def on_page_markdown(markdown, page, config, files):
    here = Path(page.file.abs_src_path).parent

    def mended(found):
        text, path, anchor = found.groups()
        target = here / path if path else Path(page.file.abs_src_path)
        if path.endswith("/") or target.is_dir():
            if not (target / "README.md").exists():
                return text[1:-1]  # a folder without a page of its own
            path, target = f"{path.rstrip('/')}/README.md", target / "README.md"
        if anchor and (again := REPEATED.match(anchor)) and target.suffix == ".md" and target.exists():
            # The second heading of one name is NAME-1 there and NAME_1 here.
            if headings(target.read_text()).count(again[1]) > int(again[2]):
                anchor = f"{again[1]}_{again[2]}"
        return f"{text}({path}{'#' + anchor if anchor else ''})"

    parts = re.split(r"(^```.*?^```|`[^`\n]*`)", markdown, flags=re.M | re.S)
    return "".join(part if at % 2 else LINK.sub(mended, part) for at, part in enumerate(parts))
