// Building the document. Text becomes text nodes and nothing else: what comes
// from the log is never markup, and the page's policy would refuse it.

// el makes an element. Properties in `on` are listeners, in `data` data-*
// attributes; null and false are left out.
export function el(name, props, ...children) {
  return dress(document.createElement(name), props, children);
}

// svg is el for drawings.
export function svg(name, props, ...children) {
  return dress(document.createElementNS('http://www.w3.org/2000/svg', name), props, children);
}

function dress(node, props, children) {
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key === 'on') {
      for (const [event, f] of Object.entries(value)) node.addEventListener(event, f);
    } else if (key === 'data') {
      for (const [name, v] of Object.entries(value)) node.dataset[name] = v;
    } else {
      node.setAttribute(key, value === true ? '' : value);
    }
  }
  node.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

// fill gives a node new children.
export function fill(node, ...children) {
  node.replaceChildren(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

// say sets text only where it changed, so that selections and screen readers are
// left alone.
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// table makes a table with a caption for those who do not see it. Columns are
// [title, class].
export function table(caption, columns, rows, extra) {
  return el('div', { class: 'scroll' },
    el('table', extra,
      el('caption', { class: 'unseen' }, caption),
      el('thead', null, el('tr', null, columns.map(([title, kind]) => el('th', { scope: 'col', class: kind }, title)))),
      el('tbody', null, rows)));
}

// cells is a row; content is in the order of the columns, which name its classes
// and, on narrow screens, its labels.
export function cells(columns, content, props) {
  return el('tr', props, content.map((c, i) => el('td', { class: columns[i][1], data: { label: columns[i][0] } }, c)));
}
