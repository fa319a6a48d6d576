"use strict";
(() => {
  document.documentElement.classList.add("js");
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const make = (tag, text, attributes) => {
    const element = document.createElement(tag);
    if (text !== undefined && text !== null) element.textContent = text;
    return Object.assign(element, attributes || {});
  };

  const say = read("data-texts");
  const filled = (text, slots) => text.replace(/\{(\w+)\}/g, (_, name) => slots[name]);

  // What was packed in Python: gzip in base64.
  const unpack = async (text) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => document.documentElement.classList.toggle("dark", dark.matches);
  dark.addEventListener("change", follow);
  follow();

  async function drawCharts() {
    const line = document.getElementById("line");
    const boxes = [...document.querySelectorAll("#controls input")];
    const shown = () => boxes.filter((box) => box.checked).map((box) => box.value);
    const views = [];
    const charts = read("data-charts");
    // all places first: charts are as wide as theirs, and that is not known before
    const holders = charts.map((chart) => make("div", undefined, { id: chart.id }));
    for (const holder of holders) {
      const card = make("div", undefined, { className: "chart" });
      card.append(holder);
      document.getElementById("vega").append(card);
    }
    for (const [number, chart] of charts.entries()) {
      const holder = holders[number];
      const spec = structuredClone(chart.spec);
      spec.data = { name: "table", values: chart.values };
      spec.params.find((one) => one.name === "line").value = line.value;
      const { view } = await window.vegaEmbed(holder, spec, {
        actions: false, renderer: "svg", ast: true, tooltip: { theme: "custom" },
      });
      holder.querySelector("svg").setAttribute("aria-label", chart.description);
      views.push(view);
    }
    const update = () => {
      for (const view of views) view.signal("shown", shown()).signal("line", line.value).runAsync();
    };
    for (const control of [line, ...boxes]) control.addEventListener("change", update);
    document.documentElement.dataset.charts = views.length;
  }

  function sortTables() {
    for (const table of document.querySelectorAll("table.sortable")) {
      const details = table.closest("details");
      const start = () => {
        if (!window.DataTable.isDataTable(table))
          new window.DataTable(table, { order: [], pageLength: 25, autoWidth: false });
      };
      if (details.open) start();
      details.addEventListener("toggle", () => details.open && start());
    }
  }

  async function listResponses() {
    const { names, table, texts, size, rows } = read("data-browser");
    if (!rows) return;
    const columns = await unpack(table);
    const pieces = texts.map(() => null);
    const text = async (number) => {
      const piece = Math.floor(number / size);
      pieces[piece] ??= unpack(texts[piece]);
      return (await pieces[piece])[number % size];
    };
    const said = (name, row) => names[name][columns[name][row]];

    const form = document.getElementById("filters");
    const filters = {};
    for (const name of ["benchmark", "family", "checkpoint", "condition", "scoring", "wording", "role"]) {
      if (names[name].length < 2) continue;
      const label = make("label", say.filters[name] + " ");
      const select = make("select", undefined, { id: "filter-" + name });
      select.append(make("option", say.all, { value: "" }));
      names[name].forEach((value, k) => select.append(make("option", value || "–", { value: k })));
      label.append(select);
      form.append(label);
      filters[name] = select;
      select.addEventListener("change", () => list.draw());
    }

    const chosen = (request) => {
      const wanted = Object.entries(filters)
        .filter(([, select]) => select.value !== "")
        .map(([name, select]) => [columns[name], Number(select.value)]);
      const query = request.search.value.toLowerCase();
      const hits = query && names.item.map((item) => item.toLowerCase().includes(query));
      const found = [];
      for (let row = 0; row < rows; row++)
        if (wanted.every(([column, value]) => column[row] === value) && (!query || hits[columns.item[row]]))
          found.push(row);
      return found;
    };
    const fields = [
      { title: say.columns.show, orderable: false },
      ...["item", "benchmark", "family", "checkpoint", "condition", "answer", "role"].map(
        (name) => ({ title: say.columns[name], name })),
      { title: say.columns.p, name: "p", numeric: (row) => Math.max(...columns.p[row]) },
    ];
    const list = new window.DataTable("#list", {
      serverSide: true, processing: false, autoWidth: false, pageLength: 25, order: [],
      language: say.table,
      columns: fields.map(({ title, name, orderable }) => ({
        title, orderable: orderable !== false,
        render: name ? window.DataTable.render.text().display : undefined,
      })),
      ajax: (request, answer) => {
        const found = chosen(request);
        for (const { column, dir } of request.order) {
          const { name, numeric } = fields[column];
          const key = numeric || ((row) => columns[name][row]);
          const sign = dir === "desc" ? -1 : 1;
          const keyed = found.map((row) => [key(row), row]);
          keyed.sort((a, b) => sign * (a[0] - b[0]) || a[1] - b[1]);
          keyed.forEach(([, row], k) => (found[k] = row));
        }
        const page = found.slice(request.start, request.start + request.length);
        answer({
          draw: request.draw, recordsTotal: rows, recordsFiltered: found.length,
          data: page.map((row) => [
            row,
            ...fields.slice(1).map(({ name, numeric }) => numeric ? numeric(row).toFixed(3) : said(name, row)),
          ]),
        });
        document.getElementById("matching").textContent =
          filled(say.matching, { number: found.length.toLocaleString(document.documentElement.lang) });
      },
      createdRow: (element, data) => {
        const button = make("button", say.show, { className: "open", type: "button" });
        const row = data[0];
        button.setAttribute("aria-label", filled(say.show_which, {
          response: data.slice(1, 6).join(" "), order: columns.order[row], sample: columns.sample[row],
        }));
        button.addEventListener("click", () => show(row, button));
        element.cells[0].replaceChildren(button);
      },
    });

    const detail = document.getElementById("detail");
    let opener = null;
    detail.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && opener?.isConnected) opener.focus();
    });
    async function show(row, button) {
      opener = button;
      const [human, opening, final, leadIn] = JSON.parse(await text(columns.prompt[row]));
      const reasoning = columns.reasoning[row] < 0 ? null : await text(columns.reasoning[row]);
      const parts = [make("h3", said("item", row))];
      const place = ["family", "checkpoint", "condition", "wording", "scoring"].map((name) => said(name, row));
      parts.push(make("p", filled(say.place, {
        place: place.filter(Boolean).join(", "), order: columns.order[row], sample: columns.sample[row],
      })));
      const turn = (who, content, kind) => {
        const block = make("div", undefined, { className: "turn " + (kind || "") });
        block.append(make("b", who), document.createTextNode(content));
        parts.push(block);
      };
      turn(say.human, human);
      if (opening !== null) {
        turn(say.given, opening);
        turn(say.sampled, reasoning ?? "", "reasoning");
        turn(say.human, final);
      }
      turn(say.given, leadIn + " …");
      JSON.parse(said("options", row)).forEach((option, k) => {
        const bar = make("div", undefined, { className: "bar" });
        const track = make("span", undefined, { className: "track" });
        const fill = make("i");
        fill.style.width = 100 * columns.p[row][k] + "%";
        track.append(fill);
        const mark = option === said("expected", row) ? filled(say.right, { option }) : option;
        bar.append(make("span", mark), track, make("span", columns.p[row][k].toFixed(3)));
        parts.push(bar);
      });
      const valid = columns.valid[row];
      parts.push(make("p", filled(say.answer, {
        answer: said("answer", row), role: said("role", row),
        valid: valid === null ? say.unknown : valid.toFixed(3), tokens: columns.tokens[row],
      })));
      detail.replaceChildren(...parts);
      detail.focus({ preventScroll: innerWidth > 960 });
    }
    document.documentElement.dataset.rows = rows;
  }

  // On paper: every reason, and all rows of the tables that are open.
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll(".verdict details")) details.open = true;
    for (const table of document.querySelectorAll("#tables details[open] table.sortable"))
      if (window.DataTable.isDataTable(table)) new window.DataTable.Api(table).page.len(-1).draw(false);
  });

  drawCharts();
  sortTables();
  listResponses();
})();
