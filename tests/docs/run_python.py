"""Runs Python examples in this process, as the main module: `python run_python.py plan.json`.

The plan is a list of `{"page", "line", "code"}`, run one after the other in the same names. A comment behind a
`print(...)` must be what it prints. `await` may stand outside a function, as in a notebook.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import inspect
import io
import json
import sys
import tokenize
from pathlib import Path
from typing import Any

from fences import matches


def main() -> int:
    names: dict[str, Any] = {"__name__": "__main__"}
    wrong: list[str] = []
    for part in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        source = "\n" * (part["line"] - 1) + part["code"]
        wrong += run(part["page"], source, names)
    for line in wrong:
        sys.stderr.write(line + "\n")
    return 1 if wrong else 0


def run(page: str, source: str, names: dict[str, Any]) -> list[str]:
    expected = expected_prints(source)
    printed: dict[int, list[str]] = {}
    plain_print = builtins.print

    def noting_print(*values: object, **options: Any) -> None:
        caller = sys._getframe(1)
        if caller.f_code.co_filename == page and "file" not in options:
            text = io.StringIO()
            plain_print(*values, **{**options, "file": text})
            printed.setdefault(caller.f_lineno, []).append(text.getvalue())
        plain_print(*values, **options)

    builtins.print = noting_print
    try:
        code = compile(source, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        if code.co_flags & inspect.CO_COROUTINE:
            asyncio.run(eval(code, names))
        else:
            exec(code, names)
    finally:
        builtins.print = plain_print
    wrong = []
    for line, comment in expected.items():
        texts = printed.get(line)
        if texts is None:
            wrong.append(f"{page}:{line}: printed nothing; the page says: {comment}")
        wrong += [
            f"{page}:{line}: printed {text!r}; the page says: {comment}"
            for text in texts or ()
            if not matches(comment, text)
        ]
    return wrong


def expected_prints(source: str) -> dict[int, str]:
    """The comment behind each `print(...)`, by the line on which the call begins."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
    return {
        node.lineno: comments[node.end_lineno]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
        and node.end_lineno in comments
    }


if __name__ == "__main__":
    sys.exit(main())
