// Exchanges the code behind # for the cookie, and leaves no trace of it.
const says = /** @type {HTMLElement} */ (document.getElementById("says"));
const code = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
try {
  const answer = await fetch("/api/v1/session", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ code }),
  });
  if (answer.ok) location.replace("/");
  else says.textContent = (await answer.json()).detail;
} catch {
  says.textContent = "The peer does not answer: does it still run?";
}

export {};
