/**
 * Layouts in which a name and its value are not written as `name=value`: attributes, arrays of headers, command lines, blocks.
 */
import { REDACTED } from "./limits.ts"
import { isHarmlessWord, isPlaceholder, type Sensitivity, sensitivity } from "./sensitivity.ts"
import { isOpaque } from "./shape.ts"

const certain: ReadonlySet<Sensitivity | undefined> = new Set(["strong", "header", "word"])
const isCertain = (name: string): boolean => certain.has(sensitivity(name))
const isShown = (value: string): boolean => value === "" || isPlaceholder(value) || isHarmlessWord(value)

// TOML: password = '''…''', also on several lines.
const tripled = /([\w.-]{1,128})([ \t]{0,16}=[ \t]{0,16})('''|""")([^]*?)(\3|$)/g
// HCL and shells: password = <<EOT … EOT
const heredoc =
  /([\w.-]{1,128})([ \t]{0,16}=[ \t]{0,16}<<[-~]?["']?(\w{1,32})["']?[ \t]*\r?\n)([^]*?)(\r?\n[ \t]*\3\b|$)/g

/** Blocks of TOML, HCL and shells that belong to the name of a secret. */
const blocks = (text: string): string =>
  text
    .replaceAll(tripled, (whole, name: string, equals: string, quote: string, _: string, end: string) =>
      isCertain(name) ? `${name}${equals}${quote}${REDACTED}${end}` : whole)
    .replaceAll(heredoc, (whole, name: string, start: string, _: string, __: string, end: string) =>
      isCertain(name) ? `${name}${start}${REDACTED}${end}` : whole)

// <add key="ClientSecret" value="…" />, with the attributes in any order.
const add = /<(?:add|property|param|setting|entry|env)\s[^<>]{1,2048}>/gi
const naming = /\s(?:key|name)\s{0,4}=\s{0,4}(["'])([^"'<>]{1,256})\1/i
const valued = /(\svalue\s{0,4}=\s{0,4})(["'])((?:(?!\2)[^<>]){0,2048})\2/i
// <password type="plain">…</password>, <password><![CDATA[…]]></password>
const element = /<([A-Za-z][\w:.-]{0,63})(\s[^<>]{0,256})?>(<!\[CDATA\[)?([^<>]{1,8192}?)(\]\]>)?(?=<\/)/g
// <key>ApiKey</key><string>…</string>
const listed = /(<key>([^<>]{1,128})<\/key>\s{0,64}<(?:string|data)>)([^<>]{1,8192})/g

/** Values of XML whose name is an attribute, or an element beside it. */
const markup = (text: string): string =>
  text
    .replaceAll(add, (whole) => {
      const name = naming.exec(whole)?.[2]
      return name === undefined || !isCertain(name) ? whole : whole.replace(
        valued,
        (all, before: string, quote: string, value: string) =>
          isShown(value) ? all : `${before}${quote}${REDACTED}${quote}`
      )
    })
    .replaceAll(element, (whole, name: string, attributes = "", data = "", _: string, end = "") =>
      (attributes !== "" || data !== "") && isCertain(name) ? `<${name}${attributes}>${data}${REDACTED}${end}` : whole)
    .replaceAll(listed, (whole, before: string, name: string) =>
      isCertain(name) ? before + REDACTED : whole)

// 'authorization', 'Basic …' of rawHeaders, and ["x-api-key","…"] of a list of pairs.
const adjacent = /(\\{0,3}["'])([A-Za-z][\w.-]{1,63})(\1\s{0,8},\s{0,8}(\\{0,3}["']))([^"'\\\n]{1,8192})/g
// {"name":"DB_PASSWORD","value":"…"} and - name: DB_PASSWORD⏎  value: …
const described =
  /((?<![\w-])(?:name|key)(?:\\{0,3}["'])?\s{0,8}:\s{0,8}(?:\\{0,3}["'])?([\w.:-]{1,128})(?:\\{0,3}["'])?\s{0,8},?\s{0,64}(?:\\{0,3}["'])?value(?:\\{0,3}["'])?\s{0,8}:\s{0,8}(?:\\{0,3}["'])?)([^"'\\\n,}]{1,8192})/gi

/** Values that stand beside their name in an array, or in the `value` of an object with a `name`. */
const beside = (text: string): string => {
  const isRaw = text.includes("rawHeaders")
  return text
    .replaceAll(
      adjacent,
      (whole, open: string, name: string, between: string, _: string, value: string) =>
        isCertain(name) && !isShown(value) && (isRaw || isOpaque(value)) ? `${open}${name}${between}${REDACTED}` : whole
    )
    .replaceAll(
      described,
      (whole, before: string, name: string, value: string) =>
        isCertain(name) && !isShown(value.trim()) ? before + REDACTED : whole
    )
}

// curl -u admin:…, --user=admin:…, -U and --proxy-user of a proxy; not docker run -u 1000:1000.
const user = /((?:^|\s)(?:-[uU][ \t]{0,4}|--(?:proxy-)?user(?:=|[ \t]{1,4}))["']?)([^\s:"']{1,128}):([^\s"']{1,1024})/g
// One-letter options whose value is the password.
const lettered = new RegExp(
  "(\\b(?:sshpass[^\\n|;&]{0,128}?\\s-p[ \\t]?|(?:docker|podman|az|oc|helm|cf|npm)\\b[^\\n|;&]{0,128}?\\blogin\\b" +
    "[^\\n|;&]{0,128}?\\s-p[ \\t]{1,4}|(?:mysql|mariadb)\\w{0,16}\\b[^\\n|;&]{0,128}?\\s-p|redis-cli\\b[^\\n|;&]{0,128}?" +
    "\\s-a[ \\t]{1,4}|ldap[a-z]{1,16}\\b[^\\n|;&]{0,128}?\\s-w[ \\t]{1,4})[\"']?)([^\\s\"']{1,1024})",
  "g"
)
// AUTH default …, requirepass … and masterauth … of Redis; IDENTIFIED BY '…' of SQL; jdbc:oracle:thin:app/…@; .pgpass
const redisAuth = /(?<![A-Za-z-])("?AUTH"?[ \t]{1,4}(?:"?[\w-]{1,64}"?[ \t]{1,4})?"?)([^\s"]{4,1024})/g
const redisPassword = /(\b(?:requirepass|masterauth)[ \t]{1,16}["']?)([^\s"']{1,1024})/gi
const identified = /(\bIDENTIFIED\s{1,8}(?:WITH\s{1,8}\w{1,64}\s{1,8})?(?:BY|AS)\s{1,8}["'])([^"'\n]{1,1024})/gi
const oracle = /(\bjdbc:oracle:\w{1,16}:[^\s/@:]{1,128}\/)([^\s@]{1,1024})(?=@)/gi
const pgpass = /^([\w.*-]{1,255}:(?:\d{4,5}|\*):[\w.*-]{1,64}:[\w.*-]{1,64}:)(\S{1,1024})$/gm

/** Passwords of command lines and of the statements of databases. */
const statements = (text: string): string => {
  const always = (whole: string, before: string, value: string): string =>
    isPlaceholder(value) ? whole : before + REDACTED
  const opaque = (whole: string, before: string, value: string): string => isOpaque(value) ? before + REDACTED : whole
  return text
    .replaceAll(
      user,
      (whole, before: string, name: string, value: string) =>
        /^\d+$/.test(value) ? whole : `${before}${name}:${REDACTED}`
    )
    .replaceAll(lettered, always)
    .replaceAll(redisAuth, opaque)
    .replaceAll(redisPassword, opaque)
    .replaceAll(identified, always)
    .replaceAll(oracle, always)
    .replaceAll(pgpass, opaque)
}

const contains = (text: string, marks: ReadonlyArray<string>): boolean => marks.some((mark) => text.includes(mark))

const blockMarks = ["'''", "\"\"\"", "<<"]
const pairMarks = ["',", "\",", "' ,", "\" ,", "value"]
const statementMarks = (
  " -u| -U|--user|--proxy-user|sshpass|login|mysql|mariadb|redis-cli|ldap|AUTH|requirepass|masterauth|IDENTIFIED" +
  "|identified|jdbc:oracle|:*:"
).split("|")
const port = /:\d{4,5}:/

/**
 * Redacts the values in all layouts, in an order in which no replacement hides a later layout. Most texts contain none of
 * them: a search for their marks comes first.
 */
export const layouts = (text: string): string => {
  const unblocked = contains(text, blockMarks) ? blocks(text) : text
  const unmarked = unblocked.includes("<") ? markup(unblocked) : unblocked
  const unpaired = contains(unmarked, pairMarks) ? beside(unmarked) : unmarked
  return contains(unpaired, statementMarks) || port.test(unpaired) ? statements(unpaired) : unpaired
}
