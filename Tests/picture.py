#!/usr/bin/env python3
"""Draws what a command leaves on an 100-column terminal as an SVG: README's picture. Needs tmux.

    Tests/picture.py .assets/demo.svg .build/release/drover demo
"""
import html, os, re, subprocess, sys, time

COLUMNS, CELL, LINE = 100, 8.4, 18
INKS = {"31": "#ff7b72", "32": "#7ee787", "33": "#e3b341", "34": "#79c0ff", "35": "#d2a8ff", "36": "#56d4dd"}


def screen(command):
    """The lines of the terminal, with escape codes, once the command has ended."""
    tmux = ["tmux", "-L", f"picture-{os.getpid()}"]
    subprocess.run([*tmux, "new-session", "-d", "-x", str(COLUMNS), "-y", "60", " ".join(command) + "; echo; echo THE-END; sleep 60"], check=True)
    try:
        for _ in range(600):
            text = subprocess.run([*tmux, "capture-pane", "-e", "-p"], capture_output=True, text=True, check=True).stdout
            if "THE-END" in text:
                return text.split("THE-END")[0].rstrip().split("\n")
            time.sleep(0.1)
        sys.exit("the command did not end")
    finally:
        subprocess.run([*tmux, "kill-server"])


def spans(line, style):
    """(column, text, style) of each run of one style; the style at the line's end."""
    column, runs = 0, []
    for piece in re.split(r"(\x1b\[[0-9;]*m)", line):
        if codes := re.fullmatch(r"\x1b\[([0-9;]*)m", piece):
            for code in codes[1].split(";"):
                if code in ("", "0"):
                    style = {}
                elif code == "39":
                    style = {k: v for k, v in style.items() if k != "fill"}
                else:
                    style = style | ({"font-weight": "bold"} if code == "1" else {"opacity": "0.6"} if code == "2" else {"fill": INKS[code]} if code in INKS else {})
        elif piece:
            runs.append((column, piece, style))
            column += len(piece)
    return runs, style


def main():
    target, command = sys.argv[1], sys.argv[2:]
    lines = ["$ drover demo", *screen(command)]
    height = LINE * len(lines) + 24
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {COLUMNS * CELL + 32:.0f} {height}" font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,\'DejaVu Sans Mono\',monospace" font-size="14">',
           f'<rect width="100%" height="100%" rx="8" fill="#0d1117"/><g fill="#e6edf3" xml:space="preserve">']
    style = {}
    for row, line in enumerate(lines):
        runs, style = spans(line, style)
        for column, text, look in runs:
            if text.strip():
                attributes = "".join(f' {k}="{v}"' for k, v in look.items())
                column += len(text) - len(text.lstrip())
                text = text.strip()
                out.append(f'<text x="{16 + column * CELL:.1f}" y="{28 + row * LINE}" textLength="{len(text) * CELL:.1f}"{attributes}>{html.escape(text)}</text>')
    out.append("</g></svg>")
    os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
    open(target, "w").write("\n".join(out) + "\n")


main()
