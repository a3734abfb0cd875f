// Numbers, times and money as text. 64-bit numbers are BigInts or their digits:
// a Number would round them above 2^53.

export function group(n) {
  return String(n).replace(/\B(?=(\d{3})+$)/g, ',');
}

// counted is a number of things.
export function counted(n, thing) {
  return `${group(n)} ${thing}${String(n) === '1' ? '' : 's'}`;
}

export function size(n) {
  let x = Number(n);
  for (const unit of ['B', 'kB', 'MB', 'GB', 'TB']) {
    if (x < 1000) return unit === 'B' ? `${x} B` : `${x < 10 ? x.toFixed(2) : x < 100 ? x.toFixed(1) : x.toFixed(0)} ${unit}`;
    x /= 1000;
  }
  return `${x.toFixed(1)} PB`;
}

// time is UTC, to the millisecond.
export function time(ms) {
  const d = new Date(Number(ms));
  return Number.isNaN(d.getTime()) ? `${ms} ms` : d.toISOString().replace('T', ' ');
}

// moment is time without what does not matter to the eye.
export function moment(ms) {
  return time(ms).replace(/\.\d+Z$/, 'Z');
}

export function span(ms) {
  const s = Math.max(0, Number(ms)) / 1000;
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.floor(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 48 * 3600) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d`;
}

// ago is span of what lies behind, at the precision that a glance wants.
export function ago(ms, now) {
  const past = now - Number(ms);
  return past < 1000 ? 'just now' : `${span(Math.floor(past / 1000) * 1000).replace(/\.0 s/, ' s')} ago`;
}

export function dollars(x) {
  if (x === 0) return '$0';
  if (x < 0.0001) return '< $0.0001';
  if (x < 0.01) return `$${x.toFixed(4)}`;
  if (x < 1000) return `$${x.toFixed(2)}`;
  return `$${group(Math.round(x))}`;
}

export function rate(x) {
  if (x === 0) return '0';
  if (x < 0.01) return '< 0.01';
  return x < 10 ? x.toFixed(2) : x < 100 ? x.toFixed(1) : group(Math.round(x));
}
