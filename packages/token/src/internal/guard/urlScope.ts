/**
 * Where a token may go: an origin, or everything below a path of one.
 *
 * A scope is compared with the parsed URL of a request, segment by segment: `https://api.example` contains neither
 * `https://api.example.evil` nor `https://api.example@evil`, and `/a` contains `/a/b` but not `/ab`. A path that some server
 * might read differently (`..%2f`, `%252e`, `..;`) is in no scope that has a path.
 */
import * as SafeUrl from "@keelson/core/unstable/SafeUrl"
import * as Result from "effect/Result"
import { type PathSegments, segmentsOf } from "./pathSegments.ts"

/** An origin, or a path of one and everything below it. */
export interface UrlScope {
  /** Scheme, host and port in canonical form: `https://api.example`, without the default port. */
  readonly origin: string
  /** The segments of the path; empty for the whole origin. */
  readonly path: PathSegments
}

/**
 * Why a URL cannot be a scope. `url`: not a URL. `scheme`: not https. `credentials`: has a user name or password. `host`: the
 * host has an empty label. `query`: has a query or fragment. `path`: servers may read the path differently.
 */
export type UrlReason = SafeUrl.UrlRefusal | "query" | "path"

/** Options of `parse`. */
export interface Options {
  /** Whether http is allowed to this machine: `localhost`, 127.0.0.0/8 and ::1. Default false. */
  readonly allowLocalhost?: boolean | undefined
}

/** The form of a scope. A URL parser would silently repair a backslash or a space, which is a mistake here. */
const scopeText = /^https?:\/\/[^/\\\s\p{Cc}]+(?<path>\/[^\\\s\p{Cc}]*)?$/iu

/**
 * Parses a scope from its URL, with or without a path: `https://api.example`, `https://api.example/v1`. A slash at the end makes
 * no difference.
 */
export const parse = (text: string, options?: Options): Result.Result<UrlScope, UrlReason> =>
  Result.flatMap(SafeUrl.check(text, options), (url): Result.Result<UrlScope, UrlReason> => {
    const match = scopeText.exec(text)
    if (match === null) return Result.fail("url")
    if (/[?#]/.test(text)) return Result.fail("query")
    const path = pathOf(url.pathname)
    // Checks the written path too: a parser resolves dot segments, which leaves the intended path unclear.
    if (pathOf(match.groups?.["path"] ?? "") === undefined || path === undefined || path.includes("")) {
      return Result.fail("path")
    }
    return Result.succeed({ origin: url.origin, path })
  })

const pathOf = (path: string): PathSegments | undefined => path === "/" ? [] : segmentsOf(path.replace(/\/$/, ""))

/** Whether a scope contains a URL. */
export const contains = ({ origin, path }: UrlScope, url: URL): boolean => {
  if (origin !== url.origin) return false
  if (path.length === 0) return true
  const segments = segmentsOf(url.pathname)
  return segments !== undefined && path.every((segment, index) => segment === segments[index])
}

/** The scope as a URL. */
export const format = ({ origin, path }: UrlScope): string => `${origin}/${path.join("/")}`
