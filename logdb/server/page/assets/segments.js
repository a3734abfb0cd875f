// Segments on a time line: a bar from the first to the last record, as high as
// the segment is large, and a table below it.

import { explain, get, now } from './api.js';
import { cells, el, fill, svg, table } from './dom.js';
import { ago, counted, group, moment, size, span } from './format.js';

const height = 96;
const page = 8;
const pause = 5000; // between two looks

// segments fills node, and returns what to call with each status: the list is
// asked for again when the log has moved.
export function segments(node, signal) {
  const state = { list: null, selected: null, shown: page, node };
  let seen = null;
  let last = 0;
  let busy = false;
  new ResizeObserver(() => state.list && draw(state)).observe(node);
  return async (status) => {
    const mark = `${status.frontier}/${status.flushed}/${status.startedMs}`;
    if (busy || (mark === seen && now() - last < 60_000) || now() - last < pause) return;
    busy = true;
    last = now();
    try {
      const answer = await get('segments', {}, signal);
      seen = mark;
      update(state, answer.segments);
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 401 || error.status === 403) seen = mark;
      state.list = null;
      fill(node, el('p', { class: 'trouble' }, explain(error))).removeAttribute('aria-busy');
    } finally {
      busy = false;
    }
  };
}

function update(state, list) {
  const text = JSON.stringify(list);
  if (state.list && state.text === text) return;
  Object.assign(state, { list, text });
  state.node.removeAttribute('aria-busy');
  draw(state);
}

function draw(state) {
  const { node, list } = state;
  const focused = node.contains(document.activeElement) ? document.activeElement.dataset : null;
  if (list.length === 0) {
    fill(node, el('p', { class: 'empty' }, 'No segments: nothing has been appended yet, or nothing is retained.'));
    return;
  }
  const total = list.reduce((n, s) => n + BigInt(s.records), 0n);
  const bytes = list.reduce((n, s) => n + BigInt(s.bytes), 0n);
  const open = list.filter((s) => !s.sealed).length;
  fill(node,
    el('p', { class: 'facts' },
      el('span', null, el('b', null, group(list.length)), list.length === 1 ? ' segment' : ' segments'),
      el('span', null, el('b', null, group(total)), total === 1n ? ' record' : ' records'),
      el('span', null, el('b', null, size(bytes)), ' of keys and values'),
      el('span', { class: 'legend' }, el('i', { class: 'swatch sealed' }), 'sealed', el('i', { class: 'swatch active' }), open ? 'active' : 'active (none)')),
    line(state),
    rows(state));
  const again = focused && (focused.bar !== undefined ? `[data-bar="${focused.bar}"]` : focused.segment !== undefined ? `[data-segment="${focused.segment}"] [data-row]` : null);
  if (again) node.querySelector(again)?.focus();
}

function describe(s) {
  return `Segment ${s.id}, ${s.sealed ? 'sealed' : 'active'}, ${size(s.bytes)}, ${counted(s.records, 'record')}, ${moment(s.startTimeMs)} to ${moment(s.lastTimeMs)}`;
}

// line draws the bars. One of them is in the tab order; the arrows move on.
function line(state) {
  const { list, node } = state;
  const width = Math.max(280, node.clientWidth);
  const from = Number(list[0].startTimeMs);
  const to = Math.max(from + 1, ...list.map((s) => Math.max(s.lastTimeMs, s.startTimeMs)));
  const most = Math.max(1, ...list.map((s) => Number(s.bytes)));
  const x = (ms) => ((ms - from) / (to - from)) * (width - 4) + 2;
  const chosen = Math.max(0, list.findIndex((s) => s.id === state.selected));
  const at = state.selected === null ? list.length - 1 : chosen;
  const bars = list.map((s, i) => {
    const left = x(s.startTimeMs);
    const wide = Math.max(3, x(Math.max(s.lastTimeMs, s.startTimeMs)) - left - 1);
    const high = Math.max(3, (Number(s.bytes) / most) * (height - 6));
    const bar = svg('g', {
      class: `bar ${s.sealed ? 'sealed' : 'active'}${s.id === state.selected ? ' selected' : ''}`, role: 'button', tabindex: i === at ? '0' : '-1',
      'aria-label': describe(s), 'aria-pressed': String(s.id === state.selected), data: { bar: s.id }, on: { click: () => select(state, s.id), keydown: (e) => keyed(e, state, i) },
    },
    svg('title', null, describe(s)),
    svg('rect', { class: 'hit', x: Math.min(left, width - wide - 2), y: 0, width: Math.max(wide, 6), height }),
    svg('rect', { class: 'shape', x: Math.min(left, width - wide - 2), y: height - high - 1, width: wide, height: high, rx: 1 }));
    return bar;
  });
  return el('div', { class: 'timeline' },
    svg('svg', { width, height, viewBox: `0 0 ${width} ${height}`, role: 'group', 'aria-label': 'Segments on a time line; left and right arrows move between them' },
      svg('line', { class: 'ground', x1: 0, x2: width, y1: height - 0.5, y2: height - 0.5 }), bars),
    el('div', { class: 'axis', 'aria-hidden': 'true' }, el('span', null, moment(from)), el('span', null, span(to - from)), el('span', null, moment(to))));
}

function keyed(event, state, i) {
  const { list, node } = state;
  const step = { ArrowLeft: -1, ArrowRight: 1, Home: -list.length, End: list.length }[event.key];
  if (event.key === 'Enter' || event.key === ' ') {
    event.preventDefault();
    select(state, list[i].id);
  } else if (step) {
    event.preventDefault();
    const next = list[Math.min(list.length - 1, Math.max(0, i + step))];
    event.currentTarget.setAttribute('tabindex', '-1');
    const bar = node.querySelector(`[data-bar="${next.id}"]`);
    bar.setAttribute('tabindex', '0');
    bar.focus();
  }
}

function select(state, id) {
  state.selected = state.selected === id ? null : id;
  const place = [...state.list].reverse().findIndex((s) => s.id === id);
  if (place >= state.shown) state.shown = Math.ceil((place + 1) / page) * page;
  draw(state);
  if (state.selected !== null) state.node.querySelector(`[data-segment="${id}"]`)?.scrollIntoView({ block: 'nearest' });
}

const columns = [['Segment', ''], ['State', ''], ['Records', 'n'], ['Size', 'n'], ['Sequences', 'n'], ['First record', 'when'], ['Last record', 'when']];

function rows(state) {
  const newest = [...state.list].reverse();
  const some = newest.slice(0, state.shown);
  return [
    table('Segments, newest first', columns, some.map((s) => cells(columns, [
      el('button', { type: 'button', class: 'link', data: { row: '' }, 'aria-pressed': String(s.id === state.selected), on: { click: () => select(state, s.id) } }, group(s.id)),
      el('span', { class: s.sealed ? 'quiet' : 'state healthy' }, s.sealed ? 'sealed' : 'active'),
      group(s.records), size(s.bytes), `[${group(s.startSeq)}, ${s.endSeq === undefined ? '' : group(s.endSeq)})`.replace(', )', ', …)'),
      el('time', { title: ago(s.startTimeMs, now()) }, moment(s.startTimeMs)), el('time', { title: ago(s.lastTimeMs, now()) }, moment(s.lastTimeMs)),
    ], { class: s.id === state.selected ? 'selected' : null, data: { segment: s.id } }))),
    newest.length > some.length && el('button', { type: 'button', class: 'plain', on: { click: () => { state.shown += 5 * page; draw(state); } } }, `Show older (${group(newest.length - some.length)})`),
  ];
}
