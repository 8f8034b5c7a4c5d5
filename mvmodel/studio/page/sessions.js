// The person's sessions: a list to open, to begin and to delete.
import { $, attempt, request } from './api.js';
import { isSaved } from './store.js';

export function initSessions() {
  $('#new').onclick = () => attempt(begin);
  $('#sessions').onclick = () => attempt(async () => { await show(); $('#session-dialog').showModal(); });
  $('#session-new').onclick = () => attempt(begin);
}

async function begin() {
  while (!isSaved()) await new Promise(resolve => setTimeout(resolve, 30));
  open((await request('/api/sessions', 'POST')).key);
}

function open(key) {
  sessionStorage.setItem('step', 'mask');
  location.href = `/?session=${encodeURIComponent(key)}`;
}

async function show() {
  const { sessions, current } = await request('/api/sessions');
  $('#session-list').replaceChildren(...sessions.map(entry => makeItem(entry, current)));
}

function makeItem(entry, current) {
  const item = document.createElement('li'), main = document.createElement('button'), title = document.createElement('b'), note = document.createElement('span'), remove = document.createElement('button');
  const isCurrent = entry.key === current, count = entry.videos.length;
  item.className = isCurrent ? 'current' : '';
  title.textContent = entry.title;
  note.className = 'hint';
  note.textContent = `${new Date(entry.changed * 1000).toLocaleString()}, ${count === 1 ? '1 video' : `${count} videos`}${isCurrent ? ', open now' : ''}`;
  main.className = 'quiet';
  main.append(title, note);
  main.onclick = () => (isCurrent ? $('#session-dialog').close() : open(entry.key));
  remove.className = 'small danger';
  remove.textContent = 'Delete';
  remove.setAttribute('aria-label', `Delete ${entry.title}`);
  remove.onclick = () => attempt(async () => {
    if (!window.confirm(`Delete “${entry.title}” with its masks and ${count} videos? They cannot be brought back.`)) return;
    await request(`/api/sessions/delete?session=${encodeURIComponent(entry.key)}`, 'POST');
    if (isCurrent) location.href = '/'; else await show();
  });
  item.append(main, remove);
  return item;
}
