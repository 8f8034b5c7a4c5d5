// Step 3: prompt, first frame, settings, the queue and its progress.
import { $, $$, address, attempt, loadImage, request, toast, upload } from './api.js';
import { change, notify, onChange, store, videoSize } from './store.js';
import { clip, draw, setPreview } from './stage.js';
import { startJob } from './mask.js';

let candidates = [], shownPreview = '';

export async function generate(extra = {}) {
  if (!store.project.objects.length) return toast('draw an object first');
  if (!store.project.generation.prompt.trim()) { toast('say what the video shows'); return $('#prompt').focus(); }
  const project = { ...store.project, generation: { ...store.project.generation, ...extra } };
  const jobs = await startJob('generate', { project }, () => {});
  if (jobs.length) {
    store.followed = jobs[0];
    notify('followed');
  }
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
  if (!store.state.pack.start_adapter && !store.project.generation.adapter) store.project.generation.adapter = store.state.adapters[0] ?? '';  // nothing else can generate
  $('#adapter').onchange = () => change(project => { project.generation.adapter = $('#adapter').value; });
  $('#adapter-scale').oninput = () => change(project => { project.generation.adapter_scale = Number($('#adapter-scale').value); }, true);
  $('#adapter-scale').onchange = () => change(project => { project.generation.adapter_scale = Number($('#adapter-scale').value); });
  $('#steps').placeholder = `${store.state.pack.steps}`;
  $('#steps').title = `Empty: ${store.state.pack.steps}, which the pack recommends`;
  initSize();
  $('#more-settings').onchange = () => attempt(saveSettings);
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
    const response = await fetch(address(`/api/clips/${clip.id}/${store.frame}`));
    const file = new File([await response.blob()], 'frame.jpg', { type: 'image/jpeg' });
    chooseFirst((await upload('first_frame', [file])).picture);
  });
  $('#first-clip').disabled = !clip.id;
  suggest();
  onChange(reason => { if (['project', 'masks', 'step'].includes(reason)) show(); });
  show();
}

// Sizes that the pack can do; "other" opens a field for any multiple of its step.
function initSize() {
  const { pack } = store.state, own = `${pack.width}x${pack.height}`;
  const options = pack.sizes.map(({ size }) => new Option(`${size.replace('x', ' × ')}${size === own ? ' (the pack’s)' : ''}`, size));
  $('#video-size').replaceChildren(...options, new Option('other…', ''));
  const choose = size => change(project => { project.size = size === own ? null : size; });
  $('#video-size').onchange = () => {
    $('#size-other').hidden = $('#video-size').value !== '';
    if ($('#video-size').value) choose($('#video-size').value); else $('#size-other').focus();
  };
  $('#size-other').onchange = () => attempt(() => {
    const sides = $('#size-other').value.split(/\s*[x×*]\s*/).map(Number), step = pack.size_multiple;
    if (sides.length !== 2 || sides.some(side => !(side > 0) || side % step)) throw new Error(`a size is WIDTHxHEIGHT, both multiples of ${step}, such as ${own}`);
    choose(sides.join('x'));
  });
}

function showSize() {
  const { pack } = store.state, { width, height } = videoSize(), size = `${width}x${height}`, own = `${pack.width}x${pack.height}`;
  const measured = name => pack.sizes.find(entry => entry.size === name)?.iou;
  const isListed = pack.sizes.some(entry => entry.size === size);
  if (document.activeElement !== $('#video-size')) $('#video-size').value = isListed ? size : '';
  if (!isListed) { $('#size-other').hidden = false; $('#size-other').value = size; }
  else if (document.activeElement !== $('#video-size') && document.activeElement !== $('#size-other')) $('#size-other').hidden = true;
  const figures = measured(size) ? `Objects follow their masks with an IoU of ${measured(size)} here, and of ${measured(own) ?? '?'} at ${own}.` : `How well objects follow their masks was not measured at this size, only at ${pack.sizes.filter(entry => entry.iou).map(entry => entry.size).join(', ') || 'none'}.`;
  const pixels = (width * height) / (pack.width * pack.height);
  $('#size-note').textContent = `Pack ${pack.name}${pack.random ? ' (random weights: the pictures mean nothing)' : ''}. ${size === own ? '' : `${figures} `}${pixels > 1.2 ? `A video takes about ${pixels.toFixed(1)} times as long, or more.` : ''}`;
}

// Other settings, NAME=VALUE a line; the server knows their names and limits.
async function saveSettings() {
  const settings = {};
  for (const line of $('#more-settings').value.split('\n').map(text => text.trim()).filter(Boolean)) {
    const [name, ...rest] = line.split('='), text = rest.join('=').trim();
    if (!text) throw new Error(`${line} should look like NAME=VALUE`);
    try { settings[name.trim()] = JSON.parse(text); } catch { settings[name.trim()] = text; }
  }
  const project = { ...store.project, generation: { ...store.project.generation, settings } };
  await request('/api/project', 'PUT', project);
  change(own => { own.generation.settings = settings; });
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
  showSize();
  const settings = Object.entries(choices.settings ?? {});
  if (document.activeElement !== $('#more-settings')) $('#more-settings').value = settings.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join('\n');
  $('#settings-count').textContent = settings.length ? `(${settings.length} set)` : '';
  $('#adapter').value = choices.adapter;
  $('#adapter-scale').value = choices.adapter_scale;
  $('#adapter-scale-label').textContent = choices.adapter_scale.toFixed(2);
  $('#first-made').classList.toggle('on', !choices.first_frame);
  const pictures = choices.first_frame && !candidates.includes(choices.first_frame) ? [choices.first_frame, ...candidates] : candidates;
  $('#first-list').replaceChildren(...pictures.map(name => {
    const button = document.createElement('button'), image = document.createElement('img');
    button.className = `thumb${name === choices.first_frame ? ' on' : ''}`;
    button.setAttribute('aria-pressed', String(name === choices.first_frame));
    image.src = address(`/api/pictures/${name}`);
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
  const isOld = job => ['done', 'cancelled'].includes(job.state) && Date.now() / 1000 - job.finished > 6;
  const isRepeated = job => ['failed', 'cancelled'].includes(job.state) && store.jobs.some(({ kind, created }) => kind === job.kind && created > job.created);
  const shown = store.jobs.filter(job => !(job.kind === 'measure' && job.state !== 'running') && !isOld(job) && !isRepeated(job)).slice(-8);
  const list = $('#jobs'), focused = document.activeElement;
  const cards = shown.map(job => showCard([...list.children].find(card => card.dataset.id === job.id) || makeCard(job.id), job));
  if (cards.length !== list.children.length || cards.some((card, index) => card !== list.children[index])) list.replaceChildren(...cards);
  if (list.contains(focused)) focused.focus();
  showPreview();
}

// A job keeps its card, so that whoever is about to press Cancel keeps the focus while the progress is updated.
function makeCard(id) {
  const card = document.createElement('div'), line = document.createElement('div'), button = document.createElement('button');
  card.className = 'job';
  card.dataset.id = id;
  line.className = 'line';
  button.className = 'small';
  button.onclick = () => attempt(() => request(`/api/jobs/${id}/cancel`, 'POST'));
  line.append(document.createElement('b'), button);
  card.append(line, Object.assign(document.createElement('progress'), { max: 1 }), document.createElement('span'));
  return card;
}

function showCard(card, job) {
  const title = `${NAMES[job.kind] || job.kind}${job.seed == null ? '' : `, seed ${job.seed}`}`, button = $('button', card), bar = $('progress', card), note = $('span', card);
  card.dataset.state = job.state;
  $('b', card).textContent = title;
  button.textContent = ['waiting', 'running'].includes(job.state) ? 'Cancel' : 'Dismiss';
  button.disabled = job.cancelling;
  bar.hidden = job.state !== 'running';
  bar.value = job.share;
  bar.setAttribute('aria-label', title);
  note.className = job.state === 'failed' ? 'failed hint' : 'hint';
  if (job.state === 'running') note.textContent = job.cancelling ? 'cancelling: it ends after this step' : `${job.note || 'starting'}${job.seconds_left !== null ? `, about ${seconds(job.seconds_left)} left` : ''}`;
  else if (job.state === 'waiting') note.textContent = store.device === 'starting' ? 'waiting for the models to load' : store.device === 'ready' ? `waiting, number ${job.place} in the queue` : store.device;
  else note.textContent = { failed: job.error, cancelled: 'cancelled', done: `done in ${seconds(job.seconds)}` }[job.state];
  return card;
}

async function showPreview() {
  const job = store.jobs.find(entry => entry.state === 'running' && entry.kind === 'generate' && entry.preview);
  const key = job ? `${job.id}-${job.preview}` : '';
  if (key === shownPreview) return;
  shownPreview = key;
  notify('preview');
  if (!job) return setPreview(null);
  const image = await loadImage(address(`/api/jobs/${job.id}/preview?${job.preview}`)).catch(() => null);
  if (image && shownPreview === key) setPreview(image);
}

setInterval(() => { if (shownPreview && store.step === 'generate') draw(); }, 160);
