/**
 * Where a token may go: an origin, or what is below a path of one.
 *
 * A scope is compared with the URL as it is requested, after it was parsed, segment by segment: `https://api.example` has
 * neither `https://api.example.evil` nor `https://api.example@evil`, and `/a` has `/a/b` but not `/ab`. What a server
 * might read as another path than the one compared (`..%2f`, `%252e`, `..;`) is in no scope that has a path.
 */
import * as SafeUrl from "@keelson/core/unstable/SafeUrl"
import * as Result from "effect/Result"
import { type Segments, segmentsOf } from "./internal/guard/segments.ts"

/** An origin, or a path of one and all that is below it. */
export interface UrlScope {
  /** Scheme, host and port in their one form: `https://api.example`, the default port left out. */
  readonly origin: string
  /** The path, segment by segment; empty for the whole origin. */
  readonly path: Segments
}

/**
 * Why a URL is refused: as `SafeUrl.UrlRefusal` says; or it is to be a scope and has a `query`, or a `path` that can be
 * read in two ways.
 */
export type Reason = SafeUrl.UrlRefusal | "query" | "path"

export interface Options {
  /** Whether http will do for this machine: `localhost` and loopback addresses. Default false. */
  readonly allowLocalhost?: boolean | undefined
}

/**
 * A URL in the form in which it is to be requested: without a fragment, and without the dot at the end of its host. It is
 * https, or http to this machine where that is allowed, and has no user name or password.
 */
export const checkUrl: (input: string | URL, options?: Options) => Result.Result<URL, SafeUrl.UrlRefusal> =
  SafeUrl.check

/** As a scope is written: a parser would mend what here is a mistake. */
const written = /^https?:\/\/[^/\\\s\p{Cc}]+(?<path>\/[^\\\s\p{Cc}]*)?$/iu

/**
 * A scope from its URL, with or without a path: `https://api.example`, `https://api.example/v1`. A slash at its end makes
 * no difference.
 */
export const parse = (text: string, options?: Options): Result.Result<UrlScope, Reason> =>
  Result.flatMap(checkUrl(text, options), (url): Result.Result<UrlScope, Reason> => {
    const match = written.exec(text)
    if (match === null) return Result.fail("url")
    if (/[?#]/.test(text)) return Result.fail("query")
    const path = below(url.pathname)
    // A parser takes dot segments out, which leaves it open what was meant.
    if (below(match.groups?.["path"] ?? "") === undefined || path === undefined || path.includes("")) {
      return Result.fail("path")
    }
    return Result.succeed({ origin: url.origin, path })
  })

const below = (path: string): Segments | undefined =>
  path === "" || path === "/" ? [] : segmentsOf(path.replace(/\/$/, ""))

/** Whether a checked URL is in a scope. */
export const contains = ({ origin, path }: UrlScope, url: URL): boolean => {
  if (origin !== url.origin) return false
  if (path.length === 0) return true
  const segments = segmentsOf(url.pathname)
  return segments !== undefined && path.every((segment, index) => segment === segments[index])
}

/** The scope as a URL. */
export const format = ({ origin, path }: UrlScope): string => `${origin}/${path.join("/")}`

/** Of values with a scope, those that have a checked URL in it, the longest path first. */
export const matching = <A extends { readonly scope: UrlScope }>(all: Iterable<A>, url: URL): ReadonlyArray<A> =>
  Array.from(all).filter(({ scope }) => contains(scope, url)).toSorted((a, b) =>
    b.scope.path.length - a.scope.path.length
  )
