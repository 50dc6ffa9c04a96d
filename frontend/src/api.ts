/** The launcher's HTTP API, typed. Everything that arrives is checked for its form and is text, never markup. */
import { text, type Told } from "./texts";

export const STAGES = ["resolve", "checkout", "detect", "image", "build", "workspace", "queue", "session", "push"] as const;
export type Stage = (typeof STAGES)[number];

interface Numbered {
  readonly n: number;
  /** ISO 8601, UTC, by the server's clock. */
  readonly at: string;
}
export interface StartedEvent extends Numbered, Told {
  readonly type: "started";
  readonly stage: Stage;
}
export interface LogEvent extends Numbered {
  readonly type: "log";
  readonly stage: Stage;
  readonly message: string;
}
export interface ProgressEvent extends Numbered, Told {
  readonly type: "progress";
  readonly stage: Stage;
  readonly percent?: number | null;
}
export interface EndedEvent extends Numbered, Told {
  readonly type: "ended";
  readonly stage: Stage;
  readonly seconds: number;
}
export const PINNINGS = ["reproducible", "locked", "not-pinned"] as const;
export type Pinning = (typeof PINNINGS)[number];
export interface DeclaredEvent extends Numbered {
  readonly type: "declared";
  readonly stage: Stage;
  readonly message: string;
  readonly builder: string;
  readonly evidence: readonly string[];
  readonly pinning: string;
  /** What is not pinned, each as `file:line: what`. */
  readonly loose: readonly string[];
  /** Lines that would pin it. */
  readonly advice: readonly string[];
  /** Why every file of the repository counts, each as `file:line: what`. */
  readonly tree: readonly string[];
}
export interface QueuedEvent extends Numbered {
  readonly type: "queued";
  readonly stage: Stage;
  readonly message: string;
  /** From 1 on: the next. */
  readonly place: number;
  readonly ahead: number;
  /** `starting`, `sessions`, `repository` or `person`. */
  readonly reason: string;
}
export interface ReadyEvent extends Numbered {
  readonly type: "ready";
  readonly url: string;
  /** When the image that is used was built; null: that is not known. */
  readonly built: string | null;
  /** One of PINNINGS; empty: that is not known. */
  readonly pinning: string;
  readonly project: string;
  readonly message: string;
}
export interface FailedEvent extends Numbered, Explanation {
  readonly type: "failed";
  readonly stage: Stage | null;
}
export interface CancelledEvent extends Numbered {
  readonly type: "cancelled";
  readonly message: string;
}
export type LaunchEvent =
  | StartedEvent
  | LogEvent
  | ProgressEvent
  | EndedEvent
  | DeclaredEvent
  | QueuedEvent
  | ReadyEvent
  | FailedEvent
  | CancelledEvent;

/** What the launcher says about an error: the same in error answers and in `failed` events. */
export interface Explanation {
  readonly code: string;
  readonly status: number;
  readonly title: string;
  readonly seen: string;
  readonly todo: string;
  readonly link: string;
}

export interface Me {
  readonly name: string;
  readonly kind: string;
  readonly xsrf: string;
}

export interface Launch {
  readonly id: string;
  readonly state: "running" | "ready" | "failed" | "cancelled";
  readonly provider: string;
  readonly spec: string;
  readonly url: string;
  readonly ref: string;
  readonly commit: string | null;
  readonly events: string;
  readonly link: string;
  /** A page of it that lasts. */
  readonly page: string;
  /** Seconds that each stage took the last time. */
  readonly usual?: Readonly<Record<string, number>>;
}

export interface Project {
  readonly id: string;
  readonly title: string;
  readonly url: string;
  readonly ref: string;
  readonly commit: string;
  readonly state: "stopped" | "starting" | "running" | "stopping";
  /** ISO 8601, UTC, by the server's clock. */
  readonly used: string;
  readonly link: string;
  /** When it was put away; null: it was not. */
  readonly archived: string | null;
  /** What its people have to know: a workspace that is too large. */
  readonly notice: { readonly title: string; readonly seen: string; readonly todo: string } | null;
}

/** What is to be otherwise about a project; what is left out stays. */
export interface ProjectChange {
  readonly title?: string;
  readonly archived?: boolean;
}

export interface Badges {
  readonly markdown: string;
  readonly rst: string;
  readonly html: string;
  readonly latex: string;
  readonly org: string;
}

export interface Link {
  readonly link: string;
  readonly provider: string;
  readonly spec: string;
  readonly url: string;
  readonly ref: string;
  /** Where in the session it arrives; empty: where sessions begin. */
  readonly urlpath: string;
  /** The provider's name, for people. */
  readonly site: string;
  /** Whether it may lead to something else tomorrow; null: only the provider knows. */
  readonly moves: boolean | null;
  readonly badges: Badges;
}

/** What a link leads to now. */
export interface LinkFound {
  readonly link: Link;
  readonly kind: "branch" | "tag" | "commit" | "record";
  readonly name: string;
  readonly version: string;
  readonly pinned: Link | null;
}

/** What opens a person's private repositories; the secret itself is in no answer. */
export interface Credential {
  readonly id: string;
  /** `token`, `oauth` or `ssh-key`. */
  readonly kind: string;
  /** `https://` and a host, or the address of one repository. */
  readonly place: string;
  readonly username: string;
  /** The public half of a key; else empty. */
  readonly public: string;
  /** ISO 8601, UTC, by the server's clock. */
  readonly created: string;
  readonly used: string | null;
}

/** A token to keep, or the repository that a key is to be made for. */
export type CredentialRequest =
  | { readonly host: string; readonly username: string; readonly token: string }
  | { readonly repository: string };

/** What was pasted, and where in the session to arrive, in one of three ways. */
export interface Pasted {
  readonly url: string;
  readonly ref?: string;
  readonly labpath?: string;
  readonly filepath?: string;
  readonly urlpath?: string;
}

export interface LaunchRequest {
  readonly provider: string;
  readonly spec: string;
  readonly urlpath?: string;
  readonly afresh?: boolean;
}

/** The service answered and explained why not. */
export class ApiError extends Error {
  constructor(
    readonly explanation: Explanation,
    /** Where to sign in, when that is what is missing. */
    readonly login: string | null,
  ) {
    super(explanation.title);
  }
}

/** Nobody answered, or a proxy in between did: worth asking again. */
export class NoAnswer extends Error {}

/** Why a request failed, for a sentence. */
export function reasonOf(error: unknown): string {
  return error instanceof ApiError ? error.explanation.seen : text("home.offline");
}

type Json = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function string(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** The explanation in `value`, its gaps filled with what can be said without it. */
export function explanation(value: unknown, status: number): Explanation {
  const given = isObject(value) ? value : {};
  return {
    code: string(given["code"]) || "unknown",
    status: typeof given["status"] === "number" ? given["status"] : status,
    title: string(given["title"]) || text("error.unknown.title"),
    seen: string(given["seen"]) || text("error.unknown.seen", { status }),
    todo: string(given["todo"]) || text("error.unknown.todo"),
    link: string(given["link"]),
  };
}

async function problem(response: Response): Promise<ApiError | NoAnswer> {
  const body: unknown = await response.json().catch(() => null);
  const error = isObject(body) && isObject(body["error"]) ? body["error"] : null;
  // A gateway's 502, 503 and 504 have no explanation of ours: the launcher is being restarted.
  if (error === null && response.status >= 502 && response.status <= 504) return new NoAnswer(String(response.status));
  const login = string(error?.["login"]) || (isObject(body) ? string(body["login"]) : "");
  return new ApiError(explanation(error, response.status), login || null);
}

/** An address of this site or of the web; null for anything else (`javascript:`, `data:`, nonsense). */
export function webAddress(value: string, base: string = location.href): URL | null {
  if (!URL.canParse(value, base)) return null;
  const url = new URL(value, base);
  return url.protocol === "http:" || url.protocol === "https:" ? url : null;
}

/** As `webAddress`, but of this site only. */
export function localAddress(value: string): URL | null {
  const url = webAddress(value);
  return url?.origin === location.origin ? url : null;
}

function query(pasted: Pasted): string {
  const given = Object.entries(pasted).filter(([, value]) => value !== "") as [string, string][];
  return new URLSearchParams(given).toString();
}

export class Api {
  #xsrf = "";
  /** How far the server's clock is ahead of this one's, in milliseconds (to a second). */
  clockAhead = 0;
  /** Who is here, once `me` has been answered. */
  who: Me | null = null;

  constructor(private readonly baseUrl: string) {}

  address(path: string): string {
    return this.baseUrl.replace(/\/+$/, "") + path;
  }

  /** Raises ApiError (with `login` when nobody is signed in) or NoAnswer. */
  async me(): Promise<Me> {
    const me = await this.#json<Me>("GET", "/api/v1/me");
    this.#xsrf = string(me.xsrf);
    this.who = me;
    return me;
  }

  /** Begins a launch: not idempotent, but a second one shares the first one's build; a refused one began nothing. */
  launch(request: LaunchRequest): Promise<Launch> {
    return this.#freshly(() => this.#json<Launch>("POST", "/api/v1/launches", request));
  }

  get(id: string): Promise<Launch> {
    return this.#json<Launch>("GET", `/api/v1/launches/${encodeURIComponent(id)}`);
  }

  async cancel(id: string): Promise<void> {
    await this.#delete(`/api/v1/launches/${encodeURIComponent(id)}`);
  }

  /** One's projects, the most recently used first: those that are archived, or the others. */
  projects(archived = false): Promise<readonly Project[]> {
    return this.#list<Project>(`/api/v1/projects${archived ? "?archived=true" : ""}`);
  }

  change(project: string, change: ProjectChange): Promise<Project> {
    return this.#freshly(() => this.#json<Project>("PATCH", `/api/v1/projects/${encodeURIComponent(project)}`, change));
  }

  project(id: string): Promise<Project> {
    return this.#json<Project>("GET", `/api/v1/projects/${encodeURIComponent(id)}`);
  }

  /** Stops the server of a project; its files stay. No error if it does not run. */
  async stop(project: string): Promise<void> {
    await this.#delete(`/api/v1/sessions/${encodeURIComponent(project)}`);
  }

  /** One's credentials for private repositories, the newest first. */
  credentials(): Promise<readonly Credential[]> {
    return this.#list<Credential>("/api/v1/credentials");
  }

  /** Keeps a token, or has a key made; in place of another one for the same host or repository. */
  keep(request: CredentialRequest): Promise<Credential> {
    return this.#freshly(() => this.#json<Credential>("POST", "/api/v1/credentials", request));
  }

  /** Nothing is fetched with it any more. */
  async forget(credential: string): Promise<void> {
    await this.#delete(`/api/v1/credentials/${encodeURIComponent(credential)}`);
  }

  /** What launch link something that was pasted makes. */
  link(pasted: Pasted, signal: AbortSignal): Promise<Link> {
    return this.#json<Link>("GET", `/api/v1/links?${query(pasted)}`, undefined, signal);
  }

  /** What it leads to now: asks its host, which may take seconds. */
  found(pasted: Pasted, signal: AbortSignal): Promise<LinkFound> {
    return this.#json<LinkFound>("GET", `/api/v1/links/found?${query(pasted)}`, undefined, signal);
  }

  /** Where the QR code of a launch link is. */
  qrCode(link: string, form: "svg" | "png"): string {
    return this.address(`/api/v1/links/qr.${form}?${query({ url: link })}`);
  }

  /** The event stream of a launch, after event `last`. Raises as the others do. */
  async events(id: string, last: number, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
    const headers: Record<string, string> = { Accept: "text/event-stream" };
    if (last > 0) headers["Last-Event-ID"] = String(last);
    const response = await this.#fetch("GET", `/api/v1/launches/${encodeURIComponent(id)}/events`, { headers, signal });
    if (response.body === null) throw new NoAnswer("no body");
    return response.body;
  }

  async #delete(path: string): Promise<void> {
    await this.#freshly(() => this.#fetch("DELETE", path));
  }

  /** Once more with a fresh form token: it ends with its login, and another tab may have begun another one. */
  async #freshly<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof ApiError) || error.explanation.code !== "not-from-our-page") throw error;
      await this.me();
      return await ask();
    }
  }

  async #list<T>(path: string): Promise<readonly T[]> {
    const response = await this.#fetch("GET", path, { headers: { Accept: "application/json" } });
    const value: unknown = await response.json().catch(() => null);
    if (!Array.isArray(value)) throw new NoAnswer("no JSON");
    return value.filter(isObject) as unknown as readonly T[];
  }

  async #json<T>(method: string, path: string, body?: unknown, signal: AbortSignal | null = null): Promise<T> {
    const init: RequestInit = { headers: { Accept: "application/json", "Content-Type": "application/json" }, signal };
    if (body !== undefined) init.body = JSON.stringify(body);
    const response = await this.#fetch(method, path, init);
    const value: unknown = await response.json().catch(() => null);
    if (!isObject(value)) throw new NoAnswer("no JSON");
    return value as T;
  }

  async #fetch(method: string, path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (method !== "GET") headers.set("X-XSRFToken", this.#xsrf);
    let response: Response;
    try {
      response = await fetch(this.address(path), {
        ...init,
        method,
        headers,
        credentials: "same-origin",
        cache: "no-store",
        redirect: "error",
      });
    } catch (error) {
      throw new NoAnswer(String(error));
    }
    const date = Date.parse(response.headers.get("Date") ?? "");
    if (!Number.isNaN(date)) this.clockAhead = date - Date.now();
    if (!response.ok) throw await problem(response);
    return response;
  }
}
