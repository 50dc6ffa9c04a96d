/** One's credentials for private repositories: what is kept, more of it, and less; and back to the launch that wants one. */
import { html, nothing, type TemplateResult } from "lit";
import { showAccount } from "../account";
import { Api, ApiError, explanation, localAddress, reasonOf, type Credential, type CredentialRequest, type Explanation } from "../api";
import { copyText, ours, PageElement, pageConfig, shortAddress } from "../page";
import { text } from "../texts";
import { addForm, draftFor, fieldOf, WAYS, type Draft, type Form } from "./add-form";
import { keptList, placeName, publicView, type Doing } from "./kept-list";
import { keysPage } from "./place";

type Who = "asking" | "nobody" | "guest" | "member" | "away";
const COPIED_FOR_MS = 2000;

/** The launch link that led here; null: none did. */
function launchAsked(given: string | null): URL | null {
  const address = given === null ? null : localAddress(given);
  return address?.pathname.startsWith(ours("/v2/")) === true ? address : null;
}

export class CredentialsPage extends PageElement {
  readonly #config = pageConfig();
  readonly #api = new Api(this.#config.baseUrl);
  readonly #asked = new URLSearchParams(location.search);
  readonly #repository = this.#asked.get("repository") ?? "";
  readonly #launch = launchAsked(this.#asked.get("next"));
  readonly #draft: Draft = draftFor(this.#repository);
  readonly #removing = new Set<string>();
  #who: Who = "asking";
  #kept: readonly Credential[] = [];
  /** What was kept last, to be spoken of. */
  #new: Credential | null = null;
  #busy = false;
  /** Why the last one was not kept. */
  #problem: Explanation | null = null;
  /** Why the list is not what it should be. */
  #listProblem = "";
  #copied = "";
  #told = "";

  protected override firstUpdated(): void {
    void this.#begin();
  }

  protected override updated(): void {
    document.title = `${text("credentials.title")} · ${text("app.name")}`;
  }

  protected override render(): TemplateResult {
    return html`
      <main class="card" aria-busy=${this.#who === "asking" ? "true" : "false"}>
        <div class="head">
          <h1>${text("credentials.title")}</h1>
          <p class="lead">${text("credentials.lead")}</p>
        </div>
        ${this.#launchView()} ${this.#bodyView()}
      </main>
      <p class="off-screen" role="status" aria-live="polite">${this.#told}</p>
    `;
  }

  #launchView(): TemplateResult | typeof nothing {
    if (this.#launch === null || this.#new !== null) return nothing;
    const repository = shortAddress(this.#repository);
    return html`<p class="moves" data-plain>
      <span>${repository === "" ? text("credentials.for.launch") : text("credentials.for", { repository })}</span>
      <a class="button small" href=${this.#launch.href}>${text("credentials.back")}</a>
    </p>`;
  }

  #bodyView(): TemplateResult | typeof nothing {
    if (this.#who === "asking") return html`<p class="hint">${text("home.busy")}</p>`;
    if (this.#who === "away") {
      return html`<p class="banner problem" role="alert">${text("home.offline")}</p>
        <div class="actions"><button type="button" class="button" @click=${() => void this.#begin()}>${text("action.again")}</button></div>`;
    }
    if (this.#who !== "member") return this.#strangerView();
    const list = this.#listView();
    const add = html`<section class="share" aria-labelledby="add-title">
      <h2 id="add-title">${text("credentials.add")}</h2>
      ${addForm(this.#form)}
    </section>`;
    // Who comes for a repository comes to add something.
    return html`${this.#newView()} ${this.#launch === null ? [list, add] : [add, list]}`;
  }

  #strangerView(): TemplateResult {
    const next = encodeURIComponent(location.pathname + location.search);
    return html`<p class="banner">${text(this.#who === "guest" ? "credentials.guest" : "credentials.nobody")}</p>
      <div class="actions">
        <a class="button primary" href=${this.#api.address(`/api/v1/login?as=member&next=${next}`)}>${text("action.signin")}</a>
      </div>`;
  }

  #listView(): TemplateResult {
    const now = Date.now() + this.#api.clockAhead;
    return html`<section class="share" aria-labelledby="kept-title">
      <div>
        <h2 id="kept-title" tabindex="-1">${text("credentials.kept")}</h2>
        <p class="hint">${text("credentials.kept.note")}</p>
      </div>
      ${this.#listProblem === "" ? nothing : html`<p class="banner problem" role="alert">${this.#listProblem}</p>`}
      ${keptList(this.#kept, now, this.#doing)}
    </section>`;
  }

  /** What became of the last one, and what to do next. */
  #newView(): TemplateResult | typeof nothing {
    const one = this.#new;
    if (one === null) return nothing;
    const keys = one.kind === "ssh-key" ? keysPage(one.place) : null;
    return html`<section class="choice" aria-labelledby="new-title">
      <h2 id="new-title" tabindex="-1">${text(one.kind === "ssh-key" ? "credentials.made" : "credentials.done", { place: placeName(one) })}</h2>
      ${one.kind === "ssh-key" ? html`<p>${text("credentials.made.todo")}</p>${publicView(one, this.#doing)}` : nothing}
      <div class="actions">
        ${keys === null
          ? nothing
          : html`<a class="button" href=${keys.href} target="_blank" rel="noopener noreferrer">${text("credentials.made.page")}</a>`}
        ${this.#launch === null ? nothing : html`<a class="button primary" href=${this.#launch.href}>${text("credentials.launch")}</a>`}
      </div>
    </section>`;
  }

  get #form(): Form {
    return {
      draft: this.#draft,
      busy: this.#busy,
      problem: this.#problem,
      connects: this.#config.connects,
      connectAddress: (host) => {
        const next = this.#launch === null ? location.pathname : this.#launch.pathname + this.#launch.search;
        return this.#api.address(`/api/v1/connect?${new URLSearchParams({ host, next }).toString()}`);
      },
      changed: this.#changed,
      submitted: this.#submitted,
    };
  }

  get #doing(): Doing {
    return {
      removing: this.#removing,
      shown: this.#new?.id ?? "",
      copied: this.#copied,
      remove: (one) => void this.#remove(one),
      copy: (one) => void this.#copy(one),
    };
  }

  async #begin(): Promise<void> {
    try {
      const me = await this.#api.me();
      this.#who = me.kind === "guest" ? "guest" : "member";
      if (this.#who === "member") this.#kept = await this.#api.credentials();
    } catch (error) {
      this.#who = error instanceof ApiError && error.login !== null ? "nobody" : "away";
    }
    showAccount(this.#api, this.#api.who);
    this.requestUpdate();
  }

  #value(name: string): string {
    const field = this.querySelector(`#${name}`);
    return field instanceof HTMLInputElement ? field.value.trim() : "";
  }

  readonly #changed = (): void => {
    const chosen = this.querySelector<HTMLInputElement>("input[name=way]:checked")?.value;
    if (this.#draft.way === "token") Object.assign(this.#draft, { host: this.#value("host"), username: this.#value("username") });
    else this.#draft.repository = this.#value("repository");
    this.#draft.way = WAYS.find((way) => way === chosen) ?? this.#draft.way;
    this.#problem = null;
    this.requestUpdate();
  };

  readonly #submitted = (event: SubmitEvent): void => {
    event.preventDefault();
    this.#changed();
    void this.#keep();
  };

  async #keep(): Promise<void> {
    if (this.#busy) return;
    const { way, host, username, repository } = this.#draft;
    const request: CredentialRequest = way === "token" ? { host, username, token: this.#value("token") } : { repository };
    this.#busy = true;
    this.requestUpdate();
    try {
      this.#new = await this.#api.keep(request);
      this.#listProblem = "";
      const secret = this.querySelector("#token");
      if (secret instanceof HTMLInputElement) secret.value = ""; // it is not to stay in the page
      this.#kept = [this.#new, ...this.#kept.filter(({ kind, place }) => kind !== this.#new?.kind || place !== this.#new.place)];
    } catch (error) {
      this.#refused(error);
    }
    this.#busy = false;
    this.requestUpdate();
    await this.updateComplete;
    if (this.#problem === null) this.querySelector<HTMLElement>("#new-title")?.focus();
    else this.querySelector<HTMLElement>(`#${fieldOf(this.#problem) ?? "problem"}`)?.focus();
  }

  #refused(error: unknown): void {
    if (error instanceof ApiError && error.login !== null) this.#who = "nobody";
    else if (error instanceof ApiError) this.#problem = error.explanation;
    else this.#problem = { ...explanation(null, 0), title: text("credentials.not-kept"), seen: text("home.offline"), todo: text("credentials.not-kept.todo") };
  }

  async #remove(one: Credential): Promise<void> {
    if (this.#removing.has(one.id)) return;
    this.#removing.add(one.id);
    this.#listProblem = this.#told = "";
    this.requestUpdate();
    try {
      await this.#api.forget(one.id).catch((error: unknown) => {
        // Another tab was faster: it is gone.
        if (!(error instanceof ApiError) || error.explanation.status !== 404) throw error;
      });
      this.#kept = this.#kept.filter(({ id }) => id !== one.id);
      if (this.#new?.id === one.id) this.#new = null;
      this.#told = text("credentials.removed", { place: placeName(one) });
    } catch (error) {
      this.#listProblem = text("credentials.not-removed", { place: placeName(one), reason: reasonOf(error) });
    }
    this.#removing.delete(one.id);
    this.requestUpdate();
    await this.updateComplete;
    // The button that was pressed is gone with its row: the keyboard goes on at the list.
    if (document.activeElement === document.body) this.querySelector<HTMLElement>("#kept-title")?.focus();
  }

  async #copy(one: Credential): Promise<void> {
    const copied = await copyText(one.public);
    this.#copied = copied ? one.id : "";
    this.#told = text(copied ? "action.copied" : "action.copy-failed");
    this.requestUpdate();
    setTimeout(() => {
      this.#copied = this.#told = "";
      this.requestUpdate();
    }, COPIED_FOR_MS);
  }
}

customElements.define("credentials-page", CredentialsPage);
