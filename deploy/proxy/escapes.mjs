// Loaded before the proxy (NODE_OPTIONS=--import=…): a path with a bad percent-escape goes where it would go without.
//
// The proxy decodes a path to find its route and answers 500 when it cannot. The launcher has a sentence for it, so
// the path, as it was sent, has to reach the launcher.

import { ConfigurableProxy } from "configurable-http-proxy";

const findTarget = ConfigurableProxy.prototype.targetForReq;

ConfigurableProxy.prototype.targetForReq = async function (req) {
  try {
    return await findTarget.call(this, req);
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    const url = req.url.replaceAll("%", "%25");
    return await findTarget.call(this, Object.create(req, { url: { value: url } }));
  }
};

// When a part behind the proxy dies in the middle of an answer, the visitor's connection ends too: a follower of an
// event stream sees it at once and asks again, instead of waiting for a stream that nobody feeds.
const handleWeb = ConfigurableProxy.prototype.handleProxyWeb;

ConfigurableProxy.prototype.handleProxyWeb = function (req, res) {
  if (!this.endsAnswers) {
    this.endsAnswers = true;
    this.proxy.on("proxyRes", (answer, _request, visitor) => {
      answer.once("close", () => {
        if (!answer.complete) visitor.destroy();
      });
    });
  }
  return handleWeb.call(this, req, res);
};
