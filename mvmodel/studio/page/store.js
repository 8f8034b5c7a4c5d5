// The project, its undo steps, and the masks that the server makes of it.
import { decodeSheet, request, toast } from './api.js';

export const store = {
  state: null, project: null, sheet: null, centres: [], remarks: [], frame: 0, step: 'mask', tool: 'brush',
  selected: null, playing: false, jobs: [], videos: [], milliseconds: 0,
};
const undone = [], done = [];
const listeners = new Set();
let saving = false, wanted = false, before = null;

export const onChange = listener => listeners.add(listener);
export const notify = reason => listeners.forEach(listener => listener(reason));
export const clone = value => JSON.parse(JSON.stringify(value));
export const selectedObject = () => store.project.objects.find(object => object.id === store.selected) || null;
export const visibleIndex = object => store.project.objects.filter(entry => entry.visible).indexOf(object);
// Width and height of the project's masks and videos.
export function videoSize() {
  const [width, height] = (store.project?.size || '').split('x').map(Number);
  return height ? { width, height } : { width: store.state.pack.width, height: store.state.pack.height };
}
export const newId = () => `o${crypto.getRandomValues(new Uint32Array(2)).join('')}`.slice(0, 16);

// Changes the project. With live, changes until the next call without it are one undo step.
export function change(edit, live = false) {
  if (before === null) before = JSON.stringify(store.project);
  edit(store.project);
  if (!live) {
    if (JSON.stringify(store.project) !== before) { done.push(before); undone.length = 0; if (done.length > 200) done.shift(); }
    before = null;
  }
  if (!selectedObject()) store.selected = store.project.objects.at(-1)?.id ?? null;
  store.frame = Math.min(store.frame, store.project.frames - 1);
  notify('project');
  save();
}

function restore(from, to) {
  if (!from.length) return;
  to.push(JSON.stringify(store.project));
  store.project = JSON.parse(from.pop());
  change(() => {}, true);
  before = null;
}
export const undo = () => restore(done, undone);
export const redo = () => restore(undone, done);
export const canUndo = () => done.length > 0;
export const canRedo = () => undone.length > 0;

export function replaceProject(project) {
  change(() => { store.project = project; });
  store.selected = project.objects[0]?.id ?? null;
  notify('project');
}

// Saves the newest project; while one request runs, later changes wait and go together.
export async function save() {
  if (saving) { wanted = true; return; }
  saving = true;
  const start = performance.now();
  try {
    const answer = await request('/api/project', 'PUT', store.project);
    store.sheet = answer.sheet ? await decodeSheet(answer) : null;
    store.centres = answer.centres || [];
    store.remarks = answer.remarks || [];
    store.milliseconds = performance.now() - start;
    document.documentElement.dataset.previewMs = store.milliseconds.toFixed(0);
  } catch (error) {
    store.remarks = [error.message];
    toast(error.message);
  }
  saving = false;
  notify('masks');
  if (wanted) { wanted = false; save(); }
}
export const isSaved = () => !saving && !wanted;

export function addSequence(result, name = '') {
  change(project => {
    if (!project.objects.length && result.camera) project.camera = result.camera;
    result.names.forEach((own, instance) => {
      const object = { id: newId(), name: own || name, masks: { kind: 'sequence', file: result.masks, instance },
        motion: emptyMotion(), edits: [], visible: true };
      project.objects.push(object);
      store.selected = object.id;
    });
    if (project.objects.length === result.names.length && result.frames > 1) {
      project.frames = Math.min(Math.max(2, result.frames), store.state.limits.max_frames);
    }
  });
  for (const remark of result.remarks || []) toast(remark, true);
}

export const emptyMotion = () => ({ points: [], speed: 'linear', offset: [0, 0], bend: 0, sizes: [], turns: [], start: 0 });
