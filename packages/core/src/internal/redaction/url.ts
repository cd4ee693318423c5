import { REDACTED, TRUNCATED } from "./limits.ts"
import { isOpaque, isTokenSegment } from "./shape.ts"
import { redactText } from "./text.ts"

const maxParameters = 64
const maxSegments = 64
const maxSegment = 512

/** The base for relative URLs; never shown. */
const base = "http://relative.invalid"

const parameterName = /^[\w.\-~$[\]:%]{1,64}$/

/** Redacts every value, and a name that may be a value. */
const query = (search: string): string => {
  if (search.length < 2) return ""
  const parts = search.slice(1).split("&", maxParameters + 1)
  const shown = parts.slice(0, maxParameters).map((part) => {
    const equals = part.indexOf("=")
    const name = part.slice(0, equals)
    if (equals < 1 || !parameterName.test(name) || (isOpaque(name) && isTokenSegment(name))) return REDACTED
    return equals === part.length - 1 ? part : `${name}=${REDACTED}`
  })
  return `?${[...shown, ...(parts.length > maxParameters ? [TRUNCATED] : [])].join("&")}`
}

const segment = (part: string): string => part.length > maxSegment || isTokenSegment(part) ? REDACTED : part

const path = (pathname: string): string => {
  const parts = pathname.split("/", maxSegments + 1)
  return [...parts.slice(0, maxSegments).map(segment), ...(parts.length > maxSegments ? [TRUNCATED] : [])].join("/")
}

const shown = (url: URL): string => {
  if (/^(?:data|blob|javascript):$/.test(url.protocol)) return `${url.protocol}${REDACTED}`
  const authority = url.host === "" && !url.href.startsWith(`${url.protocol}//`) ? "" : `//${url.host}`
  return redactText(`${url.protocol}${authority}${path(url.pathname)}${query(url.search)}`)
}

/** A redacted URL: origin, path and the names of its parameters. */
export const redactUrl = (input: string | URL): string => {
  try {
    if (typeof input !== "string") return shown(input)
    if (/^\/(?![/\\])/.test(input)) return shown(new URL(input, base)).slice(base.length)
    return shown(new URL(input))
  } catch {
    return typeof input === "string" ? redactText(input) : REDACTED
  }
}
