const content = JSON.parse(document.getElementById("data").textContent);
const filters = document.querySelector(".filters form");
const views = [];

/* Charts: Vega-Lite draws them; what is chosen on the page are their parameters. */
for (const plot of document.querySelectorAll(".plot")) {
  const spec = { ...content.specs[plot.id], datasets: content.sections[plot.dataset.section] };
  const { view } = await vegaEmbed(plot, spec, { renderer: "svg", actions: false });
  view.addEventListener("click", (_, mark) => mark?.datum?.trial && show(mark.datum.trial));
  for (const select of plot.closest("figure").querySelectorAll("[data-signal]")) {
    select.addEventListener("change", () => view.signal(select.dataset.signal, select.value).runAsync());
  }
  views.push(view);
}

/* Filters. */
const chosen = (name) => [...filters.querySelectorAll(`[name=${name}]:checked`)].map((box) => box.value);
const stage = document.getElementById("stage");

function filter() {
  const methods = chosen("method");
  const seeds = chosen("seed").map(Number);
  for (const view of views) view.signal("methods", methods).signal("seeds", seeds).runAsync();
  /* A trial of tuning may have a seed or a method that no chart has: no box hides it. */
  const off = new Set([...filters.querySelectorAll("input:not(:checked)")].map((box) => `${box.name} ${box.value}`));
  const rows = [...document.querySelectorAll("#trial-table tbody tr")];
  for (const row of rows) {
    const { method, seed, stage: of } = row.dataset;
    row.hidden = off.has(`method ${method}`) || off.has(`seed ${seed}`) || (stage?.value && of !== stage.value);
  }
  document.getElementById("count").textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} shown`;
}
filters.addEventListener("change", filter);
filters.addEventListener("reset", () => setTimeout(filter));
stage?.addEventListener("change", filter);
filter();
if (window.innerWidth < 640) document.querySelector(".filters").open = false;

/* Sorting: by the number that a cell starts with, its prefix (k, M, G, m, µ) included, else as text. */
const scales = { k: 1e3, M: 1e6, G: 1e9, m: 1e-3, "µ": 1e-6 };
const collator = new Intl.Collator("en", { numeric: true });

function order(cell) {
  const text = cell.dataset.order ?? cell.textContent.trim().replaceAll("−", "-").replaceAll(",", "");
  const found = text.match(/^([+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?: ([kMGmµ])(?:B|s)?$)?/);
  return found ? Number(found[1]) * (scales[found[2]] ?? 1) : text;
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return typeof a === typeof b ? collator.compare(a, b) : typeof a === "number" ? -1 : 1;
}

for (const button of document.querySelectorAll(".sortable th button")) {
  button.addEventListener("click", () => {
    const header = button.closest("th");
    const body = header.closest("table").tBodies[0];
    const down = header.getAttribute("aria-sort") === "ascending";
    for (const other of header.parentElement.children) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const keyed = [...body.rows].map((row) => [order(row.cells[header.cellIndex]), row]);
    keyed.sort(([a], [b]) => (down ? compare(b, a) : compare(a, b)));
    for (const [, row] of keyed) row.classList.remove("group");
    body.append(...keyed.map(([, row]) => row));
  });
}

/* A trial on request. */
function show(id) {
  const trial = content.trials[id];
  const fill = (name, text) => (document.getElementById(`trial-${name}`).textContent = text);
  fill("id", id);
  fill("file", `${id}.yaml`);
  for (const name of ["about", "error", "command", "study"]) fill(name, trial[name]);
  const save = document.getElementById("trial-save");
  save.download = `${id}.yaml`;
  save.href = `data:text/yaml;charset=utf-8,${encodeURIComponent(trial.study)}`;
  document.getElementById("trial").showModal();
}
document.querySelector("#trial-table tbody").addEventListener("click", (event) => {
  const button = event.target.closest(".trial");
  if (button) show(button.dataset.trial);
});
document.documentElement.dataset.ready = "";
