import { jest } from "@jest/globals";

// Jest reads `testTimeout` only from the top level and ignores it in a project without a word.
jest.setTimeout(120_000);
