// The picture in the middle: background, onion skin, masks, paths, and everything that is drawn on it.
import { $, address, clamp, cssColour, loadImage, paintLabels, paintOutline, request, attempt } from './api.js';
import { change, emptyMotion, newId, notify, selectedObject, store, videoSize, visibleIndex } from './store.js';

const canvas = $('#stage');
const context = canvas.getContext('2d');
const keyCanvases = new Map();      // file of a key mask and size -> canvas with it in white
let backdrop = null, backdropUrl = '', preview = null;
let stroke = null, cursor = null, drag = null;
const unsaved = [];                 // painted strokes that the server has not stored yet, the oldest first
export const clip = { id: '', frames: 0, points: [], labels: [], box: null, mask: null };

const scale = () => canvas.width / videoSize().width;
export const isClipMode = () => store.step === 'mask' && clip.id && $('#clip-card').open;

export function resizeStage() {
  const box = $('#stages').getBoundingClientRect();
  const ratio = videoSize().width / videoSize().height;
  const narrow = window.innerWidth <= 960;
  const count = store.step === 'refine' ? Math.max(1, document.querySelectorAll('#stages figure:not([hidden])').length) : 1;
  const room = { width: (box.width - 36 - 18 * (count - 1)) / count, height: narrow ? window.innerHeight * 0.46 : box.height - 70 };
  const width = Math.floor(Math.max(160, Math.min(room.width, room.height * ratio)));
  const density = Math.min(2, window.devicePixelRatio || 1);
  canvas.style.width = `${width}px`;
  $('#stage-caption').style.maxWidth = `${Math.max(width, 160)}px`;
  canvas.style.height = `${Math.round(width / ratio)}px`;
  canvas.width = Math.round(width * density);
  canvas.height = Math.round((width / ratio) * density);
  for (const screen of document.querySelectorAll('.screen')) {
    const own = Number(screen.dataset.ratio) || ratio, side = Math.floor(Math.max(120, Math.min(room.width, room.height * own)));
    screen.style.width = `${side}px`;
    screen.style.height = `${Math.round(side / own)}px`;
    screen.nextElementSibling.style.maxWidth = `${side}px`;
    const overlay = $('canvas', screen);
    overlay.width = Math.round(side * density);
    overlay.height = Math.round((side / own) * density);
  }
  draw();
}

export async function setBackdrop(url) {
  if (url === backdropUrl) return;
  backdropUrl = url;
  backdrop = url ? await loadImage(url).catch(() => null) : null;
  draw();
}

// A strip of frames of an unfinished video, or null.
export function setPreview(image) {
  preview = image;
  draw();
}

export function draw() {
  if (!store.project) return;
  const { width, height } = canvas;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.imageSmoothingEnabled = true;
  context.fillStyle = '#0d0f14';
  context.fillRect(0, 0, width, height);
  if (preview && store.step === 'generate') { drawPreview(); return; }
  const clipMode = isClipMode();
  if (backdrop) { context.globalAlpha = clipMode ? 1 : 0.55; drawCovering(backdrop); context.globalAlpha = 1; }
  else drawGrid();
  if (clipMode) { drawClipMarks(); return; }
  const sheet = store.sheet, object = selectedObject();
  const painted = stroke || unsavedStroke(object);
  const editsKey = store.step === 'mask' && (painted || (object?.masks.kind === 'drawn' && object.visible));
  if (sheet) {
    if ($('#onion').checked && !store.playing) drawOnion(sheet);
    context.globalAlpha = editsKey ? 0.35 : backdrop ? 0.55 : 1;
    context.drawImage(paintLabels(sheet, store.frame), 0, 0, width, height);
    context.globalAlpha = 1;
    if (!store.playing) context.drawImage(paintOutline(sheet, store.frame, scale(), '#fff9'), 0, 0);
  }
  if (editsKey) drawKey(object, painted);
  if (store.step === 'motion' && object) drawMotion(object);
  if (!store.project.objects.length && !painted) drawEmpty();
  drawCursor();
}

// A picture of another shape fills the stage, as its middle will fill the video.
function drawCovering(image) {
  const ratio = Math.max(canvas.width / image.naturalWidth, canvas.height / image.naturalHeight);
  const width = image.naturalWidth * ratio, height = image.naturalHeight * ratio;
  context.drawImage(image, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
}

function drawGrid() {
  context.strokeStyle = '#ffffff0d';
  context.lineWidth = 1;
  context.beginPath();
  for (let part = 1; part < 8; part++) {
    const x = Math.round((canvas.width * part) / 8) + 0.5, y = Math.round((canvas.height * part) / 8) + 0.5;
    context.moveTo(x, 0); context.lineTo(x, canvas.height); context.moveTo(0, y); context.lineTo(canvas.width, y);
  }
  context.stroke();
}

function drawEmpty() {
  context.fillStyle = '#a6afbd';
  context.textAlign = 'center';
  context.font = `${Math.round(canvas.width / 26)}px system-ui`;
  context.fillText('Paint the object here', canvas.width / 2, canvas.height / 2);
}

function drawOnion(sheet) {
  const count = sheet.frames.length, steps = Math.min(6, count);
  for (let part = 0; part < steps; part++) {
    const index = Math.round((part * (count - 1)) / Math.max(1, steps - 1));
    if (index === store.frame) continue;
    const distance = Math.abs(index - store.frame) / count;
    context.globalAlpha = 0.26 * (1 - 0.6 * distance);
    context.drawImage(paintLabels(sheet, index), 0, 0, canvas.width, canvas.height);
  }
  context.globalAlpha = 1;
}

function drawPreview() {
  const count = Math.max(1, Math.round((preview.naturalHeight / preview.naturalWidth) * (videoSize().width / videoSize().height)));
  const index = Math.floor(performance.now() / 160) % count;
  const part = preview.naturalHeight / count;
  context.drawImage(preview, 0, index * part, preview.naturalWidth, part, 0, 0, canvas.width, canvas.height);
}

function drawKey(object, painted) {
  const source = painted?.canvas || keyCanvas(object, store.frame);
  if (!source) return;
  context.globalAlpha = 0.9;
  context.drawImage(tint(source, object ? visibleIndex(object) : store.project.objects.length), 0, 0, canvas.width, canvas.height);
  context.globalAlpha = 1;
  if (stroke?.shape) drawShape(stroke);
}

function tint(source, index) {
  const copy = new OffscreenCanvas(source.width, source.height), own = copy.getContext('2d');
  own.drawImage(source, 0, 0);
  own.globalCompositeOperation = 'source-in';
  own.fillStyle = cssColour(Math.max(0, index));
  own.fillRect(0, 0, copy.width, copy.height);
  return copy;
}

function drawShape({ from, to, points, shape }) {
  context.strokeStyle = '#fff';
  context.lineWidth = 2;
  context.beginPath();
  if (shape === 'outline') points.forEach(([x, y]) => context.lineTo(x * canvas.width, y * canvas.height));
  else if (shape === 'box') context.rect(from[0] * canvas.width, from[1] * canvas.height, (to[0] - from[0]) * canvas.width, (to[1] - from[1]) * canvas.height);
  else context.ellipse(((from[0] + to[0]) / 2) * canvas.width, ((from[1] + to[1]) / 2) * canvas.height,
    (Math.abs(to[0] - from[0]) / 2) * canvas.width, (Math.abs(to[1] - from[1]) / 2) * canvas.height, 0, 0, 7);
  context.stroke();
}

function drawMotion(object) {
  const centres = store.centres[visibleIndex(object)] || [];
  const points = drag?.path || centres.filter(Boolean);
  context.lineWidth = Math.max(2, canvas.width / 260);
  context.strokeStyle = '#fff';
  context.setLineDash(drag?.path ? [] : [6, 6]);
  context.beginPath();
  points.forEach(([x, y], i) => context[i ? 'lineTo' : 'moveTo'](x * canvas.width, y * canvas.height));
  context.stroke();
  context.setLineDash([]);
  if (drag?.path) return;
  centres.forEach((point, index) => {
    if (!point) return;
    context.beginPath();
    context.arc(point[0] * canvas.width, point[1] * canvas.height, index === store.frame ? canvas.width / 75 : canvas.width / 170, 0, 7);
    context.fillStyle = index === store.frame ? '#fff' : '#fffc';
    context.fill();
  });
  for (const [x, y] of object.motion.points.length <= 8 ? object.motion.points : []) {
    context.strokeStyle = '#ffc440';
    context.strokeRect((x + object.motion.offset[0]) * canvas.width - 6, (y + object.motion.offset[1]) * canvas.height - 6, 12, 12);
  }
}

function drawClipMarks() {
  if (clip.mask) { context.globalAlpha = 0.55; context.drawImage(paintLabels(clip.mask, 0), 0, 0, canvas.width, canvas.height); context.globalAlpha = 1; }
  clip.points.forEach(([x, y], i) => {
    context.beginPath();
    context.arc(x * canvas.width, y * canvas.height, 8, 0, 7);
    context.fillStyle = clip.labels[i] ? '#7be0a0' : '#ff8a80';
    context.strokeStyle = '#000';
    context.lineWidth = 2;
    context.fill(); context.stroke();
  });
  const box = drag?.box || clip.box;
  if (box) { context.strokeStyle = '#7be0a0'; context.lineWidth = 3; context.strokeRect(box[0] * canvas.width, box[1] * canvas.height, (box[2] - box[0]) * canvas.width, (box[3] - box[1]) * canvas.height); }
}

function drawCursor() {
  if (!cursor || store.step !== 'mask' || !['brush', 'eraser'].includes(store.tool)) return;
  context.strokeStyle = '#fff';
  context.lineWidth = 1.5;
  context.beginPath();
  context.arc(cursor[0] * canvas.width, cursor[1] * canvas.height, (Number($('#brush').value) / 2) * scale(), 0, 7);
  context.stroke();
}

// Key masks

export function keyFrameOf(object, frame) {
  const keys = Object.keys(object.masks.keys).map(Number).sort((a, b) => a - b);
  return keys.filter(key => key <= frame).at(-1) ?? keys[0];
}

function keyCanvas(object, frame) {
  if (!object || object.masks.kind !== 'drawn') return null;
  const name = object.masks.keys[keyFrameOf(object, frame)], key = keyName(name);
  if (!keyCanvases.has(key)) { keyCanvases.set(key, null); loadKey(name, key); }
  return keyCanvases.get(key);
}

const keyName = name => `${name} ${videoSize().width}x${videoSize().height}`;

async function loadKey(name, key) {
  const { width, height } = videoSize();
  const image = await loadImage(address(`/api/masks/${name}?frame=0&size=${width}x${height}`)).catch(() => null);
  if (!image) { keyCanvases.delete(key); return; }
  const own = new OffscreenCanvas(width, height), brush = own.getContext('2d');
  brush.drawImage(image, 0, 0);
  const pixels = brush.getImageData(0, 0, own.width, own.height);
  for (let i = 0; i < pixels.data.length; i += 4) pixels.data.set([255, 255, 255, pixels.data[i] > 127 ? 255 : 0], i);
  brush.putImageData(pixels, 0, 0);
  keyCanvases.set(key, own);
  draw();
}

// Stores a canvas as the key mask of the selected object, or of a new one, at this frame. Returns the object's id.
export async function storeKey(source, target = selectedObject(), frame = null) {
  const blob = await source.convertToBlob({ type: 'image/png' });
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const data = btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), ''));
  const answer = await attempt(() => request('/api/keys', 'POST', { files: [{ name: 'key.png', data }] }));
  if (!answer) { draw(); return null; }
  let stored = null;
  keyCanvases.set(keyName(answer.masks), source);
  change(project => {
    let object = target && project.objects.find(entry => entry.id === target.id);
    if (!object) {
      object = { id: newId(), name: '', masks: { kind: 'drawn', keys: { 0: answer.masks } }, motion: emptyMotion(), edits: [], visible: true };
      project.objects.push(object);
      store.selected = object.id;
    } else {
      object.masks.keys[frame ?? keyFrameOf(object, store.frame)] = answer.masks;
    }
    stored = object.id;
  });
  return stored;
}

export function shapeCanvas(kind) {
  const { width, height } = videoSize(), own = new OffscreenCanvas(width, height), brush = own.getContext('2d');
  const unit = Math.min(width, height), x = width / 2, y = height / 2;
  brush.fillStyle = '#fff';
  brush.beginPath();
  if (kind === 'box') brush.rect(x - 0.17 * unit, y - 0.13 * unit, 0.34 * unit, 0.26 * unit);
  else if (kind === 'disc') brush.arc(x, y, 0.16 * unit, 0, 7);
  else { brush.ellipse(x, y + 0.04 * unit, 0.19 * unit, 0.11 * unit, 0, 0, 7); brush.ellipse(x + 0.13 * unit, y - 0.07 * unit, 0.08 * unit, 0.09 * unit, 0.3, 0, 7); }
  brush.fill();
  return own;
}

export function copyKey(object, frame) {
  const source = keyCanvas(object, frame);
  return source && copyCanvas(source);
}

function copyCanvas(source) {
  const own = new OffscreenCanvas(source.width, source.height);
  own.getContext('2d').drawImage(source, 0, 0);
  return own;
}

// The last stroke on an object that is not stored yet, so that the next one is added to it. object: null for a new one.
function unsavedStroke(object) {
  const last = unsaved.at(-1);
  return last && last.target === (object?.id ?? null) && last.frame === (object ? keyFrameOf(object, store.frame) : null) ? last : null;
}

// Stores strokes one after the other: people paint faster than a busy server answers.
async function saveStrokes() {
  while (unsaved.length) {
    const [{ canvas: painted, target, frame }] = unsaved;
    const object = store.project.objects.find(({ id }) => id === target) ?? null;
    const stored = await storeKey(painted, object, frame);
    unsaved.shift();
    if (target === null && stored) {
      for (const later of [...unsaved, ...(stroke ? [stroke] : [])]) if (later.target === null) Object.assign(later, { target: stored, frame: 0 });
    }
  }
  draw();
}

function emptyCanvas() { return new OffscreenCanvas(videoSize().width, videoSize().height); }

// Pointer

function place(event) {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}

canvas.addEventListener('pointerdown', event => {
  if (event.button !== 0 || !store.project) return;
  canvas.setPointerCapture(event.pointerId);
  canvas.focus({ preventScroll: true });
  const point = place(event), object = selectedObject();
  if (isClipMode()) { drag = { start: point, box: null, negative: event.shiftKey }; return; }
  if (store.step === 'mask') {
    if (object && object.masks.kind !== 'drawn') return attempt(() => { throw new Error('these masks are not drawn by hand; press + Add to draw another object'); });
    const earlier = unsavedStroke(object), source = earlier ? copyCanvas(earlier.canvas) : object ? copyKey(object, store.frame) : emptyCanvas();
    if (!source) return;
    stroke = { canvas: source, target: object?.id ?? null, frame: object ? keyFrameOf(object, store.frame) : null, last: point, from: point, to: point, points: [point], shape: ['ellipse', 'box', 'outline'].includes(store.tool) ? store.tool : null };
    if (!stroke.shape) dab(point, point);
  } else if (store.step === 'motion' && object) {
    const handle = store.tool === 'move' ? object.motion.points.findIndex(([x, y]) => object.motion.points.length <= 8 &&
      Math.hypot((x + object.motion.offset[0] - point[0]) * canvas.width, (y + object.motion.offset[1] - point[1]) * canvas.height) < 14) : -1;
    drag = store.tool === 'path' ? { path: [point] } : { start: point, offset: [...object.motion.offset], handle };
  }
  draw();
});

canvas.addEventListener('pointermove', event => {
  if (!store.project) return;
  const point = place(event);
  cursor = point;
  if (stroke) {
    if (stroke.shape) { stroke.to = point; stroke.points.push(point); } else dab(stroke.last, point);
    stroke.last = point;
  } else if (drag?.path) {
    const [x, y] = drag.path.at(-1);
    if (Math.hypot(point[0] - x, point[1] - y) > 0.008) drag.path.push(point);
  } else if (drag && isClipMode()) {
    if (Math.hypot(point[0] - drag.start[0], point[1] - drag.start[1]) > 0.02) drag.box = [...drag.start, ...point];
  } else if (drag?.offset) {
    const object = selectedObject(), { start, offset, handle } = drag;
    if (handle >= 0) change(() => { object.motion.points[handle] = point.map((value, i) => clamp(value - object.motion.offset[i], -2, 3)); }, true);
    else change(() => { object.motion.offset = [0, 1].map(i => clamp(offset[i] + point[i] - start[i], -2, 2)); }, true);
  }
  draw();
});

canvas.addEventListener('pointerup', event => {
  if (stroke) {
    const finished = stroke;
    if (finished.shape) fillShape(finished);
    finished.shape = null;
    stroke = null;
    unsaved.push(finished);
    if (unsaved.length === 1) saveStrokes();
  } else if (drag?.path) {
    const points = simplify(drag.path, 0.012).map(point => point.map(value => Number(clamp(value, -1, 2).toFixed(4))));
    if (points.length > 1) change(() => { const object = selectedObject(); object.motion.points = points; object.motion.offset = [0, 0]; });
  } else if (drag && isClipMode()) {
    if (drag.box) clip.box = drag.box; else { clip.points.push(drag.start); clip.labels.push(event.shiftKey || drag.negative ? 0 : 1); }
    clip.mask = null;
    notify('clip');
  } else if (drag?.offset) change(() => {});
  drag = null;
  draw();
});
canvas.addEventListener('pointerleave', () => { cursor = null; draw(); });

function dab(from, to) {
  const brush = stroke.canvas.getContext('2d');
  brush.globalCompositeOperation = store.tool === 'eraser' ? 'destination-out' : 'source-over';
  brush.strokeStyle = '#fff';
  brush.lineCap = brush.lineJoin = 'round';
  brush.lineWidth = Number($('#brush').value);
  brush.beginPath();
  brush.moveTo(from[0] * stroke.canvas.width, from[1] * stroke.canvas.height);
  brush.lineTo(to[0] * stroke.canvas.width + 0.01, to[1] * stroke.canvas.height);
  brush.stroke();
}

function fillShape({ canvas: target, from, to, points, shape }) {
  const brush = target.getContext('2d'), [w, h] = [target.width, target.height];
  brush.fillStyle = '#fff';
  brush.beginPath();
  if (shape === 'outline') points.forEach(([x, y]) => brush.lineTo(x * w, y * h));
  else if (shape === 'box') brush.rect(Math.min(from[0], to[0]) * w, Math.min(from[1], to[1]) * h, Math.abs(to[0] - from[0]) * w, Math.abs(to[1] - from[1]) * h);
  else brush.ellipse(((from[0] + to[0]) / 2) * w, ((from[1] + to[1]) / 2) * h, (Math.abs(to[0] - from[0]) / 2) * w, (Math.abs(to[1] - from[1]) / 2) * h, 0, 0, 7);
  brush.fill();
}

// Douglas and Peucker: the points of a drawn path that matter.
export function simplify(points, tolerance) {
  if (points.length < 3) return points;
  const [[ax, ay], [bx, by]] = [points[0], points.at(-1)], length = Math.hypot(bx - ax, by - ay);
  let worst = 0, index = 0;
  points.forEach(([x, y], i) => {
    const distance = length ? Math.abs((bx - ax) * (ay - y) - (ax - x) * (by - ay)) / length : Math.hypot(x - ax, y - ay);
    if (distance > worst) { worst = distance; index = i; }
  });
  if (worst <= tolerance) return [points[0], points.at(-1)];
  return [...simplify(points.slice(0, index + 1), tolerance).slice(0, -1), ...simplify(points.slice(index), tolerance)];
}

canvas.addEventListener('keydown', event => {
  const object = selectedObject(), step = event.shiftKey ? 0.08 : 0.02;
  const move = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
  if (!move || !object) return;
  event.preventDefault();
  event.stopPropagation();
  change(() => { object.motion.offset = object.motion.offset.map((value, i) => clamp(Number((value + move[i]).toFixed(4)), -2, 2)); });
});
