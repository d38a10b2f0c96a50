/** One thing wrong with a configuration file, and where. */
export interface Problem {
  readonly file: string;
  /** Both count from 1, as editors do. */
  readonly line: number;
  readonly column: number;
  /** Where in the document, for a reader who thinks in keys: `upstreams.api.pool.idle_timeout`. */
  readonly path: string;
  /** What was found, what is accepted, and the nearest valid choice if there is one. */
  readonly message: string;
}

/**
 * Renders a problem the way compilers do, so editors and CI can link to it.
 *
 * @param source the whole text of `problem.file`
 */
export function formatProblem(
  { file, line, column, path, message }: Problem,
  source: string,
): string {
  const text = source.split(/\r?\n/)[line - 1];
  const where = `${file}:${line}:${column}: ${path === '' ? '' : `${path}: `}${message}`;
  if (text === undefined || text.trim() === '') return where;
  const gutter = `  ${line} | `;
  return `${where}\n${gutter}${text}\n${' '.repeat(gutter.length + column - 1)}^`;
}

export function formatProblems(problems: readonly Problem[], source: string): string {
  const file = problems[0]?.file ?? 'the configuration';
  const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
  return [...problems.map((problem) => formatProblem(problem, source)), `${count} in ${file}`].join(
    '\n',
  );
}

/** The known word that was probably meant, if one is close enough. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  // Two letters that changed places are a distance of 2; in a word of three they would be any word.
  const allowed = word.length < 4 ? 1 : Math.max(2, Math.floor(word.length / 3));
  let best: string | undefined;
  let least = allowed + 1;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance >= least) continue;
    least = distance;
    best = candidate;
  }
  return best;
}

/** Levenshtein's: insertions, deletions and replacements that make one word of the other. */
function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, at) => at);
  for (let i = 1; i <= left.length; i++) {
    const next = [i];
    for (let j = 1; j <= right.length; j++) {
      const replaced = row[j - 1]! + (left[i - 1] === right[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[right.length]!;
}
