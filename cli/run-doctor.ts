import { doctor } from "./doctor.ts";

process.exitCode = await doctor();
