// Loaded by escapes.mjs: what a session answers counts for the session alone.
//
// Where sessions share one origin, a header could change what browsers do at the launcher's and the hub's addresses long
// after the session has ended; with a wildcard domain, a cookie could go to all names below it. What JupyterHub's server
// itself sets (its login, the login's state, `_xsrf`) lies on its own path, or on a host of its own, and is passed on.

import { SESSION } from "./place.mjs";

// Browsers keep these for a whole origin, or report to an address what happens anywhere in it.
const DROPPED = [
  "accept-ch",
  "alt-svc",
  "clear-site-data",
  "expect-ct",
  "nel",
  "public-key-pins",
  "public-key-pins-report-only",
  "report-to",
  "reporting-endpoints",
  "sec-session-registration",
  "secure-session-registration",
  "set-cookie2",
  "set-login",
  "strict-transport-security",
  "use-as-dictionary",
];
const OURS = /^(__host-)?(repolaunch-|jupyterhub-hub-login$|jupyterhub-session-id$)/i;

// The session to which a route leads, null where it leads elsewhere: its path (`/user/project-…`), and whether it has a
// host of its own. With a wildcard domain a route begins with the host's name.
export function sessionOf(route) {
  const at = route?.prefix.indexOf(SESSION) ?? -1;
  return at < 0 ? null : { path: route.prefix.slice(at), alone: at > 0 };
}

// Where to send whoever asks by another spelling of the session's path, "" if it is spelt right. `/user/project-…`
// without a slash lies in `/user/` for a browser: what is served there could rule all sessions' pages.
export function rightPlace(session, url) {
  if (!session || url.startsWith(`${session.path}/`)) return "";
  return `${session.path}/${/\?.*/.exec(url)?.[0] ?? ""}`;
}

function ownCookie({ path, alone }, text) {
  const [pair, ...attributes] = text.split(";");
  const equals = pair.indexOf("=");
  const name = pair.slice(0, equals).trim();
  if (equals < 0 || !name || OURS.test(name)) return false;
  // Browsers take the last attribute of a name; which blanks around it they forgive, each decides: all have to be good.
  return attributes.every((attribute) => {
    const [key, ...value] = attribute.split("=");
    const kind = key.replace(/[^a-z]/gi, "").toLowerCase();
    const place = value.join("=").trim();
    return kind !== "domain" && (kind !== "path" || alone || place === path || place.startsWith(`${path}/`));
  });
}

function ownScope(session, url, scope) {
  const script = new URL(url, "http://proxy");
  return URL.canParse(scope, script) && new URL(scope, script).pathname.startsWith(`${session.path}/`);
}

// Called for every answer of a part behind the proxy, before its headers are copied.
export function confine(session, answer, req) {
  if (!session) return;
  const { headers } = answer;
  for (const name of DROPPED) delete headers[name];
  const scope = headers["service-worker-allowed"];
  if (scope !== undefined && !ownScope(session, req.url, scope)) delete headers["service-worker-allowed"];
  const cookies = headers["set-cookie"]?.filter((one) => ownCookie(session, one));
  if (cookies?.length) headers["set-cookie"] = cookies;
  else delete headers["set-cookie"];
}
