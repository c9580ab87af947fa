"""Text as LaTeX sets it."""

import re

from sprec.report.labels import Label

ESCAPES = str.maketrans(
    {mark: f"\\{mark}" for mark in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"|": r"\textbar{}", "<": r"\textless{}", ">": r"\textgreater{}", '"': r"\textquotedbl{}"}
    | {"±": r"$\pm$", "×": r"$\times$", "–": "--", "−": r"$-$", "β": r"$\beta$", "≤": r"$\leq$", "\n": " "}
    | {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "…": r"\ldots{}", "[": "{[}", "]": "{]}", "\0": "{}"}
)


def escape_latex(text: str) -> str:
    """Return text in which no character means anything to LaTeX; a label may have LaTeX of its own.

    >>> escape_latex("[x]–2, --k")
    '{[}x{]}--2, -{}-k'
    """
    if isinstance(text, Label) and text.latex:
        return text.latex
    # LaTeX joins hyphens to a dash, which would change a command's option.
    return re.sub("-(?=-)", "-\0", text).translate(ESCAPES)
