/** A link as it is put somewhere: by itself, as a badge in five kinds of markup, as a QR code. */
import { html, nothing, type TemplateResult } from "lit";
import { localAddress, type Api, type Link } from "../api";
import { copyText, ours, PageElement } from "../page";
import { text } from "../texts";

const FORMS = ["link", "markdown", "rst", "html", "latex", "org", "qr"] as const;
type Form = (typeof FORMS)[number];
const COPIED_FOR_MS = 2000;

export class ShareView extends PageElement {
  static override properties = { link: { attribute: false } };
  declare link: Link | null;
  /** Set by the page. */
  api: Api | null = null;
  #form: Form = "link";
  #told = "";

  constructor() {
    super();
    this.link = null;
  }

  protected override render(): TemplateResult | typeof nothing {
    if (this.link === null || this.api === null) return nothing;
    const whole = localAddress(ours(this.link.link))?.href ?? "";
    const badge = new URL(this.api.address("/badge_logo.svg"), location.origin).href;
    return html`<section class="share" aria-labelledby="share-title">
      <div class="share-head">
        <h2 id="share-title">${text("home.share")}</h2>
        <a href=${whole}><img class="badge" src=${badge} alt=${text("home.badge.alt")} width="122" height="20" /></a>
      </div>
      <fieldset class="forms">
        <legend class="off-screen">${text("share.form")}</legend>
        ${FORMS.map(
          (form) =>
            html`<label
              ><input
                type="radio"
                name="share-form"
                value=${form}
                .checked=${form === this.#form}
                @change=${() => {
                  this.#choose(form);
                }}
              /><span>${text(`share.${form}`)}</span></label
            >`,
        )}
      </fieldset>
      ${this.#form === "qr" ? this.#codeView(this.link) : this.#textView(this.#content(whole, this.link, this.#form))}
      <p class="off-screen" role="status" aria-live="polite">${this.#told}</p>
    </section>`;
  }

  #content(whole: string, link: Link, form: Exclude<Form, "qr">): string {
    return form === "link" ? whole : link.badges[form];
  }

  #textView(value: string): TemplateResult {
    return html`<div class="copied-text">
        <pre class="code" tabindex="0" aria-label=${text(`share.${this.#form}`)}>${value}</pre>
        <button type="button" class="button small" @click=${() => void this.#copy(() => copyText(value))}>
          ${text(this.#told === text("action.copied") ? "action.copied" : "home.copy")}
        </button>
      </div>
      ${this.#form === "latex" ? html`<p class="hint">${text("share.latex.hint")}</p>` : nothing}`;
  }

  #codeView(link: Link): TemplateResult {
    const address = (form: "svg" | "png"): string => this.api?.qrCode(link.link, form) ?? "";
    return html`<div class="qr-view">
      <img class="qr" src=${address("svg")} alt=${text("share.qr.alt")} width="200" height="200" />
      <div class="qr-actions">
        <button type="button" class="button small" @click=${() => void this.#copy(() => copyPicture(address("png")))}>
          ${text("share.qr.copy")}
        </button>
        <a class="button small" href=${address("svg")} download="repolaunch.svg">SVG</a>
        <a class="button small" href=${address("png")} download="repolaunch.png">PNG</a>
        <p class="hint">${text("share.qr.hint")}</p>
      </div>
    </div>`;
  }

  #choose(form: Form): void {
    this.#form = form;
    this.requestUpdate();
  }

  async #copy(copy: () => Promise<boolean>): Promise<void> {
    this.#told = text((await copy()) ? "action.copied" : "action.copy-failed");
    this.requestUpdate();
    setTimeout(() => {
      this.#told = "";
      this.requestUpdate();
    }, COPIED_FOR_MS);
  }
}

/** Copies a picture; false where the browser has no way (plain http on a name that is not localhost). */
async function copyPicture(address: string): Promise<boolean> {
  try {
    const picture = fetch(address).then((answer) => answer.blob());
    await navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]);
    return true;
  } catch {
    return false;
  }
}

customElements.define("share-view", ShareView);
