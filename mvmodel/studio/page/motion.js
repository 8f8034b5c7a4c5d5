// Step 2: paths, speed, size and rotation over time, edits and the camera.
import { $, $$, toast } from './api.js';
import { change, clone, newId, onChange, selectedObject, store, visibleIndex } from './store.js';

const PATHS = {
  across: [[0.15, 0.55], [0.85, 0.55]],
  arc: [[0.14, 0.7], [0.5, 0.26], [0.86, 0.7]],
  circle: [[0.5, 0.25], [0.75, 0.5], [0.5, 0.75], [0.25, 0.5], [0.5, 0.25]],
  bounce: [[0.12, 0.36], [0.24, 0.7], [0.36, 0.42], [0.5, 0.7], [0.62, 0.46], [0.74, 0.7], [0.88, 0.52]],
  zigzag: [[0.14, 0.36], [0.32, 0.66], [0.5, 0.36], [0.68, 0.66], [0.86, 0.36]],
  none: [],
};
const timeOf = () => Number((store.frame / Math.max(1, store.project.frames - 1)).toFixed(4));

// The value of keys at a time, as the server interpolates it.
function valueAt(keys, time, start) {
  if (!keys.length) return start;
  const sorted = [...keys].sort((a, b) => a[0] - b[0]);
  if (time <= sorted[0][0]) return sorted[0][1];
  for (let i = 1; i < sorted.length; i++) {
    const [[t0, v0], [t1, v1]] = [sorted[i - 1], sorted[i]];
    if (time <= t1) return t1 === t0 ? v1 : v0 + ((v1 - v0) * (time - t0)) / (t1 - t0);
  }
  return sorted.at(-1)[1];
}

function setKey(name, value, start) {
  const { motion } = selectedObject(), time = timeOf();
  const keys = motion[name].filter(([t]) => Math.abs(t - time) > 0.002);
  if (!motion[name].length && time > 0) keys.push([0, start]);
  motion[name] = [...keys, [time, value]].sort((a, b) => a[0] - b[0]);
}

export function doubleObject() {
  const object = selectedObject();
  if (!object) return toast('select an object first');
  if (store.project.objects.length >= store.state.limits.max_objects) return toast(`a project has at most ${store.state.limits.max_objects} objects`);
  change(project => {
    const copy = clone(object);
    copy.id = newId();
    copy.name = object.name ? `${object.name} copy` : '';
    const places = (store.centres[visibleIndex(object)] || []).filter(Boolean).map(([x]) => x);
    const right = 1 - Math.max(0.5, ...places), left = Math.min(0.5, ...places);
    copy.motion.offset = [copy.motion.offset[0] + (right >= left ? 0.2 : -0.2), copy.motion.offset[1] + 0.06];
    project.objects.push(copy);
    store.selected = copy.id;
  });
}

export function deleteObject() {
  const object = selectedObject();
  if (object) change(project => { project.objects = project.objects.filter(entry => entry !== object); });
}

export function initMotion() {
  for (const button of $$('#path-presets button')) button.onclick = () => {
    const object = selectedObject();
    if (!object) return toast('draw an object first');
    change(() => { object.motion.points = clone(PATHS[button.dataset.path]); object.motion.offset = [0, 0]; });
  };
  slider('#bend', value => { selectedObject().motion.bend = value; });
  slider('#size', value => setKey('sizes', value, 1));
  slider('#turn', value => setKey('turns', value, 0));
  slider('#pan-x', value => { store.project.pan[0] = value; }, false);
  slider('#pan-y', value => { store.project.pan[1] = value; }, false);
  $('#keys-reset').onclick = () => selectedObject() && change(() => { Object.assign(selectedObject().motion, { sizes: [], turns: [] }); });
  $('#speed').onchange = () => selectedObject() && change(() => {
    const value = $('#speed').value;
    selectedObject().motion.speed = value === 'curve' ? [0.2, 1, 1, 1, 0.2] : value;
  });
  $('#speed-curve').replaceChildren(...[0, 1, 2, 3, 4].map(index => {
    const input = Object.assign(document.createElement('input'), { type: 'range', min: 0, max: 2, step: 0.05 });
    input.setAttribute('aria-label', `Speed at ${index * 25} % of the time`);
    const set = live => {
      const speed = [...selectedObject().motion.speed];
      speed[index] = Number(input.value);
      if (speed.some(value => value > 0)) change(() => { selectedObject().motion.speed = speed; }, live);
    };
    input.oninput = () => set(true);
    input.onchange = () => set(false);
    return input;
  }));
  for (const button of $$('#edits button')) button.onclick = () => {
    const object = selectedObject();
    if (!object) return toast('draw an object first');
    change(() => {
      const edit = button.dataset.edit, last = object.edits.at(-1);
      if (['flip', 'reverse'].includes(edit) && last === edit) object.edits.pop(); else object.edits.push(edit);
    });
  };
  $('#double').onclick = doubleObject;
  $('#delete').onclick = deleteObject;
  onChange(reason => { if (['project', 'frame', 'select', 'step'].includes(reason)) show(); });
  show();
}

function slider(selector, set, needsObject = true) {
  const input = $(selector);
  const apply = live => {
    if (needsObject && !selectedObject()) return toast('draw an object first');
    return change(() => set(Number(input.value)), live);
  };
  input.oninput = () => apply(true);
  input.onchange = () => apply(false);
}

function put(selector, value, label) {
  if (document.activeElement !== $(selector) || Math.abs(Number($(selector).value) - value) > 1e-6) $(selector).value = value;
  $(`${selector}-label`).textContent = label;
}

function show() {
  const object = selectedObject(), motion = object?.motion;
  for (const control of $$('[data-panel="motion"] input, [data-panel="motion"] select, #edits button, #double, #delete, #keys-reset, #path-presets button')) {
    if (!control.id.startsWith('pan-')) control.disabled = !object;
  }
  put('#pan-x', store.project.pan[0], store.project.pan[0].toFixed(2));
  put('#pan-y', store.project.pan[1], store.project.pan[1].toFixed(2));
  const size = motion ? valueAt(motion.sizes, timeOf(), 1) : 1, turn = motion ? valueAt(motion.turns, timeOf(), 0) : 0;
  put('#size', size, `${size.toFixed(2)}×`);
  put('#turn', turn, `${turn.toFixed(0)}°`);
  put('#bend', motion?.bend ?? 0, (motion?.bend ?? 0).toFixed(2));
  const speed = motion?.speed ?? 'linear', isCurve = Array.isArray(speed);
  $('#speed').value = isCurve ? 'curve' : speed;
  $('#speed-curve').hidden = !isCurve;
  if (isCurve) $$('#speed-curve input').forEach((input, index) => { input.value = speed[index] ?? 1; });
  $('#edit-list').replaceChildren(...(object?.edits ?? []).map((edit, index) => {
    const item = document.createElement('li'), remove = document.createElement('button');
    const known = $$('#edits button').find(button => button.dataset.edit === edit);
    item.textContent = known?.textContent ?? edit;
    item.title = edit;
    remove.textContent = '✕';
    remove.setAttribute('aria-label', `Remove ${known?.textContent ?? edit}`);
    remove.onclick = () => change(() => { object.edits.splice(index, 1); });
    item.append(remove);
    return item;
  }));
}
