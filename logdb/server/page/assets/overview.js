// The state of the log: health, watermarks, lag, segments, and the bill.

import { now } from './api.js';
import { cells, el, fill, say, table } from './dom.js';
import { ago, counted, dollars, group, moment, rate, size, span } from './format.js';
import { segments } from './segments.js';
import { monthly, sinceStart, watch } from './status.js';

export function overview(main, _, { signal }) {
  const figures = el('dl', { class: 'figures' });
  const marks = el('div');
  const bill = el('div');
  const note = el('p', { class: 'quiet' });
  const line = el('div', { class: 'list', 'aria-busy': 'true' });
  fill(main,
    el('h1', { class: 'unseen' }, 'Overview'),
    figures,
    section('Segments', line),
    el('div', { class: 'columns' }, section('Watermarks', marks), section('Requests to the store', bill, note)));
  const look = segments(line, signal);
  watch(({ status: s, error, rates }) => {
    if (!s) {
      fill(figures, el('div', null, el('dt', null, 'State'), el('dd', null, 'unknown')));
      if (error) fill(line, el('p', { class: 'trouble' }, error)).removeAttribute('aria-busy');
      return;
    }
    fillFigures(figures, s);
    fill(marks, watermarks(s));
    fill(bill, requests(s, rates));
    say(note, remark(s, rates));
    if (!error) look(s);
  }, signal);
}

function section(title, ...content) {
  const id = `section-${title.toLowerCase().replaceAll(' ', '-')}`;
  return el('section', { 'aria-labelledby': id }, el('h2', { id }, title), content);
}

// What each state means, for who has to do something about it.
const meaning = {
  healthy: 'as promised',
  behind: 'the store answers, but does not keep up',
  unreachable: 'the store does not answer',
  fenced: 'a newer writer has the log',
  poisoned: 'stopped by a failed local write or damage',
  closed: 'closed',
};

function fillFigures(node, s) {
  const month = s.costDollars === 0 ? 'no price' : settled(s) ? dollars(monthly(s.costDollars, sinceStart(s))) : '…';
  const list = [
    ['State', s.health, `${meaning[s.health] ?? ''}, for ${span(now() - s.sinceMs)}`, s.health],
    ['Next sequence', group(s.frontier), s.readOnly ? 'readable below it' : 'readable here below it'],
    s.readOnly
      ? ['Last look at the store', `${span(s.refreshedMs)} ago`, 'what is newer is not shown here', s.ready ? null : 'behind']
      : ['Not in the bucket yet', counted(s.unshippedRecords, 'record'), s.unshippedRecords === '0' ? 'everything is there' : `${size(s.unshippedBytes)}, oldest ${span(s.unshippedMs)}`],
    ['Requests, a month', month, settled(s) ? `as since the start, ${ago(s.startedMs, now())}` : 'told after a minute'],
    ['Ready', s.ready ? 'yes' : 'no', s.readOnly ? 'to show what is new' : 'to acknowledge appends', s.ready ? null : 'behind'],
  ];
  const dts = [...node.querySelectorAll('dt')].map((n) => n.textContent).join();
  if (dts !== list.map((f) => f[0]).join()) {
    fill(node, list.map(([name]) => el('div', null, el('dt', null, name), el('dd'), el('dd', { class: 'quiet' }))));
  }
  for (const [i, [, value, more, state]] of list.entries()) {
    const [, dd, quiet] = node.children[i].children;
    say(dd, value);
    say(quiet, more);
    dd.className = state ? `state ${state}` : value.length > 14 ? 'long' : '';
  }
}

// settled: the start itself is dear, and a few seconds of it say nothing about a
// month.
const settled = (s) => sinceStart(s) >= 60;

const markColumns = [['Level', ''], ['Everything below', 'n'], ['Behind', 'n'], ['Meaning', 'quiet wide']];

function watermarks(s) {
  const marks = s.readOnly
    ? [['readable', s.frontier, 'seen by this gateway in the bucket'], ['flushed', s.flushed, 'in tables; above it in WAL objects']]
    : [['applied', s.applied, 'readable here'], ['local', s.local, 'on the disk of the writer'], ['remote', s.remote, 'in the bucket'], ['flushed', s.flushed, 'in tables; above it in WAL objects']];
  const top = BigInt(marks[0][1]);
  return table('Watermarks', markColumns, marks.map(([name, value, text]) => {
    const behind = top > BigInt(value) ? top - BigInt(value) : 0n;
    return cells(markColumns, [name, group(value), behind === 0n ? el('span', { class: 'quiet' }, '0') : group(behind), text]);
  }));
}

const billColumns = [['Kind', ''], ['Requests', 'n'], ['Bytes', 'n'], ['Now', 'n'], ['Cost', 'n'], ['A month', 'n']];

function requests(s, rates) {
  const kinds = { get: 'GET', get_range: 'GET, part', list: 'LIST', put: 'PUT', delete: 'DELETE' };
  const line = (name, count, bytes, perSecond, cost, props) => cells(billColumns, [
    name, group(count), bytes === '0' ? '' : size(bytes), perSecond === undefined ? '' : `${rate(perSecond)}/s`, dollars(cost), settled(s) ? dollars(monthly(cost, sinceStart(s))) : '…',
  ], props);
  const sum = (name) => s.requests.reduce((n, r) => n + BigInt(r[name]), 0n);
  const rows = s.requests.map((r) => line(kinds[r.kind] ?? r.kind, r.count, r.bytes, rates?.requests.get(r.kind), r.dollars));
  const total = rates && [...rates.requests.values()].reduce((a, b) => a + b, 0);
  rows.push(line('All', sum('count'), String(sum('bytes')), total ?? undefined, s.costDollars, { class: 'total' }));
  return table('Requests to the store since the server began', billColumns, rows);
}

function remark(s, rates) {
  const began = `Since ${moment(s.startedMs)}, ${ago(s.startedMs, now())}. `;
  if (s.costDollars === 0) return `${began}This server has no prices.`;
  const lately = rates && settled(s) ? `At the rate of the last ${span(rates.seconds * 1000)}: ${dollars(monthly(rates.dollars, 1))} a month. ` : '';
  return `${began}${lately}An estimate by the prices the server was given, for its own requests: storage, traffic and other processes are not in it.`;
}
