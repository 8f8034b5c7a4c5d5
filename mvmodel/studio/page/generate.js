// Step 3: prompt, first frame, settings, the queue and its progress.
import { $, $$, attempt, loadImage, request, toast, upload } from './api.js';
import { change, notify, onChange, store } from './store.js';
import { clip, draw, setPreview } from './stage.js';
import { startJob } from './mask.js';

let candidates = [], shownPreview = '';

export async function generate(extra = {}) {
  if (!store.project.objects.length) return toast('draw an object first');
  if (!store.project.generation.prompt.trim()) { toast('say what the video shows'); return $('#prompt').focus(); }
  const project = { ...store.project, generation: { ...store.project.generation, ...extra } };
  const jobs = await startJob('generate', { project }, () => {});
  if (jobs.length) store.followed = jobs[0];
  return jobs;
}

const bindings = { '#prompt': 'prompt', '#negative': 'negative_prompt' };
const numbers = { '#seed': 'seed', '#videos': 'videos', '#steps': 'steps' };

export const hasPreview = () => shownPreview !== '';

export function initGenerate() {
  for (const [selector, name] of Object.entries(bindings)) {
    $(selector).oninput = () => change(project => { project.generation[name] = $(selector).value; }, true);
    $(selector).onchange = () => change(project => { project.generation[name] = $(selector).value; });
  }
  for (const [selector, name] of Object.entries(numbers)) {
    $(selector).onchange = () => change(project => {
      const field = $(selector), value = field.value === '' ? null : Math.round(Number(field.value));
      const low = Number(field.min), high = field.max ? Number(field.max) : Number.MAX_SAFE_INTEGER;
      project.generation[name] = value === null ? (name === 'steps' ? null : low) : Math.min(high, Math.max(low, value));
    });
  }
  $('#dice').onclick = () => change(project => { project.generation.seed = Math.floor(Math.random() * 100000); });
  $('#adapter').replaceChildren(new Option(store.state.pack.start_adapter ? 'the pack’s own' : 'none', ''), ...store.state.adapters.map(name => new Option(name, name)));
  $('#adapter').onchange = () => change(project => { project.generation.adapter = $('#adapter').value; });
  $('#adapter-scale').oninput = () => change(project => { project.generation.adapter_scale = Number($('#adapter-scale').value); }, true);
  $('#adapter-scale').onchange = () => change(project => { project.generation.adapter_scale = Number($('#adapter-scale').value); });
  $('#size-note').textContent = `${store.state.pack.width}×${store.state.pack.height} pixels, pack ${store.state.pack.name}${store.state.pack.random ? ' (random weights: the pictures mean nothing)' : ''}. Another size: mvmodel studio --size.`;
  $('#generate').onclick = () => generate();
  $('#first-made').onclick = () => change(project => { project.generation.first_frame = null; });
  $('#first-four').onclick = () => startJob('first_frames', { project: store.project }, result => { candidates = result.pictures; show(); });
  $('#upload-first').onchange = event => attempt(async () => {
    const answer = await upload('first_frame', event.target.files);
    for (const remark of answer.remarks) toast(remark, true);
    chooseFirst(answer.picture);
  }).then(() => { event.target.value = ''; });
  $('#first-clip').onclick = () => attempt(async () => {
    if (!clip.id) throw new Error('upload a video in the step Mask first');
    const response = await fetch(`/api/clips/${clip.id}/${store.frame}`);
    const file = new File([await response.blob()], 'frame.jpg', { type: 'image/jpeg' });
    chooseFirst((await upload('first_frame', [file])).picture);
  });
  $('#first-clip').disabled = !clip.id;
  suggest();
  onChange(reason => { if (['project', 'masks', 'step'].includes(reason)) show(); });
  show();
}

function chooseFirst(name) {
  if (!candidates.includes(name)) candidates.unshift(name);
  change(project => { project.generation.first_frame = name; });
}

function suggest() {
  const { objects, backgrounds } = store.state.pack;
  const chips = [...objects.slice(0, 8).map(word => ['aeiou'.includes(word[0]) ? `an ${word}` : `a ${word}`, true]), ...backgrounds.map(words => [words, false])];
  $('#suggestions').replaceChildren(...chips.map(([words]) => {
    const chip = document.createElement('button');
    chip.textContent = words;
    chip.onclick = () => change(project => { project.generation.prompt = `${project.generation.prompt} ${words}`.trim(); });
    return chip;
  }));
}

function show() {
  const choices = store.project.generation;
  for (const [selector, name] of Object.entries({ ...bindings, ...numbers })) {
    if (document.activeElement !== $(selector)) $(selector).value = choices[name] ?? '';
  }
  $('#adapter').value = choices.adapter;
  $('#adapter-scale').value = choices.adapter_scale;
  $('#adapter-scale-label').textContent = choices.adapter_scale.toFixed(2);
  $('#first-made').classList.toggle('on', !choices.first_frame);
  const pictures = choices.first_frame && !candidates.includes(choices.first_frame) ? [choices.first_frame, ...candidates] : candidates;
  $('#first-list').replaceChildren(...pictures.map(name => {
    const button = document.createElement('button'), image = document.createElement('img');
    button.className = `thumb${name === choices.first_frame ? ' on' : ''}`;
    button.setAttribute('aria-pressed', String(name === choices.first_frame));
    image.src = `/api/pictures/${name}`;
    image.alt = 'a first frame';
    button.append(image);
    button.onclick = () => chooseFirst(name);
    return button;
  }));
  $('#remarks').replaceChildren(...store.remarks.map(text => Object.assign(document.createElement('p'), { className: 'remark', textContent: text })));
  $('#generate').textContent = choices.videos > 1 ? `Generate ${choices.videos} videos` : 'Generate';
}

const NAMES = { generate: 'Video', first_frames: 'First frames', words: 'Masks from words', segment: 'Mask of this frame', track: 'Tracking', find: 'Finding what moves', measure: 'Figures' };
const seconds = value => (value < 90 ? `${Math.ceil(value)} s` : `${Math.round(value / 60)} min`);

export function showJobs() {
  const shown = store.jobs.filter(job => job.state !== 'done' || Date.now() / 1000 - job.finished < 6).slice(-8);
  const cards = shown.map(job => {
    const card = document.createElement('div'), line = document.createElement('div'), title = document.createElement('b'), note = document.createElement('span');
    card.className = 'job';
    card.dataset.state = job.state;
    line.className = 'line';
    title.textContent = `${NAMES[job.kind] || job.kind}${job.seed == null ? '' : `, seed ${job.seed}`}`;
    note.className = job.state === 'failed' ? 'failed hint' : 'hint';
    line.append(title);
    const isActive = ['waiting', 'running'].includes(job.state);
    const button = document.createElement('button');
    button.className = 'small';
    button.textContent = isActive ? 'Cancel' : 'Dismiss';
    button.onclick = () => attempt(() => request(`/api/jobs/${job.id}/cancel`, 'POST'));
    line.append(button);
    card.append(line);
    if (job.state === 'running') {
      const bar = document.createElement('progress');
      bar.max = 1;
      bar.value = job.share;
      bar.setAttribute('aria-label', title.textContent);
      card.append(bar);
      note.textContent = `${job.note || 'starting'}${job.seconds_left !== null ? `, about ${seconds(job.seconds_left)} left` : ''}`;
    } else if (job.state === 'waiting') {
      note.textContent = store.device === 'starting' ? 'waiting for the models to load' : `waiting, number ${job.place} in the queue`;
    } else note.textContent = { failed: job.error, cancelled: 'cancelled', done: `done in ${seconds(job.seconds)}` }[job.state];
    card.append(note);
    return card;
  });
  $('#jobs').replaceChildren(...cards);
  showPreview();
}

async function showPreview() {
  const job = store.jobs.find(entry => entry.state === 'running' && entry.kind === 'generate' && entry.preview);
  const key = job ? `${job.id}-${job.preview}` : '';
  if (key === shownPreview) return;
  shownPreview = key;
  notify('preview');
  if (!job) return setPreview(null);
  const image = await loadImage(`/api/jobs/${job.id}/preview?${job.preview}`).catch(() => null);
  if (image && shownPreview === key) setPreview(image);
}

setInterval(() => { if (shownPreview && store.step === 'generate') draw(); }, 160);
