import { isObject, type Json } from "./json.ts";

/**
 * A value above `limits.inlineBytesMax` travels as a reference into the content-addressed store.
 * The key is reserved: data from outside that carries it is refused at the border (fault `reserved_key`),
 * so that no input can pass itself off as a stored value.
 */
export const REFERENCE_KEY = "$tenutoRef";

export interface Reference {
  /** sha-256 of the canonical JSON, hex. */
  [REFERENCE_KEY]: string;
  bytes: number;
}

export const makeReference = (sha256: string, bytes: number): Json => ({ [REFERENCE_KEY]: sha256, bytes });

export const referenceHash = (value: Json | undefined): string | undefined => {
  const hash = isObject(value) ? value[REFERENCE_KEY] : undefined;
  return typeof hash === "string" ? hash : undefined;
};

/** Whether the reserved key stands anywhere in data from outside. */
export function usesReservedKey(value: Json): boolean {
  if (Array.isArray(value)) return value.some(usesReservedKey);
  if (!isObject(value)) return false;
  return REFERENCE_KEY in value || Object.values(value).some(usesReservedKey);
}
