/** What was recognised, in a line; whether it can move, and the way to pin it; else why it is nothing. */
import { html, nothing, type TemplateResult } from "lit";
import type { Explanation, Link, LinkFound } from "../api";
import { sentence, shortAddress } from "../page";
import { text } from "../texts";
import type { Recognised } from "./recogniser";

type Pin = (pinned: boolean) => void;

export function recognisedView(now: Recognised, pinned: boolean, pin: Pin): TemplateResult | typeof nothing {
  switch (now.state) {
    case "empty":
      return nothing;
    case "reading":
      return html`<p class="recognised" data-state="reading">${text("home.reading")}</p>`;
    case "away":
      return html`<p class="banner problem">${text("home.offline")}</p>`;
    case "refused":
      return problemView(now.problem);
    case "read":
      return html`${lineView(now.link, now.asking, now.found, now.problem !== null)}
      ${now.problem === null ? movesView(now.link, now.found, pinned, pin) : problemView(now.problem)}`;
  }
}

function problemView({ title, seen, todo }: Explanation): TemplateResult {
  return html`<div class="banner problem" id="problem">
    <strong>${title}</strong>
    <p dir="auto">${seen}</p>
    <p dir="auto">${sentence(todo)}</p>
  </div>`;
}

function lineView(link: Link, asking: boolean, found: LinkFound | null, wrong: boolean): TemplateResult {
  const state = wrong ? "wrong" : asking ? "asking" : found === null ? "read" : "found";
  const file = link.urlpath.replace(/^(?:doc|lab)\/tree\//, "");
  const ref = found !== null && found.name !== "" ? found.name : link.ref;
  return html`<p class="recognised" data-state=${state}>
    <span class="site">${link.site}</span>
    <bdi class="name">${shortAddress(link.url)}</bdi>
    ${ref === "" ? nothing : html`<bdi class="chip" title=${text("launch.ref")}>${short(ref)}</bdi>`}
    ${found === null || found.kind === "commit" || found.version === link.ref
      ? nothing
      : html`<code class="chip" title=${text(found.kind === "record" ? "home.version" : "launch.commit")}>${short(found.version)}</code>`}
    ${file === "" ? nothing : html`<bdi class="chip" title=${text("home.file")}>${file}</bdi>`}
    ${asking ? html`<span class="hint">${text("home.asking")}</span>` : nothing}
  </p>`;
}

function short(version: string): string {
  return /^[0-9a-f]{40,64}$/.test(version) ? version.slice(0, 10) : version;
}

/** Nothing where the link cannot move, nor where nobody knows. */
function movesView(link: Link, found: LinkFound | null, pinned: boolean, pin: Pin): TemplateResult | typeof nothing {
  if (link.moves !== true && !pinned) return nothing;
  const way = found?.pinned ?? null;
  if (pinned && way !== null) {
    return html`<p class="moves" data-pinned>
      <span>${text("home.pinned", { version: short(found?.version ?? "") })}</span>
      <button type="button" class="button small" @click=${() => { pin(false); }}>${text("home.unpin")}</button>
    </p>`;
  }
  return html`<p class="moves">
    <span>${movesText(link, found)}</span>
    ${way === null
      ? nothing
      : html`<button type="button" class="button small" @click=${() => { pin(true); }}>
          ${text("home.pin", { version: short(found?.version ?? "") })}
        </button>`}
  </p>`;
}

function movesText(link: Link, found: LinkFound | null): string {
  const name = found !== null && found.name !== "" ? found.name : link.ref;
  if (found?.kind === "record") return text("home.moves.record");
  if (found?.kind === "tag") return text("home.moves.tag", { name });
  if (name === "") return text("home.moves");
  return text(found?.kind === "branch" ? "home.moves.branch" : "home.moves.ref", { name });
}
