// Step 1: tools, shapes, key masks, and masks from words, files, videos and the library.
import { $, $$, address, attempt, decodeSheet, paintLabels, request, toast, upload } from './api.js';
import { addSequence, change, notify, onChange, selectedObject, store } from './store.js';
import { clip, copyKey, draw, keyFrameOf, setBackdrop, shapeCanvas, storeKey } from './stage.js';

export function setTool(tool) {
  store.tool = tool;
  for (const button of $$('[data-tool]')) button.setAttribute('aria-checked', String(button.dataset.tool === tool));
  draw();
}

// Queues work and remembers what to do with its result.
const expected = new Map();
export async function startJob(kind, parameters, onResult) {
  const answer = await attempt(() => request('/api/jobs', 'POST', { kind, parameters }));
  for (const job of answer?.jobs || []) expected.set(job, onResult);
  handleJobs(store.jobs);  // a short job can be done before the answer that names it arrives
  return answer?.jobs || [];
}
export function handleJobs(jobs) {
  for (const job of jobs) {
    if (!expected.has(job.id) || ['waiting', 'running'].includes(job.state)) continue;
    const onResult = expected.get(job.id);
    expected.delete(job.id);
    if (job.state === 'done') onResult?.(job.result);
    else if (job.state === 'failed' && job.kind !== 'generate') toast(job.error);
  }
}

export function initMask() {
  for (const button of $$('[data-tool]')) button.onclick = () => setTool(button.dataset.tool);
  $('#brush').oninput = () => { $('#brush-label').textContent = $('#brush').value; };
  $('#brush').max = Math.round(store.state.pack.height / 3);
  $('#brush').value = Math.round(store.state.pack.height / 14);
  $('#brush').oninput();
  for (const [id, kind] of [['#shape-disc', 'disc'], ['#shape-box', 'box'], ['#shape-drop', 'blob']]) $(id).onclick = () => storeKey(shapeCanvas(kind), null);
  $('#key-add').onclick = addKey;
  $('#key-remove').onclick = () => {
    const object = selectedObject();
    if (object?.masks.kind !== 'drawn' || Object.keys(object.masks.keys).length < 2) return toast('the last key mask stays; delete the object instead');
    change(() => { delete object.masks.keys[keyFrameOf(object, store.frame)]; });
  };
  $('#key-clear').onclick = () => {
    const object = selectedObject();
    if (object?.masks.kind === 'drawn') change(project => { project.objects = project.objects.filter(entry => entry !== object); });
  };
  $('#words-form').onsubmit = event => {
    event.preventDefault();
    const sentence = $('#words').value.trim();
    if (!sentence) return $('#words').focus();
    const { frames, fps, generation } = store.project;
    startJob('words', { sentence, frames, fps, seed: generation.seed }, addSequence);
  };
  $('#known-objects').textContent = store.state.pack.objects.join(', ') || 'any word';
  $('#upload-masks').onchange = event => attempt(async () => addSequence(await upload('masks', event.target.files))).then(() => { event.target.value = ''; });
  onChange(reason => { if (['project', 'select'].includes(reason)) showKeyButtons(); });
  showKeyButtons();
  initClip();
  initLibrary();
}

function showKeyButtons() {
  const isDrawn = selectedObject()?.masks.kind === 'drawn';
  for (const button of $$('#key-add, #key-remove, #key-clear')) button.disabled = !isDrawn;
}

export function addKey() {
  const object = selectedObject();
  if (!object || object.masks.kind !== 'drawn') return toast('draw an object first; key masks are drawn by hand');
  const source = copyKey(object, store.frame);
  if (source) storeKey(source, object, store.frame);
}

function initClip() {
  const select = $('#clip');
  const fill = () => {
    select.replaceChildren(new Option('none', ''), ...store.state.clips.map(entry => new Option(`${entry.name} (${entry.frames === 1 ? '1 frame' : `${entry.frames} frames`})`, entry.id)));
    select.value = clip.id;
    $('#clip-tools').hidden = !clip.id;
    $('#first-clip').disabled = !clip.id;
  };
  const choose = id => {
    const entry = store.state.clips.find(one => one.id === id);
    Object.assign(clip, { id, frames: entry?.frames || 0, points: [], labels: [], box: null, mask: null });
    fill();
    if (entry && entry.frames > store.project.frames && !store.project.objects.length) change(project => { project.frames = Math.min(entry.frames, store.state.limits.max_frames, 48); });
    notify('clip');
  };
  select.onchange = () => choose(select.value);
  $('#clip-card').ontoggle = () => notify('clip');
  $('#upload-clip').onchange = event => attempt(async () => {
    const record = await upload('clip', event.target.files);
    for (const remark of record.remarks) toast(remark, true);
    store.state.clips.unshift(record);
    choose(record.id);
  }).then(() => { event.target.value = ''; });
  const prompt = () => ({ clip: clip.id, frame: Math.min(store.frame, clip.frames - 1), points: clip.points, labels: clip.labels, box: clip.box });
  const finish = result => { addSequence(result); $('#clip-reset').click(); toast('the object is in the list on the left', true); };
  $('#clip-segment').onclick = () => startJob('segment', prompt(), async result => {
    const answer = await request(`/api/masks/${result.masks}`);
    clip.mask = await decodeSheet(answer);
    draw();
  });
  $('#clip-track').onclick = () => startJob('track', prompt(), finish);
  $('#clip-find').onclick = () => startJob('find', prompt(), finish);
  $('#clip-reset').onclick = () => { Object.assign(clip, { points: [], labels: [], box: null, mask: null }); draw(); };
  onChange(reason => { if (['clip', 'frame', 'step', 'project'].includes(reason)) showBackdrop(); });
  fill();
}

function showBackdrop() {
  const choices = store.project.generation;
  const clipFrame = clip.id && store.step === 'mask' && $('#clip-card').open;
  if (clipFrame) setBackdrop(address(`/api/clips/${clip.id}/${store.frame}`));
  else setBackdrop(choices.first_frame && store.step !== 'refine' ? address(`/api/pictures/${choices.first_frame}`) : '');
  $('#stage').dataset.clip = String(Boolean(clipFrame));
}

function initLibrary() {
  $('#library-card').hidden = !store.state.library;
  const search = async () => {
    const { entries } = await request(`/api/library?query=${encodeURIComponent($('#library-query').value)}`);
    $('#library-list').replaceChildren(...entries.map(thumbnail));
    if (!entries.length) $('#library-list').textContent = 'Nothing like that is in the library.';
  };
  $('#library-form').onsubmit = event => { event.preventDefault(); attempt(search); };
  $('#library-card').ontoggle = () => { if ($('#library-card').open && !$('#library-list').children.length) attempt(search); };
}

// A thumbnail that plays its masks while the pointer or the focus is on it.
function thumbnail(entry) {
  const button = document.createElement('button'), picture = document.createElement('canvas'), label = document.createElement('span');
  button.className = 'thumb';
  button.title = entry.caption || entry.name;
  label.textContent = entry.motion || entry.name;
  button.append(picture, label);
  let sheet = null, timer = 0;
  const load = async () => {
    if (sheet) return;
    sheet = await decodeSheet(await request(`/api/library/${encodeURIComponent(entry.name)}`));
    picture.width = sheet.width;
    picture.height = sheet.height;
    show(Math.floor(sheet.frames.length / 2));
  };
  const show = index => { const pen = picture.getContext('2d'); pen.clearRect(0, 0, picture.width, picture.height); pen.drawImage(paintLabels(sheet, index), 0, 0); };
  const play = async () => { await load(); clearInterval(timer); let index = 0; timer = setInterval(() => show(index++ % sheet.frames.length), 110); };
  button.onpointerenter = button.onfocus = () => attempt(play);
  button.onpointerleave = button.onblur = () => clearInterval(timer);
  button.onclick = () => attempt(async () => addSequence({ ...(await request(`/api/library/${encodeURIComponent(entry.name)}`, 'POST')), remarks: [] }));
  attempt(load);
  return button;
}
