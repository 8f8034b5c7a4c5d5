// Wires the steps together: tabs, objects, time line, keyboard, and what the server reports.
import { $, $$, address, attempt, clamp, cssColour, request, sessionKey, toast, upload } from './api.js';
import { initSessions } from './sessions.js';
import { canRedo, canUndo, change, notify, onChange, redo, replaceProject, save, selectedObject, store, undo, videoSize } from './store.js';
import { clip, draw, isClipMode, resizeStage } from './stage.js';
import { addKey, handleJobs, initMask, setTool } from './mask.js';
import { deleteObject, doubleObject, initMotion } from './motion.js';
import { generate, hasPreview, initGenerate, showJobs } from './generate.js';
import { initRefine, playInStep, showVideos, view } from './refine.js';

const STEPS = ['mask', 'motion', 'generate', 'refine'];
const SHORTCUTS = [['1 – 4', 'step'], ['Space', 'play and stop'], ['← →', 'frame; on the picture: move the object (Shift: further)'], ['B L E O R', 'brush, outline, eraser, ellipse, box'], ['[ ]', 'brush size'], ['K', 'key mask at this frame'], ['P V', 'draw a path, move'], ['Ctrl+D', 'double the object'], ['Delete', 'delete the object'], ['Ctrl+Z, Ctrl+Shift+Z', 'undo, redo'], ['Ctrl+Enter', 'generate'], ['?', 'this list']];

export function setStep(step) {
  store.step = step;
  $('main').dataset.step = step;
  for (const tab of $$('[role="tab"]')) {
    tab.setAttribute('aria-selected', String(tab.dataset.step === step));
    tab.tabIndex = tab.dataset.step === step ? 0 : -1;
  }
  for (const panel of $$('[data-panel]')) panel.hidden = panel.dataset.panel !== step;
  if (step === 'mask' && !['brush', 'outline', 'eraser', 'ellipse', 'box'].includes(store.tool)) setTool('brush');
  if (step === 'motion' && !['path', 'move'].includes(store.tool)) setTool('path');
  setPlaying(step === 'refine');
  sessionStorage.setItem('step', step);
  notify('step');
  resizeStage();
}

function setFrame(frame) {
  store.frame = clamp(frame, 0, timelineFrames() - 1);
  showFrame();
  notify('frame');
  draw();
}

const timelineFrames = () => (clip.id && store.step === 'mask' && $('#clip-card').open ? Math.max(clip.frames, 2) : store.project.frames);

function showFrame() {
  $('#frame').max = timelineFrames() - 1;
  $('#frame').value = store.frame;
  $('#frame-label').textContent = `${store.frame + 1} / ${timelineFrames()}`;
}

let clock = 0, lastTick = 0;
function setPlaying(playing) {
  store.playing = playing;
  $('#play').textContent = playing ? '❚❚' : '▶';
  $('#play').setAttribute('aria-label', playing ? 'Stop' : 'Play');
  clock = store.frame / store.project.fps;
  lastTick = performance.now();
}

function tick(now) {
  if (store.playing) {
    clock += (now - lastTick) / 1000;
    const frame = Math.floor(clock * store.project.fps) % timelineFrames();
    if (frame !== store.frame) setFrame(frame);
  }
  lastTick = now;
  playInStep(clock);
  requestAnimationFrame(tick);
}

// The list is filled anew only if objects came or went: what is being typed in it, and the focus, stay.
function showObjects() {
  const { objects } = store.project, list = $('#object-list'), visible = objects.filter(entry => entry.visible);
  if ($$('.object').map(item => item.dataset.id).join() !== objects.map(({ id }) => id).join()) list.replaceChildren(...objects.map(makeItem));
  objects.forEach((object, index) => {
    const item = list.children[index], eye = $('.eye', item), words = $('input', item);
    item.className = `object${object.id === store.selected ? ' selected' : ''}`;
    $('.dot', item).style.background = object.visible ? cssColour(visible.indexOf(object)) : '#555';
    $('.title', item).textContent = `${index + 1}. ${object.name || { drawn: 'drawn', sequence: 'masks' }[object.masks.kind]}`;
    eye.textContent = object.visible ? '👁' : '–';
    eye.setAttribute('aria-label', object.visible ? 'Hide' : 'Show');
    eye.title = object.visible ? 'In the video; click to leave this object out' : 'Left out of the video; click to put this object back';
    words.setAttribute('aria-label', `Words of the prompt for object ${index + 1}`);
    if (document.activeElement !== words) words.value = object.name;
  });
  $('#object-hint').hidden = store.project.objects.length > 0;
  $('#undo').disabled = !canUndo();
  $('#redo').disabled = !canRedo();
}

function makeItem({ id }) {
  const item = document.createElement('li'), words = document.createElement('input');
  const changeOwn = edit => change(project => { const object = project.objects.find(entry => entry.id === id); if (object) edit(object); });
  item.dataset.id = id;
  item.append(...[['span', 'dot'], ['span', 'title'], ['button', 'eye']].map(([tag, className]) => Object.assign(document.createElement(tag), { className })), words);
  $('.eye', item).onclick = event => { event.stopPropagation(); changeOwn(object => { object.visible = !object.visible; }); };
  Object.assign(words, { type: 'text', placeholder: 'words, as in: a dog' });
  words.onchange = () => changeOwn(object => { object.name = words.value.trim(); });
  words.onfocus = () => select(id, false);
  item.onclick = () => select(id);
  return item;
}

function select(id, redrawList = true) {
  store.selected = id;
  if (redrawList) showObjects(); else $$('.object').forEach((item, index) => item.classList.toggle('selected', store.project.objects[index]?.id === id));
  showKeys();
  notify('select');
  draw();
}

function showKeys() {
  const object = selectedObject(), last = Math.max(1, store.project.frames - 1);
  const marks = object?.masks.kind === 'drawn' ? Object.keys(object.masks.keys).map(frame => [Number(frame) / last, 'key']) : [];
  for (const [time] of [...(object?.motion.sizes ?? []), ...(object?.motion.turns ?? [])]) marks.push([time, 'size']);
  $('#keys').replaceChildren(...marks.map(([share, kind]) => {
    const mark = document.createElement('span');
    mark.className = kind;
    mark.style.left = `${100 * Math.min(1, share)}%`;
    return mark;
  }));
}

function showCaption() {
  const names = { mask: 'Paint the object; press Play to see it move', motion: 'Draw the path of the object; drag its points with Move', generate: 'The masks that the video follows', refine: 'Masks' };
  const motion = selectedObject()?.motion;
  if (motion && (motion.points.length || motion.bend || motion.offset.some(Boolean))) names.mask = 'Bright: the shape that you paint. Faint: where it moves';
  if (isClipMode()) names.mask = 'Click on the object, or drag a box around it';
  else if (selectedObject()?.masks.kind === 'sequence') names.mask = 'These masks are not drawn by hand: press + Add to paint another object';
  const running = store.jobs.some(job => job.state === 'running' && job.kind === 'generate');
  $('#stage-caption').textContent = store.remarks.length && store.step !== 'refine' ? store.remarks[0] : store.step === 'generate' && running ? (hasPreview() ? 'Live: what the video will look like' : 'The first frame is being drawn') : names[store.step];
}

function apply(changes) {
  const finished = changes.videos.filter(video => !store.videos.some(({ id }) => id === video.id)).reverse();
  store.device = changes.device;
  store.jobs = changes.jobs;
  store.videos = changes.videos;
  const pill = $('#device');
  pill.className = `pill${changes.device === 'ready' ? ' ready' : ''}`;
  pill.textContent = changes.device === 'ready' ? `${store.state.pack.name} is ready` : changes.device === 'starting' ? 'models are loading…' : changes.device;
  pill.title = pill.textContent;
  handleJobs(changes.jobs);
  showJobs();
  for (const video of finished) {
    view.before = view.current;
    view.current = video.id;
    for (const remark of video.remarks) toast(remark, true);
  }
  if (finished.length) showFollowed();
  showVideos();
  showCaption();
  if (store.step === 'refine') resizeStage();
}

// Once the video that this page waits for is there. It can be finished before the answer that names it arrives.
function showFollowed() {
  if (!store.videos.some(video => video.id === store.followed)) return;
  store.followed = null;
  if (store.step === 'generate') setStep('refine');
}

function listen() {
  const events = new EventSource(address('/api/events'));
  events.onmessage = event => apply(JSON.parse(event.data));
  events.onerror = () => { $('#device').className = 'pill'; $('#device').textContent = 'connecting again…'; if (events.readyState === 2) setTimeout(listen, 2000); };
}

function keyboard(event) {
  const target = event.target, types = target.matches('input:not([type=range]):not([type=checkbox]), textarea, select');
  if ((event.ctrlKey || event.metaKey) && event.key === 'Enter') { event.preventDefault(); return generate(); }
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'z' && !types) { event.preventDefault(); return event.shiftKey ? redo() : undo(); }
  if (types || $('#shortcuts').open) return undefined;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'y') { event.preventDefault(); return redo(); }
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'd') { event.preventDefault(); return doubleObject(); }
  if (event.ctrlKey || event.metaKey || event.altKey) return undefined;
  const tools = { b: 'brush', l: 'outline', e: 'eraser', o: 'ellipse', r: 'box', p: 'path', v: 'move' }, tool = tools[event.key.toLowerCase()];
  if (tool) { setStep(['path', 'move'].includes(tool) ? 'motion' : 'mask'); return setTool(tool); }
  if ('1234'.includes(event.key)) return setStep(STEPS[Number(event.key) - 1]);
  if (event.key === ' ' && !target.matches('button, summary, a, label')) { event.preventDefault(); return setPlaying(!store.playing); }
  if (event.key === 'k' || event.key === 'K') return addKey();
  if (event.key === '[' || event.key === ']') { $('#brush').value = Number($('#brush').value) + (event.key === ']' ? 1 : -1); return $('#brush').oninput(); }
  if (event.key === 'Delete') return deleteObject();
  if (event.key === '?') return $('#shortcuts').showModal();
  if (['ArrowLeft', 'ArrowRight'].includes(event.key) && !target.matches('input, [role=tab]')) return setFrame(store.frame + (event.key === 'ArrowRight' ? 1 : -1));
  return undefined;
}

function initPage() {
  $$('[role="tab"]').forEach((tab, index) => {
    tab.onclick = () => setStep(tab.dataset.step);
    tab.onkeydown = event => {
      const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (move) { const next = STEPS[(index + move + 4) % 4]; setStep(next); $(`#tab-${next}`).focus(); event.stopPropagation(); }
    };
  });
  $('#undo').onclick = undo;
  $('#redo').onclick = redo;
  $('#help').onclick = () => $('#shortcuts').showModal();
  $('#shortcut-list').replaceChildren(...SHORTCUTS.flatMap(([keys, what]) => [Object.assign(document.createElement('dt'), { textContent: keys }), Object.assign(document.createElement('dd'), { textContent: what })]));
  $('#add-object').onclick = () => { store.selected = null; showObjects(); setStep('mask'); toast('paint the new object', true); draw(); };
  $('#play').onclick = () => setPlaying(!store.playing);
  $('#frame').oninput = () => { setPlaying(false); setFrame(Number($('#frame').value)); };
  $('#frames').max = store.state.limits.max_frames;
  $('#frames').onchange = () => change(project => { project.frames = clamp(Math.round(Number($('#frames').value)) || 2, 2, store.state.limits.max_frames); });
  $('#onion').onchange = draw;
  initSessions();
  $('#open-settings').onchange = event => attempt(async () => {
    const answer = await upload('settings', event.target.files);
    replaceProject(answer.project);
    for (const remark of answer.remarks) toast(remark, true);
    toast('the settings are open', true);
  }).then(() => { event.target.value = ''; });
  for (const label of $$('label.button')) label.onkeydown = event => { if (['Enter', ' '].includes(event.key)) { event.preventDefault(); $('input', label).click(); } };
  document.addEventListener('keydown', keyboard);
  window.addEventListener('resize', resizeStage);
  document.addEventListener('dragover', event => event.preventDefault());
  document.addEventListener('drop', event => { event.preventDefault(); attempt(() => drop(event.dataTransfer.files)); });
}

let stageRatio = 0;
function fitStage() {
  const { width, height } = videoSize();
  if (width / height === stageRatio) return;
  stageRatio = width / height;
  resizeStage();
}

// Dropped files are settings, a video, or masks, by their kind and the step.
async function drop(files) {
  if (!files.length) return;
  const input = files[0].name.endsWith('.settings.json') ? '#open-settings' : store.step === 'generate' ? '#upload-first' : files[0].type.startsWith('video/') ? '#upload-clip' : '#upload-masks';
  $(input).files = files;
  $(input).dispatchEvent(new Event('change'));
}

async function start() {
  store.state = await request('/api/state');
  if (!sessionKey()) history.replaceState(null, '', `/?session=${store.state.session}`);
  store.project = store.state.project;
  store.followed = store.state.jobs.find(job => job.kind === 'generate' && ['waiting', 'running'].includes(job.state))?.id;
  store.selected = store.project.objects[0]?.id ?? null;
  store.videos = store.state.videos;
  initPage();
  initMask();
  initMotion();
  initGenerate();
  initRefine();
  onChange(reason => {
    if (reason === 'followed') showFollowed();
    if (reason === 'project') { fitStage(); showObjects(); showKeys(); $('#frames').value = store.project.frames; showFrame(); }
    if (['masks', 'clip', 'step', 'preview', 'select'].includes(reason)) { showCaption(); showFrame(); }
    draw();
  });
  notify('project');
  setStep(sessionStorage.getItem('step') || 'mask');
  setTool(store.tool);
  await save();
  listen();
  requestAnimationFrame(tick);
  document.documentElement.dataset.ready = 'true';
}

attempt(start);
