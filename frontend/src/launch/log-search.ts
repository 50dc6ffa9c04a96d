/** Finding something in the log: matches are marked where the browser can (CSS highlights), and gone through. */
import { counted, text } from "../texts";

/** Beyond so many nobody goes through them one by one. */
const MOST_MATCHES = 2000;
/** A log that grows is searched again at most this often. */
const AGAIN_MS = 400;
const MARKS = "log-match";
const CURRENT = "log-current";

export class LogSearch {
  readonly bar = document.createElement("div");
  readonly #field = document.createElement("input");
  readonly #told = document.createElement("output");
  #ranges: Range[] = [];
  #at = -1;
  #timer = 0;

  /** `texts`: what is searched, in its order. `reveal`: brings a match into view. */
  constructor(
    private readonly texts: () => readonly Text[],
    private readonly reveal: (range: Range) => void,
  ) {
    this.bar.className = "log-search";
    this.bar.setAttribute("role", "search");
    this.#field.type = "search";
    this.#field.placeholder = text("log.search");
    this.#field.setAttribute("aria-label", text("log.search"));
    this.#field.spellcheck = false;
    this.#field.addEventListener("input", () => {
      this.#find(0);
    });
    this.#field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.#go(event.shiftKey ? -1 : 1);
      else if (event.key === "Escape" && this.#field.value !== "") this.#clear();
      else return;
      event.preventDefault();
    });
    this.bar.append(this.#field, this.#button("log.previous", "↑", -1), this.#button("log.next", "↓", 1), this.#told);
  }

  /** Lines were added. */
  grown(): void {
    if (this.#field.value === "" || this.#timer !== 0) return;
    this.#timer = window.setTimeout(() => {
      this.#timer = 0;
      this.#find(Math.max(this.#at, 0), false);
    }, AGAIN_MS);
  }

  #button(key: "log.previous" | "log.next", sign: string, step: number): HTMLButtonElement {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button small";
    button.textContent = sign;
    button.setAttribute("aria-label", text(key));
    button.addEventListener("click", () => {
      this.#go(step);
    });
    return button;
  }

  #clear(): void {
    this.#field.value = "";
    this.#find(0);
  }

  /** Marks all matches; goes to the one numbered `at` if `show`. */
  #find(at: number, show = true): void {
    const wanted = this.#field.value.toLowerCase();
    this.#ranges = wanted === "" ? [] : matches(this.texts(), wanted);
    this.#at = this.#ranges.length === 0 ? -1 : Math.min(at, this.#ranges.length - 1);
    this.#mark();
    const range = this.#ranges[this.#at];
    if (show && range !== undefined) this.reveal(range);
  }

  #go(step: number): void {
    const { length } = this.#ranges;
    if (length === 0) return;
    this.#at = (this.#at + step + length) % length;
    this.#mark();
    const range = this.#ranges[this.#at];
    if (range !== undefined) this.reveal(range);
  }

  #mark(): void {
    const { length } = this.#ranges;
    const current = this.#ranges[this.#at];
    if (this.#field.value === "") this.#told.textContent = "";
    else if (current === undefined) this.#told.textContent = text("log.none");
    else this.#told.textContent = `${this.#at + 1} / ${counted("log.matches", length)}${length === MOST_MATCHES ? " +" : ""}`;
    const { highlights } = CSS as { highlights?: HighlightRegistry }; // missing in older browsers: the selection marks it
    if (highlights === undefined) {
      if (current !== undefined) getSelection()?.setBaseAndExtent(current.startContainer, current.startOffset, current.endContainer, current.endOffset);
      return;
    }
    highlights.set(MARKS, new Highlight(...this.#ranges));
    highlights.set(CURRENT, new Highlight(...(current === undefined ? [] : [current])));
  }
}

function matches(texts: readonly Text[], wanted: string): Range[] {
  const found: Range[] = [];
  for (const node of texts) {
    // Some letters are longer in lower case; a log's are not, and a mark that is off by one harms nobody.
    const all = node.data.toLowerCase();
    for (let at = all.indexOf(wanted); at >= 0 && found.length < MOST_MATCHES; at = all.indexOf(wanted, at + wanted.length)) {
      const range = new Range();
      range.setStart(node, Math.min(at, node.length));
      range.setEnd(node, Math.min(at + wanted.length, node.length));
      found.push(range);
    }
  }
  return found;
}
