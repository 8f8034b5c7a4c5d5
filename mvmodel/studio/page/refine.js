// Step 4: finished videos beside each other in step, figures, downloads, and ways to go on.
import { $, $$, address, attempt, clamp, decodeSheet, paintOutline, request, toast } from './api.js';
import { change, clone, emptyMotion, newId, onChange, replaceProject, store, videoSize } from './store.js';
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
  const entry = { ...answer, figures, control: await decodeSheet(answer), found: answer.detected ? await decodeSheet({ ...answer, sheet: answer.detected }) : null };
  details.set(id, entry);
  return entry;
}

export function showVideos() {
  if (!find(view.current)) view.current = store.videos[0]?.id ?? null;
  if (!find(view.before) || view.before === view.current) view.before = store.videos.find(video => video.id !== view.current)?.id ?? null;
  const { width, height } = videoSize();
  $('#videos-list').style.setProperty('--aspect', `${width} / ${height}`);
  const known = new Map($$('#videos-list .thumb').map(button => [button.dataset.id, button]));
  $('#videos-list').replaceChildren(...store.videos.map(video => {
    const button = known.get(video.id) || makeThumb(video);
    button.className = `thumb${video.id === view.current ? ' on' : video.id === view.before ? ' before' : ''}`;
    button.setAttribute('aria-pressed', String(video.id === view.current));
    return button;
  }));
  const none = !store.videos.length;
  for (const control of $$('#refine-edit, #refine-vary, #refine-extend, #refine-back, #exports a, #delete-video')) control.toggleAttribute('disabled', none);
  $('#refine-lead').textContent = none ? 'No video yet: generate one in step 3.' : 'Click selects a video (yellow); the one selected before stays beside it (blue).';
  showPlayer('#video-a', view.before, 'Before');
  showPlayer('#video-b', view.current, view.before ? 'After' : '');
  showFigures();
  showExports();
}

function makeThumb(video) {
  const button = document.createElement('button'), screen = document.createElement('video'), label = document.createElement('span');
  button.dataset.id = video.id;
  Object.assign(screen, { src: address(`/api/videos/${video.id}/video.mp4`), muted: true, loop: true, playsInline: true, preload: 'auto' });
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
    const [wide, tall] = video.size.split('x').map(Number);
    $('.screen', figure).dataset.ratio = wide / tall;
    screen.src = address(`/api/videos/${id}/video.mp4`);
    screen.play().catch(() => {});
  }
  $('figcaption', figure).textContent = `${word ? `${word}: ` : ''}${video.prompt}, seed ${video.seed}, made in ${Math.round(video.seconds)} s`;
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
  const scale = overlay.width / (details.get(video.id)?.control.width ?? overlay.width);
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
    if (!view.current) link.setAttribute('disabled', '');
    else if (kind === 'request' && !find(view.current).is_table_row) {
      link.setAttribute('disabled', '');
      link.title = 'A request table has neither pictures for frame 1 nor a switch for the mask term: download the settings';
    } else Object.assign(link, { href: address(`/api/videos/${view.current}/export/${kind}`), download: '' });
    return link;
  }));
}

async function editVideo() {
  if (!view.current) return;
  const { project } = await loadDetails(view.current);
  store.frame = 0;
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

// The video goes on. Its masks stay as they are; new ones follow: on along the path, or back to the beginning.
async function extend(isBack) {
  if (!view.current) return;
  const known = await loadDetails(view.current), project = clone(known.project), { frames } = known;
  const total = Math.min(2 * frames - 1, store.state.limits.max_frames);
  if (total <= frames) throw new Error(`a video has at most ${store.state.limits.max_frames} frames here`);
  const names = known.names.length ? known.names : [''];
  project.objects = names.map((name, instance) => {
    const masks = { kind: 'sequence', file: known.masks, instance };
    const onward = { ...emptyMotion(), start: frames - 1, points: continuePath(known.centres[instance] || [], total - frames) };
    return { id: newId(), name, masks, motion: isBack ? emptyMotion() : onward, edits: [isBack ? 'loop 2 there_and_back=yes' : `extend ${total - frames} speed=0`], visible: true };
  });
  const grown = (total - 1) / Math.max(1, frames - 1);
  const camera = isBack || !known.camera ? null : known.camera.map(distance => distance * grown);
  replaceProject({ ...project, frames: total, pan: [0, 0], camera });
  store.frame = frames - 1;
  toast(isBack ? `the motion goes back to its beginning: ${total} frames; generate it, or change it first` : `${total - frames} frames were added: the first ${frames} stay. Draw another path for the rest, or generate`, true);
  document.querySelector(isBack ? '[data-step="generate"]' : '[data-step="motion"]').click();
}

// The straight path on from the last place, inside the picture; where there is no room, it turns round.
function continuePath(centres, frames) {
  const half = Math.floor(centres.length / 2), last = centres.at(-1), earlier = centres.slice(half).findIndex(Boolean);
  if (!last || earlier < 0) return [];
  const from = centres[half + earlier], steps = Math.max(1, centres.length - 1 - half - earlier);
  const travel = [0, 1].map(axis => ((last[axis] - from[axis]) / steps) * frames);
  const to = travel.map((length, axis) => {
    const ahead = clamp(last[axis] + length, 0.12, 0.88), back = clamp(last[axis] - length, 0.12, 0.88);
    return Math.abs(length) > 0.04 && Math.abs(ahead - last[axis]) < 0.04 ? back : ahead;
  });
  return Math.hypot(to[0] - last[0], to[1] - last[1]) < 0.02 ? [] : [last, to].map(point => point.map(value => Number(value.toFixed(4))));
}

export function initRefine() {
  for (const screen of $$('.result video')) followFrames(screen);
  $('#refine-edit').onclick = () => attempt(editVideo);
  $('#refine-vary').onclick = () => attempt(varySeeds);
  $('#refine-extend').onclick = () => attempt(() => extend(false));
  $('#refine-back').onclick = () => attempt(() => extend(true));
  $('#delete-video').onclick = () => attempt(async () => {
    if (!view.current || !window.confirm('Delete this video? It cannot be brought back.')) return;
    await request(`/api/videos/${view.current}/delete`, 'POST');
  });
  onChange(reason => { if (reason === 'step') showVideos(); });
  showVideos();
}
