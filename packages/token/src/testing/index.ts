/**
 * Tools for tests of applications that use Keelson.
 */
export * as TestIssuer from "./TestIssuer.ts"
