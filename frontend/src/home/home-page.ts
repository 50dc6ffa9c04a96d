/** The home page: an address becomes a launch link and a badge. The launcher parses, not the page. */
import { html, nothing, type TemplateResult } from "lit";
import { Api, ApiError, localAddress, webAddress, type Explanation } from "../api";
import { copyText, PageElement, pageConfig } from "../page";
import { text } from "../texts";
import "./own-projects";

type Purpose = "launch" | "share";

export class HomePage extends PageElement {
  readonly #api = new Api(pageConfig().baseUrl);
  #busy: Purpose | null = null;
  #problem: Explanation | null = null;
  #message = "";
  #link: URL | null = null;
  #copied = "";

  protected override render(): TemplateResult {
    const asked = new URLSearchParams(location.search);
    return html`
      <header class="top"><a class="wordmark" href=${this.#api.address("/")}>${text("app.name")}</a></header>
      <main class="card home">
        <div class="head">
          <h1>${text("home.title")}</h1>
          <p class="lead">${text("home.lead")}</p>
        </div>
        <form @submit=${this.#submitted} @input=${this.#changed} novalidate>
          <div class="fields">
            ${this.#field("url", "url", asked.get("url") ?? "", "https://github.com/user/repository")}
            ${this.#field("ref", "text", asked.get("ref") ?? "", "main")}
          </div>
          ${this.#problemView()}
          <div class="actions">
            <button class="button primary" name="purpose" value="launch" ?disabled=${this.#busy !== null}>
              ${text(this.#busy === "launch" ? "home.busy" : "home.launch")}
            </button>
            <button class="button" name="purpose" value="share" ?disabled=${this.#busy !== null}>
              ${text(this.#busy === "share" ? "home.busy" : "home.badge")}
            </button>
          </div>
        </form>
        ${this.#link === null ? nothing : this.#shareView(this.#link.href)}
        <own-projects .api=${this.#api}></own-projects>
      </main>
      <p class="off-screen" role="status" aria-live="polite">${this.#copied === "" ? "" : text("action.copied")}</p>
    `;
  }

  #field(name: "url" | "ref", type: string, value: string, example: string): TemplateResult {
    const wrong = name === "url" && (this.#problem !== null || this.#message !== "");
    return html`<div class="field" data-field=${name}>
      <label for=${name}>${text(`home.${name}`)}</label>
      <input
        id=${name}
        name=${name}
        type=${type}
        value=${value}
        placeholder=${example}
        inputmode=${type}
        autocomplete="off"
        autocapitalize="off"
        spellcheck="false"
        aria-describedby="${name}-hint${wrong ? " problem" : ""}"
        aria-invalid=${wrong ? "true" : "false"}
      />
      <p class="hint" id="${name}-hint">${text(`home.${name}.hint`)}</p>
    </div>`;
  }

  #problemView(): TemplateResult | typeof nothing {
    if (this.#message !== "") return html`<p class="banner problem" id="problem" role="alert">${this.#message}</p>`;
    if (this.#problem === null) return nothing;
    const { title, seen, todo } = this.#problem;
    return html`<div class="banner problem" id="problem" role="alert">
      <strong>${title}</strong>
      <p dir="auto">${seen}</p>
      <p dir="auto">${todo}</p>
    </div>`;
  }

  #shareView(link: string): TemplateResult {
    const image = webAddress(this.#api.address("/badge_logo.svg"), location.origin)?.href ?? "";
    const markdown = `[![${text("home.badge.alt")}](${image})](${link})`;
    return html`<section class="share" aria-labelledby="share-title">
      <h2 id="share-title">${text("home.share")}</h2>
      <p><a href=${link}><img class="badge" src=${image} alt=${text("home.badge.alt")} /></a></p>
      ${this.#copyView("link", link)} ${this.#copyView("markdown", markdown)}
    </section>`;
  }

  #copyView(what: "link" | "markdown", value: string): TemplateResult {
    return html`<div class="field">
      <label for="share-${what}">${text(`home.${what}`)}</label>
      <div class="with-button">
        <input id="share-${what}" readonly .value=${value} @focus=${selectAll} />
        <button
          type="button"
          class="button small"
          aria-label=${text(`home.copy.${what}`)}
          @click=${() => void this.#copy(what, value)}
        >
          ${text(this.#copied === what ? "action.copied" : "home.copy")}
        </button>
      </div>
    </div>`;
  }

  async #copy(what: string, value: string): Promise<void> {
    if (!(await copyText(value))) return;
    this.#copied = what;
    this.requestUpdate();
    setTimeout(() => {
      this.#copied = "";
      this.requestUpdate();
    }, 2000);
  }

  readonly #changed = (): void => {
    this.#problem = null;
    this.#message = "";
    this.#link = null;
    this.requestUpdate();
  };

  readonly #submitted = (event: SubmitEvent): void => {
    event.preventDefault();
    if (!(event.target instanceof HTMLFormElement)) return;
    const form = new FormData(event.target);
    const value = (name: string): string => {
      const given = form.get(name);
      return typeof given === "string" ? given.trim() : "";
    };
    const share = event.submitter instanceof HTMLButtonElement && event.submitter.value === "share";
    void this.#ask(value("url"), value("ref"), share ? "share" : "launch");
  };

  async #ask(url: string, ref: string, purpose: Purpose): Promise<void> {
    this.#changed();
    if (url === "") {
      this.#message = text("home.empty");
      this.querySelector<HTMLElement>("#url")?.focus();
      return;
    }
    this.#busy = purpose;
    try {
      const link = localAddress((await this.#api.link(url, ref)).link);
      if (purpose === "launch" && link !== null) location.assign(link);
      this.#link = purpose === "share" ? link : null;
    } catch (error) {
      if (error instanceof ApiError) this.#problem = error.explanation;
      else this.#message = text("home.offline");
    }
    this.#busy = null;
    this.requestUpdate();
  }
}

function selectAll(event: FocusEvent): void {
  if (event.target instanceof HTMLInputElement) event.target.select();
}

customElements.define("home-page", HomePage);
