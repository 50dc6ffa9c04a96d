/** The projects of whoever is logged in. Strangers see nothing of it, and are not sent to a login. */
import { html, nothing, type TemplateResult } from "lit";
import { repeat } from "lit/directives/repeat.js";
import { ApiError, reasonOf, type Api, type Project, type ProjectChange } from "../api";
import { PageElement } from "../page";
import { text } from "../texts";
import { archivedRow, projectRow, type Doing, type Renaming } from "./project-row";

/** While a server starts or stops, its state is asked for this often. */
const LOOK_AGAIN_MS = 2000;

/** Why not, and what to do about it. */
function refusal(error: unknown): string {
  if (error instanceof ApiError && error.explanation.code === "bad-request") return text("projects.rename.unfit");
  return error instanceof ApiError ? `${error.explanation.seen} ${error.explanation.todo}` : reasonOf(error);
}

export class OwnProjects extends PageElement {
  /** Set by the page. */
  api: Api | null = null;
  #known = false;
  #projects: readonly Project[] = [];
  #archived: readonly Project[] = [];
  readonly #stopping = new Set<string>();
  readonly #moving = new Set<string>();
  #renaming: Renaming | null = null;
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
    if (this.#projects.length + this.#archived.length === 0 && this.#problem === "") return nothing;
    const doing = this.#doing;
    return html`<section class="share" aria-labelledby="projects-title">
      <div>
        <h2 id="projects-title" tabindex="-1">${text("projects.title")}</h2>
        <p class="hint">${text("projects.note")}</p>
      </div>
      ${this.#problem === "" ? nothing : html`<p class="banner" role="alert">${this.#problem}</p>`}
      <ul class="projects">
        ${repeat(this.#projects, ({ id }) => id, (project) => projectRow(project, doing))}
      </ul>
      ${this.#archivedView(doing)}
      <p class="off-screen" role="status" aria-live="polite">${this.#told}</p>
    </section>`;
  }

  #archivedView(doing: Doing): TemplateResult | typeof nothing {
    const count = this.#archived.length;
    if (count === 0) return nothing;
    return html`<details class="archived">
      <summary>${text("projects.archived", { count })}</summary>
      <p class="hint">${text("projects.archived.note")}</p>
      <ul class="projects">
        ${repeat(this.#archived, ({ id }) => id, (project) => archivedRow(project, doing))}
      </ul>
    </details>`;
  }

  get #doing(): Doing {
    return {
      now: Date.now() + (this.api?.clockAhead ?? 0),
      stopping: this.#stopping,
      moving: this.#moving,
      renaming: this.#renaming,
      stop: (project) => void this.#stop(project),
      archive: (project) => void this.#move(project, true),
      takeBack: (project) => void this.#move(project, false),
      rename: ({ id }) => void this.#edit({ id, busy: false, problem: "" }),
      save: (project, title) => void this.#save(project, title),
      cancel: () => void this.#edited(),
    };
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

  readonly #lookAgain = (): void => {
    if (document.visibilityState === "visible") void this.#load(false);
  };

  /** What is archived does not move by itself. */
  async #load(all = true): Promise<void> {
    if (this.api === null) return;
    clearTimeout(this.#timer);
    try {
      const archived = all ? this.api.projects(true) : this.#archived;
      [this.#projects, this.#archived] = await Promise.all([this.api.projects(), archived]);
      this.#problem = "";
    } catch (error) {
      if (error instanceof ApiError && error.login !== null) this.#projects = this.#archived = [];
      else this.#problem = text("projects.problem", { reason: reasonOf(error) });
    }
    clearTimeout(this.#timer);
    const moving = this.#projects.some(({ state }) => state === "starting" || state === "stopping");
    if (moving) this.#timer = window.setTimeout(this.#lookAgain, LOOK_AGAIN_MS);
    this.requestUpdate();
  }

  async #stop(project: Project): Promise<void> {
    if (this.api === null || this.#stopping.has(project.id) || project.state === "stopping") return;
    const pressed = document.activeElement;
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
    await this.#redrawn(project.id, pressed);
  }

  /** Put it away, or take it back. */
  async #move(project: Project, archived: boolean): Promise<void> {
    const { id, title } = project;
    if (this.api === null || this.#moving.has(id)) return;
    const pressed = document.activeElement;
    this.#moving.add(id);
    this.#told = "";
    this.requestUpdate();
    const failure = await this.#changed(project, { archived });
    if (failure === "") this.#told = text(archived ? "projects.archived.done" : "projects.back.done", { title });
    await this.#load();
    if (failure !== "") this.#problem = failure;
    this.#moving.delete(id);
    await this.#redrawn(id, pressed);
  }

  /** Why not; `""`: it was changed. */
  async #changed(project: Project, change: ProjectChange): Promise<string> {
    try {
      await this.api?.change(project.id, change);
      return "";
    } catch (error) {
      return text("projects.not-changed", { title: project.title, reason: refusal(error) });
    }
  }

  /** Show the form of that name; the keyboard goes on in it. */
  async #edit(renaming: Renaming): Promise<void> {
    const first = this.#renaming?.id !== renaming.id;
    this.#renaming = renaming;
    this.requestUpdate();
    await this.updateComplete;
    const field = this.querySelector<HTMLInputElement>("form.project-name input");
    if (!renaming.busy) field?.focus();
    if (first) field?.select();
  }

  /** The form goes; the keyboard goes on where it was opened. */
  async #edited(): Promise<void> {
    const id = this.#renaming?.id ?? "";
    this.#renaming = null;
    this.requestUpdate();
    await this.updateComplete;
    this.querySelector<HTMLElement>(`[data-project="${CSS.escape(id)}"] [data-rename]`)?.focus();
  }

  async #save(project: Project, title: string): Promise<void> {
    const { id } = project;
    if (title === "") {
      await this.#edit({ id, busy: false, problem: text("projects.rename.unfit") });
      return;
    }
    if (title === project.title) {
      await this.#edited();
      return;
    }
    await this.#edit({ id, busy: true, problem: "" });
    const problem = await this.#changed(project, { title });
    if (problem === "") {
      this.#told = text("projects.renamed", { title });
      await this.#load();
    }
    if (this.#renaming?.id !== id) return; // given up, or on to another one
    await (problem === "" ? this.#edited() : this.#edit({ id, busy: false, problem }));
  }

  /** What was pressed may be gone: the keyboard goes on at its neighbour, or where the project is now. */
  async #redrawn(id: string, pressed: Element | null): Promise<void> {
    this.requestUpdate();
    await this.updateComplete;
    if (pressed === null || pressed.isConnected || document.activeElement !== document.body) return;
    const here = [`[data-project="${CSS.escape(id)}"] a.button`, ".archived summary", "#projects-title"];
    here.map((one) => this.querySelector<HTMLElement>(one)).find((one) => one !== null)?.focus();
  }
}

customElements.define("own-projects", OwnProjects);
