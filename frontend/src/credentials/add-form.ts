/** Something to keep: a token that a person made at a host, a key that is made here, or what a host gives on being asked. */
import { html, nothing, type TemplateResult } from "lit";
import type { Explanation } from "../api";
import { sentence } from "../page";
import { text, type TextKey } from "../texts";
import { placeOf, sshAddress, tokensPage } from "./place";

export const WAYS = ["token", "ssh-key"] as const;
export type Way = (typeof WAYS)[number];
const FIELDS = ["host", "username", "token", "repository"] as const;

/** What is in the fields. */
export interface Draft {
  way: Way;
  host: string;
  username: string;
  repository: string;
}

/** What to begin with, for the repository whose launch led here. */
export function draftFor(repository: string): Draft {
  const place = placeOf(repository);
  return {
    way: place?.ssh === true ? "ssh-key" : "token",
    host: place?.host ?? "",
    username: "oauth2", // many hosts take any
    repository: place === null ? "" : sshAddress(place),
  };
}

/** The field that a refusal is about. */
export function fieldOf(problem: Explanation | null): (typeof FIELDS)[number] | null {
  if (problem?.code !== "bad-request") return null;
  const named = /^(\w+)\s?:/.exec(problem.seen)?.[1];
  return FIELDS.find((one) => one === named) ?? null;
}

export interface Form {
  readonly draft: Draft;
  readonly busy: boolean;
  readonly problem: Explanation | null;
  /** Hosts that give a token when a person agrees there. */
  readonly connects: readonly string[];
  connectAddress(host: string): string;
  readonly changed: () => void;
  readonly submitted: (event: SubmitEvent) => void;
}

export function addForm(form: Form): TemplateResult {
  const { draft } = form;
  return html`<form @submit=${form.submitted} @input=${form.changed} novalidate autocomplete="off">
    <fieldset class="forms">
      <legend class="off-screen">${text("credentials.way")}</legend>
      ${WAYS.map(
        (way) =>
          html`<label
            ><input type="radio" name="way" value=${way} .checked=${way === draft.way} /><span>${text(`credentials.way.${way}`)}</span></label
          >`,
      )}
    </fieldset>
    ${draft.way === "token" ? tokenFields(form) : keyFields(form)}
    ${form.problem === null ? nothing : problemView(form.problem)}
    <div class="actions">
      <button class="button primary" aria-disabled=${form.busy ? "true" : "false"}>
        ${text(form.busy ? "home.busy" : draft.way === "token" ? "credentials.keep" : "credentials.make")}
      </button>
    </div>
  </form>`;
}

function problemView(problem: Explanation): TemplateResult {
  const field = fieldOf(problem);
  if (field !== null) return html`<p class="banner problem" id="problem" role="alert">${text(`credentials.wrong.${field}`)}</p>`;
  return html`<div class="banner problem" id="problem" role="alert" tabindex="-1">
    <strong>${problem.title}</strong>
    <p dir="auto">${problem.seen}</p>
    <p dir="auto">${sentence(problem.todo)}</p>
  </div>`;
}

function tokenFields(form: Form): TemplateResult {
  const { draft } = form;
  const host = placeOf(draft.host)?.host ?? "";
  const make = tokensPage(host);
  return html`<p class="lead">${text("credentials.token.about")}</p>
    ${connectView(form, host)}
    <div class="fields">
      ${fieldView(form, "host", "credentials.host", draft.host, html`${text("credentials.host.hint")}`)}
      ${fieldView(form, "username", "credentials.username", draft.username, html`${text("credentials.username.hint")}`)}
    </div>
    ${fieldView(
      form,
      "token",
      "credentials.token",
      null,
      html`${host === "" ? text("credentials.token.hint") : text("credentials.token.sent", { host })}
      ${make === null ? nothing : html` <a href=${make.href} target="_blank" rel="noopener noreferrer">${text("credentials.token.make", { host })}</a>`}`,
    )}`;
}

/** Where the operator has an application, nobody need make a token. */
function connectView(form: Form, host: string): TemplateResult | typeof nothing {
  const known = form.connects.filter((one) => host === "" || one === host);
  if (known.length === 0) return nothing;
  return html`<div class="choice">
    <p>${text("credentials.connect.about")}</p>
    <div class="actions">
      ${known.map((one) => html`<a class="button" href=${form.connectAddress(one)}>${text("credentials.connect", { host: one })}</a>`)}
    </div>
  </div>`;
}

function keyFields(form: Form): TemplateResult {
  return html`<p class="lead">${text("credentials.key.about")}</p>
    ${fieldView(form, "repository", "credentials.repository", form.draft.repository, html`${text("credentials.repository.hint")}`)}`;
}

/** `value` null: a secret, which is never drawn. */
function fieldView(form: Form, name: string, label: TextKey, value: string | null, hint: TemplateResult): TemplateResult {
  const wrong = fieldOf(form.problem) === name;
  const invalid = wrong ? "true" : "false";
  const about = wrong ? `${name}-hint problem` : `${name}-hint`;
  return html`<div class="field">
    <label for=${name}>${text(label)}</label>
    ${value === null
      ? html`<input id=${name} name=${name} type="password" autocomplete="off" aria-invalid=${invalid} aria-describedby=${about} />`
      : html`<input
          id=${name}
          name=${name}
          .value=${value}
          autocomplete="off"
          autocapitalize="off"
          spellcheck="false"
          aria-invalid=${invalid}
          aria-describedby=${about}
        />`}
    <p class="hint" id="${name}-hint">${hint}</p>
  </div>`;
}
