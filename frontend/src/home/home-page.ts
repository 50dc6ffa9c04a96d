/** The home page: whatever was pasted becomes a launch link and badges. The launcher reads it, not the page. */
import { html, type TemplateResult } from "lit";
import { showAccount } from "../account";
import { Api, localAddress, type Link, type Pasted } from "../api";
import { ours, PageElement, pageConfig } from "../page";
import { text, type TextKey } from "../texts";
import "./own-projects";
import { Recogniser } from "./recogniser";
import { recognisedView } from "./recognised-view";
import "./share-view";

const WAYS = ["labpath", "filepath", "urlpath"] as const;
type Way = (typeof WAYS)[number];

export class HomePage extends PageElement {
  readonly #api = new Api(pageConfig().baseUrl);
  readonly #recogniser = new Recogniser(this.#api, () => {
    this.requestUpdate();
  });
  #pasted: Pasted;
  #way: Way;
  #pinned = false;
  #leaving = false;
  #told = "";

  constructor() {
    super();
    const asked = new URLSearchParams(location.search);
    this.#way = WAYS.find((way) => asked.has(way)) ?? "labpath";
    this.#pasted = { url: asked.get("url") ?? "", ref: asked.get("ref") ?? "", [this.#way]: asked.get(this.#way) ?? "" };
    if (this.#pasted.url !== "") this.#recogniser.look(this.#pasted);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#recogniser.stop();
  }

  protected override firstUpdated(): void {
    // A pasted text may have lines, which this kind of field would run together.
    this.querySelector("#url")?.addEventListener("paste", this.#pastedLines as EventListener);
  }

  /** The link to launch and to share: the pinned one where that was chosen. */
  get #link(): Link | null {
    const { now } = this.#recogniser;
    if (now.state !== "read") return null;
    return this.#pinned ? (now.found?.pinned ?? now.link) : now.link;
  }

  protected override render(): TemplateResult {
    const { now } = this.#recogniser;
    const shareable = now.state === "read" && now.problem === null ? this.#link : null;
    return html`
      <main class="card home">
        <div class="head">
          <h1>${text("home.title")}</h1>
          <p class="lead">${text("home.lead")}</p>
        </div>
        <form @submit=${this.#submitted} @input=${this.#changed} novalidate>
          ${this.#urlField()}
          <div class="fields">${this.#refField()} ${this.#fileField()}</div>
          <div class="actions">
            <button class="button primary" aria-disabled=${this.#leaving ? "true" : "false"}>
              ${text(this.#leaving ? "home.busy" : "home.launch")}
            </button>
          </div>
        </form>
        <share-view .api=${this.#api} .link=${shareable}></share-view>
        <own-projects .api=${this.#api} @known=${this.#known}></own-projects>
      </main>
    `;
  }

  #urlField(): TemplateResult {
    const { now } = this.#recogniser;
    const wrong = now.state === "refused" || this.#told !== "";
    return html`<div class="field" data-field="url">
      <label for="url">${text("home.url")}</label>
      <input
        id="url"
        name="url"
        class="address"
        value=${this.#pasted.url}
        placeholder="https://github.com/user/repository"
        inputmode="url"
        enterkeyhint="go"
        autocomplete="off"
        autocapitalize="off"
        spellcheck="false"
        aria-describedby="url-hint recognised"
        aria-invalid=${wrong ? "true" : "false"}
      />
      <p class="hint" id="url-hint">${text("home.url.hint")}</p>
      <div id="recognised" aria-live="polite">
        ${this.#told !== ""
          ? html`<p class="banner problem" role="alert">${this.#told}</p>`
          : recognisedView(now, this.#pinned, this.#pin)}
      </div>
    </div>`;
  }

  #refField(): TemplateResult {
    const { now } = this.#recogniser;
    const record = now.state === "read" && now.found?.kind === "record";
    return html`<div class="field">
      <label for="ref">${text("home.ref")}</label>
      <input
        id="ref"
        name="ref"
        value=${this.#pasted.ref ?? ""}
        placeholder=${now.state === "read" && now.link.ref !== "" ? now.link.ref : text("launch.ref.default")}
        autocomplete="off"
        autocapitalize="off"
        spellcheck="false"
        ?disabled=${record}
        aria-describedby="ref-hint"
      />
      <p class="hint" id="ref-hint">${text(record ? "home.ref.record" : "home.ref.hint")}</p>
    </div>`;
  }

  #fileField(): TemplateResult {
    const { now } = this.#recogniser;
    const arrives = now.state === "read" ? now.link.urlpath.replace(/^(?:doc|lab)\/tree\//, "") : "";
    return html`<div class="field">
      <label for="file">${text(this.#way === "urlpath" ? "home.urlpath" : "home.file")}</label>
      <div class="joined">
        <input
          id="file"
          name="file"
          value=${this.#pasted[this.#way] ?? ""}
          placeholder=${arrives || (this.#way === "urlpath" ? "rstudio/" : "notebooks/index.ipynb")}
          autocomplete="off"
          autocapitalize="off"
          spellcheck="false"
          aria-describedby="file-hint"
        />
        <select name="way" aria-label=${text("home.way")}>
          ${WAYS.map(
            (way) => html`<option value=${way} ?selected=${way === this.#way}>${text(`home.way.${way}` satisfies TextKey)}</option>`,
          )}
        </select>
      </div>
      <p class="hint" id="file-hint">${text("home.file.hint")}</p>
    </div>`;
  }

  readonly #known = (): void => {
    showAccount(this.#api, this.#api.who);
  };

  readonly #pin = (pinned: boolean): void => {
    this.#pinned = pinned;
    this.requestUpdate();
  };

  readonly #changed = (): void => {
    const form = this.querySelector("form");
    if (form === null) return;
    const given = new FormData(form);
    const value = (name: string): string => {
      const one = given.get(name);
      return typeof one === "string" ? one.trim() : "";
    };
    this.#way = WAYS.find((way) => way === value("way")) ?? "labpath";
    const before = this.#pasted.url;
    this.#pasted = { url: value("url"), ref: value("ref"), [this.#way]: value("file") };
    if (before !== this.#pasted.url) this.#pinned = false;
    this.#told = "";
    this.#recogniser.look(this.#pasted);
    this.requestUpdate();
  };

  readonly #pastedLines = (event: ClipboardEvent): void => {
    const lines = event.clipboardData?.getData("text/plain") ?? "";
    if (!(event.target instanceof HTMLInputElement) || !/[\r\n]/.test(lines.trim())) return;
    event.preventDefault();
    const { selectionStart, selectionEnd } = event.target;
    event.target.setRangeText(lines.trim().replace(/\s+/g, " "), selectionStart ?? 0, selectionEnd ?? 0, "end");
    this.#changed();
  };

  readonly #submitted = (event: SubmitEvent): void => {
    event.preventDefault();
    this.#changed();
    void this.#launch();
  };

  async #launch(): Promise<void> {
    if (this.#pasted.url === "") {
      this.#refuse(text("home.empty"));
      return;
    }
    this.#leaving = true;
    this.requestUpdate();
    if (this.#link === null || this.#recogniser.stale(this.#pasted)) await this.#recogniser.read(this.#pasted);
    const link = localAddress(ours(this.#link?.link ?? ""));
    this.#leaving = false;
    if (link === null) this.#refuse(""); // the recogniser says why
    else location.assign(link);
  }

  /** Why not; the keyboard goes on in the field. `""`: the recogniser has said it. */
  #refuse(told: string): void {
    this.#told = told;
    this.requestUpdate();
    this.querySelector<HTMLElement>("#url")?.focus();
  }
}


customElements.define("home-page", HomePage);
