/**
 * Tokens: validating those that come in, and protecting APIs with them.
 */
export * as Claims from "./Claims.ts"
export * as HttpSecurity from "./HttpSecurity.ts"
export * as HttpSecurityError from "./HttpSecurityError.ts"
export * as HttpSecurityOptions from "./HttpSecurityOptions.ts"
export * as Principal from "./Principal.ts"
export * as Revocation from "./Revocation.ts"
export * as RevocationOptions from "./RevocationOptions.ts"
export * as TokenError from "./TokenError.ts"
export * as TokenValidator from "./TokenValidator.ts"
export * as ValidationPolicy from "./ValidationPolicy.ts"
export * as ValidatorOptions from "./ValidatorOptions.ts"
