/**
 * An authenticated, caching and audited gateway before S3-compatible stores.
 */
export * as ObjectStore from "./ObjectStore.ts"
