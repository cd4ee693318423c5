/**
 * Object caches: memory, disk and Redis, alone or as tiers of one cache, bounded in bytes and whole entries only.
 */
export * as CacheEntry from "./CacheEntry.ts"
export * as CacheError from "./CacheError.ts"
export * as CacheKey from "./CacheKey.ts"
export * as CacheLoader from "./CacheLoader.ts"
export * as CacheOptions from "./CacheOptions.ts"
export * as CacheStats from "./CacheStats.ts"
export * as CacheTier from "./CacheTier.ts"
export * as MemoryCache from "./MemoryCache.ts"
export * as ObjectCache from "./ObjectCache.ts"
export * as RedisCache from "./RedisCache.ts"
export * as TieredCache from "./TieredCache.ts"
export * as ValueCache from "./ValueCache.ts"
