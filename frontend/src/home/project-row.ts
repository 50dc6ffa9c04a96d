/** One's projects, a row each: what a project is, its name to be changed, and what can be done with it. */
import { html, nothing, type TemplateResult } from "lit";
import { localAddress, webAddress, type Project } from "../api";
import { ours, shortAddress } from "../page";
import { ago, text, type TextKey } from "../texts";

const STATES: Readonly<Record<Project["state"], TextKey>> = {
  stopped: "projects.state.stopped",
  starting: "projects.state.starting",
  running: "projects.state.running",
  stopping: "projects.state.stopping",
};
/** As the launcher takes it. */
const LONGEST_TITLE = 200;

/** A name that is being changed. */
export interface Renaming {
  readonly id: string;
  readonly busy: boolean;
  /** Why the last one was not taken. */
  readonly problem: string;
}

export interface Doing {
  /** The server's clock, in milliseconds. */
  readonly now: number;
  /** Ids of those whose server is just being stopped. */
  readonly stopping: ReadonlySet<string>;
  /** Ids of those that are just being put away or taken back. */
  readonly moving: ReadonlySet<string>;
  readonly renaming: Renaming | null;
  stop(project: Project): void;
  archive(project: Project): void;
  takeBack(project: Project): void;
  /** Begin to change its name. */
  rename(project: Project): void;
  save(project: Project, title: string): void;
  cancel(): void;
}

export function projectRow(project: Project, doing: Doing): TemplateResult {
  const { title } = project;
  const state = doing.stopping.has(project.id) ? "stopping" : project.state;
  return html`<li class="project" data-project=${project.id} data-state=${state}>
    <div class="project-text">
      ${doing.renaming?.id === project.id ? nameForm(project, doing.renaming, doing) : nameView(project, doing)} ${repositoryView(project)}
      <p class="hint">
        <span class="state"><span class="off-screen">${text("projects.state")}</span> ${text(STATES[state])}</span>
        ${timeView("projects.used", project.used, doing.now)}
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
      ${state === "running" || state === "stopping" ? stopButton(project, state === "stopping", doing) : nothing}
      ${state === "stopped" ? archiveButton(project, doing) : nothing}
    </div>
  </li>`;
}

export function archivedRow(project: Project, doing: Doing): TemplateResult {
  const { title } = project;
  return html`<li class="project" data-archived=${project.id}>
    <div class="project-text">
      <h3><bdi>${title}</bdi></h3>
      ${repositoryView(project)}
      <p class="hint">${timeView("projects.archived.since", project.archived ?? "", doing.now)}</p>
    </div>
    <div class="actions">
      <button
        type="button"
        class="button small"
        aria-disabled=${doing.moving.has(project.id) ? "true" : "false"}
        aria-label=${text("projects.back.label", { title })}
        @click=${() => {
          doing.takeBack(project);
        }}
      >
        ${text("projects.back")}
      </button>
    </div>
  </li>`;
}

function nameView(project: Project, doing: Doing): TemplateResult {
  const { title } = project;
  return html`<div class="project-name">
    <h3><bdi>${title}</bdi></h3>
    <button
      type="button"
      class="button small quiet"
      data-rename
      aria-label=${text("projects.rename.label", { title })}
      @click=${() => {
        doing.rename(project);
      }}
    >
      ${text("projects.rename")}
    </button>
  </div>`;
}

function nameForm(project: Project, { busy, problem }: Renaming, doing: Doing): TemplateResult {
  const label = text("projects.rename.field", { title: project.title });
  return html`<form
    class="project-name"
    novalidate
    @submit=${(event: SubmitEvent) => {
      event.preventDefault();
      const field = (event.currentTarget as HTMLFormElement).elements.namedItem("title");
      if (field instanceof HTMLInputElement && !busy) doing.save(project, field.value.trim());
    }}
    @keydown=${(event: KeyboardEvent) => {
      // A composition is ended by the same key.
      if (event.key === "Escape" && !event.isComposing) doing.cancel();
    }}
  >
    <input
      name="title"
      value=${project.title}
      maxlength=${LONGEST_TITLE}
      autocomplete="off"
      enterkeyhint="done"
      aria-label=${label}
      aria-invalid=${problem === "" ? "false" : "true"}
      aria-describedby=${problem === "" ? nothing : "rename-problem"}
    />
    <button class="button small" aria-disabled=${busy ? "true" : "false"}>${text("projects.rename.save")}</button>
    <button
      type="button"
      class="button small quiet"
      @click=${() => {
        doing.cancel();
      }}
    >
      ${text("action.cancel")}
    </button>
    ${problem === "" ? nothing : html`<p class="banner problem" id="rename-problem" role="alert">${problem}</p>`}
  </form>`;
}

function repositoryView(project: Project): TemplateResult {
  const address = /^https?:/.test(project.url) ? webAddress(project.url) : null;
  const name = html`<bdi>${shortAddress(project.url)}</bdi>`;
  return html`<p class="repository">
    ${address === null
      ? html`<span class="name">${name}</span>`
      : html`<a class="name" href=${address.href} rel="noopener noreferrer">${name}</a>`}
    ${project.ref === "" ? nothing : html`<bdi class="chip" title=${text("launch.ref")}>${project.ref}</bdi>`}
    <code class="chip" title=${text("launch.commit")}>${project.commit.slice(0, 10)}</code>
  </p>`;
}

function timeView(key: "projects.used" | "projects.archived.since", at: string, now: number): TemplateResult | typeof nothing {
  const then = Date.parse(at);
  if (Number.isNaN(then)) return nothing;
  const said = html`<time datetime=${at}>${text(key, { ago: ago((now - then) / 1000) })}</time>`;
  return key === "projects.used" ? html`· ${said}` : said;
}

function stopButton(project: Project, stopping: boolean, doing: Doing): TemplateResult {
  const { title } = project;
  // Not `disabled`, which would take the focus away from whoever pressed it.
  return html`<button
    type="button"
    class="button small"
    aria-disabled=${stopping ? "true" : "false"}
    aria-label=${text(stopping ? "projects.stopping.label" : "projects.stop.label", { title })}
    @click=${() => {
      doing.stop(project);
    }}
  >
    ${text(stopping ? "action.stopping" : "projects.stop")}
  </button>`;
}

function archiveButton(project: Project, doing: Doing): TemplateResult {
  return html`<button
    type="button"
    class="button small"
    aria-disabled=${doing.moving.has(project.id) ? "true" : "false"}
    aria-label=${text("projects.archive.label", { title: project.title })}
    @click=${() => {
      doing.archive(project);
    }}
  >
    ${text("projects.archive")}
  </button>`;
}
