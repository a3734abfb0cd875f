// Addresses of views, behind the #, so that a link to a key can be passed on:
//   #/                       overview
//   #/keys?prefix=a&after=b  keys
//   #/key/user/7?as=hex      one key's log
//   #/tail?key=user/7        live tail of a key, or of a prefix
// Bytes that are no UTF-8 are in base64, under the name with 64 behind it.

import { encode, fromBase64, toBase64, utf8 } from './text.js';

const plain = (text) => encodeURIComponent(text).replaceAll('%2F', '/');

// put sets a parameter of bytes.
export function put(params, name, bytes) {
  const text = utf8(bytes);
  if (text === null) params.set(`${name}64`, toBase64(bytes));
  else params.set(name, text);
  return params;
}

// take is the parameter that put has set, or null.
export function take(params, name) {
  if (params.has(name)) return encode(params.get(name));
  return params.has(`${name}64`) ? fromBase64(params.get(`${name}64`)) : null;
}

export function address(path, params) {
  const query = params ? String(params) : '';
  return `#/${path}${query ? `?${query}` : ''}`;
}

export function keyAddress(key, params) {
  const text = utf8(key);
  return address(text === null ? `key64/${toBase64(key)}` : `key/${plain(text)}`, params);
}

// current reads the address: {view, key, params}. view is '' for one that is none.
export function current() {
  const [path, ...rest] = location.hash.replace(/^#\/?/, '').split('?');
  const params = new URLSearchParams(rest.join('?'));
  try {
    if (path.startsWith('key/')) return { view: 'key', key: encode(decodeURIComponent(path.slice(4))), params };
    if (path.startsWith('key64/')) return { view: 'key', key: fromBase64(path.slice(6)), params };
  } catch {
    return { view: '', params };
  }
  return { view: { '': 'overview', keys: 'keys', tail: 'tail' }[path] ?? '', params };
}
