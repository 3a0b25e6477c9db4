"""Characters that nobody sees but that change what is seen: bidirectional overrides, zero-width signs, control characters.

An answer can hide words with them, or show them in an order in which they were not written. On screen each stands as its
name, ⟨U+202E⟩. Joiners between letters that need them, and inside emoji, stay.
"""

from __future__ import annotations

import re

JOINERS = "\u200c\u200d"
HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u2028\u2029\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e0fff"
    f"]|(?<![^\x00-\u02ff])[{JOINERS}]"
)
FLAG = re.compile("\U0001f3f4[\U000e0061-\U000e007a]{2,6}\U000e007f")  # of England, Scotland ...: spelt with such signs


def hidden_signs(text: str) -> list[tuple[int, int, str]]:
    """What is to be shown instead: (start, end, shown), in code points of `text`, in order."""
    if not HIDDEN.search(text):
        return []
    flags = [flag.span() for flag in FLAG.finditer(text)]
    return [
        (sign.start(), sign.end(), f"⟨U+{ord(sign[0]):04X}⟩")
        for sign in HIDDEN.finditer(text)
        if not any(start <= sign.start() < end for start, end in flags)
    ]
