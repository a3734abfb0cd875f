// The frame of the page: which view is shown, and the state in the header.

import { el, fill, say } from './dom.js';
import * as keyboard from './keyboard.js';
import { keys } from './keys.js';
import { log } from './log.js';
import { overview } from './overview.js';
import { current } from './route.js';
import * as session from './session.js';
import * as status from './status.js';
import { tail } from './tail.js';
import { spell, utf8 } from './text.js';

const main = document.getElementById('main');
const views = { overview, keys, key: log, tail };
let shown = new AbortController();
let address = null;

// show builds the view that the address names. What the view before it had under
// way is given up.
function show(first) {
  shown.abort();
  shown = new AbortController();
  address = location.hash;
  const route = current();
  const view = views[route.view] ?? (() => fill(main, el('p', { class: 'empty' }, 'There is nothing at this address. ', el('a', { href: '#/' }, 'Overview'))));
  main.className = route.view;
  view(main, route, { signal: shown.signal, go });
  for (const a of document.querySelectorAll('nav [data-view]')) {
    const here = a.dataset.view === route.view || (a.dataset.view === 'keys' && route.view === 'key');
    if (here) a.setAttribute('aria-current', 'page');
    else a.removeAttribute('aria-current');
  }
  const name = route.view === 'key' ? (utf8(route.key) ?? spell(route.key)).slice(0, 80) : { keys: 'Keys', tail: 'Tail' }[route.view];
  document.title = name ? `${name} - LogDb` : 'LogDb';
  if (!first) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
}

// go changes the address. quiet leaves the view as it is; replace leaves no trace
// in the history.
function go(href, { replace = false, quiet = false } = {}) {
  if (href === location.hash) return;
  if (replace) history.replaceState(null, '', href);
  else history.pushState(null, '', href);
  if (quiet) address = location.hash;
  else show(false);
}

// moved is for links, and for the way back; one move may be told twice.
function moved() {
  if (location.hash !== address) show(false);
}

const banner = document.getElementById('banner');

function frame({ status: s, error }) {
  banner.hidden = !error;
  say(banner, error ? `${error}${error.startsWith('A token') ? '' : ' Trying again.'}` : '');
  const health = document.getElementById('health');
  if (!s) {
    health.className = '';
    return say(health, '');
  }
  say(document.getElementById('role'), `${s.readOnly ? 'read-only' : 'writer'}${s.version ? ` ${s.version}` : ''}`);
  say(health, error ? 'unknown' : s.health);
  health.className = `state ${error ? '' : s.health}`;
}

window.addEventListener('popstate', moved);
window.addEventListener('hashchange', moved);
document.getElementById('skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});
session.setUp();
session.onChange(() => {
  status.restart();
  show(false);
});
keyboard.setUp(main, go);
status.watch(frame);
status.restart();
show(true);
