/**
 * Tools for tests of programs that use Keelson.
 */
export * as FleetOptions from "./FleetOptions.ts"
export * as Simulate from "./Simulate.ts"
