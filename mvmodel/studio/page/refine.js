// Step 4: finished videos beside each other in step, figures, downloads, and ways to go on.
import { $, $$, attempt, decodeSheet, paintOutline, request, toast } from './api.js';
import { change, clone, emptyMotion, newId, onChange, replaceProject, store } from './store.js';
import { resizeStage } from './stage.js';
import { generate } from './generate.js';

const FIGURES = { iou: ['Follows the mask', 'IoU of the object that the judge finds with the mask'], consistency: ['Frames alike', 'similarity of all frames'], alignment: ['Fits the prompt', 'similarity of frames and prompt'], motion: ['Motion', 'pixels a frame'], flicker: ['Flicker', 'lower is calmer'], colour_drift: ['Colour drift', 'lower is steadier'] };
const EXPORTS = { mp4: 'MP4', gif: 'GIF', webp: 'WebP', webm: 'WebM', frames: 'Frames', masks: 'Mask PNGs', npz: 'Masks .npz', beside: 'Beside masks', settings: 'Settings', request: 'Request row' };
export const view = { current: null, before: null };
const details = new Map();          // video -> masks and outlines as the server describes them

const find = id => store.videos.find(video => video.id === id) || null;

async function loadDetails(id) {
  const figures = JSON.stringify(find(id)?.figures ?? {});
  const known = details.get(id);
  if (known?.figures === figures) return known;
  const answer = await request(`/api/videos/${id}/masks`);
  const { width, height } = store.state.pack;
  const entry = { ...answer, figures, control: await decodeSheet(answer.sheet, width, height), found: answer.detected ? await decodeSheet(answer.detected, width, height) : null };
  details.set(id, entry);
  return entry;
}

export function showVideos() {
  if (!find(view.current)) view.current = store.videos[0]?.id ?? null;
  if (!find(view.before) || view.before === view.current) view.before = store.videos.find(video => video.id !== view.current)?.id ?? null;
  $('#videos-list').style.setProperty('--aspect', `${store.state.pack.width} / ${store.state.pack.height}`);
  const known = new Map($$('#videos-list .thumb').map(button => [button.dataset.id, button]));
  $('#videos-list').replaceChildren(...store.videos.map(video => {
    const button = known.get(video.id) || makeThumb(video);
    button.className = `thumb${video.id === view.current ? ' on' : video.id === view.before ? ' before' : ''}`;
    button.setAttribute('aria-pressed', String(video.id === view.current));
    return button;
  }));
  const none = !store.videos.length;
  for (const control of $$('#refine-edit, #refine-vary, #refine-extend, #exports a, #delete-video')) control.toggleAttribute('disabled', none);
  $('#refine-lead').textContent = none ? 'No video yet: generate one in step 3.' : 'Click selects a video (yellow); the one selected before stays beside it (blue).';
  showPlayer('#video-a', view.before, 'Before');
  showPlayer('#video-b', view.current, view.before ? 'After' : '');
  showFigures();
  showExports();
}

function makeThumb(video) {
  const button = document.createElement('button'), screen = document.createElement('video'), label = document.createElement('span');
  button.dataset.id = video.id;
  Object.assign(screen, { src: `/api/videos/${video.id}/video.mp4`, muted: true, loop: true, playsInline: true, preload: 'auto' });
  label.textContent = `seed ${video.seed}`;
  button.title = video.prompt;
  button.append(screen, label);
  button.onpointerenter = () => screen.play().catch(() => {});
  button.onpointerleave = () => screen.pause();
  button.onclick = () => {
    if (view.current !== video.id) { view.before = view.current; view.current = video.id; }
    showVideos();
    resizeStage();
  };
  return button;
}

function showPlayer(selector, id, word) {
  const figure = $(selector), video = find(id), screen = $('video', figure);
  figure.hidden = store.step !== 'refine' || !video;
  if (!video) { screen.removeAttribute('src'); figure.dataset.id = ''; return; }
  if (figure.dataset.id !== id) {
    figure.dataset.id = id;
    screen.src = `/api/videos/${id}/video.mp4`;
    screen.play().catch(() => {});
  }
  $('figcaption', figure).textContent = `${word ? `${word}: ` : ''}${video.prompt}, seed ${video.seed}, ${video.seconds} s`;
  attempt(() => loadDetails(id));
}

// The time of the frame that each video really shows: it lags behind `currentTime` where decoding takes long.
const shownTimes = new Map();
function followFrames(screen) {
  if (!screen.requestVideoFrameCallback) return;
  const remember = (now, frame) => { shownTimes.set(screen, frame.mediaTime); screen.requestVideoFrameCallback(remember); };
  screen.requestVideoFrameCallback(remember);
}

// Both videos show the frame of the clock; outlines are drawn for the same frame.
export function playInStep(frameTime) {
  if (store.step !== 'refine') return;
  for (const selector of ['#video-a', '#video-b']) {
    const figure = $(selector), video = find(figure.dataset.id), screen = $('video', figure);
    if (figure.hidden || !video || screen.readyState < 2) continue;
    const length = video.frames / video.fps, target = store.playing ? frameTime % length : (Math.min(store.frame, video.frames - 1) + 0.5) / video.fps;
    if (store.playing) {
      if (screen.paused) screen.play().catch(() => {});
      const gap = Math.abs(screen.currentTime - target);
      if (Math.min(gap, length - gap) > 1.2 / video.fps) screen.currentTime = target;
    } else {
      if (!screen.paused) screen.pause();
      if (Math.abs(screen.currentTime - target) > 0.4 / video.fps) screen.currentTime = target;
    }
    const time = screen.requestVideoFrameCallback ? shownTimes.get(screen) ?? 0 : screen.currentTime;
    drawOutlines(figure, video, Math.min(video.frames - 1, Math.floor(time * video.fps + 0.01)));
  }
}

function drawOutlines(figure, video, frame) {
  const overlay = $('canvas', figure), pen = overlay.getContext('2d'), known = details.get(video.id);
  pen.clearRect(0, 0, overlay.width, overlay.height);
  if (!known) return;
  const scale = overlay.width / store.state.pack.width;
  if ($('#show-control').checked) pen.drawImage(paintOutline(known.control, frame, scale, '#ffc440'), 0, 0);
  if ($('#show-detected').checked && known.found) pen.drawImage(paintOutline(known.found, frame, scale, '#8ec5ff'), 0, 0);
}

function showFigures() {
  const now = find(view.current), before = find(view.before);
  const rows = Object.entries(FIGURES).map(([name, [title, explanation]]) => {
    const row = document.createElement('tr'), head = document.createElement('th');
    head.textContent = title;
    head.title = explanation;
    head.scope = 'row';
    row.append(head, ...[before, now].filter(Boolean).map(video => Object.assign(document.createElement('td'), { textContent: video.figures[name] === undefined ? '…' : video.figures[name].toFixed(2) })));
    return row;
  });
  $('#figures').hidden = !now;
  $('#figures caption').textContent = before && now ? 'Figures: before, after' : 'Figures';
  $('#figures tbody').replaceChildren(...(now ? rows : []));
}

function showExports() {
  $('#exports').replaceChildren(...Object.entries(EXPORTS).map(([kind, title]) => {
    const link = Object.assign(document.createElement('a'), { className: 'button', textContent: title });
    if (view.current) { link.href = `/api/videos/${view.current}/export/${kind}`; link.download = ''; }
    return link;
  }));
}

async function editVideo() {
  if (!view.current) return;
  const { project } = await loadDetails(view.current);
  replaceProject(clone(project));
  toast('this video’s project is open; change it and generate again', true);
  document.querySelector('[data-step="motion"]').click();
}

async function varySeeds() {
  if (!view.current) return;
  const { project } = await loadDetails(view.current), known = store.videos.map(video => video.seed);
  replaceProject({ ...clone(project), generation: { ...project.generation, seed: Math.max(...known) + 1, videos: 4 } });
  await generate();
  change(opened => { opened.generation.videos = 1; });
  toast('four more videos are in the queue; they appear here', true);
}

// The video goes on: its masks play back to their beginning. Edit the motion to let it end elsewhere.
async function extend() {
  if (!view.current) return;
  const known = await loadDetails(view.current), project = clone(known.project);
  const frames = Math.min(2 * project.frames - 1, store.state.limits.max_frames);
  const names = known.names.length ? known.names : [''];
  project.objects = names.map((name, instance) => ({ id: newId(), name, masks: { kind: 'sequence', file: known.masks, instance }, motion: emptyMotion(), edits: ['loop 2 there_and_back=yes'], visible: true }));
  replaceProject({ ...project, frames, pan: [0, 0] });
  toast(`the motion goes back to its beginning: ${frames} frames; generate it, or change the motion first`, true);
  document.querySelector('[data-step="generate"]').click();
}

export function initRefine() {
  for (const screen of $$('.result video')) followFrames(screen);
  $('#refine-edit').onclick = () => attempt(editVideo);
  $('#refine-vary').onclick = () => attempt(varySeeds);
  $('#refine-extend').onclick = () => attempt(extend);
  $('#delete-video').onclick = () => attempt(async () => {
    if (!view.current || !window.confirm('Delete this video? It cannot be brought back.')) return;
    await request(`/api/videos/${view.current}/delete`, 'POST');
  });
  onChange(reason => { if (reason === 'step') showVideos(); });
  showVideos();
}
