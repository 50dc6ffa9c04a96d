import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist/", "node_modules/", "eslint.config.js", "vite.config.ts"] },
  ...tseslint.configs.strictTypeChecked,
  ...tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      eqeqeq: "error",
      "no-console": "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      // Text that a stranger wrote never becomes markup; lit's templates do not use any of these.
      "no-restricted-properties": [
        "error",
        ...["innerHTML", "outerHTML", "insertAdjacentHTML"].map((property) => ({
          property,
          message: "Everything from the server is text: use textContent or a lit template.",
        })),
      ],
      "no-restricted-imports": ["error", { paths: ["lit/directives/unsafe-html.js", "lit/directives/unsafe-svg.js"] }],
    },
  },
);
