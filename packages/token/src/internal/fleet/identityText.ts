import type { Identity } from "../../TokenSource.ts"

/** The identity of tokens as one text. The order and repetition of scopes do not matter. */
export const identityText = ({ audience, clientId, issuer, other, scope }: Identity): string => {
  const scopes = scope === undefined ? null : [...new Set(scope.split(" ").filter((part) => part !== ""))].toSorted()
  return JSON.stringify([issuer, clientId, audience ?? null, scopes, other ?? null])
}
