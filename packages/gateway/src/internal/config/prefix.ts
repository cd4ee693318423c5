/**
 * Whether a text is the path of a bucket: `/`, or segments with one `/` before each. It has only characters that a request target
 * has as they are, so that one path has one spelling.
 */
export const isPrefix = (text: string): boolean =>
  text === "/" ||
  (text.length <= 1024 && /^(?:\/[A-Za-z0-9._~!$&'()*+,=:@-]+)+$/.test(text) &&
    text.split("/").every((segment) => segment !== "." && segment !== ".."))
