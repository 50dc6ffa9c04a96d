/** Every text that a person reads, in one catalogue: a translation is another object with these keys. */
export const english = {
  "app.name": "repolaunch",
  "stage.resolve": "Find the commit",
  "stage.checkout": "Get the files",
  "stage.detect": "Read the environment",
  "stage.image": "Look for a ready image",
  "stage.build": "Build the image",
  "stage.workspace": "Prepare the workspace",
  "stage.session": "Start the session",
  "stage.push": "Store the image",

  "status.waiting": "not started",
  "status.running": "under way",
  "status.done": "done",
  "status.skipped": "not needed",
  "status.failed": "failed",
  "status.stopped": "stopped",

  "pinning.reproducible": "reproducible",
  "pinning.reproducible.about": "Everything this environment is built from is pinned: it stays the same.",
  "pinning.locked": "locked",
  "pinning.locked.about": "A lock file names every package of this environment with its hash.",
  "pinning.not-pinned": "not pinned",
  "pinning.not-pinned.about": "This environment may be another one tomorrow.",
  "pinning.loose": "What is not pinned",
  "pinning.advice": "What would pin it",
  "pinning.tree": "Why each commit is built",
  "pinning.tree.about": "Every file of the repository counts for this image, because of",

  "launch.label": "Stages of this launch",
  "launch.asking": "Asking for a launch",
  "launch.working": "Launching",
  "launch.opening": "Ready: opening",
  "launch.ready": "Ready",
  "launch.failed": "This launch failed",
  "launch.cancelled": "Launch cancelled",
  "launch.stopped": "The server is stopped",
  "launch.signin": "Signing in",
  "launch.note": "You may close this page: the launch goes on, and the same link leads back to it.",
  "launch.opening.seen": "The session runs. It opens in this tab in a moment.",
  "launch.ready.seen": "This launch is finished and its session was started. Your files are kept.",
  "launch.built": "The image that is used was built on {when}.",
  "launch.afresh.note": "Building afresh asks anew for what is not pinned. Then your server starts again from the new image: saved files stay, what runs in it ends.",
  "launch.stop.note": "Stop the server when you are done: your files stay, and the same link brings it back.",
  "launch.stopped.seen": "Your files stay as you saved them. The same link, or the button here, starts it again.",
  "launch.cancelled.seen": "It was stopped before the session started. Nothing was lost.",
  "launch.image.none": "There is none yet",
  "launch.stage": "{stage}: {status}",
  "launch.percent": "{percent} %",
  "launch.provider": "provider",
  "launch.ref": "branch, tag or commit",
  "launch.ref.default": "default branch",
  "launch.commit": "commit",
  "launch.guest": "You are a guest.",
  "launch.account": "Signed in as {name}.",
  "launch.total": "{time} in all",

  "action.open": "Open the session",
  "action.open-again": "Open again",
  "action.again": "Try again",
  "action.restart": "Launch again",
  "action.cancel": "Cancel",
  "action.cancelling": "Cancelling …",
  "action.stop": "Stop the server",
  "action.stopping": "Stopping …",
  "action.start": "Start again",
  "action.afresh": "Build afresh",
  "action.details": "Copy details",
  "action.copied": "Copied",
  "action.copy-failed": "Could not copy",
  "action.signin": "Sign in",
  "action.member": "Sign in",
  "action.home": "Launch another repository",
  "action.more": "More about this",

  "log.title": "Log",
  "log.lines": "{count} lines",
  "log.line": "1 line",
  "log.empty": "Nothing yet.",
  "log.copy": "Copy the log",
  "log.follow": "Go to the end",
  "log.dropped": "The first {count} lines are left out here; “Copy the log” has them.",

  "connection.reconnecting": "The connection was lost. Reconnecting …",
  "connection.offline": "You are offline. The launch goes on; this page catches up when you are back.",

  "error.title": "What was seen",
  "error.todo": "What to do",
  "error.code": "Code",
  "error.unknown.title": "Something unexpected happened",
  "error.unknown.seen": "The service answered {status} without saying why.",
  "error.unknown.todo": "Try again. If it happens again, tell the people who run this service.",
  "error.gone.title": "This launch is not known any more",
  "error.gone.seen": "The service does not have a launch of this number, or it belongs to another account.",
  "error.gone.todo": "Launch the link again.",
  "error.url.title": "The session has no usable address",
  "error.url.seen": "The service gave an address that is not one of a web page.",
  "error.cancel": "The launch could not be cancelled: {reason}",
  "error.stop": "The server could not be stopped: {reason}",
  "error.config.title": "This page is incomplete",
  "error.config.seen": "The page does not say which link it is for.",
  "error.config.todo": "Open the link again from where you found it.",

  "signin.needed.title": "You are not signed in",
  "signin.needed.seen": "Signing in did not work: this browser did not keep the cookie, or the service did not give one.",
  "signin.needed.todo": "Allow cookies for this site, then sign in.",

  "time.instant": "< 0.1 s",
  "time.seconds": "{s} s",
  "time.minutes": "{m} min {s} s",
  "time.hours": "{h} h {m} min",

  "home.title": "Launch a repository",
  "home.lead": "A link to a repository becomes a running notebook server with a workspace that lasts.",
  "home.url": "Repository address",
  "home.url.hint": "A git address, or a page of a repository on GitHub or GitLab",
  "home.ref": "Branch, tag or commit",
  "home.ref.hint": "Empty for the default branch",
  "home.launch": "Launch",
  "home.badge": "Get a link and a badge",
  "home.busy": "One moment …",
  "home.empty": "Write the address of a repository first.",
  "home.share": "Share it",
  "home.link": "Link",
  "home.markdown": "Badge for a README (Markdown)",
  "home.copy": "Copy",
  "home.copy.link": "Copy the link",
  "home.copy.markdown": "Copy the Markdown",
  "home.badge.alt": "Launch with repolaunch",
  "home.offline": "The service did not answer. Are you connected?",

  "projects.title": "Your projects",
  "projects.note": "A server that is stopped keeps its files.",
  "projects.used": "last used {ago}",
  "projects.resume": "Resume",
  "projects.resume.label": "Resume {title}",
  "projects.stop": "Stop",
  "projects.stop.label": "Stop the server of {title}",
  "projects.stopping.label": "Stopping … the server of {title}",
  "projects.stopped": "The server of {title} is stopped. Its files stay.",
  "projects.problem": "Your projects cannot be shown now: {reason}",
  "projects.state": "server",
  "projects.state.stopped": "stopped",
  "projects.state.starting": "starting",
  "projects.state.running": "running",
  "projects.state.stopping": "stopping",
} as const;

export type TextKey = keyof typeof english;

/** The text of `key` with `{name}` replaced by the values. */
export function text(key: TextKey, values: Readonly<Record<string, string | number>> = {}): string {
  return english[key].replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** A duration for people: `3.2 s`, `41 s`, `2 min 5 s`, `1 h 3 min`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, seconds);
  if (whole > 0 && whole < 0.05) return text("time.instant");
  if (whole < 9.95) return text("time.seconds", { s: whole.toFixed(1) });
  if (whole < 59.5) return text("time.seconds", { s: Math.round(whole) });
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return text("time.minutes", { m: minutes, s: Math.floor(whole % 60) });
  return text("time.hours", { h: Math.floor(minutes / 60), m: minutes % 60 });
}

/** A moment for people, by their own clock: `November 21, 2026 at 10:04 PM`. */
export function moment(at: Date): string {
  return new Intl.DateTimeFormat("en", { dateStyle: "long", timeStyle: "short" }).format(at);
}

const UNITS = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
] as const;

/** How long ago, in the words of the page's language: `3 days ago`, `5 minutes ago`, `now`. */
export function ago(seconds: number): string {
  const words = new Intl.RelativeTimeFormat(document.documentElement.lang || "en", { numeric: "auto" });
  const [unit, length] = UNITS.find(([, long]) => seconds >= long) ?? (["second", Infinity] as const);
  return words.format(-Math.floor(Math.max(0, seconds) / length) || 0, unit);
}
