"""Small drawings of a screen, for the cards of starting points: where its answers and its questions stand.

Numbers only; templates/annotation/builder/picture.html draws them, 160 wide and 100 high, in the colours of the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, EDGE, TOP = 160, 100, 8, 24
PIECE_WIDTH, PIECE_HEIGHT, PIECE_SCALE = 50, 24, 0.7
PIECES_A_LINE = 3


@dataclass(frozen=True)
class Box:
    """An answer."""

    x: int
    width: int
    height: int
    lines: str  # an SVG path


@dataclass(frozen=True)
class Piece:
    """A question."""

    kind: str
    x: int
    y: int
    scale: str


@dataclass(frozen=True)
class Picture:
    boxes: list[Box]
    pieces: list[Piece]


def picture(kinds: Sequence[str], answers: int) -> Picture:
    """`answers` beside each other, below them the questions, at most three a line."""
    lines = -(-len(kinds) // PIECES_A_LINE)
    height = HEIGHT - TOP - lines * PIECE_HEIGHT - 8
    boxes = []
    if answers:
        width = (WIDTH - 2 * EDGE - 4 * (answers - 1)) // answers
        text = "".join(
            f"M4 {y}h{(width - 8) * (3 if at % 3 == 2 else 5) // 5}" for at, y in enumerate(range(6, height - 2, 6))
        )
        boxes = [Box(EDGE + at * (width + 4), width, height, text) for at in range(answers)]
    large = not answers and len(kinds) < PIECES_A_LINE
    scale = 1.0 if large else PIECE_SCALE
    pieces = [
        Piece(
            kind,
            EDGE + (at % PIECES_A_LINE) * (68 if large else PIECE_WIDTH),
            (40 if large else HEIGHT - 4 - (lines - at // PIECES_A_LINE) * PIECE_HEIGHT),
            f"{scale}",
        )
        for at, kind in enumerate(kinds)
    ]
    return Picture(boxes, pieces)
