"""Text as LaTeX sets it."""

from sprec.report.labels import Label
from sprec.report.latex_escapes import escape_text


def escape_latex(text: str) -> str:
    """Return text in which no character means anything to LaTeX; a label may have LaTeX of its own."""
    return text.latex if isinstance(text, Label) and text.latex else escape_text(text)
