"""Ways to spoil a good document: each takes its text, another good one and dice, and returns a bad document."""

import re


def sentences(text):
    return [s for s in re.split(r"(?<=[.?!;:])\s+|\n+", text) if s.strip()]


def clauses(text):
    """Sentences, and long ones cut again at commas, so that shuffling is felt even in a text of two sentences."""
    for sentence in sentences(text):
        yield from re.split(r"(?<=,)\s+", sentence) if len(sentence) > 120 else [sentence]


def shuffled_sentences(text, other, dice):
    """All clauses in another order."""
    parts = list(clauses(text))
    mixed = dice.shuffled(parts)
    while mixed == parts and len(parts) > 1:
        mixed = dice.shuffled(parts)
    return " ".join(mixed)


def shuffled_words(text, other, dice):
    """Words in another order inside windows of a dozen: the subject stays, the sense goes. Lines stay lines."""
    lines = []
    for line in text.split("\n"):
        words, size = line.split(" "), dice.between(8, 14)
        lines.append(" ".join(w for i in range(0, len(words), size) for w in dice.shuffled(words[i : i + size])))
    return "\n".join(lines)


HEADS = [
    "Home > Articles > Archive > Page 3", "Skip to main content\nSearch this site\nMenu", "Home | News | Forum | Shop | Contact | Log in",
    "Advertisement\nContinue reading below", "Posted by admin on Tuesday | 0 comments | Print | E-mail", "Share Tweet Pin it Mail\n1.2k shares",
    "We use cookies to give you the best experience. Accept all | Settings", "Subscribe now for only 1 a week! Log in | Register",
]  # fmt: skip
TAILS = [
    "Related articles\n10 tricks you did not know\nWhat happened next will surprise you\nMost read this week", "Leave a reply\nName * E-mail * Website\nPost comment",
    "Tags: general, reading, archive, tips, best of", "© All rights reserved. Terms of use | Privacy policy | Imprint | Sitemap", "« Previous post Next post »\nBack to top",
    "Sign up for our newsletter!\nYour e-mail address\nSubscribe", "Popular tags: news tips home travel money health\nFollow us: Facebook Twitter RSS",
    "Did you find this page useful? Yes No\nThank you for your feedback!", "You may also like\nShop now\nSponsored links by partners\nHide this ad",
    "Recent comments\nguest: nice post!!\nadmin: thanks", "About us | Careers | Press | Advertise | Help | Contact us | Stores",
]  # fmt: skip


def boilerplate_around(text, other, dice):
    """A third of the document, from its middle, inside what a page's template puts around it."""
    parts = sentences(text)
    keep = max(1, len(parts) // 3)
    start = dice.below(len(parts) - keep + 1)
    kept = " ".join(parts[start : start + keep])
    out = [dice.one(HEADS), dice.one(HEADS), kept]
    for tail in dice.shuffled(TAILS):
        if sum(len(part) + 1 for part in out) + len(tail) // 2 > len(text):
            break
        out.append(tail)
    return "\n".join(out)


def repeated_lines(text, other, dice):
    """The first sentences again and again, as when a template repeats its parts."""
    parts = [part[:160] for part in sentences(text)][: dice.between(2, 3)]
    out, length = [], 0
    while length < len(text):
        part = dice.one(parts)
        out.append(part)
        length += len(part) + 1
    return "\n".join(out)[: len(text)]


def mangled_encoding(text, other, dice):
    """Accented and typographic signs as UTF-8 read as another encoding, once or twice, and lost characters."""
    vowels = {"a": "ä", "e": "é", "o": "ö", "u": "ü", "i": "í"}
    share = 0.5 + dice.between(0, 100) / 200
    text = text[: int(len(text) * 0.86)].replace("'", "\u2019").replace('"', "\u201d").replace(" - ", " \u2013 ")
    accented = "".join(vowels[c] if c in vowels and dice.sometimes(0.2 * share) else c for c in text)
    garbled = accented.encode("utf-8").decode("cp1252", "replace")
    if dice.sometimes(0.4):
        garbled = garbled.encode("utf-8").decode("cp1252", "replace")
    if dice.sometimes(0.5):
        garbled = garbled.replace("&", "&amp;amp;").replace(", ", "&nbsp;, ")
    return "".join("\ufffd" if dice.sometimes(0.015) else c for c in garbled)


BAIT = ["cheap", "best", "buy", "online", "price", "review", "near me", "discount", "free", "deals", "2024", "top 10", "for sale", "guide"]


def keyword_stuffing(text, other, dice):
    """The document's own long words as search phrases, strewn into what is left of its sentences."""
    words = sorted({w.lower() for w in re.findall(r"[A-Za-z]{6,}", text)}) or ["things"]
    subjects = dice.some(words, min(3, len(words)))
    out, length = [], 0
    for part in dice.shuffled(sentences(text)):
        phrases = [dice.one([f"{dice.one(BAIT)} {s}", f"{s} {dice.one(BAIT)}", s]) for s in (dice.one(subjects) for _ in range(dice.between(3, 7)))]
        piece = dice.one([", ", " "]).join(phrases)
        out.append(dice.one([f"{piece}.", f"{part[:70]} {piece}.", f"{part[:50]} - {piece}"]))
        length += len(out[-1]) + 1
        if length > 0.9 * len(text):
            break
    while length < 0.85 * len(text):
        out.append(" ".join(f"{dice.one(BAIT)} {dice.one(subjects)}" for _ in range(6)))
        length += len(out[-1]) + 1
    return " ".join(out)


def cut_and_joined(text, other, dice):
    """Pieces of two documents in turn, cut in the middle of words and joined without a seam."""
    size, out = len(text) // dice.between(4, 6), ""
    for turn, start in enumerate(range(0, len(text), size)):
        source = text if turn % 2 == 0 else other
        at = min(start + dice.between(0, 20), max(0, len(source) - size))
        out += source[at : at + size]
    return out[: len(text)]


FILLER = [
    "something very important", "many different things", "a number of factors", "various aspects", "an amazing experience", "the right solution for you",
    "a wide range of options", "what everyone is talking about", "some of the best ideas", "quality and value", "all kinds of people", "a lot of benefits",
    "different ways", "the world of today", "a unique approach", "your personal needs", "more than you think", "the latest trends",
]  # fmt: skip
EMPTY = [
    "It is important to keep this in mind.", "There are many things to consider.", "This can make a big difference.", "Everyone is different, so results may vary.",
    "In this day and age this matters more than ever.", "With the right approach, anything is possible.", "Let us take a closer look at why that is.",
    "Of course, that is only the beginning.", "At the end of the day it all depends on you.", "Read on to find out more about this topic.",
]  # fmt: skip


def facts_to_filler(text, other, dice):
    """Every figure and name, and the end of most sentences, replaced by phrases that say nothing."""
    out = []
    for part in sentences(text):
        words = part.split()
        if len(words) < 5 or dice.sometimes(0.25):
            out.append(dice.one(EMPTY))
            continue
        kept = [w for w in words[: max(3, len(words) // 3)] if not re.search(r"\d", w)]
        kept = [w if i == 0 or not w[:1].isupper() else "something" for i, w in enumerate(kept)]
        out.append(" ".join(kept).rstrip(",;:.") + " " + dice.one(FILLER) + dice.one(["", "", " and " + dice.one(FILLER)]) + ".")
    text_out = " ".join(out)
    while len(text_out) < 0.85 * len(text):
        text_out += " " + dice.one(EMPTY)
    return text_out


WAYS = {
    "shuffled sentences": shuffled_sentences,
    "shuffled words": shuffled_words,
    "boilerplate around": boilerplate_around,
    "repeated lines": repeated_lines,
    "mangled encoding": mangled_encoding,
    "keyword stuffing": keyword_stuffing,
    "cut and joined": cut_and_joined,
    "facts to filler": facts_to_filler,
}
