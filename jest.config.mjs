// Tests load modules as production does (docs/decisions/0001-esm-everywhere.md), so Node needs a flag:
//   node --experimental-vm-modules node_modules/jest/bin/jest.js --selectProjects unit --testPathPatterns language/builder
//   node --experimental-vm-modules node_modules/jest/bin/jest.js --selectProjects stack --runInBand
const common = {
  testEnvironment: "node",
  extensionsToTreatAsEsm: [".ts"],
  moduleFileExtensions: ["ts", "js", "mjs", "cjs", "json", "node"],
  // Only our own files are transformed; dependencies run as they were published.
  transform: {
    "^.+\\.ts$": ["@swc/jest", { swcrc: false, module: { type: "es6" }, jsc: { target: "es2022", parser: { syntax: "typescript" } } }],
  },
};

/** @type {import("jest").Config} */
export default {
  // Also of hooks. Jest reads it only here and ignores it in a project without a word.
  testTimeout: 120_000,
  projects: [
    {
      ...common,
      displayName: "unit",
      testMatch: ["<rootDir>/**/*.test.ts"],
      testPathIgnorePatterns: ["/node_modules/", "<rootDir>/tests/stack/", "<rootDir>/tests/fixtures/"],
    },
    {
      ...common,
      displayName: "stack",
      testMatch: ["<rootDir>/tests/stack/**/*.test.ts"],
      globalSetup: "<rootDir>/tests/stack/setup.ts",
      globalTeardown: "<rootDir>/tests/stack/teardown.ts",
    },
  ],
};
