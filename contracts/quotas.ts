/** What may be asked within a window: of a provider or one of its models, by everybody or by one tenant. */
export interface Quota {
  requests?: number;
  tokens?: number;
  windowMs: number;
}
