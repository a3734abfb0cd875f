// One key's log, newest first, page by page.

import { explain, get, now } from './api.js';
import { el, fill } from './dom.js';
import { choice, decoded, formOf, row } from './entries.js';
import { ago, group, moment, size } from './format.js';
import { pager } from './keys.js';
import { address, keyAddress, put } from './route.js';
import { fromBase64, shown, toBase64 } from './text.js';

const page = 50;

export function log(main, { key, params }, { signal, go }) {
  const state = { key, key64: toBase64(key), params, form: formOf(params), facts: null, answer: null };
  const facts = el('p', { class: 'facts' }, ' ');
  const list = el('div', { class: 'list', 'aria-busy': 'true' });
  fill(main,
    el('div', { class: 'title' },
      el('h1', { class: 'mono' }, shown(key, 256)),
      el('a', { class: 'button', href: address('tail', put(new URLSearchParams(params.has('as') ? { as: state.form } : {}), 'key', key)), data: { follow: '' } }, 'Follow')),
    facts,
    el('div', { class: 'controls' },
      choice(state.form, (form) => {
        state.form = form;
        params.set('as', form);
        go(keyAddress(key, params), { replace: true, quiet: true });
        if (state.answer) show(list, state);
      }),
      jump(key, params, go)),
    list);
  load(state, facts, list, signal);
}

// jump goes to a sequence or a time.
function jump(key, params, go) {
  const place = el('input', { id: 'from', autocomplete: 'off', placeholder: 'sequence or UTC time', 'aria-label': 'Go to sequence, or time in UTC', on: { input: () => place.setCustomValidity('') } });
  return el('form', {
    class: 'jump', on: {
      submit: (e) => {
        e.preventDefault();
        const to = target(place.value);
        place.setCustomValidity(to ? '' : 'A sequence, or a time like 2026-01-31 12:00');
        if (to) go(keyAddress(key, at(params, to)));
        else place.reportValidity();
      },
    },
  }, place, el('button', { type: 'submit' }, 'Go'));
}

function target(text) {
  const digits = text.replace(/[, ]/g, '');
  if (/^\d+$/.test(digits)) return { from: digits };
  const ms = Date.parse(/[zZ]$|[+-]\d\d:?\d\d$/.test(text.trim()) ? text.trim() : `${text.trim().replace(' ', 'T')}${/[T ]\d/.test(text.trim()) ? 'Z' : ''}`);
  return Number.isNaN(ms) ? null : { time: String(ms) };
}

// at is the view's parameters at another place.
function at(params, place) {
  const p = new URLSearchParams(place);
  if (params.has('as')) p.set('as', params.get('as'));
  return p;
}

async function load(state, facts, list, signal) {
  const { key64, params } = state;
  const query = { key_b64: key64, limit: page };
  const digits = (name) => (/^\d{1,20}$/.test(params.get(name) ?? '') ? params.get(name) : null);
  const forward = digits('from') !== null || digits('time') !== null;
  if (digits('from') !== null) query.start_seq = digits('from');
  if (digits('time') !== null) query.from_time = digits('time');
  if (digits('before') !== null) query.end_seq = digits('before');
  if (!forward) query.reverse = 'true';
  try {
    const [answer, found] = await Promise.all([get('scan', query, signal), get('keys', { prefix_b64: key64, limit: 1 }, signal)]);
    const own = found.keys.find((k) => toBase64(fromBase64(k.key)) === key64); // the least key with a prefix is the prefix
    state.facts = own ?? null;
    state.answer = answer;
    state.entries = answer.values.map(decoded);
    if (forward) state.entries.reverse();
  } catch (error) {
    if (signal.aborted) return;
    fill(list, el('p', { class: 'trouble' }, explain(error))).removeAttribute('aria-busy');
    return;
  }
  list.removeAttribute('aria-busy');
  describe(facts, state.facts);
  show(list, state);
}

function describe(node, k) {
  if (!k) return fill(node, 'No entries.');
  const one = (name, value, title) => el('span', { title }, el('b', null, value), ` ${name}`);
  return fill(node,
    one(k.count === '1' ? 'entry' : 'entries', group(k.count)), one('in values', size(k.valueBytes)),
    el('span', null, 'sequences ', el('b', null, group(k.firstSequence)), ' to ', el('b', null, group(k.lastSequence))),
    el('span', { title: ago(k.lastTimeMs, now()) }, 'last at ', el('b', null, moment(k.lastTimeMs))));
}

function show(list, state) {
  const { key, params, entries, facts } = state;
  const link = (place) => keyAddress(key, at(params, place));
  if (entries.length === 0) {
    const placed = ['from', 'before', 'time'].some((name) => params.has(name));
    fill(list,
      el('p', { class: 'empty' }, facts ? 'No entries here.' : 'This key has no entries: none was appended, or none is retained.'),
      placed && facts && pager(link({}), null, '', ['Newest', '']));
    return;
  }
  const newest = entries[0].sequence;
  const oldest = entries.at(-1).sequence;
  const newer = facts && newest < BigInt(facts.lastSequence) ? link({ from: newest + 1n }) : null;
  const older = facts && oldest > BigInt(facts.firstSequence) ? link({ before: oldest }) : null;
  fill(list,
    el('div', { class: 'entries' }, entries.map((e) => row(e, () => state.form, key))),
    el('div', { class: 'ends' },
      pager(newer, older, `${entries.length} of ${facts ? group(facts.count) : '?'}, newest first`, ['Newer', 'Older']),
      newer && el('a', { href: link({}) }, 'Newest'),
      older && el('a', { href: link({ from: 0 }) }, 'Oldest')));
}
