/** What a tab remembers: its launch, and that it has been at the login page. */

// The launch belongs to this entry of the tab's history: a reload or the back button finds the same one, while
// following the link once more begins a new one. (sessionStorage could not tell these apart.)
export function rememberedLaunch(): string | null {
  const state: unknown = history.state;
  if (typeof state !== "object" || state === null || !("launch" in state)) return null;
  return typeof state.launch === "string" ? state.launch : null;
}

export function rememberLaunch(id: string | null): void {
  history.replaceState(id === null ? null : { launch: id }, "");
}

export function recall(key: string): string | null {
  try {
    return sessionStorage.getItem(key);
  } catch {
    return null; // storage is switched off
  }
}

/** False where nothing can be kept: a browser without storage has no cookies either. */
export function remember(key: string, value: string): boolean {
  try {
    sessionStorage.setItem(key, value);
    return true;
  } catch {
    return false;
  }
}

export function forget(key: string): void {
  try {
    sessionStorage.removeItem(key);
  } catch {
    // nothing was kept
  }
}
