/** Where in a request a token is. */
type Source = "header" | "query" | "cookie"

/** What a request has of a token. */
export type Found =
  | { readonly _tag: "None" }
  | { readonly _tag: "Token"; readonly source: Source; readonly text: string }
  /** `problem` is for the caller, in characters that RFC 6750, 3 allows. */
  | { readonly _tag: "Invalid"; readonly problem: string }
  | { readonly _tag: "OtherOrigin" }

export const none: Found = { _tag: "None" }
export const malformed: Found = { _tag: "Invalid", problem: "The access token is not sent in a proper form" }
export const several: Found = { _tag: "Invalid", problem: "The request has more than one access token" }
export const notGet: Found = { _tag: "Invalid", problem: "An access token in the query is for GET only" }
export const otherOrigin: Found = { _tag: "OtherOrigin" }
