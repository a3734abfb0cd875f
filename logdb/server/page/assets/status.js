// Where the log stands, asked for every two seconds while somebody can see it.
// It costs the store nothing: the server tells what it knows.

import { explain, get, now } from './api.js';

const interval = 2000;
const remembered = 10 * 60_000; // of samples, for the rates of now

const watchers = new Set();
let latest = null;
let samples = []; // {at, requests: Map kind -> count, dollars}
let timer;
let under = null;

// watch calls f with every status, at once with the latest, until signal aborts.
// f gets {status, error, rates}; status stays the last one that was had.
export function watch(f, signal) {
  watchers.add(f);
  signal?.addEventListener('abort', () => watchers.delete(f));
  if (latest) f(latest);
}

// restart asks at once, such as with another token.
export function restart() {
  clearTimeout(timer);
  under?.abort();
  poll();
}

async function poll() {
  const mine = new AbortController();
  let refused = false;
  under = mine;
  const limit = setTimeout(() => mine.abort(), 15_000);
  try {
    const status = await get('status', {}, mine.signal);
    sample(status);
    latest = { status, error: null, rates: rates() };
  } catch (error) {
    if (under !== mine) return; // restarted
    refused = error.status === 401; // until there is another token
    latest = { status: refused ? null : latest?.status ?? null, error: mine.signal.aborted ? 'The server does not answer.' : explain(error), rates: null };
  } finally {
    clearTimeout(limit);
  }
  if (under !== mine) return;
  for (const f of watchers) f(latest);
  if (!document.hidden && !refused) timer = setTimeout(poll, interval);
}

document.addEventListener('visibilitychange', () => {
  if (!document.hidden) restart();
});

function sample(s) {
  const next = { at: performance.now(), begun: s.startedMs, dollars: s.costDollars, requests: new Map(s.requests.map((r) => [r.kind, Number(r.count)])) };
  if (samples.length > 0 && samples[0].begun !== next.begun) samples = []; // another process
  samples.push(next);
  while (next.at - samples[0].at > remembered) samples.shift();
}

// rates are per second over what was seen of the last minutes, or null.
function rates() {
  const first = samples[0];
  const last = samples.at(-1);
  const seconds = (last.at - first.at) / 1000;
  if (seconds < 5) return null;
  const requests = new Map([...last.requests].map(([kind, n]) => [kind, (n - (first.requests.get(kind) ?? 0)) / seconds]));
  return { seconds, requests, dollars: (last.dollars - first.dollars) / seconds };
}

const month = 30 * 24 * 3600; // seconds

// monthly is what goes on as since the start comes to in a month.
export const sinceStart = (s) => Math.max(1, (now() - s.startedMs) / 1000);
export const monthly = (amount, seconds) => (amount / seconds) * month;
