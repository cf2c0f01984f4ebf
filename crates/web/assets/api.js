// What the peer is asked, and how its streams are read.

/** A refusal in the peer's own words. */
export class Refused extends Error {
  /** @param {{detail: string, status: number, type: string}} problem */
  constructor(problem) {
    super(problem.detail);
    this.status = problem.status;
    this.kind = problem.type.split(":").pop() ?? "";
  }
}

/** @param {string} path @param {{method?: string, body?: unknown, signal?: AbortSignal, accept?: string}} [how] */
async function ask(path, { method = "GET", body, signal, accept = "application/json" } = {}) {
  /** @type {Record<string, string>} */
  const headers = { Accept: accept };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(`/api/v1${path}`, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({ detail: `the peer answers ${answer.status}`, status: answer.status, type: "" }));
  if (answer.status === 401) dispatchEvent(new Event("locked"));
  throw new Refused(problem);
}

/** @template T @param {string} path @param {AbortSignal} [signal] @returns {Promise<T>} */
export const read = async (path, signal) => (await ask(path, { signal })).json();

/** @template T @param {string} method @param {string} path @param {unknown} [body] @returns {Promise<T | undefined>} */
export async function write(method, path, body) {
  const answer = await ask(path, { method, body });
  return answer.status === 204 ? undefined : answer.json();
}

/** Lets the browser draw. */
const breathe = () => new Promise((go) => setTimeout(go));

/** Reads a stream of events to its end, and never works for long in one go.
 * @param {string} path @param {(kind: string, data: any) => void} on
 * @param {{signal?: AbortSignal, body?: unknown}} [how] */
export async function stream(path, on, { signal, body } = {}) {
  const accept = "text/event-stream";
  const answer = await ask(path, { method: body === undefined ? "GET" : "POST", body, signal, accept });
  if (!answer.body) return;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    let since = performance.now();
    rest += value;
    let from = 0;
    for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n", from)) {
      event(rest.slice(from, end), on);
      from = end + 2;
      if (performance.now() - since > 12) {
        await breathe();
        since = performance.now();
        if (signal?.aborted) return;
      }
    }
    rest = rest.slice(from);
  }
}

/** @param {string} text @param {(kind: string, data: any) => void} on */
function event(text, on) {
  let [kind, data] = ["", ""];
  for (const line of text.split("\n")) {
    if (line.startsWith("event: ")) kind = line.slice(7);
    else if (line.startsWith("data: ")) data += line.slice(6);
  }
  if (kind) on(kind, JSON.parse(data));
}

/** Follows a stream while the page is looked at; returns what ends it. A stream
 * that breaks is opened again.
 * @param {string} path @param {(kind: string, data: any) => void} on @param {() => void} onstart
 * @returns {() => void} */
export function follow(path, on, onstart) {
  const end = new AbortController();
  let turn = new AbortController();
  const watch = () => {
    if (document.hidden) turn.abort();
    else if (turn.signal.aborted) void run();
  };
  const run = async () => {
    const mine = new AbortController();
    turn = mine;
    for (let pause = 500; !mine.signal.aborted; pause = Math.min(pause * 2, 8000)) {
      try {
        onstart();
        await stream(path, on, { signal: mine.signal });
      } catch {
        // Said by the page, which asks for the status all the time.
      }
      if (!mine.signal.aborted) await new Promise((go) => setTimeout(go, pause));
    }
  };
  document.addEventListener("visibilitychange", watch, { signal: end.signal });
  if (document.hidden) turn.abort();
  else void run();
  return () => {
    end.abort();
    turn.abort();
  };
}
