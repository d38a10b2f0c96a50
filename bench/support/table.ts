/** A plain table for terminals: names to the left, numbers to the right. */

/** @param rows the first is the heading; a short row ends with what it has, in full width (a note) */
export function table(rows: readonly (readonly string[])[]): string {
  const columns = rows[0]?.length ?? 0;
  const complete = rows.filter((row) => row.length === columns);
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...complete.map((row) => (row[column] ?? '').length), firstCell(rows, column)),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        const isNote = row.length < columns && column > 0;
        return column === 0 || isNote ? cell.padEnd(isNote ? 0 : width) : cell.padStart(width);
      })
      .join('  ')
      .trimEnd();
  return rows.map((row) => `${line(row)}\n`).join('');
}

/** Names line up in every row, notes included. */
function firstCell(rows: readonly (readonly string[])[], column: number): number {
  return column === 0 ? Math.max(...rows.map((row) => (row[0] ?? '').length)) : 0;
}
