r"""Formulas in markdown: `$…$`, `$$…$$`, `\(…\)`, `\[…\]` and `\begin{align}…\end{align}` become MathML on the server.

So a formula needs no script and no font, and nothing moves once the page stands. What is no formula stays as it was
written: prices, escaped brackets, shell variables, and LaTeX that the converter does not know or that is broken.
"""

from __future__ import annotations

import re
from html import escape

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from math_core import LatexError, LatexToMathML

LONGEST = 2_000  # characters of one formula: the converter goes down one level a brace, and the stack has an end
MOST = 2_000  # formulas of one text
MAXIMAL_EXPANSIONS = 200

ELEMENTS = {
    "math", "mrow", "mi", "mo", "mn", "mtext", "ms", "mspace", "mfrac", "msqrt", "mroot", "mstyle", "merror", "mpadded",
    "mphantom", "menclose", "msub", "msup", "msubsup", "munder", "mover", "munderover", "mmultiscripts", "mprescripts",
    "mtable", "mtr", "mtd",
}  # fmt: skip
_COMMON = {"displaystyle", "scriptlevel", "mathvariant", "class"}
_OWN = {
    "math": {"display"},
    "mo": {"stretchy", "form", "fence", "separator", "lspace", "rspace", "minsize", "maxsize", "movablelimits", "largeop",
           "symmetric"},
    "mspace": {"width", "height", "depth"},
    "mpadded": {"width", "height", "depth", "lspace", "voffset"},
    "mfrac": {"linethickness"},
    "menclose": {"notation"},
    "mover": {"accent"},
    "munder": {"accentunder"},
    "munderover": {"accent", "accentunder"},
    "mtd": {"columnspan", "rowspan"},
}  # fmt: skip
ATTRIBUTES = {name: _COMMON | _OWN.get(name, set()) for name in ELEMENTS}

BRACKETS = {"(": "\\)", "[": "\\]"}
ENVIRONMENT = re.compile(r"\\begin\{(equation|align|gather|multline|eqnarray|displaymath)(\*?)\}")
SIGN = re.compile(r"[\\^_=+<>|/*-]")  # what nearly every formula longer than a name has
COMMAND = re.compile(r"\\[a-zA-Z]+")
GROUP = re.compile(r"\{[^{}]*\}")
WORD = re.compile(r"[^\W\d_]{3,}")
EMPTY_LINE = re.compile(r"\n[\s>]*?\n")
HUGE = re.compile(r"\d{3,}(?:\.\d+)?\s*(?:em|ex|mu|pt|px|pc|cm|mm|in|bp|sp)\b")
ALIGNED = {"right": "to-right", "left": "to-left"}
STYLE = re.compile(r' style="([^"]*)"')


def add_maths(markdown: MarkdownIt) -> None:
    """Teaches a parser the formulas."""
    markdown.block.ruler.before(
        "code", "maths_block", _block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    markdown.inline.ruler.before("escape", "maths_brackets", _brackets)
    markdown.inline.ruler.after("escape", "maths_dollars", _dollars)
    markdown.add_render_rule("maths", _render)
    markdown.add_render_rule("maths_block", _render)


def to_mathml(latex: str, *, display: bool) -> str | None:
    """MathML for a formula; None if it is broken, unknown, or too much of something."""
    if len(latex) > LONGEST or HUGE.search(latex):
        return None
    converter = LatexToMathML(fancy_error=False, max_expansions=MAXIMAL_EXPANSIONS)
    try:
        return STYLE.sub(_class, converter.convert_with_local_state(latex, displaystyle=display))
    except LatexError:
        return None


def _class(style: re.Match[str]) -> str:
    """The policy forbids styles on elements; of the converter's, the columns' sides matter and become classes."""
    side = re.search(r"text-align: (right|left)", style[1])
    return f' class="{ALIGNED[side[1]]}"' if side else ""


def _render(_renderer: object, tokens: list[Token], index: int, _options: object, env: dict[str, int]) -> str:
    token = tokens[index]
    env["formulas"] = env.get("formulas", 0) + 1
    display = token.type == "maths_block" or bool(token.meta.get("display"))
    mathml = to_mathml(token.content, display=display) if env["formulas"] <= MOST else None
    if mathml is None:
        source = escape(token.markup + token.content + token.info)
        return (
            f'<pre><code class="formula">{source}</code></pre>'
            if token.block
            else f'<code class="formula">{source}</code>'
        )
    if not display:
        return mathml
    tag = "div" if token.block else "span"
    return f'<{tag} class="formula">{mathml}</{tag}>'


def _is_formula(content: str) -> bool:
    """Whether what stands between delimiters reads as a formula, and not as words between brackets or as prices."""
    bare = content.strip()
    if COMMAND.search(bare):
        return True
    if len(WORD.findall(GROUP.sub("", bare))) > 1:
        return False
    return bool(SIGN.search(bare)) or (bare.isalpha() and len(bare) == 1)


def _push(state: StateInline, before: str, content: str, after: str, *, display: bool) -> None:
    token = state.push("maths", "math", 0)
    token.markup, token.content, token.info, token.meta = before, content, after, {"display": display}


def _brackets(state: StateInline, silent: bool) -> bool:
    start, text = state.pos, state.src
    if text[start] != "\\" or text[start + 1 : start + 2] not in BRACKETS:
        return False
    opening = text[start + 1]
    end = text.find(BRACKETS[opening], start + 2, min(state.posMax, start + 2 + LONGEST))
    if end < 0 or not _is_formula(text[start + 2 : end]):
        return False
    if not silent:
        _push(state, "\\" + opening, text[start + 2 : end], BRACKETS[opening], display=opening == "[")
    state.pos = end + 2
    return True


def _dollars(state: StateInline, silent: bool) -> bool:
    start, text = state.pos, state.src
    if text[start] != "$" or (start and (text[start - 1].isalnum() or text[start - 1] == "$")):
        return False
    sign = "$$" if text.startswith("$$", start) else "$"
    begin = start + len(sign)
    end = _closing(text, sign, begin, min(state.posMax, begin + LONGEST))
    if end < 0:
        return False
    content, after = text[begin:end], text[end + len(sign) : end + len(sign) + 1]
    tight = sign == "$$" or (content == content.strip() and not after.isalnum())
    if not tight or not _is_formula(content):
        return False
    if not silent:
        _push(state, sign, content, sign, display=sign == "$$")
    state.pos = end + len(sign)
    return True


def _closing(text: str, sign: str, begin: int, limit: int) -> int:
    """Where the next `sign` stands that no backslash takes away; -1 if there is none."""
    at = text.find(sign, begin, limit)
    while at > 0 and (at - len(text[begin:at].rstrip("\\")) - begin) % 2:
        at = text.find(sign, at + 1, limit)
    return at


def _block(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    r"""A formula of its own lines: `$$` or `\[` to its end, or a whole environment."""
    if state.is_code_block(first):
        return False
    line = _line(state, first)
    environment = ENVIRONMENT.match(line)
    if line.startswith("$$"):
        before, after = "$$", "$$"
    elif line.startswith("\\["):
        before, after = "\\[", "\\]"
    elif environment:
        before, after = "", f"\\end{{{environment[1]}{environment[2]}}}"
    else:
        return False
    begin = state.bMarks[first] + state.tShift[first] + len(before)
    end = state.src.find(after, begin, begin + LONGEST)
    if end < 0 or EMPTY_LINE.search(state.src, begin, end):
        return False
    if _rest_of_line(state.src, end + len(after)).strip() not in ("", ".", ",", ";"):
        return False
    at = first
    while state.eMarks[at] < end:
        at += 1
        if at >= last or state.sCount[at] < state.blkIndent:
            return False
    lines = [line[len(before) :], *(_line(state, number) for number in range(first + 1, at + 1))]
    content = "\n".join(lines).rpartition(after)[0]
    if not environment and not _is_formula(content):
        return False
    if silent:
        return True
    token = state.push("maths_block", "math", 0)
    token.block, token.markup, token.meta = True, before, {}
    token.content, token.info = (content + after, "") if environment else (content, after)
    token.map = [first, at + 1]
    state.line = at + 1
    return True


def _rest_of_line(text: str, start: int) -> str:
    end = text.find("\n", start)
    return text[start : end if end >= 0 else len(text)]


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]].rstrip()
