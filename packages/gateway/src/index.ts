/**
 * An authenticated, caching and audited gateway before S3-compatible stores.
 */
export * as AuditObjectStore from "./AuditObjectStore.ts"
export * as AuthOptions from "./AuthOptions.ts"
export * as BucketOptions from "./BucketOptions.ts"
export * as Conditional from "./Conditional.ts"
export * as Cors from "./Cors.ts"
export * as GatewayConfig from "./GatewayConfig.ts"
export * as HeaderRules from "./HeaderRules.ts"
export * as ListenOptions from "./ListenOptions.ts"
export * as ObjectKey from "./ObjectKey.ts"
export * as ObjectStore from "./ObjectStore.ts"
export * as RateLimitOptions from "./RateLimitOptions.ts"
export * as RateLimits from "./RateLimits.ts"
export * as ReplicaOptions from "./ReplicaOptions.ts"
export * as Replicas from "./Replicas.ts"
export * as ReplicasOptions from "./ReplicasOptions.ts"
export * as StoreError from "./StoreError.ts"
