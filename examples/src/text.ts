/** A table with columns padded to their widest cell. */
export const columns = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const all = [head, ...rows]
  const widths = head.map((_, index) => Math.max(...all.map((row) => row[index]?.length ?? 0)))
  const line = (row: ReadonlyArray<string>) =>
    row.map((text, index) => text.padEnd(widths[index] ?? 0)).join("  ").trimEnd()
  return [line(head), widths.map((width) => "-".repeat(width)).join("  "), ...rows.map(line)].join("\n")
}

/** How often each text occurs, as in `99 x 200; 1 x 503`. */
export const counted = (texts: ReadonlyArray<string>): string =>
  Array.from(new Set(texts), (one) => `${texts.filter((other) => other === one).length} x ${one}`).join("; ")
