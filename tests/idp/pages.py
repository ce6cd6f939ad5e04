"""What a browser sees there: the form, and the errors that never come back to the application."""

from __future__ import annotations

from html import escape

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><main><h1>{title}</h1>{body}</main></body></html>
"""


def sign_in_form(action: str, login: str, problem: str) -> str:
    """User name and password, with what was wrong with the last ones."""
    said = f'<p role="alert" id="usernameError">{escape(problem)}</p>' if problem else ""
    return _PAGE.format(
        title="Sign in",
        body=f"""{said}<form method="post" action="{escape(action)}">
<label>User name <input name="loginfmt" value="{escape(login)}" autocomplete="off"></label>
<label>Password <input name="passwd" type="password" autocomplete="off"></label>
<button name="do" value="sign_in">Sign in</button>
<button name="do" value="cancel">Cancel</button>
</form>""",
    )


def error_page(code: str, text: str) -> str:
    """Sorry, but we are having trouble signing you in."""
    return _PAGE.format(
        title="Sorry, but we’re having trouble signing you in.",
        body=f'<div id="exceptionMessageContainer">{escape(code)}: {escape(text)}</div>',
    )
