/**
 * The keys that verify tokens: fetched, kept fresh and looked up, from one provider or many.
 */
export * as Algorithm from "./Algorithm.ts"
export * as Discovery from "./Discovery.ts"
export * as Egress from "./Egress.ts"
export * as EgressOptions from "./EgressOptions.ts"
export * as FetchEgress from "./FetchEgress.ts"
export * as Jwk from "./Jwk.ts"
export * as JwksCache from "./JwksCache.ts"
export * as JwksError from "./JwksError.ts"
export * as JwksEvent from "./JwksEvent.ts"
export * as JwksOptions from "./JwksOptions.ts"
export * as JwksRegistry from "./JwksRegistry.ts"
export * as JwksSnapshots from "./JwksSnapshots.ts"
export * as JwksStatus from "./JwksStatus.ts"
export * as KeySet from "./KeySet.ts"
export * as KeySource from "./KeySource.ts"
export * as StaticKeys from "./StaticKeys.ts"
