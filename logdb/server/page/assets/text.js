// Bytes and their spellings: base64 as the API has it, text where they are text,
// and a notation for reading and typing: UTF-8 as it is, everything else, and
// what the eye would miss or a terminal would obey, as \xNN, \n or \u{N}.

import { el } from './dom.js';

export function fromBase64(s) {
  const raw = atob(s.replaceAll('-', '+').replaceAll('_', '/'));
  const b = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) b[i] = raw.charCodeAt(i);
  return b;
}

// toBase64 is the alphabet for addresses, without padding.
export function toBase64(bytes) {
  let raw = '';
  for (let i = 0; i < bytes.length; i += 8192) raw += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(raw).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

const encoder = new TextEncoder();
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export const encode = (text) => encoder.encode(text);

// utf8 is null for bytes that are no text.
export function utf8(bytes) {
  try {
    return strict.decode(bytes);
  } catch {
    return null;
  }
}

const short = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

// Controls, surrogates, unassigned and private characters, invisible and
// direction-changing ones, and every space but the common one.
const odd = /[\\\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u;

const hex = (n) => n.toString(16).padStart(2, '0');

function escaped(c) {
  const n = c.codePointAt(0);
  return short[c] ?? (n < 0x80 ? `\\x${hex(n)}` : `\\u{${n.toString(16)}}`);
}

// pieces cuts bytes into text and escapes: [[text, isEscape], ...].
export function pieces(bytes) {
  const out = [];
  const add = (text, isEscape) => {
    const last = out.at(-1);
    if (last && last[1] === isEscape) last[0] += text;
    else out.push([text, isEscape]);
  };
  for (let i = 0; i < bytes.length;) {
    const n = width(bytes, i);
    const c = n > 0 ? utf8(bytes.subarray(i, i + n)) : null;
    if (c === null) add(`\\x${hex(bytes[i++])}`, true);
    else {
      if (odd.test(c)) add(escaped(c), true);
      else add(c, false);
      i += n;
    }
  }
  return out;
}

// width is how many bytes the character at i would have, by its first one.
function width(bytes, i) {
  const b = bytes[i];
  const n = b < 0x80 ? 1 : b < 0xc2 ? 0 : b < 0xe0 ? 2 : b < 0xf0 ? 3 : b < 0xf5 ? 4 : 0;
  return i + n <= bytes.length ? n : 0;
}

export const spell = (bytes) => pieces(bytes).map(([text]) => text).join('');

// read is the inverse of spell. A backslash that begins no escape is itself.
export function read(text) {
  const out = [];
  const escape = /\\(?:x([0-9a-fA-F]{2})|u\{([0-9a-fA-F]{1,6})\}|([\\nrt]))/g;
  let from = 0;
  for (const m of text.matchAll(escape)) {
    out.push(encode(text.slice(from, m.index)));
    from = m.index + m[0].length;
    if (m[1]) out.push(Uint8Array.of(parseInt(m[1], 16)));
    else if (m[3]) out.push(encode({ '\\': '\\', n: '\n', r: '\r', t: '\t' }[m[3]]));
    else if (parseInt(m[2], 16) <= 0x10ffff) out.push(encode(String.fromCodePoint(parseInt(m[2], 16))));
    else out.push(encode(m[0]));
  }
  out.push(encode(text.slice(from)));
  const all = new Uint8Array(out.reduce((n, b) => n + b.length, 0));
  let at = 0;
  for (const b of out) {
    all.set(b, at);
    at += b.length;
  }
  return all;
}

// shown is bytes as nodes, escapes set apart, cut after `most` bytes.
export function shown(bytes, most = 512) {
  if (bytes.length === 0) return [el('span', { class: 'esc' }, '(empty)')];
  const nodes = pieces(bytes.subarray(0, most)).map(([text, esc]) => (esc ? el('span', { class: 'esc' }, text) : text));
  if (bytes.length > most) nodes.push(el('span', { class: 'esc' }, ` … ${bytes.length} bytes`));
  return nodes;
}
