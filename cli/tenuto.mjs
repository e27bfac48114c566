#!/usr/bin/env node
import { main } from "./bootstrap.mjs";

main("tenuto", process.argv.slice(2));
