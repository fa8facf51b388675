"""Makes bad documents out of good excerpts, and near duplicates out of anything."""

import re


def sentences(text):
    return [s for s in re.split(r"(?<=[.?!;:])\s+", " ".join(text.split())) if s]


def shuffled_sentences(text, dice):
    return " ".join(dice.shuffled(clauses(text[: dice.between(450, 1150)])))


def clauses(text):
    """Sentences, and long ones cut again at commas, so that shuffling is felt."""
    for sentence in sentences(text):
        yield from re.split(r"(?<=,)\s+", sentence) if len(sentence) > 160 else [sentence]


def shuffled_words(text, dice):
    """Words in another order inside windows of a dozen, which keeps the subject and destroys the sense."""
    words = text[: dice.between(400, 1000)].split()
    size = dice.between(8, 14)
    return " ".join(w for i in range(0, len(words), size) for w in dice.shuffled(words[i : i + size]))


def repeated_lines(text, dice):
    """A page whose template repeats its parts."""
    parts = [part[:140] for part in sentences(text) if len(part) > 25][: dice.between(2, 4)]
    out = []
    for _ in range(dice.between(2, 3)):
        for part in parts:
            out += [part] * dice.between(1, 2)
    return "\n".join(out)


def mangled_encoding(text, dice):
    """UTF-8 read as another encoding, with typographic signs everywhere, and lost characters."""
    text = text[: dice.between(350, 800)].replace("'", "\u2019").replace(" - ", " \u2013 ").replace('"', "\u201d")
    vowels = {"a": "ä", "e": "é", "o": "ö", "u": "ü", "i": "í"}
    accented = "".join(vowels[c] if c in vowels and dice.sometimes(0.22) else c for c in text)
    garbled = accented.encode("utf-8").decode("cp1252", "replace")
    if dice.sometimes(0.4):
        garbled = garbled.encode("utf-8").decode("cp1252", "replace")
    if dice.sometimes(0.5):
        garbled = garbled.replace("\n", " ").replace("&", "&amp;amp;").replace(", ", "&nbsp;, ")
    return "".join("\ufffd" if dice.sometimes(0.015) else c for c in garbled)


CONFUSED = {
    "m": "rn", "e": "c", "l": "1", "o": "0", "h": "li", "d": "cl", "w": "vv", "a": "u",
    "i": "j", "s": "5", "t": "f", "n": "ri", "u": "ii", "b": "6", "g": "9", "c": "(",
}  # fmt: skip


def optical_recognition(text, dice):
    """A bad scan: letters confused, hyphens at line ends, a running head in between, stray marks."""
    out, column = [], 0
    head = f"\n{dice.between(2, 390)}  {' '.join(text.split()[:3]).upper()}.\n"
    at_head = dice.between(25, 50)
    for count, word in enumerate(text[: dice.between(350, 900)].split()):
        noisy = "".join(CONFUSED[c] if c in CONFUSED and dice.sometimes(0.13) else c for c in word)
        if dice.sometimes(0.08):
            noisy = dice.one(["^", "|", ".", "~", "'", "»", "*", "\\"]) + noisy
        if dice.sometimes(0.07) and len(noisy) > 6:
            cut = len(noisy) // 2
            noisy = noisy[:cut] + dice.one(["-\n", "- ", " "]) + noisy[cut:]
        out.append(head if count == at_head else noisy)
        column += len(noisy) + 1
        out.append("\n" if column > 58 else " ")
        column = 0 if column > 58 else column
    return "".join(out).strip()


def cut_and_joined(first, second, dice):
    """Two pages cut in the middle of a word and joined without a seam, twice."""
    first, second = " ".join(first.split()), " ".join(second.split())
    a, b = len(first) * dice.between(30, 45) // 100, len(second) * dice.between(40, 60) // 100
    c = a + len(first) * dice.between(10, 20) // 100
    return first[:a] + second[b : b + 170] + first[c : c + 150] + second[b + 220 :][:130]


BEFORE = [
    "Share this article: Facebook | Twitter | E-mail | Print",
    "You are here: Home > Articles > Archive",
    "Skip to main content",
    "Posted by admin on Tuesday | 0 comments",
    "[This text was originally published elsewhere and is reprinted here.]",
]
AFTER = [
    "Read more like this in our archive.",
    "© All rights reserved. Terms of use | Privacy policy",
    "Tags: general, reading, archive",
    "Did you find this page useful? Yes / No",
    "Next page >>",
    "Filed under: Uncategorized. Leave a comment.",
]
WORDS = [
    (" because ", " since "), (" often ", " frequently "), (" about ", " around "), (" large ", " big "),
    (" begin", " start"), (" many ", " numerous "), (" however", " though"),
    (" use ", " utilise "), (" several ", " a number of "), (" you will ", " you'll "), (" can be ", " may be "),
    (" our ", " the "), (" very ", " quite "), (" which ", " that "), (" do not ", " don't "),
]  # fmt: skip


def near_copy(text, dice, turn):
    """The same document as another site would show it; copies with another `turn` differ from each other."""
    edited = text
    way = turn % 5
    if way in (0, 3):
        edited = dice.one(BEFORE) + "\n" + edited
    if way in (1, 3, 4):
        edited = edited + "\n" + dice.one(AFTER)
    if way in (2, 4):
        for old, new in dice.shuffled(WORDS):
            if old in edited:
                edited = edited.replace(old, new, 1)
        edited = edited.replace("\n", " ") if dice.sometimes(0.3) and ">>>" not in edited else edited
    if way == 2:
        parts = edited.rsplit(". ", 1)
        if len(parts) == 2 and len(parts[1]) < 0.2 * len(edited):
            edited = parts[0] + "."
    if edited == text:
        edited = text.replace("'", "\u2019") + "\n" + dice.one(AFTER)
    return edited.strip()
