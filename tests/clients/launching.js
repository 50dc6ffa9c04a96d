// What a page of another site has: BinderHub's own client, and the few requests that run a cell in what it started.

import { BinderRepository } from "@jupyterhub/binderhub-client/client.js";

// Every event of a launch, up to and with the one that ends it.
export async function launch(spec, hub, options) {
  const repository = new BinderRepository(spec, new URL("build/", hub), options);
  const events = [];
  for await (const event of repository.fetch()) {
    events.push(event);
    if (event.phase === "ready" || event.phase === "failed") break;
  }
  repository.close();
  return events;
}

// What `code` prints in a new kernel of the session.
export async function run({ url, token }, code) {
  const headers = { Authorization: `token ${token}` };
  const made = await fetch(`${url}api/kernels`, { method: "POST", headers, body: "{}" });
  const { id } = await made.json();
  const address = `${url.replace(/^http/, "ws")}api/kernels/${id}/channels?token=${token}`;
  return await new Promise((resolve, reject) => {
    const socket = new WebSocket(address);
    const header = { msg_id: id, msg_type: "execute_request", session: id, username: "", version: "5.3" };
    const content = { code, silent: false, store_history: false, allow_stdin: false, stop_on_error: true };
    socket.onerror = () => reject(new Error("the kernel's websocket failed"));
    socket.onopen = () =>
      socket.send(JSON.stringify({ header, parent_header: {}, metadata: {}, content, channel: "shell" }));
    let printed = "";
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.parent_header.msg_id !== id) return;
      if (message.msg_type === "stream") printed += message.content.text;
      if (message.msg_type === "status" && message.content.execution_state === "idle") resolve(printed);
    };
  });
}
