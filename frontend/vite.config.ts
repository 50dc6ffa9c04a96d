import { defineConfig } from "vite";

// No index.html: the launcher writes the shells and reads the file names from dist/.vite/manifest.json.
export default defineConfig({
  base: "./", // chunks name one another relatively, so the launcher may serve dist/ under any path
  appType: "custom",
  publicDir: false,
  build: {
    manifest: true,
    target: "es2022",
    assetsInlineLimit: 0, // no data: addresses, which the content security policy would refuse
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
    rollupOptions: {
      input: { launch: "src/launch/main.ts", home: "src/home/main.ts" },
    },
  },
});
