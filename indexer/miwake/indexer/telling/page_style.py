"""How HTML pages of this product look, on a screen and in print."""

STYLE = """\
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 76em; padding: 0 1em; color: #1b1b1b;
  background: #fff; }
h1 { font-size: 1.5em; overflow-wrap: anywhere; } h2 { font-size: 1.2em; margin-top: 2em; break-after: avoid; }
h3 { font-size: 1em; break-after: avoid; }
a { color: #00558c; }
table { border-collapse: collapse; margin: 0.6em 0; }
.wide { overflow-x: auto; }
th, td { text-align: left; padding: 0.25em 0.8em; border-bottom: 1px solid #d5d5d5; vertical-align: top; }
thead th { border-bottom: 2px solid #8a8a8a; vertical-align: bottom; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.facts th { font-weight: 600; white-space: nowrap; } .facts td { overflow-wrap: anywhere; }
.contents { border: 1px solid #c8c8c8; border-radius: 6px; padding: 0.2em 1em; }
.contents ol { columns: 20em; margin: 0.6em 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5em, 1fr)); gap: 0.8em; margin: 1em 0; }
.tile { border: 1px solid #c8c8c8; border-top: 4px solid #0072b2; border-radius: 6px; padding: 0.5em 0.9em;
  break-inside: avoid; }
.tile dt { color: #333; } .tile dd { margin: 0; }
.tile .value { display: block; font-size: 1.6em; font-weight: 600; font-variant-numeric: tabular-nums; }
.tile .detail { display: block; font-size: 0.87em; color: #444; }
.card { border: 1px solid #c8c8c8; border-radius: 6px; padding: 0.6em 1em; margin: 1em 0; break-inside: avoid; }
.card.alarm { border-left: 8px solid #b35806; }
.card h3 { margin: 0 0 0.4em; } .card p { margin: 0.4em 0; }
.maps { display: flex; flex-wrap: wrap; gap: 1em; }
figure { margin: 0; break-inside: avoid; }
.map { width: 13em; } .card .map { width: 15.5em; }
.map img { width: 100%; box-sizing: border-box; image-rendering: pixelated; border: 1px solid #888; }
.drawing { margin: 1em 0; } .drawing img { max-width: 100%; height: auto; }
figcaption { font-size: 0.87em; overflow-wrap: anywhere; }
.drawing figcaption { max-width: 60em; color: #333; }
.note { color: #444; }
@page { size: A4; margin: 14mm; }
@media print {
  body { font-size: 9.5pt; margin: 0; max-width: none; padding: 0; }
  a { color: inherit; text-decoration: none; }
  .new-page { break-before: page; } .new-page > h2 { margin-top: 0; }
  .wide { overflow: visible; }
  th, td { padding: 0.2em 0.5em; } tr { break-inside: avoid; }
  table { font-size: 0.92em; }
  .tiles { grid-template-columns: repeat(3, 1fr); }
  .map { width: 9.4em; } .card .map { width: 11em; }
  .drawing img { width: calc(100% * var(--share, 1)); }
}
"""
