"""The looks of the report page: its style sheet and the few lines of script that enlarge a picture.

System fonts, one accent colour, light and dark by the reader's setting; narrow screens get fewer columns.
"""

STYLE = """
:root {
  --page: #f6f6f4; --card: #ffffff; --ink: #1d1f21; --soft: #5d6267; --line: #e1e1dc; --accent: #00659e;
  --shade: 0 1px 2px rgb(0 0 0 / .05), 0 2px 10px rgb(0 0 0 / .04);
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #141517; --card: #1e2023; --ink: #e7e7e4; --soft: #a2a7ac; --line: #33363a; --accent: #6cbcf0;
    --shade: none;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif;
}
main { max-width: 70rem; margin: 0 auto; padding: clamp(1.25rem, 4vw, 3rem) clamp(1rem, 4vw, 2.5rem) 3rem; }
h1 { font-size: clamp(1.6rem, 1.2rem + 1.8vw, 2.3rem); line-height: 1.2; margin: 0 0 .6rem; font-weight: 650;
  letter-spacing: -.015em; text-wrap: balance; }
h2 { font-size: 1.25rem; line-height: 1.3; margin: 0 0 .5rem; font-weight: 650; letter-spacing: -.005em; }
p { margin: 0 0 .75rem; max-width: 44rem; }
.intro { color: var(--soft); font-size: 1.075rem; }
section { margin-top: 2.75rem; }
section > p { color: var(--soft); }
a { color: var(--accent); text-underline-offset: .15em; }

.keys { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; margin: 1.75rem 0 0; }
.keys > div { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: .9rem 1.1rem 1rem;
  box-shadow: var(--shade); }
.keys dt { color: var(--soft); font-size: .85rem; }
.keys dd { margin: 0; font-size: 1.75rem; line-height: 1.25; font-weight: 600; letter-spacing: -.02em;
  font-variant-numeric: tabular-nums; }
.keys dd.note { font-size: .8rem; font-weight: 400; letter-spacing: 0; line-height: 1.4;
  color: var(--soft); margin-top: .15rem; }

.table { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: .75rem;
  box-shadow: var(--shade); margin: 1rem 0 1.25rem; }
table { border-collapse: collapse; width: 100%; font-size: .925rem; font-variant-numeric: tabular-nums; }
caption { caption-side: bottom; text-align: left; color: var(--soft); font-size: .85rem; padding: .6rem 1.1rem .7rem;
  border-top: 1px solid var(--line); }
th, td { padding: .5rem 1.1rem; text-align: right; white-space: nowrap; font-weight: 400; }
tr > :first-child { text-align: left; white-space: normal; min-width: 7.5rem; }
thead th { color: var(--soft); font-size: .825rem; border-bottom: 1px solid var(--line); padding-top: .7rem; }
tbody tr + tr > * { border-top: 1px solid color-mix(in srgb, var(--line) 55%, transparent); }
tfoot > tr > * { border-top: 1px solid var(--line); font-weight: 600; }

.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(17rem, 100%), 1fr)); gap: 1rem;
  margin-top: 1rem; align-items: start; }
.grid[data-columns] { grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: .75rem; overflow: hidden;
  box-shadow: var(--shade); }
figure button { all: unset; display: block; width: 100%; cursor: zoom-in; }
figure button:focus-visible { outline: 3px solid var(--accent); outline-offset: -3px; }
figure img { display: block; width: 100%; height: auto; background:
  repeating-conic-gradient(#c9c9c9 0 25%, #ededed 0 50%) 0 0 / 16px 16px; }
figcaption { padding: .55rem .9rem .65rem; font-size: .85rem; line-height: 1.4; color: var(--soft); }

.files { list-style: none; margin: 1rem 0 0; padding: 0; }
.files li { padding: .3rem 0; overflow-wrap: anywhere; }
.files a { font-family: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "Liberation Mono", monospace;
  font-size: .9rem; }
.files span { color: var(--soft); font-size: .9rem; margin-left: .5rem; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--soft);
  font-size: .85rem; }
footer p { max-width: none; overflow-wrap: anywhere; margin-bottom: .4rem; }

dialog { border: 0; outline: 0; padding: 0; margin: auto; background: none; color: #eee;
  max-width: 100vw; max-height: 100vh; cursor: zoom-out; }
dialog::backdrop { background: rgb(10 10 12 / .92); }
dialog img { display: block; width: min(96vw, 88vh * var(--shape, 1)); height: auto; margin: auto;
  border-radius: .25rem; background: repeating-conic-gradient(#c9c9c9 0 25%, #ededed 0 50%) 0 0 / 16px 16px; }
dialog p { text-align: center; margin: .75rem auto 0; font-size: .9rem; max-width: 90vw; }

@media (max-width: 40rem) {
  .grid[data-columns] { grid-template-columns: repeat(var(--narrow), minmax(0, 1fr)); gap: .6rem; }
  .keys { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .keys dd { font-size: 1.45rem; }
  th, td { padding-inline: .8rem; }
  section { margin-top: 2.25rem; }
}
@media print {
  section, figure, .keys > div { break-inside: avoid; }
}
"""

SCRIPT = """
const dialog = document.getElementById("large"), [image, text] = dialog.children;
const buttons = [...document.querySelectorAll("figure button")];
let shown = 0;
const show = (index) => {
  shown = (index + buttons.length) % buttons.length;
  const source = buttons[shown].firstElementChild;
  image.src = source.src;
  image.alt = source.alt;
  image.style.setProperty("--shape", source.naturalWidth / source.naturalHeight);
  text.textContent = buttons[shown].nextElementSibling?.textContent ?? "";
};
buttons.forEach((button, index) => button.addEventListener("click", () => { show(index); dialog.showModal(); }));
dialog.addEventListener("click", () => dialog.close());
dialog.addEventListener("keydown", (event) => {
  if (event.key === "ArrowRight") show(shown + 1);
  if (event.key === "ArrowLeft") show(shown - 1);
});
"""
