// Values as text, JSON or hex. What is rendered is bounded; the whole value can
// be saved.

import { el } from './dom.js';
import { size } from './format.js';
import { pieces, utf8 } from './text.js';

export const forms = ['auto', 'text', 'json', 'hex'];

const rendered = 128 << 10; // bytes that are unfolded
const parsed = 1 << 20; // bytes that are looked at to find out whether they are JSON

// json is the value's text if it is JSON, else null.
function json(bytes) {
  if (bytes.length > parsed) return null;
  const text = utf8(bytes);
  if (text === null) return null;
  try {
    JSON.parse(text);
    return text;
  } catch {
    return null;
  }
}

// Text has no controls but those that move the cursor on.
const controls = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/;

// settle decides what auto means for a value, and what is left of json if it is
// none.
export function settle(bytes, form) {
  if (form === 'hex' || form === 'text') return form;
  const first = bytes.find((b) => b > 0x20);
  if ((form === 'json' || first === 0x7b || first === 0x5b) && json(bytes) !== null) return 'json';
  if (form === 'json') return 'text';
  const text = utf8(cut(bytes, 4096));
  return text !== null && !controls.test(text) ? 'text' : 'hex';
}

// cut takes the first bytes, and does not end inside a character.
function cut(bytes, most) {
  if (bytes.length <= most) return bytes;
  let end = most;
  for (let back = 0; back < 3 && end > 0 && (bytes[end] & 0xc0) === 0x80; back++) end--;
  return bytes.subarray(0, end);
}

const hex = (b) => b.toString(16).padStart(2, '0');

// preview is a value on one line.
export function preview(bytes, form) {
  if (bytes.length === 0) return [el('span', { class: 'esc' }, '(empty)')];
  if (settle(bytes, form) === 'hex') return [Array.from(bytes.subarray(0, 48), hex).join(' ') + (bytes.length > 48 ? ' …' : '')];
  const head = cut(bytes, 400);
  const nodes = texts(head, true);
  return head.length < bytes.length ? [...nodes, ' …'] : nodes;
}

// texts is text with escapes set apart; on one line if flat.
function texts(bytes, flat) {
  const text = utf8(bytes);
  if (text === null) return pieces(bytes).map(([part, esc]) => (esc ? el('span', { class: 'esc' }, part) : part));
  const nodes = [];
  let from = 0;
  const found = flat ? /[\p{C}\p{Zl}\p{Zp}]/gu : /(?![\n\t])[\p{C}\p{Zl}\p{Zp}]/gu;
  for (const m of text.matchAll(found)) {
    nodes.push(text.slice(from, m.index));
    from = m.index + m[0].length;
    const n = m[0].codePointAt(0);
    if (flat && (m[0] === '\n' || m[0] === '\t' || m[0] === '\r')) nodes.push(' ');
    else nodes.push(el('span', { class: 'esc' }, n < 0x80 ? `\\x${hex(n)}` : `\\u{${n.toString(16)}}`));
  }
  nodes.push(text.slice(from));
  return nodes;
}

// whole is a value unfolded.
export function whole(bytes, form) {
  const as = settle(bytes, form);
  const head = cut(bytes, rendered);
  const nodes = [];
  if (bytes.length === 0) nodes.push(el('p', { class: 'quiet' }, 'An empty value.'));
  else if (as === 'json' && head.length === bytes.length) nodes.push(el('pre', { class: 'value json', tabindex: '0' }, indented(utf8(bytes))));
  else if (as === 'hex') nodes.push(el('pre', { class: 'value', tabindex: '0' }, dump(head)));
  else nodes.push(el('pre', { class: 'value text', tabindex: '0' }, texts(head, false)));
  if (form === 'json' && as !== 'json') nodes.unshift(el('p', { class: 'quiet' }, 'Not JSON, shown as text.'));
  if (head.length < bytes.length) nodes.push(el('p', { class: 'quiet' }, `The first ${size(head.length)} of ${size(bytes.length)}.`));
  return nodes;
}

// save gives the bytes to the browser as a file.
export function save(bytes, name) {
  const url = URL.createObjectURL(new Blob([bytes], { type: 'application/octet-stream' }));
  el('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// dump is offset, 16 bytes, and what of them is ASCII.
function dump(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = Array.from(bytes.subarray(at, at + 16));
    const left = row.slice(0, 8).map(hex).join(' ').padEnd(23);
    const right = row.slice(8).map(hex).join(' ').padEnd(23);
    const ascii = row.map((b) => (b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : '.')).join('');
    lines.push(`${at.toString(16).padStart(8, '0')}  ${left}  ${right}  ${ascii}`);
  }
  return lines.join('\n');
}

// indented lays valid JSON out anew without reading its values: numbers keep
// every digit, and strings their escapes.
function indented(text) {
  const nodes = [];
  let depth = 0;
  const line = () => `\n${'  '.repeat(depth)}`;
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[^\s"{}[\],:]+|[{}[\],:]/g) ?? [];
  for (const [i, t] of tokens.entries()) {
    const next = tokens[i + 1];
    if (t === '{' || t === '[') {
      depth++;
      nodes.push(next === '}' || next === ']' ? t : t + line());
    } else if (t === '}' || t === ']') {
      depth--;
      const before = tokens[i - 1];
      nodes.push(before === '{' || before === '[' ? t : line() + t);
    } else if (t === ',') nodes.push(t + line());
    else if (t === ':') nodes.push(': ');
    else nodes.push(el('span', { class: t[0] !== '"' ? 'lit' : next === ':' ? 'name' : 'str' }, texts(new TextEncoder().encode(t), false)));
  }
  return nodes;
}
