"use strict";
(() => {
  document.documentElement.classList.add("js");

  // Tables: a click on a heading sorts, a second one turns the order round. What is undefined comes last.
  for (const button of document.querySelectorAll("th button")) {
    button.addEventListener("click", () => sort(button.closest("th")));
  }
  function sort(head) {
    const table = head.closest("table"), column = [...head.parentNode.children].indexOf(head);
    const firstDown = head.dataset.first === "descending";
    const now = head.getAttribute("aria-sort");
    const down = now === "none" ? firstDown : now === "ascending";
    for (const other of head.parentNode.children) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row, place) => ({ row, place, value: row.children[column].dataset.value ?? "" }));
    const text = head.dataset.kind === "text";
    const missing = (value) => !text && (value === "" || Number.isNaN(Number(value)));
    rows.sort((one, other) => {
      if (missing(one.value) || missing(other.value)) return missing(one.value) - missing(other.value) || one.place - other.place;
      const order = text ? one.value.localeCompare(other.value) : Number(one.value) - Number(other.value);
      return (down ? -order : order) || one.place - other.place;
    });
    for (const { row } of rows) body.append(row);
  }

  // Closed parts are printed, too.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const part of opened) part.open = true;
  });
  addEventListener("afterprint", () => { for (const part of opened) part.open = false; });

  // Overlays: the pictures of an example above each other.
  for (const example of document.querySelectorAll(".example")) overlay(example);

  function overlay(example) {
    const stage = example.querySelector(".stage"), plane = example.querySelector(".plane");
    const opacity = example.querySelector("input[type=range]"), said = example.querySelector("output");
    const layers = new Map();
    plane.style.aspectRatio = plane.dataset.ratio;
    for (const picture of example.querySelectorAll(".panels img")) {
      const layer = document.createElement("img");
      layer.src = picture.src;
      layer.alt = "";
      layer.draggable = false;
      layer.className = picture.className;
      layer.style.height = 100 * picture.dataset.down + "%";
      layer.style.width = 100 * picture.dataset.across + "%";
      plane.append(layer);
      layers.set(picture.dataset.layer, layer);
    }
    function show() {
      for (const box of example.querySelectorAll("input[type=checkbox]")) {
        const layer = layers.get(box.value);
        layer.hidden = !box.checked;
        layer.style.opacity = box.value === "image" ? 1 : opacity.value / 100;
      }
    }
    for (const box of example.querySelectorAll(".tools input")) box.addEventListener("input", show);
    show();

    let scale = 1, x = 0, y = 0;
    function place() {
      const width = stage.clientWidth, height = stage.clientHeight, full = plane.offsetHeight;
      x = Math.min(0, Math.max(width - width * scale, x));
      y = Math.min(0, Math.max(Math.min(0, height - full * scale), y));
      plane.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
      stage.classList.toggle("zoomed", scale > 1);
      stage.dataset.scale = scale.toFixed(3);
      stage.dataset.x = x.toFixed(1);
      stage.dataset.y = y.toFixed(1);
      said.textContent = `${Math.round(100 * scale)} %`;
    }
    function zoom(factor, atX = stage.clientWidth / 2, atY = stage.clientHeight / 2) {
      const next = Math.min(40, Math.max(1, scale * factor));
      x = atX - (atX - x) * next / scale;
      y = atY - (atY - y) * next / scale;
      scale = next;
      place();
    }
    function home() { scale = 1; x = y = 0; place(); }
    const step = 1.5, pan = 60;
    const keys = {
      "+": () => zoom(step), "=": () => zoom(step), "-": () => zoom(1 / step), "0": home,
      ArrowLeft: () => { x += pan; place(); }, ArrowRight: () => { x -= pan; place(); },
      ArrowUp: () => { y += pan; place(); }, ArrowDown: () => { y -= pan; place(); },
    };
    stage.addEventListener("keydown", (event) => {
      if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      keys[event.key]();
    });
    stage.addEventListener("wheel", (event) => {
      if (document.activeElement !== stage && !event.ctrlKey) return; // a page must scroll past a picture
      event.preventDefault();
      const box = stage.getBoundingClientRect();
      zoom(Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
    }, { passive: false });
    let from = null;
    stage.addEventListener("pointerdown", (event) => { from = [event.clientX - x, event.clientY - y]; });
    stage.addEventListener("pointermove", (event) => {
      if (!from || !event.buttons) return;
      [x, y] = [event.clientX - from[0], event.clientY - from[1]];
      place();
    });
    addEventListener("pointerup", () => { from = null; });
    example.querySelector("[data-do=in]").addEventListener("click", () => zoom(step));
    example.querySelector("[data-do=out]").addEventListener("click", () => zoom(1 / step));
    example.querySelector("[data-do=home]").addEventListener("click", home);
    addEventListener("resize", place);
    place();
  }
})();
