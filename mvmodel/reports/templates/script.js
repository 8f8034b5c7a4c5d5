"use strict";
// Rows of videos play in step, outlines follow them, tables sort. Without this file videos have the browser's controls.
(() => {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const hovers = matchMedia("(hover: hover)").matches && !still;
  const rows = [];

  class Row {
    constructor(element) {
      this.videos = [...element.querySelectorAll("video")];
      this.button = element.querySelector("button.play");
      this.fps = Number(element.dataset.fps);
      this.wanted = JSON.parse(element.dataset.outline);
      this.paths = [...element.querySelectorAll("path")].map((path) => ({
        path,
        frames: path.dataset.found ? JSON.parse(path.dataset.found) : this.wanted,
      }));
      this.held = false;
      for (const video of this.videos) video.controls = false;
      this.rest = Number(element.dataset.rest); // the frame that the posters show until the row is played
      for (const stage of element.querySelectorAll(".stage")) stage.addEventListener("click", () => this.hold(!this.held));
      this.button.addEventListener("click", () => this.hold(!this.held));
      if (hovers) {
        const films = element.querySelector(".films");
        films.addEventListener("pointerenter", () => this.play());
        films.addEventListener("pointerleave", () => this.held || this.pause());
      }
      this.draw();
    }
    hold(on) {
      this.held = on;
      this.button.textContent = on ? "Pause" : "Play";
      this.button.setAttribute("aria-pressed", String(on));
      on ? this.play() : this.pause();
    }
    play() {
      if (this.playing) return;
      this.playing = true;
      this.rest = null;
      for (const video of this.videos) video.play().catch(() => {});
      requestAnimationFrame(() => this.step());
    }
    pause() {
      this.playing = false;
      const at = this.videos[0].currentTime;
      for (const video of this.videos) {
        video.pause();
        if (Math.abs(video.currentTime - at) > 0.01) video.currentTime = at;
      }
      this.draw();
    }
    step() {
      if (!this.playing) return;
      const [lead, ...others] = this.videos;
      for (const video of others) {
        const apart = Math.abs(video.currentTime - lead.currentTime);
        if (apart > 0.6 / this.fps && !video.seeking) video.currentTime = lead.currentTime;
      }
      this.draw();
      requestAnimationFrame(() => this.step());
    }
    draw() {
      for (const { path, frames } of this.paths) {
        const video = path.closest(".stage").querySelector("video");
        const at = this.rest ?? Math.min(frames.length - 1, Math.floor(video.currentTime * this.fps + 0.05));
        const shape = frames[at] || "M0 0";
        if (path.getAttribute("d") !== shape) path.setAttribute("d", shape);
      }
    }
  }

  for (const element of document.querySelectorAll(".row")) rows.push(new Row(element));

  const all = document.querySelector("#play-all");
  if (all) {
    all.addEventListener("click", () => {
      const start = all.getAttribute("aria-pressed") !== "true";
      all.setAttribute("aria-pressed", String(start));
      all.textContent = start ? "Pause all" : "Play all";
      for (const row of rows) row.hold(start);
    });
  }
  for (const box of document.querySelectorAll("input[data-hides]")) {
    const apply = () => document.body.classList.toggle(box.dataset.hides, !box.checked);
    box.addEventListener("change", apply);
    apply();
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const order = head.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", order);
        const sign = order === "ascending" ? 1 : -1;
        const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
        const rows = [...body.rows].sort((left, right) => {
          const [a, b] = [key(left), key(right)];
          const [x, y] = [Number(a), Number(b)];
          if (Number.isNaN(x) && Number.isNaN(y)) return sign * a.localeCompare(b);
          if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1; // what is missing stays below
          return sign * (x - y);
        });
        body.append(...rows);
      });
    });
  }

  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => (one.open = true)));
})();
