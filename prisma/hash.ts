import { createHash } from "node:crypto";
import { canonicalJson, type Json } from "../contracts/json.ts";

/** In hexadecimal. */
export const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** The same for values that are equal, whatever the order of their keys. */
export const hashOf = (value: Json): string => sha256(canonicalJson(value));
