/** The projects of whoever is logged in, to resume and to stop. Strangers see nothing of it, and are not sent to a login. */
import { html, nothing, type TemplateResult } from "lit";
import { ApiError, localAddress, reasonOf, webAddress, type Api, type Project } from "../api";
import { ours, PageElement, shortAddress } from "../page";
import { ago, text, type TextKey } from "../texts";

/** While a server starts or stops, its state is asked for this often. */
const LOOK_AGAIN_MS = 2000;
const STATES: Readonly<Record<Project["state"], TextKey>> = {
  stopped: "projects.state.stopped",
  starting: "projects.state.starting",
  running: "projects.state.running",
  stopping: "projects.state.stopping",
};

export class OwnProjects extends PageElement {
  /** Set by the page. */
  api: Api | null = null;
  #known = false;
  #projects: readonly Project[] = [];
  #stopping = new Set<string>();
  #problem = "";
  #told = "";
  #timer = 0;

  override connectedCallback(): void {
    super.connectedCallback();
    document.addEventListener("visibilitychange", this.#seen);
    window.addEventListener("pageshow", this.#shown);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.#timer);
    document.removeEventListener("visibilitychange", this.#seen);
    window.removeEventListener("pageshow", this.#shown);
  }

  protected override firstUpdated(): void {
    void this.#begin();
  }

  protected override render(): TemplateResult | typeof nothing {
    if (this.#projects.length === 0 && this.#problem === "") return nothing;
    return html`<section class="share" aria-labelledby="projects-title">
      <div>
        <h2 id="projects-title">${text("projects.title")}</h2>
        <p class="hint">${text("projects.note")}</p>
      </div>
      ${this.#problem === "" ? nothing : html`<p class="banner" role="alert">${this.#problem}</p>`}
      <ul class="projects">
        ${this.#projects.map((project) => this.#projectView(project))}
      </ul>
      <p class="off-screen" role="status" aria-live="polite">${this.#told}</p>
    </section>`;
  }

  #projectView(project: Project): TemplateResult {
    const { title } = project;
    const state = this.#stopping.has(project.id) ? "stopping" : project.state;
    const address = /^https?:/.test(project.url) ? webAddress(project.url) : null;
    const name = html`<bdi>${shortAddress(project.url)}</bdi>`;
    return html`<li class="project" data-project=${project.id} data-state=${state}>
      <div class="project-text">
        <h3><bdi>${title}</bdi></h3>
        <p class="repository">
          ${address === null
            ? html`<span class="name">${name}</span>`
            : html`<a class="name" href=${address.href} rel="noopener noreferrer">${name}</a>`}
          ${project.ref === "" ? nothing : html`<bdi class="chip" title=${text("launch.ref")}>${project.ref}</bdi>`}
          <code class="chip" title=${text("launch.commit")}>${project.commit.slice(0, 10)}</code>
        </p>
        <p class="hint">
          <span class="state"><span class="off-screen">${text("projects.state")}</span> ${text(STATES[state])}</span>
          ${this.#usedView(project.used)}
        </p>
        ${project.notice === null ? nothing : html`<p class="banner">${project.notice.title}. ${project.notice.seen} ${project.notice.todo}</p>`}
      </div>
      <div class="actions">
        <a
          class="button small"
          href=${localAddress(ours(project.link))?.href ?? ""}
          aria-label=${text("projects.resume.label", { title })}
          >${text("projects.resume")}</a
        >
        ${state === "running" || state === "stopping" ? this.#stopView(project, state === "stopping") : nothing}
      </div>
    </li>`;
  }

  #usedView(used: string): TemplateResult | typeof nothing {
    const at = Date.parse(used);
    if (Number.isNaN(at)) return nothing;
    const seconds = (Date.now() + (this.api?.clockAhead ?? 0) - at) / 1000;
    return html`· <time datetime=${used}>${text("projects.used", { ago: ago(seconds) })}</time>`;
  }

  #stopView(project: Project, stopping: boolean): TemplateResult {
    const { title } = project;
    // Not `disabled`, which would take the focus away from whoever pressed it.
    return html`<button
      type="button"
      class="button small"
      aria-disabled=${stopping ? "true" : "false"}
      aria-label=${text(stopping ? "projects.stopping.label" : "projects.stop.label", { title })}
      @click=${() => void this.#stop(project)}
    >
      ${text(stopping ? "action.stopping" : "projects.stop")}
    </button>`;
  }

  async #begin(): Promise<void> {
    try {
      await this.api?.me();
    } catch {
      return; // nobody is logged in, or nobody answers: the form is all there is
    } finally {
      this.dispatchEvent(new Event("known"));
    }
    this.#known = true;
    await this.#load();
  }

  readonly #seen = (): void => {
    if (this.#known && document.visibilityState === "visible") void this.#load();
  };

  readonly #shown = (event: PageTransitionEvent): void => {
    if (event.persisted) this.#seen();
  };

  async #load(): Promise<void> {
    clearTimeout(this.#timer);
    try {
      this.#projects = (await this.api?.projects()) ?? [];
      this.#problem = "";
    } catch (error) {
      if (error instanceof ApiError && error.login !== null) this.#projects = [];
      else this.#problem = text("projects.problem", { reason: reasonOf(error) });
    }
    clearTimeout(this.#timer);
    const moving = this.#projects.some(({ state }) => state === "starting" || state === "stopping");
    if (moving) this.#timer = window.setTimeout(this.#seen, LOOK_AGAIN_MS);
    this.requestUpdate();
  }

  async #stop(project: Project): Promise<void> {
    if (this.api === null || this.#stopping.has(project.id) || project.state === "stopping") return;
    this.#stopping.add(project.id);
    this.#told = text("action.stopping");
    this.requestUpdate();
    let failure = "";
    try {
      await this.api.stop(project.id);
      this.#told = text("projects.stopped", { title: project.title });
    } catch (error) {
      this.#told = "";
      failure = text("error.stop", { reason: reasonOf(error) });
    }
    await this.#load();
    if (failure !== "") this.#problem = failure;
    this.#stopping.delete(project.id);
    await this.#redrawn(project.id);
  }

  /** The button that was pressed is gone once its server is stopped: the keyboard goes on at its neighbour. */
  async #redrawn(id: string): Promise<void> {
    const focused = document.activeElement;
    this.requestUpdate();
    await this.updateComplete;
    if (focused === null || focused.isConnected) return;
    this.querySelector<HTMLElement>(`[data-project="${CSS.escape(id)}"] a.button`)?.focus();
  }
}

customElements.define("own-projects", OwnProjects);
