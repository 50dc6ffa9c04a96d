/** A log of many thousand lines that never freezes the page: text nodes, appended once a frame, in blocks. */
import { text } from "../texts";
import { LogSearch } from "./log-search";

/** Lines in one block; the browser lays out only the blocks that can be seen (`content-visibility`). */
const BLOCK_LINES = 200;
/** Blocks that stay on the page; older lines stay in memory for copying. */
const MOST_BLOCKS = 150;
const LONGEST_LINE = 4000;
/** Pixels from the end within which the reader is taken to be at the end. */
const NEAR_END = 24;

export class LaunchLog extends HTMLElement {
  readonly #lines: string[] = [];
  #pending: string[] = [];
  #frame = 0;
  #following = true;
  #dropped = 0;
  #block: Text | null = null;
  #blockLines = 0;
  /** Where the scroller was last. */
  #top = 0;
  /** Lines wrap anew in another width, and are measured only once they are near: the end moves. */
  readonly #sizes = new ResizeObserver(() => {
    this.shown();
  });
  readonly #search = new LogSearch(
    () => [...this.#scroller.querySelectorAll(".log-block")].flatMap(({ firstChild }) => (firstChild instanceof Text ? [firstChild] : [])),
    (range) => {
      this.#reveal(range);
    },
  );
  #scroller = document.createElement("div");
  #notice = document.createElement("p");
  #end = document.createElement("button");

  connectedCallback(): void {
    if (this.#scroller.isConnected) return;
    this.#scroller.className = "log-scroller";
    this.#scroller.tabIndex = 0;
    this.#scroller.setAttribute("role", "region");
    this.#scroller.setAttribute("aria-label", text("log.title"));
    this.#notice.className = "log-notice";
    this.#notice.textContent = text("log.empty");
    this.#scroller.append(this.#notice);
    this.#end.type = "button";
    this.#end.className = "button small log-end";
    this.#end.textContent = text("log.follow");
    this.#end.hidden = true;
    this.#end.addEventListener("click", () => {
      this.#follow(true);
      this.#scroller.focus();
    });
    this.#scroller.addEventListener("scroll", () => {
      const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
      const up = scrollTop < this.#top;
      this.#top = scrollTop;
      // Only who goes up leaves the end: it also moves away by itself, when lines above are laid out.
      if (scrollHeight - scrollTop - clientHeight <= NEAR_END) this.#follow(true);
      else if (up) this.#follow(false);
    });
    this.#sizes.observe(this.#scroller);
    this.append(this.#search.bar, this.#scroller, this.#end);
  }

  get count(): number {
    return this.#lines.length;
  }

  /** Everything, also what is left out on the page. */
  get content(): string {
    return this.#lines.join("\n");
  }

  add(lines: readonly string[]): void {
    for (const line of lines) {
      this.#lines.push(line);
      this.#pending.push(line.length > LONGEST_LINE ? `${line.slice(0, LONGEST_LINE)} …` : line);
    }
    if (lines.length > 0 && this.#frame === 0) {
      this.#frame = requestAnimationFrame(() => {
        this.#frame = 0;
        this.#write();
      });
    }
  }

  clear(): void {
    this.#lines.length = 0;
    this.#pending = [];
    this.#block = null;
    this.#dropped = 0;
    this.#sizes.disconnect();
    this.#sizes.observe(this.#scroller);
    this.#notice.hidden = false;
    this.#notice.textContent = text("log.empty");
    this.#scroller.replaceChildren(this.#notice);
    this.#follow(true);
  }

  /** Called when the log becomes visible (scrolling has no effect before) or has another size. */
  shown(): void {
    if (this.#following) this.#toEnd();
  }

  #follow(following: boolean): void {
    this.#following = following;
    this.#end.hidden = following;
    if (following) this.#toEnd();
  }

  #toEnd(): void {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#top = this.#scroller.scrollTop;
  }

  #write(): void {
    this.#notice.hidden = this.#dropped === 0;
    for (let start = 0; start < this.#pending.length; ) {
      const room = this.#block === null ? 0 : BLOCK_LINES - this.#blockLines;
      if (this.#block === null || room <= 0) {
        this.#open();
        continue;
      }
      const part = this.#pending.slice(start, start + room);
      this.#block.appendData(part.join("\n") + "\n");
      this.#blockLines += part.length;
      start += part.length;
    }
    this.#pending = [];
    if (this.#following) this.#toEnd();
    this.#search.grown();
  }

  /** Brings a match into view; what comes after does not take the reader away from it. */
  #reveal(range: Range): void {
    this.#follow(false);
    range.startContainer.parentElement?.scrollIntoView({ block: "nearest" }); // laid out from here on
    const frame = this.#scroller.getBoundingClientRect();
    const match = range.getBoundingClientRect();
    if (match.top < frame.top || match.bottom > frame.bottom) {
      this.#scroller.scrollTop += match.top - frame.top - frame.height / 2;
    }
    this.#top = this.#scroller.scrollTop;
  }

  #open(): void {
    const block = document.createElement("pre");
    block.className = "log-block";
    this.#block = document.createTextNode("");
    this.#blockLines = 0;
    block.append(this.#block);
    this.#scroller.append(block);
    this.#sizes.observe(block);
    const blocks = this.#scroller.getElementsByClassName("log-block");
    if (blocks.length <= MOST_BLOCKS) return;
    const [oldest] = blocks;
    if (oldest !== undefined) this.#sizes.unobserve(oldest);
    oldest?.remove();
    this.#dropped += BLOCK_LINES;
    this.#notice.hidden = false;
    this.#notice.textContent = text("log.dropped", { count: this.#dropped });
  }
}

customElements.define("launch-log", LaunchLog);
