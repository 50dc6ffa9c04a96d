/** Where a repository lies, and where its host lets people make what opens it. */
import { webAddress } from "../api";

export interface Place {
  /** With a port, if there is one. */
  readonly host: string;
  /** Without a slash before it and `.git` after it; empty: a host alone was given. */
  readonly path: string;
  readonly ssh: boolean;
}

interface Host {
  /** Where tokens are made. */
  readonly tokens: string;
  /** Where a repository's deploy keys are listed. */
  readonly keys: string;
}

/** As these hosts' documentation says. */
const HOSTS: Readonly<Record<string, Host>> = {
  "github.com": { tokens: "/settings/personal-access-tokens/new", keys: "/settings/keys/new" },
  "gitlab.com": { tokens: "/-/user_settings/personal_access_tokens", keys: "/-/settings/repository" },
  "codeberg.org": { tokens: "/user/settings/applications", keys: "/settings/keys" },
};

const OF_SSH = /^(?:ssh:\/\/)?(?:[^@/\s]+@)([^:/\s]+)(?:(:\d+)?\/|:)(?!\/)(\S+)$/;

/** Of an address as people write it; null where none is meant. */
export function placeOf(address: string): Place | null {
  const given = address.trim();
  const ssh = OF_SSH.exec(given);
  if (ssh !== null) return { host: `${ssh[1] ?? ""}${ssh[2] ?? ""}`, path: bare(ssh[3] ?? ""), ssh: true };
  const url = webAddress(given.includes("://") ? given : `https://${given}`);
  if (given === "" || url === null || !/[.:]|^localhost$/.test(url.host)) return null;
  return { host: url.host, path: bare(url.pathname), ssh: false };
}

function bare(path: string): string {
  return path.replace(/^\/+|\/+$/g, "").replace(/\.git$/, "");
}

/** The address that the same repository is cloned at over ssh. */
export function sshAddress(place: Place): string {
  if (place.path === "") return "";
  const named = place.host.includes(":") && place.ssh;
  return named ? `ssh://git@${place.host}/${place.path}.git` : `git@${place.host.replace(/:\d+$/, "")}:${place.path}.git`;
}

/** Where a token for this host is made; null: nobody here knows. */
export function tokensPage(host: string): URL | null {
  const known = HOSTS[host];
  return known === undefined ? null : webAddress(`https://${host}${known.tokens}`);
}

/** Where the deploy keys of a repository are. */
export function keysPage(address: string): URL | null {
  const place = placeOf(address);
  const known = place === null ? undefined : HOSTS[place.host];
  if (place === null || known === undefined) return null;
  return webAddress(`https://${place.host}/${place.path}${known.keys}`);
}
