// Keys of the keyboard that work everywhere on the page. Whatever they do can be
// done with links and buttons as well.

const fields = 'input:not([type=radio]), textarea, select';

export function setUp(main, go) {
  const help = document.getElementById('keys-help');
  document.getElementById('help').addEventListener('click', () => help.showModal());
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || document.querySelector('dialog[open]')) return;
    const at = document.activeElement;
    if (at?.matches(fields)) {
      if (event.key === 'Escape') {
        event.preventDefault(); // browsers empty the field otherwise
        at.blur();
      }
      if (event.key === 'ArrowDown' && at.type === 'search') move(main, 1, event);
      return;
    }
    pressed(event, main, at, help, go);
  });
}

function pressed(event, main, at, help, go) {
  const click = (selector) => {
    const target = main.querySelector(selector);
    if (target) {
      event.preventDefault();
      target.click();
    }
  };
  switch (event.key) {
    case '1': return go('#/');
    case '2': return go('#/keys');
    case '3': return go('#/tail');
    case '/': return search(event, main, go);
    case '?': return help.showModal();
    case 'j': return move(main, 1, event);
    case 'k': return move(main, -1, event);
    case 'n': return click('[data-next]');
    case 'p': return click('[data-previous]');
    case 'f': return click('[data-follow]');
    case ' ': return at?.closest('a, button, summary, input, [role=button]') ? null : click('[data-pause]');
    case 'ArrowDown': case 'ArrowUp':
      if (at?.closest('[data-row]')) move(main, event.key === 'ArrowDown' ? 1 : -1, event);
  }
}

function search(event, main, go) {
  event.preventDefault();
  if (!main.querySelector('#search')) go('#/keys');
  main.querySelector('#search')?.select();
}

// move goes to the next row, or to the first one from outside.
function move(main, step, event) {
  const rows = [...main.querySelectorAll('[data-row]')];
  if (rows.length === 0) return;
  event.preventDefault();
  const at = rows.indexOf(document.activeElement?.closest('[data-row]'));
  const next = rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + step))];
  next.focus();
  next.scrollIntoView({ block: 'nearest' });
}
