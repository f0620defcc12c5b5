"""How the report looks: on a screen from 800 pixels on, and on paper. Letters have a contrast of 7:1 and more."""

STYLE = """
:root { --ink: #1a1a1a; --quiet: #474747; --line: #c9ced3; --head: #eef2f5; --blue: #004f80; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 1200px; padding: 1.5rem 2rem 3rem; color: var(--ink); background: #fff;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", Arial, sans-serif; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 2.4rem 0 .6rem; padding-top: .5rem; border-top: 2px solid var(--blue); }
h3 { font-size: 1.05rem; margin: 1.4rem 0 .3rem; }
p, ul, dl { margin: .4rem 0 .8rem; max-width: 75ch; }
.quiet { color: var(--quiet); }
.box { border: 2px solid; border-left-width: .6rem; padding: .6rem 1rem; margin: .8rem 0; border-radius: 3px; }
.box p, .box ul { margin: .1rem 0; max-width: none; }
.note { border-color: #8a5a00; background: #fff4d6; color: #3d2a00; font-size: 1.1rem; }
.research { border-color: #5c5c5c; background: #f3f3f3; }
.warnings { border-color: #a33600; background: #fdeee6; color: #4a1900; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .8rem; margin: 1.2rem 0; }
.tile { border: 1px solid var(--line); border-top: 4px solid var(--blue); padding: .6rem .9rem; }
.tile b { display: block; font-size: 1.9rem; line-height: 1.2; }
.tile span { display: block; color: var(--quiet); font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: .4rem 0 1rem; font-size: .94rem; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { text-align: left; vertical-align: top; padding: .35rem .7rem; border-bottom: 1px solid var(--line); }
thead th { background: var(--head); border-bottom: 2px solid #7d8890; white-space: nowrap; }
tbody th { font-weight: 600; overflow-wrap: break-word; min-width: 9rem; max-width: 34rem; }
tbody th:has(+ th) { min-width: 0; }
td.count { text-align: right; }
td.number, th.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td small, th small, .tile small { display: block; font-weight: 400; color: var(--quiet); font-size: .86rem; }
td.long { overflow-wrap: anywhere; }
table.facts, table.narrow { width: auto; min-width: 50%; }
table.facts th { white-space: nowrap; }
code { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: .94em;
  overflow-wrap: anywhere; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); gap: 1.6rem 2rem; }
figure { margin: 0; min-width: 0; break-inside: avoid; }
figure img { display: block; width: 100%; max-width: 620px; height: auto; margin: 0 auto; }
figure.wide { margin-bottom: 1.6rem; }
figure.wide img { max-width: 100%; width: auto; }
figcaption { font-size: .92rem; color: var(--quiet); margin-top: .3rem; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; max-width: none; }
a { color: var(--blue); }
@media (max-width: 960px), print {
  table { font-size: .86rem; }
  th, td { padding: .3rem .45rem; }
  thead th.number { white-space: normal; }
  tbody th { min-width: 8rem; }
}
@media print {
  @page { margin: 14mm; }
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  nav { display: none; }
  h1, h2, h3, caption { break-after: avoid; }
  h2 { margin-top: 1.4rem; }
  p:has(+ .scroll) { break-after: avoid; }
  tr, table, .box, .tile { break-inside: avoid; }
  thead { display: table-header-group; }
  .scroll { overflow: visible; }
  .figures { grid-template-columns: 1fr 1fr; gap: 1rem; }
  .tiles { grid-template-columns: repeat(4, 1fr); }
  .note, .research, .warnings, .tile, thead th { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
"""
