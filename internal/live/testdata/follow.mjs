// Follows a tenet with a client from npm until a change of the document "final", over every end of its stream, and prints the
// seq of each change. Usage: node follow.mjs MODULES ws|eventsource URL TOKEN
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [modules, kind, url, token] = process.argv.slice(2);
const require = createRequire(pathToFileURL(modules + '/'));
let after = 0;

function handle(text) {
  const m = JSON.parse(text);
  if (m.type === 'gone') throw new Error(text);
  if (m.type === 'change') {
    console.log(m.seq);
    if (m.id === 'final') process.exit(0);
  }
  if (m.seq) after = m.seq;
}

const again = (open) => setTimeout(open, 100 + 200 * Math.random());

function socket() {
  const { WebSocket } = require('ws');
  const s = new WebSocket(`${url.replace('http', 'ws')}?document=false&after=${after}`, ['tenet.v1', 'tenet.token.' + token]);
  s.on('message', (data) => handle(data.toString()));
  s.on('error', () => {}); // close comes after it
  s.on('close', () => again(socket));
}

// An EventSource comes back by itself with the id of the last event; a refusal ends it, and then a new one is made.
function events() {
  const { EventSource } = require('eventsource');
  const s = new EventSource(`${url}?document=false&after=${after}`, {
    fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, Authorization: 'Bearer ' + token } }),
  });
  for (const type of ['hello', 'change', 'mode', 'ping', 'behind', 'bye', 'gone', 'parked']) {
    s.addEventListener(type, (event) => handle(event.data));
  }
  s.onerror = () => {
    if (s.readyState === EventSource.CLOSED) again(events);
  };
}

(kind === 'ws' ? socket : events)();
