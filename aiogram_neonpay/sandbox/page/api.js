// Owns talking to the control API (described in the server's http/control.py).

const ROOT = "/sandbox/api";

export async function get(path) {
  return answer(fetch(ROOT + path));
}

export async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  return answer(fetch(ROOT + path, { method: "POST", headers, body: JSON.stringify(body) }));
}

export async function remove(path) {
  return answer(fetch(ROOT + path, { method: "DELETE" }));
}

async function answer(asked) {
  const response = await asked.catch(() => {
    throw new Error("The sandbox does not answer");
  });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.error ?? `the sandbox answered ${response.status}`);
  return body;
}

/**
 * Listen to what happens, for ever. `onOpen` is called at each (re)connection, after which everything should be
 * reloaded, `onLost` when the sandbox is not there any more.
 */
export function listen(onEvent, onOpen, onLost) {
  let failures = 0;
  const connect = () => {
    const source = new EventSource(`${ROOT}/events`);
    source.onmessage = (message) => onEvent(JSON.parse(message.data));
    source.onopen = () => {
      failures = 0;
      onOpen();
    };
    source.onerror = () => {
      source.close(); // browsers differ in when they give up by themselves
      failures += 1;
      if (failures > 1) onLost(); // once is not lost: the sandbox ends the stream of a page that lags behind
      setTimeout(connect, failures > 1 ? 1000 : 100);
    };
  };
  connect();
}
