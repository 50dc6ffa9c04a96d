// Loaded before the proxy (NODE_OPTIONS=--import=…): what strangers send that the proxy alone would answer badly.
//
// The proxy decodes a path to find its route and answers 500 when it cannot. The launcher has a sentence for it, so
// the path, as it was sent, has to reach the launcher. One that begins with two slashes would be read as a host's
// name: it is the launcher's too, never a session's.

import "./certificate.mjs"; // before the proxy makes its server
import { ConfigurableProxy } from "configurable-http-proxy";
import { confine, rightPlace, sessionOf } from "./confined.mjs";
import { SESSION } from "./place.mjs";
import { lookAtAnswer } from "./reconnecting.mjs";
import "./ended.mjs"; // asked before reconnecting.mjs, so loaded after it

const findTarget = ConfigurableProxy.prototype.targetForReq;
const asked = (req, url) => Object.create(req, { url: { value: url } });
const sessions = new WeakMap(); // request → path of the session that it is passed to, "" if to none

async function targetOf(proxy, req) {
  if (/^[/\\]{2}/.test(req.url)) return await findTarget.call(proxy, asked(req, "/"));
  try {
    return await findTarget.call(proxy, req);
  } catch (error) {
    if (error instanceof URIError) return await findTarget.call(proxy, asked(req, req.url.replaceAll("%", "%25")));
    throw error;
  }
}

ConfigurableProxy.prototype.targetForReq = async function (req) {
  const found = await targetOf(this, req);
  sessions.set(req, sessionOf(found));
  return found;
};

// What is no address at all (`GET http://`) the proxy could not even pass on: it becomes one that nobody has.
const mend = (req) => {
  if (!URL.canParse(req.url, "http://proxy")) req.url = "/not-an-address";
};

const handleWs = ConfigurableProxy.prototype.handleProxyWs;

ConfigurableProxy.prototype.handleProxyWs = function (req, socket, head) {
  mend(req);
  watchAnswers(this);
  return handleWs.call(this, req, socket, head);
};

// Only a session takes bodies that are long. Launcher and hub hang up in the middle of one, which would look as if
// they were away; and one whose length nobody knows cannot be refused before it was sent.
const LONGEST_BODY = 2 ** 20;

async function refusal(proxy, req) {
  const chunked = "transfer-encoding" in req.headers;
  if (!chunked && !(Number(req.headers["content-length"] ?? 0) > LONGEST_BODY)) return 0;
  const match = await proxy.targetForReq(req);
  if (match?.prefix.includes(SESSION)) return 0;
  if (req.url.startsWith(SESSION)) return 503;
  return chunked ? 411 : 413;
}

// The proxy's own answers: the launcher writes them, and the proxy passes on nothing but their text.
const answerError = ConfigurableProxy.prototype.handleProxyError;
const HEADERS = {
  "Cache-Control": "no-store",
  "Content-Security-Policy":
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "Referrer-Policy": "same-origin",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
};

ConfigurableProxy.prototype.handleProxyError = function (code, kind, req, res, error) {
  if (kind === "web" && res && !res.headersSent) {
    for (const [name, value] of Object.entries(HEADERS)) res.setHeader(name, value);
  }
  return answerError.call(this, code, kind, req, res, error);
};

// What a session answers counts for it alone. And when a part behind the proxy dies in the middle of an answer, the
// visitor's connection ends too: a follower of an event stream sees it at once and asks again, instead of waiting for a
// stream that nobody feeds.
const watched = new WeakSet();

function watchAnswers(proxy) {
  if (watched.has(proxy)) return;
  watched.add(proxy);
  proxy.proxy.on("proxyRes", (answer, request, visitor) => {
    confine(sessions.get(request), answer, request);
    lookAtAnswer(proxy, answer, request, visitor);
    answer.once("close", () => {
      if (!answer.complete) visitor.destroy();
    });
  });
  proxy.proxy.on("proxyReqWs", (asking, request) => {
    const look = (answer) => confine(sessions.get(request), answer, request);
    asking.on("upgrade", look).on("response", look);
  });
}

const SPELT_RIGHT = /^[a-z0-9-]+\//;

const handleWeb = ConfigurableProxy.prototype.handleProxyWeb;

ConfigurableProxy.prototype.handleProxyWeb = async function (req, res) {
  mend(req);
  watchAnswers(this);
  const code = await refusal(this, req).catch(() => 503);
  if (code) return this.handleProxyError(code, "web", req, res);
  if (!(req.url.startsWith(SESSION) && SPELT_RIGHT.test(req.url.slice(SESSION.length)))) {
    const route = await this.targetForReq(req).catch(() => null); // what fails here fails below, with a sentence
    const place = rightPlace(sessionOf(route), req.url);
    if (place) return res.writeHead(307, { Location: place, "Cache-Control": "no-store" }).end();
  }
  return handleWeb.call(this, req, res);
};
