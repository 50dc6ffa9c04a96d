// Loaded by escapes.mjs: whoever asks for a session that has just ended hears so at once.
//
// Until the hub has noticed, its route leads to an address that nobody has: a connection to it would wait for the
// network's own limit, most of a minute. What is not connected within a moment is given up, and what could not be
// connected to is asked of the launcher, as if it had no route: that page says what to do.

import http from "node:http";
import { ConfigurableProxy } from "configurable-http-proxy";
import { SESSION } from "./place.mjs";

const CONNECT_MS = 1500; // all that the proxy speaks to is on this machine
const GONE = new Set(["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "ETIMEDOUT"]);

class Impatient extends http.Agent {
  createConnection(options, callback) {
    const socket = super.createConnection(options, callback);
    const late = () => socket.destroy(Object.assign(new Error("connect ETIMEDOUT"), { code: "ETIMEDOUT", syscall: "connect" }));
    const timer = setTimeout(late, CONNECT_MS);
    for (const event of ["connect", "close"]) socket.once(event, () => clearTimeout(timer));
    return socket;
  }
}

const agent = new Impatient({ keepAlive: true });
const optionsFor = ConfigurableProxy.prototype.proxyOptsForTarget;

ConfigurableProxy.prototype.proxyOptsForTarget = function (target) {
  const options = optionsFor.call(this, target);
  if (options.agent === this.httpAgent) options.agent = agent;
  return options;
};

const handleError = ConfigurableProxy.prototype.handleProxyError;

ConfigurableProxy.prototype.handleProxyError = function (code, kind, req, res, error) {
  const gone = GONE.has(error?.code) && error.syscall === "connect" && req.url.startsWith(SESSION);
  if (!gone || kind !== "web" || !res || res.headersSent || !this.options.defaultTarget) {
    return handleError.call(this, code, kind, req, res, error);
  }
  this.log.warn("%s %s: %s", req.method, req.url.split("?")[0], error.message);
  const launcher = new URL(this.options.defaultTarget);
  const page = req.method === "GET" || req.method === "HEAD";
  const headers = { host: req.headers.host ?? launcher.host, accept: req.headers.accept ?? "*/*" };
  const asking = http.request(
    launcher.origin + req.url,
    { agent, method: page ? req.method : "POST", headers: page ? headers : { ...headers, "content-length": 0 } },
    (answer) => {
      res.writeHead(answer.statusCode, answer.headers);
      answer.pipe(res);
    },
  );
  asking.on("error", (away) => handleError.call(this, code, kind, req, res, away));
  asking.end();
};
