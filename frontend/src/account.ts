/** Who is here: a line in the page's head, which the launcher wrote without knowing it. */
import { html, nothing, render } from "lit";
import type { Api, Me } from "./api";
import { text } from "./texts";

/** `me` null: nobody has signed in. */
export function showAccount(api: Api, me: Me | null): void {
  const place = document.getElementById("account");
  if (place === null) return;
  const next = encodeURIComponent(location.pathname + location.search);
  const login = api.address(me === null ? `/sign-in?next=${next}` : `/api/v1/login?as=member&next=${next}`);
  const who =
    me === null ? nothing : html`<span>${me.kind === "guest" ? text("account.guest") : text("account.name", { name: me.name })}</span>`;
  const way = me !== null && me.kind !== "guest" ? nothing : html` <a href=${login}>${text("action.signin")}</a>`;
  const own =
    me !== null && me.kind !== "guest" && location.pathname !== api.address("/credentials")
      ? html` · <a href=${api.address("/credentials")}>${text("credentials.link")}</a>`
      : nothing;
  const out =
    me === null ? nothing : html` · <a href=${api.address("/api/v1/logout")}>${text(me.kind === "guest" ? "signout.guest.link" : "hub.signout")}</a>`;
  render(html`${who}${own}${way}${out}`, place);
}
