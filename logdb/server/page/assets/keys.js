// Keys: search by prefix, page by page. One page costs one request to the server.

import { explain, get, now } from './api.js';
import { cells, el, fill, table } from './dom.js';
import { ago, counted, group, moment, size } from './format.js';
import { address, keyAddress, put, take } from './route.js';
import { fromBase64, read, shown, spell, toBase64 } from './text.js';

const page = 50;
const columns = [['Key', 'key mono'], ['Entries', 'n'], ['Size', 'n'], ['Last sequence', 'n'], ['Last entry', 'when']];

// The way back through pages, for as long as the prefix stays.
const trail = [];

export function keys(main, { params }, { signal, go }) {
  const prefix = take(params, 'prefix') ?? new Uint8Array();
  const after = take(params, 'after');
  const input = el('input', {
    id: 'search', type: 'search', autocomplete: 'off', spellcheck: 'false', placeholder: 'every key', value: spell(prefix), 'aria-describedby': 'search-help',
  });
  const list = el('div', { class: 'list', 'aria-busy': 'true' });
  let under = new AbortController();
  let typing;
  const search = () => {
    const wanted = read(input.value);
    under.abort();
    under = new AbortController();
    go(to(wanted), { replace: true, quiet: true });
    return show(list, wanted, null, AbortSignal.any([signal, under.signal]));
  };
  fill(main,
    el('h1', { class: 'unseen' }, 'Keys'),
    el('form', {
      class: 'controls', role: 'search', on: {
        submit: async (e) => {
          e.preventDefault();
          clearTimeout(typing);
          await search();
          list.querySelector('[data-row]')?.focus();
        },
      },
    },
    el('label', { for: 'search' }, 'Prefix'), input,
    el('span', { id: 'search-help', class: 'quiet' }, 'Bytes that are no text as \\xNN.')),
    list);
  input.addEventListener('input', () => {
    clearTimeout(typing);
    typing = setTimeout(search, 250);
  });
  signal.addEventListener('abort', () => clearTimeout(typing));
  show(list, prefix, after, AbortSignal.any([signal, under.signal]));
}

function to(prefix, after) {
  const params = new URLSearchParams();
  if (prefix.length > 0) put(params, 'prefix', prefix);
  if (after) put(params, 'after', after);
  return address('keys', params);
}

async function show(list, prefix, after, signal) {
  const query = { limit: page, prefix_b64: toBase64(prefix) };
  if (after) query.after_b64 = toBase64(after);
  let answer;
  try {
    answer = await get('keys', query, signal);
  } catch (error) {
    if (!signal.aborted) fill(list, el('p', { class: 'trouble' }, explain(error))).removeAttribute('aria-busy');
    return;
  }
  if (signal.aborted) return;
  list.removeAttribute('aria-busy');
  const next = answer.nextAfter === undefined ? null : to(prefix, fromBase64(answer.nextAfter));
  const previous = back(prefix, after);
  if (answer.keys.length === 0) {
    const why = after ? 'No more keys.' : prefix.length > 0 ? 'No key begins with this.' : 'No keys: nothing has been appended, or nothing is retained.';
    fill(list, el('p', { class: 'empty' }, why), pager(previous, null, ''));
    return;
  }
  fill(list, table('Keys', columns, answer.keys.map(line)), pager(previous, next, `${counted(answer.keys.length, 'key')} on this page`));
}

function line(k) {
  const key = fromBase64(k.key);
  return cells(columns, [
    el('a', { href: keyAddress(key), data: { row: '' }, title: key.length > 128 ? spell(key.subarray(0, 512)) : null }, shown(key, 256)),
    group(k.count), size(k.valueBytes), group(k.lastSequence),
    el('time', { title: ago(k.lastTimeMs, now()) }, moment(k.lastTimeMs)),
  ]);
}

// back keeps the trail and returns the page before: the API goes forward only.
function back(prefix, after) {
  const here = to(prefix, after);
  const start = to(prefix);
  if (trail[0] !== start) trail.splice(0, trail.length, start);
  const at = trail.indexOf(here);
  if (at >= 0) trail.splice(at + 1);
  else trail.push(here);
  return trail.length > 1 ? trail.at(-2) : null;
}

export function pager(previous, next, text, names = ['Previous', 'Next']) {
  if (!previous && !next && !text) return null;
  return el('nav', { class: 'pager', 'aria-label': 'Pages' },
    previous && el('a', { href: previous, data: { previous: '' } }, names[0]),
    next && el('a', { href: next, data: { next: '' } }, names[1]),
    el('span', { class: 'quiet' }, text));
}
