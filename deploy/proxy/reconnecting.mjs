// Loaded by escapes.mjs: what visitors of a session are told while a part of the service is being started again.
//
//   the proxy itself was restarted   it has no routes until the hub tells them: requests to sessions wait for theirs
//   the hub is away                  a session cannot ask who somebody is and answers with an error: it says so instead
//   the launcher is away             there is nobody to make a page of an error: a page of our own
//
// The texts are rows of launcher/explain/, word for word (tests/unit/test_proxy_texts.py). A page asks again by itself.

import http from "node:http";
import { ConfigurableProxy } from "configurable-http-proxy";
import { BASE, SESSION } from "./place.mjs";

const RECONNECTING = {
  code: "reconnecting",
  status: 503,
  title: "Reconnecting",
  seen: "The part of the service that knows who people are is being started again.",
  todo: "Wait: this is asked again by itself. Kernels go on, and files are as they were saved.",
};
const PART_AWAY = {
  code: "part-away",
  status: 503,
  title: "This part of the service does not answer",
  seen: "What is at this address is being started, or has just ended.",
  todo: "Try again in a minute. Operators: run `repolaunch doctor`.",
};
const AGAIN_S = 3;
const SETTLED_MS = 2000; // after the last route that the hub told, it has told all
const WAIT_MS = 10000; // what a request waits for its route
const HUB_MS = 1500; // a hub that does not answer within this is away

// ---- speaking
function say(req, res, told) {
  if (res.headersSent || res.writableEnded || !res.writeHead) return false;
  for (const name of res.getHeaderNames()) res.removeHeader(name);
  const page = req.method === "GET" && (req.headers.accept || "").includes("text/html");
  const body = page ? pageOf(told) : JSON.stringify({ error: { ...told, link: "" }, message: told.seen });
  res.writeHead(told.status, {
    "Content-Type": page ? "text/html; charset=utf-8" : "application/json",
    "Content-Length": Buffer.byteLength(body),
    "Cache-Control": "no-store",
    "Retry-After": String(AGAIN_S),
  });
  res.end(req.method === "HEAD" ? undefined : body);
  return true;
}

// The colours are those of frontend/src/style.css; nothing is loaded, for there may be nobody to load it from.
const STYLE = `
:root{color-scheme:light dark;--page:#f5f6f8;--card:#fff;--line:#d9dde4;--text:#1b1f27;--muted:#565e6c;--accent:#1f5fbf}
@media (prefers-color-scheme:dark){:root{--page:#14161b;--card:#1c1f26;--line:#343a45;--text:#e7eaef;--muted:#a3abb9;--accent:#86b2f7}}
body{margin:0;background:var(--page);color:var(--text);font:1rem/1.5 system-ui,sans-serif}
main{box-sizing:border-box;max-width:40rem;width:calc(100% - 1.5rem);margin:12vh auto;padding:1.5rem;background:var(--card);border:1px solid var(--line);border-radius:1rem}
h1{margin:0 0 .75rem;font-size:1.5rem}p{margin:.5rem 0}.todo{color:var(--muted)}
.turns{height:.25rem;margin-top:1.25rem;border-radius:1rem;background:linear-gradient(90deg,var(--line) 40%,var(--accent) 50%,var(--line) 60%) 0/200%;animation:turn 1.5s linear infinite}
@keyframes turn{to{background-position:-200%}}
@media (prefers-reduced-motion:reduce){.turns{animation:none}}
`;

const pageOf = ({ title, seen, todo }) => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="${AGAIN_S}">
<meta name="viewport" content="width=device-width"><title>${title}</title><style>${STYLE}</style>
</head><body><main><h1>${title}</h1><p>${seen}</p><p class="todo">${todo}</p><div class="turns" aria-hidden="true"></div></main></body></html>
`;

// ---- the proxy itself was restarted
const addRoute = ConfigurableProxy.prototype.addRoute;

ConfigurableProxy.prototype.addRoute = function (path, data) {
  this.toldRoute = Date.now();
  return addRoute.call(this, path, data);
};

const findTarget = ConfigurableProxy.prototype.targetForReq;

ConfigurableProxy.prototype.targetForReq = async function (req) {
  const until = Date.now() + WAIT_MS;
  for (;;) {
    const found = await findTarget.call(this, req);
    const settled = this.toldRoute && Date.now() - this.toldRoute > SETTLED_MS;
    if (settled || !req.url.startsWith(SESSION) || found?.prefix.includes(SESSION)) return found;
    if (Date.now() > until) throw Object.assign(new Error("no routes yet"), { reconnecting: true });
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
};

// ---- the launcher is away, or nobody has told the routes
const handleError = ConfigurableProxy.prototype.handleProxyError;

ConfigurableProxy.prototype.handleProxyError = function (code, kind, req, res, error) {
  if (error?.reconnecting && kind === "web" && say(req, res, RECONNECTING)) return;
  handleError.call(this, code, kind, req, res, error);
};

const speakPlainly = ConfigurableProxy.prototype._handleProxyErrorDefault;

ConfigurableProxy.prototype._handleProxyErrorDefault = function (code, kind, req, res) {
  if (code === 503 && kind === "web" && say(req, res, PART_AWAY)) return;
  speakPlainly.call(this, code, kind, req, res);
};

// ---- the hub is away
async function hubAnswers(proxy) {
  const routes = Object.values(await proxy._routes.getAll());
  const hub = routes.find((route) => route.hub);
  if (!hub) return false;
  return new Promise((resolve) => {
    const request = http.get(`${hub.target}${BASE}/hub/health`, { timeout: HUB_MS }, (answer) => {
      answer.resume();
      resolve(answer.statusCode < 500);
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(false));
  });
}

// What JupyterHub's server says then, in any version: the hub may be back by the time that it is asked here.
const HUB_AWAY = /Failed to connect to Hub API|Failed to check authorization \(upstream problem\)/;
const LONGEST = 64 * 1024;

async function bodyOf(answer) {
  const pieces = [];
  for await (const piece of answer) pieces.push(piece);
  return Buffer.concat(pieces);
}

// Called for every answer of a part behind the proxy, before its headers are copied.
export function lookAtAnswer(proxy, answer, req, res) {
  if (answer.statusCode < 500 || !req.url.startsWith(SESSION)) return;
  // The library pipes the answer to the visitor next: held back until it is known why it is an error.
  const pipe = answer.pipe;
  answer.pipe = (visitor) => {
    hold()
      .then((body) => body === null || visitor.end(body))
      .catch(() => visitor.destroy());
    return visitor;
  };

  // The body to pass on; null: it was answered or is passed on already.
  async function hold() {
    const well = await hubAnswers(proxy).catch(() => true);
    if (!well && say(req, res, RECONNECTING)) return answer.resume() && null;
    if (!(Number(answer.headers["content-length"]) <= LONGEST)) return pipe.call(answer, res) && null;
    const body = await bodyOf(answer);
    return HUB_AWAY.test(body.toString()) && say(req, res, RECONNECTING) ? null : body;
  }
}
