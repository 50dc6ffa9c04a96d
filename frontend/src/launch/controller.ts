/** A launch from the page's side: who is here, which launch this is, following it, cancelling it, going on to it. */
import { ApiError, explanation, localAddress, reasonOf, webAddress, type Api, type Explanation, type Launch, type Me, type ReadyEvent } from "../api";
import { Following, persistently, type Connection } from "../events";
import type { PageConfig } from "../page";
import { text } from "../texts";
import { forget, recall, remember, rememberedLaunch, rememberLaunch } from "./memory";
import { Progress } from "./progress";

export type Phase = "asking" | "signing-in" | "sign-in-needed" | "working" | "opening" | "ready" | "stopped" | "failed" | "cancelled";

const LOGIN_TRIED = "repolaunch.login-tried";
const LOGIN_AGAIN_MS = 60_000;
/** Long enough to see that it went well, short enough not to wait. */
const OPEN_AFTER_MS = 900;
/** What a tab waits at most for another one to have entered its session. */
const TURN_MS = 10_000;

export class Controller {
  phase: Phase = "asking";
  connection: Connection = "connecting";
  progress = new Progress();
  launch: Launch | null = null;
  me: Me | null = null;
  /** Why it failed, when `phase` is `failed`. */
  problem: Explanation | null = null;
  /** Why the last try to cancel failed. */
  cancelProblem = "";
  cancelling = false;
  /** Why the last try to stop the server failed. */
  stopProblem = "";
  stopping = false;
  /** Where the session is, when `phase` is `opening` or `ready`. */
  session: URL | null = null;
  #project = "";
  #login: URL | null = null;
  #abort = new AbortController();
  #opener = 0;

  constructor(
    private readonly api: Api,
    private readonly config: PageConfig,
    private readonly changed: () => void,
    private readonly logged: (lines: readonly string[]) => void,
    private readonly cleared: () => void,
  ) {}

  /** Shows the launch that this entry of the tab's history began, if any; else begins one. */
  async begin(afresh = false): Promise<void> {
    if (this.config.provider === "" || this.config.spec === "") {
      this.#fail({ ...explanation(null, 0), code: "config", title: text("error.config.title"), seen: text("error.config.seen"), todo: text("error.config.todo") });
      return;
    }
    await this.#guarded(async (signal) => {
      this.me = await persistently(() => this.api.me(), signal, this.#tell);
      forget(LOGIN_TRIED);
      const known = rememberedLaunch();
      const earlier = known === null ? null : await this.#find(known, signal);
      const launch = earlier ?? (await this.#create(afresh, signal));
      await this.#follow(launch, earlier === null || earlier.state === "running", signal);
    });
  }

  /** When the image that is used was built; null: that is not known. */
  get built(): Date | null {
    const { end } = this.progress;
    const at = end?.type === "ready" && typeof end.built === "string" ? new Date(end.built) : null;
    return at === null || Number.isNaN(at.getTime()) ? null : at;
  }

  /** Whether building again could give something else, and this person may ask for it. */
  get refreshable(): boolean {
    const { declared, end } = this.progress;
    const pinning = declared?.pinning ?? (end?.type === "ready" ? end.pinning : "");
    const isThere = this.phase === "ready" || this.phase === "stopped";
    return isThere && pinning === "not-pinned" && this.me !== null && this.me.kind !== "guest";
  }

  /** A new launch of the same link; `afresh`: of an image that is built now. */
  async again(afresh = false): Promise<void> {
    this.leave();
    this.#abort = new AbortController();
    rememberLaunch(null);
    Object.assign(this, { phase: "asking", progress: new Progress(), launch: null, problem: null, session: null });
    this.cancelProblem = "";
    this.cancelling = this.stopping = false;
    this.stopProblem = "";
    this.cleared();
    this.changed();
    await this.begin(afresh);
  }

  async cancel(): Promise<void> {
    if (this.launch === null || this.cancelling) return;
    this.cancelling = true;
    this.cancelProblem = "";
    this.changed();
    try {
      await this.api.cancel(this.launch.id);
    } catch (error) {
      this.cancelling = false;
      this.cancelProblem = text("error.cancel", { reason: reasonOf(error) });
      this.changed();
    }
  }

  /** Whether there is a server to stop. */
  get stoppable(): boolean {
    return this.phase === "ready" && this.#project !== "";
  }

  /** Stops the project's server, whichever launch started it. */
  async stop(): Promise<void> {
    if (!this.stoppable || this.stopping) return;
    this.stopping = true;
    this.stopProblem = "";
    this.changed();
    try {
      await this.api.stop(this.#project);
      this.phase = "stopped";
    } catch (error) {
      this.stopProblem = text("error.stop", { reason: reasonOf(error) });
    }
    this.stopping = false;
    this.changed();
  }

  signIn(): void {
    if (this.#login === null) return;
    remember(LOGIN_TRIED, String(Date.now()));
    location.assign(this.#login);
  }

  /** The page came back out of the browser's memory: what it shows is final, or is followed again. */
  returned(): void {
    clearTimeout(this.#opener);
    if (this.phase === "opening") this.phase = "ready";
    if (this.phase === "ready") void this.#stillRuns();
    if (this.phase === "signing-in") void this.begin();
    this.changed();
  }

  leave(): void {
    clearTimeout(this.#opener);
    this.#abort.abort();
  }

  readonly #tell = (state: Connection): void => {
    if (this.connection === state) return;
    this.connection = state;
    this.changed();
  };

  async #guarded(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { signal } = this.#abort;
    try {
      await work(signal);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.login !== null) this.#toLogin(error);
      else this.#fail(error instanceof ApiError ? error.explanation : { ...explanation(null, 0), seen: String(error) });
    }
  }

  /** The launch of that id; null when it is not there any more. */
  async #find(id: string, signal: AbortSignal): Promise<Launch | null> {
    try {
      return await persistently(() => this.api.get(id), signal, this.#tell);
    } catch (error) {
      if (error instanceof ApiError && (error.explanation.status === 404 || error.explanation.status === 403)) return null;
      throw error;
    }
  }

  async #create(afresh: boolean, signal: AbortSignal): Promise<Launch> {
    const { provider, spec, urlpath } = this.config;
    const request = { provider, spec, ...(urlpath === "" ? {} : { urlpath }), ...(afresh ? { afresh } : {}) };
    const launch = await persistently(() => this.api.launch(request), signal, this.#tell);
    rememberLaunch(launch.id);
    return launch;
  }

  /** `fresh`: somebody waits for it, so the session opens by itself when it is ready. */
  async #follow(launch: Launch, fresh: boolean, signal: AbortSignal): Promise<void> {
    this.launch = launch;
    this.phase = "working";
    this.changed();
    const following = new Following(this.api, launch.id, {
      connection: this.#tell,
      events: (batch) => {
        this.logged(batch.flatMap((event) => this.progress.apply(event)));
        this.changed();
      },
    });
    await following.run(signal);
    this.#finish(fresh);
    if (this.session !== null) await Promise.all([this.#learnCommit(launch), fresh ? null : this.#stillRuns()]);
  }

  /** A launch that was ready once says nothing of the server now: look, and say so where it is stopped. */
  async #stillRuns(): Promise<void> {
    if (!this.stoppable) return;
    try {
      const { state } = await this.api.project(this.#project);
      if (this.phase === "ready" && state === "stopped") this.phase = "stopped";
      this.changed();
    } catch {
      // Not known: the page goes on to offer both.
    }
  }

  /** Which commit the project is at: the service says so once the launch is ready. */
  async #learnCommit(launch: Launch): Promise<void> {
    if (launch.commit !== null) return;
    try {
      const { commit } = await this.api.get(launch.id);
      if (this.launch?.id === launch.id) this.launch = { ...launch, commit };
      this.changed();
    } catch {
      // The page does without it.
    }
  }

  #finish(fresh: boolean): void {
    const { end } = this.progress;
    this.cancelling = false;
    this.connection = "open";
    if (end?.type === "failed") this.#fail(explanation(end, end.status));
    else if (end?.type === "ready") this.#ready(end, fresh);
    else this.phase = "cancelled";
    this.changed();
  }

  #ready({ url, project }: ReadyEvent, fresh: boolean): void {
    this.#project = project;
    this.session = url === "" ? null : webAddress(url);
    if (this.session === null) {
      this.#fail({ ...explanation(null, 0), code: "url", title: text("error.url.title"), seen: text("error.url.seen") });
      return;
    }
    this.phase = fresh ? "opening" : "ready";
    if (fresh) {
      this.#opener = window.setTimeout(() => void this.#openInTurn(), OPEN_AFTER_MS);
    }
  }

  #open(): void {
    if (this.phase === "opening" && this.session !== null) location.assign(this.session);
  }

  /**
   * Tabs that follow one launch or one build are ready in the same moment, and of two logins to one session that begin
   * together one is lost (they share a cookie). The lock ends with this page: when the session's own page is there.
   */
  async #openInTurn(): Promise<void> {
    const entered = (): Promise<void> => {
      this.#open();
      return new Promise((resolve) => setTimeout(resolve, TURN_MS));
    };
    const { locks } = navigator as { locks?: LockManager }; // missing over plain http on a name that is not localhost
    try {
      if (locks === undefined) this.#open();
      else await locks.request("repolaunch.open", { signal: AbortSignal.timeout(TURN_MS) }, entered);
    } catch {
      this.#open(); // the other tab stays where it is
    }
  }

  #fail(problem: Explanation): void {
    this.phase = "failed";
    this.problem = problem;
    this.changed();
  }

  /** To the login page, unless this tab has just been there: a browser without cookies would go in circles. */
  #toLogin(error: ApiError): void {
    this.#login = localAddress(error.login ?? "");
    this.#login?.searchParams.set("next", location.pathname + location.search);
    const tried = Number(recall(LOGIN_TRIED) ?? 0);
    if (this.#login === null) this.#fail(error.explanation);
    else if (Date.now() - tried < LOGIN_AGAIN_MS) this.phase = "sign-in-needed";
    else if (remember(LOGIN_TRIED, String(Date.now()))) {
      this.phase = "signing-in";
      location.replace(this.#login);
    } else this.phase = "sign-in-needed";
    this.changed();
  }
}
