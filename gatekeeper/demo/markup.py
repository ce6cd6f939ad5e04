"""The sample application's HTML, as it was written around 2003: tables, font tags, no style sheet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_MENU = (
    ("/", "Home"),
    ("/orders", "Orders"),
    ("/payments", "Payments"),
    ("/documents", "Documents"),
    ("/live", "Live board"),
    ("/audit", "Audit"),
)

_PAGE = """<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01 Transitional//EN">
<html>
<head>
<meta http-equiv="Content-Type" content="text/html; charset=utf-8">
<title>{title} - Acme Back Office</title>
</head>
<body bgcolor="#d4d0c8" text="#000000" link="#0000cc" vlink="#551a8b" topmargin="0" leftmargin="0">
<table width="100%" border="0" cellpadding="6" cellspacing="0">
<tr bgcolor="#003366">
<td><font face="Verdana, Arial" size="4" color="#ffffff"><b>Acme Back Office</b></font>
<font face="Verdana, Arial" size="1" color="#99ccff">&nbsp;v2.4 (build 1187)</font></td>
<td align="right"><font face="Verdana, Arial" size="2" color="#ffffff">{who}</font></td>
</tr>
<tr bgcolor="#6699cc"><td colspan="2"><font face="Verdana, Arial" size="2">{menu}</font></td></tr>
</table>
<table width="100%" border="0" cellpadding="10" cellspacing="0"><tr><td>
<font face="Verdana, Arial" size="2">
<h3>{title}</h3>
{body}
</font>
</td></tr></table>
<hr size="1" noshade>
<center><font face="Verdana, Arial" size="1" color="#666666">
Best viewed with 800 x 600 pixels. (c) 2003 Acme Data Processing Dept.</font></center>
</body>
</html>
"""


def page(title: str, body: str, who: str) -> str:
    """A whole page. `body` is HTML; `title` and `who` are text."""
    menu = " &nbsp;|&nbsp; ".join(f'<a href="{path}"><b>{label}</b></a>' for path, label in _MENU)
    return _PAGE.format(title=escape(title), body=body, who=escape(who), menu=menu)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A bordered table. Cells are HTML already."""
    head = "".join(f'<th align="left"><font size="2">{escape(text)}</font></th>' for text in heads)
    lines = []
    for index, row in enumerate(rows):
        colour = "#ffffff" if index % 2 == 0 else "#eeeeee"
        cells = "".join(f'<td><font face="Verdana, Arial" size="2">{cell}</font></td>' for cell in row)
        lines.append(f'<tr bgcolor="{colour}">{cells}</tr>')
    body = (
        "\n".join(lines)
        or f'<tr bgcolor="#ffffff"><td colspan="{len(heads)}"><i>Nothing found.</i></td></tr>'
    )
    return (
        f'<table border="1" cellpadding="4" cellspacing="0" bordercolor="#999999">'
        f'<tr bgcolor="#c0c0c0">{head}</tr>\n{body}</table>'
    )


def money(cents: int) -> str:
    return f"{cents // 100:,}.{cents % 100:02d}"


def field(label: str, control: str) -> str:
    """One row of a form table. `control` is HTML."""
    name = f"{escape(label)}:" if label else "&nbsp;"
    font = '<font face="Verdana, Arial" size="2">'
    return f'<tr><td align="right">{font}{name}</font></td><td>{control}</td></tr>'


LIVE = """<p>What is going on in the warehouse, as it happens.
Say something to everyone who has this page open:</p>
<form id="say" action="#"><input id="text" name="text" size="40" maxlength="200">
<input type="submit" value="Send"> <font id="state" color="#990000">not connected</font></form>
<table border="1" cellpadding="4" cellspacing="0" width="600" bgcolor="#ffffff"><tr><td>
<pre id="board" style="height: 240px; overflow: auto"></pre></td></tr></table>
<noscript><p><b>This page needs JavaScript.</b></p></noscript>
<script type="text/javascript">
var board = document.getElementById('board'), state = document.getElementById('state');
var text = document.getElementById('text'), socket = null;
function connect() {
  socket = new WebSocket((location.protocol == 'https:' ? 'wss://' : 'ws://') + location.host + '/live/feed');
  socket.onopen = function () { state.innerHTML = 'connected'; };
  socket.onmessage = function (event) {
    board.appendChild(document.createTextNode(event.data + '\\n'));
    board.scrollTop = board.scrollHeight;
  };
  socket.onclose = function (event) { state.innerHTML = 'closed (' + event.code + ')'; };
}
document.getElementById('say').onsubmit = function () {
  if (socket && socket.readyState == 1) { socket.send(text.value); text.value = ''; }
  return false;
};
connect();
</script>
"""
