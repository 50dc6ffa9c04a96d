/** The launch page: draws what the controller knows. */
import { html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { showAccount } from "../account";
import { Api, localAddress } from "../api";
import { copyText, ours, pageConfig, PageElement } from "../page";
import { counted, duration, moment, text, type TextKey } from "../texts";
import { Controller, type Phase } from "./controller";
import { LaunchLog } from "./log-view";
import { showInTab, SpokenPlace } from "./tab";
import {
  connectionView,
  credentialsView,
  details,
  explanationView,
  isForMembers,
  leadOf,
  pinningView,
  queueView,
  repositoryName,
  repositoryView,
  signInView,
  stageView,
} from "./views";

const TITLES: Readonly<Record<Phase, TextKey>> = {
  asking: "launch.asking",
  "signing-in": "launch.signin",
  "sign-in-needed": "signin.needed.title",
  working: "launch.working",
  opening: "launch.opening",
  ready: "launch.ready",
  stopped: "launch.stopped",
  failed: "launch.failed",
  cancelled: "launch.cancelled",
};
const COPIED_FOR_MS = 2000;

export class LaunchPage extends PageElement {
  readonly #config = pageConfig();
  readonly #api = new Api(this.#config.baseUrl);
  readonly #log = new LaunchLog();
  readonly #control = new Controller(
    this.#api,
    this.#config,
    () => {
      this.requestUpdate();
    },
    (lines) => {
      this.#log.add(lines);
    },
    () => {
      this.#log.clear();
      this.#opened = null;
    },
  );
  /** What the reader chose for the log; null: the page decides. */
  #opened: boolean | null = null;
  #copied: "details" | "log" | null = null;
  #copyResult: TextKey = "action.copied";
  #ticker = 0;
  readonly #spoken = new SpokenPlace();
  #actionHadFocus = false;

  override connectedCallback(): void {
    super.connectedCallback();
    this.#ticker = window.setInterval(() => {
      if (this.#control.progress.current !== null || this.#control.phase === "asking") this.requestUpdate();
    }, 1000);
    window.addEventListener("pageshow", this.#shown);
    window.addEventListener("offline", this.#redraw);
    void this.#control.begin();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearInterval(this.#ticker);
    window.removeEventListener("pageshow", this.#shown);
    window.removeEventListener("offline", this.#redraw);
    this.#control.leave();
  }

  readonly #shown = (event: PageTransitionEvent): void => {
    if (event.persisted) this.#control.returned();
  };

  readonly #redraw = (): void => {
    this.requestUpdate();
  };

  protected override willUpdate(): void {
    const { activeElement } = document;
    this.#actionHadFocus = activeElement !== null && activeElement.closest(".actions") !== null;
  }

  protected override updated(changed: PropertyValues): void {
    super.updated(changed);
    showInTab(this.#control.phase, this.#title(), this.#name(), this.#control.progress.queue?.place ?? null);
    if (this.#control.me !== null) showAccount(this.#api, this.#control.me);
    // A button that was pressed and is gone must not leave the keyboard at the top of the page: go on at the
    // heading, which says what became of it.
    if (this.#actionHadFocus && document.activeElement === document.body) this.querySelector("h1")?.focus();
  }

  #name(): string {
    return repositoryName(this.#control.launch, this.#config.provider, this.#config.spec);
  }

  #title(): string {
    const { phase, launch } = this.#control;
    return text(phase === "failed" && launch === null ? "launch.refused" : TITLES[phase]);
  }

  protected override render(): TemplateResult {
    const { phase, launch, progress } = this.#control;
    const rows = progress.rows;
    const now = Date.now() + this.#api.clockAhead;
    const busy = phase === "asking" || phase === "signing-in" || phase === "working";
    const actions = html`<div class="actions">${this.#actionsView()}</div>`;
    const wrong = this.#control.cancelProblem || this.#control.stopProblem;
    return html`
      <main data-phase=${phase} aria-busy=${busy ? "true" : "false"}><div class="card">
        <div class="head">
          <h1 tabindex="-1">${this.#title()}</h1>
          ${repositoryView(launch, this.#config.provider, this.#config.spec)}
        </div>
        ${connectionView(this.#control.connection)} ${queueView(progress.queue)}
        ${this.#outcomeView()} ${this.#builtView()}
        ${busy ? nothing : actions}
        ${this.#control.stoppable ? html`<p class="hint">${text("launch.stop.note")}</p>` : nothing}
        ${this.#control.refreshable ? html`<p class="hint" id="afresh-note">${text("launch.afresh.note")}</p>` : nothing}
        ${launch === null && phase !== "asking"
          ? nothing
          : html`<ol class="stages" aria-label=${text("launch.label")}>
              ${rows.map((row) => stageView(row, now, launch?.usual?.[row.stage]))}
            </ol>`}
        ${progress.declared === null ? nothing : pinningView(progress.declared)}
        ${wrong === "" ? nothing : html`<p class="banner" role="alert">${wrong}</p>`}
        ${busy ? actions : nothing} ${launch === null ? nothing : this.#logView()}
      </div>
      <p class="foot-note">
        ${phase === "working" ? text("launch.note") : this.#total()}
        ${launch === null ? nothing : html`<a href=${localAddress(ours(launch.page))?.href ?? ""}>${text("launch.lasting")}</a>`}
      </p>
      </main>
      <p class="off-screen" role="status" aria-live="polite">${this.#summary()}</p>
    `;
  }

  #outcomeView(): TemplateResult | typeof nothing {
    const { phase, problem, launch, progress } = this.#control;
    if (phase === "failed" && problem !== null) {
      const stage = progress.end?.type === "failed" ? progress.end.stage : null;
      return explanationView(problem, stage, launch === null ? null : localAddress(ours(launch.page)));
    }
    const said = leadOf(phase, progress.current?.stage === "build");
    return said === "" ? nothing : html`<p class="lead">${said}</p>`;
  }

  #builtView(): TemplateResult | typeof nothing {
    const { built } = this.#control;
    if (built === null) return nothing;
    return html`<p class="hint built">${text("launch.built", { when: moment(built) })}</p>`;
  }

  #afreshView(): TemplateResult | typeof nothing {
    if (!this.#control.refreshable) return nothing;
    return html`<button
      type="button"
      class="button"
      aria-describedby="afresh-note"
      @click=${() => void this.#control.again(true)}
    >
      ${text("action.afresh")}
    </button>`;
  }

  #actionsView(): TemplateResult | typeof nothing {
    const control = this.#control;
    const again = (): void => void control.again();
    switch (control.phase) {
      case "working":
        // Not `disabled`, which would take the focus away from whoever pressed it.
        return html`<button
          type="button"
          class="button"
          aria-disabled=${control.cancelling ? "true" : "false"}
          @click=${() => void control.cancel()}
        >
          ${text(control.cancelling ? "action.cancelling" : "action.cancel")}
        </button>`;
      case "opening":
        return html`<a class="button primary" href=${control.session?.href ?? ""}>${text("action.open")}</a>`;
      case "ready":
        return html`<a class="button primary" href=${control.session?.href ?? ""}>${text("action.open-again")}</a>
          <button type="button" class="button" @click=${again}>${text("action.restart")}</button>
          ${control.stoppable ? this.#stopView() : nothing} ${this.#afreshView()}`;
      case "stopped":
        return html`<button type="button" class="button primary" @click=${again}>${text("action.start")}</button>
          ${this.#afreshView()}
          <a class="button quiet" href=${this.#api.address("/")}>${text("action.home")}</a>`;
      case "failed":
      case "cancelled":
        // What helps most comes first, and looks so.
        return html`${control.problem === null ? nothing : signInView(this.#api, control.me, control.problem)}
          <button type="button" class="button ${isForMembers(control.me, control.problem) ? "" : "primary"}" @click=${again}>${text("action.again")}</button>
          ${this.#isClosed ? credentialsView(this.#api, control.launch?.url ?? this.#name()) : nothing}
          <button type="button" class="button" @click=${this.#copyDetails}>
            ${text(this.#copied === "details" ? this.#copyResult : "action.details")}
          </button>
          <a class="button quiet" href=${this.#api.address("/")}>${text("action.home")}</a>`;
      case "sign-in-needed":
        return html`<button
          type="button"
          class="button primary"
          @click=${() => {
            control.signIn();
          }}
        >
          ${text("action.signin")}
        </button>`;
      default:
        return nothing;
    }
  }

  /** Whether a credential of one's own may open what was refused. */
  get #isClosed(): boolean {
    const { phase, problem } = this.#control;
    return phase === "failed" && problem !== null && this.#config.opened.includes(problem.code);
  }

  #stopView(): TemplateResult {
    const { stopping } = this.#control;
    return html`<button
      type="button"
      class="button"
      aria-disabled=${stopping ? "true" : "false"}
      @click=${() => void this.#control.stop()}
    >
      ${text(stopping ? "action.stopping" : "action.stop")}
    </button>`;
  }

  #logView(): TemplateResult {
    const { count } = this.#log;
    const built = this.#control.progress.rows.some((row) => row.stage === "build" && row.startedAt !== null);
    const open = this.#opened ?? (count > 0 && (built || this.#control.phase === "failed"));
    return html`<details class="log" .open=${open} @toggle=${this.#toggled}>
      <summary
        @click=${(event: Event) => {
          event.preventDefault(); // opened by the next drawing, so that page and element never disagree
          this.#opened = !open;
          this.requestUpdate();
        }}
      >
        <span>${text("log.title")}</span>
        <span class="log-count">${counted("log.lines", count)}</span>
      </summary>
      ${this.#log}
      <button type="button" class="button small log-copy" @click=${this.#copyLog}>
        ${text(this.#copied === "log" ? this.#copyResult : "log.copy")}
      </button>
    </details>`;
  }

  readonly #toggled = (event: Event): void => {
    if (event.target instanceof HTMLDetailsElement && event.target.open) this.#log.shown();
  };

  readonly #copyLog = (): void => void this.#copy("log", this.#log.content);

  readonly #copyDetails = (): void => {
    void this.#copy("details", details(this.#control.launch, this.#control.problem, this.#log.content));
  };

  async #copy(what: "details" | "log", value: string): Promise<void> {
    this.#copyResult = (await copyText(value)) ? "action.copied" : "action.copy-failed";
    this.#copied = what;
    this.requestUpdate();
    setTimeout(() => {
      this.#copied = null;
      this.requestUpdate();
    }, COPIED_FOR_MS);
  }

  /** One sentence for screen readers; it changes with the stage, never with the log. */
  #summary(): string {
    const { phase, problem, progress, connection } = this.#control;
    if (this.#copied !== null) return text(this.#copyResult);
    if (phase === "failed" && problem !== null) return `${problem.title}. ${problem.seen} ${problem.todo}`;
    if (this.#control.stopping) return text("action.stopping");
    if (phase !== "working") return this.#title();
    if (connection === "reconnecting" || connection === "offline") return text(`connection.${connection}`);
    const { current, queue } = progress;
    const place = this.#spoken.of(queue?.place ?? null);
    if (place !== null) return place === 1 ? text("queue.next") : text("queue.place", { place });
    if (current === null) return this.#title();
    return text("launch.stage", { stage: text(`stage.${current.stage}`), status: text(`status.${current.status}`) });
  }

  /** How long the whole launch took; "" before its end. */
  #total(): string {
    const seconds = this.#control.progress.totalSeconds;
    return seconds === null ? "" : text("launch.total", { time: duration(seconds) });
  }
}

customElements.define("launch-page", LaunchPage);
