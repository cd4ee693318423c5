/**
 * Tokens: validating those that come in.
 */
export * as Claims from "./Claims.ts"
export * as Revocation from "./Revocation.ts"
export * as RevocationOptions from "./RevocationOptions.ts"
export * as TokenError from "./TokenError.ts"
export * as TokenValidator from "./TokenValidator.ts"
export * as ValidationPolicy from "./ValidationPolicy.ts"
export * as ValidatorOptions from "./ValidatorOptions.ts"
