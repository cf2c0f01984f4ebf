// What an open page asks of a peer, without a browser: the streams of events and
// downloads, and the status every two seconds.

/** Follows a peer until told not to. @param {import("./network.js").Peer} peer */
export function follow(peer) {
  const end = new AbortController();
  const { address, token } = peer.api;
  const ask = (/** @type {string} */ path) => fetch(`http://${address}/api/v1${path}`, { headers: { Authorization: `Bearer ${token}` }, signal: end.signal });
  const stream = async (/** @type {string} */ path) => {
    const { body } = await ask(path);
    for await (const _part of /** @type {AsyncIterable<Uint8Array>} */ (/** @type {unknown} */ (body))); // As they come.
  };
  const all = [stream("/events"), stream("/downloads/events")];
  const timer = setInterval(() => all.push(ask("/status").then(async (answer) => void await answer.text())), 2000);
  return async () => {
    clearInterval(timer);
    end.abort();
    await Promise.allSettled(all);
  };
}
