import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

/** Packs every file once, as tight as can be: the launcher sends what was packed and never packs by itself. */
function packed(): Plugin {
  let folder = "";
  return {
    name: "packed",
    apply: "build",
    configResolved: (config) => {
      folder = join(config.build.outDir, config.build.assetsDir);
    },
    closeBundle: () => {
      for (const name of readdirSync(folder).filter((one) => /\.(?:js|css)$/.test(one))) {
        const body = readFileSync(join(folder, name));
        const quality = { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY };
        writeFileSync(join(folder, `${name}.br`), brotliCompressSync(body, { params: quality }));
        writeFileSync(join(folder, `${name}.gz`), gzipSync(body, { level: 9 }));
      }
    },
  };
}

// No index.html: the launcher writes the shells and reads the file names from dist/.vite/manifest.json.
export default defineConfig({
  base: "./", // chunks name one another relatively, so the launcher may serve dist/ under any path
  appType: "custom",
  publicDir: false,
  plugins: [packed()],
  build: {
    manifest: true,
    target: "es2022",
    assetsInlineLimit: 0, // no data: addresses, which the content security policy would refuse
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
    rollupOptions: {
      input: { launch: "src/launch/main.ts", home: "src/home/main.ts", credentials: "src/credentials/main.ts" },
    },
  },
});
