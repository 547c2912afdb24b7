"""Pages as a browser lays them out: cut text, overlapping text, pages too wide."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

# Each page stands in a frame of the wanted width, where its media queries apply.
_LOOK = """
function texts(doc) {
  const found = [], walker = doc.createTreeWalker(doc.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, range = doc.createRange();
    if (!node.data.trim()) continue;
    range.selectNodeContents(node);
    for (const box of range.getClientRects())
      if (box.width > 1 && box.height > 1) found.push([node, box]);
  }
  return found;
}
function scrolls(element) { return element.closest(".scroll"); }
function faults(doc, width) {
  const found = [], say = (kind, node) => found.push(
    kind + ": " + (node.data || node.textContent || "").trim().slice(0, 60));
  if (doc.documentElement.scrollWidth > width)
    say("page wider than its window", doc.body);
  for (const box of doc.querySelectorAll(".scroll"))
    if (box.scrollWidth > box.clientWidth + 1
        && !getComputedStyle(box).backgroundImage.includes("gradient"))
      say("scrolls without a cue", box);
  for (const image of doc.querySelectorAll("img")) {
    const box = image.getBoundingClientRect(), text = {data: image.alt};
    if (!image.complete || !image.naturalWidth) say("image not shown", text);
    if (!image.alt.trim()) say("image without a text", image);
    if (!scrolls(image) && box.right > width + 1) say("image cut", text);
  }
  const all = texts(doc);
  for (const [node, box] of all) {
    const parent = node.parentElement;
    if (scrolls(parent)) continue;
    if (box.right > width + 1 || box.left < -1) say("cut", node);
    const own = parent.getBoundingClientRect();
    if (!parent.closest("svg") && getComputedStyle(parent).display != "inline"
        && box.right > own.right + 1) say("wider than its box", node);
  }
  all.sort((a, b) => a[1].top - b[1].top);
  for (let i = 0; i < all.length; i++)
    for (let j = i + 1; j < all.length && all[j][1].top < all[i][1].bottom - 4; j++) {
      const [one, a] = all[i], [other, b] = all[j];
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (one.parentElement != other.parentElement && across > 2 && down > 4
          && !scrolls(one.parentElement) && !scrolls(other.parentElement))
        say("overlaps", {data: one.data.trim() + " | " + other.data.trim()});
    }
  return found;
}
window.onload = () => {
  const all = {};
  for (const frame of document.querySelectorAll("iframe"))
    all[frame.name] = faults(frame.contentDocument, frame.clientWidth);
  document.querySelector("#faults").textContent = JSON.stringify(all);
};
"""


def find_faults(pages: dict[str, str], widths: tuple[int, ...], folder: Path):
    """The faults of every page at every width, by `(name, width)`."""
    frames = "".join(
        f'<iframe name="{name}@{width}" width="{width}" height="9000" '
        f'srcdoc="{html.escape(_without_policy(page))}" style="border:0"></iframe>'
        for name, page in pages.items()
        for width in widths
    )
    file = folder / "frames.html"
    file.write_text(f"<pre id=faults></pre>{frames}<script>{_LOOK}</script>")
    ran = _chromium("--dump-dom", f"file://{file}")
    found = re.search(r'<pre id="faults">(.*?)</pre>', ran, re.DOTALL)
    assert found, "the browser has not looked at the pages"
    every = json.loads(html.unescape(found[1]))
    return {
        (name, int(width)): faults
        for key, faults in every.items()
        for name, width in [key.rsplit("@", 1)]
    }


# Whatever the page says to its console, or is forbidden to load.
_LISTEN = """<script>
window.complaints = [];
window.onerror = message => { complaints.push(message); };
for (const kind of ["error", "warn"])
  console[kind] = (...words) => { complaints.push(words.join(" ")); };
document.addEventListener("securitypolicyviolation", event => {
  complaints.push(`${event.violatedDirective} ${event.blockedURI}`); });
</script>"""
_ASK = """<script>
window.addEventListener("load", () => setTimeout(async () => {
  const told = document.createElement("pre");
  told.id = "told";
  let answer;
  try { answer = await (async () => { %s })(); } catch (error) { answer = error.stack; }
  told.textContent = JSON.stringify([answer, complaints]);
  document.body.append(told);
}, 1000));
</script>"""


def ask_page(page: str, script: str, width: int, folder: Path):
    """What a script returns on an open page, and what the page complains of."""
    file = folder / "asked.html"
    text = page.replace("<title>", f"{_LISTEN}<title>", 1)
    file.write_text(text.replace("</body>", f"{_ASK % script}</body>"))
    # Chromium has no window as narrow as a phone, but a frame can be.
    frame = folder / "frame.html"
    frame.write_text(f'<iframe src="asked.html" width="{width}" height="900"></iframe>')
    shown = file if width >= 500 else frame
    listen = "--allow-file-access-from-files"
    if shown == frame:
        script = (
            "<script>onload = () => setInterval(() => { const told = document."
            'querySelector("iframe").contentDocument.querySelector("#told");'
            'if (told && !document.querySelector("#told"))'
            "document.body.append(told.cloneNode(true)); }, 100)</script>"
        )
        frame.write_text(frame.read_text() + script)
    ran = _chromium(
        listen, f"--window-size={max(width, 500)},900", "--dump-dom", f"file://{shown}"
    )
    found = re.search(r'<pre id="told">(.*?)</pre>', ran, re.DOTALL)
    assert found, "the browser has not answered"
    return json.loads(html.unescape(found[1]))


def take_picture(page: str, width: int, height: int, out: Path) -> None:
    """Saves a PNG of a page, for a person to look at."""
    frame = f'<iframe width="{width}" height="{height}" style="border:0" srcdoc="'
    file = out.with_suffix(".html")
    file.write_text(
        f"<body style=margin:0>{frame}{html.escape(_without_policy(page))}"
        '"></iframe></body>'
    )
    _chromium(
        f"--window-size={max(width, 500)},{height}",
        f"--screenshot={out}",
        f"file://{file}",
    )


def _without_policy(page: str) -> str:
    # The policy of the pages forbids scripts, also those that look at them.
    return re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)


def _chromium(*arguments: str) -> str:
    assert CHROMIUM
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command = [CHROMIUM, *flags, "--virtual-time-budget=10000", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr[-500:]
    return ran.stdout
