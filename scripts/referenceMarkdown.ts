/** Markdown in dprint's format, so that generated pages pass its check. */

const note = "<!-- Made from the sources by scripts/reference.ts: `pnpm run docs` writes it anew. -->"

/** A cell's text on one line, with bars escaped. */
const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll(/\s+/g, " ").trim()

const widths = (rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<number> =>
  (rows[0] ?? []).map((_, column) => Math.max(3, ...rows.map((row) => Array.from(row[column] ?? "").length)))

/** A table whose columns are padded to the same width. */
export const table = (head: ReadonlyArray<string>, body: ReadonlyArray<ReadonlyArray<string>>): string => {
  const rows = [head, ...body].map((row) => row.map(cell))
  const wide = widths(rows)
  const line = (row: ReadonlyArray<string>): string =>
    `| ${row.map((text, column) => text + " ".repeat((wide[column] ?? 0) - Array.from(text).length)).join(" | ")} |`
  const rule = `| ${wide.map((width) => "-".repeat(width)).join(" | ")} |`
  const [first = "", ...others] = rows.map(line)
  return [first, rule, ...others].join("\n")
}

/** A list of short points. */
export const list = (points: ReadonlyArray<string>): string => points.map((point) => `- ${point}`).join("\n")

/** A generated page: title, a note about its source, and blocks separated by empty lines. */
export const page = (title: string, blocks: ReadonlyArray<string>): string =>
  `${[`# ${title}`, note, ...blocks].join("\n\n")}\n`

export const code = (text: string): string => `\`${text}\``
