/** The few pieces of Markdown that generated pages are made of. */

export function generatedFrom(source: string): string {
  return `<!-- Made from ${source} by \`npm run docs\`. Change that, not this file. -->`;
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => '---'), ...rows];
  return lines.map((cells) => `| ${cells.map(cell).join(' | ')} |`).join('\n');
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

export function code(text: string): string {
  return `\`${text}\``;
}

/** A link to a heading of the same page, by the anchor that GitHub gives it. */
export function linkTo(heading: string): string {
  return `[${code(heading)}](#${anchorOf(heading)})`;
}

export function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-');
}
