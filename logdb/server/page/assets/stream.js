// Server-sent events by fetch: EventSource cannot send a token.

import { ApiError, open } from './api.js';

const silence = 60_000; // ms without a heartbeat after which a connection is dead

// stream reads one connection until it ends, and calls event(name, id, data).
// opened is called when the server has accepted. It fails as requests do.
export async function stream(params, signal, opened, event) {
  const dead = new AbortController();
  const response = await open('follow', params, AbortSignal.any([signal, dead.signal]));
  opened();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const split = lines(fields(event));
  let timer = setTimeout(() => dead.abort(), silence);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => dead.abort(), silence);
      split(value);
    }
  } catch (cause) {
    if (signal.aborted || cause instanceof ApiError) throw cause;
    throw new ApiError(0, 'offline', 'The connection was lost.');
  } finally {
    clearTimeout(timer);
    dead.abort();
  }
}

// lines cuts text into lines. What has no end yet is kept in parts, so that a
// long line is joined once.
function lines(take) {
  let parts = [];
  return (text) => {
    let from = 0;
    for (let end; (end = text.indexOf('\n', from)) >= 0; from = end + 1) {
      parts.push(text.slice(from, end));
      take(parts.join(''));
      parts = [];
    }
    if (from < text.length) parts.push(text.slice(from));
  };
}

function fields(event) {
  let name = '';
  let id = null;
  let data = null;
  return (line) => {
    if (line === '') {
      if (data !== null) event(name || 'message', id, JSON.parse(data));
      name = '';
      data = null;
    } else if (line.startsWith('data: ')) data = line.slice(6);
    else if (line.startsWith('event: ')) name = line.slice(7);
    else if (line.startsWith('id: ')) id = line.slice(4);
  };
}
