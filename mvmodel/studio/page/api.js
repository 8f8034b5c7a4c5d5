// Requests to the server. Wrong input comes back as one sentence, which is shown.
export const COLOURS = [[255, 196, 64], [88, 176, 255], [120, 220, 130], [240, 120, 160], [190, 150, 255], [230, 230, 230]];
export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
export const cssColour = index => `rgb(${COLOURS[index % COLOURS.length].join(',')})`;
export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

export function toast(text, note = false, milliseconds = note ? 4000 : 9000) {
  const box = document.createElement('div');
  box.className = note ? 'toast note' : 'toast';
  box.textContent = text;
  $('#toasts').append(box);
  if (Number.isFinite(milliseconds)) setTimeout(() => box.remove(), milliseconds);
  return box;
}

// Which of the person's sessions this page shows; every address names it, so that two pages may show two sessions.
export const sessionKey = () => new URLSearchParams(location.search).get('session');
export function address(path) {
  const key = sessionKey();
  return key && !/[?&]session=/.test(path) ? `${path}${path.includes('?') ? '&' : '?'}session=${encodeURIComponent(key)}` : path;
}

export async function request(path, method = 'GET', body = undefined) {
  let response;
  try {
    response = await fetch(address(path), { method, headers: { 'x-studio': '1', 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    throw new Error('the server does not answer; is mvmodel studio still running?');
  }
  const content = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(content.error || `the server answered ${response.status}`);
  return content;
}

// Runs an action and shows its error, so that no click ends in silence.
export async function attempt(action) {
  try { return await action(); } catch (error) { toast(error.message); return undefined; }
}

export async function encodeFiles(list) {
  const files = [];
  for (const file of [...list].sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }))) {
    const url = await new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result);
      reader.onerror = () => reject(new Error(`${file.name} cannot be read`));
      reader.readAsDataURL(file);
    });
    files.push({ name: file.name, data: url.slice(url.indexOf(',') + 1) });
  }
  return { files };
}

// Sends files. What takes longer than a moment is said for as long as it takes.
export async function upload(role, list) {
  let busy = null;
  const timer = setTimeout(() => { busy = toast(`reading ${list.length === 1 ? list[0].name : `${list.length} files`}…`, true, Infinity); }, 400);
  try {
    return await request(`/api/uploads/${role}`, 'POST', await encodeFiles(list));
  } finally {
    clearTimeout(timer);
    busy?.remove();
  }
}

// The masks of all frames from what the server described: {width, height, frames: [Uint8Array of object numbers]}.
export async function decodeSheet({ sheet, width, height }) {
  const image = await loadImage(sheet);
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const frames = [];
  for (let top = 0; top + height <= image.naturalHeight; top += height) {
    const pixels = context.getImageData(0, top, width, height).data;
    const labels = new Uint8Array(width * height);
    for (let i = 0; i < labels.length; i++) labels[i] = pixels[4 * i];
    frames.push(labels);
  }
  return { width, height, frames };
}

export function loadImage(url) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error('a picture cannot be shown'));
    image.src = url;
  });
}

// A small canvas with the objects of one frame in their colours. only: number of one object, or 0 for all.
export function paintLabels(sheet, index, alpha = 255, only = 0) {
  const { width, height, frames } = sheet;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d');
  const image = context.createImageData(width, height);
  const labels = frames[Math.min(index, frames.length - 1)];
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i];
    if (!label || (only && label !== only)) continue;
    const [red, green, blue] = COLOURS[(label - 1) % COLOURS.length];
    image.data.set([red, green, blue, alpha], 4 * i);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

// The outline of one frame's objects as a canvas of `scale` times the size.
export function paintOutline(sheet, index, scale, colour) {
  const { width, height, frames } = sheet;
  const labels = frames[Math.min(index, frames.length - 1)];
  const canvas = new OffscreenCanvas(Math.round(width * scale), Math.round(height * scale));
  const context = canvas.getContext('2d');
  context.strokeStyle = colour;
  context.lineWidth = 2;
  context.beginPath();
  const at = (x, y) => (x < 0 || y < 0 || x >= width || y >= height ? 0 : labels[y * width + x]);
  for (let y = 0; y <= height; y++) for (let x = 0; x <= width; x++) {
    if (at(x, y) !== at(x - 1, y)) { context.moveTo(x * scale, y * scale); context.lineTo(x * scale, (y + 1) * scale); }
    if (at(x, y) !== at(x, y - 1)) { context.moveTo(x * scale, y * scale); context.lineTo((x + 1) * scale, y * scale); }
  }
  context.stroke();
  return canvas;
}
