/** What both pages share: their configuration, copying, and a lit base class that renders into the document. */
import { html, LitElement, type TemplateResult } from "lit";

export interface PageConfig {
  readonly baseUrl: string;
  readonly provider: string;
  readonly spec: string;
  readonly urlpath: string;
  /** Git hosts that give a token when a person agrees there. */
  readonly connects: readonly string[];
  /** Codes of refusals that a credential of one's own may turn. */
  readonly opened: readonly string[];
}

/** The configuration that the shell carries; a field that is missing is empty. */
export function pageConfig(): PageConfig {
  let value: unknown = null;
  try {
    value = JSON.parse(document.getElementById("page-config")?.textContent ?? "null");
  } catch {
    // A damaged configuration is an empty one: the page says that it is incomplete.
  }
  const given = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const field = (name: string): string => (typeof given[name] === "string" ? given[name] : "");
  const list = (name: string): string[] => {
    const value = given[name];
    return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
  };
  return {
    baseUrl: field("baseUrl") || "/",
    provider: field("provider"),
    spec: field("spec"),
    urlpath: field("urlpath"),
    connects: list("connects"),
    opened: list("opened"),
  };
}

/** An address of the service, which says where it is below its own path, for a browser. */
export function ours(path: string): string {
  return path.startsWith("/") ? pageConfig().baseUrl.replace(/\/+$/, "") + path : path;
}

/** Renders into the document itself, so that the one style sheet and every accessibility tool see it. */
export class PageElement extends LitElement {
  protected override createRenderRoot(): HTMLElement {
    return this;
  }
}

/** Puts the page's element into the shell's `#app`, or at the end of the body. */
export function mount(name: string): void {
  if (document.querySelector(name) === null) {
    (document.getElementById("app") ?? document.body).append(document.createElement(name));
  }
}

/** A repository's address as people say it: without scheme and `.git`. */
export function shortAddress(url: string): string {
  return url.replace(/^[a-z+]+:\/\//, "").replace(/\.git\/?$|\/$/, "");
}

/** A sentence in which `this` is code. */
export function sentence(said: string): (string | TemplateResult)[] {
  return said.split("`").map((part, n) => (n % 2 === 1 ? html`<code>${part}</code>` : part));
}

/** Copies; also where the clipboard API is missing (plain http on a name that is not localhost). */
export async function copyText(value: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(value);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.className = "off-screen";
    area.value = value;
    const focused = document.activeElement;
    document.body.append(area);
    area.select();
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- the only way without a secure context
    const copied = document.execCommand("copy");
    area.remove();
    if (focused instanceof HTMLElement) focused.focus();
    return copied;
  }
}
