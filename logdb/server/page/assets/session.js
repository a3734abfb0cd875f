// The token: typed in by the visitor, kept for this tab, in no address.

const name = 'logdb.token';
const dialog = document.getElementById('ask');
const field = document.getElementById('ask-token');
const button = document.getElementById('token');

export const token = () => sessionStorage.getItem(name) ?? '';

// changed is called after the token did.
let changed = () => {};
export function onChange(f) {
  changed = f;
}

// Who has closed the box is not asked again without pressing the button.
let declined = false;

// ask opens the box, unless it is open.
export function ask(why, pressed = false) {
  button.hidden = false;
  if (dialog.open || (declined && !pressed)) return;
  document.getElementById('ask-why').textContent = why;
  document.getElementById('ask-forget').hidden = token() === '';
  field.value = '';
  dialog.returnValue = '';
  dialog.showModal();
  field.focus();
}

export function setUp() {
  button.hidden = token() === '';
  button.addEventListener('click', () => ask(token() ? 'A token is in use.' : 'This server asks for a bearer token.', true));
  // However it was closed, by Escape too: only a token that was typed in opens it again.
  dialog.addEventListener('close', () => { declined = dialog.returnValue !== 'used'; });
  document.getElementById('ask-cancel').addEventListener('click', () => {
    declined = true;
    dialog.close();
  });
  document.getElementById('ask-forget').addEventListener('click', () => {
    sessionStorage.removeItem(name);
    dialog.close();
    changed();
  });
  document.getElementById('ask-form').addEventListener('submit', (event) => {
    event.preventDefault();
    sessionStorage.setItem(name, field.value.trim());
    field.value = '';
    dialog.close('used');
    changed();
  });
}
