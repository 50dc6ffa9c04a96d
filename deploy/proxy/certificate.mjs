// Loaded by escapes.mjs: a renewed certificate is taken from its files without a restart, so no connection is cut.
// A pair that does not fit (half of it is written, say) is told once, and the old one stays.

import fs from "node:fs";
import https from "node:https";

const LOOK_MS = 5000;
const { REPOLAUNCH_TLS_CERTIFICATE: certificate, REPOLAUNCH_TLS_KEY: key } = process.env;
const createServer = https.createServer;
const read = () => ({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) });

if (certificate && key) {
  https.createServer = (options, ...rest) => {
    const server = createServer.call(https, options, ...rest);
    let used = Buffer.concat([options.cert, options.key]);
    let tried = used;
    setInterval(() => {
      try {
        const pair = read();
        const now = Buffer.concat([pair.cert, pair.key]);
        if (now.equals(used) || now.equals(tried)) return;
        tried = now;
        server.setSecureContext({ ...options, ...pair });
        used = now;
        console.error("The renewed certificate is used.");
      } catch (error) {
        console.error(`The renewed certificate cannot be used, the old one stays: ${error.message}`);
      }
    }, LOOK_MS).unref();
    return server;
  };
}
