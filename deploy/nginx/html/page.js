"use strict";

// Asks each service whether it is ready and writes the answer into its row. What a service says goes into the page as
// text, never as markup.

const pause = 5000;
const patience = 4000;

async function ask(row) {
  try {
    const response = await fetch(row.dataset.ready, { cache: "no-store", signal: AbortSignal.timeout(patience) });
    const body = await response.json().catch(() => ({}));
    return judge(response, body);
  } catch {
    return { state: "away", more: "no answer" };
  }
}

function judge(response, body) {
  const degraded = Array.isArray(body.degraded) ? body.degraded : Object.keys(body.degraded ?? {});
  if (response.ok && degraded.length > 0) {
    return { state: "degraded", more: "without " + degraded.map(nameOf).join(", ") };
  }
  if (response.ok) {
    return { state: "ready", more: "" };
  }
  return { state: "away", more: String(body.detail ?? body.reason ?? body.status ?? response.status) };
}

function nameOf(part) {
  return typeof part === "object" && part !== null ? String(part.name ?? "a part") : String(part);
}

function show(row, answer) {
  const cell = row.querySelector(".state");
  cell.className = "state " + answer.state;
  cell.textContent = answer.state === "away" ? "not ready" : answer.state;
  row.querySelector(".more").textContent = answer.more;
}

async function refresh() {
  if (!document.hidden) {
    const rows = [...document.querySelectorAll("#services tr")];
    const answers = await Promise.all(rows.map(ask));
    rows.forEach((row, i) => show(row, answers[i]));
    const away = rows.filter((_, i) => answers[i].state === "away").map((row) => row.dataset.name);
    const text = away.length === 0 ? "Everything answers." : "Not ready: " + away.join(", ") + ".";
    const summary = document.getElementById("summary");
    if (summary.textContent !== text) {
      summary.textContent = text;
    }
    document.getElementById("asked").textContent = "Last: " + new Date().toLocaleTimeString() + ".";
  }
  setTimeout(refresh, pause);
}

refresh();
