"""A hook of MkDocs: links of pages to files of the repository outside `docs` become links to the repository."""

import pathlib
import re

DOCS = pathlib.Path(__file__).resolve().parent.parent / "docs"
LINK = re.compile(r"(?<!!)\]\((\.\./[^)#\s]*)(#[^)\s]*)?\)")


def on_page_markdown(markdown, page, config, files):
    def link(match):
        target = (DOCS / page.file.src_uri).parent.joinpath(match[1]).resolve()
        if target.is_relative_to(DOCS):
            return match[0]
        if not target.exists():
            raise SystemExit(f"site: {page.file.src_uri} links to {match[1]}, which is not there")
        kind = "tree" if target.is_dir() else "blob"
        return f"]({config.repo_url}/{kind}/main/{target.relative_to(DOCS.parent)}{match[2] or ''})"

    return LINK.sub(link, markdown)
