"""Characters that mean something to LaTeX."""

import re

ESCAPES = str.maketrans(
    {mark: f"\\{mark}" for mark in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"|": r"\textbar{}", "<": r"\textless{}", ">": r"\textgreater{}", '"': r"\textquotedbl{}"}
    | {"±": r"$\pm$", "×": r"$\times$", "–": "--", "−": r"$-$", "β": r"$\beta$", "≤": r"$\leq$", "\n": " "}
    | {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "…": r"\ldots{}", "[": "{[}", "]": "{]}", "\0": "{}"}
)


def escape_text(text: str) -> str:
    """Return text in which no character means anything to LaTeX.

    >>> escape_text("[x]–2, --k")
    '{[}x{]}--2, -{}-k'
    """
    # LaTeX joins hyphens to a dash, which would change a command's option.
    return re.sub("-(?=-)", "-\0", text).translate(ESCAPES)
