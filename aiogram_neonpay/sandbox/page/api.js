// Owns talking to the control API (described in the server's http/control.py).

const ROOT = "/sandbox/api";

export async function get(path) {
  return answer(await fetch(ROOT + path));
}

export async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  return answer(await fetch(ROOT + path, { method: "POST", headers, body: JSON.stringify(body) }));
}

async function answer(response) {
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.error ?? `the sandbox answered ${response.status}`);
  return body;
}

/** Listen to what happens; `onOpen` is called at each (re)connection, after which everything should be reloaded. */
export function listen(onEvent, onOpen) {
  const source = new EventSource(`${ROOT}/events`);
  source.onmessage = (message) => onEvent(JSON.parse(message.data));
  source.onopen = onOpen;
  return source;
}
