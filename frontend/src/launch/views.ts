/** The parts of the launch page: functions from facts to templates. */
import { html, nothing, svg, type TemplateResult } from "lit";
import { PINNINGS, webAddress, type Api, type DeclaredEvent, type Explanation, type Launch, type Me, type Stage } from "../api";
import type { Connection } from "../events";
import { ours, sentence, shortAddress } from "../page";
import { duration, text, wholeDuration, type TextKey } from "../texts";
import type { Phase } from "./controller";
import type { Progress, StageView, Status } from "./progress";

const MARKS: Readonly<Record<Status, TemplateResult | typeof nothing>> = {
  waiting: nothing,
  running: nothing,
  done: svg`<path d="M5 10.5l3.2 3.2L15 7" />`,
  skipped: svg`<path d="M6 10h8" />`,
  failed: svg`<path d="M6.5 6.5l7 7m0-7l-7 7" />`,
  stopped: svg`<path d="M7.5 7.5h5v5h-5z" />`,
};

/** What there may be too much of. */
const QUEUES = ["sessions", "starting", "repository", "person"] as const;

/** How the log and the reader's browser name a repository: without scheme and `.git`. */
export function repositoryName(launch: Launch | null, provider: string, spec: string): string {
  if (launch !== null) return shortAddress(launch.url);
  return provider === "git" || provider === "gl" ? readable(spec.split("/")[0] ?? spec) : readable(spec);
}

function readable(escaped: string): string {
  try {
    return decodeURIComponent(escaped).replace(/^[a-z+]+:\/\//, "");
  } catch {
    return escaped;
  }
}

export function repositoryView(launch: Launch | null, provider: string, spec: string): TemplateResult {
  const name = repositoryName(launch, provider, spec);
  const address = launch === null || !/^https?:/.test(launch.url) ? null : webAddress(launch.url);
  // A record has no branches.
  const ref = launch === null ? "" : launch.ref || (launch.spec.endsWith("/HEAD") ? text("launch.ref.default") : "");
  return html`<p class="repository">
    ${address === null
      ? html`<bdi class="name">${name}</bdi>`
      : html`<a class="name" href=${address.href} rel="noopener noreferrer"><bdi>${name}</bdi></a>`}
    ${ref === "" ? nothing : html`<bdi class="chip" title=${text("launch.ref")}>${ref}</bdi>`}
    ${launch?.commit ? html`<code class="chip" title=${text("launch.commit")}>${launch.commit.slice(0, 10)}</code>` : nothing}
  </p>`;
}

/** `usual`: how many seconds it took the last time. */
export function stageView(view: StageView, now: number, usual: number | undefined): TemplateResult {
  const time = stageTime(view, now);
  const before = view.status === "running" && usual !== undefined && usual >= 1 ? text("launch.usual", { time: duration(usual) }) : "";
  return html`<li class="stage" data-stage=${view.stage} data-status=${view.status}>
    <svg class="mark" viewBox="0 0 20 20" aria-hidden="true"><circle cx="10" cy="10" r="8.5" />${MARKS[view.status]}</svg>
    <div class="stage-text">
      <span class="stage-name">${text(`stage.${view.stage}`)}</span>
      <span class="off-screen">${text(`status.${view.status}`)}</span>
      ${view.message === "" ? nothing : html`<span class="stage-message" dir="auto">${view.message}</span>`}
      ${before === "" ? nothing : html`<span class="usual">${before}</span>`}
      ${view.percent === null
        ? nothing
        : html`<span class="stage-progress"
            ><progress max="100" .value=${view.percent} aria-label=${text(`stage.${view.stage}`)}></progress
            ><span>${text("launch.percent", { percent: view.percent })}</span></span
          >`}
    </div>
    <span class="stage-time">${time === "" && view.status === "skipped" ? text("status.skipped") : time}</span>
  </li>`;
}

/** `now` is by the server's clock, so that a wrong clock here shows no wrong time. */
function stageTime(view: StageView, now: number): string {
  if (view.seconds !== null) return duration(view.seconds);
  if (view.status !== "running" || view.startedAt === null) return "";
  return wholeDuration(Math.floor(Math.max(0, now - view.startedAt) / 1000));
}

export function connectionView(connection: Connection): TemplateResult | typeof nothing {
  if (connection !== "reconnecting" && connection !== "offline") return nothing;
  return html`<p class="banner" data-connection=${connection}>${text(`connection.${connection}`)}</p>`;
}

export function queueView(queue: Progress["queue"]): TemplateResult | typeof nothing {
  if (queue === null) return nothing;
  const reason = QUEUES.find((one) => one === queue.reason);
  if (reason === undefined) return html`<p class="banner queue" dir="auto">${queue.message}</p>`;
  const place = queue.place === 1 ? text("queue.next") : text("queue.place", { place: queue.place });
  return html`<p class="banner queue">${text(`queue.${reason}`)} ${reason === "person" ? nothing : place}</p>`;
}

const LEADS: Readonly<Partial<Record<Phase, readonly TextKey[]>>> = {
  working: ["launch.working.seen"],
  opening: ["launch.opening.seen"],
  ready: ["launch.ready.seen"],
  cancelled: ["launch.cancelled.seen"],
  stopped: ["launch.stopped.seen"],
  "sign-in-needed": ["signin.needed.seen", "signin.needed.todo"],
};

/** What somebody who sees this page for the first time has to know. `building`: that is what takes its time now. */
export function leadOf(phase: Phase, building: boolean): string {
  const keys = phase === "working" && building ? (["launch.building.seen"] as const) : (LEADS[phase] ?? []);
  return keys.map((key) => text(key)).join(" ");
}

/** `stage`: where it failed; `page`: where the launch stays to be seen. */
export function explanationView(problem: Explanation, stage: Stage | null, page: URL | null): TemplateResult {
  const link = problem.link === "" ? null : webAddress(ours(problem.link));
  return html`<section class="explanation" aria-labelledby="problem-title">
    <h2 id="problem-title" tabindex="-1">${problem.title}</h2>
    ${stage === null ? nothing : html`<p class="hint">${text("error.step", { stage: text(`stage.${stage}`) })}</p>`}
    <h3>${text("error.title")}</h3>
    <p class="seen" dir="auto">${problem.seen}</p>
    <h3>${text("error.todo")}</h3>
    <p class="todo" dir="auto">${sentence(problem.todo)}</p>
    <p class="links">
      ${page === null ? nothing : html`<a href=${page.href}>${text("launch.lasting")}</a>`}
      ${link === null ? nothing : html`<a href=${link.href} rel="noopener noreferrer">${text("action.more")}</a>`}
    </p>
  </section>`;
}

/** How firmly the environment is pinned; for whoever wants to pin it, what is not and what would. */
export function pinningView(declared: DeclaredEvent): TemplateResult {
  const pinning = PINNINGS.find((one) => one === declared.pinning) ?? "not-pinned";
  const head = html`<span class="pin" data-pinning=${pinning}>${text(`pinning.${pinning}`)}</span>
    <span class="pin-about">${text(`pinning.${pinning}.about`)}</span>`;
  const { loose, advice, tree } = declared;
  if (loose.length + advice.length + tree.length === 0) return html`<p class="pinning">${head}</p>`;
  return html`<details class="pinning">
    <summary>${head}</summary>
    ${loose.length === 0 ? nothing : html`<h2>${text("pinning.loose")}</h2> ${linesView(loose)}`}
    ${advice.length === 0
      ? nothing
      : html`<h2>${text("pinning.advice")}</h2>
          <pre class="advice" tabindex="0">${advice.join("\n")}</pre>`}
    ${tree.length === 0
      ? nothing
      : html`<h2>${text("pinning.tree")}</h2>
          <p>${text("pinning.tree.about")}</p>
          ${linesView(tree)}`}
  </details>`;
}

function linesView(lines: readonly string[]): TemplateResult {
  return html`<ul class="loose">
    ${lines.map((line) => html`<li><code dir="auto">${line}</code></li>`)}
  </ul>`;
}

/** Refusals that signing in may turn. */
const FOR_MEMBERS: ReadonlySet<string> = new Set(["launch-closed", "too-often", "forbidden"]);

/** Whether an account may do what this guest may not. */
export function isForMembers(me: Me | null, problem: Explanation | null): boolean {
  return me?.kind === "guest" && problem !== null && FOR_MEMBERS.has(problem.code);
}

export function signInView(api: Api, me: Me | null, problem: Explanation): TemplateResult | typeof nothing {
  if (!isForMembers(me, problem)) return nothing;
  const next = encodeURIComponent(location.pathname + location.search);
  return html`<a class="button primary" href=${api.address(`/api/v1/login?as=member&next=${next}`)}>${text("action.signin")}</a>`;
}

/** Where the repository may be a private one: to what opens it, and from there back to this launch. */
export function credentialsView(api: Api, repository: string): TemplateResult {
  const asked = new URLSearchParams({ repository, next: location.pathname + location.search });
  return html`<a class="button" href=${api.address(`/credentials?${asked.toString()}`)}>${text("action.credentials")}</a>`;
}

/** What a person sends to whoever helps: everything that is known, as plain text. */
export function details(launch: Launch | null, problem: Explanation | null, log: string): string {
  const facts = [
    `${text("app.name")} ${new Date().toISOString()}`,
    location.origin + location.pathname,
    launch === null ? "" : `${launch.id} ${launch.url} ${launch.ref} ${launch.commit ?? ""}`.trim(),
    problem === null ? "" : `${problem.title}\n${text("error.code")}: ${problem.code} (${problem.status})`,
    problem === null ? "" : `${text("error.title")}: ${problem.seen}\n${text("error.todo")}: ${problem.todo}`,
  ];
  return [...facts.filter((fact) => fact !== ""), "", log, ""].join("\n");
}
