/**
 * JWT validation and OAuth tokens.
 */
export * as ClientAuth from "./ClientAuth.ts"
export * as GuardOptions from "./GuardOptions.ts"
export * as OAuthClient from "./OAuthClient.ts"
export * as OAuthOptions from "./OAuthOptions.ts"
export * as RefreshPolicy from "./RefreshPolicy.ts"
export * as RefreshTokens from "./RefreshTokens.ts"
export * as ServerOptions from "./ServerOptions.ts"
export * as TokenEnvelope from "./TokenEnvelope.ts"
export * as TokenError from "./TokenError.ts"
export * as TokenEvent from "./TokenEvent.ts"
export * as TokenGuard from "./TokenGuard.ts"
export * as TokenHttp from "./TokenHttp.ts"
export * as TokenManagers from "./TokenManagers.ts"
export * as TokenProvider from "./TokenProvider.ts"
export * as TokenSource from "./TokenSource.ts"
export * as UrlScope from "./UrlScope.ts"
