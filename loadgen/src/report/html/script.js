// Reads the percentile curves under the pointer. Without it the page lacks nothing else.
"use strict";
for (const svg of document.querySelectorAll("svg.curves")) {
  const [left, right, decades] = svg.dataset.x.split(" ").map(Number);
  const [bottom, top, low, high] = svg.dataset.y.split(" ").map(Number);
  const curves = [...svg.querySelectorAll("g[data-name]")].map((curve) => ({
    name: curve.dataset.name,
    points: [...curve.querySelectorAll("polyline")].flatMap((line) =>
      (line.getAttribute("points") || "").split(" ").filter(Boolean).map((point) => point.split(",").map(Number))),
  }));
  const cross = svg.querySelector(".cross");
  const readout = svg.parentElement.nextElementSibling;
  const time = (ns) => ns < 1e6 ? (ns / 1e3).toPrecision(3) + " µs" : ns < 1e9 ? (ns / 1e6).toPrecision(3) + " ms" : (ns / 1e9).toPrecision(3) + " s";
  const value = (points, x) => {
    const after = points.findIndex((point) => point[0] >= x);
    if (after < 0) return null;
    const [b, a] = [points[after], points[Math.max(after - 1, 0)]];
    const y = b[0] > a[0] ? a[1] + (b[1] - a[1]) * (x - a[0]) / (b[0] - a[0]) : b[1];
    return 10 ** (low + (bottom - y) / (bottom - top) * (high - low));
  };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    if (x < left || x > right) return;
    cross.hidden = false;
    cross.removeAttribute("hidden");
    cross.firstElementChild.setAttribute("x1", x);
    cross.firstElementChild.setAttribute("x2", x);
    const rarity = 10 ** ((x - left) / (right - left) * decades);
    const quantile = 100 * (1 - 1 / rarity);
    readout.replaceChildren(`${quantile.toFixed(Math.min(6, Math.max(1, Math.ceil(Math.log10(rarity)))))} %: `);
    for (const curve of curves) {
      const at = value(curve.points, x);
      if (at === null) continue;
      const figure = document.createElement("b");
      figure.textContent = time(at);
      readout.append(`${curve.name} `, figure, "   ");
    }
  });
}
