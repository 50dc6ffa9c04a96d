/** The credentials that are kept, one row each, to be removed. What opens is in none of them. */
import { html, nothing, type TemplateResult } from "lit";
import type { Credential } from "../api";
import { ago, moment, text } from "../texts";

const KINDS = ["token", "oauth", "ssh-key"] as const;

/** How a person reads what one opens. */
export function placeName({ place }: Credential): string {
  return place.replace(/^https:\/\//, "");
}

export interface Doing {
  /** Ids of those that are just being removed. */
  readonly removing: ReadonlySet<string>;
  readonly copied: string;
  /** The one whose public half is shown already. */
  readonly shown: string;
  remove(one: Credential): void;
  copy(one: Credential): void;
}

export function keptList(kept: readonly Credential[], now: number, doing: Doing): TemplateResult {
  if (kept.length === 0) return html`<p class="hint">${text("credentials.none")}</p>`;
  return html`<ul class="projects">
    ${kept.map((one) => keptRow(one, now, doing))}
  </ul>`;
}

function keptRow(one: Credential, now: number, doing: Doing): TemplateResult {
  const kind = KINDS.find((known) => known === one.kind);
  const place = placeName(one);
  const removing = doing.removing.has(one.id);
  return html`<li class="project" data-credential=${one.id}>
    <div class="project-text">
      <h3><bdi>${place}</bdi></h3>
      <p class="repository">
        <span class="chip">${kind === undefined ? one.kind : text(`credentials.kind.${kind}`)}</span>
        ${one.kind === "token" ? html`<bdi class="chip" title=${text("credentials.username")}>${one.username}</bdi>` : nothing}
      </p>
      <p class="hint">${timesView(one, now)}</p>
      ${one.public === "" || one.id === doing.shown ? nothing : publicView(one, doing)}
    </div>
    <div class="actions">
      <button
        type="button"
        class="button small"
        aria-disabled=${removing ? "true" : "false"}
        aria-label=${text("credentials.remove.label", { place })}
        @click=${() => {
          doing.remove(one);
        }}
      >
        ${text(removing ? "credentials.removing" : "credentials.remove")}
      </button>
    </div>
  </li>`;
}

function timesView({ created, used }: Credential, now: number): TemplateResult {
  const since = (at: string): string => ago((now - Date.parse(at)) / 1000);
  return html`<time datetime=${created} title=${moment(new Date(created))}>${text("credentials.added", { ago: since(created) })}</time>
    ·
    ${used === null
      ? text("credentials.unused")
      : html`<time datetime=${used} title=${moment(new Date(used))}>${text("credentials.used", { ago: since(used) })}</time>`}`;
}

/** The half of a key that the host is shown. */
export function publicView(one: Credential, doing: Doing): TemplateResult {
  return html`<div class="copied-text">
    <pre class="code" tabindex="0" aria-label=${text("credentials.public", { place: placeName(one) })}>${one.public}</pre>
    <button
      type="button"
      class="button small"
      aria-label=${text("credentials.public.copy", { place: placeName(one) })}
      @click=${() => {
        doing.copy(one);
      }}
    >
      ${text(doing.copied === one.id ? "action.copied" : "home.copy")}
    </button>
  </div>`;
}
