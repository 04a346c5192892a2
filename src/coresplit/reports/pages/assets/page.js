"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const record = (index) => Object.fromEntries(
    data.columns.map((name, column) => [name, data.points[index][column]]));

  const draw = async (place) => {
    const { spec, rows } = data.figures[Number(place.dataset.figure)];
    const full = { ...spec, datasets: { points: rows.map(record) } };
    await window.vegaEmbed(place, full, {
      actions: false,
      config: data.config,
      renderer: "svg",
      tooltip: { theme: "coresplit", disableDefaultStyle: true },
    });
    place.style.aspectRatio = "";
    place.dataset.drawn = "yes";
  };

  const charts = [...document.querySelectorAll(".chart")];
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watcher.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "500px 0px" });
  charts.forEach((place) => watcher.observe(place));
  window.addEventListener("beforeprint", () => {
    charts.filter((place) => !place.dataset.drawn).forEach((place) => {
      watcher.unobserve(place);
      draw(place);
    });
  });

  const value = (row, column) => {
    const cell = row.cells[column];
    return "v" in cell.dataset ? Number(cell.dataset.v) : cell.textContent;
  };
  const compare = (a, b) => {
    const textual = [a, b].map((item) => typeof item === "string");
    if (textual[0] && textual[1]) return a.localeCompare(b);
    if (textual[0] !== textual[1]) return textual[0] ? 1 : -1;
    return a - b;
  };
  const choose = (table) => {
    const rows = [...table.tBodies[0].rows];
    const bar = Object.assign(document.createElement("div"), { className: "choose" });
    const told = document.createElement("span");
    const picked = new Map();
    const show = () => {
      let shown = 0;
      for (const row of rows) {
        row.hidden = [...picked].some(([column, text]) => row.cells[column].textContent !== text);
        shown += row.hidden ? 0 : 1;
      }
      told.textContent = `${shown} of ${rows.length} shown`;
    };
    for (let column = 0; column < Number(table.dataset.filters); column += 1) {
      const texts = [...new Set(rows.map((row) => row.cells[column].textContent))];
      if (texts.length < 2) continue;
      texts.sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
      const select = document.createElement("select");
      select.append(new Option("all", ""), ...texts.map((text) => new Option(text)));
      select.addEventListener("change", () => {
        if (select.selectedIndex) picked.set(column, select.value);
        else picked.delete(column);
        show();
      });
      const label = document.createElement("label");
      label.append(table.tHead.rows[0].cells[column].textContent, select);
      bar.append(label);
    }
    if (!bar.childElementCount) return;
    bar.append(told);
    table.parentElement.before(bar);
    show();
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    choose(table);
    const heads = [...table.querySelectorAll("th")];
    heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const body = table.tBodies[0];
      const rows = [...body.rows].map((row) => [value(row, column), row]);
      rows.sort((a, b) => (down ? -1 : 1) * compare(a[0], b[0]));
      body.append(...rows.map((pair) => pair[1]));
    }));
  }
})();
