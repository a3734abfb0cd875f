// Live tail of one key or of a prefix. What it holds is bounded in rows and in
// bytes; the oldest go first.

import { explain, get } from './api.js';
import { el, fill, say } from './dom.js';
import { choice, decoded, formOf, row } from './entries.js';
import { group } from './format.js';
import { address, keyAddress, put, take } from './route.js';
import { stream } from './stream.js';
import { read, shown, spell, toBase64 } from './text.js';

export const limits = { rows: 1000, bytes: 32 << 20 };

export function tail(main, { params }, context) {
  const key = take(params, 'key');
  const prefix = take(params, 'prefix');
  const t = { key, prefix, form: formOf(params), cursor: null, seen: 0n, bytes: 0, waiting: [], rows: [], paused: false, signal: context.signal };
  build(main, t, params, context.go);
  if (key || prefix) run(t);
}

function build(main, t, params, go) {
  const { key, prefix } = t;
  t.list = el('div', { class: 'entries live', role: 'log', 'aria-live': 'off', 'aria-label': 'Entries, newest last', tabindex: '0' });
  t.state = el('span', { class: 'state', role: 'status' });
  t.counts = el('span', { class: 'quiet' });
  t.button = el('button', { type: 'button', data: { pause: '' }, on: { click: () => toggle(t) } }, 'Pause');
  t.latest = el('button', { type: 'button', class: 'latest', hidden: true, on: { click: () => stick(t) } }, 'Newest below');
  t.notice = el('p', { class: 'trouble', role: 'status', hidden: true });
  t.list.addEventListener('scroll', () => { t.latest.hidden = bottom(t.list); });
  const input = el('input', { id: 'tail-prefix', type: 'search', autocomplete: 'off', spellcheck: 'false', placeholder: 'every key', value: prefix ? spell(prefix) : '' });
  const form = el('form', {
    class: 'inline', on: {
      submit: (e) => {
        e.preventDefault();
        go(address('tail', put(new URLSearchParams(params.has('as') ? { as: t.form } : {}), 'prefix', read(input.value))));
      },
    },
  }, el('label', { for: 'tail-prefix' }, 'Prefix'), input, el('button', { type: 'submit' }, 'Follow'));
  const live = key || prefix;
  fill(main,
    el('div', { class: 'title' },
      key ? el('h1', { class: 'mono' }, el('a', { href: keyAddress(key) }, shown(key, 256))) : el('h1', { class: 'unseen' }, 'Tail'),
      !key && form,
      live && t.button,
      live && el('button', { type: 'button', class: 'plain', on: { click: () => clear(t) } }, 'Clear')),
    live && el('div', { class: 'controls' },
      choice(t.form, (f) => {
        t.form = f;
        params.set('as', f);
        go(address('tail', params), { replace: true, quiet: true });
        redraw(t);
      }), t.state, t.counts),
    t.notice,
    live ? el('div', { class: 'window' }, t.list, t.latest)
      : el('p', { class: 'empty' }, 'Entries appear here as they are appended. Follow every key, the keys with a prefix, or open a key and follow it.'));
}

const sleep = (ms, signal) => new Promise((resolve) => {
  const timer = setTimeout(resolve, ms);
  signal.addEventListener('abort', () => { clearTimeout(timer); resolve(); }, { once: true });
});

// run follows, and comes back where it was when a connection ends.
async function run(t) {
  t.stop = new AbortController();
  const signal = AbortSignal.any([t.signal, t.stop.signal]);
  for (let failures = 0; !signal.aborted;) {
    try {
      stand(t, 'connecting', '');
      if (t.cursor === null && t.key) await history(t, signal);
      const query = { start_seq: t.cursor ?? 'tail', ...(t.key ? { key_b64: toBase64(t.key) } : { prefix_b64: toBase64(t.prefix) }) };
      await stream(query, signal, () => {
        failures = 0;
        stand(t, 'live', 'healthy');
        t.notice.hidden = true;
      }, (name, id, data) => event(t, name, id, data));
    } catch (error) {
      if (signal.aborted) return;
      say(t.notice, explain(error));
      t.notice.hidden = false;
      if (error.status >= 400 && error.status < 500 && error.status !== 429) return stand(t, 'ended', 'unreachable');
    }
    if (signal.aborted) return;
    const wait = Math.min(15_000, 500 * 2 ** failures++) * (0.5 + Math.random() / 2);
    stand(t, `connecting again in ${Math.ceil(wait / 1000)} s`, 'behind');
    await sleep(wait, signal);
  }
}

// history begins with the last entries of a key, so that there is something to
// look at. Nothing falls between them and the stream.
async function history(t, signal) {
  const answer = await get('scan', { key_b64: toBase64(t.key), reverse: 'true', limit: 20 }, signal);
  const entries = answer.values.map(decoded).reverse();
  t.cursor = entries.length === 0 ? '0' : String(entries.at(-1).sequence + 1n);
  for (const e of entries) hold(t, e);
}

function event(t, name, id, data) {
  if (id !== null) t.cursor = id;
  if (name === 'message') {
    t.seen++;
    hold(t, t.key ? { ...decoded({ ...data, key: undefined }) } : decoded(data));
  } else if (name === 'trimmed') {
    say(t.notice, `Retention dropped entries before ${group(data.oldestSequence)} that were not seen here.`);
    t.notice.hidden = false;
  } else if (name === 'error') {
    say(t.notice, explain(data));
    t.notice.hidden = false;
  }
}

// hold keeps an entry until the next frame draws it. A page in the background
// has no frames, so what waits is bounded, too.
function hold(t, entry) {
  t.waiting.push(entry);
  t.bytes += entry.value.length;
  trim(t);
  t.frame ??= requestAnimationFrame(() => {
    t.frame = null;
    draw(t);
  });
}

// trim drops the oldest beyond the limits, but never the newest.
function trim(t) {
  while (t.rows.length + t.waiting.length > limits.rows || (t.bytes > limits.bytes && t.rows.length + t.waiting.length > 1)) {
    const oldest = t.rows.length > 0 ? t.rows.shift() : t.waiting.shift();
    t.bytes -= (oldest.entry ?? oldest).value.length;
    oldest.node?.remove();
  }
}

const bottom = (node) => node.scrollHeight - node.scrollTop - node.clientHeight < 24;

function draw(t) {
  const stuck = bottom(t.list);
  const added = t.waiting.map((entry) => ({ entry, node: row(entry, () => t.form, t.key) }));
  t.waiting = [];
  t.rows.push(...added);
  t.list.append(...added.map((r) => r.node));
  if (stuck) t.list.scrollTop = t.list.scrollHeight;
  t.latest.hidden = bottom(t.list);
  say(t.counts, `${group(t.seen)} since the tail began, ${group(t.rows.length)} kept`);
}

function redraw(t) {
  const stuck = bottom(t.list);
  for (const r of t.rows) r.node = row(r.entry, () => t.form, t.key);
  fill(t.list, t.rows.map((r) => r.node));
  if (stuck) stick(t);
}

function stick(t) {
  t.list.scrollTop = t.list.scrollHeight;
}

function clear(t) {
  Object.assign(t, { rows: [], waiting: [], bytes: 0, seen: 0n });
  fill(t.list);
  say(t.counts, '');
}

// toggle pauses by leaving: a page that is not read costs the server nothing. It
// goes on at its cursor.
function toggle(t) {
  t.paused = !t.paused;
  t.stop?.abort();
  say(t.button, t.paused ? 'Resume' : 'Pause');
  if (t.paused) stand(t, 'paused', '');
  else run(t);
}

function stand(t, text, kind) {
  say(t.state, text);
  t.state.className = `state ${kind}`;
}
