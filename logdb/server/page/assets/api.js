// Requests to the server that the page came from. 64-bit numbers are asked for
// as strings. Addresses are relative, so that a proxy may serve us below a path.

import { ask, token } from './session.js';

// ApiError is an answer that is an error. code is one of the API's, or 'offline'
// where there was no answer.
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

// skew is how far the server's clock is ahead of ours, in ms.
let skew = 0;
export const now = () => Date.now() + skew;

// open asks and returns the response, whose body is still to be read.
export async function open(path, params, signal) {
  const query = new URLSearchParams(params);
  query.set('u64', 'string');
  const sent = token();
  let response;
  try {
    response = await fetch(new URL(`api/v1/log/${path}?${query}`, document.baseURI), {
      signal, cache: 'no-store', credentials: 'same-origin',
      headers: sent ? { Authorization: `Bearer ${sent}` } : {},
    });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new ApiError(0, 'offline', 'The server does not answer.');
  }
  const date = Date.parse(response.headers.get('Date') ?? '');
  if (!Number.isNaN(date) && Math.abs(date - now()) > 2000) skew = date - Date.now(); // it has whole seconds
  if (!response.ok) throw await failure(response, sent);
  return response;
}

async function failure(response, sent) {
  const body = await response.json().catch(() => ({}));
  if (response.status === 401 && sent === token()) {
    ask(sent ? 'The server does not know this token.' : 'This server asks for a bearer token.');
  }
  return new ApiError(response.status, body.code ?? 'internal', body.message ?? `The server answered ${response.status}.`);
}

export async function get(path, params, signal) {
  const response = await open(path, params, signal);
  try {
    return await response.json();
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new ApiError(0, 'offline', 'The answer of the server was cut off.');
  }
}

// explain says what a failed request means to who looks at the page.
export function explain(error) {
  switch (error.code) {
    case 'unauthenticated': return 'A token is needed.';
    case 'permission_denied': return `Not with this token: ${error.message}.`;
    case 'internal': return 'The server could not read this. Its log says more.';
    case 'timeout': return 'The server could not read this in time. Its store may be away.';
  }
  return error.message;
}
