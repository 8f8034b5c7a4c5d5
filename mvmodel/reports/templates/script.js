"use strict";
// Plays the videos of a row in sync, draws outlines over them and sorts tables. Without it, videos have the browser's controls.
(() => {
  const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const hovers = matchMedia("(hover: hover)").matches && !reducedMotion;
  const rows = [];

  class Row {
    constructor(element) {
      this.videos = [...element.querySelectorAll("video")];
      this.button = element.querySelector("button.play");
      this.fps = Number(element.dataset.fps);
      this.control = JSON.parse(element.dataset.outline);
      this.paths = [...element.querySelectorAll("path")].map((path) => ({
        path,
        frames: path.dataset.outline ? JSON.parse(path.dataset.outline) : this.control,
      }));
      this.pinned = false;
      for (const video of this.videos) video.controls = false;
      this.posterIndex = Number(element.dataset.posterIndex); // the posters' frame, until the row is played
      for (const stage of element.querySelectorAll(".stage")) stage.addEventListener("click", () => this.pin(!this.pinned));
      this.button.addEventListener("click", () => this.pin(!this.pinned));
      if (hovers) {
        const films = element.querySelector(".films");
        films.addEventListener("pointerenter", () => this.play());
        films.addEventListener("pointerleave", () => this.pinned || this.pause());
      }
      this.draw();
    }
    pin(on) {
      this.pinned = on;
      this.button.textContent = on ? "Pause" : "Play";
      this.button.setAttribute("aria-pressed", String(on));
      on ? this.play() : this.pause();
    }
    play() {
      if (this.playing) return;
      this.playing = true;
      this.posterIndex = null;
      for (const video of this.videos) video.play().catch(() => {});
      requestAnimationFrame(() => this.step());
    }
    pause() {
      this.playing = false;
      const time = this.videos[0].currentTime;
      for (const video of this.videos) {
        video.pause();
        if (Math.abs(video.currentTime - time) > 0.01) video.currentTime = time;
      }
      this.draw();
    }
    step() {
      if (!this.playing) return;
      const [leader, ...followers] = this.videos;
      for (const video of followers) {
        const drift = Math.abs(video.currentTime - leader.currentTime);
        if (drift > 0.6 / this.fps && !video.seeking) video.currentTime = leader.currentTime;
      }
      this.draw();
      requestAnimationFrame(() => this.step());
    }
    draw() {
      for (const { path, frames } of this.paths) {
        const video = path.closest(".stage").querySelector("video");
        const index = this.posterIndex ?? Math.min(frames.length - 1, Math.floor(video.currentTime * this.fps + 0.05));
        const shape = frames[index] || "M0 0";
        if (path.getAttribute("d") !== shape) path.setAttribute("d", shape);
      }
    }
  }

  for (const element of document.querySelectorAll(".row")) rows.push(new Row(element));

  const playAll = document.querySelector("#play-all");
  if (playAll) {
    playAll.addEventListener("click", () => {
      const start = playAll.getAttribute("aria-pressed") !== "true";
      playAll.setAttribute("aria-pressed", String(start));
      playAll.textContent = start ? "Pause all" : "Play all";
      for (const row of rows) row.pin(start);
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
        for (const cell of heads) cell.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", order);
        const sign = order === "ascending" ? 1 : -1;
        const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
        const rows = [...body.rows].sort((left, right) => {
          const [a, b] = [key(left), key(right)];
          const [x, y] = [Number(a), Number(b)];
          if (Number.isNaN(x) && Number.isNaN(y)) return sign * a.localeCompare(b);
          if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1; // missing values stay at the bottom
          return sign * (x - y);
        });
        body.append(...rows);
      });
    });
  }

  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((details) => (details.open = true)));
})();
