// Entries of logs as rows that unfold, and the choice of how values are shown.

import { now } from './api.js';
import { el, fill } from './dom.js';
import { ago, group, size, time } from './format.js';
import { keyAddress } from './route.js';
import { fromBase64, shown, spell } from './text.js';
import { forms, preview, save, settle, whole } from './values.js';

// decoded is an entry as it came, with its bytes.
export function decoded(raw) {
  return { sequence: BigInt(raw.sequence), timeMs: raw.timeMs, value: fromBase64(raw.value), key: raw.key === undefined ? null : fromBase64(raw.key) };
}

// row shows an entry. form() is asked when it unfolds.
export function row(entry, form, key) {
  const body = el('div', { class: 'unfolded' });
  const node = el('details', { class: 'entry', data: { sequence: String(entry.sequence) } },
    el('summary', { data: { row: '' } },
      el('span', { class: 'seq' }, group(entry.sequence)),
      el('time', { class: 'when', datetime: time(entry.timeMs).replace(' ', 'T'), title: ago(entry.timeMs, now()) }, time(entry.timeMs)),
      entry.key && el('span', { class: 'of mono', title: spell(entry.key.subarray(0, 512)) }, shown(entry.key, 128)),
      el('span', { class: 'bytes' }, size(entry.value.length)),
      el('span', { class: 'preview mono' }, preview(entry.value, form()))),
    body);
  node.addEventListener('toggle', () => {
    if (!node.open) return fill(body);
    const as = settle(entry.value, form());
    fill(body, whole(entry.value, form()), el('p', { class: 'actions' },
      entry.key && el('a', { href: keyAddress(entry.key) }, 'Open key'),
      el('a', { href: keyAddress(entry.key ?? key, new URLSearchParams({ from: entry.sequence, as: form() })) }, 'Link from here'),
      el('button', { type: 'button', class: 'plain', on: { click: () => save(entry.value, `${entry.sequence}.${as === 'hex' ? 'bin' : as === 'json' ? 'json' : 'txt'}`) } }, `Save ${size(entry.value.length)}`)));
  });
  return node;
}

// choice is the control for how values are shown.
export function choice(form, picked) {
  const names = { auto: 'Auto', text: 'Text', json: 'JSON', hex: 'Hex' };
  return el('fieldset', { class: 'choice' }, el('legend', { class: 'unseen' }, 'Show values as'),
    forms.map((f) => el('label', null,
      el('input', { type: 'radio', name: 'form', value: f, checked: f === form, on: { change: () => picked(f) } }),
      el('span', null, names[f]))));
}

// formOf reads it from an address.
export function formOf(params) {
  const f = params.get('as');
  return forms.includes(f) ? f : 'auto';
}
