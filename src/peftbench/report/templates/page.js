"use strict";

// Tables: a click on a header sorts by it, another turns the order around.
for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => {
    const header = button.closest("th");
    const table = header.closest("table");
    const column = header.cellIndex;
    const turned = { ascending: "descending", descending: "ascending" };
    const order = turned[header.getAttribute("aria-sort")] || header.dataset.first;
    for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", order);
    const isNumber = header.classList.contains("number");
    const sign = order === "ascending" ? 1 : -1;
    const key = (row) => row.cells[column].dataset.value;
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [key(row), row]);
    rows.sort(([a], [b]) => {
      if (a === "" || b === "") return (a === "") - (b === ""); // what is absent comes last
      return sign * (isNumber ? Number(a) - Number(b) : a.localeCompare(b));
    });
    body.append(...rows.map(([, row]) => row));
  });
}

// Figures: drawn in the colours of the page, and again when those change.
const figures = JSON.parse(document.getElementById("figures").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function draw() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = {
    gridcolor: colour("--rule"), linecolor: colour("--rule"), zerolinecolor: colour("--rule"),
    automargin: true,
  };
  for (const figure of figures) {
    const data = figure.data.map((trace) => trace.meta === "ink"
      ? { ...trace, marker: { ...trace.marker, color: colour("--ink") } }
      : trace.error_x ? { ...trace, error_x: { ...trace.error_x, color: colour("--ink") } } : trace);
    Plotly.react(figure.name, data, {
      ...figure.layout,
      xaxis: { ...axis, ...figure.layout.xaxis },
      yaxis: { ...axis, ...figure.layout.yaxis },
      font: { family: "system-ui, sans-serif", size: 12, color: colour("--ink") },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      hoverlabel: { bgcolor: colour("--raised"), font: { color: colour("--ink") } },
      margin: { l: 48, r: 16, t: 24, b: 44 },
      legend: { orientation: "h", y: -0.3, yanchor: "top" },
      autosize: true,
    }, { responsive: true, displaylogo: false, displayModeBar: false });
  }
}

if (figures.length) {
  draw();
  dark.addEventListener("change", draw);
}
