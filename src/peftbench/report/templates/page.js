"use strict";

// Tables: a click on a header sorts by it, another turns the order around.
function sortBy(button) {
  const header = button.closest("th");
  const table = header.closest("table");
  const column = header.cellIndex;
  const turned = { ascending: "descending", descending: "ascending" };
  const order = turned[header.getAttribute("aria-sort")] || header.dataset.first;
  for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", order);
  const isNumber = header.classList.contains("number");
  const sign = order === "ascending" ? 1 : -1;
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [row.cells[column].dataset.value, row]);
  rows.sort(([a], [b]) => {
    if (a === "" || b === "") return (a === "") - (b === ""); // what is absent comes last
    return sign * (isNumber ? Number(a) - Number(b) : a.localeCompare(b, "en", { numeric: true }));
  });
  body.append(...rows.map(([, row]) => row));
}

for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => sortBy(button));
}

// Figures: drawn in the colours of the page, and again when those change.
const figures = JSON.parse(document.getElementById("figures").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif";
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// The methods whose lines are brought out; none means all.
function pressed(plot) {
  const key = plot.closest(".plots").previousElementSibling;
  const buttons = key ? key.querySelectorAll('button[aria-pressed="true"]') : [];
  return new Set([...buttons].map((button) => button.dataset.method));
}

function inPageColours(trace, chosen) {
  const ink = colour("--ink");
  if (trace.meta === "seeds") {
    const line = { ...trace.marker.line, color: ink };
    return { ...trace, marker: { ...trace.marker, color: colour("--raised"), line } };
  }
  if (trace.error_x) return { ...trace, error_x: { ...trace.error_x, color: ink } };
  const faint = trace.meta && chosen.size && !chosen.has(trace.meta.method);
  return { ...trace, opacity: faint ? 0.12 : 1 };
}

function draw(figure) {
  const plot = document.getElementById(figure.name);
  const chosen = pressed(plot);
  const axis = {
    gridcolor: colour("--rule"), linecolor: colour("--rule"), zeroline: false, automargin: true,
  };
  const layout = {
    ...figure.layout,
    xaxis: { ...axis, ...figure.layout.xaxis },
    yaxis: { ...axis, ...figure.layout.yaxis },
    font: { family: FONT, size: 12, color: colour("--ink") },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    hoverlabel: {
      bgcolor: colour("--raised"), bordercolor: colour("--rule"), font: { color: colour("--ink") },
    },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--soft"), activecolor: colour("--ink") },
    margin: { l: 44, r: 14, t: 26, b: 44, ...figure.layout.margin },
    // A finger on a plot scrolls the page; it does not zoom.
    dragmode: window.matchMedia("(pointer: coarse)").matches ? false : "zoom",
    autosize: true,
  };
  const config = {
    responsive: false, displaylogo: false, modeBarButtons: [["toImage"]],
    toImageButtonOptions: { format: "svg", filename: figure.name },
  };
  return Plotly.react(plot, figure.data.map((trace) => inPageColours(trace, chosen)), layout, config)
    .then(() => figure.labels.length && Plotly.relayout(plot, { annotations: [
      ...(figure.layout.annotations || []), ...placed(figure.labels, plot._fullLayout),
    ] }));
}

// Names go where they cover no point and no other name: near if there is room, else further
// away with a thin line to the point. A name that fits nowhere shows when the point is hovered.
const CROWD = 15; // many long lines to points are worse than a name that is missing

function placed(labels, { xaxis, yaxis, width, font }) {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = `${font.size - 1}px ${FONT}`;
  const points = labels.map(({ x, y }) => [xaxis.l2p(x) + xaxis._offset, yaxis.l2p(y) + yaxis._offset]);
  const taken = points.map(([x, y]) => ({ x, y, w: 14, h: 14 }));
  const bottom = yaxis._offset + yaxis._length;
  const apart = (a, b) => Math.abs(a.x - b.x) * 2 >= a.w + b.w || Math.abs(a.y - b.y) * 2 >= a.h + b.h;
  const inside = (a) => a.x - a.w / 2 >= xaxis._offset - 4 && a.x + a.w / 2 <= width - 2
    && a.y - a.h / 2 >= 0 && a.y + a.h / 2 <= bottom;
  const reach = labels.length > CROWD ? [0, 10, 22] : [0, 10, 22, 36, 52];
  const notes = [];
  labels.forEach(({ text, x, y }, index) => {
    const [w, h] = [pen.measureText(text).width + 4, font.size + 3];
    for (const far of reach) {
      const spot = [[0, -1], [1, 0], [-1, 0], [0, 1], [1, -1], [-1, -1], [1, 1], [-1, 1]]
        .map(([right, down]) => ({
          dx: right * (w / 2 + 9 + far), dy: down * (h / 2 + (right ? far : 7 + far)),
        }))
        .map((move) => ({ ...move, x: points[index][0] + move.dx, y: points[index][1] + move.dy, w, h }))
        .find((box) => inside(box) && taken.every((other) => apart(box, other)));
      if (!spot) continue;
      taken.push(spot);
      notes.push({
        x, y, text, ax: spot.dx, ay: spot.dy, font: { size: font.size - 1 }, borderpad: 0,
        showarrow: true, arrowhead: 0, arrowwidth: 0.75, standoff: 6,
        arrowcolor: far ? colour("--soft") : "rgba(0,0,0,0)",
      });
      break;
    }
  });
  return notes;
}

const drawAll = () => Promise.all(figures.map(draw));

if (figures.length) {
  drawAll();
  dark.addEventListener("change", drawAll);
  let wait;
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    clearTimeout(wait);
    if (window.innerWidth === width) return; // a phone's address bar came or went
    wait = setTimeout(() => {
      width = window.innerWidth;
      figures.forEach(({ name }) => Plotly.purge(name));
      drawAll();
    }, 150);
  });
}

for (const button of document.querySelectorAll(".key button")) {
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
    const plots = button.closest(".key").nextElementSibling;
    figures.filter(({ name }) => plots.querySelector(`#${name}`)).forEach(draw);
  });
}
